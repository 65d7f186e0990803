//! Evaluations from outside: sampled, judged, stored, compared; a judge that fails never hurts a request.
#![cfg(test)]

mod support_evals;

use aplomb_testkit::client::Request;
use aplomb_testkit::gateway::{Gateway, Setup};
use aplomb_testkit::upstream::{Seen, Step, Upstream};
use aplomb_testkit::{Dialect, wait_for, wire};
use serde_json::{Value, json};
use support_evals::{BINARY, answered, ask, config, one, said, verdict};

/// Scores of a record, when so many are there.
fn scores(gateway: &Gateway, id: &str, count: usize) -> Vec<Value> {
    wait_for("the scores", || {
        let scores = one(gateway, id)["scores"].as_array().cloned()?;
        (scores.len() >= count).then_some(scores)
    })
}

fn metric(gateway: &Gateway, name: &str) -> f64 {
    let name = format!("aplomb_evals_{name}_total");
    gateway.metric(&name).unwrap()
}

/// Whether a call is one to the judge.
fn judges(seen: &Seen) -> bool {
    seen.model() == "judge"
}

#[test]
fn samples_are_judged_by_rules_and_by_a_model_and_stored() {
    let up = Upstream::start(|seen| {
        if judges(seen) {
            let text = said(seen);
            assert!(
                text.contains("END answer") && text.contains("<EMAIL_"),
                "{text}"
            );
            assert!(!text.contains("jane.roe"), "{text}");
            return answered(&verdict(&[("relevance", 0.75), ("tone", 0.5)]), 1000, 100);
        }
        answered("Write to them, and wait for an answer.", 20, 10)
    });
    let gateway = Gateway::start(BINARY, &config(&up, "1 USD per 1d"));
    let id = ask(
        &gateway,
        Dialect::OpenAi,
        "chat",
        "Mail jane.roe@example.org, or what?",
    );
    let found = scores(&gateway, &id, 4);
    let by = |rubric: &str| {
        let row = found.iter().find(|row| row["rubric"] == rubric);
        row.unwrap_or_else(|| panic!("{rubric}: {found:?}")).clone()
    };
    assert_eq!(
        (&by("refusal")["score"], &by("refusal")["judge"]),
        (&json!(0.0), &json!("rule"))
    );
    assert_eq!(by("empty")["score"], 0.0);
    let relevance = by("relevance");
    assert_eq!(
        (
            &relevance["score"],
            &relevance["judge"],
            &relevance["reason"]
        ),
        (&json!(0.75), &json!("up/judge"), &json!("because"))
    );
    // 1000 tokens at 2 dollars a million and 100 at 10: 3 millidollars, on two scores.
    assert_eq!(relevance["cost_usd"], "0.0015");
    assert_eq!(by("tone")["cost_usd"], "0.0015");
    assert_eq!(metric(&gateway, "cost_nano_usd"), 3_000_000.0);
    assert_eq!(metric(&gateway, "scores"), 4.0);
    // The judge's own call is no record, and is not judged again.
    assert_eq!(gateway.records().len(), 1);
    assert_eq!(up.seen_of("judge").len(), 1);
    assert_eq!(up.seen_of("judge")[0].json()["max_tokens"], 200);
    // A route that is not named is left alone.
    ask(&gateway, Dialect::OpenAi, "other", "Hello there");
    assert_eq!(metric(&gateway, "sampled"), 1.0);
}

#[test]
fn the_budget_is_never_exceeded_and_holds_over_a_restart() {
    let up = Upstream::start(|seen| {
        if judges(seen) {
            return answered(&verdict(&[("relevance", 1.0), ("tone", 1.0)]), 1000, 100);
        }
        answered("Fine.", 20, 10)
    });
    // The most a call can cost is near 6 millidollars: two calls of 3 fit into 10, a third does not.
    let mut setup = Setup::new(BINARY, &config(&up, "0.01 USD per 365d"));
    for round in 0..2 {
        let gateway = setup.start();
        for n in 0..4 {
            ask(
                &gateway,
                Dialect::OpenAi,
                "chat",
                "How are you today, my friend?",
            );
            let done = |name: &str| metric(&gateway, name);
            wait_for("an evaluation", || {
                let ended = done("over_budget") + done("cost_nano_usd") / 3e6;
                (ended >= f64::from(n + 1)).then_some(())
            });
        }
        let calls = up.seen_of("judge").len();
        assert_eq!(calls, 2, "round {round}");
        let refused = metric(&gateway, "over_budget");
        assert_eq!(refused, if round == 0 { 2.0 } else { 4.0 });
        gateway.wait_log(
            "the budget of an evaluation is used up; no judge is asked until its next window",
        );
        let state = gateway.admin_get("/admin/v1/evals").whole().json();
        assert_eq!(
            state["budgets"],
            json!([{ "eval": "quality", "spent_usd": "0.006", "used_up": true }])
        );
        // Scores by rules cost nothing and go on.
        assert!(metric(&gateway, "scores") >= 8.0);
        setup = gateway.killed();
    }
}

/// What a judge may do wrong.
fn bad_judges() -> Vec<(&'static str, Vec<Step>)> {
    let error = json!({ "error": { "message": "no", "type": "server_error" } });
    vec![
        ("down", vec![Step::Send(wire::json_answer(500, &error))]),
        ("slow", vec![Step::Stall]),
        ("broken", vec![Step::Reset]),
        ("nonsense", answered("I like it! 10/10", 10, 10)),
        (
            "no JSON",
            vec![Step::Send(wire::answer(
                200,
                &[("content-type", "text/html")],
                b"<html>",
            ))],
        ),
    ]
}

