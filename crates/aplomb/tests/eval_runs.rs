//! `aplomb eval run` and `grow` from outside: suites and traffic against models of known quality.
#![cfg(test)]

mod support_evals;

use aplomb_testkit::Dialect;
use aplomb_testkit::client::Request;
use aplomb_testkit::gateway::{Gateway, Setup};
use aplomb_testkit::upstream::{Script, Seen, Upstream};
use serde_json::{Value, json};
use std::path::Path;
use support_evals::{BINARY, answered, ask, config, one, said, verdict};

/// What a command says: success, standard output, standard error.
fn run(setup: &Setup, arguments: &[&str]) -> (bool, String, String) {
    let output = setup.command(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.success(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

fn write(setup: &Setup, name: &str, text: &str) {
    std::fs::write(setup.dir().join(name), text).unwrap();
}

/// A number that follows from a text, 0 to 99.
fn dice(text: &str) -> u32 {
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    (hash ^ (hash >> 15)).wrapping_mul(0x2c1b_3c6d) / (u32::MAX / 100 + 1)
}

/// `strong` and `m` answer well nine times in ten, `weak` five times; the judge sees it.
fn models(seen: &Seen) -> Script {
    let text = said(seen);
    let model = seen.model();
    if model == "judge" {
        let score = if text.contains("A good answer.") {
            0.9
        } else {
            0.2
        };
        return answered(&verdict(&[("relevance", score), ("tone", 0.5)]), 500, 40);
    }
    let bound = if model == "weak" { 50 } else { 90 };
    let good = dice(&format!("{model} {text}")) < bound;
    answered(
        if good {
            "A good answer."
        } else {
            "A bad answer."
        },
        100,
        20,
    )
}

fn suite(targets: &str, cases: usize) -> String {
    let mut text = format!(
        "targets: {targets}\nrules: [empty, refusal]\njudge: up/judge\nrubrics: [relevance]\nbudget: 5 USD\nrequests_a_month: 100000\n\
         max_output_tokens: 100\ncases:\n"
    );
    for n in 0..cases {
        text.push_str(&format!(
            "  - prompt: Question number {n}, please?\n    lacks: [nonsense]\n"
        ));
    }
    text
}

/// The rubric of a target in the JSON of a run.
fn cell(run: &Value, target: usize, rubric: &str) -> Value {
    let scores = run["targets"][target]["scores"].as_array().unwrap();
    let found = scores.iter().find(|cell| cell["rubric"] == rubric);
    found
        .unwrap_or_else(|| panic!("{rubric}: {scores:?}"))
        .clone()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value}"))
}

#[test]
fn a_worse_model_is_found_an_equal_one_is_not_and_money_is_told() {
    let up = Upstream::start(models);
    let setup = Setup::new(BINARY, "");
    let all =
        config(&up, "1 USD per 1d").replace("privacy:\n", "privacy:\n  default: { \"*\": flag }\n");
    write(&setup, "aplomb.yaml", &all);
    write(
        &setup,
        "suite.yaml",
        &suite("[up/strong, up/weak, up/m]", 80),
    );
    let (good, out, error) = run(&setup, &["eval", "run", "suite.yaml", "--json"]);
    assert!(good, "{error}");
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&found["cases"], &found["skipped"]),
        (&json!(80), &json!(0))
    );
    let weak = cell(&found, 1, "relevance");
    assert_eq!(weak["verdict"], "worse");
    assert!(number(&weak["difference"]["high"]) < 0.0, "{weak}");
    let twin = cell(&found, 2, "relevance");
    assert_eq!(twin["verdict"], "no difference found");
    assert!(
        number(&twin["difference"]["low"]) <= 0.0 && number(&twin["difference"]["high"]) >= 0.0
    );
    assert_eq!(number(&cell(&found, 0, "lacks")["score"]["mean"]), 1.0);
    // 100 tokens at 2 and 20 at 10 dollars a million: 0.4 millidollars; a tenth of it for the weak one.
    let usd = |target: usize| number(&found["targets"][target]["usd_per_1000"]);
    assert!((usd(0) - 0.4).abs() < 1e-9 && (usd(1) - 0.04).abs() < 1e-9);
    let saves = number(&found["targets"][1]["saves_usd_a_month"]["mean"]);
    assert!((saves - 36.0).abs() < 1e-6, "{saves}");
    let (good, out, _) = run(&setup, &["eval", "run", "suite.yaml"]);
    assert!(
        good && out.contains("relevance (higher is better)") && out.contains("worse"),
        "{out}"
    );
    assert!(
        out.contains("saves USD a month") && out.contains("36.00 [36.00, 36.00]"),
        "{out}"
    );
    for (bound, broken) in [
        (["--min", "relevance=0.3"], None),
        (
            ["--min", "relevance=0.7"],
            Some("up/weak: relevance is 0.5"),
        ),
        (["--max", "refusal=0.05"], None),
        (["--min", "tone=0.5"], Some("no score of tone")),
        (
            ["--min", "relevance"],
            Some("expected a bound such as relevance=0.7"),
        ),
    ] {
        let (good, _, error) = run(&setup, &["eval", "run", "suite.yaml", bound[0], bound[1]]);
        assert_eq!(good, broken.is_none(), "{bound:?}: {error}");
        assert!(
            error.contains(broken.unwrap_or_default()),
            "{bound:?}: {error}"
        );
    }
    let (_, out, error) = run(
        &setup,
        &["eval", "run", "suite.yaml", "--budget", "0.05", "--json"],
    );
    let found: Value = serde_json::from_str(&out).unwrap();
    let paid: f64 = (0..3)
        .map(|n| number(&found["targets"][n]["paid_nano"]))
        .sum();
    assert!(
        error.contains("the budget is used up") && paid > 0.0 && paid <= 5e7,
        "{paid} {error}"
    );
}

