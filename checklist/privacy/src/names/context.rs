//! What the words around a chain say about it.

use super::chain::{Chain, first_rank, last_rank};
use super::page::Page;
use super::table::role;
use super::token::Kind;

/// `War and Peace`: an `and` after anything but a name tells nothing.
pub fn joins_words(page: &Page, index: usize) -> bool {
    let other = index
        .checked_sub(2)
        .map_or(page.before(0), |place| page.at(place));
    let and = matches!(
        page.word(page.before(index)),
        "and" | "und" | "et" | "y" | "e" | "i" | "и"
    );
    and && first_rank(other).max(last_rank(other)) < 2
}

/// `the Bill`, `Pat the dog`, `Jack of all trades`: a name that is a word, used as one.
pub fn used_as_word(page: &Page, chain: Chain) -> bool {
    let (index, next) = (chain.from, page.at(chain.to));
    let verb =
        page.starts(index) && next.is(role::STOP) && next.kind == Kind::Lower && next.len() < 4;
    determined(page, index) || verb || page.word(next) == "of"
}

/// An article stands before it.
pub fn determined(page: &Page, index: usize) -> bool {
    const ARTICLES: &[&str] = &[
        "the", "a", "an", "this", "our", "your", "der", "die", "das", "le", "la", "el", "il",
    ];
    let before = page.word(page.before(index));
    page.at(index).spaced()
        && ARTICLES
            .iter()
            .any(|article| article.eq_ignore_ascii_case(before))
}

/// `Marrero and Murphy`: two surnames side by side.
pub fn paired(page: &Page, chain: Chain) -> bool {
    let (and, other) = (page.at(chain.to), page.at(chain.to + 1));
    let surname = last_rank(other) == 2 || other.is(role::TOP_SURNAME);
    page.word(and) == "and"
        && and.spaced()
        && other.spaced()
        && other.kind == Kind::Title
        && surname
}

/// `Johnson and Johnson` is a company.
pub fn doubled(page: &Page, chain: Chain) -> bool {
    let joined = |index: usize| page.at(index).is_mark("&") || page.word(page.at(index)) == "and";
    let key = chain.head.key;
    let again = |index: Option<usize>| index.is_some_and(|index| page.at(index).key == key);
    joined(chain.to) && again(Some(chain.to + 1))
        || chain.from > 0 && joined(chain.from - 1) && again(chain.from.checked_sub(2))
}

/// An honorific after a name: `Ahmet Bey`, `Tanaka-san`.
pub fn post(page: &Page, next: usize) -> bool {
    let (token, beyond) = (page.at(next), page.at(next + 1));
    let hyphen = token.is_mark("-")
        && token.glued()
        && beyond.glued()
        && beyond.kind == Kind::Lower
        && beyond.is(role::POST);
    // In capitals most of these are names too: `Jackie Chan`, `Park Ji Sung`.
    let small = token.kind == Kind::Lower && token.len() > 2;
    let turkish = matches!(page.word(token), "Bey" | "Hanım" | "Hanim" | "Efendi");
    hyphen
        || token.is(role::POST)
            && token.spaced()
            && (small || turkish || token.kind == Kind::Caseless)
}

/// What follows goes with people only: `said`, `'s wife`.
pub fn speaks(page: &Page, next: usize) -> bool {
    let token = page.at(next);
    if post(page, next) {
        return true;
    }
    if token.is(role::SAYS) && token.kind == Kind::Lower && token.spaced() {
        return true;
    }
    let (verb, origin) = (page.word(token), page.word(page.at(next + 1)));
    let told = ["from", "born", "married", "pregnant", "retired", "divorced"].contains(&origin);
    if matches!(verb, "is" | "was") && told {
        return true;
    }
    let owner = token.is_mark("'’")
        && token.glued()
        && page.at(next + 1).glued()
        && page.word(page.at(next + 1)) == "s";
    owner && page.at(next + 2).is(role::OWNED) && page.at(next + 2).spaced()
}
