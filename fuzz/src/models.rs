//! What must hold for any file that is read as the weights of a model.

use aplomb_models::embed::Model;
use aplomb_models::embed::file::{File, Kind};
use aplomb_models::names::{NameModel, Word, read, write};
use aplomb_models::tokens::Tokenizer;

const WORDS: [&str; 9] = [
    "Dear", "Ms", ".", "Ngozi", "O'Brien", ",", "\n", "in", "Málaga",
];

/// A file is refused, or read as what writes it again; whatever its weights, names lie in the text, in order and apart.
pub fn weights(data: &[u8]) {
    let Ok(weights) = read(data) else { return };
    assert_eq!(write(&weights).as_deref(), Ok(data));
    let model = NameModel::from_bytes(data).expect("it was read before");
    let word = |(place, text): (usize, &'static str)| Word {
        text,
        hints: u16::try_from(place * 7919 % 2048).unwrap_or(0),
        start: place % 9 == 0,
    };
    let words: Vec<Word<'_>> = WORDS
        .iter()
        .copied()
        .cycle()
        .take(300)
        .enumerate()
        .map(word)
        .collect();
    let mut found = Vec::new();
    model.find(&words, &mut found);
    let mut last = 0;
    for name in &found {
        assert!(
            name.words.start >= last && name.words.start < name.words.end,
            "{name:?}"
        );
        assert!((0.0..=1.0).contains(&name.score), "{name:?}");
        last = name.words.end;
    }
    assert!(last <= words.len());
}

/// A file is refused, or gives exactly the bytes that its header names; nothing that is small enough to be made here is a
/// whole model.
pub fn tensors(data: &[u8]) {
    assert!(Model::from_bytes(data).is_err());
    let Ok(file) = File::read(data) else { return };
    for shape in [&[2][..], &[3, 2], &[usize::MAX, 2], &[]] {
        let numbers = shape
            .iter()
            .try_fold(1_usize, |all, one| all.checked_mul(*one));
        if let Ok(bytes) = file.bytes("x", Kind::I8, shape) {
            assert_eq!(Some(bytes.len()), numbers);
        }
        if let Ok(floats) = file.floats("x", shape) {
            assert_eq!(Some(floats.len()), numbers);
            assert!(floats.iter().all(|number| number.is_finite()));
        }
    }
}

/// Bytes are no vocabulary, or one that counts; of any text there are no more tokens than bytes, and and none only of none.
pub fn tokens(data: &[u8]) {
    if let Ok(read) = Tokenizer::from_bytes(data) {
        assert!(read.count("any text") <= 8);
    }
    let text = String::from_utf8_lossy(data);
    let tokenizer = Tokenizer::shared().expect("it is part of the program");
    let count = tokenizer.count(&text);
    assert!(count <= text.len());
    assert_eq!(count == 0, text.is_empty());
}
