//! What the tagger promises, on weights made by hand and on those of the program.

use super::file::{Set, place};
use super::*;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

/// The checksum that `train/README.md` gives for the weights.
const SHA256: &str = "fd39ea2aef9120ba8ef07119f9531f0058c20a2d08975f50c90ff7f5a12995b4";

fn words<'a>(texts: &[&'a str]) -> Vec<Word<'a>> {
    let word = |(place, text): (usize, &&'a str)| Word {
        text,
        hints: 0,
        start: place == 0,
    };
    texts.iter().enumerate().map(word).collect()
}

/// Weights that know nothing.
fn blank() -> Weights {
    Weights {
        sets: vec![Set::default(); 8],
        follows: [[0; TAGS]; TAGS],
        nat: 16,
        lean: [0; 3],
    }
}

/// Gives every feature that only words of this text have the weights of a row.
fn teach(weights: &mut Weights, text: &str, row: [i8; OUTSIDE]) {
    let (mut own, mut others) = (Vec::new(), Vec::new());
    let alone = words(&[text]);
    feature::Run::new(&alone).each(0, |feature| own.push(feature));
    let other = words(&["."]);
    feature::Run::new(&other).each(0, |feature| others.push(feature));
    let feature = own.iter().position(|one| !others.contains(one)).unwrap();
    let (set, check) = place(own[feature], weights.sets.len());
    weights.sets[set].checks[0] = check;
    weights.sets[set].weights[0] = row;
}

fn found(weights: Weights, texts: &[&str]) -> Vec<Name> {
    let mut out = Vec::new();
    NameModel { weights }.find(&words(texts), &mut out);
    out
}

#[test]
fn a_word_with_weight_becomes_a_name_and_its_score_is_logistic() {
    let mut weights = blank();
    teach(&mut weights, "Qwyn", [32, -10, 0, 0, 0, 0]);
    let names = found(weights, &["said", "Qwyn", "."]);
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(
        (names[0].words.clone(), names[0].kind),
        (1..2, Kind::Person)
    );
    let expected = 1.0 / (1.0 + (-2.0_f32).exp());
    assert!((names[0].score - expected).abs() < 1e-6, "{names:?}");
}

#[test]
fn inside_tags_follow_their_own_kind_only() {
    let mut weights = blank();
    // More for "inside a place" than for "begin of a person": there is no place to go on with.
    teach(&mut weights, "Qwyn", [10, -10, -90, 100, -90, -10]);
    let names = found(weights, &["Qwyn"]);
    assert_eq!(names[0].kind, Kind::Person, "{names:?}");
}

#[test]
fn lean_finds_more_and_leaves_scores_alone() {
    let mut weights = blank();
    teach(&mut weights, "Qwyn", [-8, -20, -9, -20, -9, -20]);
    assert!(found(weights.clone(), &["Qwyn"]).is_empty());
    weights.lean = [16, 0, 0];
    let names = found(weights, &["Qwyn"]);
    let expected = 1.0 / (1.0 + 0.5_f32.exp());
    assert!((names[0].score - expected).abs() < 1e-6, "{names:?}");
}

#[test]
fn files_are_read_as_they_were_written() {
    let mut weights = blank();
    teach(&mut weights, "Qwyn", [1, -2, 3, -4, 127, -128]);
    weights.follows[3][4] = -777;
    weights.lean = [1, -2, 3];
    assert_eq!(read(&write(&weights).unwrap()).unwrap(), weights);
}

#[test]
fn foreign_and_damaged_files_are_refused() {
    let bytes = write(&blank()).unwrap();
    assert_eq!(read(b""), Err(ModelError::Foreign));
    assert_eq!(read(b"PK\x03\x04 and more"), Err(ModelError::Foreign));
    for length in 4..bytes.len() {
        assert!(matches!(
            read(&bytes[..length]),
            Err(ModelError::Damaged(_))
        ));
    }
    let changed = |place: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[place] = byte;
        read(&bytes)
    };
    assert_eq!(changed(4, 9), Err(ModelError::Version(9)));
    assert!(matches!(changed(5, 60), Err(ModelError::Damaged(_))));
    assert!(matches!(changed(5, 255), Err(ModelError::Damaged(_))));
    assert!(matches!(changed(6, 0), Err(ModelError::Damaged(_))));
}

#[test]
fn weights_without_a_file_are_refused() {
    let mut weights = blank();
    weights.sets.pop();
    assert!(write(&weights).is_err());
    weights.sets.clear();
    assert!(write(&weights).is_err());
}

#[test]
fn the_embedded_weights_are_those_that_are_described() {
    let digest = Sha256::digest(EMBEDDED);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, SHA256);
    let readme = include_str!("../../train/README.md");
    assert!(
        readme.contains(SHA256),
        "train/README.md gives another checksum"
    );
    assert!(EMBEDDED.len() <= 2_200_000);
    let weights = &NameModel::shared().unwrap().weights;
    assert!(weights.sets.capacity() * size_of::<Set>() < 10 << 20);
}

#[test]
fn names_in_plain_sentences_are_found() {
    let text = [
        "The", "witness", ",", "Thandiwe", "Okonjo", ",", "lives", "in", "Oslo", ".",
    ];
    let mut out = Vec::new();
    NameModel::shared().unwrap().find(&words(&text), &mut out);
    let kinds: Vec<_> = out
        .iter()
        .map(|name| (name.words.clone(), name.kind))
        .collect();
    assert_eq!(kinds, [(3..5, Kind::Person), (8..9, Kind::Location)]);
}

#[test]
fn long_texts_are_cut_and_places_stay_right() {
    let sentence = ["Please", "ask", "Ngozi", "Okafor", "about", "it", "."];
    let text: Vec<&str> = sentence.iter().copied().cycle().take(7 * 300).collect();
    let mut out = Vec::new();
    NameModel::shared().unwrap().find(&words(&text), &mut out);
    assert!(out.len() > 290, "{}", out.len());
    let right = out.iter().filter(|name| text[name.words.start] == "Ngozi");
    assert!(right.count() > 290);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400), head in any::<bool>()) {
        let mut bytes = bytes;
        if head {
            bytes.splice(0..0, *b"APLN\x02\x00");
        }
        if let Ok(weights) = read(&bytes) {
            prop_assert_eq!(write(&weights).unwrap(), bytes);
        }
    }

    #[test]
    fn any_words_are_survived(texts in prop::collection::vec("\\PC{0,12}", 0..40), hints in any::<u16>()) {
        let all: Vec<Word<'_>> = texts
            .iter()
            .map(|text| Word { text, hints, start: false })
            .collect();
        let (mut first, mut again) = (Vec::new(), Vec::new());
        let model = NameModel::shared().unwrap();
        model.find(&all, &mut first);
        model.find(&all, &mut again);
        prop_assert_eq!(&first, &again);
        let mut end = 0;
        for name in &first {
            prop_assert!(name.words.start >= end && name.words.start < name.words.end);
            prop_assert!((0.0..=1.0).contains(&name.score));
            end = name.words.end;
        }
        prop_assert!(end <= all.len());
    }
}
