//! Questions that are alike: whose answer serves, and whose does not, seen from outside.
#![cfg(test)]

use aplomb_testkit::client::Request;
use aplomb_testkit::gateway::Gateway;
use aplomb_testkit::upstream::{Script, Seen, Step, Upstream};
use aplomb_testkit::{wait_for, wire};
use serde::Deserialize;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");

/// Answers with the number of the call; vectors on `/v1/embeddings` lie in a plane.
fn numbered(seen: &Seen) -> Script {
    if seen.path.starts_with("/v1/embeddings") {
        let body = json!({ "object": "list", "model": "vectors", "usage": { "prompt_tokens": 7, "total_tokens": 7 },
            "data": [{ "object": "embedding", "index": 0, "embedding": [1.0, 0.0, 0.0, 0.0] }] });
        return vec![Step::Send(wire::json_answer(200, &body))];
    }
    let said = format!("answer {}", seen.number);
    wire::good(seen, &[&said, " says this"])
}

fn config(upstream: &Upstream, semantic: &str) -> String {
    let url = upstream.url();
    format!(
        "providers:\n  up: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY }}\n\
         caches:\n  faq: {{ exact: 1h, semantic: {{ {semantic} }} }}\n\
         routes:\n  chat: {{ targets: [up/m], cache: faq, privacy: standard }}\n\
         privacy:\n  standard: {{ email: mask }}\n"
    )
}

fn start(upstream: &Upstream, semantic: &str) -> Gateway {
    Gateway::start(BINARY, &config(upstream, semantic))
}

/// What was answered, what the cache did, and the record's id.
struct Told {
    text: String,
    cache: String,
    id: String,
}

fn ask(gateway: &Gateway, user: &str, text: &str) -> Told {
    converse(gateway, user, &json!([{ "role": "user", "content": text }]))
}

fn converse(gateway: &Gateway, user: &str, messages: &Value) -> Told {
    let body = json!({ "model": "chat", "messages": messages });
    let answer = Request::post(gateway.data, "/v1/chat/completions", &body)
        .header("x-aplomb-user", user)
        .whole();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let said = &answer.json()["choices"][0]["message"]["content"];
    Told {
        text: said.as_str().unwrap().to_owned(),
        cache: answer.header("x-aplomb-cache").unwrap().to_owned(),
        id: answer.header("x-aplomb-request-id").unwrap().to_owned(),
    }
}

/// Waits until so many questions have a vector.
fn vectors(gateway: &Gateway, count: u64) {
    wait_for("the vectors", || {
        let shown = gateway.admin_get("/admin/v1/cache").whole().json();
        (shown["data"][0]["vectors"].as_u64() == Some(count)).then_some(())
    });
}

fn record(gateway: &Gateway, id: &str) -> Value {
    wait_for("the record", || {
        let path = format!("/admin/v1/requests/{id}");
        let answer = gateway.admin_get(&path).whole();
        (answer.status == 200).then(|| answer.json())
    })
}

#[test]
fn a_question_in_other_words_gets_the_same_answer_and_another_question_does_not() {
    let upstream = Upstream::start(numbered);
    let gateway = start(&upstream, "");
    let first = ask(&gateway, "ada", "How do I cancel the Pro plan?");
    assert_eq!(first.cache, "miss; reason=unknown");
    // Another spelling needs no vector.
    let spelled = ask(&gateway, "ada", "how do I cancel the pro plan");
    assert_eq!(
        (&spelled.text, &*spelled.cache),
        (&first.text, "hit; kind=semantic; score=1.00")
    );
    vectors(&gateway, 1);
    let polite = ask(
        &gateway,
        "ada",
        "Please tell me, how do I cancel the Pro plan?",
    );
    assert_eq!(
        (&polite.text, &*polite.cache),
        (&first.text, "hit; kind=semantic; score=0.98")
    );
    let reworded = ask(&gateway, "ada", "What is the way to cancel the Pro plan?");
    assert_eq!(reworded.text, first.text, "{}", reworded.cache);
    let other = ask(&gateway, "ada", "How do I cancel the Team plan?");
    assert!(
        other.text != first.text && other.cache.starts_with("miss; reason="),
        "{}",
        other.cache
    );
    let polarity = ask(&gateway, "ada", "How do I not cancel the Pro plan?");
    assert_eq!(polarity.cache, "miss; reason=polarity");
    let calls = upstream.seen().len();
    assert_eq!(calls, 3);

    let hit = record(&gateway, &polite.id);
    assert_eq!(
        (&hit["cache_result"], &hit["cache_source"], &hit["cost_usd"]),
        (
            &"hit_semantic".into(),
            &first.id.as_str().into(),
            &"0".into()
        )
    );
    assert!((hit["cache_score"].as_f64().unwrap() - 0.98).abs() < 0.001);
    let refused = record(&gateway, &polarity.id);
    assert_eq!(refused["cache_reason"], "polarity");
    assert!(refused["cache_cosine"].as_f64().unwrap() > 0.7, "{refused}");
}

