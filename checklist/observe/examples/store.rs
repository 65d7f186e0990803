//! Figures of the embedded store: ingest, size on disk, questions.
//!
//! `cargo run --release -p aplomb-observe --example store -- FOLDER ROWS facts|texts [fill|rush|ask]`
//!
//! `fill` spreads the rows over 29 days; `rush` has them come as fast as they are written, 40 a millisecond.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::too_many_lines,
    clippy::panic,
    reason = "a program for figures"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use aplomb_core::erase::Subject;
use aplomb_observe::prompt::Prompt;
use aplomb_observe::record::Outcome;
use aplomb_observe::store::embedded::ask::{Filter, Limits, Reader, Sql};
use aplomb_observe::store::embedded::codec::Codec;
use aplomb_observe::store::embedded::{Embedded, Entry};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{DAY_MS, NOON, record};

/// Deterministic numbers (xorshift64*).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 11) % n
    }

    /// Few are frequent, many are rare.
    fn skewed(&mut self, n: u64) -> u64 {
        let a = self.below(n) + 1;
        self.below(a)
    }
}

/// CPU time of this thread.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// Real text: slices of the files below a folder.
fn corpus() -> String {
    let root = std::env::args()
        .nth(5)
        .unwrap_or_else(|| "/usr/share/doc".into());
    let mut all = String::new();
    let mut folders = vec![PathBuf::from(root)];
    while let Some(folder) = folders.pop() {
        let Ok(files) = std::fs::read_dir(&folder) else {
            continue;
        };
        for path in files.filter_map(|file| Some(file.ok()?.path())) {
            if path.is_dir() {
                folders.push(path);
            } else if all.len() < 30 << 20
                && let Ok(text) = std::fs::read_to_string(&path)
            {
                all.push_str(&text);
            }
        }
    }
    assert!(
        all.len() > 1 << 20,
        "too little text to cut from: name a folder with more as the fifth argument"
    );
    all
}

fn slice<'t>(text: &'t str, dice: &mut Dice, len: usize) -> &'t str {
    let mut from = dice.below((text.len() - len) as u64) as usize;
    while !text.is_char_boundary(from) {
        from += 1
    }
    let mut to = from + len;
    while !text.is_char_boundary(to) {
        to -= 1
    }
    &text[from..to]
}

fn make(n: u64, rows: u64, dice: &mut Dice, text: Option<(&str, &[String])>) -> Entry {
    let rush = std::env::args().nth(4).is_some_and(|what| what == "rush");
    let spread = NOON - 29 * DAY_MS + (29 * DAY_MS) * n / rows;
    let at = if rush { NOON + n / 40 } else { spread };
    let mut one = record(
        at,
        &format!("org{}", dice.skewed(200)),
        &format!("user{}", dice.skewed(20_000)),
    );
    let target = [
        "openai/gpt-5",
        "openai/gpt-5-mini",
        "anthropic/claude-haiku-4-5",
        "house/small",
        "mistral/small",
    ][dice.skewed(5) as usize];
    one.target = Some(target.into());
    one.attempts[0].target = target.into();
    one.route = Some(["chat", "faq", "invoice", "search"][dice.skewed(4) as usize].into());
    one.served_model = Some(format!("{}-2026", &target[target.find('/').unwrap() + 1..]));
    one.session = Some(format!("s{}", dice.below(1 << 40)));
    one.trace_id = u128::from(dice.next()) << 64 | u128::from(dice.next());
    one.ttft_ms = Some(100.0 + dice.below(3_000_000) as f64 / 1e3);
    one.total_ms = one.ttft_ms.unwrap() + dice.below(9_000_000) as f64 / 1e3;
    one.usage.input = dice.below(4_000);
    one.usage.output = dice.below(1_000);
    one.cost_nano = Some((one.usage.input * 250 + one.usage.output * 2_000) as i64);
    one.response_id = Some(format!("chatcmpl-{:024x}", dice.next()));
    if dice.below(50) == 0 {
        one.outcome = Outcome::Error;
        one.status = 502;
        one.error_code = Some("upstream_failed".into());
    }
    let prompt = text.map(|(corpus, systems)| {
        // Log-normal, about: 60 B to 50 kB, 2.4 kB on average.
        let len = 60 * (1usize << dice.below(8)) + dice.below(1_500) as usize;
        let (system, answer) = (dice.skewed(40) as usize, 300 + dice.below(1_500) as usize);
        support::prompt(
            &systems[system],
            slice(corpus, dice, len),
            slice(corpus, dice, answer),
        )
    });
    Entry {
        record: Box::new(one),
        prompt,
    }
}

