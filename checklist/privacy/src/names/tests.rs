//! What the finder promises, case by case, and what it measures at.

mod measure;

use proptest::prelude::*;

use super::*;

fn find(text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    Names::new().find(text, &measure::emails(text), &mut found);
    found
}

/// Names as `P:Anna`, `L:Paris`, `O:Acme Ltd`, in the order of the text.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let letter = |kind| match kind {
        NameKind::Person => 'P',
        NameKind::Location => 'L',
        NameKind::Organization => 'O',
    };
    let found: Vec<_> = find(text)
        .iter()
        .map(|name| format!("{}:{}", letter(name.kind), &text[name.range.clone()]))
        .collect();
    assert_eq!(found, expected, "{text}");
}

#[test]
fn titles_stay_outside() {
    check(
        "I met Mr. Jenkins and Dr Anna Weber-Schmitt.",
        &["P:Jenkins", "P:Anna Weber-Schmitt"],
    );
    check("Frau Prof. Dr. Özdemir ist da.", &["P:Özdemir"]);
    check("ask mrs smith about it", &["P:smith"]);
    check("Ahmet Bey aradı.", &["P:Ahmet"]);
    check("请联系王伟先生。", &["P:王伟"]);
    check("佐藤様、こんにちは。", &["P:佐藤"]);
    check("박지훈님 안녕하세요.", &["P:박지훈"]);
    check("श्री राम शर्मा आए।", &["P:राम शर्मा"]);
}

#[test]
fn names_have_initials_particles_and_suffixes() {
    check("The book by J. R. Smith arrived.", &["P:J. R. Smith"]);
    check("Ludwig van der Meer called.", &["P:Ludwig van der Meer"]);
    check(
        "Ask Conor O'Brien-McDonald Jr. tomorrow.",
        &["P:Conor O'Brien-McDonald Jr."],
    );
    check("It was Vanessa P. Hertzog.", &["P:Vanessa P. Hertzog"]);
}

#[test]
fn cues_announce_unlisted_names() {
    check("my name is qwyntara zbigniu", &["P:qwyntara zbigniu"]);
    check("Dear Qwyntara,\nthe parcel left.", &["P:Qwyntara"]);
    check("Best regards,\nQwyntara Zbigniu", &["P:Qwyntara Zbigniu"]);
    check("Ich heiße Qwyntara.", &["P:Qwyntara"]);
    check("Qwyntara's wife called.", &["P:Qwyntara"]);
}