#[test]
fn suites_run_on_the_practice_provider_without_a_key() {
    let setup = Setup::new(BINARY, "");
    write(
        &setup,
        "aplomb.yaml",
        "providers:\n  practice: { kind: practice, practice: { first_token: 0ms, tokens_per_second: 0 } }\n  other: { kind: practice, practice: { first_token: 0ms, tokens_per_second: 0 } }\n",
    );
    write(
        &setup,
        "suite.yaml",
        "targets: [practice/practice, other/practice]\nrules: [empty, refusal, repetition]\ncases_file: cases.jsonl\n",
    );
    let cases: String = (0..20)
        .map(|n| format!("{{\"id\":\"c{n}\",\"prompt\":\"What is {n} plus one?\"}}\n"))
        .collect();
    write(&setup, "cases.jsonl", &cases);
    let (good, out, error) = run(
        &setup,
        &[
            "eval",
            "run",
            "suite.yaml",
            "--json",
            "--min",
            "answered=1",
            "--max",
            "empty=0",
        ],
    );
    assert!(good, "{error}");
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found["cases"], 20);
    for rubric in ["answered", "empty", "refusal", "repetition"] {
        assert_eq!(
            cell(&found, 1, rubric)["verdict"],
            "no difference found",
            "{rubric}"
        );
    }
    for (text, expected) in [
        (
            "targets: [practice/practice]\ncases:\n  - { prompt: x, promt: y }\n",
            "suite.yaml:3:",
        ),
        (
            "targets: [nowhere]\ncases:\n  - { prompt: x }\n",
            "the model `nowhere` does not exist",
        ),
        ("cases:\n  - { prompt: x }\n", "nobody to ask"),
        ("targets: [practice/practice]\n", "nothing to ask"),
        (
            "targets: [practice/practice]\nrubrics: [relevance]\ncases: [{ prompt: x }]\n",
            "rubrics need a judge",
        ),
        (
            "targets: [practice/practice]\nrules: [emty]\ncases: [{ prompt: x }]\n",
            "`emty` is no rule",
        ),
    ] {
        write(&setup, "suite.yaml", text);
        let (good, _, error) = run(&setup, &["eval", "run", "suite.yaml"]);
        assert!(!good && error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn traffic_tells_what_a_smaller_model_loses_and_saves() {
    let up = Upstream::start(models);
    let gateway = Gateway::start(
        BINARY,
        &config(&up, "1 USD per 1d").replace("sample: 100%", "sample: 0%"),
    );
    let mut last = String::new();
    for n in 0..40 {
        let dialect = Dialect::ALL[n % 2];
        last = ask(
            &gateway,
            dialect,
            "chat",
            &format!("Write to u{n}@example.org about {n}, please"),
        );
    }
    one(&gateway, &last);
    let arguments = [
        "eval",
        "run",
        "--from",
        "traffic",
        "--route",
        "chat",
        "--judge",
        "up/judge",
        "--rubric",
        "relevance",
        "--json",
    ];
    let before = up.seen().len();
    let (good, out, error) = run(
        gateway.setup(),
        &[&arguments[..], &["--against", "up/weak"]].concat(),
    );
    assert!(good, "{error}");
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found["cases"], 40);
    assert_eq!(
        (
            &found["targets"][0]["target"],
            &found["targets"][1]["target"]
        ),
        (&json!("recorded"), &json!("up/weak"))
    );
    assert_eq!(cell(&found, 1, "relevance")["verdict"], "worse");
    // 40 requests on the first day: 1200 a month, each 0.36 millidollars cheaper.
    assert_eq!(number(&found["requests_a_month"]), 1200.0);
    let saves = number(&found["targets"][1]["saves_usd_a_month"]["mean"]);
    assert!((saves - 0.432).abs() < 1e-6, "{saves}");
    let calls = up.seen().split_off(before);
    assert_eq!(
        calls.len(),
        40 + 80,
        "each case once, and a verdict for each answer"
    );
    for seen in &calls {
        let text = said(seen);
        assert!(
            !text.contains("@example.org") && text.contains("<EMAIL_"),
            "{text}"
        );
    }
    // The privacy of the route holds for every target.
    let (good, out, _) = run(
        gateway.setup(),
        &[&arguments[..], &["--against", "far/judge"]].concat(),
    );
    assert!(good);
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found["targets"][1]["errors"], 40);
    let why = found["targets"][1]["error"].as_str().unwrap();
    assert!(
        why.contains("may not see this text: far processes in us, not in eu"),
        "{why}"
    );
    assert_eq!(gateway.records().len(), 40, "a run leaves no records");
}

