//! People after phrases that announce them: `my name is`, `Dear`, `Best regards,`.

use super::chain::{Chain, Licence, chain, first_rank, last_rank, unknown};
use super::lexicon::cue;
use super::page::{Cue, Page};
use super::person::followed_by_thing;
use super::table::role;
use super::token::{Gap, Kind, Token};
use super::{Found, NameKind};

/// Finds people after cues.
pub fn find(page: &Page, out: &mut Vec<Found>) {
    for (index, token) in page.tokens.iter().enumerate() {
        if !token.is(role::CUE_END) || page.muted(index) {
            continue;
        }
        let Some(cue) = page.cue(index) else { continue };
        out.extend(follow(page, cue));
    }
}

/// The strongest reading of the phrase wins; one phrase can greet and sign (`thanks`).
fn follow(page: &Page, cue: Cue) -> Option<Found> {
    let is = |kind: u32| cue.roles & kind != 0;
    None.or_else(|| {
        if is(cue::NAME) {
            named(page, cue)
        } else {
            None
        }
    })
    .or_else(|| {
        if is(cue::SIGN) {
            signed(page, cue)
        } else {
            None
        }
    })
    .or_else(|| {
        if is(cue::GREET) {
            greeted(page, cue)
        } else {
            None
        }
    })
    .or_else(|| {
        if is(cue::PERSON) {
            mentioned(page, cue)
        } else {
            None
        }
    })
}

/// Steps over `:`, quotes and emphasis between a cue and its name, and over titles.
fn skip_marks(page: &Page, mut index: usize) -> usize {
    for _ in 0..3 {
        let token = page.at(index);
        if token.gap <= Gap::Space && token.is_mark(":\"“„«*'‘") {
            index += 1;
        }
    }
    for _ in 0..4 {
        let token = page.at(index);
        let title =
            token.is(role::TITLE) && token.is_word() && page.at(index + 1).gap <= Gap::Space;
        if title
            || (token.kind == Kind::Mark('.')
                && token.glued()
                && page.before(index).is(role::TITLE))
        {
            index += 1;
        }
    }
    index
}

/// `my name is john smith`: any case, also unlisted names.
fn named(page: &Page, cue: Cue) -> Option<Found> {
    let from = skip_marks(page, cue.next);
    if page.at(from).gap > Gap::Space {
        return None;
    }
    // `named pipe`, `known as Unix`: things have names too, people say theirs.
    let own = cue.next - cue.first > 2 || first_rank(page.at(from)) > 0;
    let thing = page
        .at(from)
        .is(role::BRAND | role::MAJOR | role::HEAD | role::TAIL);
    if thing && !own {
        return None;
    }
    if let Some(chain) = chain(page, from, Licence::Announced) {
        return Some(page.found(chain.from..chain.to, NameKind::Person, 0.9, "cue"));
    }
    // `the name is unchanged` speaks of no one.
    let sure = cue.next - cue.first > 1
        && !matches!(
            page.word(page.at(cue.first)),
            "name" | "the" | "known" | "people"
        );
    let mut to = from;
    while to < from + 3 && small_name(page.at(to), to > from, sure) {
        to += 1;
    }
    (to > from).then(|| page.found(from..to, NameKind::Person, 0.7, "cue"))
}

fn small_name(token: Token, later: bool, sure: bool) -> bool {
    let listed = token.is(role::FIRST | role::LAST);
    let word = token.is(role::STOP | role::GROUP | role::CUE_END | role::PARTICLE)
        || (token.is(role::COMMON) && !token.is(role::GIVEN));
    let fits = token.kind == Kind::Lower && token.gap == Gap::Space && token.len() > 1;
    let free = !token.is(role::BRAND
        | role::MAJOR
        | role::TAIL
        | role::HEAD
        | role::KEY
        | role::MAYBE_KEY
        | role::SAYS);
    fits && !word && (listed || (sure && free && (!later || token.len() > 3)))
}

/// `Hi Anna,`; `Dear Mr. Smith` belongs to the titles.
fn greeted(page: &Page, cue: Cue) -> Option<Found> {
    let comma = page.at(cue.next).kind == Kind::Mark(',') && page.at(cue.next).glued();
    let from = cue.next + usize::from(comma);
    let head = page.at(from);
    if !page.starts(cue.first)
        || head.gap != Gap::Space
        || head.is(role::TITLE) && !head.is(role::FIRST)
    {
        return None;
    }
    if head.kind == Kind::Lower {
        let ends = page.at(from + 1).is_mark(",!.:") || page.at(from + 1).gap >= Gap::Line;
        let listed = first_rank(head) == 2
            && !head.is(role::CUE_END)
            && page.at(cue.first).roles & role::FIRST == 0;
        return (ends && listed)
            .then(|| page.found(from..from + 1, NameKind::Person, 0.6, "greeting"));
    }
    let chain = chain(page, from, Licence::Announced)?;
    let known = first_rank(chain.head) > 0 || last_rank(chain.tail) == 2;
    let end = page.at(chain.to);
    let ends = end.is_mark(",!.:;-–—?，！")
        || end.gap >= Gap::Line
        || end.kind == Kind::Lower && end.is(role::STOP);
    let word =
        chain.head.is(role::COMMON | role::BRAND | role::MAJOR) && first_rank(chain.head) == 0;
    let apart = !comma || known || end.is_mark("!,") && chain.words == 1 && unknown(chain.head);
    let fits = ends && apart && (known || !word) && !chain.head.is(role::BRAND | role::GROUP);
    fits.then(|| {
        page.found(
            chain.from..chain.to,
            NameKind::Person,
            if known { 0.8 } else { 0.6 },
            "greeting",
        )
    })
}

