//! Codes of letters and digits, found by one automaton that starts at every word.
//!
//! All shapes are compiled into one DFA (anchored, no look-around, bytes not Unicode), which
//! reports every shape and every end; the check behind a shape decides. Linear time: the
//! automaton reads at most the longest shape from each word start.

use std::ops::Range;

use regex_automata::dfa::dense::{self, DFA};
use regex_automata::dfa::{Automaton, StartKind};
use regex_automata::util::primitives::StateID;
use regex_automata::util::syntax;
use regex_automata::{Anchored, MatchKind};

use super::bytes::{at, before, cut};
use super::context::Scan;
use super::digits::named_otherwise;
use super::entity::{Entity, EntityKind, Strength};
use super::schemes::Alone;
use super::validate::{americas, asia, bank, europe, nordic, wallet};
use super::words::Topic;

/// A shape, and what its text has to pass.
struct Shape {
    kind: &'static EntityKind,
    topic: Topic,
    pattern: &'static str,
    /// Takes the text without separators, in upper case unless `exact`.
    check: fn(&[u8]) -> bool,
    /// Letters are checked as written.
    exact: bool,
    alone: Alone,
    strength: Strength,
    rule: &'static str,
}

/// The usual row: a check digit, any case, needs no word.
const fn row(
    kind: &'static EntityKind,
    topic: Topic,
    pattern: &'static str,
    check: fn(&[u8]) -> bool,
) -> Shape {
    let strength = Strength::Checksum;
    Shape {
        kind,
        topic,
        pattern,
        check,
        exact: false,
        alone: Alone::Always,
        strength,
        rule: "check character",
    }
}

static SHAPES: &[Shape] = &[
    Shape {
        strength: Strength::Context,
        rule: "issued prefixes",
        ..row(
            &EntityKind::UkNino,
            Topic::Nino,
            r"[A-Z]{2}[ -]?[0-9]{2}[ -]?[0-9]{2}[ -]?[0-9]{2}[ -]?[A-D]",
            europe::nino,
        )
    },
    row(
        &EntityKind::EsNif,
        Topic::EsNif,
        r"(?:[0-9]{8}[ .-]{0,2}|[0-9]{1,2}[. ][0-9]{3}[. ][0-9]{3}[ .-]{0,2}|[KLM][0-9]{7})[A-Z]",
        europe::es_nif,
    ),
    row(
        &EntityKind::EsNie,
        Topic::EsNie,
        r"[XYZ][ .-]?(?:[0-9]{7}|[0-9][. ][0-9]{3}[. ][0-9]{3})[ .-]?[A-Z]",
        europe::es_nie,
    ),
    row(
        &EntityKind::ItFiscalCode,
        Topic::FiscalCode,
        r"[A-Z]{3}[ -]?[A-Z]{3}[ -]?[0-9LMNPQRSTUV]{2}[ -]?[A-Z][0-9LMNPQRSTUV]{2}[ -]?[A-Z][0-9LMNPQRSTUV]{3}[ -]?[A-Z]",
        europe::it_fiscal_code,
    ),
    Shape {
        strength: Strength::Context,
        alone: Alone::Unlabelled,
        rule: "holder letter",
        ..row(
            &EntityKind::InPan,
            Topic::Pan,
            r"[A-Z]{5}[ -]?[0-9]{4}[ -]?[A-Z]",
            asia::pan,
        )
    },
    Shape {
        alone: Alone::Unlabelled,
        ..row(
            &EntityKind::SgNric,
            Topic::Nric,
            r"[STFGM][ -]?[0-9]{7}[ -]?[A-Z]",
            asia::nric,
        )
    },
    Shape {
        alone: Alone::Unlabelled,
        ..row(
            &EntityKind::MedicalLicense,
            Topic::Dea,
            r"[A-Z][A-Z9][ -]?[0-9]{7}",
            americas::dea,
        )
    },
    row(
        &EntityKind::DeSocialSecurity,
        Topic::DeSocial,
        r"[0-9]{2}[ ./-]?[0-9]{2}[ ./-]?[0-9]{2}[ ./-]?[0-9]{2}[ ./-]?[A-Z][ ./-]?[0-9]{2}[ ./-]?[0-9]",
        europe::de_social_security,
    ),
    Shape {
        alone: Alone::Unlabelled,
        rule: "mod 97",
        ..row(
            &EntityKind::FrNir,
            Topic::Nir,
            r"[1-478][ .-]?[0-9]{2}[ .-]?[0-9]{2}[ .-]?(?:[0-9]{2}|2[AB])[ .-]?[0-9]{3}[ .-]?[0-9]{3}[ ./-]{0,3}[0-9]{2}",
            europe::fr_nir,
        )
    },
    Shape {
        alone: Alone::Never,
        strength: Strength::Context,
        rule: "shape",
        ..row(
            &EntityKind::FrNir,
            Topic::Nir,
            r"[1-478][ .-]?[0-9]{2}[ .-]?[0-9]{2}[ .-]?(?:[0-9]{2}|2[AB])[ .-]?[0-9]{3}[ .-]?[0-9]{3}",
            europe::fr_nir_without_key,
        )
    },
    Shape {
        rule: "region + date + iso 7064",
        ..row(
            &EntityKind::CnId,
            Topic::CnId,
            r"[0-9]{6}[ -]?[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{3}[0-9X]",
            asia::cn_id,
        )
    },
    Shape {
        rule: "date + check character",
        ..row(
            &EntityKind::FiHetu,
            Topic::Hetu,
            r"[0-9]{6}[-+A-FYXWVU][0-9]{3}[0-9A-Y]",
            nordic::hetu,
        )
    },
    Shape {
        alone: Alone::Grouped,
        strength: Strength::Context,
        rule: "shape",
        ..row(
            &EntityKind::UsMbi,
            Topic::Mbi,
            r"[1-9][A-Z][A-Z0-9][0-9]-?[A-Z][A-Z0-9][0-9]-?[A-Z]{2}[0-9]{2}",
            americas::mbi,
        )
    },
    Shape {
        exact: true,
        rule: "base58check",
        ..row(
            &EntityKind::Crypto,
            Topic::Crypto,
            r"[123mnDLMAT9][1-9A-Za-z]{25,34}",
            wallet::base58check,
        )
    },
    Shape {
        exact: true,
        rule: "bech32",
        ..row(
            &EntityKind::Crypto,
            Topic::Crypto,
            r"(?:bc|tb|ltc)1[a-z0-9]{10,87}",
            wallet::bech32,
        )
    },
    Shape {
        exact: true,
        rule: "0x address",
        ..row(
            &EntityKind::Crypto,
            Topic::Crypto,
            r"0x[0-9a-f]{40}",
            wallet::hex_address,
        )
    },
    Shape {
        exact: true,
        rule: "shape",
        ..row(
            &EntityKind::MacAddress,
            Topic::Mac,
            r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}|(?:[0-9a-f]{2}-){5}[0-9a-f]{2}",
            |_| true,
        )
    },
];