#[test]
fn a_judge_that_fails_costs_scores_and_nothing_else() {
    for (name, script) in bad_judges() {
        let up = Upstream::start(move |seen| {
            if judges(seen) {
                return script.clone();
            }
            answered("All is well that ends well.", 20, 10)
        });
        let gateway = Gateway::start(BINARY, &config(&up, "1 USD per 1d"));
        let ids: Vec<String> = (0..3)
            .map(|_| {
                ask(
                    &gateway,
                    Dialect::Anthropic,
                    "chat",
                    "Is all well, do you think?",
                )
            })
            .collect();
        for id in &ids {
            let found = scores(&gateway, id, 4);
            let judged: Vec<&Value> = found.iter().filter(|row| row["judge"] != "rule").collect();
            assert_eq!(judged.len(), 2, "{name}");
            assert!(
                judged.iter().all(|row| row["score"].is_null()),
                "{name}: {judged:?}"
            );
        }
        let wrong = metric(&gateway, "failed") + metric(&gateway, "invalid") / 2.0;
        assert_eq!(wrong, 3.0, "{name}");
        let log = gateway.log().join("\n");
        assert!(!log.contains("All is well"), "no text in logs");
    }
}

#[test]
fn what_is_wrong_with_an_evaluation_is_told_with_its_place() {
    let up = Upstream::always(Vec::new());
    let good = config(&up, "1 USD per 1d");
    let cases = [
        (
            "rubrics: [relevance",
            "rubrics: [relevanz",
            "`relevanz` is no rubric",
        ),
        (
            "rules: [refusal",
            "rules: [refusals",
            "`refusals` is no rule",
        ),
        (
            "routes: [chat]",
            "routes: [chatt]",
            "there is no route `chatt`",
        ),
        ("routes: [chat]", "routes: [other]", "`other` records none"),
        (", budget: 1 USD per 1d", "", "a judge costs money"),
        (
            "judge: up/judge",
            "judge: down/judge",
            "no route and no `provider/model`",
        ),
        (
            "judge: up/judge",
            "judge: up/unknown",
            "the price of `up/unknown` is not known",
        ),
        (
            "judge: up/judge",
            "judge: far/judge",
            "may not see the text of `chat`: the provider `far` processes in",
        ),
        ("sample: 100%", "sample: 101%", "expected a share"),
    ];
    for (from, to, expected) in cases {
        let text = good.replace(from, to);
        assert_ne!(text, good, "{from}");
        let setup = Setup::new(BINARY, "");
        std::fs::write(setup.dir().join("aplomb.yaml"), &text).unwrap();
        let output = setup
            .command(&["check", "--config", "aplomb.yaml"])
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && error.contains(expected),
            "{expected}: {error}"
        );
        assert!(error.contains("aplomb.yaml:"), "with its line: {error}");
    }
}

#[test]
fn feedback_calibrates_scores() {
    let up = Upstream::start(|seen| {
        let bad = said(seen).contains("bad one");
        if judges(seen) {
            let score = if bad { 0.25 } else { 0.75 };
            return answered(&verdict(&[("relevance", score), ("tone", 0.5)]), 10, 10);
        }
        answered(if bad { "A bad one." } else { "A good one." }, 20, 10)
    });
    let gateway = Gateway::start(BINARY, &config(&up, "1 USD per 1d"));
    let report = |gateway: &Gateway| -> Vec<Value> {
        let answer = gateway.admin_get("/admin/v1/evals").whole();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["scores"].as_array().unwrap().clone()
    };
    for n in 0..30 {
        let text = if n % 3 == 0 {
            "Give me a bad one, please"
        } else {
            "Give me a good one, please"
        };
        let id = ask(&gateway, Dialect::OpenAi, "chat", text);
        scores(&gateway, &id, 4);
        if n == 5 {
            let line = report(&gateway)
                .into_iter()
                .find(|line| line["rubric"] == "relevance");
            assert_eq!(line.unwrap()["agreement"]["calibrated"], false);
        }
        let thumb = if n % 3 == 0 { "down" } else { "up" };
        let body = json!({ "request_id": id, "thumb": thumb });
        let given = Request::post(gateway.data, "/aplomb/v1/feedback", &body).whole();
        assert_eq!(given.status, 200);
    }
    let lines = report(&gateway);
    let line = |rubric: &str| lines.iter().find(|line| line["rubric"] == rubric).unwrap();
    let relevance = line("relevance");
    assert_eq!(
        (&relevance["n"], &relevance["route"]),
        (&json!(30), &json!("chat"))
    );
    assert_eq!(
        (
            &relevance["agreement"]["kappa"],
            &relevance["agreement"]["auc"],
            &relevance["agreement"]["calibrated"]
        ),
        (&json!(1.0), &json!(1.0), &json!(true))
    );
    assert_eq!(
        line("tone")["agreement"]["auc"],
        0.5,
        "a judge that always says the same agrees by chance"
    );
    let output = gateway
        .setup()
        .command(&["eval", "report", "--config", "aplomb.yaml"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("relevance") && text.contains("AUC 1.00 n 30"),
        "{text}"
    );
    let output = gateway
        .setup()
        .command(&["eval", "drift", "--config", "aplomb.yaml"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && text.contains("too few"),
        "{text}"
    );
}
