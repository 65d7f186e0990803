//! People in scripts with blanks and without capitals: Devanagari, Arabic, Hebrew, Thai.
//!
//! A first name alone is a word too often (`आशा` is hope), so it takes a surname, a title, a cue or a case ending.

use super::lexicon::cue;
use super::page::Page;
use super::person::TITLE_TOKENS_MAX;
use super::table::role;
use super::token::{Gap, Kind, Token};
use super::{Found, NameKind};

const WORDS_MAX: usize = 4;

/// Hindi postpositions and honorifics that follow people.
const AFTER: &[&str] = &["जी", "ने", "को", "का", "की", "के", "से", "और", "साहब"];

/// Words that end a name after a cue.
const ENDS: &[&str] = &[
    "है",
    "हैं",
    "हूँ",
    "हूं",
    "और",
    "था",
    "थी",
    "में",
    "से",
    "को",
    "का",
    "की",
    "के",
    "ने",
    "पर",
    "भी",
    "هو",
    "هي",
    "و",
    "من",
    "في",
    "على",
    "أنا",
    "ו",
];

/// Finds people in words without case.
pub fn find(page: &Page, out: &mut Vec<Found>) {
    let mut index = 0;
    while index < page.tokens.len() {
        let token = page.at(index);
        let found = if token.kind != Kind::Caseless || page.muted(index) {
            None
        } else if token.is(role::TITLE) {
            titled(page, index)
        } else {
            cued(page, index).or_else(|| listed(page, index))
        };
        match found {
            Some((name, to)) => {
                out.push(name);
                index = to.max(index + 1);
            }
            None => index += 1,
        }
    }
}

fn word(page: &Page, index: usize) -> bool {
    let token = page.at(index);
    token.kind == Kind::Caseless && token.gap <= Gap::Space && !ends(page, token)
}

fn ends(page: &Page, token: Token) -> bool {
    token.is(role::STOP) || ENDS.contains(&page.word(token))
}

fn named(token: Token) -> bool {
    token.kind == Kind::Caseless
        && token.is(role::FIRST | role::LAST)
        && !token.is(role::STOP | role::MAJOR)
        && token.len() > 4
}

/// `श्री राम शर्मा`, `السيد أحمد علي`.
fn titled(page: &Page, index: usize) -> Option<(Found, usize)> {
    let mut from = index + 1;
    for _ in 0..TITLE_TOKENS_MAX {
        let dot = page.at(from).kind == Kind::Mark('.');
        let title = page.at(from).is(role::TITLE) && page.at(from).spaced();
        from += usize::from(dot || title);
    }
    if !word(page, from) {
        return None;
    }
    let mut to = from + 1;
    while to < from + 3 && word(page, to) && page.at(to).is(role::FIRST | role::LAST) {
        to += 1;
    }
    Some((page.found(from..to, NameKind::Person, 0.8, "title"), to))
}

/// `मेरा नाम … है`.
fn cued(page: &Page, index: usize) -> Option<(Found, usize)> {
    let token = page.at(index);
    let cue = if token.is(role::CUE_END) {
        page.cue(index)?
    } else {
        return None;
    };
    if cue.roles & (cue::NAME | cue::GREET | cue::SIGN | cue::PERSON) == 0 {
        return None;
    }
    let is = |kind: u32| cue.roles & kind != 0;
    let line = is(cue::SIGN);
    let from = cue.next + usize::from(line && page.at(cue.next).is_mark(",،"));
    let mut to = from;
    while to < from + 3
        && (word(page, to) || to == from && line && page.at(to).kind == Kind::Caseless)
    {
        to += 1;
    }
    let known = named(page.at(from)) || to > from + 1 && named(page.at(from + 1));
    let closed = page.at(to).kind == Kind::Caseless && ends(page, page.at(to));
    let alone = line && page.at(from).gap >= Gap::Line && page.at(to).gap >= Gap::Line;
    // A patient or a customer is followed by the sentence about them: two words are the name.
    if is(cue::PERSON) && !closed && known {
        to = to.min(from + 2);
    }
    let sure = is(cue::NAME) || known || alone || closed && to == from + 2;
    (to > from && sure).then(|| (page.found(from..to, NameKind::Person, 0.8, "cue"), to))
}

/// Two listed names, or one with a case ending.
fn listed(page: &Page, index: usize) -> Option<(Found, usize)> {
    let head = page.at(index);
    if !named(head) {
        return honoured(page, index);
    }
    let mut to = index + 1;
    while to < index + WORDS_MAX && named(page.at(to)) && page.at(to).spaced() {
        to += 1;
    }
    let next = page.at(to);
    // Arabic words with an article are in the lists of surnames by the hundred.
    let arabic = page
        .word(head)
        .starts_with(|letter: char| ('\u{600}'..'\u{700}').contains(&letter));
    if arabic
        && !(head.is(role::FIRST) && page.at(index + 1).is(role::FIRST)
            || page.before(index).is(role::WITH))
    {
        return None;
    }
    let unlisted = to == index + 1 && head.is(role::FIRST) && next.is(role::LAST) && next.spaced();
    if to > index + 1 || unlisted {
        let to = if unlisted { to + 1 } else { to };
        return Some((page.found(index..to, NameKind::Person, 0.7, "list"), to));
    }
    let ended = next.spaced()
        && AFTER.contains(&page.word(next))
        && head.is(role::FIRST)
        && !head.is(role::COMMON);
    ended.then(|| (page.found(index..to, NameKind::Person, 0.5, "list"), to))
}

/// `… जी`: also unlisted names, but no relatives and no professions.
fn honoured(page: &Page, index: usize) -> Option<(Found, usize)> {
    const OTHERS: &[&str] = &[
        "माता",
        "पिता",
        "गुरु",
        "भाई",
        "बहन",
        "दीदी",
        "डॉक्टर",
        "सर",
        "मैडम",
        "बाबू",
        "पंडित",
        "मंत्री",
    ];
    let (token, next) = (page.at(index), page.at(index + 1));
    let fits = next.spaced()
        && page.word(next) == "जी"
        && !ends(page, token)
        && !OTHERS.contains(&page.word(token));
    fits.then(|| {
        (
            page.found(index..index + 1, NameKind::Person, 0.6, "title"),
            index + 2,
        )
    })
}
