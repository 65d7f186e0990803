//! How the configuration sets up the records, and the commands that ask them.

use crate::admin;
use crate::cli::{ExportArgs, LogsArgs, SqlArgs, UsersArgs};
use crate::load::Origin;
use crate::output::{Failure, error_line, line};
use aplomb_config::file::ConfigFile;
use aplomb_config::secret::ProcessEnvironment;
use aplomb_core::clock::{Clock, SystemClock};
use aplomb_observe::export::{Form, Options, export as observe_export};
use aplomb_observe::store::clickhouse;
use aplomb_observe::store::embedded::ask::{Filter, Reader};
use aplomb_observe::store::embedded::codec::Codec;
use aplomb_observe::store::embedded::{Bounds, TenantAge};
use aplomb_observe::writer::{Settings, folder};
use http::Method;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Pause between two looks of `aplomb logs --follow`.
const LOOK: Duration = Duration::from_millis(500);

/// How texts are stored.
///
/// # Errors
/// The key can't be read.
pub fn codec(file: &ConfigFile, base_dir: &Path) -> Result<Arc<Codec>, Failure> {
    let secret = file
        .records
        .encrypt
        .as_ref()
        .map(|secret| secret.resolve(&ProcessEnvironment, base_dir));
    let secret = secret
        .transpose()
        .map_err(|error| Failure::start(format!("records.encrypt: {error}")))?;
    Ok(Arc::new(Codec::new(
        secret.as_ref().map(|secret| secret.expose().as_bytes()),
    )))
}

fn days(span: Duration) -> u64 {
    (span.as_secs() / 86_400).max(1)
}

fn bytes(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

/// How long and how much is kept.
pub fn bounds(file: &ConfigFile) -> Bounds {
    let records = &file.records;
    let tenants = file.tenants.iter().filter_map(|(tenant, config)| {
        let own = |span: Option<aplomb_config::scalar::Span>| span.map(|span| days(span.0));
        let age = TenantAge {
            tenant: tenant.clone(),
            facts_days: own(config.keep.facts),
            text_days: own(config.keep.text),
        };
        (age.facts_days.is_some() || age.text_days.is_some()).then_some(age)
    });
    // Where day files are only the way to ClickHouse, they go when they are shipped.
    let local = |span: Duration| if file.store.embedded() { days(span) } else { 1 };
    Bounds {
        facts_days: local(records.keep.0),
        text_days: local(records.keep_text.0),
        facts_bytes: bytes(records.max.0),
        text_bytes: bytes(records.max_text.0),
        tenants: tenants.collect(),
    }
}

/// The ClickHouse that records are shipped to, where there is one.
///
/// # Errors
/// The password can't be read.
pub fn clickhouse(
    file: &ConfigFile,
    base_dir: &Path,
) -> Result<Option<clickhouse::Settings>, Failure> {
    let Some(config) = file.store.clickhouse() else {
        return Ok(None);
    };
    let password = config
        .password
        .as_ref()
        .map(|secret| secret.resolve(&ProcessEnvironment, base_dir));
    let password = password
        .transpose()
        .map_err(|error| Failure::start(format!("store.records: password: {error}")))?;
    Ok(Some(clickhouse::Settings {
        url: config.url.clone(),
        database: config.database.clone(),
        user: config.user.clone(),
        password: password.map(|password| password.expose().to_owned()),
        texts: config.texts,
        keep: clickhouse::Keep {
            facts_days: days(file.records.keep.0),
            text_days: days(file.records.keep_text.0),
        },
        first: !file.store.embedded(),
        insert: clickhouse::INSERT,
    }))
}

/// How the writer is set up.
///
/// # Errors
/// The key of the texts can't be read.
pub fn settings(file: &ConfigFile, base_dir: &Path) -> Result<Settings, Failure> {
    let host =
        || std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned());
    Ok(Settings {
        folder: folder(&file.server.data_dir),
        codec: codec(file, base_dir)?,
        node: file
            .records
            .node
            .clone()
            .or_else(|| host().ok())
            .unwrap_or_default(),
        bounds: bounds(file),
        queue_bytes: file.records.queue.0,
        clock: Arc::new(SystemClock),
    })
}

fn file(config: &crate::cli::ConfigArgs) -> Result<ConfigFile, Failure> {
    let (parsed, _) = Origin::of(config).read().map_err(Failure::wrong)?;
    Ok(parsed.file)
}

