//! A question's words: cut, lowered, folded, and sorted by what they are.

use super::lexicon::{LEXICON, PHRASE_MAX};
use serde::{Deserialize, Serialize};

/// Characters of a question that are read. One that is longer is compared as a whole only.
pub const CHARS_MAX: usize = 2_000;

/// Words of a question that are read: comparing is quadratic in them.
pub const WORDS_MAX: usize = 200;

/// One word of a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// In lower case, as it was written.
    pub text: String,
    /// The one way in which it is said, without its ending.
    pub stem: String,
    /// Without its ending, as it was written.
    pub own: String,
    /// A name, as far as capitals tell.
    pub capital: bool,
    /// Whether it says something of what is asked.
    pub content: bool,
}

/// A piece of text between spaces, without the punctuation around it.
pub(in crate::cache) struct Piece {
    pub text: String,
    pub capital: bool,
    pub code: bool,
}

/// The pieces of a text, at most [`WORDS_MAX`], and whether there was more.
pub(in crate::cache) fn pieces(text: &str) -> (Vec<Piece>, bool) {
    let mut all = Vec::new();
    let end = text.char_indices().nth(CHARS_MAX).map(|(at, _)| at);
    let front = end.and_then(|end| text.get(..end)).unwrap_or(text);
    let names = capitals_tell(front);
    for raw in front.split_whitespace() {
        let first = all.is_empty();
        split(raw, names && !first, &mut all);
        if all.len() >= WORDS_MAX {
            return (all, true);
        }
    }
    (all, end.is_some())
}

/// Capitals say nothing where most words have one, or none has.
fn capitals_tell(text: &str) -> bool {
    let words = || {
        text.split_whitespace()
            .filter(|word| word.starts_with(char::is_alphabetic) && word.len() > 3)
    };
    let capital = words().filter(|word| word.starts_with(char::is_uppercase));
    capital.count() * 10 <= words().count() * 7
}

fn split(raw: &str, names: bool, all: &mut Vec<Piece>) {
    let placeholder = raw.contains('<') && raw.contains('>') && raw.contains('_');
    let edge = |c: char| !c.is_alphanumeric() && !"$€£¥₹°%+#".contains(c);
    let core = if placeholder {
        raw.trim_matches(|c: char| !c.is_alphanumeric() && c != '<' && c != '>')
    } else {
        raw.trim_matches(edge)
    };
    if core.is_empty() {
        return;
    }
    let code = placeholder || is_code(core);
    let capital = names && core.starts_with(char::is_uppercase);
    let lower = core.to_lowercase().replace('’', "'");
    if code {
        return push(all, &lower, capital, true);
    }
    if let Some((number, unit)) = amount(&lower) {
        for part in [number, unit] {
            push(all, &part, false, false);
        }
        return;
    }
    for part in lower.split(['/', ',', ';', ':', '(', ')']) {
        plain(part, capital, all);
    }
}

fn plain(part: &str, capital: bool, all: &mut Vec<Piece>) {
    if let Some(front) = part.strip_suffix("n't") {
        let front = if front == "ca" { "can" } else { front };
        push(all, front, capital, false);
        push(all, "not", false, false);
    } else if part == "cannot" {
        push(all, "can", capital, false);
        push(all, "not", false, false);
    } else if let Some((front, _)) = part.split_once('\'') {
        push(all, front, capital, false);
    } else {
        push(all, part, capital, false);
    }
}

fn push(all: &mut Vec<Piece>, text: &str, capital: bool, code: bool) {
    if !text.is_empty() {
        all.push(Piece {
            text: text.to_owned(),
            capital,
            code,
        });
    }
}

/// Names of files, versions, orders, addresses: what has a dot, digit or sign inside a word.
fn is_code(core: &str) -> bool {
    let letters = core.chars().any(char::is_alphabetic);
    let digits = core.chars().filter(char::is_ascii_digit).count();
    let dots = core.matches('.').count();
    let inner = core.contains(['_', '@', '\\', '=']) || core.contains("::") || core.contains("//");
    if letters {
        let starts = core.starts_with(|c: char| c.is_alphabetic());
        let abbreviation = core.split('.').all(|part| part.chars().count() < 2);
        inner || (dots > 0 && !abbreviation && digits == 0) || (digits > 0 && starts)
    } else {
        dots > 1 || (digits > 0 && core.contains('-'))
    }
}

