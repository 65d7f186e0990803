use super::*;
use crate::detect::entity::EntityKind;
use crate::placeholder::{Labels, Minter};
use crate::policy::{Action, Profile};
use crate::vault::{Restore, Taken};
use aplomb_core::event::{Facts, Raw};
use serde_json::{Value, json};
use std::sync::Arc;

fn restorer() -> Restorer {
    let mut vault = Vault::default();
    vault.surrogate("u12@pii.invalid", "ada@example.org", Restore::Everywhere);
    Restorer::new(vault, false)
}

fn run(events: Vec<ChatEvent>) -> Vec<ChatEvent> {
    let mut restorer = restorer();
    let mut out = Vec::new();
    for event in events {
        restorer.on_event(event, &mut out);
    }
    restorer.on_end(&mut out);
    out
}

fn text(text: &str) -> ChatEvent {
    ChatEvent::Text {
        choice: 0,
        text: text.to_owned(),
        logprobs: None,
    }
}

fn reasoning(text: &str) -> ChatEvent {
    ChatEvent::Reasoning {
        choice: 0,
        text: text.to_owned(),
    }
}

#[test]
fn what_is_held_back_keeps_its_place() {
    let events = vec![reasoning("a u1"), text("b u12@"), reasoning("c")];
    let expected = [
        reasoning("a "),
        reasoning("u1"),
        text("b "),
        text("u12@"),
        reasoning("c"),
    ];
    assert_eq!(run(events), expected);
}

#[test]
fn the_stop_sequence_is_one_of_the_request() {
    let finish = |sequence: &str| ChatEvent::Finish {
        choice: 0,
        reason: FinishReason::StopSequence(Some(sequence.to_owned())),
    };
    assert_eq!(
        run(vec![finish("u12@pii.invalid")]),
        [finish("ada@example.org")]
    );
}

/// A vault that is watched, with one address in it or nothing, and the name of the address.
fn watched(is_empty: bool) -> (Vault, String) {
    let mut full = Vault::default();
    let minter = Minter::new(b"s", "t", "u");
    let kind = EntityKind::Email;
    let name = full.placeholder(&minter, &kind, "ada@example.org", &Taken::new(b""));
    full.allow(&name, Restore::Everywhere);
    let mut vault = if is_empty { Vault::default() } else { full };
    let labels = Labels::of(&Profile::all("p", Action::Mask), &[]);
    vault.watch(Arc::new(labels));
    (vault, name.trim_matches(|c| "<>".contains(c)).to_owned())
}

fn raw(name: Option<&str>, data: &Value) -> ChatEvent {
    ChatEvent::Raw(Raw {
        name: name.map(Into::into),
        data: data.to_string().into(),
        facts: Facts::default(),
    })
}

fn openai(piece: &str) -> ChatEvent {
    raw(
        None,
        &json!({ "choices": [{ "index": 0, "delta": { "content": piece }, "finish_reason": null }] }),
    )
}

fn anthropic(piece: &str) -> ChatEvent {
    let delta = json!({ "type": "text_delta", "text": piece });
    raw(
        Some("content_block_delta"),
        &json!({ "type": "content_block_delta", "index": 0, "delta": delta }),
    )
}

fn whole(said: &str) -> ChatEvent {
    ChatEvent::RawBody(Raw {
        name: None,
        data: json!({ "choices": [{ "message": { "content": said } }] })
            .to_string()
            .into(),
        facts: Facts::default(),
    })
}

/// What goes out in the form of a placeholder is counted once, in every lane and wherever the text is cut.
#[test]
fn leaks_are_counted() {
    let (_, name) = watched(false);
    let said = format!("<{name}> a < b <    {name}> and <PERSON_abcd> end <{name}");
    let count = |is_empty: bool, events: Vec<ChatEvent>| {
        let mut restorer = Restorer::new(watched(is_empty).0, false);
        let mut out = Vec::new();
        for event in events {
            restorer.on_event(event, &mut out);
        }
        restorer.on_end(&mut out);
        let Restored {
            values,
            unrestored,
            foreign,
        } = restorer.restored();
        (values, unrestored, foreign)
    };
    // The address was masked, or this request made no placeholder at all.
    for (is_empty, expected) in [(false, (1, 2, 1)), (true, (0, 0, 3))] {
        assert_eq!(count(is_empty, vec![whole(&said)]), expected);
        for lane in [text, openai, anthropic] {
            for (cut, _) in said.char_indices() {
                let (one, other) = said.split_at(cut);
                assert_eq!(
                    count(is_empty, vec![lane(one), lane(other)]),
                    expected,
                    "{one} | {other}"
                );
            }
            let single = said.chars().map(|c| lane(&c.to_string())).collect();
            assert_eq!(count(is_empty, single), expected);
        }
    }
}

