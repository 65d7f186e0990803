use super::*;
use crate::check::Asked;
use crate::policy::Validation;
use aplomb_config::validate::ValidatorConfig;
use aplomb_core::event::FinishReason;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

fn watch(config: Value, window: Window) -> Watch {
    let config: ValidatorConfig = serde_json::from_value(config).unwrap();
    let mut validation = Validation::default();
    let read = |_: &str| Err("no files here".to_owned());
    validation.add("v", &config, &read).unwrap();
    let course = Course::new(Arc::new(validation), Asked::default());
    Watch::new(Box::new(course), window)
}

fn texts(events: &[ChatEvent]) -> String {
    let text = |event: &ChatEvent| match event {
        ChatEvent::Text { text, .. } => text.clone(),
        _ => String::new(),
    };
    events.iter().map(text).collect()
}

/// What goes out of a text that comes in these pieces, and how it ends.
fn run(mut watch: Watch, pieces: &[&str]) -> (String, Result<(), Box<Late>>) {
    let mut out = Vec::new();
    for piece in pieces {
        let event = text_event((*piece).to_owned());
        if let Err(late) = watch.on_event(event, &mut out) {
            return (texts(&out), Err(late));
        }
    }
    let ends = ChatEvent::Finish {
        choice: 0,
        reason: FinishReason::Stop,
    };
    let end = watch
        .on_event(ends, &mut out)
        .and_then(|()| watch.on_end(&mut out));
    let finished = out.iter().any(|event| event.finish().is_some());
    assert_eq!(
        finished,
        end.is_ok(),
        "the finish goes out with a good answer only"
    );
    (texts(&out), end)
}

fn small(tokens: usize, overlap: usize) -> Window {
    Window { tokens, overlap }
}

const FORBIDDEN: &str = "s3cr3t-äöü";

fn blocks() -> Value {
    json!([{ "not_contains": FORBIDDEN }, { "not_regex": "key-[0-9]{3,5}x" }])
}

#[test]
fn no_cut_lets_any_of_a_forbidden_text_out() {
    for forbidden in [FORBIDDEN, "key-123x", "key-12345x"] {
        let text = format!("some words, {forbidden} and more words");
        let from = text.find(forbidden).unwrap();
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        for window in [
            small(0, 1),
            small(1, 0),
            small(2, 1),
            small(5, 2),
            small(64, 16),
        ] {
            for first in &places {
                for second in places.iter().filter(|second| *second >= first) {
                    let pieces = [&text[..*first], &text[*first..*second], &text[*second..]];
                    let (out, end) = run(watch(blocks(), window), &pieces);
                    let late = end.unwrap_err();
                    assert_eq!(late.blocked.by.validator.as_ref(), "v");
                    assert!(text.starts_with(&out), "{out}");
                    assert!(out.len() <= from, "{window:?} {first} {second}: {out}");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn a_harmless_text_comes_out_as_it_went_in(
        pieces in prop::collection::vec("[a-zäß€😀 \n]{0,12}", 0..30),
        tokens in 0usize..20,
        overlap in 0usize..10,
    ) {
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let (out, end) = run(watch(blocks(), small(tokens, overlap)), &pieces);
        prop_assert!(end.is_ok());
        prop_assert_eq!(out, pieces.concat());
    }

    #[test]
    fn what_is_cut_out_is_cut_out_however_it_comes(
        before in "[a-z ]{0,40}", after in "[a-z ]{0,40}",
        size in 1usize..9, tokens in 0usize..12,
    ) {
        let text = format!("{before}key-1234x{after}");
        let config = json!([{ "not_regex": "key-[0-9]{3,5}x", "on_fail": ["filter", "block"] }]);
        let pieces: Vec<String> = text.chars().collect::<Vec<_>>().chunks(size)
            .map(|piece| piece.iter().collect()).collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let (out, end) = run(watch(config, small(tokens, 1)), &pieces);
        prop_assert!(end.is_ok());
        prop_assert_eq!(out, format!("{before}{after}"));
    }
}

#[test]
fn checks_of_the_whole_text_come_at_the_end() {
    let config = json!([{ "length": { "words": { "max": 3 } } }]);
    let (out, end) = run(
        watch(config, small(1, 1)),
        &["one two ", "three ", "four five"],
    );
    assert_eq!(out, "one two three four ");
    let message = "the answer fails the check `length` of the validator `v`: it has 5 words, at most 3 are allowed";
    assert_eq!(end.unwrap_err().blocked.message(), message);
    let config = json!([{ "length": { "words": { "max": 3 } }, "on_fail": "flag" }]);
    let mut watch = watch(config, Window::default());
    let mut out = Vec::new();
    watch
        .on_event(text_event("a b c d".into()), &mut out)
        .unwrap();
    assert_eq!(texts(&out), "a b c d", "nothing is held");
    watch.on_end(&mut out).unwrap();
    assert_eq!(watch.course.verdict.outcome.name(), "flag");
}

#[test]
fn a_step_that_would_call_again_comes_too_late() {
    let config = json!([{ "not_contains": "bad", "on_fail": ["retry", "repair", "refrain"], "say": "Sorry." }]);
    let (out, end) = run(watch(config, small(1, 1)), &["all is good ", "and bad"]);
    assert_eq!(out, "all is g");
    assert_eq!(end.unwrap_err().say.as_deref(), Some("Sorry."));
}
