//! What must hold for any text that is searched, any request that is masked, any answer that is restored.

use aplomb_core::dialect;
use aplomb_core::event::ChatEvent;
use aplomb_core::json::check_depth;
use aplomb_core::request::Operation;
use aplomb_privacy::detect::entity::EntityKind;
use aplomb_privacy::detect::{Detector, Hint};
use aplomb_privacy::finder::{NameSource, detector_with};
use aplomb_privacy::mask::{MaskedBody, More, mask as mask_body};
use aplomb_privacy::placeholder::Minter;
use aplomb_privacy::policy::{Action, Media, OnError, Profile};
use aplomb_privacy::restore::Restorer;
use aplomb_privacy::vault::{Restore, Taken, Vault};
use bytes::Bytes;
use serde_json::Value;
use std::sync::LazyLock;

static DETECTOR: LazyLock<Detector> = LazyLock::new(|| {
    detector_with(Vec::new(), NameSource::Model).expect("the built-in tables compile")
});

/// Most bytes that a text may hold back: a name of two dozen letters, each `_` with two backslashes, spaces and brackets.
const HELD_MAX: usize = 128;

/// Findings lie in the text, on borders of characters, in order and apart; the same for the same text.
pub fn detect(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let found = DETECTOR.detect(&text, Hint::default());
    let mut last = 0;
    for entity in &found {
        assert!(text.get(entity.range.clone()).is_some(), "{entity:?}");
        assert!(
            !entity.range.is_empty() && entity.range.start >= last,
            "{entity:?} begins before {last}"
        );
        last = entity.range.end;
    }
    assert_eq!(found, DETECTOR.detect(&text, Hint::default()));
}

/// Everything is masked but secrets, which do not all come back.
fn profile() -> Profile {
    let secrets = [EntityKind::Secret, EntityKind::UrlCredentials];
    Profile {
        actions: secrets
            .into_iter()
            .map(|kind| (kind, Action::Allow))
            .collect(),
        media: Media::Pass,
        on_error: OnError::Pass,
        ..Profile::all("fuzz", Action::Mask)
    }
}

/// A masked request is a request again, and its texts come back when a provider repeats them.
pub fn mask(data: &[u8]) {
    if check_depth(data).is_err() {
        return;
    }
    let minter = Minter::new(b"secret", "tenant", "user");
    let operations = [
        Operation::ChatCompletions,
        Operation::Completions,
        Operation::Messages,
        Operation::CountTokens,
        Operation::Embeddings,
    ];
    let read = operations
        .into_iter()
        .filter_map(|operation| dialect::read(operation, Bytes::copy_from_slice(data)).ok());
    for request in read {
        let Ok(masked) = mask_body(
            &DETECTOR,
            &profile(),
            &minter,
            &More::default(),
            &request.body,
        ) else {
            continue;
        };
        let MaskedBody { body, vault, .. } = masked;
        let again = dialect::read(request.operation, body.clone()).expect("a request again");
        assert_eq!(again.model, request.model);
        assert_eq!(again.delivery, request.delivery);
        let before: Value = serde_json::from_slice(&request.body).expect("JSON");
        let after: Value = serde_json::from_slice(&body).expect("JSON");
        let mut texts = Vec::new();
        pair(&before, &after, &mut texts);
        let mut restorer = Restorer::new(vault, false);
        for (number, (before, after)) in texts.into_iter().enumerate() {
            let choice = u32::try_from(number).expect("a small number");
            let again = restored(&mut restorer, choice, &[after.as_str()]);
            assert!(
                again == before || same_json(&again, &before),
                "{before:?} came back as {again:?}"
            );
        }
    }
}

/// Escapes in JSON may come back in another form.
fn same_json(one: &str, other: &str) -> bool {
    let read = |text| serde_json::from_str::<Value>(text);
    matches!((read(one), read(other)), (Ok(one), Ok(other)) if one == other)
}