/// A name alone on the line after `Best regards,`, or after the comma.
fn signed(page: &Page, cue: Cue) -> Option<Found> {
    if !page.starts(cue.first) && page.at(cue.first).kind == Kind::Lower {
        return None;
    }
    let mut from = cue.next;
    while page.at(from).gap <= Gap::Space && page.at(from).is_mark(",.!-–—~") {
        from += 1;
    }
    let same_line = page.at(from).gap < Gap::Line;
    if same_line && page.before(from).kind != Kind::Mark(',') {
        return None;
    }
    while page.at(from).gap >= Gap::Line && page.at(from).is_mark("-–—*~") {
        from += 1;
    }
    let head = page.at(from);
    if head.kind == Kind::Lower {
        let alone = page.at(from + 1).gap >= Gap::Line && !same_line;
        return (alone && first_rank(head) == 2)
            .then(|| page.found(from..from + 1, NameKind::Person, 0.7, "signature"));
    }
    let titled = skip_marks(page, from);
    let chain = chain(page, titled, Licence::Announced)?;
    let end = page.at(chain.to);
    let ends = end.gap >= Gap::Line || end.is_mark(",.|(") && !same_line;
    let known = first_rank(chain.head) > 0 || last_rank(chain.tail) == 2;
    let fits =
        ends && (known || (!same_line && !chain.head.is(role::BRAND | role::COMMON | role::HEAD)));
    fits.then(|| page.found(chain.from..chain.to, NameKind::Person, 0.8, "signature"))
}

/// `the patient Iwase`, `spoke with anna`.
fn mentioned(page: &Page, cue: Cue) -> Option<Found> {
    let comma = page.at(cue.next).kind == Kind::Mark(',') && page.at(cue.next + 1).is_capital();
    let from = skip_marks(page, cue.next + usize::from(comma));
    let head = page.at(from);
    if head.gap != Gap::Space || page.wired(from, from + 1) {
        return None;
    }
    if head.kind == Kind::Lower {
        let foreign = role::PLACE
            | role::MAJOR
            | role::BRAND
            | role::CUE_END
            | role::KEY
            | role::MAYBE_KEY
            | role::SAYS;
        let spoken = cue.next - cue.first > 1
            && first_rank(head) == 2
            && head.len() > 3
            && !head.is(foreign);
        let next = page.at(from + 1);
        // `carlos mendoza` is no place here.
        let surname = next.is(role::LAST)
            && !next.is(role::STOP | role::CUE_END | role::SAYS)
            && (last_rank(next) == 2 || next.is(role::GIVEN));
        let to = from + 1 + usize::from(next.kind == Kind::Lower && next.spaced() && surname);
        return spoken.then(|| page.found(from..to, NameKind::Person, 0.5, "cue"));
    }
    let chain = chain(page, from, Licence::Plain)?;
    if followed_by_thing(page, chain.to)
        || page.wired(chain.from, chain.to)
        || comma && chain.words < 2
    {
        return None;
    }
    let score = mention_score(page, cue, chain)?;
    Some(page.found(chain.from..chain.to, NameKind::Person, score, "cue"))
}

fn mention_score(page: &Page, cue: Cue, chain: Chain) -> Option<f32> {
    let place = chain.head.is(role::MAJOR | role::PLACE)
        && first_rank(chain.head) == 0
        && (chain.words == 1 || chain.head.is(role::MAJOR));
    let brand = chain.head.is(role::BRAND)
        || chain.tail.is(role::BRAND) && chain.words > 1 && last_rank(chain.tail) == 0;
    // In a heading the word before is capitalised too, and proves nothing.
    let heading = page.at(cue.next - 1).kind == Kind::Title && !page.starts(cue.first);
    if place || brand || heading || chain.words == 0 {
        return None;
    }
    // German nouns are capitalised: `ich bin Softwareentwickler`.
    let german = page.word(page.at(cue.first)).eq_ignore_ascii_case("ich");
    match (first_rank(chain.head), last_rank(chain.tail)) {
        (2, _) => Some(0.75),
        (_, 2) => Some(0.65),
        (1, _) => Some(0.5),
        _ if unknown(chain.head) && (chain.words > 1 || cue.next - cue.first > 1 && !german) => {
            Some(0.5)
        }
        _ => None,
    }
}
