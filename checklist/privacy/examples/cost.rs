//! What privacy costs a request, on one thread: `cargo run --release -p aplomb-privacy --example cost`.
//!
//! Prints the time that restoring adds to each streamed chunk, by what the chunk holds, and the time of masking a
//! request of one kilobyte.

#![expect(clippy::print_stdout, reason = "printing is what this example is for")]

use aplomb_core::event::{ChatEvent, Facts, Raw};
use aplomb_privacy::detect::DetectorError;
use aplomb_privacy::detect::entity::EntityKind;
use aplomb_privacy::finder::detector;
use aplomb_privacy::mask::{More, mask};
use aplomb_privacy::placeholder::{Labels, Minter};
use aplomb_privacy::policy::{Action, Profile};
use aplomb_privacy::restore::Restorer;
use aplomb_privacy::vault::{Restore, Taken, Vault};
use bytes::Bytes;
use serde_json::json;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Chunks of one answer, and answers that are measured; the fastest answer counts.
const CHUNKS: u32 = 2000;
const ROUNDS: u32 = 60;

const PROSE: &str = "Thank you for your letter of last week. The order left our warehouse on Monday and should reach you \
    within two days; the carrier will call before it comes. If anything is missing, please tell us within a fortnight. ";

fn main() -> Result<(), DetectorError> {
    let placeholder = vault("ada@example.org").1;
    for (title, value, text) in [
        ("no sign of a placeholder", "ada@example.org", " token"),
        ("a bracket of the text's own", "ada@example.org", "a < b"),
        ("a placeholder", "ada@example.org", &placeholder),
        ("none, a value has quotes", "\"Ada\" L", " token"),
    ] {
        println!(
            "restore, raw chunk,   {title:28} {:?}",
            restoring(value, &raw(text, ""))
        );
        println!(
            "restore, other form,  {title:28} {:?}",
            restoring(value, &raw(text, " "))
        );
        println!(
            "restore, typed chunk, {title:28} {:?}",
            restoring(value, &typed(text))
        );
    }
    masking("nothing to mask", PROSE)?;
    masking(
        "five values in it",
        &format!(
            "I am Ada Lovelace, ada@example.org, +44 20 7946 0958, card 4111 1111 1111 1111, IBAN DE89 3704 0044 0532 0130 00. {PROSE}"
        ),
    )
}

fn vault(value: &str) -> (Vault, String) {
    let mut vault = Vault::default();
    let minter = Minter::new(b"secret", "tenant", "user");
    let name = vault.placeholder(&minter, &EntityKind::Email, value, &Taken::new(b""));
    vault.allow(&name, Restore::Everywhere);
    // As behind a policy: answers are looked over for placeholders that leak.
    let labels = Labels::of(&Profile::all("cost", Action::Mask), &[]);
    vault.watch(Arc::new(labels));
    (vault, name)
}

/// A chunk; with a `space` in it, it is not of the form that most servers send.
fn raw(text: &str, space: &str) -> ChatEvent {
    let data = json!({ "id": "chatcmpl-9ztV2mBqK1x7w", "object": "chat.completion.chunk", "created": 1_700_000_000,
        "model": "m-served", "system_fingerprint": "fp_44709d6fcb",
        "choices": [{ "index": 0, "delta": { "content": text }, "logprobs": null, "finish_reason": null }] });
    ChatEvent::Raw(Raw {
        name: None,
        data: Bytes::from(data.to_string().replacen(
            "\"delta\":",
            &format!("{space}\"delta\":"),
            1,
        )),
        facts: Facts::default(),
    })
}

fn typed(text: &str) -> ChatEvent {
    ChatEvent::Text {
        choice: 0,
        text: text.to_owned(),
        logprobs: None,
    }
}

/// Time of one chunk, its copy for the measurement taken off.
fn restoring(value: &str, event: &ChatEvent) -> Duration {
    let answer = |restorer: &mut Option<Restorer>| {
        let mut out = Vec::with_capacity(1);
        let started = Instant::now();
        for _ in 0..CHUNKS {
            out.clear();
            match restorer {
                Some(restorer) => restorer.on_event(black_box(event).clone(), &mut out),
                None => out.push(black_box(event).clone()),
            }
            black_box(&out);
        }
        started.elapsed()
    };
    let fastest = |fresh: &dyn Fn() -> Option<Restorer>| {
        let rounds = (0..ROUNDS).map(|_| answer(&mut fresh()));
        rounds.min().unwrap_or_default()
    };
    let with = fastest(&|| Some(Restorer::new(vault(value).0, false)));
    with.saturating_sub(fastest(&|| None)) / CHUNKS
}

fn masking(title: &str, text: &str) -> Result<(), DetectorError> {
    let detector = detector(Vec::new())?;
    let profile = Profile::all("cost", Action::Mask);
    let minter = Minter::new(b"secret", "tenant", "user");
    let mut content = text.repeat(8);
    content.truncate(content.floor_char_boundary(920));
    let body = json!({ "model": "m", "stream": true, "temperature": 0.7,
        "messages": [{ "role": "user", "content": content }] });
    let body = Bytes::from(body.to_string());
    let mut replaced = 0;
    let rounds = (0..ROUNDS * 10).map(|_| {
        let started = Instant::now();
        let masked = mask(
            &detector,
            &profile,
            &minter,
            &More::default(),
            black_box(&body),
        );
        let took = started.elapsed();
        replaced = masked.map_or(0, |masked| masked.report.total(Action::Mask));
        took
    });
    let took = rounds.min().unwrap_or_default();
    println!(
        "mask, {} bytes, {title}: {took:?}, {replaced} replaced",
        body.len()
    );
    Ok(())
}
