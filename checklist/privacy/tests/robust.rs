//! Detection survives any text: no panic, spans inside the text and on character boundaries,
//! sorted and apart, the same answer each time, and time linear in the length.

use std::sync::LazyLock;
use std::time::Instant;

use aplomb_privacy::detect::{Detector, DetectorSettings, Hint};
use proptest::prelude::*;

#[expect(
    clippy::unwrap_used,
    reason = "the built-in tables compile, or all tests fail here"
)]
static DETECTOR: LazyLock<Detector> =
    LazyLock::new(|| Detector::new(&DetectorSettings::default()).unwrap());

#[track_caller]
fn check(text: &str) {
    let found = DETECTOR.detect(text, Hint::default());
    let mut last = 0;
    for entity in &found {
        assert!(
            text.get(entity.range.clone()).is_some(),
            "{entity:?} in {text:?}"
        );
        assert!(
            !entity.range.is_empty() && entity.range.start >= last,
            "{entity:?} in {text:?}"
        );
        assert!((0.0..=1.0).contains(&entity.score));
        last = entity.range.end;
    }
    assert_eq!(found, DETECTOR.detect(text, Hint::default()));
}

/// Pieces that the recognizers look for, to be put together in any order.
const PIECES: &[&str] = &[
    "password",
    "=",
    ":",
    "\"",
    "'",
    "{",
    "}",
    "://",
    "@",
    ".com",
    "a",
    "é",
    "漢",
    "１",
    "\u{200b}",
    "%40",
    "\\n",
    "&#64;",
    "&",
    "\n",
    " ",
    "-",
    "4111",
    "1111",
    "12",
    "1985",
    "March",
    "born",
    "+49",
    "(",
    ")",
    "Street",
    "straße",
    "calle",
    "号",
    "路",
    "로 ",
    "-----BEGIN ",
    "PRIVATE KEY-----",
    "-----END ",
    "eyJ",
    "sk-",
    "DE89",
    "::",
    "fe80",
    "|",
    ",",
    ";",
    "ssn",
    "passport",
    "Box ",
    "AB",
    "X1234567L",
    " dot ",
    " at ",
    "0x",
    "№",
    "\u{a0}",
    "\\u0040",
    "Apt.",
    "年",
    "月",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

    #[test]
    fn any_text(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn any_pieces(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40)) {
        check(&pieces.concat());
    }

    #[test]
    fn any_key(text in "[ -~é]{0,40}", key in "[a-zA-Z_]{0,20}") {
        let hint = Hint { json_key: Some(&key), in_code: true };
        for entity in DETECTOR.detect(&text, hint) {
            prop_assert!(text.get(entity.range).is_some());
        }
    }
}

/// Four times the text may take at most twelve times as long: a quadratic step takes sixteen.
#[test]
fn time_is_linear() {
    for piece in [
        "1 ",
        "a@",
        "4111 ",
        "12 Street ",
        "password=",
        "://a:b@",
        ":",
        "-----BEGIN ",
        " dot ",
        "a,1\n",
        "a.",
        "fe80:",
        "路1",
        "\\u0031",
        "address: 1 a, ",
    ] {
        let time = |count: usize| {
            let text = piece.repeat(count);
            let rounds = (0..3).map(|_| {
                let started = Instant::now();
                DETECTOR.detect(&text, Hint::default());
                started.elapsed()
            });
            rounds.min().unwrap()
        };
        let count = 8_000 / piece.len();
        let (short, long) = (time(count), time(count * 4));
        println!("{piece:?}: {short:?}, then {long:?}");
        assert!(
            long < short * 12 + std::time::Duration::from_millis(20),
            "{piece:?}: {short:?}, then {long:?}"
        );
    }
}