/// `aplomb sql`.
///
/// # Errors
/// The gateway does not run, or says what is wrong with the question.
pub fn sql(args: &SqlArgs) -> Result<(), Failure> {
    let mut question = json!({ "query": args.query });
    if let Value::Object(members) = &mut question {
        let texts = [
            ("since", &args.since),
            ("until", &args.until),
            ("tenant", &args.tenant),
            ("store", &args.store),
        ];
        members.extend(
            texts
                .iter()
                .filter_map(|(name, text)| Some(((*name).to_owned(), text.as_deref()?.into()))),
        );
        members.extend(args.rows.map(|rows| ("rows".to_owned(), rows.into())));
    }
    let answer = admin::ask(
        &file(&args.config)?,
        &Method::POST,
        "/admin/v1/sql",
        Some(&question),
    )?;
    if args.json {
        line(&answer.to_string());
        return Ok(());
    }
    print_table(&answer);
    if member(&answer, "truncated").as_bool() == Some(true) {
        error_line("further rows were left out; see --rows");
    }
    Ok(())
}

/// A member, or null.
fn member<'v>(value: &'v Value, name: &str) -> &'v Value {
    value.get(name).unwrap_or(&Value::Null)
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.replace(['\n', '\t'], " "),
        other => other.to_string(),
    }
}

/// Columns under each other; numbers to the right.
fn print_table(answer: &Value) {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let head: Vec<String> = list(member(answer, "columns")).iter().map(cell).collect();
    let rows: Vec<Vec<Value>> = list(member(answer, "rows")).iter().map(list).collect();
    let mut widths: Vec<usize> = head.iter().map(|name| name.chars().count()).collect();
    for row in &rows {
        for (width, value) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell(value).chars().count()).min(60);
        }
    }
    let shown = |cells: Vec<(String, bool)>| {
        let padded = cells
            .into_iter()
            .zip(&widths)
            .map(|((text, right), width)| {
                let text: String = text.chars().take(60).collect();
                if right {
                    format!("{text:>width$}")
                } else {
                    format!("{text:<width$}")
                }
            });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    line(&shown(
        head.iter().map(|name| (name.clone(), false)).collect(),
    ));
    line(&shown(
        widths
            .iter()
            .map(|width| ("-".repeat(*width), false))
            .collect(),
    ));
    for row in &rows {
        line(&shown(
            row.iter()
                .map(|value| (cell(value), value.is_number()))
                .collect(),
        ));
    }
}

/// `aplomb users`: who needs help.
///
/// # Errors
/// The gateway does not run.
pub fn users(args: &UsersArgs) -> Result<(), Failure> {
    let tenant = args
        .tenant
        .iter()
        .map(|tenant| format!("&tenant={}", admin::encoded(tenant)));
    let path = format!(
        "/admin/v1/users/help?days={}&limit={}{}",
        args.days,
        args.limit,
        tenant.collect::<String>()
    );
    let answer = admin::ask(&file(&args.config)?, &Method::GET, &path, None)?;
    let people = member(&answer, "data")
        .as_array()
        .cloned()
        .unwrap_or_default();
    for person in &people {
        if args.json {
            line(&person.to_string());
            continue;
        }
        line(&format!(
            "{}/{}: trouble {}",
            cell(member(person, "tenant")),
            cell(member(person, "user")),
            cell(member(person, "trouble"))
        ));
        for reason in member(person, "reasons").as_array().into_iter().flatten() {
            line(&format!("  {}", cell(reason)));
        }
    }
    if people.is_empty() && !args.json {
        line("nobody has trouble");
    }
    Ok(())
}

/// `aplomb export`: works on the files, whether a gateway runs or not.
///
/// # Errors
/// The arguments are wrong, or the records can't be read.
pub fn export(args: &ExportArgs) -> Result<(), Failure> {
    let file = file(&args.config)?;
    let codec = codec(&file, &Origin::of(&args.config).base_dir())?;
    let reader = Reader::new(folder(&file.server.data_dir), codec);
    let options = options(args)?;
    let counts = match &args.out {
        Some(path) => {
            let mut out = std::io::BufWriter::new(
                std::fs::File::create(path)
                    .map_err(|error| Failure::wrong(format!("{}: {error}", path.display())))?,
            );
            let counts = observe_export(&reader, &options, &mut out).map_err(Failure::wrong)?;
            std::io::Write::flush(&mut out).map_err(Failure::wrong)?;
            counts
        }
        None => observe_export(&reader, &options, &mut std::io::stdout().lock())
            .map_err(Failure::wrong)?,
    };
    error_line(&format!(
        "{} lines; left out: {} without text, {} whose text no privacy policy masked (--unmasked takes them), {} that did not fit",
        counts.written, counts.without_text, counts.unmasked, counts.unfit
    ));
    Ok(())
}

