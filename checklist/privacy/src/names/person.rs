//! People in scripts with capital letters: Latin, Cyrillic, Greek.
//!
//! A name is a chain of capitalised words, initials, hyphens and particles. What makes a chain a name is evidence:
//! known first names and surnames, a title, a cue, or a verb that only people go with.

use super::chain::{Chain, Licence, chain, first_rank, last_rank, unknown};
use super::context::{determined, doubled, joins_words, paired, post, speaks, used_as_word};
use super::page::Page;
use super::table::role;
use super::token::{Gap, Kind, Token};
use super::{Found, NameKind};

/// Titles in a row and their dots: `Herr Prof. Dr. Dr. h. c.` and little more.
pub const TITLE_TOKENS_MAX: usize = 8;

/// Finds people by titles and by lists; cues have their own module.
pub fn find(page: &Page, out: &mut Vec<Found>) {
    let mut index = 0;
    while index < page.tokens.len() {
        let token = page.at(index);
        let step = if page.muted(index) {
            None
        } else if token.is(role::TITLE | role::OFFICE) && token.is_word() {
            titled(page, index).or_else(|| plain(page, index))
        } else if token.is_capital() {
            plain(page, index)
        } else if token.kind == Kind::Lower && first_rank(token) == 2 {
            small(page, index)
        } else {
            None
        };
        match step {
            Some((found, to)) => {
                out.push(found);
                index = to.max(index + 1);
            }
            None => index += 1,
        }
    }
}

/// `Mr. Jenkins`, `Frau Dr. Müller`, `mr smith`.
fn titled(page: &Page, index: usize) -> Option<(Found, usize)> {
    let title = page.at(index);
    let mut next = index;
    while page.at(next).is(role::TITLE | role::OFFICE)
        && page.at(next).is_word()
        && (next == index || page.at(next).gap <= Gap::Space)
        && next < index + TITLE_TOKENS_MAX
    {
        next += 1;
        if page.at(next).kind == Kind::Mark('.') && page.at(next).glued() {
            next += 1;
        }
    }
    let head = page.at(next);
    if head.gap > Gap::Space
        || (head.glued() && page.before(next).kind != Kind::Mark('.'))
        || page.wired(index, index + 1) && page.at(index + 1).kind != Kind::Mark('.')
    {
        return None;
    }
    if head.kind == Kind::Lower {
        return small_titled(page, index, next);
    }
    let office = !title.is(role::TITLE);
    let Some(chain) = chain(
        page,
        next,
        if office {
            Licence::Plain
        } else {
            Licence::Announced
        },
    ) else {
        return plain_word(page, title, next);
    };
    let bare = title.kind == Kind::Upper || office;
    let trusted = first_rank(chain.head).max(last_rank(chain.tail)) == 2
        || (unknown(chain.head) && title.kind != Kind::Upper);
    if (bare && !trusted)
        || title.kind == Kind::Initial && page.at(index + 1).kind != Kind::Mark('.')
        || office && followed_by_thing(page, chain.to)
    {
        return None;
    }
    Some((
        page.found(
            chain.from..chain.to,
            NameKind::Person,
            if office { 0.7 } else { 0.9 },
            "title",
        ),
        chain.to,
    ))
}

/// `Mrs Scales`: a word that is no listed name, but nothing else can be meant.
fn plain_word(page: &Page, title: Token, index: usize) -> Option<(Found, usize)> {
    let word = page.at(index);
    let other = role::STOP
        | role::GROUP
        | role::BRAND
        | role::TAIL
        | role::HEAD
        | role::LEGAL
        | role::OFFICE
        | role::TITLE;
    let fits = title.is(role::TITLE)
        && title.kind == Kind::Title
        && word.kind == Kind::Title
        && !word.is(other);
    fits.then(|| {
        (
            page.found(index..index + 1, NameKind::Person, 0.6, "title"),
            index + 1,
        )
    })
}

/// `mr smith`: only a dotted or unmistakable title, and a listed name.
fn small_titled(page: &Page, index: usize, from: usize) -> Option<(Found, usize)> {
    let sure = matches!(
        page.word(page.at(index)).to_ascii_lowercase().as_str(),
        "mr" | "mrs" | "ms" | "dr" | "prof" | "frau" | "herr" | "mme" | "sra" | "miss"
    );
    let listed = |token: Token| {
        token.is(role::FIRST | role::LAST | role::TOP_SURNAME) && !token.is(role::STOP)
    };
    let named = |token: Token| token.kind == Kind::Lower && token.spaced() && listed(token);
    if !sure || !named(page.at(from)) || page.before(index).kind == Kind::Number {
        return None;
    }
    let to = from + 1 + usize::from(named(page.at(from + 1)));
    Some((page.found(from..to, NameKind::Person, 0.7, "title"), to))
}