#[test]
fn users_share_only_where_the_file_says_so_and_nothing_that_is_their_own() {
    let upstream = Upstream::start(numbered);
    let gateway = start(&upstream, "");
    let question = "What does the Pro plan cost?";
    ask(&gateway, "ada", question);
    let other = ask(&gateway, "bob", "what does the pro plan cost");
    assert_eq!(other.cache, "miss; reason=unknown");
    // What a user is told of their own is told them again.
    let own = ask(&gateway, "ada", "Where is my invoice of the Pro plan?");
    let again = ask(&gateway, "ada", "where is my invoice of the pro plan");
    assert_eq!(own.text, again.text);

    let gateway = start(&upstream, "scope: tenant");
    let first = ask(&gateway, "ada", question);
    let shared = ask(&gateway, "bob", "what does the pro plan cost");
    assert_eq!(
        (&shared.text, &*shared.cache),
        (&first.text, "hit; kind=semantic; score=1.00")
    );
    ask(&gateway, "ada", "Where is my invoice?");
    assert_eq!(
        ask(&gateway, "bob", "where is my invoice").cache,
        "miss; reason=personal"
    );
    // What was masked stays with its user, and with its value.
    let mail = |user, value: &str| ask(&gateway, user, &format!("Is {value} a good address?"));
    let masked = mail("ada", "ada@example.org");
    assert_eq!(mail("bob", "ada@example.org").cache, "miss; reason=unknown");
    assert_ne!(mail("ada", "eva@example.org").text, masked.text);
}

#[test]
fn what_depends_on_the_moment_or_the_conversation_is_asked_anew() {
    let upstream = Upstream::start(numbered);
    let gateway = start(&upstream, "");
    for (question, spelled, why) in [
        (
            "What is the weather today?",
            "what is the weather today",
            "momentary",
        ),
        (
            "And how much is the second one?",
            "and how much is the second one",
            "follows",
        ),
    ] {
        ask(&gateway, "ada", question);
        let again = ask(&gateway, "ada", spelled);
        assert_eq!(again.cache, format!("miss; reason={why}"));
    }
    let talk = |last: &str| {
        json!([{ "role": "user", "content": "Hello" }, { "role": "assistant", "content": "Hi" },
            { "role": "user", "content": last }])
    };
    converse(&gateway, "ada", &talk("How do I cancel the Pro plan?"));
    let again = converse(&gateway, "ada", &talk("how do I cancel the pro plan"));
    assert_eq!(again.cache, "miss; reason=turns");
    let gateway = start(&upstream, "turns: 2");
    converse(&gateway, "ada", &talk("How do I cancel the Pro plan?"));
    let again = converse(&gateway, "ada", &talk("how do I cancel the pro plan"));
    assert_eq!(again.cache, "hit; kind=semantic; score=1.00");
}

#[test]
fn in_shadow_mode_the_provider_answers_and_the_record_says_how_far_they_agree() {
    let upstream = Upstream::start(numbered);
    let gateway = start(&upstream, "mode: shadow");
    let first = ask(&gateway, "ada", "How do I cancel the Pro plan?");
    let watched = ask(&gateway, "ada", "how do I cancel the pro plan");
    assert_eq!(watched.cache, "miss; reason=shadow; score=1.00");
    assert_ne!(watched.text, first.text);
    let record = record(&gateway, &watched.id);
    assert_eq!(record["cache_source"], first.id.as_str());
    // "answer 0 says this" and "answer 1 says this" share some of their words.
    let agreement = record["cache_agreement"].as_f64().unwrap();
    assert!(agreement > 0.3 && agreement < 1.0, "{agreement}");
    let shown = gateway.admin_get("/admin/v1/cache").whole().json();
    assert_eq!(shown["data"][0]["shadow"], 1);
    assert_eq!(shown["data"][0]["hits_semantic"], 0);
}

