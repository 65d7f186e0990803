use super::*;

const CONTEXT: &str = "The Orion blender costs 89 dollars and has a warranty of two years. Customers can return it within 30 days. \
The Vega blender costs 120 dollars. Maria Lopez founded the company in Lisbon on 15 March 2012. Shipping to Austria is not free.";

#[track_caller]
fn check(answer: &str, reason: Option<Reason>) {
    let found = Context::new(CONTEXT).ground(answer);
    let reasons: Vec<_> = found
        .sentences
        .iter()
        .map(|sentence| sentence.reason)
        .collect();
    assert_eq!(reasons, [reason], "{answer}");
}

#[test]
fn what_is_there_is_supported_also_in_other_forms() {
    for answer in [
        "The Orion blender costs $89.",
        "The Orion has a 2-year warranty.",
        "You can return it within thirty days.",
        "The company was started by Maria Lopez in Lisbon.",
        "It was founded on 2012-03-15.",
        "Is there anything else?",
        "I don't know.",
        "I hope this helps!",
    ] {
        check(answer, None);
    }
}

#[test]
fn what_is_not_there_has_its_reason() {
    check("The Orion blender costs 99 dollars.", Some(Reason::Number));
    check("The Orion blender costs 120 dollars.", Some(Reason::Number));
    check(
        "Customers can return it within 30 weeks.",
        Some(Reason::Unit),
    );
    check(
        "Maria Lopez founded the company on 15 May 2012.",
        Some(Reason::Date),
    );
    check(
        "Maria Gomez founded the company in Lisbon.",
        Some(Reason::Name),
    );
    check("Shipping to Austria is free.", Some(Reason::Negation));
    check(
        "Customers cannot return it within 30 days.",
        Some(Reason::Negation),
    );
    check(
        "The motor is made of titanium and runs silently underwater.",
        Some(Reason::Words),
    );
}

#[test]
fn sentences_are_told_apart() {
    let found = Context::new(CONTEXT)
        .ground("Sure!\n1. The Orion costs 89 dollars.\n2. It was invented by robots on Mars.");
    assert_eq!(found.share(), 0.5);
    let wrong: Vec<_> = found.unsupported().map(|(number, ..)| number).collect();
    assert_eq!(wrong, [3]);
    assert!(!found.is_whole());
}

#[test]
fn german_nouns_are_no_names() {
    let context =
        Context::new("Die Garantie beträgt zwei Jahre. Der Versand nach Österreich kostet 8 Euro.");
    for (answer, whole) in [
        ("Die Garantie läuft 2 Jahre.", true),
        ("Der Versand nach Österreich kostet 8 €.", true),
        ("Der Versand nach Österreich kostet 9 €.", false),
        ("Der Versand nach Österreich kostet nicht 8 Euro.", false),
    ] {
        assert_eq!(
            context.ground(answer).is_whole(),
            whole,
            "{answer}: {:?}",
            context.ground(answer)
        );
    }
}

#[test]
fn long_texts_take_bounded_time() {
    let context = Context::new(&"word after word, and then 12 more. ".repeat(20_000));
    let found = context.ground(&"another 13 sentences. ".repeat(500));
    assert_eq!(found.sentences.last().unwrap().reason, Some(Reason::Unread));
}
