//! Restores one text that comes in pieces: holds back only what can still become a placeholder.
//!
//! A placeholder is found as it was made and as models write it: in any case, with spaces inside the brackets, with
//! brackets as HTML entities, JSON escapes or full-width signs, with Markdown's backslashes. Its letters must be exactly
//! those that were made for this request: nothing is guessed. A text that ends within a placeholder is given as it is. Surrogates,
//! and names without brackets that stood where a provider takes none, are found letter for letter, as whole words.

use super::syntax::{Json, escaped};
use super::watch::Watch;
use crate::vault::{Place, Vault};

/// What may stand around a name, and before a `_` in it.
struct Marks {
    openers: [&'static str; 5],
    closers: [&'static str; 5],
    underscore: &'static str,
}

const IN_TEXT: Marks = Marks {
    openers: ["<", "\\<", "&lt;", "\\u003c", "＜"],
    closers: [">", "\\>", "&gt;", "\\u003e", "＞"],
    underscore: "\\_",
};
/// In JSON source a backslash of the text is two.
const IN_JSON: Marks = Marks {
    openers: ["<", "\\\\<", "&lt;", "\\u003c", "＜"],
    closers: [">", "\\\\>", "&gt;", "\\u003e", "＞"],
    underscore: "\\\\_",
};
/// Spaces that may stand on either side of the name. Chosen: models write one.
const SPACES_MAX: usize = 2;

/// How a text is written.
#[derive(Debug)]
enum Syntax {
    /// Its first character tells.
    Unknown,
    Text,
    Json(Json),
}

/// One text of an answer on its way.
#[derive(Debug)]
pub struct Hold {
    held: String,
    place: Place,
    syntax: Syntax,
    /// Values put back so far.
    pub restored: u64,
    /// What went out in the form of a placeholder.
    pub watch: Watch,
}

/// What comes behind a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Perhaps more of the text.
    Follows,
    /// Nothing.
    Over,
}

enum Found<'v> {
    /// So many bytes stand for this value.
    Value(usize, &'v str),
    /// More bytes can make it one.
    More,
    No,
}

impl Hold {
    /// For a text. `is_json`: it is JSON source whatever it begins with.
    pub fn new(place: Place, is_json: bool) -> Self {
        let syntax = if is_json {
            Syntax::Json(Json::default())
        } else {
            Syntax::Unknown
        };
        Hold {
            held: String::new(),
            place,
            syntax,
            restored: 0,
            watch: Watch::default(),
        }
    }

    /// Whether something is held back.
    pub fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether the next piece has to be seen, whatever it holds.
    pub fn is_waiting(&self) -> bool {
        self.is_holding() || self.watch.is_open()
    }

    /// Takes the next piece and gives what is certain.
    pub fn push(&mut self, vault: &Vault, piece: &str) -> String {
        let mut text = std::mem::take(&mut self.held);
        text.push_str(piece);
        let (out, held) = self.run(vault, &text, Rest::Follows);
        self.held = text.get(held..).unwrap_or_default().to_owned();
        out
    }

    /// The text is over: what was held back is given, restored as far as it is whole.
    pub fn finish(&mut self, vault: &Vault) -> String {
        let rest = std::mem::take(&mut self.held);
        let (out, _) = self.run(vault, &rest, Rest::Over);
        self.watch.end(vault, self.place);
        out
    }

    /// The output, and where the part begins that is held back.
    fn run(&mut self, vault: &Vault, text: &str, after: Rest) -> (String, usize) {
        if vault.is_empty() {
            self.watch.plain(vault, self.place, text);
            return (text.to_owned(), text.len());
        }
        self.decide(text);
        let (marks, in_json) = match self.syntax {
            Syntax::Json(_) => (&IN_JSON, true),
            Syntax::Text | Syntax::Unknown => (&IN_TEXT, false),
        };
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        let mut at = 0;
        while let Some(start) = next_start(vault, self.place, text, at) {
            let rest = text.get(start..).unwrap_or_default();
            let found = match find(vault, self.place, marks, rest, after) {
                // An escape of JSON is one unit: its second character begins nothing.
                Found::No if in_json && rest == "\\" => Found::More,
                found => found,
            };
            match found {
                Found::More if after == Rest::Follows => {
                    self.plain(vault, text.get(done..start).unwrap_or_default(), &mut out);
                    return (out, start);
                }
                Found::No | Found::More => at = start + skip(rest, in_json),
                Found::Value(length, value) => {
                    self.plain(vault, text.get(done..start).unwrap_or_default(), &mut out);
                    self.watch.end(vault, self.place);
                    self.value(value, &mut out);
                    at = start + length;
                    done = at;
                }
            }
        }
        self.plain(vault, text.get(done..).unwrap_or_default(), &mut out);
        (out, text.len())
    }

