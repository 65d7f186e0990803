//! Values of keys: `"first_name": "Anna"`, `Name: Anna Smith`, `<lastName>Smith</lastName>`, `city=Paris`.

use super::chain::{first_rank, last_rank, unknown};
use super::lexicon::cue;
use super::page::Page;
use super::person::TITLE_TOKENS_MAX;
use super::table::role;
use super::token::{Gap, Kind};
use super::{Found, NameKind};

/// Words and marks a value may have at most.
const TOKENS_MAX: usize = 12;
const WORDS_MAX: usize = 6;

const KEYS: u32 = role::KEY | role::MAYBE_KEY | role::ORG_KEY | role::PLACE_KEY;

/// A key and where its value starts.
struct Field {
    roles: u32,
    from: usize,
    /// The value ends at this mark; a blank stands for the end of the line.
    close: char,
    /// Written as a label in prose, `Name:`, not as an identifier.
    label: bool,
}

/// Finds values of keys that name someone or something.
pub fn find(page: &Page, out: &mut Vec<Found>) {
    for (index, token) in page.tokens.iter().enumerate() {
        if let Kind::Mark(':' | '=' | '>' | '：') = token.kind
            && let Some(field) = field(page, index)
        {
            out.extend(value(page, &field));
        }
    }
}

fn field(page: &Page, index: usize) -> Option<Field> {
    let mark = page.at(index);
    if mark.gap > Gap::Space {
        return None;
    }
    let mut key = index.checked_sub(1)?;
    let mut quoted = false;
    for _ in 0..2 {
        if page.at(key).is_mark("\"'*`)]\\") && page.at(key).gap <= Gap::Space {
            quoted = true;
            key = key.checked_sub(1)?;
        }
    }
    let word = page.at(key);
    let phrase = if word.is(role::CUE_END) {
        page.cue(key).map_or(0, |found| found.roles)
    } else {
        0
    };
    let mut roles = word.roles & KEYS;
    if phrase & cue::KEY != 0 {
        roles |= role::KEY;
    }
    if roles == 0 || word.kind == Kind::Upper && word.len() > 12 {
        return None;
    }
    let tag = mark.kind == Kind::Mark('>');
    if tag && !page.before(key).is_mark("<\"") {
        return None;
    }
    let label = !quoted && !tag && word.kind == Kind::Title && page.starts(key);
    let (from, close) = opening(page, index + 1, tag);
    (page.at(from).gap <= Gap::Space).then_some(Field {
        roles,
        from,
        close,
        label,
    })
}

/// Where the value starts and which mark ends it.
fn opening(page: &Page, mut from: usize, tag: bool) -> (usize, char) {
    while page.at(from).is_mark("*\\[>") && page.at(from).gap <= Gap::Space {
        from += 1;
    }
    match page.at(from).kind {
        Kind::Mark(quote @ ('"' | '\'')) => (from + 1, quote),
        Kind::Mark('“') => (from + 1, '”'),
        Kind::Mark('«') => (from + 1, '»'),
        _ if tag => (from, '<'),
        _ => (from, ' '),
    }
}

fn value(page: &Page, field: &Field) -> Option<Found> {
    let mut from = field.from;
    while page.at(from).is(role::TITLE)
        && page.at(from).is_word()
        && page.at(from + 1).gap <= Gap::Space
        && from < field.from + TITLE_TOKENS_MAX
    {
        from += 1;
        if page.at(from).kind == Kind::Mark('.') && page.at(from).glued() {
            from += 1;
        }
    }
    let to = end(page, from, field.close)?;
    let words = (from..to)
        .filter(|&index| page.at(index).is_word() && !page.at(index).is(role::PARTICLE))
        .count();
    if words == 0 || words > WORDS_MAX {
        return None;
    }
    // Code declares fields of these names too: `state: Mutex<…>`.
    let stated = field.label || field.close != ' ' || page.at(field.from).kind == Kind::Caseless;
    let name = |kind, score| Some(page.found(from..to, kind, score, "key"));
    if field.roles & role::KEY != 0 && person(page, from, to) {
        return name(NameKind::Person, 0.9);
    }
    if field.roles & role::MAYBE_KEY != 0 && likely_person(page, from, to, field) {
        return name(NameKind::Person, 0.75);
    }
    if field.roles & role::ORG_KEY != 0 && proper(page, from, to) && stated {
        return name(NameKind::Organization, 0.7);
    }
    if field.roles & role::PLACE_KEY != 0
        && proper(page, from, to)
        && (stated || page.place(from).is_some())
    {
        return name(NameKind::Location, 0.7);
    }
    None
}

