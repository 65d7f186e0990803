//! Places: listed ones, `City, ST`, and whatever follows a phrase such as `lives in`.

use super::chain::{first_rank, last_rank, unknown};
use super::lexicon::cue;
use super::page::Page;
use super::table::role;
use super::token::{Gap, Kind, Token};
use super::{Found, NameKind};

/// Finds places in scripts with capital letters, and listed words of other scripts.
pub fn find(page: &Page, out: &mut Vec<Found>) {
    let mut index = 0;
    while index < page.tokens.len() {
        let token = page.at(index);
        let mut to = index + 1;
        if !page.muted(index) {
            if token.is(role::CUE_END) {
                out.extend(announced(page, index));
            }
            if token.is(role::PLACE | role::MAJOR | role::PLACE_START)
                && let Some((end, score)) = listed(page, index)
            {
                out.push(page.found(index..end, NameKind::Location, score, "place"));
                out.extend(above(page, index));
                to = end;
            } else if token.kind == Kind::Title
                && let Some(end) = before_state(page, index)
            {
                out.push(page.found(index..end, NameKind::Location, 0.6, "state"));
                to = end;
            }
        }
        index = to;
    }
}

fn listed(page: &Page, index: usize) -> Option<(usize, f32)> {
    let (end, roles) = page.place(index)?;
    let head = page.at(index);
    let shown = head.is_capital()
        && (head.kind != Kind::Upper || head.len() > 3 || roles & role::MAJOR != 0);
    let caseless = matches!(head.kind, Kind::Caseless | Kind::Hangul | Kind::Katakana);
    if !(shown || caseless)
        || page.wired(index, end)
        || page.before(index).glued() && page.before(index).is_word()
    {
        return None;
    }
    if head.kind == Kind::Upper && head.is(role::STOP | role::COMMON)
        || head.len() < 3 && end == index + 1 && !matches!(page.word(head), "UK" | "US")
    {
        return None;
    }
    let evidence = preposition(page, index) || addressed(page, index, end);
    if roles & role::MAJOR != 0 {
        return Some((end, major_score(page, index, end, evidence)?));
    }
    // Small places in scripts without capitals are words as often as not.
    if caseless && end == index + 1 {
        return None;
    }
    let doubtful = head.is(role::COMMON | role::STOP | role::BRAND | role::GROUP | role::TITLE);
    let person = head.is(role::FIRST | role::LAST | role::TOP_SURNAME);
    match (end > index + 1, doubtful, person) {
        (true, false, _) => Some((end, 0.6)),
        (false, false, false) if head.len() > 4 && !page.starts(index) => Some((end, 0.5)),
        (_, false, _) if evidence => Some((end, 0.62)),
        _ => None,
    }
}

fn major_score(page: &Page, index: usize, end: usize, evidence: bool) -> Option<f32> {
    let head = page.at(index);
    if end > index + 1 {
        return Some(0.85);
    }
    let next = page.at(end);
    // `Paris Hilton`, `Jordan Smith`: a name goes on.
    let goes_on = next.spaced()
        && next.kind == Kind::Title
        && (last_rank(next) == 2 || next.is(role::TOP_SURNAME))
        && head.is(role::FIRST | role::GIVEN);
    if goes_on && (!evidence || head.is(role::FIRST)) || head.is(role::STOP) {
        return None;
    }
    if evidence {
        return Some(0.7);
    }
    if first_rank(head) == 2 && head.is(role::GIVEN) || head.is(role::COMMON | role::BRAND) {
        return None;
    }
    Some(0.6)
}

/// A word before it that places go with.
fn preposition(page: &Page, index: usize) -> bool {
    let before = page.before(index);
    before.is(role::IN)
        && page.at(index).gap == Gap::Space
        && matches!(before.kind, Kind::Lower | Kind::Title)
}

/// A postal code or a further place beside it, as in an address.
fn addressed(page: &Page, index: usize, end: usize) -> bool {
    let code = |token: Token| token.kind == Kind::Number && (4..=6).contains(&token.len());
    let (before, after) = (page.before(index), page.at(end));
    let comma = after.kind == Kind::Mark(',') && page.at(end + 1).spaced();
    let further = comma
        && (page.at(end + 1).is(role::MAJOR)
            || page
                .place(end + 1)
                .is_some_and(|(_, roles)| roles & role::MAJOR != 0)
            || code(page.at(end + 1)));
    (code(before) && page.at(index).gap == Gap::Space)
        || (code(after) && after.gap == Gap::Space)
        || further
}

