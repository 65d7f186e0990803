//! Measures detection on labelled texts: prints precision, recall and F2 by kind, and fails
//! under the floors. `cargo test -p aplomb-privacy --test measure -- --nocapture` shows them.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests may fail like tests"
)]

mod corpus;

use aplomb_privacy::detect::entity::EntityKind;
use aplomb_privacy::detect::{Detector, DetectorSettings, Hint};
use aplomb_privacy::finder::{NameSource, detector_with, with_settings};
use corpus::score::{Score, score};
use corpus::{disguises, from_marked, from_templates, values};

const TUNED: &str = include_str!("data/tuned.txt");
const HELD_OUT: &str = include_str!("data/held_out.txt");
const FRESH: &str = include_str!("data/fresh.txt");
const HARMLESS: &str = include_str!("data/harmless.txt");

fn detector() -> Detector {
    Detector::new(&DetectorSettings::default()).unwrap()
}

fn show(title: &str, score: &Score) {
    println!("== {title}\n{}", score.table());
    for kind in score.kinds.keys() {
        let of_kind = score
            .misses
            .iter()
            .filter(|miss| miss.split(' ').nth(1) == Some(kind.as_str()));
        of_kind.take(12).for_each(|miss| println!("{miss}"));
    }
}

#[track_caller]
fn check_floors(score: &Score, floors: &[(&str, f64)], others: f64) {
    let mut low = Vec::new();
    for (kind, count) in &score.kinds {
        let floor = floors
            .iter()
            .find(|(name, _)| name == kind)
            .map_or(others, |(_, floor)| *floor);
        if count.labelled > 0 && count.f2() < floor {
            low.push(format!("{kind}: F2 {:.3} under {floor}", count.f2()));
        }
    }
    assert!(low.is_empty(), "{low:#?}");
}

/// Kinds without a check digit have floors of their own.
const FLOORS: &[(&str, f64)] = &[
    ("EMAIL", 0.99),
    ("PHONE", 0.90),
    ("ADDRESS", 0.80),
    ("DATE_OF_BIRTH", 0.90),
    ("PASSPORT", 0.85),
    ("DRIVER_LICENSE", 0.80),
    ("US_BANK_NUMBER", 0.85),
];

#[test]
fn tuned_templates() {
    let score = score(&detector(), &from_templates(TUNED, 1, 12));
    show("tuned templates", &score);
    check_floors(&score, FLOORS, 0.95);
}

#[test]
fn held_out_templates_with_other_values() {
    let score = score(&detector(), &from_templates(HELD_OUT, 77, 12));
    show("held-out templates", &score);
    check_floors(&score, FLOORS, 0.95);
    assert!(
        score.all().f2() >= 0.95,
        "all kinds: {:.3}",
        score.all().f2()
    );
}

/// Whole texts of other styles, names included. Places and organisations are not labelled there.
#[test]
fn fresh_texts_in_other_styles() {
    let texts = from_marked(FRESH);
    assert_eq!(texts.len(), 60);
    let is_labelled = |kind: &&EntityKind| {
        let open = matches!(kind, EntityKind::Location | EntityKind::Organization);
        !open && !EntityKind::OFF_BY_DEFAULT.contains(kind)
    };
    let kinds = EntityKind::BUILT_IN.iter().filter(is_labelled);
    let settings = DetectorSettings {
        kinds: kinds.cloned().collect(),
        ..DetectorSettings::default()
    };
    let detector = with_settings(&settings, NameSource::Rules).unwrap();
    let score = score(&detector, &texts);
    show("fresh texts", &score);
    println!("all kinds: F2 {:.3}", score.all().f2());
    assert!(
        score.all().f2() >= 0.99,
        "all kinds: {:.3}",
        score.all().f2()
    );
    assert!(score.kinds["PERSON"].f2() >= 0.99);
}

#[test]
fn harmless_texts_stay_untouched() {
    let texts = from_templates(HARMLESS, 5, 20);
    let detector = detector();
    let mut touched = 0;
    for labelled in &texts {
        let found = detector.detect(&labelled.text, Hint::default());
        for entity in &found {
            println!(
                "TOUCHED {} `{}` ({}) in {:?}",
                entity.kind,
                &labelled.text[entity.range.clone()],
                entity.reason,
                labelled.text
            );
        }
        touched += usize::from(!found.is_empty());
    }
    println!("harmless texts touched: {touched} of {}", texts.len());
    assert!(
        touched * 100 <= texts.len() * 5,
        "{touched} of {} touched",
        texts.len()
    );
}