/// `john smith` in small letters: both listed, neither a word.
fn small(page: &Page, index: usize) -> Option<(Found, usize)> {
    let (first, last) = (page.at(index), page.at(index + 1));
    // `jenna told me`: a verb that takes people is enough for a frequent first name.
    if first.is(role::FREQUENT)
        && !page.wired(index, index + 1)
        && last.is(role::SAYS)
        && speaks(page, index + 1)
    {
        return Some((
            page.found(index..index + 1, NameKind::Person, 0.5, "small"),
            index + 1,
        ));
    }
    // An unlisted surname takes a verb after it.
    let unlisted = last.roles == 0 && speaks(page, index + 2);
    let surname = last.kind == Kind::Lower && last.spaced() && last.len() > 3;
    let fits = first.is(role::FREQUENT)
        && surname
        && (last_rank(last) == 2 && first.len() > 3 || unlisted);
    let foreign =
        role::PLACE | role::MAJOR | role::PARTICLE | role::KEY | role::MAYBE_KEY | role::CUE_END;
    if !fits
        || first.is(foreign)
        || last.is(foreign)
        || page.wired(index, index + 2)
        || page.at(index + 2).glued() && page.at(index + 2).is_mark(":")
    {
        return None;
    }
    Some((
        page.found(index..index + 2, NameKind::Person, 0.55, "small"),
        index + 2,
    ))
}

/// A chain with nothing before it that announces a name.
fn plain(page: &Page, index: usize) -> Option<(Found, usize)> {
    let before = page.before(index);
    let led = before.is(role::LEAD) && before.kind != Kind::Lower
        || before.is(role::LEAD) && !before.is(role::PARTICLE | role::STOP);
    if led && page.at(index).gap <= Gap::Space
        || page.at(index).is(role::LEAD)
            && page.at(index + 1).gap <= Gap::Space
            && page.at(index + 1).is_word()
    {
        return None;
    }
    let chain = chain(page, index, Licence::Plain)?;
    if page.wired(chain.from, chain.to) && !post(page, chain.to)
        || followed_by_thing(page, chain.to)
    {
        return None;
    }
    let (score, reason) = if chain.words + chain.initials >= 2 {
        several(page, chain)?
    } else {
        (single(page, chain)?, "list")
    };
    Some((
        page.found(chain.from..chain.to, NameKind::Person, score, reason),
        chain.to,
    ))
}

/// `Smith Street`, `Anna University`, `Peter GmbH`, `Maria 4.2`.
pub fn followed_by_thing(page: &Page, to: usize) -> bool {
    let next = page.at(to);
    let thing = role::TAIL | role::HEAD | role::LEGAL;
    if next.gap > Gap::Space {
        return false;
    }
    let capital = next.is_capital() || next.kind == Kind::Lower;
    (next.is(thing)
        && capital
        && !next.is(role::PARTICLE)
        && (next.is_capital() || next.is(role::TAIL) && !next.is(role::STOP)))
        || (next.spaced()
            && matches!(next.kind, Kind::Number | Kind::Ident)
            && page.at(to + 1).kind != Kind::Mark('-')
            && page.word(next).len() < 6)
}

fn several(page: &Page, chain: Chain) -> Option<(f32, &'static str)> {
    let start = page.starts(chain.from);
    let (first, last) = (first_rank(chain.head), last_rank(chain.tail));
    let brand = chain.head.is(role::BRAND) && last < 2 || chain.tail.is(role::BRAND);
    let top = chain.tail.is(role::TOP_SURNAME);
    if chain.head.kind == Kind::Upper && chain.known < chain.words {
        return None;
    }
    let spaced = (chain.from + 1..chain.to).any(|index| page.at(index).spaced());
    let given = first == 2 && first_rank(chain.tail) > 0;
    if !spaced && !given && !page.before(chain.from).is(role::WITH) && !speaks(page, chain.to) {
        // `Ellis-Ingram` may be a couple, a firm or a theorem.
        return None;
    }
    if chain.initials > 0 && chain.words == 1 {
        return initialed(page, chain, first, last);
    }
    let thing = chain.tail.is(role::TAIL) && (!top || chain.head.is(role::MAJOR | role::PLACE));
    if brand && !(chain.head.is(role::GIVEN) && last > 0) || thing {
        return None;
    }
    // `Bitte Annegret Pfeiffer`: the name starts one word later.
    let second = page.at(chain.from + 1);
    if chain.words > 2
        && first < 2
        && chain.head.is(role::COMMON)
        && second.spaced()
        && first_rank(second) == 2
    {
        return None;
    }
    let place = chain.head.is(role::MAJOR) && !chain.head.is(role::GIVEN);
    match (first, last) {
        (2, 2) if !place => Some((0.9, "list")),
        (2, _) if top && !place => Some((0.85, "list")),
        (2, _) if !place => Some((
            if last > 0 || unknown(chain.tail) {
                0.75
            } else {
                0.6
            },
            "list",
        )),
        (2, 2) => Some((0.65, "list")),
        (1, 2) if chain.head.is(role::STOP) && start => Some((0.5, "list")),
        (1, 2) => Some((0.75, "list")),
        (1, _) if top && !(start && chain.head.is(role::STOP)) => Some((0.6, "list")),
        (1, _)
            if !start
                && unknown(chain.tail)
                && page.before(chain.from).kind == Kind::Lower
                && !determined(page, chain.from) =>
        {
            Some((0.5, "list"))
        }
        // Family name first: `Kim Minjun`, `Nagy Anna`.
        (0, _) if chain.head.is(role::LAST) && first_rank(chain.tail) == 2 && !place => {
            Some((0.7, "list"))
        }
        (0, 2) if !place && (unknown(chain.head) || last_rank(chain.head) == 2) => {
            Some((0.55, "list"))
        }
        (0, _) if top && unknown(chain.head) && !start => Some((0.5, "list")),
        _ if !place && unlisted_pair(page, chain) => {
            Some((if speaks(page, chain.to) { 0.6 } else { 0.45 }, "context"))
        }
        _ => None,
    }
}

