use super::*;
use proptest::prelude::*;
use serde::Deserialize;

const GOLDEN: &str = include_str!("../../tests/fixtures/o200k.jsonl");

#[derive(Deserialize)]
struct Golden {
    text: String,
    tokens: usize,
}

fn tokenizer() -> &'static Tokenizer {
    Tokenizer::shared().unwrap()
}

#[test]
fn counts_are_those_of_the_reference() {
    let mut seen = 0;
    for line in GOLDEN.lines() {
        let golden: Golden = serde_json::from_str(line).unwrap();
        let counted = tokenizer().count(&golden.text);
        assert_eq!(counted, golden.tokens, "{:?}", golden.text);
        seen += 1;
    }
    assert!(seen > 450, "{seen} texts");
}

#[test]
fn long_runs_are_counted_and_take_no_quadratic_time() {
    // Counts of the reference implementation.
    assert_eq!(tokenizer().count(&"a".repeat(1 << 17)), 1 << 14);
    assert_eq!(tokenizer().count(&"A".repeat(1 << 17)), 1 << 14);
    assert_eq!(tokenizer().count(&" ".repeat(1 << 17)), 1 << 10);
}

#[test]
fn what_looks_like_a_special_token_is_text() {
    assert!(tokenizer().count("<|endoftext|>") > 1);
    assert_eq!(tokenizer().count(""), 0);
}

#[test]
fn damaged_vocabularies_are_refused() {
    let errors = [
        (&EMBEDDED[..1_000], VocabularyError::Packed),
        (&b"no zlib"[..], VocabularyError::Packed),
    ];
    for (bytes, error) in errors {
        assert_eq!(Tokenizer::from_bytes(bytes).unwrap_err(), error);
    }
    let packed = |bytes: &[u8]| {
        let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut out, bytes).unwrap();
        out.finish().unwrap()
    };
    let cut = Tokenizer::from_bytes(&packed(&[5, b'a'])).unwrap_err();
    assert_eq!(cut, VocabularyError::Length);
    let few = Tokenizer::from_bytes(&packed(&[1, b'a'])).unwrap_err();
    assert_eq!(few, VocabularyError::Bytes);
    assert_eq!(
        Tokenizer::from_bytes(&packed(&[])).unwrap_err(),
        VocabularyError::Bytes
    );
}

proptest! {
    #[test]
    fn pieces_are_all_of_the_text(text in any::<String>()) {
        let pieces: String = tokenizer().splitter.pieces(&text).collect();
        prop_assert_eq!(pieces, text);
    }

    #[test]
    fn both_ways_of_joining_agree(bytes in proptest::collection::vec(any::<u8>(), 2..64)) {
        let vocabulary = &tokenizer().vocabulary;
        prop_assert_eq!(merge::short(vocabulary, &bytes), merge::long(vocabulary, &bytes));
    }

    #[test]
    fn no_text_has_more_tokens_than_bytes(text in any::<String>()) {
        prop_assert!(tokenizer().count(&text) <= text.len());
    }
}