/// The end of the value: its closing mark, a separator, or the end of the line.
fn end(page: &Page, from: usize, close: char) -> Option<usize> {
    for index in from..from + TOKENS_MAX {
        let token = page.at(index);
        let open = close == ' ' || close == '<';
        if index > from && (token.gap >= Gap::Line || token.kind == Kind::Edge) {
            return open.then_some(index);
        }
        match token.kind {
            Kind::Mark(mark) if mark == close && !(mark == '\'' && apostrophe(page, index)) => {
                return Some(index);
            }
            Kind::Mark(
                ',' | ';' | '|' | '<' | '(' | '，' | '；' | '、' | '。' | '،' | '؛' | '।' | '&'
                | '\\',
            ) if open => {
                return Some(index);
            }
            Kind::Mark('.')
                if open
                    && page.before(index).kind != Kind::Initial
                    && page.before(index).len() > 3 =>
            {
                return Some(index);
            }
            Kind::Mark('.' | '-' | '\'' | '’' | ',' | '·' | '・') => {}
            Kind::Mark(_) | Kind::Number | Kind::Ident | Kind::Edge => return None,
            _ => {}
        }
    }
    None
}

fn apostrophe(page: &Page, index: usize) -> bool {
    page.at(index).glued() && page.at(index + 1).glued() && page.at(index + 1).is_word()
}

/// After a key that holds nothing but names: anything that is no plain word.
fn person(page: &Page, from: usize, to: usize) -> bool {
    let head = page.at(from);
    let listed = head.is(role::FIRST | role::LAST | role::GIVEN | role::TOP_SURNAME);
    match head.kind {
        Kind::Lower => listed && !head.is(role::STOP) && (!head.is(role::COMMON) || to > from + 1),
        Kind::Title | Kind::Upper | Kind::Initial => {
            (listed && !head.is(role::STOP))
                || head.is(role::GIVEN)
                || !head.is(role::STOP | role::COMMON | role::GROUP)
        }
        Kind::Han | Kind::Katakana | Kind::Hiragana => head.len() <= 18,
        Kind::Hangul | Kind::Caseless => !head.is(role::STOP),
        Kind::Mixed => listed,
        _ => false,
    }
}

/// After `name`, `from`, `customer`: it must look like a person.
fn likely_person(page: &Page, from: usize, to: usize, field: &Field) -> bool {
    let (head, tail) = (page.at(from), page.before(to));
    let barred = role::STOP | role::BRAND | role::HEAD | role::LEGAL | role::GROUP | role::TAIL;
    let clean = (from..to).all(|index| {
        !page.at(index).is(barred)
            || page
                .at(index)
                .is(role::GIVEN | role::TOP_SURNAME | role::PARTICLE)
    });
    let several = to > from + 1;
    let (first, last) = (first_rank(head), last_rank(tail));
    match head.kind {
        Kind::Initial => clean && several && last > 0,
        Kind::Title | Kind::Upper if !clean || head.is(role::MAJOR) && first == 0 => false,
        Kind::Title | Kind::Upper if several => {
            first > 0
                || last == 2
                || last_rank(head) == 2
                || (field.label && unknown(head) && unknown(tail))
        }
        Kind::Title => {
            first == 2
                || last_rank(head) == 2
                || first == 1 && field.label
                || (field.label && unknown(head))
        }
        Kind::Lower => several && clean && first == 2 && last == 2,
        // Scripts without capitals have their own evidence.
        _ => false,
    }
}

/// A capitalised value, or one in a script without capitals.
fn proper(page: &Page, from: usize, to: usize) -> bool {
    let head = page.at(from);
    let listed = page.place(from).is_some();
    match head.kind {
        Kind::Title | Kind::Upper | Kind::Mixed => {
            !head.is(role::STOP) && (!head.is(role::COMMON) || to > from + 1 || listed)
        }
        Kind::Han | Kind::Katakana | Kind::Hangul | Kind::Caseless => true,
        _ => false,
    }
}
