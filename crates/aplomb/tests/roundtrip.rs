//! Labelled texts on their way through the gateway and back: byte for byte the same for the client, and without the
//! labelled values for the provider. In both dialects on both sides, whole and streamed, with and without JSON escapes.
#![cfg(test)]
#![expect(
    dead_code,
    reason = "the generator of texts is that of the privacy room's own tests, which use more of it"
)]

#[path = "../../../checklist/privacy/tests/corpus/mod.rs"]
mod corpus;

use aplomb_testkit::Dialect;
use aplomb_testkit::check::{self, End};
use aplomb_testkit::client::{Request, chat_body};
use aplomb_testkit::gateway::Gateway;
use aplomb_testkit::upstream::{Script, Seen, Step, Upstream};
use aplomb_testkit::wire::{self, Events};
use corpus::{Labelled, from_templates};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");
const TUNED: &str = include_str!("../../../checklist/privacy/tests/data/tuned.txt");
const HELD_OUT: &str = include_str!("../../../checklist/privacy/tests/data/held_out.txt");
const HARMLESS: &str = include_str!("../../../checklist/privacy/tests/data/harmless.txt");

/// Most labelled values that may reach the provider, of a thousand: detection has a recall, which its own tests measure.
const MISSED_MAX: usize = 5;

/// The text of the only message, whatever its form.
fn prompt(seen: &Seen) -> String {
    match &seen.json()["messages"][0]["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        other => panic!("no text: {other}"),
    }
}

/// Sends the prompt back: in pieces of one to three characters and writes of odd sizes, and for the model `escaped`
/// with a JSON escape for every sign that a placeholder is made of.
fn echo(seen: &Seen) -> Script {
    let said = prompt(seen);
    let escape = |text: String| {
        if seen.model() == "escaped" {
            let text = text.replace('<', "\\u003c").replace('>', "\\u003E");
            text.replace("PHONE_", "PHONE\\u005f")
        } else {
            text
        }
    };
    let size = said.len() % 3 + 1;
    let bytes = if seen.is_stream() {
        let chars: Vec<char> = said.chars().collect();
        let pieces: Vec<String> = chars.chunks(size).map(String::from_iter).collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        wire::stream_answer(escape(Events::text(seen, &pieces).join()).as_bytes())
    } else {
        let body = escape(wire::whole(seen.dialect(), &said).to_string());
        wire::answer(
            200,
            &[("content-type", "application/json")],
            body.as_bytes(),
        )
    };
    vec![Step::SendSplit(bytes, 211 * size)]
}

/// One way through the gateway.
#[derive(Debug, Clone, Copy)]
struct Way {
    client: Dialect,
    model: &'static str,
    stream: bool,
}

/// Every text goes four ways: whole and streamed, in each of the client's dialects.
fn ways(number: usize) -> Vec<Way> {
    const MODELS: [&str; 4] = ["up/plain", "claude/escaped", "up/escaped", "claude/plain"];
    let mut ways = Vec::new();
    for (at, client) in Dialect::ALL.into_iter().enumerate() {
        for (again, stream) in [true, false].into_iter().enumerate() {
            let model = MODELS[(number + at + 2 * again) % 4];
            ways.push(Way {
                client,
                model,
                stream,
            });
        }
    }
    ways
}

fn ask(gateway: &Gateway, way: Way, text: &str) -> String {
    let mut body = chat_body(way.client, way.model, way.stream);
    body["messages"] = json!([{ "role": "user", "content": text }]);
    let answer = Request::post(gateway.data, way.client.path(), &body).whole();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let said = if way.stream {
        let events = aplomb_testkit::sse::events(&answer.body).unwrap();
        check::stream(way.client, &events).unwrap()
    } else {
        check::whole(way.client, &answer.json()).unwrap()
    };
    assert_eq!(said.end, End::Whole);
    said.text
}

/// Labelled values with their kinds, as far as they stand nowhere else in the text.
fn values(labelled: &Labelled) -> Vec<(&str, &str)> {
    let spans = labelled.spans.iter();
    spans
        .map(|(range, kind)| (&labelled.text[range.clone()], kind.as_str()))
        .filter(|(value, _)| labelled.text.matches(value).count() == 1)
        .collect()
}

#[test]
fn labelled_texts_come_back_and_their_values_never_leave() {
    let upstream = Upstream::start(echo);
    let url = upstream.url();
    let gateway = Gateway::start(
        BINARY,
        &format!(
            "providers:\n  up: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY }}\n  \
             claude: {{ kind: anthropic, base_url: \"{url}\", api_key: env:UP_KEY }}\n\
             privacy:\n  default: {{ \"*\": mask }}\n"
        ),
    );
    let mut texts = from_templates(HELD_OUT, 4711, 2);
    texts.extend(from_templates(TUNED, 4712, 1));
    texts.extend(from_templates(HARMLESS, 4713, 1));
    assert!(texts.len() > 400, "{}", texts.len());
    let mut wrong = Vec::new();
    std::thread::scope(|scope| {
        let (gateway, texts) = (&gateway, &texts);
        let worker = |part: usize| {
            let mut wrong = Vec::new();
            for (number, labelled) in texts.iter().enumerate().skip(part).step_by(4) {
                for way in ways(number) {
                    let said = ask(gateway, way, &labelled.text);
                    if said != labelled.text {
                        wrong.push(format!("{way:?}\n  {:?}\n  {said:?}", labelled.text));
                    }
                }
            }
            wrong
        };
        let workers: Vec<_> = (0..4)
            .map(|part| scope.spawn(move || worker(part)))
            .collect();
        for worker in workers {
            wrong.extend(worker.join().unwrap());
        }
    });
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        4 * texts.len(),
        wrong.join("\n")
    );
    let seen: Vec<String> = upstream.seen().iter().map(prompt).collect();
    assert_eq!(seen.len(), 4 * texts.len());
    let seen = seen.join("\n");
    let all: Vec<(&str, &str)> = texts.iter().flat_map(values).collect();
    let missed: Vec<_> = all
        .iter()
        .filter(|(value, _)| seen.contains(value))
        .collect();
    println!(
        "{} of {} labelled values left: {missed:?}",
        missed.len(),
        all.len()
    );
    assert!(missed.len() * 1000 <= all.len() * MISSED_MAX, "{missed:?}");
}