#[test]
fn a_providers_vectors_are_used_and_a_failure_of_them_is_only_a_miss() {
    let upstream = Upstream::start(numbered);
    let gateway = start(&upstream, "model: up/vectors, wait: 10s");
    let first = ask(&gateway, "ada", "How do I cancel the Pro plan?");
    vectors(&gateway, 1);
    let reworded = ask(&gateway, "ada", "What is the way to cancel the Pro plan?");
    assert_eq!(reworded.text, first.text);
    let asked: Vec<Value> = upstream
        .seen()
        .iter()
        .filter(|seen| seen.path == "/v1/embeddings")
        .map(Seen::json)
        .collect();
    assert_eq!(asked.len(), 2);
    assert_eq!(
        (&asked[0]["model"], &asked[0]["input"]),
        (&"vectors".into(), &"How do I cancel the Pro plan?".into())
    );

    for (answer, wait, why) in [
        (
            json!({ "data": [{ "embedding": [] }] }),
            "10s",
            "embedding_failed",
        ),
        (
            json!({ "data": [{ "embedding": ["x"] }] }),
            "10s",
            "embedding_failed",
        ),
        (
            json!({ "error": { "message": "no" } }),
            "10s",
            "embedding_failed",
        ),
    ] {
        let broken = Upstream::start(move |seen| match &*seen.path {
            "/v1/embeddings" => vec![Step::Send(wire::json_answer(200, &answer))],
            _ => numbered(seen),
        });
        let gateway = start(&broken, &format!("model: up/vectors, wait: {wait}"));
        ask(&gateway, "ada", "How do I cancel the Pro plan?");
        let reworded = ask(&gateway, "ada", "What is the way to cancel the Pro plan?");
        assert_eq!(reworded.cache, format!("miss; reason={why}"));
    }
    // One that never answers is not waited for longer than the file says.
    let silent = Upstream::start(|seen| match &*seen.path {
        "/v1/embeddings" => vec![Step::Stall],
        _ => numbered(seen),
    });
    let gateway = start(&silent, "model: up/vectors, wait: 5ms");
    ask(&gateway, "ada", "How do I cancel the Pro plan?");
    let reworded = ask(&gateway, "ada", "What is the way to cancel the Pro plan?");
    assert_eq!(reworded.cache, "miss; reason=embedding_late");
}

#[derive(Deserialize)]
struct Pair {
    set: String,
    a: String,
    b: String,
}

/// The recipe for `scope: tenant`: one user asks, others ask alike. Held-back pairs, in a sample.
#[test]
fn users_of_a_tenant_are_served_what_others_asked_alike_and_no_near_miss() {
    let upstream = Upstream::start(numbered);
    let gateway = start(&upstream, "scope: tenant, wait: 10s");
    let held = include_str!("../../../checklist/latency/data/pairs/held.jsonl");
    let pairs: Vec<Pair> = held
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (mut asked, mut light) = (0, (0, 0));
    for (n, pair) in pairs.iter().enumerate().filter(|(n, _)| n % 9 == 0) {
        // Each pair by itself: a session of its own in the question's namespace.
        let messages = |text: &str| json!([{ "role": "system", "content": format!("pair {n}") }, { "role": "user", "content": text }]);
        converse(&gateway, "ada", &messages(&pair.a));
        let other = converse(&gateway, "bob", &messages(&pair.b));
        let hit = other.cache.starts_with("hit; kind=semantic");
        asked += 1;
        match &*pair.set {
            "light" => {
                light.0 += usize::from(
                    hit || other.cache.contains("personal") || other.cache.contains("follows"),
                );
                light.1 += 1;
            }
            "one_slot" => assert!(!hit, "{} / {}", pair.a, pair.b),
            _ => {}
        }
    }
    assert!(asked > 50 && light.1 > 15, "{asked} {light:?}");
    assert!(light.0 * 10 >= light.1 * 9, "{light:?}");
}
