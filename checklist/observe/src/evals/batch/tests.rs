//! Suites against models that are simulated with a known quality.

use super::super::rubric::Rubric;
use super::*;
use aplomb_core::ask::{AskFault, Asking};
use std::future::Future;
use std::task::{Context, Poll, Waker};

/// Models whose answers are good with a known share; a judge that sees it, with noise. Nothing waits.
struct Simulated {
    calls: AtomicUsize,
    each: NanoUsd,
}

fn chance(text: &str) -> f64 {
    let id = aplomb_core::id::RequestId::floor(1);
    super::super::online::fraction(id, text)
}

impl Simulated {
    fn told(&self, question: &Question) -> Result<Told, AskError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let asked = Value::Object(question.body.clone()).to_string();
        let share = match question.model.as_str() {
            "strong" | "twin" => 0.85,
            "weak" => 0.55,
            "down" => {
                return Err(AskError {
                    fault: AskFault::Failed,
                    message: "the provider failed: connect".into(),
                    cost: NanoUsd::ZERO,
                });
            }
            _ => {
                let good = asked.contains("a good answer");
                let score = if good { 0.8 } else { 0.3 } + 0.2 * (chance(&asked) - 0.5);
                return Ok(self.answer(&format!("{{\"relevance\":{score}}}")));
            }
        };
        let good = chance(&format!("{}{asked}", question.model)) < share;
        Ok(self.answer(if good {
            "a good answer"
        } else {
            "a bad answer"
        }))
    }

    fn answer(&self, text: &str) -> Told {
        Told {
            text: text.to_owned(),
            calls: Vec::new(),
            target: "x/y".into(),
            usage: Usage {
                input: 10,
                output: 5,
                ..Usage::default()
            },
            cost: Some(self.each),
            finish: Some("stop"),
            took: Duration::from_millis(20),
        }
    }
}

impl Ask for Simulated {
    fn ask(&self, question: Question) -> Asking<'_> {
        Box::pin(std::future::ready(self.told(&question)))
    }

    fn most(&self, _: &Question) -> Result<NanoUsd, AskError> {
        Ok(NanoUsd(self.each.0 * 2))
    }
}

fn suite(targets: &[&str], cases: usize, budget: i64) -> Suite {
    let case = |n: usize| Case {
        recorded: Recorded {
            id: n.to_string(),
            messages: format!("question {n}"),
            ..Recorded::default()
        },
        ..Case::default()
    };
    Suite {
        targets: targets
            .iter()
            .map(|name| Target::Model((*name).to_owned()))
            .collect(),
        cases: (0..cases).map(case).collect(),
        rules: vec![Rule::Refusal],
        judge: Some(Judge {
            model: "judge".into(),
            rubrics: vec![Rubric::parse("relevance").unwrap()],
            limit: NanoUsd::MAX,
            window_ms: 0,
            timeout: Duration::from_secs(1),
            max_output_tokens: 100,
        }),
        budget: NanoUsd(budget),
        max_output_tokens: 100,
        timeout: Duration::from_secs(1),
    }
}

fn play(suite: Suite, each: i64) -> (Results, usize) {
    let ask = Arc::new(Simulated {
        calls: AtomicUsize::new(0),
        each: NanoUsd(each),
    });
    let runner = Arc::new(Runner::new(suite, ask.clone()));
    let mut work = std::pin::pin!(runner.clone().work());
    let done = work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(done, Poll::Ready(()));
    (runner.results(), ask.calls.load(Ordering::Relaxed))
}

fn relevance(row: &Row) -> &Cell {
    let found = row.scores.iter().find(|cell| cell.rubric == "relevance");
    found.unwrap()
}

