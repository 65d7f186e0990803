use super::*;
use crate::verdict::By;
use aplomb_config::validate::ValidatorConfig;
use serde_json::json;

fn course(config: serde_json::Value) -> Course {
    let config: ValidatorConfig = serde_json::from_value(config).unwrap();
    let mut validation = Validation::default();
    let read = |_: &str| Err("no files here".to_owned());
    validation.add("v", &config, &read).unwrap();
    Course::new(Arc::new(validation), Asked::default())
}

fn says(course: &mut Course, text: &str) -> String {
    match course.judge(&Answer::text(text)) {
        Next::Deliver => course.verdict.outcome.name().to_owned(),
        Next::Retry => "retry".to_owned(),
        Next::Fallback => "fallback".to_owned(),
        Next::Block(blocked) => blocked.message(),
    }
}

#[test]
fn each_step_is_taken_once_and_then_the_answer_is_blocked() {
    let mut course = course(json!([
        "not_empty",
        { "contains": "yes" },
        { "on_fail": ["retry", "fallback"] }
    ]));
    assert_eq!(says(&mut course, ""), "retry");
    assert_eq!(says(&mut course, "no"), "fallback");
    let blocked = "the answer fails the check `contains` of the validator `v`, after 3 tries: it does not contain `yes`";
    assert_eq!(says(&mut course, "no"), blocked);
}

#[test]
fn an_answer_that_passes_ends_the_course() {
    let mut course = course(json!([{ "regex": "^[0-9]+$", "on_fail": ["retry", "flag"] }]));
    assert_eq!(says(&mut course, "x"), "retry");
    assert_eq!(says(&mut course, "12"), "pass");
    assert_eq!(course.verdict.tries, 2);
    assert_eq!(course.verdict.by, []);
    assert_eq!(course.verdict.steps.len(), 1);
}

#[test]
fn a_check_that_flags_does_not_stop_another_one_that_acts() {
    let mut course = course(json!([
        { "contains": "a", "on_fail": "flag" },
        { "contains": "b", "on_fail": ["retry", "flag"] },
    ]));
    assert_eq!(says(&mut course, "x"), "retry");
    assert_eq!(says(&mut course, "x"), "flag");
    let by: Vec<String> = course.verdict.by.iter().map(By::to_string).collect();
    assert_eq!(by, ["v.contains", "v.contains"]);
}

#[test]
fn a_step_that_can_not_be_taken_gives_way_to_the_next_one() {
    let mut course = course(json!([{ "check": "json", "on_fail": ["retry", "fallback", "flag"] }]));
    assert_eq!(says(&mut course, "x"), "retry");
    assert_eq!(course.unable(), Next::Fallback);
    assert_eq!(course.unable(), Next::Deliver);
    assert_eq!(course.verdict.outcome, Outcome::Flag);
    assert_eq!(course.verdict.steps, []);
}

#[test]
fn one_of_several_choices_that_fails_is_named() {
    let mut course = course(json!([{ "check": "json" }]));
    let mut answer = Answer::text("{}");
    answer
        .choices
        .insert(1, Answer::text("{").choices[&0].clone());
    let Next::Block(blocked) = course.judge(&answer) else {
        panic!("it is not JSON");
    };
    let place = blocked.failure.place.as_deref();
    assert_eq!(place, Some("choice 1, line 1, column 1"));
}

#[test]
fn a_model_that_calls_tools_need_not_say_anything() {
    let mut course = course(json!(["not_empty", "json", { "length": { "words": { "min": 1 } } }]));
    let mut answer = Answer::text("");
    let choice = answer.choices.get_mut(&0).unwrap();
    choice.tools.insert(0, Default::default());
    assert_eq!(course.judge(&answer), Next::Deliver);
    assert_eq!(course.verdict.outcome, Outcome::Pass);
}
