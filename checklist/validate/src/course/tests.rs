use super::*;
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
    match course.judge(Answer::text(text)) {
        Next::Deliver(mended) => {
            let texts = mended.values().map(|text| format!(" {text}"));
            course.verdict.outcome.name().to_owned() + &texts.collect::<String>()
        }
        Next::Repair(repair) => format!(
            "repair {}: {}",
            repair.said,
            repair.wish.lines().nth(1).unwrap_or_default()
        ),
        Next::Refrain(say) => format!("refrain {say}"),
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
    assert_eq!(course.unable(), Next::Deliver(BTreeMap::new()));
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
    let Next::Block(blocked) = course.judge(answer) else {
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
    assert_eq!(course.judge(answer), Next::Deliver(BTreeMap::new()));
    assert_eq!(course.verdict.outcome, Outcome::Pass);
}

#[test]
fn mending_comes_first_with_each_answer_and_is_checked_again() {
    let schema = json!({ "required": ["a"], "type": "object" });
    let mut course = course(json!([
        { "json_schema": schema },
        { "on_fail": ["fix", "repair", "block"] }
    ]));
    let told =
        "repair Here: {\"b\": 1}: - it is not JSON: it breaks off the syntax (line 1, column 1)";
    assert_eq!(says(&mut course, "Here: {\"b\": 1}"), told);
    assert_eq!(says(&mut course, "Here: {\"a\": 1} Bye"), "fix {\"a\": 1}");
    assert_eq!(course.verdict.by.len(), 1);
    let steps: Vec<&str> = course
        .verdict
        .steps
        .iter()
        .map(|taken| taken.step.name())
        .collect();
    assert_eq!(steps, ["repair", "fix"]);
}

#[test]
fn what_is_not_allowed_is_cut_out_and_the_rest_is_checked_again() {
    let config = json!([
        { "not_regex": "secret-[0-9]+", "on_fail": ["filter"] },
        { "not_contains": "damn ", "on_fail": ["filter"] },
        { "length": { "words": { "min": 2 } } },
    ]);
    let mut one = course(config.clone());
    assert_eq!(
        says(&mut one, "it is secret-12 and damn secret-3 here"),
        "filter it is  and  here"
    );
    assert_eq!(one.verdict.outcome, Outcome::Filter);
    let mut other = course(config);
    let blocked = "the answer fails the check `length` of the validator `v`: it has 1 words, at least 2 are needed";
    assert_eq!(says(&mut other, "secret-1 word"), blocked);
}

#[test]
fn another_text_goes_out_in_the_place_of_an_answer() {
    let mut course = course(
        json!([{ "contains": "x", "on_fail": ["retry", "refrain"], "say": "I can't say." }]),
    );
    assert_eq!(says(&mut course, "y"), "retry");
    assert_eq!(says(&mut course, "y"), "refrain I can't say.");
    assert_eq!(course.verdict.outcome, Outcome::Refrain);
}

#[test]
fn faults_that_a_text_shows_by_itself() {
    for (check, bad, good) in [
        (
            "no_refusal",
            "I'm sorry, but I can't help with that.",
            "Sorry for the delay: 12.",
        ),
        (
            "no_repetition",
            &*"and on and ".repeat(20),
            "and on and on it goes",
        ),
        (
            "no_gibberish",
            "xkcdrtfg plmbvcxz qwrtpsdf hjklzxcv bnmqwrtp sdfghjkl",
            "six words that can be spoken aloud",
        ),
        ("no_invisible", "pay\u{200b}me", "pay me"),
    ] {
        let mut one = course(json!([check]));
        assert_eq!(says(&mut one, good), "pass", "{check}");
        let blocked = says(&mut one, bad);
        assert!(blocked.contains(check), "{blocked}");
    }
    let mut banned = course(json!([{ "banned_words": ["acme"] }, { "links": "example.com" }]));
    assert_eq!(says(&mut banned, "see https://docs.example.com/x"), "pass");
    assert!(says(&mut banned, "buy A.C.M.E.").contains("it has the word `acme` (byte 4)"));
    assert!(
        says(&mut banned, "see http://evil.test").contains("a host that is not allowed (byte 4)")
    );
    let mut fixed = course(json!([{ "check": "no_invisible", "on_fail": ["fix", "block"] }]));
    assert_eq!(says(&mut fixed, "pay\u{200b}me"), "fix payme");
}

#[test]
fn tools_are_called_as_they_are_described() {
    use crate::answer::ToolCall;
    use crate::schema::Schema;
    let config: ValidatorConfig =
        serde_json::from_value(json!(["tool_arguments", "no_truncation"])).unwrap();
    let mut validation = Validation::default();
    validation
        .add("v", &config, &|_: &str| Err(String::new()))
        .unwrap();
    let validation = Arc::new(validation);
    let schema = json!({ "type": "object", "required": ["city"], "properties": { "city": { "type": "string" } } });
    let call = |name: &str, arguments: &str| {
        let mut asked = Asked::default();
        asked
            .tools
            .insert("weather".into(), Schema::new(&schema).ok());
        let mut answer = Answer::text("");
        let call = ToolCall {
            name: name.into(),
            arguments: arguments.into(),
        };
        answer.choices.get_mut(&0).unwrap().tools.insert(0, call);
        match Course::new(validation.clone(), asked).judge(answer) {
            Next::Block(blocked) => blocked.message(),
            _ => String::new(),
        }
    };
    assert_eq!(call("weather", r#"{"city":"Bern"}"#), "");
    assert!(
        call("weather", r#"{"town":"Bern"}"#)
            .ends_with(r#""city" is a required property (tool call 0)"#)
    );
    assert!(call("weather", r#"{"city":1}"#).ends_with("(tool call 0, /city)"));
    assert!(call("weather", r#"{"city":"#).contains("it is not JSON"));
    assert!(call("other", "{}").contains("it calls a tool that is not on offer"));
}