#[test]
fn keys_and_columns_announce_names() {
    check(
        r#"{"first_name": "Qwyntara", "plan": "Pro"}"#,
        &["P:Qwyntara"],
    );
    check("<lastName>Zbigniu</lastName>", &["P:Zbigniu"]);
    check(
        "id,full_name,plan\n1,Qwyntara Zbigniu,pro\n",
        &["P:Qwyntara Zbigniu"],
    );
    check(
        "| Name | Age |\n|---|---|\n| Qwyntara | 3 |",
        &["P:Qwyntara"],
    );
    check(r#"{"first_name": "required", "last_name": null}"#, &[]);
    check("name: nginx\nimage: nginx:1.27", &[]);
}

#[test]
fn a_person_found_once_is_found_everywhere() {
    check(
        "Mrs. Qwyntara Zbigniu wrote. Then Zbigniu left.",
        &["P:Qwyntara Zbigniu", "P:Zbigniu"],
    );
    check("请联系王伟先生，谢谢王伟", &["P:王伟", "P:王伟"]);
}

#[test]
fn mail_addresses_give_names_away_and_hold_none() {
    check(
        "qwyntara.zbigniu@example.org says Zbigniu is ill",
        &["P:Zbigniu"],
    );
    check("Write to support@example.org. Support is open.", &[]);
}

#[test]
fn places_and_organisations() {
    check("She lives in Paris.", &["L:Paris"]);
    check(
        "Paris Hilton lives in Springfield, IL.",
        &["P:Paris Hilton", "L:Springfield"],
    );
    check("Acme Widgets Ltd. hired her.", &["O:Acme Widgets Ltd."]);
    check(
        "He studied at Stanford University.",
        &["O:Stanford University"],
    );
    check("株式会社ミライの東京支店", &["O:株式会社ミライ", "L:東京"]);
}

fn with_model(text: &str) -> Vec<(NameKind, &str, &'static str)> {
    let mut found = Vec::new();
    let names = Names::new().with_model().unwrap();
    names.find(text, &measure::emails(text), &mut found);
    let shown = |name: &Found| (name.kind, &text[name.range.clone()], name.reason);
    found.iter().map(shown).collect()
}

#[test]
fn the_model_reads_english_prose_only() {
    let model = (NameKind::Person, "Qwyntabar", "name model");
    assert_eq!(
        with_model("Yesterday we asked Qwyntabar for the report."),
        [model]
    );
    // A person found by the model is found everywhere in the text too.
    let text = "Yesterday we asked Qwyntabar for the report.\n\n- Qwyntabar";
    assert_eq!(with_model(text).len(), 2);
    for other in [
        "Gestern haben wir Qwyntabar nach dem Bericht gefragt.",
        "Hier nous avons demandé le rapport à Qwyntabar.",
        "Qwyntabar",
        "```\nthe Qwyntabar asked for the report\n```",
        "昨日は the レポート Qwyntabar です。",
    ] {
        assert_eq!(with_model(other), [], "{other}");
    }
}

#[test]
fn the_model_takes_no_person_from_the_rules() {
    let own: Vec<_> = include_str!("../../testset/english.txt").lines().collect();
    for line in own {
        let text = line.replace("<P>", "").replace("</P>", "");
        let by_model = with_model(&text);
        let people = find(&text)
            .into_iter()
            .filter(|name| name.kind == NameKind::Person);
        for name in people {
            let kept = by_model.iter().any(|(kind, found, _)| {
                *kind == NameKind::Person && found.contains(&text[name.range.clone()])
            });
            assert!(kept, "{name:?} in {text}");
        }
    }
}

#[test]
fn code_is_left_alone() {
    check("```\nlet anna = Robert::new(\"Maria\");\n```", &[]);
    check("use `Peter Smith` here", &[]);
    check("import com.robert.Maria;", &[]);
}

#[test]
fn blocks_cover_the_text_and_names_keep_their_places() {
    let text = "Frau Müller rief an. ".repeat(10_000);
    let found = find(&text);
    assert_eq!(found.len(), 10_000);
    assert!(
        found
            .iter()
            .all(|name| &text[name.range.clone()] == "Müller")
    );
}

/// Texts on which a rule that looks ahead without a bound would take quadratic time and hang this test.
#[test]
fn hostile_texts_take_linear_time() {
    for piece in [
        "(",
        "（",
        "-",
        "Anna-",
        "A.",
        "J. ",
        "van ",
        "・ア",
        "王",
        "is ",
        "\"name\":",
        "a,",
        "|",
        "'",
        "`",
        "Mr. ",
        "&",
        "주",
        "@",
        "\u{301}",
    ] {
        let text = piece.repeat(300_000 / piece.len());
        sane(&text, &find(&text));
    }
}

#[test]
fn lists_fit_the_memory_that_was_promised() {
    assert!(
        Lexicon::shared().bytes() < 8 << 20,
        "{}",
        Lexicon::shared().bytes()
    );
}

fn sane(text: &str, found: &[Found]) {
    let mut end = 0;
    for name in found {
        assert!(
            name.range.start >= end && !name.range.is_empty(),
            "{name:?}"
        );
        assert!(
            text.is_char_boundary(name.range.start) && text.is_char_boundary(name.range.end),
            "{name:?}"
        );
        assert!((0.0..=1.0).contains(&name.score));
        end = name.range.end;
    }
    assert!(end <= text.len());
}

/// Fragments that rules react to, so that random texts reach them.
const FRAGMENTS: &[&str] = &[
    "Anna",
    "Smith",
    " ",
    "\n",
    ", ",
    ". ",
    "Mr.",
    "my name is",
    "Best regards,",
    "\"first_name\": \"",
    "name,city\n",
    "O'",
    "van",
    "-",
    "我叫",
    "王",
    "伟",
    "先生",
    "田中",
    "さん",
    "김민준",
    "님",
    "श्री",
    "राम",
    "株式会社",
    "ジョン・",
    "anna.smith@",
    "x.org",
    "```",
    "GmbH",
    "University of",
    "`",
    "@",
    "(",
    ":",
    "|",
    "Paris",
    ", IL",
    "é",
    "\u{301}",
    "J.",
    "Jr.",
    "and",
    "Dear",
    "🙂",
];

proptest! {
    #[test]
    fn any_text_is_survived(text in "\\PC{0,400}", from in 0_usize..500, to in 0_usize..500) {
        let mut found = Vec::new();
        Names::new().find(&text, std::slice::from_ref(&(from..to)), &mut found);
        sane(&text, &found);
    }

    #[test]
    fn any_order_of_fragments_is_survived(parts in prop::collection::vec(prop::sample::select(FRAGMENTS), 0..60)) {
        let text = parts.concat();
        sane(&text, &find(&text));
    }

    #[test]
    fn what_was_in_out_stays(text in "[A-Z][a-z]{2,6} [A-Z][a-z]{2,6}\n{0,1}") {
        let mark = Found { range: 0..1, kind: NameKind::Location, score: 1.0, reason: "before" };
        let mut found = vec![mark.clone()];
        Names::new().find(&text, &[], &mut found);
        prop_assert_eq!(&found[0], &mark);
    }
}
