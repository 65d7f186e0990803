use super::*;
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;

fn rule(a: &str, b: &str, cosine: f32) -> Ruling {
    let limits = Limits::from(Strictness::Strict);
    compare(&Features::of(a), &Features::of(b), cosine, &limits)
}

#[track_caller]
fn refused(a: &str, b: &str, reason: &str) {
    // However near the vectors are.
    let ruling = rule(a, b, 0.99);
    assert_eq!((ruling.hit, ruling.reason), (false, reason), "{a} | {b}");
}

#[track_caller]
fn light(a: &str, b: &str) {
    assert!(rule(a, b, 0.5).hit, "{a} | {b}");
}

#[test]
fn each_difference_is_refused_by_its_name() {
    refused("Is 5 GB enough?", "Is 50 GB enough?", "number");
    refused("How long is 5 miles?", "How long is 5 km?", "unit");
    refused("Are you open on Monday?", "Are you open on Sunday?", "date");
    refused(
        "Does it work with PHP8.2?",
        "Does it work with PHP8.3?",
        "code",
    );
    refused("Can I enable alerts?", "Can I disable alerts?", "polarity");
    refused(
        "Is it safe to freeze rice?",
        "Is it not safe to freeze rice?",
        "polarity",
    );
    refused(
        "How do I cancel the Pro plan?",
        "How do I cancel the Team plan?",
        "name",
    );
    refused(
        "How do I convert a list to a tuple?",
        "How do I convert a tuple to a list?",
        "order",
    );
    refused(
        "How do I move files from Dropbox?",
        "How do I move files to Dropbox?",
        "order",
    );
    refused(
        "What did <PERSON_7f3k> order?",
        "What did <PERSON_9a2b> order?",
        "code",
    );
    refused(
        "Wie lösche ich mein Konto für immer?",
        "Wie ändere ich mein Konto für immer?",
        "language",
    );
}

#[test]
fn other_languages_are_not_judged_by_english_words() {
    for (a, b) in [
        (
            "Kann ich das Konto löschen?",
            "Kann ich das Konto nicht löschen?",
        ),
        (
            "Comment annuler une commande ?",
            "Comment suivre une commande ?",
        ),
        (
            "¿Cómo puedo abrir la puerta?",
            "¿Cómo puedo cerrar la puerta?",
        ),
        (
            "Come posso aprire il conto?",
            "Come posso chiudere il conto?",
        ),
        ("Где мой заказ?", "Где твой заказ?"),
        ("我可以退款吗", "我不可以退款吗"),
    ] {
        refused(a, b, "language");
    }
}

#[test]
fn what_changes_nothing_that_is_asked_is_a_hit() {
    light("How do I export my data?", "how do i export my data");
    light(
        "How do I export my data?",
        "Hi, please tell me how do I export my data? Thanks!",
    );
    light("How do I export my data?", "How do I exprot my data?");
    light("Where is the invoice?", "Where is an invoice");
    light("Где мой заказ?", "где мой заказ");
}

#[test]
fn questions_that_serve_nobody_else_are_named() {
    assert_eq!(unsuitable("Where is my order?"), Some(Unsuitable::Personal));
    assert_eq!(
        unsuitable("What is the weather today?"),
        Some(Unsuitable::Momentary)
    );
    assert_eq!(unsuitable("And in winter?"), Some(Unsuitable::Follows));
    assert_eq!(unsuitable("Hello, please"), Some(Unsuitable::Empty));
    assert_eq!(unsuitable(&"word ".repeat(1000)), Some(Unsuitable::Long));
    assert_eq!(unsuitable("How do I boil an egg?"), None);
}

/// Hits and pairs of each set of the held-back pairs; their vectors' cosines stand in the lines.
fn held() -> BTreeMap<String, (u32, u32)> {
    let mut sets = BTreeMap::new();
    for line in include_str!("../../../data/pairs/held.jsonl").lines() {
        let pair: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| pair[name].as_str().unwrap();
        let cosine = serde_json::from_value(pair["cosine"].clone()).unwrap();
        let ruling = rule(text("a"), text("b"), cosine);
        let (hits, all): &mut (u32, u32) = sets.entry(text("set").to_owned()).or_default();
        *hits += u32::from(ruling.hit);
        *all += 1;
    }
    sets
}

/// A floor under the figures of `docs/cache-guard.md`.
#[test]
fn held_back_pairs_are_ruled_on_as_the_page_says() {
    let sets = held();
    let share = |set: &str| {
        let (hits, all) = sets[set];
        f64::from(hits) / f64::from(all)
    };
    assert!(share("light") >= 0.99, "{sets:?}");
    assert!(share("paraphrase") >= 0.42, "{sets:?}");
    assert!(share("one_slot") <= 0.01, "{sets:?}");
    assert!(share("reworded") <= 0.05, "{sets:?}");
}

#[test]
fn a_megabyte_is_read_no_further_than_its_front() {
    let long = "what is the meaning of this word ".repeat(32_000);
    let (one, other) = (Features::of(&long), Features::of(&format!("{long}x")));
    assert!(one.cut && one.words.len() <= normal::WORDS_MAX);
    let limits = Limits::from(Strictness::Strict);
    assert_eq!(compare(&one, &other, 1.0, &limits).reason, "too_long");
    assert!(compare(&one, &one.clone(), 1.0, &limits).hit);
}

#[test]
fn features_survive_being_kept() {
    let features = Features::of("Is 5 GB enough for <EMAIL_7f3k> on Monday?");
    let text = serde_json::to_string(&features).unwrap();
    assert_eq!(serde_json::from_str::<Features>(&text).unwrap(), features);
}

proptest! {
    #[test]
    fn any_two_texts_are_ruled_on_alike_in_both_orders(a in "\\PC{0,80}", b in "\\PC{0,80}", cosine in -1.0f32..1.0) {
        prop_assert_eq!(rule(&a, &b, cosine), rule(&b, &a, cosine));
        prop_assert!(rule(&a, &a, cosine).hit);
        let score = rule(&a, &b, cosine).score;
        prop_assert!((0.0..=1.0).contains(&score));
    }

    #[test]
    fn word_salads_are_ruled_on_alike_in_both_orders(
        a in prop::collection::vec("(how|do|not|5|gb|monday|Paris|from|to|the|open|close|by|[a-c]{3})", 0..12),
        b in prop::collection::vec("(how|do|not|7|mb|sunday|Rome|from|to|a|open|close|by|[a-c]{3})", 0..12),
    ) {
        let (a, b) = (a.join(" "), b.join(" "));
        prop_assert_eq!(rule(&a, &b, 0.9), rule(&b, &a, 0.9));
    }
}