fn options(args: &ExportArgs) -> Result<Options, Failure> {
    let score = |text: &String| {
        let read = text
            .split_once('=')
            .and_then(|(rubric, least)| Some((rubric.to_owned(), least.parse().ok()?)));
        read.ok_or_else(|| {
            Failure::wrong(format!(
                "--min-score {text}: expected RUBRIC=NUMBER, such as relevance=0.7"
            ))
        })
    };
    let now_ms = SystemClock.now_ms();
    let since = args
        .since
        .map(|span| now_ms.saturating_sub(u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX)));
    Ok(Options {
        filter: Filter {
            tenant: args.tenant.clone(),
            route: args.route.clone(),
            thumb: args.thumb.clone(),
            since_ms: since,
            ..Filter::default()
        },
        form: if args.preference {
            Form::Preference
        } else {
            Form::Chat
        },
        scores: args.min_score.iter().map(score).collect::<Result<_, _>>()?,
        unmasked: args.unmasked,
        limit: args.limit,
    })
}

/// `aplomb logs`.
///
/// # Errors
/// The gateway does not run, or says what is wrong with the filter.
pub fn logs(args: &LogsArgs) -> Result<(), Failure> {
    let file = file(&args.config)?;
    if let Some(id) = &args.id {
        let one = admin::ask(
            &file,
            &Method::GET,
            &format!("/admin/v1/requests/{}{}", admin::encoded(id), store(args)),
            None,
        )?;
        line(&if args.json {
            one.to_string()
        } else {
            format!("{one:#}")
        });
        return Ok(());
    }
    let query = query(args);
    let mut last = show(&file, args, &query, None)?;
    if !args.follow {
        return Ok(());
    }
    loop {
        std::thread::sleep(LOOK);
        last = show(&file, args, &query, last)?;
    }
}

/// The query that names the store.
fn store(args: &LogsArgs) -> String {
    let name = args.store.iter();
    name.map(|name| format!("?store={}", admin::encoded(name)))
        .collect()
}

fn query(args: &LogsArgs) -> String {
    let now_ms = SystemClock.now_ms();
    let since = args.since.map(|span| {
        now_ms
            .saturating_sub(u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX))
            .to_string()
    });
    let texts = [
        ("store", args.store.clone()),
        ("tenant", args.tenant.clone()),
        ("user", args.user.clone()),
        ("key", args.key.clone()),
        ("session", args.session.clone()),
        ("route", args.route.clone()),
        ("target", args.target.clone()),
        ("outcome", args.outcome.clone()),
        ("status", args.status.map(|status| status.to_string())),
        ("error_code", args.error_code.clone()),
        (
            "slower_than_ms",
            args.slower_than.map(|span| span.0.as_millis().to_string()),
        ),
        ("thumb", args.thumb.clone()),
        ("text", args.text.clone()),
        ("since_ms", since),
        ("limit", Some(args.limit.to_string())),
    ];
    let pairs = texts
        .iter()
        .filter_map(|(name, text)| Some(format!("{name}={}", admin::encoded(text.as_deref()?))));
    pairs.collect::<Vec<_>>().join("&")
}

/// Shows what fits and is newer than `last`, oldest first; gives the newest id.
fn show(
    file: &ConfigFile,
    args: &LogsArgs,
    query: &str,
    last: Option<String>,
) -> Result<Option<String>, Failure> {
    let answer = admin::ask(
        file,
        &Method::GET,
        &format!("/admin/v1/requests?{query}"),
        None,
    )?;
    let rows = member(&answer, "data")
        .as_array()
        .cloned()
        .unwrap_or_default();
    let newest = rows
        .first()
        .and_then(|row| member(row, "id").as_str())
        .map(str::to_owned);
    for row in rows.iter().rev() {
        if last
            .as_deref()
            .is_none_or(|last| member(row, "id").as_str().is_some_and(|id| id > last))
        {
            line(&if args.json {
                row.to_string()
            } else {
                one_line(row)
            });
        }
    }
    Ok(newest.or(last))
}

fn one_line(row: &Value) -> String {
    let text = |name: &str| cell(member(row, name));
    let ms = |name: &str| {
        member(row, name)
            .as_f64()
            .map_or_else(|| "-".to_owned(), |us| format!("{:.0} ms", us / 1000.0))
    };
    let who = [text("tenant"), text("user")].join("/");
    let head = member(row, "prompt_head").as_str().unwrap_or_default();
    let error = member(row, "error_code").as_str().unwrap_or_default();
    format!(
        "{} {} {:<11} {} {:<24} {:<28} {:>9} {:>9} {:>6}>{:<6} {:>12} {error}{head}",
        text("at"),
        text("id"),
        text("outcome"),
        text("status"),
        who,
        text("target"),
        ms("ttft_us"),
        ms("total_us"),
        text("input_tokens"),
        text("output_tokens"),
        member(row, "cost_usd")
            .as_str()
            .map_or_else(|| "cost unknown".to_owned(), |usd| format!("${usd}")),
    )
    .trim_end()
    .to_owned()
}