#[test]
fn a_worse_model_is_found_and_an_equal_one_is_not() {
    let (results, _) = play(suite(&["strong", "weak", "twin"], 150, i64::MAX), 1_000);
    let rows = compare(&results, Some(1e6));
    let weak = relevance(&rows[1]);
    let difference = weak.difference.unwrap();
    assert!(
        difference.high < 0.0 && weak.verdict == Some("worse"),
        "{weak:?}"
    );
    // Three tenths of the answers are half a point worse.
    assert!(
        (difference.low..difference.high).contains(&-0.15),
        "{difference:?}"
    );
    let twin = relevance(&rows[2]);
    let difference = twin.difference.unwrap();
    assert!(
        difference.low <= 0.0 && difference.high >= 0.0,
        "{difference:?}"
    );
    assert_eq!(twin.verdict, Some("no difference found"));
    assert_eq!(relevance(&rows[0]).difference, None);
    assert!((rows[1].usd_per_1000.unwrap() - 0.001).abs() < 1e-12);
    assert_eq!(rows[1].saves_usd_a_month.unwrap().mean, 0.0);
    assert_eq!(rows[1].paid_nano, 150 * 2_000);
}

/// How often pairs of equal models are called different: about one in twenty.
#[test]
fn intervals_are_honest() {
    let wrong = (0..60)
        .filter(|round| {
            let mut suite = suite(&["strong", "twin"], 60, i64::MAX);
            for case in &mut suite.cases {
                case.recorded.messages.push_str(&format!(" round {round}"));
            }
            let (results, _) = play(suite, 1);
            relevance(&compare(&results, None)[1]).verdict != Some("no difference found")
        })
        .count();
    assert!(wrong <= 8, "{wrong} of 60");
}

#[test]
fn the_budget_ends_the_run_and_pairs_stay_whole() {
    // A case costs 4 at most 8: after 4 cases 16 are spent, and 8 more do not fit into 23.
    let (results, calls) = play(suite(&["strong", "weak"], 10, 23), 1);
    assert_eq!((results.skipped, calls), (6, 16));
    let rows = compare(&results, None);
    assert_eq!(relevance(&rows[1]).difference.unwrap().n, 4);
}

#[test]
fn a_target_that_fails_is_shown_as_such() {
    let (results, _) = play(suite(&["strong", "down"], 5, i64::MAX), 1);
    let rows = compare(&results, None);
    assert_eq!(rows[1].errors, 5);
    assert_eq!(
        rows[1].error.as_deref(),
        Some("the provider failed: connect")
    );
    let answered = &rows[1].scores[0];
    assert_eq!(
        (answered.rubric.as_str(), answered.verdict),
        ("answered", Some("worse"))
    );
    assert_eq!(relevance(&rows[1]).score, None);
}

#[test]
fn wishes_are_scored_each() {
    let expect = Expect {
        contains: vec!["Paris".into()],
        lacks: vec!["london".into()],
        equals: Some("Paris".into()),
        json: true,
    };
    let scores = |answer: &str| {
        expect
            .scores(answer)
            .into_iter()
            .map(|(_, score)| score)
            .collect::<Vec<_>>()
    };
    assert_eq!(scores("paris"), [1.0, 1.0, 0.0, 0.0]);
    assert_eq!(scores(" Paris "), [1.0, 1.0, 1.0, 0.0]);
    assert_eq!(scores("[\"London\"]"), [0.0, 0.0, 0.0, 1.0]);
    assert!(Expect::default().scores("x").is_empty());
}

#[test]
fn recorded_questions_keep_their_dialect() {
    let mut recorded = Recorded {
        system: "Be brief.".into(),
        messages: r#"[{"role":"user","content":[{"type":"text","text":"Hi"}]}]"#.into(),
        tools: r#"[{"name":"f","input_schema":{}}]"#.into(),
        operation: "messages".into(),
        ..Recorded::default()
    };
    let (operation, body) = request(&recorded);
    assert_eq!(
        (operation, &body["system"]),
        (Operation::Messages, &json!("Be brief."))
    );
    assert_eq!(body["tools"][0]["name"], "f");
    recorded.operation = "completions".into();
    recorded.messages = "Once upon".into();
    let (operation, body) = request(&recorded);
    assert_eq!(operation, Operation::ChatCompletions);
    assert_eq!(body["messages"][1]["content"], "Once upon");
}