fn fill(folder: &Path, rows: u64, with_text: bool) {
    let mut store = Embedded::new(folder.to_owned(), Arc::new(Codec::new(None)), "node".into());
    let mut dice = Dice(7);
    let corpus = if with_text { corpus() } else { String::new() };
    let systems: Vec<String> = if with_text {
        (0..40)
            .map(|_| slice(&corpus, &mut dice, 1_300).to_owned())
            .collect()
    } else {
        Vec::new()
    };
    let text = with_text.then_some((corpus.as_str(), systems.as_slice()));
    let (mut spent, mut wall, mut raw) = (Duration::ZERO, Duration::ZERO, 0usize);
    // As many as the writer takes at once when it has to hurry.
    let batch_rows = 4096;
    let mut n = 0;
    while n < rows {
        let batch: Vec<Entry> = (n..rows.min(n + batch_rows))
            .map(|n| make(n, rows, &mut dice, text))
            .collect();
        raw += batch
            .iter()
            .filter_map(|entry| entry.prompt.as_ref()?.text.as_ref())
            .map(|text| text.system.len() + text.messages.len() + text.output.len() + 600)
            .sum::<usize>();
        n += batch.len() as u64;
        let (begun, from) = (cpu(), Instant::now());
        store.write(&batch).unwrap();
        spent += cpu() - begun;
        wall += from.elapsed();
    }
    store.close();
    let disk: u64 = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    println!(
        "{rows} rows, {:.0} bytes of text and facts a row",
        if with_text {
            raw as f64 / rows as f64
        } else {
            600.0
        }
    );
    println!(
        "CPU {:.1} us a row; {:.0} rows/s; {:.0} bytes a row on disk",
        spent.as_micros() as f64 / rows as f64,
        rows as f64 / wall.as_secs_f64(),
        disk as f64 / rows as f64
    );
    println!(
        "(reading the text of a request for its record is not in it: {:.1} us)",
        reading(&mut dice, &corpus)
    );
}

/// What it costs to read a request of 3 kB for its record.
fn reading(dice: &mut Dice, corpus: &str) -> f64 {
    if corpus.is_empty() {
        return 0.0;
    }
    let body = serde_json::json!({ "model": "m", "messages": [{"role":"system","content": slice(corpus, dice, 1_300)}, {"role":"user","content": slice(corpus, dice, 2_000)}] }).to_string();
    let texts = aplomb_observe::record::Texts {
        request: body.into_bytes().into(),
        ..Default::default()
    };
    let begun = cpu();
    for _ in 0..1_000 {
        std::hint::black_box(Prompt::read(&texts, aplomb_observe::prompt::Kept::Whole));
    }
    (cpu() - begun).as_micros() as f64 / 1_000.0
}

fn timed<T>(name: &str, mut work: impl FnMut() -> T) -> T {
    let mut best = Duration::MAX;
    let mut first = None;
    let mut out = None;
    for _ in 0..3 {
        let begun = Instant::now();
        out = Some(work());
        first.get_or_insert(begun.elapsed());
        best = best.min(begun.elapsed());
    }
    println!(
        "{name}: {:.1} ms best of 3, {:.1} ms first",
        best.as_secs_f64() * 1e3,
        first.unwrap().as_secs_f64() * 1e3
    );
    out.unwrap()
}