/// `Springfield, IL`: capitalised words, a comma and a state.
fn before_state(page: &Page, index: usize) -> Option<usize> {
    let mut end = index;
    while end < index + 3
        && page.at(end).kind == Kind::Title
        && (end == index || page.at(end).spaced())
    {
        end += 1;
    }
    let state = page.at(end + 1);
    let comma = page.at(end).kind == Kind::Mark(',') && page.at(end).glued() && state.spaced();
    let country = comma
        && state.spaced()
        && page
            .place(end + 1)
            .is_some_and(|(_, roles)| roles & role::MAJOR != 0)
        && state.is_capital();
    let person = first_rank(page.at(index)) == 2
        || page.at(index).is(role::COMMON | role::TITLE | role::BRAND);
    let fits = comma && state.kind == Kind::Upper && state.len() == 2 && state.is(role::STATE)
        || country && !person;
    let word = (index..end).any(|place| page.at(place).is(role::STOP | role::GROUP));
    (fits && !word && !page.wired(index, end)).then_some(end)
}

/// The city on the line above a country, as in an address.
fn above(page: &Page, index: usize) -> Option<Found> {
    let country = page.at(index).is(role::MAJOR | role::PLACE_START);
    let quoted =
        usize::from(page.before(index).is_mark(">") && page.before(index).gap >= Gap::Line);
    let to = index.checked_sub(quoted)?;
    let mut from = to.checked_sub(1)?;
    for _ in 0..2 {
        from -= usize::from(page.at(from).spaced());
    }
    let named = |token: Token| {
        let plain = role::STOP | role::GROUP | role::TITLE | role::BRAND | role::LEGAL;
        matches!(token.kind, Kind::Title | Kind::Upper) && token.len() > 2 && !token.is(plain)
    };
    let line = page.at(to).gap >= Gap::Line
        && (page.at(from).gap >= Gap::Line || page.before(from).is_mark(">"));
    let own = (from..to).any(|place| !page.at(place).is(role::COMMON));
    let fits = country && line && own && (from..to).all(|place| named(page.at(place)));
    fits.then(|| page.found(from..to, NameKind::Location, 0.55, "address"))
}

/// Unlisted places after `lives in`, `geboren in`, `trip to`.
fn announced(page: &Page, index: usize) -> Option<Found> {
    let cue = page.cue(index)?;
    if cue.roles & cue::PLACE == 0 || page.at(cue.next).gap != Gap::Space {
        return None;
    }
    let from = cue.next
        + usize::from(page.at(cue.next).is(role::STOP) && page.word(page.at(cue.next)) == "the");
    if let Some((end, roles)) = page.place(from)
        && page.at(from).kind == Kind::Lower
        && roles & role::MAJOR != 0
        && !page.at(from).is(role::COMMON | role::STOP)
    {
        return Some(page.found(from..end, NameKind::Location, 0.55, "cue"));
    }
    let mut to = from;
    while to < from + 3
        && fresh(page.at(to))
        && (to == from
            || page.at(to).spaced()
            || page.at(to).glued() && page.before(to).is_mark("-"))
    {
        to += 1;
        if page.at(to).is_mark("-") && page.at(to).glued() && fresh(page.at(to + 1)) {
            to += 1;
        }
    }
    let strict =
        page.word(page.at(index)).eq_ignore_ascii_case("nach") || cue.next - cue.first == 1;
    let person = first_rank(page.at(from)) == 2 && to > from + 1;
    (to > from && !person && !(strict && page.at(from).is(role::FIRST)))
        .then(|| page.found(from..to, NameKind::Location, 0.62, "cue"))
}

fn fresh(token: Token) -> bool {
    let listed = token.is(role::LAST | role::FIRST | role::PLACE)
        && !token.is(role::STOP | role::BRAND | role::COMMON);
    let shouted = token.kind == Kind::Upper
        && token.len() > 4
        && !token.is(role::STOP | role::BRAND | role::COMMON | role::LEGAL);
    shouted || token.kind == Kind::Title && (unknown(token) || listed || token.is(role::MAJOR))
}