/// Where nothing was masked the answer is only looked over: each event is the provider's.
#[test]
fn looking_over_changes_nothing() {
    let logprobs = Some(json!({ "content": [] }));
    let spoken = ChatEvent::Text {
        choice: 0,
        text: "<EMAIL_zz".to_owned(),
        logprobs,
    };
    let events = vec![spoken, openai("zz> &l"), openai("t"), text("<")];
    let mut restorer = Restorer::new(watched(true).0, false);
    let mut out = Vec::new();
    for event in events.clone() {
        restorer.on_event(event, &mut out);
    }
    restorer.on_end(&mut out);
    assert_eq!(out, events);
    assert_eq!(restorer.restored().foreign, 1);
}

/// Chunks of the usual form are restored in place; the result is that of the general way, and unusual forms go that way.
#[test]
fn the_short_way_gives_what_the_general_one_gives() {
    let (_, name) = watched(false);
    let deltas = [
        format!("{{\"content\":\"<{name}>\"}}"),
        format!("{{\"role\":\"assistant\",\"content\":\"é\\n<{name}>\\u00e9 \\\"\"}}"),
        format!("{{\"content\":null,\"reasoning_content\":\"\\u003c{name}>\"}}"),
        format!("{{\"content\":\"<{name}\",\"refusal\":\"<{name}>\"}}"),
        format!("{{\"content\":\"a\",\"note\":\"<{name}>\"}}"),
        format!("{{\"content\":\"a\",\"list\":[\"<{name}>\"]}}"),
        format!("{{ \"content\" : \"<{name}>\" }}"),
    ];
    let tails = [
        ",\"logprobs\":null,\"finish_reason\":null}]}",
        ",\"finish_reason\":null}],\"usage\":null,\"obfuscation\":\"x\"}",
        ",\"finish_reason\":null}],\"citations\":[{\"delta\":{\"content\":\"<X>\"}}]}",
        ",\"finish_reason\":\"stop\"}]}",
        ",\"logprobs\":{\"content\":[]},\"finish_reason\":null}]}",
    ];
    let mut short = 0;
    for (number, delta) in deltas.iter().enumerate() {
        for tail in tails {
            let chunk = |space: &str| {
                let source = format!(
                    "{{\"id\":\"c\",\"choices\":[{{\"index\":1,{space}\"delta\":{delta}{tail}"
                );
                let mut restorer = Restorer::new(watched(false).0, false);
                let raw = Raw {
                    name: None,
                    data: source.into(),
                    facts: Facts::default(),
                };
                let is_short = restorer.flat(&raw).is_some();
                let mut restorer = Restorer::new(watched(false).0, false);
                let mut out = Vec::new();
                restorer.on_event(ChatEvent::Raw(raw), &mut out);
                let Some(ChatEvent::Raw(raw)) = out.pop() else {
                    panic!("{delta}{tail}");
                };
                let value: Value = serde_json::from_slice(&raw.data).unwrap();
                (value, restorer.restored(), is_short)
            };
            // White space makes the form an unusual one.
            let (usual, general) = (chunk(""), chunk(" "));
            assert!(!general.2);
            assert_eq!(
                (&usual.0, usual.1),
                (&general.0, general.1),
                "{delta}{tail}"
            );
            assert_eq!(
                usual.2,
                number < 4
                    && !tail.contains("[{")
                    && !tail.contains("stop")
                    && !tail.contains("[]"),
                "{delta}{tail}"
            );
            short += u32::from(usual.2);
        }
    }
    assert_eq!(short, 8);
}
