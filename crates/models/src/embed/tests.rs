//! What the embedder promises, against the original model, on both kinds of processors.

use super::file::{Kind, ModelError};
use super::*;
use proptest::prelude::*;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// The checksum that `train/README.md` gives for the weights.
const SHA256: &str = "f1ae9bc1ace5fa470b4239b5842dbd2b40c7cf5332a271bbc5d2cb2d615580a4";

#[derive(Deserialize)]
struct Line {
    text: String,
    ids: Vec<u32>,
}

/// What `train/embed_golden.py` made: texts with the ids that the original tokenizer gives them.
fn lines() -> Vec<Line> {
    let lines = include_str!("../../tests/fixtures/tokens.jsonl").lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Vectors of the original model in single floats, for the first lines.
fn originals() -> Vec<Vec<f32>> {
    let (numbers, rest) = include_bytes!("../../tests/fixtures/vectors.bin").as_chunks();
    assert!(rest.is_empty());
    let numbers: Vec<f32> = numbers
        .iter()
        .map(|half| from_half(u16::from_le_bytes(*half)))
        .collect();
    numbers
        .chunks_exact(DIMENSIONS)
        .map(<[f32]>::to_vec)
        .collect()
}

fn from_half(half: u16) -> f32 {
    let (sign, exponent, fraction) = (half >> 15, half >> 10 & 31, f32::from(half & 1023));
    let size = match exponent {
        0 => fraction / 1024.0 * 2.0_f32.powi(-14),
        _ => (1.0 + fraction / 1024.0) * 2.0_f32.powi(i32::from(exponent) - 15),
    };
    if sign == 1 { -size } else { size }
}

fn embed(text: &str) -> Embedding {
    Model::shared()
        .unwrap()
        .embed(text, &mut Scratch::default())
}

/// The model with the loops that every processor runs.
static PORTABLE: LazyLock<Model<'static>> =
    LazyLock::new(|| Model::with(EMBEDDED, Cpu::portable()).unwrap());

/// A file of one tensor named `x`, with this header's entry and these bytes.
fn small(entry: &str, tensors: &[u8]) -> Vec<u8> {
    let header = format!(r#"{{"__metadata__":{{"vocab":"a\nb"}},"x":{entry}}}"#);
    let mut bytes = u64::try_from(header.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.extend(tensors);
    bytes
}

#[test]
fn the_embedded_weights_are_those_that_are_described() {
    let digest = Sha256::digest(EMBEDDED);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, SHA256);
    for page in [
        include_str!("../../train/README.md"),
        include_str!("../../data/minilm.NOTICE"),
    ] {
        assert!(page.contains(SHA256), "another checksum: {page}");
    }
    assert!(include_str!("../../data/minilm.LICENSE").contains("Apache License"));
}

#[test]
fn token_ids_are_those_of_the_original_tokenizer() {
    let model = Model::shared().unwrap();
    let mut ids = Vec::new();
    let lines = lines();
    assert!(lines.len() > 300);
    let wrong: Vec<_> = lines
        .iter()
        .filter(|line| {
            model.vocabulary.encode(&line.text, TOKENS_MAX, &mut ids);
            ids != line.ids
        })
        .map(|line| &line.text)
        .collect();
    assert!(wrong.is_empty(), "{} texts: {wrong:?}", wrong.len());
}

#[test]
fn tokens_that_are_written_out_stay_text() {
    let model = Model::shared().unwrap();
    let mut ids = Vec::new();
    model.vocabulary.encode("a [SEP] b", TOKENS_MAX, &mut ids);
    let last = model.vocabulary.find("[SEP]").unwrap();
    assert_eq!(ids.iter().filter(|id| **id == last).count(), 1, "{ids:?}");
}

#[track_caller]
fn check_against_originals(model: &Model<'_>) {
    let (originals, lines) = (originals(), lines());
    let mut scratch = Scratch::default();
    let vectors: Vec<_> = lines
        .iter()
        .take(originals.len())
        .map(|line| model.embed(&line.text, &mut scratch).vector)
        .collect();
    assert_eq!(vectors.len(), 48);
    for ((own, original), line) in vectors.iter().zip(&originals).zip(&lines) {
        let alike = cosine(own, original);
        // Little but the two tokens of the frame: few states are summed, so errors do not cancel out.
        let least = if line.ids.len() <= 3 { 0.996 } else { 0.998 };
        assert!(alike >= least, "{alike}: {}", line.text);
    }
    let all = vectors.iter().zip(&originals);
    let mean = all
        .map(|(own, original)| cosine(own, original))
        .sum::<f32>()
        / 48.0;
    assert!(mean >= 0.999, "{mean}");
    for one in 0..vectors.len() {
        for other in 0..one {
            let moved =
                cosine(&vectors[one], &vectors[other]) - cosine(&originals[one], &originals[other]);
            let texts = (&lines[one].text, &lines[other].text);
            assert!(moved.abs() <= 0.016, "{moved}: {texts:?}");
        }
    }
}

#[test]
fn vectors_are_those_of_the_original_model() {
    check_against_originals(Model::shared().unwrap());
}

#[test]
fn vectors_are_the_same_without_fast_instructions() {
    check_against_originals(&PORTABLE);
    let text = "Where does the parcel wait?";
    let portable = PORTABLE.embed(text, &mut Scratch::default()).vector;
    let best = embed(text).vector;
    let apart = portable
        .iter()
        .zip(&best)
        .map(|(one, two)| (one - two).abs());
    let apart = apart.fold(0.0, f32::max);
    assert!(apart < 1e-3, "{apart}");
    assert!(cosine(&portable, &best) > 0.9999);
}

#[test]
fn what_was_read_before_leaves_no_trace() {
    let model = Model::shared().unwrap();
    let mut used = Scratch::default();
    for text in ["a long text ".repeat(90), "short".into(), String::new()] {
        let again = model.embed(&text, &mut used);
        assert_eq!(again, embed(&text));
    }
}

#[test]
fn long_texts_are_cut_and_say_so() {
    let words = |count: usize| "a ".repeat(count);
    let whole = embed(&words(TOKENS_MAX - 2));
    assert_eq!((whole.tokens, whole.cut), (TOKENS_MAX, false));
    let cut = embed(&words(TOKENS_MAX - 1));
    assert_eq!((cut.tokens, cut.cut), (TOKENS_MAX, true));
    assert_eq!(cut.vector, whole.vector);
    let spaces = embed(&format!("{}end", " ".repeat(TEXT_BYTES_MAX)));
    assert_eq!((spaces.tokens, spaces.cut), (2, true));
    assert!(!embed("").cut);
}

#[test]
fn a_megabyte_takes_no_longer_than_its_front() {
    // Steps are bounded by what is read: these would take hours if words were read in quadratic time.
    for text in ["a", "\u{301}", "漢", "\u{1f600}", "\0", "ab ", "ﷺ"] {
        let long = text.repeat((1 << 20) / text.len());
        let embedding = embed(&long);
        assert!(embedding.tokens <= TOKENS_MAX && embedding.cut);
    }
}

#[test]
fn words_that_are_used_alike_have_like_vectors() {
    let model = Model::shared().unwrap();
    let alike = |one: &str, other: &str| model.word_similarity(one, other).unwrap();
    assert!(alike("monday", "Tuesday") > 0.55);
    assert!(alike("monday", "carrot") < 0.3);
    assert!((alike("Paris", "paris") - 1.0).abs() < 1e-5);
    assert_eq!(model.word_similarity("monday", ""), None);
    assert_eq!(model.word("\u{1f600}"), None);
}

#[test]
fn damaged_files_are_refused() {
    let header = |bytes: &[u8]| File::read(bytes).err();
    for length in [0, 7, 8, 100, 200_000] {
        assert_eq!(header(&EMBEDDED[..length]), Some(ModelError::Header));
    }
    let long = [u64::MAX.to_le_bytes().as_slice(), b"{}"].concat();
    assert_eq!(header(&long), Some(ModelError::Header));
    let cut = Model::from_bytes(&EMBEDDED[..EMBEDDED.len() - 1]).err();
    assert!(matches!(cut, Some(ModelError::Outside(_))), "{cut:?}");
    let none = small(r#"{"dtype":"I8","shape":[2],"data_offsets":[0,2]}"#, b"ab");
    assert!(matches!(
        Model::from_bytes(&none).err(),
        Some(ModelError::Vocabulary(_))
    ));
}

#[test]
fn tensors_are_what_the_header_says_or_refused() {
    let read = |entry: &str, tensors: &[u8], kind: Kind, shape: &[usize]| {
        let bytes = small(entry, tensors);
        let file = File::read(&bytes).unwrap();
        file.bytes("x", kind, shape).map(<[u8]>::to_vec)
    };
    let entry = r#"{"dtype":"I8","shape":[2],"data_offsets":[1,3]}"#;
    assert_eq!(
        read(entry, b"abc", Kind::I8, &[2]).as_deref(),
        Ok(&b"bc"[..])
    );
    let shape = Err(ModelError::Shape("x".into()));
    assert_eq!(read(entry, b"abc", Kind::F32, &[2]), shape);
    assert_eq!(read(entry, b"abc", Kind::I8, &[1, 2]), shape);
    let outside = Err(ModelError::Outside("x".into()));
    assert_eq!(read(entry, b"ab", Kind::I8, &[2]), outside);
    let turned = r#"{"dtype":"I8","shape":[2],"data_offsets":[3,1]}"#;
    assert_eq!(read(turned, b"abc", Kind::I8, &[2]), outside);
    let huge = r#"{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}"#;
    assert_eq!(
        read(huge, b"", Kind::F32, &[4_611_686_018_427_387_904, 4]),
        shape
    );
    let floats = r#"{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;
    let bytes = small(floats, &f32::NAN.to_le_bytes());
    let value = Err(ModelError::Value("x".into()));
    assert_eq!(File::read(&bytes).unwrap().floats("x", &[1]), value);
    let missing = Err(ModelError::Missing("y".into()));
    assert_eq!(File::read(&bytes).unwrap().floats("y", &[1]), missing);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_has_a_vector_of_length_one(text in "(?s).{0,60}") {
        let Embedding { vector, .. } = embed(&text);
        prop_assert_eq!(vector.len(), DIMENSIONS);
        prop_assert!((cosine(&vector, &vector) - 1.0).abs() < 1e-4);
    }

    #[test]
    fn any_text_has_tokens_of_the_vocabulary(text in "(?s).{0,400}", most in 2_usize..64) {
        let model = Model::shared().unwrap();
        let mut ids = Vec::new();
        model.vocabulary.encode(&text, most, &mut ids);
        prop_assert!((2..=most).contains(&ids.len()));
        let known = u32::try_from(model.vocabulary.len()).unwrap();
        prop_assert!(ids.iter().all(|id| *id < known));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), length in 0_u64..300) {
        let mut bytes = bytes;
        if let Some(head) = bytes.first_chunk_mut() {
            *head = length.to_le_bytes();
        }
        prop_assert!(Model::from_bytes(&bytes).is_err());
    }
}