    fn decide(&mut self, text: &str) {
        if let (Syntax::Unknown, Some(first)) = (&self.syntax, text.trim_start().chars().next()) {
            self.syntax = match first {
                '{' | '[' => Syntax::Json(Json::default()),
                _ => Syntax::Text,
            };
        }
    }

    fn plain(&mut self, vault: &Vault, text: &str, out: &mut String) {
        self.watch.plain(vault, self.place, text);
        if let Syntax::Json(json) = &mut self.syntax {
            json.advance(text);
        }
        out.push_str(text);
    }

    fn value(&mut self, value: &str, out: &mut String) {
        self.restored += 1;
        match &self.syntax {
            Syntax::Json(json) => out.push_str(&escaped(value, json.levels())),
            Syntax::Text | Syntax::Unknown => out.push_str(value),
        }
    }
}

/// The next place at which a placeholder or a surrogate can begin.
fn next_start(vault: &Vault, place: Place, text: &str, at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    let bracket = rest.find(['<', '\\', '&', '＜']);
    let first = vault
        .surrogates(place)
        .filter_map(|(surrogate, _)| rest.find(surrogate.chars().next()?))
        .chain(bracket)
        .min();
    first.map(|found| at + found)
}

/// Bytes of what begins here and is no placeholder.
fn skip(rest: &str, in_json: bool) -> usize {
    let count = if in_json && rest.starts_with('\\') {
        2
    } else {
        1
    };
    rest.chars().take(count).map(char::len_utf8).sum()
}

fn find<'v>(vault: &'v Vault, place: Place, marks: &Marks, rest: &str, after: Rest) -> Found<'v> {
    let mut more = false;
    for (surrogate, value) in vault.surrogates(place) {
        let Some(behind) = rest.strip_prefix(surrogate) else {
            more |= surrogate.starts_with(rest);
            continue;
        };
        match behind.chars().next() {
            // A longer word or number is another one.
            Some(next) if next.is_alphanumeric() || next == '_' => {}
            None if after == Rest::Follows => more = true,
            _ => return Found::Value(surrogate.len(), value),
        }
    }
    match placeholder(vault, place, marks, rest) {
        Found::No if more => Found::More,
        found => found,
    }
}

/// A literal at the beginning of a text, in any case.
enum Literal {
    Length(usize),
    Partly,
    No,
}

fn literal(rest: &str, choices: &[&str]) -> Literal {
    let mut partly = rest.is_empty();
    for choice in choices {
        let same = |length: usize| {
            let (one, other) = (
                rest.as_bytes().get(..length),
                choice.as_bytes().get(..length),
            );
            matches!((one, other), (Some(one), Some(other)) if one.eq_ignore_ascii_case(other))
        };
        if same(choice.len()) {
            return Literal::Length(choice.len());
        }
        partly |= rest.len() < choice.len() && same(rest.len());
    }
    if partly { Literal::Partly } else { Literal::No }
}

fn placeholder<'v>(vault: &'v Vault, place: Place, marks: &Marks, text: &str) -> Found<'v> {
    let opener = match literal(text, &marks.openers) {
        Literal::Length(length) => length,
        Literal::Partly => return Found::More,
        Literal::No => return Found::No,
    };
    let mut at = opener + spaces(text, opener);
    let (name, length) = name(text.get(at..).unwrap_or_default(), marks.underscore);
    let marked = length > name.len();
    at += length;
    if at >= text.len() {
        return if vault.begins(&name) {
            Found::More
        } else {
            Found::No
        };
    }
    let Some(value) = vault.value(&name, place) else {
        // Backslashes at the end may belong to a `_` within the name.
        let tail = text.get(at..).unwrap_or_default();
        let open = marks.underscore.starts_with(tail) && vault.begins(&name);
        return if open { Found::More } else { Found::No };
    };
    at += spaces(text, at);
    let tail = text.get(at..).unwrap_or_default();
    match literal(tail, &marks.closers) {
        // A backslash that is the only one is the text's own: `CORP\<PERSON_k3f9>`.
        Literal::Length(_) if text.starts_with('\\') && is_lone(text, tail, marked) => Found::No,
        Literal::Length(closer) => Found::Value(at + closer, value),
        Literal::Partly => Found::More,
        Literal::No => Found::No,
    }
}