fn ask(folder: &Path, with_text: bool) {
    let codec = Arc::new(Codec::new(None));
    let reader = Reader::new(folder.to_owned(), codec.clone());
    let sql = |query: &str| {
        let limits = Limits {
            time: Duration::from_secs(120),
            ..Limits::default()
        };
        reader
            .sql(&Sql {
                query: query.into(),
                days: NOON / DAY_MS - 30..=NOON / DAY_MS,
                tenant: None,
                limits,
            })
            .unwrap()
    };
    let rollups = "SELECT t / 86400 AS day, target, sum(requests), sum(failures), sum(input_tokens), sum(output_tokens), sum(cost_nano), hist_quantile(hist_merge(ttft), 0.95) FROM hours GROUP BY 1, 2";
    timed("rollups: 30 days by day and target with p95", || {
        sql(rollups)
    });
    timed("rollups: 30 days by day", || {
        sql("SELECT t / 86400, sum(requests), sum(failures), sum(cost_nano) FROM hours GROUP BY 1")
    });
    timed("rollups: last day by minute", || {
        sql(&format!(
            "SELECT t, sum(requests), sum(failures) FROM minutes WHERE t >= {} GROUP BY 1",
            NOON / 1000 - 86_400
        ))
    });
    timed("rollups: top 20 users by cost, 7 days", || {
        sql(&format!(
            "SELECT tenant, user, sum(cost_nano) AS cost FROM users WHERE t >= {} GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 20",
            NOON / 1000 - 7 * 86_400
        ))
    });
    timed("raw: 30 days, requests, tokens, cost by target", || {
        sql(
            "SELECT target, count(*), sum(input_tokens), sum(output_tokens), sum(cost_nano) FROM requests GROUP BY 1",
        )
    });
    timed("raw: 30 days by hour and model", || {
        sql(
            "SELECT at / 3600000000, target, count(*), sum(input_tokens), sum(cost_nano), avg(total_us) FROM requests GROUP BY 1, 2",
        )
    });
    timed("raw: errors by provider and code, 30 days", || {
        sql(
            "SELECT provider, error_code, count(*) FROM requests WHERE outcome = 'error' GROUP BY 1, 2",
        )
    });
    timed("raw: p95 of TTFT by target, 7 days", || {
        sql(&format!(
            "SELECT target, quantile(ttft_us, 0.95) FROM requests WHERE at >= {} GROUP BY 1",
            (NOON - 7 * DAY_MS) * 1000
        ))
    });
    let ids = sql("SELECT id FROM requests LIMIT 1 OFFSET 12345").rows;
    let id = aplomb_core::id::RequestId::parse(ids[0][0].as_str().unwrap()).unwrap();
    timed("one by its id, with text", || {
        reader.one(id, None).unwrap().unwrap()
    });
    timed("latest 50 of a user", || {
        reader
            .list(&Filter {
                user: Some("user7".into()),
                ..Filter::default()
            })
            .unwrap()
            .len()
    });
    timed("latest 50 of all", || {
        reader.list(&Filter::default()).unwrap().len()
    });
    if with_text {
        let since = NOON - DAY_MS;
        let in_day = sql(&format!(
            "SELECT count(*) FROM requests WHERE at >= {}",
            since * 1000
        ))
        .rows[0][0]
            .clone();
        timed(
            &format!("text search, nothing found, in {in_day} records"),
            || {
                reader
                    .list(&Filter {
                        text: Some("zzqqxx".into()),
                        since_ms: Some(since),
                        ..Filter::default()
                    })
                    .unwrap()
                    .len()
            },
        );
    }
    let mut store = Embedded::new(folder.to_owned(), codec, String::new());
    let begun = Instant::now();
    let gone = store
        .erase(&Subject {
            tenant: None,
            user: "user11".into(),
        })
        .unwrap();
    println!(
        "erase one user ({gone} records in 30 days): {:.0} ms",
        begun.elapsed().as_secs_f64() * 1e3
    );
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, folder, rows, kind, ..] = &args[..] else {
        panic!("FOLDER ROWS facts|texts [fill|ask]")
    };
    std::fs::create_dir_all(folder).unwrap();
    let what = args.get(4).map_or("both", String::as_str);
    if what != "ask" {
        fill(Path::new(folder), rows.parse().unwrap(), kind == "texts");
    }
    if what != "fill" && what != "rush" {
        ask(Path::new(folder), kind == "texts");
    }
}