/// Texts of two documents at the same places.
fn pair(before: &Value, after: &Value, out: &mut Vec<(String, String)>) {
    match (before, after) {
        (Value::String(before), Value::String(after)) => {
            // What begins like JSON and is none may hold escapes that mean nothing.
            let odd = before.trim_start().starts_with(['{', '['])
                && before.contains('\\')
                && serde_json::from_str::<Value>(before).is_err();
            if !odd && before != after {
                out.push((before.clone(), after.clone()));
            }
        }
        (Value::Number(before), Value::String(after)) => {
            out.push((before.to_string(), after.clone()));
        }
        (Value::Array(before), Value::Array(after)) => {
            assert_eq!(before.len(), after.len());
            before
                .iter()
                .zip(after)
                .for_each(|(before, after)| pair(before, after, out));
        }
        (Value::Object(before), Value::Object(after)) => {
            assert_eq!(before.len(), after.len());
            for ((key, before), (key_after, after)) in before.iter().zip(after) {
                if key != key_after {
                    out.push((key.clone(), key_after.clone()));
                }
                // Names of speakers lose their brackets.
                if key != "name" {
                    pair(before, after, out);
                }
            }
        }
        (before, after) => assert_eq!(before, after),
    }
}

fn text_of(events: Vec<ChatEvent>) -> String {
    events
        .into_iter()
        .map(|event| match event {
            ChatEvent::Text { text, .. } => text,
            other => panic!("not a text: {other:?}"),
        })
        .collect()
}

/// A text in pieces as one choice of an answer.
fn restored(restorer: &mut Restorer, choice: u32, pieces: &[&str]) -> String {
    let mut out = Vec::new();
    for piece in pieces {
        let text = (*piece).to_owned();
        let event = ChatEvent::Text {
            choice,
            text,
            logprobs: None,
        };
        restorer.on_event(event, &mut out);
    }
    restorer.on_end(&mut out);
    text_of(out)
}

const VALUES: [&str; 3] = ["ada@example.org", "say \"hi\" \\ there", "日本\n"];

fn vault() -> (Vault, Vec<String>) {
    let minter = Minter::new(b"secret", "tenant", "user");
    let mut vault = Vault::default();
    let kinds = [
        EntityKind::Email,
        EntityKind::Custom("ticket-no".into()),
        EntityKind::Person,
    ];
    let names = kinds.iter().zip(VALUES).map(|(kind, value)| {
        let name = vault.placeholder(&minter, kind, value, &Taken::new(b""));
        vault.allow(&name, Restore::Everywhere);
        name.trim_matches(|c| "<>".contains(c)).to_owned()
    });
    let names = names.collect();
    vault.surrogate("u12@pii.invalid", "bob@example.org", Restore::Everywhere);
    (vault, names)
}

/// The same text whatever the cuts, and little is held back on the way. Digits in the text stand for placeholders.
pub fn restore(data: &[u8]) {
    let Some(([mode, cut], data)) = data.split_first_chunk::<2>() else {
        return;
    };
    let (_, names) = vault();
    let mut text = String::from_utf8_lossy(data).into_owned();
    for (digit, name) in ["0", "1", "2"].into_iter().zip(&names) {
        text = text.replace(digit, name);
    }
    text = text.replace('3', "u12@pii.invalid");
    let is_json = mode & 1 == 1;
    let fresh = || Restorer::new(vault().0, is_json);
    let whole = restored(&mut fresh(), 0, &[&text]);
    let mut pieces = Vec::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let at = rest.ceil_char_boundary(usize::from(*cut % 23).max(1).min(rest.len()));
        let (piece, tail) = rest.split_at(at);
        pieces.push(piece);
        rest = tail;
    }
    assert_eq!(restored(&mut fresh(), 0, &pieces), whole, "pieces of {cut}");
    let mut restorer = fresh();
    let mut single = String::new();
    let (mut seen, mut given) = (0, 0);
    for c in text.chars() {
        let mut out = Vec::new();
        let text = c.to_string();
        seen += text.len();
        let event = ChatEvent::Text {
            choice: 0,
            text,
            logprobs: None,
        };
        restorer.on_event(event, &mut out);
        if !out.is_empty() {
            given = seen;
        }
        assert!(seen - given <= HELD_MAX, "{} bytes are held", seen - given);
        single.push_str(&text_of(out));
    }
    let mut out = Vec::new();
    restorer.on_end(&mut out);
    single.push_str(&text_of(out));
    assert_eq!(single, whole, "single characters");
}
