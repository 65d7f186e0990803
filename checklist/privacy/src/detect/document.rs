//! Passports, driving licences and bank accounts: codes without a check, found by the word
//! beside them only.

use std::ops::Range;

use super::bytes::{at, before, cut, run_end};
use super::context::Scan;
use super::entity::{Entity, EntityKind, Strength};
use super::words::Topic;

/// Kinds, their words, and the least and most letters and digits.
const DOCUMENTS: [(EntityKind, Topic, usize, usize); 2] = [
    (EntityKind::Passport, Topic::Passport, 6, 11),
    (EntityKind::DriverLicense, Topic::Licence, 5, 18),
];

/// The document number that starts at the word at `start`.
pub(super) fn find(scan: &Scan<'_>, start: usize, out: &mut Vec<Entity>) {
    for (kind, topic, least, most) in &DOCUMENTS {
        if !scan.has(*topic) {
            continue;
        }
        let choices = [
            joined(scan.bytes, start),
            start..run_end(scan.bytes, start, |b| b.is_ascii_alphanumeric()),
        ];
        let fitting = choices
            .into_iter()
            .find(|range| fits(cut(scan.bytes, range.clone()), *least, *most));
        let Some(range) = fitting else { continue };
        let named_otherwise = scan.label(range.start).is_some_and(|hit| {
            hit.topics & (topic.bit() | Topic::NationalId.bit() | Topic::Address.bit()) == 0
        });
        let Some(near) = scan.near(&range, *topic).filter(|_| !named_otherwise) else {
            continue;
        };
        let entity = Entity::new(range, kind.clone(), Strength::Context, 0.5 + near.bonus());
        out.push(entity.because("document number", Some(near.word)));
    }
}

/// The word with the parts that follow it after a single space or dash, as long as each part
/// has a digit and no small letter.
fn joined(bytes: &[u8], start: usize) -> Range<usize> {
    let mut end = run_end(bytes, start, |b| b.is_ascii_alphanumeric());
    while matches!(at(bytes, end), b' ' | b'-') {
        let next = run_end(bytes, end + 1, |b| b.is_ascii_alphanumeric());
        let part = cut(bytes, end + 1..next);
        let code = part.iter().any(u8::is_ascii_digit) && !part.iter().any(u8::is_ascii_lowercase);
        if !code || next - start > 24 {
            break;
        }
        end = next;
    }
    start..end
}

fn fits(text: &[u8], least: usize, most: usize) -> bool {
    let letters = text.iter().filter(|b| b.is_ascii_alphabetic()).count();
    let digits = text.iter().filter(|b| b.is_ascii_digit()).count();
    let small = text.iter().any(u8::is_ascii_lowercase) && text.iter().any(u8::is_ascii_uppercase);
    (least..=most).contains(&(letters + digits)) && digits >= 3 && !small && !is_date(text)
}

fn is_date(text: &[u8]) -> bool {
    let lengths: Vec<usize> = text.split(|b| b" -".contains(b)).map(<[u8]>::len).collect();
    matches!(*lengths, [4, 2, 2] | [2, 2, 4])
}

/// A bank account: free-standing digits that are named as one.
pub(super) fn account(scan: &Scan<'_>, range: &Range<usize>, digits: usize, out: &mut Vec<Entity>) {
    if !scan.has(Topic::Bank)
        || !(6..=17).contains(&digits)
        || is_date(cut(scan.bytes, range.clone()))
    {
        return;
    }
    let named_otherwise = scan
        .label(range.start)
        .is_some_and(|hit| hit.topics & Topic::Bank.bit() == 0);
    let priced = matches!(before(scan.bytes, range.start), b'$' | b'#');
    if let Some(near) = scan
        .near(range, Topic::Bank)
        .filter(|_| !named_otherwise && !priced)
    {
        let entity = Entity::new(
            range.clone(),
            EntityKind::UsBankNumber,
            Strength::Context,
            0.5 + near.bonus(),
        );
        out.push(entity.because("account number", Some(near.word)));
    }
}