#[test]
fn a_suite_grows_from_bad_feedback() {
    let up = Upstream::start(models);
    let gateway = Gateway::start(
        BINARY,
        &config(&up, "1 USD per 1d").replace("sample: 100%", "sample: 0%"),
    );
    let mut ids = Vec::new();
    for n in 0..4 {
        let id = ask(
            &gateway,
            Dialect::ALL[n % 2],
            "chat",
            &format!("Who is u{n}@example.org?"),
        );
        one(&gateway, &id);
        ids.push(id);
    }
    let give = |at: usize, mut body: Value| {
        body["request_id"] = ids[at].as_str().into();
        let answer = Request::post(gateway.data, "/aplomb/v1/feedback", &body).whole();
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    give(
        0,
        json!({ "thumb": "down", "comment": "not jane.roe@example.org" }),
    );
    give(
        1,
        json!({ "thumb": "up", "correction": "It is \"Ada\", of course:\nAda." }),
    );
    give(2, json!({ "thumb": "down" }));
    give(2, json!({ "thumb": "up" }));
    let (good, out, error) = run(
        gateway.setup(),
        &[
            "eval",
            "grow",
            "--from",
            "bad-feedback",
            "--out",
            "bad.yaml",
        ],
    );
    assert!(
        good && out.contains("2 cases written to bad.yaml"),
        "{out} {error}"
    );
    let path = gateway.setup().dir().join("bad.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("<EMAIL_") && !text.contains("@example.org"),
        "{text}"
    );
    let suite = aplomb_config::suite::Suite::load(&path).unwrap();
    let corrected = suite
        .cases
        .iter()
        .find(|case| case.reference.is_some())
        .unwrap();
    assert_eq!(
        corrected.reference.as_deref(),
        Some("It is \"Ada\", of course:\nAda.")
    );
    assert_eq!(
        (suite.targets, suite.judge.as_deref()),
        (vec!["chat".to_owned()], Some("up/judge"))
    );
    assert!(suite.rubrics.contains(&"correctness".to_owned()));
    let (good, out, error) = run(
        gateway.setup(),
        &["eval", "run", "bad.yaml", "--against", "up/weak"],
    );
    assert!(good && out.contains("2 cases"), "{out} {error}");
    let (good, _, error) = run(gateway.setup(), &["eval", "grow", "--out", "bad.yaml"]);
    assert!(!good && error.contains("is not written over"), "{error}");
    for expected in ["2 cases", "0 cases"] {
        let (good, out, _) = run(gateway.setup(), &["eval", "grow", "--out", "bad.jsonl"]);
        assert!(good && out.contains(expected), "{out}");
    }
}

/// Suites in the docs are suites.
#[test]
fn suites_in_the_docs_are_read() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/evals.md");
    let text = std::fs::read_to_string(page).unwrap();
    let mut count = 0;
    for block in text.split("```yaml suite\n").skip(1) {
        let block = block.split("```").next().unwrap();
        let suite = aplomb_config::suite::Suite::parse(block, "docs/evals.md");
        assert!(suite.is_ok(), "{block}\n{}", suite.unwrap_err());
        count += 1;
    }
    assert!(count >= 1);
}