/// `5gb` and `$5` in two: the number, then the unit.
fn amount(core: &str) -> Option<(String, String)> {
    let digit = |c: char| c.is_ascii_digit();
    let first = core.find(digit)?;
    let last = core.rfind(digit)? + 1;
    let (front, number, back) = (
        core.get(..first)?,
        core.get(first..last)?,
        core.get(last..)?,
    );
    let fits = number
        .chars()
        .all(|c| c.is_ascii_digit() || c == '.' || c == ',' || c == ':');
    let unit = if front.is_empty() { back } else { front };
    let one = front.is_empty() || back.is_empty();
    let ordinal = ["st", "nd", "rd", "th"].contains(&unit);
    let unit = if ordinal {
        ""
    } else {
        unit.trim_matches(['.', ','])
    };
    (fits && one).then(|| (number.replace(',', ""), unit.replace('.', "")))
}

/// A number as written in digits or as a word, in one form.
pub(super) fn number(word: &str) -> Option<String> {
    const WORDS: [&str; 20] = [
        "zero",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
        "twenty",
    ];
    const TENS: [&str; 7] = [
        "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
    ];
    if let Some(at) = WORDS.iter().position(|name| *name == word) {
        return Some(if at == 0 { 0 } else { at + 1 }.to_string());
    }
    if let Some(at) = TENS.iter().position(|name| *name == word) {
        return Some(((at + 3) * 10).to_string());
    }
    match word {
        "dozen" => return Some("12".to_owned()),
        "hundred" => return Some("100".to_owned()),
        "thousand" => return Some("1000".to_owned()),
        "million" => return Some("1000000".to_owned()),
        _ => {}
    }
    let digits = word.starts_with(|c: char| c.is_ascii_digit());
    let plain = word
        .chars()
        .all(|c| c.is_ascii_digit() || c == '.' || c == ':');
    (digits && plain).then(|| {
        let whole = word.trim_end_matches(":00");
        let trimmed = if whole.contains('.') {
            whole.trim_end_matches('0').trim_end_matches('.')
        } else {
            whole
        };
        trimmed.to_owned()
    })
}

/// Lists the words of pieces, phrases folded into one.
pub(in crate::cache) fn words(pieces: &[Piece]) -> Vec<Word> {
    let mut all = Vec::new();
    let mut rest = pieces;
    while let Some(first) = rest.first() {
        let (fold, taken) = folded(rest);
        let own = fold.filter(|_| taken > 1).unwrap_or(&first.text);
        let canonical = fold.unwrap_or(&first.text);
        let content = first.code || fold.is_some() || !LEXICON.stop.contains(first.text.as_str());
        all.push(Word {
            text: own.to_owned(),
            stem: if first.code {
                own.to_owned()
            } else {
                stem(canonical)
            },
            own: if first.code {
                own.to_owned()
            } else {
                stem(own)
            },
            capital: first.capital && content,
            content,
        });
        rest = rest.get(taken..).unwrap_or_default();
    }
    all
}

fn folded(rest: &[Piece]) -> (Option<&'static str>, usize) {
    for taken in (1..=PHRASE_MAX.min(rest.len())).rev() {
        let Some(phrase) = rest.get(..taken) else {
            continue;
        };
        let texts: Vec<&str> = phrase.iter().map(|piece| piece.text.as_str()).collect();
        let found = LEXICON.fold(&texts.join(" "));
        let found = found.or_else(|| {
            let last = texts.split_last()?;
            let ending = stem(last.0);
            let all: Vec<&str> = last.1.iter().copied().chain([ending.as_str()]).collect();
            LEXICON.fold(&all.join(" "))
        });
        if found.is_some() {
            return (found, taken);
        }
    }
    (None, 1)
}

/// A word without its English ending. Rough: both texts of a pair are treated alike.
pub(super) fn stem(word: &str) -> String {
    if word.len() < 4 || !word.is_ascii() {
        return word.to_owned();
    }
    if let Some(front) = word.strip_suffix("ies").filter(|front| front.len() > 2) {
        return format!("{front}y");
    }
    for end in ["ing", "ed"] {
        if let Some(front) = word.strip_suffix(end).filter(|front| front.len() > 2) {
            return bare(front);
        }
    }
    let sibilant = ["sses", "shes", "ches", "xes", "zes"];
    if sibilant.iter().any(|end| word.ends_with(end)) {
        return word.get(..word.len() - 2).unwrap_or(word).to_owned();
    }
    let kept = ["ss", "us", "is"].iter().any(|end| word.ends_with(end));
    let front = word.strip_suffix('s').filter(|_| !kept).unwrap_or(word);
    bare(front)
}

fn bare(front: &str) -> String {
    let mut bytes = front.bytes().rev();
    let (last, before) = (bytes.next(), bytes.next());
    let doubled = last == before && last.is_some_and(|b| b"bdgmnprt".contains(&b));
    let front = if doubled {
        front.get(..front.len() - 1).unwrap_or(front)
    } else {
        front
    };
    front
        .strip_suffix('e')
        .filter(|f| f.len() > 2)
        .unwrap_or(front)
        .to_owned()
}