/// Whether the backslash that a placeholder begins with stands alone: neither its `_` nor its closing bracket has one.
fn is_lone(text: &str, tail: &str, marked: bool) -> bool {
    let escape = text.trim_start_matches('\\').starts_with('u');
    !escape && !marked && !tail.starts_with('\\')
}

fn spaces(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default().bytes();
    rest.take(SPACES_MAX)
        .take_while(|byte| *byte == b' ')
        .count()
}

/// A name in upper case without Markdown's backslashes, and the bytes it takes.
fn name(text: &str, underscore: &str) -> (String, usize) {
    let mut name = String::new();
    let mut at = 0;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        match rest.bytes().next() {
            Some(byte) if byte.is_ascii_alphanumeric() || byte == b'_' => {
                name.push(char::from(byte.to_ascii_uppercase()));
                at += 1;
            }
            Some(_) if rest.starts_with(underscore) => {
                name.push('_');
                at += underscore.len();
            }
            _ => return (name, at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::entity::EntityKind;
    use crate::placeholder::Minter;
    use crate::vault::{Restore, Taken};
    use proptest::prelude::*;

    const VALUE: &str = "ada \"@\" example.org";

    fn vault() -> (Vault, String) {
        let mut vault = Vault::default();
        let minter = Minter::new(b"s", "t", "u");
        let placeholder = vault.placeholder(&minter, &EntityKind::Email, VALUE, &Taken::new(b""));
        vault.allow(&placeholder, Restore::Everywhere);
        let core = placeholder.trim_matches(|c| "<>".contains(c)).to_owned();
        (vault, core)
    }

    fn run(is_json: bool, pieces: &[&str]) -> String {
        let (vault, _) = vault();
        let mut hold = Hold::new(Place::Text, is_json);
        let mut out: String = pieces
            .iter()
            .map(|piece| hold.push(&vault, piece))
            .collect();
        out.push_str(&hold.finish(&vault));
        out
    }

    /// Every cut of the text in two, and single characters, give the same.
    #[track_caller]
    fn check(is_json: bool, text: &str, expected: &str) {
        assert_eq!(run(is_json, &[text]), expected, "{text}");
        for (cut, _) in text.char_indices() {
            let (one, other) = text.split_at(cut);
            assert_eq!(run(is_json, &[one, other]), expected, "{one} | {other}");
        }
        let single: Vec<String> = text.chars().map(String::from).collect();
        let single: Vec<&str> = single.iter().map(String::as_str).collect();
        assert_eq!(run(is_json, &single), expected, "{text}");
    }

    #[test]
    fn every_spelling_is_restored() {
        let (_, core) = vault();
        let marked = core.replace('_', "\\_");
        for text in [
            format!("<{core}>"),
            format!("< {core} >"),
            format!("<{}>", core.to_lowercase()),
            format!("&lt;{core}&gt;"),
            format!("&LT;{core}&gt;"),
            format!("\\u003c{core}\\u003E"),
            format!("＜{core}＞"),
            format!("\\<{marked}\\>"),
        ] {
            check(false, &format!("a {text}b"), &format!("a {VALUE}b"));
        }
    }

    #[test]
    fn escapes_of_json_are_units() {
        let (_, core) = vault();
        let value = escaped(VALUE, 1);
        check(true, &format!("\"\\\\<{core}\\\\>"), &format!("\"{value}"));
        check(
            true,
            &format!("\"\\\\u003c{core}>"),
            &format!("\"\\\\u003c{core}>"),
        );
        check(true, &format!("\"\\n<{core}>"), &format!("\"\\n{value}"));
    }

    #[test]
    fn a_backslash_of_the_text_stays() {
        let (_, core) = vault();
        check(false, &format!("CORP\\<{core}>"), &format!("CORP\\{VALUE}"));
        let value = escaped(VALUE, 1);
        check(
            true,
            &format!("\"C:\\\\<{core}>"),
            &format!("\"C:\\\\{value}"),
        );
        let marked = core.replace('_', "\\_");
        check(false, &format!("\\<{marked}>"), VALUE);
    }

    #[test]
    fn nothing_else_is() {
        let (_, core) = vault();
        let longer = format!("<{core}2>");
        let shorter = format!("<{}>", core.get(..core.len() - 1).unwrap());
        for text in [
            core.as_str(),
            "<EMAIL_>",
            "<b>x</b>",
            "a < b && b > c",
            "\\ & \\u003",
            &longer,
            &shorter,
            &format!("<{core}"),
            &format!("<   {core}>"),
        ] {
            check(false, text, text);
        }
    }

    #[test]
    fn values_are_escaped_in_json() {
        let (_, core) = vault();
        let once = escaped(VALUE, 1);
        check(
            true,
            &format!("{{\"to\":\"<{core}>\"}}"),
            &format!("{{\"to\":\"{once}\"}}"),
        );
        check(
            false,
            &format!("{{\"to\":\"<{core}>\"}}"),
            &format!("{{\"to\":\"{once}\"}}"),
        );
        let twice = escaped(VALUE, 2);
        check(
            true,
            &format!("{{\"body\":\"{{\\\"to\\\":\\\"<{core}>\\\"}}\"}}"),
            &format!("{{\"body\":\"{{\\\"to\\\":\\\"{twice}\\\"}}\"}}"),
        );
    }

    #[test]
    fn little_is_held_back() {
        let (vault, core) = vault();
        let mut hold = Hold::new(Place::Text, false);
        assert_eq!(hold.push(&vault, "a < b"), "a < b");
        assert_eq!(hold.push(&vault, " <x"), " <x");
        assert_eq!(hold.push(&vault, "y <"), "y ");
        assert_eq!(hold.push(&vault, &core), "");
        assert_eq!(hold.push(&vault, ">!"), format!("{VALUE}!"));
        assert!(!hold.is_holding());
    }

    #[test]
    fn surrogates_are_restored_too() {
        let mut vault = Vault::default();
        vault.surrogate("u12@pii.invalid", "ada@example.org", Restore::Everywhere);
        let mut hold = Hold::new(Place::Text, false);
        let pieces = ["to u", "12@pi", "i.invalid and u13@pii.invalid"];
        let mut out: String = pieces
            .iter()
            .map(|piece| hold.push(&vault, piece))
            .collect();
        out.push_str(&hold.finish(&vault));
        assert_eq!(out, "to ada@example.org and u13@pii.invalid");
    }

    /// A surrogate that another one begins with is not taken for it.
    #[test]
    fn surrogates_are_whole_words() {
        let mut vault = Vault::default();
        vault.surrogate("203.0.113.1", "10.9.8.7", Restore::Everywhere);
        vault.surrogate("203.0.113.12", "10.1.2.3", Restore::Everywhere);
        let text = "203.0.113.12 203.0.113.1, 203.0.113.123 203.0.113.1";
        for (cut, _) in text.char_indices() {
            let (one, other) = text.split_at(cut);
            let mut hold = Hold::new(Place::Text, false);
            let out = hold.push(&vault, one) + &hold.push(&vault, other) + &hold.finish(&vault);
            assert_eq!(out, "10.1.2.3 10.9.8.7, 203.0.113.123 10.9.8.7", "{cut}");
        }
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same(
            parts in proptest::collection::vec(0usize..9, 0..12),
            cuts in proptest::collection::vec(1usize..9, 1..20),
            is_json in any::<bool>(),
        ) {
            let (_, core) = vault();
            let whole = format!("<{core}>");
            let words = ["<", &whole, &core, "{\"", "\\", "&lt;", "\\u003c", "＜é", "\" "];
            let text: String = parts.iter().filter_map(|part| words.get(*part)).copied().collect();
            let expected = run(is_json, &[&text]);
            let chars: Vec<char> = text.chars().collect();
            let mut pieces = Vec::new();
            let mut rest = &chars[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (piece, tail) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece.iter().collect::<String>());
                rest = tail;
            }
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            prop_assert_eq!(run(is_json, &pieces), expected);
        }
    }
}
