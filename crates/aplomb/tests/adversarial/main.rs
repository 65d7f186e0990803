//! Every way in which a provider's answer can be broken or odd, for every pair of dialects.
//!
//! Each case runs against a route with one target (what the client is told) and a route with a second, good target
//! (whether the failure is mended). `APLOMB_TABLE=FILE` writes the outcomes as a Markdown table.
#![cfg(test)]

mod cases;
mod faults;
mod odd;

use aplomb_testkit::check::{self, End, Said};
use aplomb_testkit::client::{Answer, Request};
use aplomb_testkit::gateway::Gateway;
use aplomb_testkit::upstream::{Seen, Step, Upstream};
use aplomb_testkit::{Dialect, wire};
use cases::{Case, Expect, Form, GOOD, PIECES};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");

fn find<'a>(cases: &'a [Case], model: &str) -> Option<&'a Case> {
    cases.iter().find(|case| case.name == model)
}

fn upstream(cases: Arc<Vec<Case>>, elsewhere: String) -> Upstream {
    Upstream::start(move |seen: &Seen| match find(&cases, &seen.model()) {
        Some(case) => (case.script)(seen)
            .into_iter()
            .map(|step| match step {
                Step::Send(bytes) => {
                    Step::Send(replace(&bytes, b"ELSEWHERE", elsewhere.as_bytes()))
                }
                step => step,
            })
            .collect(),
        None => wire::good(seen, GOOD),
    })
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let head = bytes.get(..bytes.len().min(1024)).unwrap_or_default();
    match head.windows(from.len()).position(|window| window == from) {
        Some(at) => [&bytes[..at], to, &bytes[at + from.len()..]].concat(),
        None => bytes.to_vec(),
    }
}

/// Provider names: by dialect.
fn provider(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAi => "up",
        Dialect::Anthropic => "claude",
    }
}

fn config(cases: &[Case], url: &str) -> String {
    let mut text = format!(
        "providers:\n  up: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY }}\n  \
         claude: {{ kind: anthropic, base_url: \"{url}\", api_key: env:UP_KEY }}\nroutes:\n"
    );
    for case in cases {
        let timeouts = if case.stalls {
            "{ first_token: 300ms, idle: 300ms, total: 1s }"
        } else {
            "{ first_token: 20s, idle: 20s, total: 20s }"
        };
        for dialect in case.providers {
            let up = provider(*dialect);
            for (kind, targets, attempts) in [
                ("solo", format!("{up}/{}", case.name), 1),
                ("pair", format!("{up}/{}, {up}/good", case.name), 2),
            ] {
                writeln!(
                    text,
                    "  {kind}-{up}-{}: {{ targets: [{targets}], timeouts: {timeouts}, retry: {{ attempts: {attempts} }} }}",
                    case.name
                )
                .unwrap();
            }
        }
    }
    text
}

/// One way from a client to a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    client: Dialect,
    provider: Dialect,
    stream: bool,
}

impl Way {
    fn all() -> Vec<Way> {
        let mut ways = Vec::new();
        for stream in [true, false] {
            for client in Dialect::ALL {
                for provider in Dialect::ALL {
                    ways.push(Way {
                        client,
                        provider,
                        stream,
                    });
                }
            }
        }
        ways
    }

    fn fits(self, case: &Case) -> bool {
        let form = match case.form {
            Form::Both => true,
            Form::Stream => self.stream,
            Form::Whole => !self.stream,
        };
        form && case.providers.contains(&self.provider)
    }
}

/// The outcome of each case on one way, by the case's number.
type Outcomes = (Way, Vec<(usize, Result<String, String>)>);

/// What the client got.
#[derive(Debug)]
enum Got {
    Refused { status: u16, code: String },
    Answered(Said),
}