/// The compiled automaton.
#[derive(Debug)]
pub(super) struct Shapes {
    dfa: DFA<Vec<u32>>,
    /// Without look-around it is the same everywhere.
    start: StateID,
}

impl Shapes {
    pub(super) fn new() -> Result<Self, Box<dense::BuildError>> {
        let patterns: Vec<&str> = SHAPES.iter().map(|shape| shape.pattern).collect();
        let config = dense::Config::new()
            .match_kind(MatchKind::All)
            .start_kind(StartKind::Anchored);
        let syntax = syntax::Config::new()
            .unicode(false)
            .utf8(false)
            .case_insensitive(true);
        let dfa = dense::Builder::new()
            .configure(config)
            .syntax(syntax)
            .build_many(&patterns)?;
        // No shape looks around: the automaton has a start that fits everywhere. Without one nothing would be found.
        let start = dfa
            .universal_start_state(Anchored::Yes)
            .unwrap_or(StateID::ZERO);
        Ok(Self { dfa, start })
    }

    /// Everything that starts at the word at `start`.
    pub(super) fn find(&self, scan: &Scan<'_>, start: usize, out: &mut Vec<Entity>) {
        let dfa = &self.dfa;
        let mut state = self.start;
        let mut end = start;
        for &byte in scan.bytes.get(start..).unwrap_or_default() {
            state = dfa.next_state(state, byte);
            if dfa.is_special_state(state) {
                if dfa.is_dead_state(state) {
                    return;
                }
                self.report(scan, state, start..end, out);
            }
            end += 1;
        }
        self.report(scan, dfa.next_eoi_state(state), start..end, out);
    }