/// The same with the name model, which must not take technical text for names.
#[test]
fn harmless_texts_stay_untouched_with_the_name_model() {
    let texts = from_templates(HARMLESS, 5, 20);
    let touched_by = |source| {
        let detector = detector_with(Vec::new(), source).unwrap();
        let mut touched = 0;
        for labelled in &texts {
            let found = detector.detect(&labelled.text, Hint::default());
            for entity in found.iter().filter(|e| e.reason.rule == "name model") {
                println!("NAMED {} in {:?}", entity.kind, labelled.text);
            }
            touched += usize::from(!found.is_empty());
        }
        touched
    };
    let (rules, model) = (touched_by(NameSource::Rules), touched_by(NameSource::Model));
    println!(
        "harmless texts touched with names: {rules}, with the model {model} of {}",
        texts.len()
    );
    assert!(model * 100 <= texts.len() * 5, "{model} of {}", texts.len());
}

#[test]
fn disguised_values_are_masked() {
    let kinds = [
        ("CREDIT_CARD", "My card is "),
        ("IBAN", "Pay to IBAN "),
        ("EMAIL", "Write to "),
        ("US_SSN", "My SSN is "),
        ("PHONE", "Call me at "),
        ("BR_CPF", "Meu CPF: "),
    ];
    let detector = detector();
    let (mut masked, mut all) = (0, 0);
    for (kind, lead) in kinds {
        for seed in 0..10 {
            let value = values::value(kind, &mut fastrand::Rng::with_seed(seed)).unwrap();
            for (how, spelled) in disguises(&value) {
                // Kinds with letters cannot be spelled as digits.
                if how == "spaced digits" && value.contains(|c: char| c.is_ascii_alphabetic()) {
                    continue;
                }
                let text = format!("{lead}{spelled} thanks");
                let found = detector.detect(&text, Hint::default());
                let span = lead.len()..lead.len() + spelled.len();
                let covered: usize = found
                    .iter()
                    .map(|e| {
                        e.range
                            .end
                            .min(span.end)
                            .saturating_sub(e.range.start.max(span.start))
                    })
                    .sum();
                let good = covered * 10 >= spelled.len() * 8;
                if !good {
                    println!("NOT MASKED {how}: {text:?}");
                }
                masked += usize::from(good);
                all += 1;
            }
        }
    }
    println!("disguised values masked: {masked} of {all}");
    assert!(masked * 100 >= all * 70, "{masked} of {all}");
}

/// A span as the public data set writes it.
#[derive(serde::Deserialize)]
struct PublicSpan {
    entity_type: String,
    start_position: usize,
    end_position: usize,
}

#[derive(serde::Deserialize)]
struct PublicText {
    full_text: String,
    spans: Vec<PublicSpan>,
}

/// Runs on the synthetic data set of presidio-research (MIT) if its path is given in
/// `APLOMB_PRESIDIO_DATASET`; passes otherwise.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "an optional outside data set is named by the environment of the test run"
)]
fn public_data_set() {
    let Ok(path) = std::env::var("APLOMB_PRESIDIO_DATASET") else {
        return;
    };
    let texts: Vec<PublicText> =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let names = [
        ("CREDIT_CARD", "CREDIT_CARD"),
        ("PHONE_NUMBER", "PHONE"),
        ("EMAIL_ADDRESS", "EMAIL"),
        ("IBAN_CODE", "IBAN"),
        ("US_SSN", "US_SSN"),
        ("IP_ADDRESS", "IP_ADDRESS"),
        ("US_DRIVER_LICENSE", "DRIVER_LICENSE"),
        ("STREET_ADDRESS", "ADDRESS"),
    ];
    let labelled: Vec<_> = texts
        .into_iter()
        .map(|text| {
            let places: Vec<usize> = text
                .full_text
                .char_indices()
                .map(|(place, _)| place)
                .chain([text.full_text.len()])
                .collect();
            let spans = text.spans.iter().filter_map(|span| {
                let kind = names
                    .iter()
                    .find(|(theirs, _)| *theirs == span.entity_type)?
                    .1;
                Some((
                    places[span.start_position]..places[span.end_position],
                    kind.to_owned(),
                ))
            });
            corpus::Labelled {
                spans: spans.collect(),
                text: text.full_text,
            }
        })
        .collect();
    let score = score(&detector(), &labelled);
    show("public data set", &score);
    let floors = [
        ("ADDRESS", 0.5),
        ("PHONE", 0.75),
        ("CREDIT_CARD", 0.9),
        ("DRIVER_LICENSE", 0.0),
        ("US_SSN", 0.6),
    ];
    check_floors(&score, &floors, 0.95);
}