fn ask(gateway: &Gateway, way: Way, kind: &str, case: &Case) -> Result<Got, String> {
    let model = format!("{kind}-{}-{}", provider(way.provider), case.name);
    let mut body = aplomb_testkit::client::chat_body(way.client, &model, way.stream);
    if way.stream && way.client == Dialect::OpenAi {
        body["stream_options"] = serde_json::json!({ "include_usage": true });
    }
    let answer = Request::post(gateway.data, way.client.path(), &body).open();
    leaks(&answer)?;
    if answer.status != 200 {
        let status = answer.status;
        let whole = answer.whole().map_err(|error| error.to_string())?;
        if whole.text().contains("sk-provider-secret") || whole.text().contains("127.0.0.1") {
            return Err(format!(
                "a secret or an address reached the client: {}",
                whole.text()
            ));
        }
        let code = check::error(way.client, &whole.json())?;
        return Ok(Got::Refused { status, code });
    }
    read(answer, way).map(Got::Answered)
}

fn leaks(answer: &Answer) -> Result<(), String> {
    for name in [
        "set-cookie",
        "location",
        "x-upstream-secret",
        "x-ratelimit-remaining-requests",
    ] {
        if answer.header(name).is_some() {
            return Err(format!("the provider's header {name} reached the client"));
        }
    }
    answer
        .header("x-aplomb-request-id")
        .map(|_| ())
        .ok_or_else(|| "no request id".to_owned())
}

fn read(answer: Answer, way: Way) -> Result<Said, String> {
    let kind = answer.header("content-type").unwrap_or_default().to_owned();
    let whole = answer
        .whole()
        .map_err(|error| format!("the answer broke off: {error}"))?;
    if way.stream {
        if !kind.starts_with("text/event-stream") {
            return Err(format!("content type {kind}"));
        }
        check::stream(way.client, &aplomb_testkit::sse::events(&whole.body)?)
    } else {
        check::whole(way.client, &whole.json())
    }
}

/// The outcome in words, or what is wrong with it.
fn judge(case: &Case, way: Way, got: &Got) -> Result<String, String> {
    let expect = match &case.expect {
        Expect::Broken => match got {
            Got::Answered(_) => &Expect::Cut,
            Got::Refused { .. } => &Expect::Early(&[502]),
        },
        Expect::Cut if !way.stream => &Expect::Early(&[502]),
        expect => expect,
    };
    match (expect, got) {
        (Expect::Whole(text), Got::Answered(said)) => whole(way, said, text),
        (Expect::Tools(tools), Got::Answered(said)) => {
            let seen: Vec<(String, serde_json::Value)> = said
                .tools
                .iter()
                .map(|tool| {
                    (
                        tool.name.clone(),
                        serde_json::from_str(&tool.arguments).unwrap_or_default(),
                    )
                })
                .collect();
            if seen == *tools && said.end == End::Whole {
                Ok("whole".to_owned())
            } else {
                Err(format!("{said:?}"))
            }
        }
        (Expect::Early(statuses), Got::Refused { status, code }) if statuses.contains(status) => {
            Ok(format!("{status} `{code}`"))
        }
        (Expect::Coded(status, wanted), Got::Refused { status: seen, code }) if seen == status => {
            let right =
                code == wanted || way.client != way.provider || way.client == Dialect::Anthropic;
            if right {
                Ok(format!("{status} `{code}`"))
            } else {
                Err(format!("code {code}"))
            }
        }
        (Expect::Cut, Got::Answered(said)) => match &said.end {
            End::Error(code) if said.finish.is_none() && !said.text.is_empty() => {
                Ok(format!("error event `{code}`"))
            }
            _ => Err(format!("no cut: {said:?}")),
        },
        (_, got) => Err(format!("got {}", short(got))),
    }
}

fn short(got: &Got) -> String {
    format!("{got:?}").chars().take(600).collect()
}

fn whole(way: Way, said: &Said, text: &str) -> Result<String, String> {
    if said.end != End::Whole || said.text != text {
        return Err(format!(
            "got {}",
            format!("{said:?}").chars().take(600).collect::<String>()
        ));
    }
    if said.finish.as_deref() != Some(way.client.stop()) {
        return Err(format!("finish reason {:?}", said.finish));
    }
    Ok("whole".to_owned())
}