/// Two or three words that no list explains, where a person is due.
fn unlisted_pair(page: &Page, chain: Chain) -> bool {
    let index = chain.from;
    let before = page.before(index);
    let due =
        before.is(role::PREP | role::WITH) && before.kind == Kind::Lower && page.at(index).spaced();
    let due = due || speaks(page, chain.to) || label(page, chain);
    let plain = |token: Token| unknown(token) || first_rank(token).max(last_rank(token)) == 2;
    due && plain(chain.head) && plain(chain.tail) && chain.words <= 3
}

/// Alone on a line above a line that starts with a number: the name over an address.
fn label(page: &Page, chain: Chain) -> bool {
    let below = page.at(chain.to);
    let alone = page.at(chain.from).gap >= Gap::Line && below.gap >= Gap::Line;
    alone && below.kind == Kind::Number && page.at(chain.to + 1).spaced()
}

/// `J. R. Smith`, `Smith, J.` is not looked for, `Vanessa P.`.
fn initialed(page: &Page, chain: Chain, first: u8, last: u8) -> Option<(f32, &'static str)> {
    let word = page.at(chain.from);
    if word.kind != Kind::Initial {
        let dotted = page.before(chain.to).kind == Kind::Mark('.');
        return (first == 2 && dotted && !page.at(chain.from).is(role::MAJOR))
            .then_some((0.6, "initial"));
    }
    let dotted = page.at(chain.from + 1).kind == Kind::Mark('.');
    let listed = chain.tail.is(role::LAST | role::TOP_SURNAME) && !chain.tail.is(role::STOP);
    let surname = last == 2 || dotted && (listed || unknown(chain.tail));
    (surname && !chain.tail.is(role::BRAND) && (dotted || (last == 2 && !page.starts(chain.from))))
        .then_some((0.7, "initial"))
}

fn single(page: &Page, chain: Chain) -> Option<f32> {
    let (token, index) = (chain.head, chain.from);
    let (before, next) = (page.before(index), page.at(chain.to));
    let person = speaks(page, chain.to);
    let adjacent = |other: Token, gap: Gap| {
        gap == Gap::Space
            && other.kind == Kind::Title
            && !other.is(role::TITLE | role::OFFICE | role::POST)
    };
    let in_title_case = adjacent(before, token.gap) && !page.starts(index.saturating_sub(1))
        || adjacent(next, next.gap);
    if token.kind == Kind::Upper
        || next.kind == Kind::Mark('-') && next.glued() && !person
        || token.is(role::BRAND) && !person
    {
        return None;
    }
    let with = before.is(role::WITH)
        && token.gap == Gap::Space
        && !in_title_case
        && !joins_words(page, index);
    let place = token.is(role::MAJOR) || token.is(role::PLACE) && !token.is(role::FIRST);
    if token.is(role::COMMON | role::STOP) && used_as_word(page, chain) || doubled(page, chain) {
        return None;
    }
    match (first_rank(token), last_rank(token)) {
        (2, _) if place => person.then_some(0.5),
        (2, _) if in_title_case && !token.is(role::GIVEN) => (person || with).then_some(0.5),
        (2, _) => Some(0.6),
        (1, _) if !token.is(role::STOP) && (with || person && !page.starts(index)) => Some(0.45),
        (0, 2) if !place && !in_title_case && (person || with || paired(page, chain)) => Some(0.5),
        (0, 0) if unknown(token) && !place && !in_title_case && person => Some(0.45),
        _ => None,
    }
}
