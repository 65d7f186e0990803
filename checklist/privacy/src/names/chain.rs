//! Chains of capitalised words that may be a name: words, initials, hyphens, particles, suffixes.

use super::context::post;
use super::page::Page;
use super::table::role;
use super::token::{Gap, Kind, Token};

/// Most words of one name, particles not counted.
const WORDS_MAX: usize = 5;

/// Which words a chain may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Licence {
    /// Known names, and capitalised words that no list knows.
    Plain,
    /// After a title or a cue: also known words, as long as they are no function words.
    Announced,
}

/// A chain of words that may be a name.
#[derive(Debug, Clone, Copy)]
pub struct Chain {
    pub from: usize,
    pub to: usize,
    /// Words of at least two letters.
    pub words: usize,
    pub initials: usize,
    /// Words some list of names knows.
    pub known: usize,
    pub head: Token,
    pub tail: Token,
}

/// How sure a list is that a word is a name: 2 nothing else, 1 also a word, 0 not listed.
pub fn first_rank(token: Token) -> u8 {
    rank(token, role::FIRST)
}

/// As [`first_rank`], for surnames.
pub fn last_rank(token: Token) -> u8 {
    rank(token, role::LAST)
}

fn rank(token: Token, list: u32) -> u8 {
    if !token.is(list) {
        return 0;
    }
    if token.is(role::GIVEN) {
        return 2;
    }
    let word = role::COMMON
        | role::STOP
        | role::BRAND
        | role::GROUP
        | role::TITLE
        | role::OFFICE
        | role::HEAD
        | role::LEGAL;
    if token.is(word) || token.len() < 3 {
        1
    } else {
        2
    }
}

/// Whether no list knows the word, so that it may well be a name.
pub fn unknown(token: Token) -> bool {
    let known = role::COMMON
        | role::STOP
        | role::BRAND
        | role::MAJOR
        | role::GROUP
        | role::TAIL
        | role::LEGAL
        | role::HEAD;
    token.kind == Kind::Title
        && token.len() > 1
        && !token.is(known | role::TITLE | role::OFFICE | role::KEY | role::MAYBE_KEY)
}

fn listed(token: Token) -> bool {
    token.is(role::FIRST | role::LAST | role::TOP_SURNAME | role::GIVEN)
}

fn admissible(token: Token, licence: Licence) -> bool {
    match token.kind {
        Kind::Initial => true,
        Kind::Title if licence == Licence::Announced => {
            !token.is(role::STOP | role::GROUP)
                && (!token.is(role::COMMON | role::TAIL | role::HEAD) || listed(token))
                || token.is(role::GIVEN | role::TOP_SURNAME)
        }
        Kind::Title => {
            (listed(token) && (!token.is(role::STOP) || token.is(role::TOP_SURNAME | role::GIVEN)))
                || unknown(token)
        }
        Kind::Upper => listed(token) && !token.is(role::STOP | role::LEGAL | role::STATE),
        _ => false,
    }
}

/// The longest chain that starts here.
pub fn chain(page: &Page, from: usize, licence: Licence) -> Option<Chain> {
    let head = page.at(from);
    if !head.is_capital() || !admissible(head, licence) {
        return None;
    }
    let mut found = Chain {
        from,
        to: from,
        words: 0,
        initials: 0,
        known: 0,
        head,
        tail: head,
    };
    let mut next = from;
    while found.words + found.initials < WORDS_MAX && admissible(page.at(next), licence) {
        next = take(page, &mut found, next);
        match link(page, next, licence) {
            Some(after) => next = after,
            None => break,
        }
    }
    found.to = suffix(page, found.to);
    (found.words > 0).then_some(found)
}

/// Adds the word at `index` to the chain; returns what follows it.
fn take(page: &Page, found: &mut Chain, index: usize) -> usize {
    let token = page.at(index);
    if token.kind != Kind::Initial {
        found.words += 1;
        found.known += usize::from(listed(token));
        found.tail = token;
        found.to = index + 1;
        return index + 1;
    }
    found.initials += 1;
    let dot = page.at(index + 1).kind == Kind::Mark('.') && page.at(index + 1).glued();
    // A last letter without a dot may belong to what follows.
    if dot {
        found.to = index + 2;
    }
    index + 1 + usize::from(dot)
}

/// Where the chain goes on after a blank, a hyphen or particles.
fn link(page: &Page, next: usize, licence: Licence) -> Option<usize> {
    let token = page.at(next);
    if token.is_mark("-‐") && token.glued() {
        let after = page.at(next + 1);
        return (after.glued() && after.is_capital() && after.kind != Kind::Initial)
            .then_some(next + 1);
    }
    if token.glued() {
        // `J.R. Smith`.
        return (token.kind == Kind::Initial && page.before(next).kind == Kind::Mark('.'))
            .then_some(next);
    }
    if !token.spaced() {
        return None;
    }
    if post(page, next) || token.is(role::SUFFIX) && token.len() > 1 {
        return None;
    }
    if admissible(token, licence) {
        return Some(next);
    }
    let mut after = next;
    for _ in 0..3 {
        let particle = page.at(after);
        if !(particle.is(role::PARTICLE)
            && matches!(particle.kind, Kind::Lower | Kind::Title)
            && particle.spaced())
        {
            break;
        }
        after += 1;
        if page.at(after).is_mark("'’") && page.at(after).glued() {
            after += 1;
        }
    }
    let target = page.at(after);
    let joins = after > next
        && target.gap <= Gap::Space
        && target.kind == Kind::Title
        && admissible(target, licence);
    // `e`, `y` and `i` join two surnames of one person, but also two people.
    let and = page.at(next).len() == 1 && matches!(page.word(page.at(next)), "e" | "y" | "i");
    (joins && !(and && first_rank(target) > 0)).then_some(after)
}

/// Takes `Jr.`, `III` or `, PhD` along.
fn suffix(page: &Page, to: usize) -> usize {
    let comma = usize::from(page.at(to).kind == Kind::Mark(',') && page.at(to).glued());
    let token = page.at(to + comma);
    let fits = token.spaced() && token.is(role::SUFFIX) && token.is_capital() && token.len() > 1;
    match (fits, comma) {
        (true, 0) | (true, 1) if page.word(token) != "MS" => {
            let dot = page.at(to + comma + 1);
            to + comma + 1 + usize::from(dot.kind == Kind::Mark('.') && dot.glued())
        }
        _ => to,
    }
}