    /// The shapes that end at a state: the automaton tells an end one byte late.
    fn report(&self, scan: &Scan<'_>, state: StateID, range: Range<usize>, out: &mut Vec<Entity>) {
        if !self.dfa.is_match_state(state) {
            return;
        }
        for index in 0..self.dfa.match_len(state) {
            let shape = SHAPES.get(self.dfa.match_pattern(state, index).as_usize());
            out.extend(shape.and_then(|shape| judge(scan, shape, range.clone())));
        }
    }
}

fn judge(scan: &Scan<'_>, shape: &Shape, range: Range<usize>) -> Option<Entity> {
    let written = cut(scan.bytes, range.clone());
    if at(scan.bytes, range.end).is_ascii_alphanumeric() {
        return None;
    }
    let text: Vec<u8> = match shape.kind {
        // The sign in the middle is the century.
        &EntityKind::FiHetu => written.to_ascii_uppercase(),
        _ if shape.exact => written.to_vec(),
        _ => written
            .iter()
            .filter(|b| b.is_ascii_alphanumeric())
            .map(u8::to_ascii_uppercase)
            .collect(),
    };
    if !(shape.check)(&padded(shape.kind, text)) {
        return None;
    }
    let entity = |score| Entity::new(range.clone(), shape.kind.clone(), shape.strength, score);
    if let Some(near) = scan.near(&range, shape.topic) {
        return Some(entity(0.6 + near.bonus()).because(shape.rule, Some(near.word)));
    }
    let proven = shape.strength == Strength::Checksum;
    let small = !shape.exact && written.iter().any(u8::is_ascii_lowercase);
    let code = is_joined(scan.bytes, &range) || scan.is_thing(range.start) || small;
    let enough = match shape.alone {
        Alone::Never => false,
        Alone::Grouped => written.contains(&b'-'),
        Alone::Unlabelled => !named_otherwise(scan, &range),
        Alone::Always => true,
    };
    (enough && (!code || shape.exact))
        .then(|| entity(if proven { 0.92 } else { 0.75 }).because(shape.rule, None))
}

/// A Spanish number may be written without its leading zero.
fn padded(kind: &EntityKind, text: Vec<u8>) -> Vec<u8> {
    if *kind == EntityKind::EsNif && text.len() == 8 {
        [&b"0"[..], &text].concat()
    } else {
        text
    }
}

/// Whether the code is a piece of a longer one: `ABC-12345678Z`, `a/b`, `x_y`.
fn is_joined(bytes: &[u8], range: &Range<usize>) -> bool {
    let joins = |b: u8| b"-_./".contains(&b);
    joins(before(bytes, range.start)) && before(bytes, range.start - 1).is_ascii_alphanumeric()
        || joins(at(bytes, range.end)) && at(bytes, range.end + 1).is_ascii_alphanumeric()
}

/// An IBAN that starts here: two letters, two digits, then groups up to the country's length.
/// What follows in the text is not read, so that a word behind the number does no harm.
pub(super) fn iban(scan: &Scan<'_>, start: usize) -> Option<Entity> {
    let head = [at(scan.bytes, start), at(scan.bytes, start + 1)];
    let third = at(scan.bytes, start + 2);
    let check_follows = third.is_ascii_digit() || at(scan.bytes, start + 3).is_ascii_digit();
    if !(check_follows && head.iter().all(u8::is_ascii_alphabetic)) {
        return None;
    }
    let length = bank::iban_length(&head.map(|byte| byte.to_ascii_uppercase()))?;
    let mut text = Vec::with_capacity(length);
    let mut end = start;
    let mut gap = 0;
    for (index, &byte) in cut(scan.bytes, start..scan.bytes.len().min(start + 80))
        .iter()
        .enumerate()
    {
        if byte.is_ascii_alphanumeric() {
            text.push(byte.to_ascii_uppercase());
            gap = 0;
            end = start + index + 1;
        } else if b" -.\n".contains(&byte) && gap < 2 {
            gap += 1;
        } else {
            break;
        }
        if text.len() == length {
            break;
        }
    }
    let whole = bank::iban(&text) && !at(scan.bytes, end).is_ascii_digit();
    let range = start..end;
    let near = scan.near(&range, Topic::Iban);
    // Small letters between spaces are words: "es 4002 …".
    let written = cut(scan.bytes, range.clone());
    let words = written.contains(&b' ') && written.iter().any(u8::is_ascii_lowercase);
    (whole && !(words && near.is_none())).then(|| {
        Entity::new(range, EntityKind::Iban, Strength::Checksum, 0.98)
            .because("mod 97 + length", near.map(|near| near.word))
    })
}