/// The second target's answer, where the first one failed before its first content.
fn mended(case: &Case, way: Way, got: &Got) -> Result<&'static str, String> {
    let early = matches!(case.expect, Expect::Early(_))
        || (!way.stream && matches!(case.expect, Expect::Cut));
    if !early {
        return Ok("");
    }
    match got {
        Got::Answered(said) if said.text == GOOD.concat() && said.end == End::Whole => {
            Ok("next target, else ")
        }
        got => Err(format!("not mended by the next target: {}", short(got))),
    }
}

fn run(gateway: &Gateway, way: Way, case: &Case) -> Result<String, String> {
    let solo = ask(gateway, way, "solo", case)?;
    let outcome = judge(case, way, &solo)?;
    let pair = ask(gateway, way, "pair", case)?;
    Ok(format!("{}{outcome}", mended(case, way, &pair)?))
}

#[test]
fn every_case_stands_in_the_docs() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/robustness.md");
    let page = std::fs::read_to_string(page).unwrap();
    for case in cases::all() {
        assert!(
            page.contains(&format!("| {} |", case.about)),
            "{}",
            case.name
        );
    }
}

#[test]
fn every_adversarial_answer_has_its_outcome() {
    let other = Upstream::always(vec![Step::CloseFin]);
    let cases = Arc::new(cases::all());
    let upstream = upstream(cases.clone(), other.url());
    let gateway = Gateway::start(BINARY, &config(&cases, &upstream.url()));
    let results: Vec<Outcomes> = std::thread::scope(|scope| {
        let (gateway, cases) = (&gateway, &cases);
        let work: Vec<_> = Way::all()
            .into_iter()
            .map(|way| {
                scope.spawn(move || {
                    let fitting = cases.iter().enumerate().filter(|(_, case)| way.fits(case));
                    (
                        way,
                        fitting
                            .map(|(number, case)| (number, run(gateway, way, case)))
                            .collect(),
                    )
                })
            })
            .collect();
        work.into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(other.seen().is_empty(), "a redirect was followed");
    let log = gateway.log().join("\n");
    assert!(
        !log.contains("sk-provider-secret"),
        "the log holds a provider key"
    );
    assert!(
        !log.contains(PIECES[1].trim()),
        "the log holds an answer's text"
    );
    report(&cases, &results);
}

fn report(cases: &[Case], results: &[Outcomes]) {
    let mut failures = String::new();
    let mut count = 0;
    let mut rows: BTreeMap<(usize, bool), BTreeMap<Way, String>> = BTreeMap::new();
    for (way, outcomes) in results {
        for (number, outcome) in outcomes {
            count += 1;
            let cell = match outcome {
                Ok(text) => text.clone(),
                Err(why) => {
                    writeln!(failures, "{} {way:?}: {why}", cases[*number].name).unwrap();
                    "FAILED".to_owned()
                }
            };
            rows.entry((*number, !way.stream))
                .or_default()
                .insert(*way, cell);
        }
    }
    if let Some(path) = aplomb_testkit::env("APLOMB_TABLE") {
        std::fs::write(path, table(cases, &rows)).unwrap();
    }
    assert!(
        failures.is_empty(),
        "{} of {count} failed:\n{failures}",
        failures.lines().count()
    );
}

fn table(cases: &[Case], rows: &BTreeMap<(usize, bool), BTreeMap<Way, String>>) -> String {
    let mut text = "| The provider's answer | asked for | OpenAI to OpenAI | OpenAI to Anthropic | Anthropic to OpenAI | Anthropic to Anthropic |\n|---|---|---|---|---|---|\n".to_owned();
    for ((number, whole), cells) in rows {
        let (form, stream) = if *whole {
            ("whole", false)
        } else {
            ("stream", true)
        };
        write!(text, "| {} | {form} |", cases[*number].about).unwrap();
        for client in Dialect::ALL {
            for provider in Dialect::ALL {
                let cell = cells
                    .get(&Way {
                        client,
                        provider,
                        stream,
                    })
                    .map_or("", String::as_str);
                write!(text, " {cell} |").unwrap();
            }
        }
        text.push('\n');
    }
    text
}
