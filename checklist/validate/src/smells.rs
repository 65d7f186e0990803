//! Faults that a text shows by itself: refusals, loops, letters without sense, characters that nobody sees, a foreign language,
//! links. All in time proportional to the text.

use std::collections::{HashMap, HashSet};

/// Beginnings of sentences by which models refuse, in small letters. Chosen: of the answers of common models.
const REFUSALS: &[&str] = &[
    "i can't assist",
    "i cannot assist",
    "i can't help",
    "i cannot help",
    "i'm unable to",
    "i am unable to",
    "i won't be able to",
    "i'm not able to",
    "i am not able to",
    "i can't provide",
    "i cannot provide",
    "i can't fulfill",
    "i cannot fulfill",
    "i can't comply",
    "i cannot comply",
    "i can't do that",
    "i must decline",
    "i have to decline",
    "as an ai language model",
    "as an ai, i",
    "i'm sorry, but i can",
    "i am sorry, but i can",
    "i apologize, but i can",
    "sorry, but i can",
    "ich kann dabei nicht helfen",
    "ich kann ihnen dabei nicht",
    "es tut mir leid, aber ich kann",
    "je ne peux pas vous aider",
    "je suis désolé, mais je ne peux",
    "lo siento, pero no puedo",
    "no puedo ayudar",
    "mi dispiace, ma non posso",
];

/// So much of a text is looked at for a refusal. Chosen: models refuse in their first sentences.
const REFUSAL_CHARS: usize = 240;

/// Whether a text begins by refusing.
pub fn refuses(text: &str) -> bool {
    let head: String = text.trim_start().chars().take(REFUSAL_CHARS).collect();
    let head = head.to_lowercase().replace('’', "'");
    let mut sentences = head.split(['.', '!', '?', '\n']);
    sentences.any(|sentence| {
        let sentence = sentence.trim_start_matches(|c: char| !c.is_alphanumeric());
        REFUSALS.iter().any(|refusal| sentence.starts_with(refusal))
    })
}

/// Longest unit of a loop, in words. Chosen: a long sentence.
const LOOP_WORDS: usize = 40;

/// Fewest words that a loop has in all. Chosen: refrains of songs are shorter.
const LOOP_LEAST: usize = 24;

/// How often the end of a text says the same words again, if that is a loop: at least four times and two dozen words.
pub fn repeats(text: &str) -> Option<usize> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let longest = LOOP_WORDS.min(words.len() / 4);
    (1..=longest).find_map(|length| {
        // A text that was cut may end in the middle of its unit.
        let ahead = words.iter().rev();
        let same = ahead
            .zip(words.iter().rev().skip(length))
            .take_while(|(one, other)| one == other)
            .count();
        let times = same / length + 1;
        (times >= 4 && same + length >= LOOP_LEAST).then_some(times)
    })
}

/// Longest run of one character that is no rule of a table or the like.
const RUN_MAX: usize = 60;

/// Fewest words of which anything can be said.
const SENSE_WORDS: usize = 6;

/// Share of words of Latin letters that can't be spoken; `None` where a text has too few words.
///
/// A word is counted where it has six consonants in a row, or six or more letters and no vowel. Texts of other scripts have no
/// such words.
pub fn senseless(text: &str) -> Option<f32> {
    let letters = |word: &&str| word.len() >= 3 && word.chars().all(|c| c.is_ascii_alphabetic());
    let words: Vec<&str> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(letters)
        // What is written in capitals is an abbreviation.
        .filter(|word| word.chars().skip(1).any(|c| c.is_ascii_lowercase()))
        .collect();
    if words.len() < SENSE_WORDS {
        return None;
    }
    let odd = words.iter().filter(|word| unspeakable(word)).count();
    Some(ratio(odd, words.len()))
}

#[expect(clippy::cast_precision_loss, reason = "a share of words")]
fn ratio(part: usize, whole: usize) -> f32 {
    part as f32 / whole as f32
}

fn unspeakable(word: &str) -> bool {
    let vowel = |c: char| matches!(c.to_ascii_lowercase(), 'a' | 'e' | 'i' | 'o' | 'u' | 'y');
    let runs = word.split(vowel).map(str::len);
    runs.max().unwrap_or(0) >= 6 || word.len() >= 6 && !word.chars().any(vowel)
}

/// A character that repeats itself for longer than a rule of a table does.
pub fn run(text: &str) -> Option<usize> {
    let (mut last, mut length) = (None, 0);
    for character in text.chars() {
        length = if last == Some(character) {
            length + 1
        } else {
            1
        };
        last = Some(character);
        let plain = character.is_alphanumeric() || character.is_ascii_punctuation();
        let drawn = matches!(character, '-' | '=' | '_' | '*' | '#' | '~' | '.');
        if length > RUN_MAX && plain && !drawn {
            return Some(length);
        }
    }
    None
}

/// Whether nobody sees a character although it is there: zero-width and tag characters, directions, private use, control.
///
/// Joiners and variation selectors are a part of emoji and of some scripts, and are left out where they follow a visible one.
pub fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e000}'..='\u{f8ff}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}'
        | '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{9f}')
}

/// Where the first invisible character of a text stands, in bytes. A byte order mark at the very beginning counts too.
pub fn invisible(text: &str) -> Option<usize> {
    text.char_indices()
        .find(|(_, character)| is_invisible(*character))
        .map(|(at, _)| at)
}

/// A text without its invisible characters.
pub fn visible(text: &str) -> String {
    text.chars()
        .filter(|character| !is_invisible(*character))
        .collect()
}

/// The hosts that a text links to, in small letters: of `https://` and `http://` links, and of bare `www.` ones.
pub fn hosts(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let small = text.to_ascii_lowercase();
    for mark in ["https://", "http://", "//www.", " www."] {
        for (at, _) in small.match_indices(mark) {
            let from = at
                + if mark.ends_with("www.") {
                    mark.len() - 4
                } else {
                    mark.len()
                };
            let Some(rest) = small.get(from..) else {
                continue;
            };
            let end = rest
                .find(|c: char| c.is_whitespace() || "/?#\\\"'<>()[]{}`,;|".contains(c))
                .unwrap_or(rest.len());
            let authority = rest.get(..end).unwrap_or_default();
            let host = authority.rsplit('@').next().unwrap_or_default();
            let host = host.split(':').next().unwrap_or_default();
            let host = host.trim_end_matches('.');
            if !host.is_empty() && seen.insert((from, host.to_owned())) {
                found.push((at, host.to_owned()));
            }
        }
    }
    found.sort();
    found
}

/// Whether a host is one of these, or below one.
pub fn is_among(host: &str, allowed: &[String]) -> bool {
    allowed.iter().any(|one| {
        let one = one.to_ascii_lowercase();
        let below = host.strip_suffix(&one);
        below.is_some_and(|below| below.is_empty() || below.ends_with('.'))
    })
}

/// Letters as they are read: without marks of disguise such as `0` for `o`, and without what is put between them.
fn plain(character: char) -> Option<char> {
    let small = character.to_lowercase().next()?;
    Some(match small {
        '0' => 'o',
        '1' | '!' | '|' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other if other.is_alphabetic() => other,
        _ => return None,
    })
}

/// Forbidden words, found also where they are disguised: other case, digits for letters, letters doubled, marks between letters.
pub struct Words(HashMap<String, String>);

/// A word as it is compared: its plain letters, doubled ones once.
fn skeleton(word: &str) -> String {
    let mut out = String::new();
    // An exclamation mark is a letter inside a word only.
    let word = word.trim_end_matches(|c: char| c.is_whitespace() || "!?.,;:)\"'".contains(c));
    for letter in word.chars().filter_map(plain) {
        if !out.ends_with(letter) {
            out.push(letter);
        }
    }
    out
}

impl Words {
    /// Of a list.
    pub fn new(words: &[String]) -> Self {
        let kept = words.iter().map(|word| (skeleton(word), word.clone()));
        Words(kept.filter(|(bare, _)| !bare.is_empty()).collect())
    }

    /// The first of them in a text, and where it stands in bytes.
    pub fn find<'a>(&'a self, text: &str) -> Option<(usize, &'a str)> {
        let mut at = 0;
        let mut single: Vec<(usize, &str)> = Vec::new();
        for word in text.split_inclusive(char::is_whitespace) {
            let from = at;
            at += word.len();
            if let Some(found) = self.0.get(&skeleton(word)) {
                return Some((from, found));
            }
            // Parts of what hyphens or slashes join.
            let parts = word.split(['-', '/', '_', ',', ';', '.', ':', '(', ')', '"']);
            if let Some(found) = parts.filter_map(|part| self.0.get(&skeleton(part))).next() {
                return Some((from, found));
            }
            // Letters that stand alone, one after the other.
            if word.trim().chars().filter(|c| c.is_alphanumeric()).count() == 1 {
                single.push((from, word));
                let joined: String = single.iter().map(|(_, letter)| *letter).collect();
                if let (Some(found), Some((from, _))) =
                    (self.0.get(&skeleton(&joined)), single.first())
                {
                    return Some((*from, found));
                }
            } else {
                single.clear();
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_from_answers_that_speak_of_them() {
        for text in [
            "I'm sorry, but I can't help with that.",
            "I cannot assist with this request.",
            "Hello! As an AI language model, I have no opinion.",
            "Es tut mir leid, aber ich kann das nicht tun.",
            "I’m unable to do this.",
        ] {
            assert!(refuses(text), "{text}");
        }
        for text in [
            "The law says: you can't help it.",
            "Sorry for the delay. Here is the list.",
            "Paris is the capital of France.",
            "",
        ] {
            assert!(!refuses(text), "{text}");
        }
    }

    #[test]
    fn loops_are_found_and_refrains_are_not() {
        let looped = "First we begin. ".to_owned() + &"and then we go on ".repeat(12) + "and then";
        assert!(repeats(&looped).is_some());
        assert!(repeats(&"no ".repeat(30)).is_some());
        assert_eq!(repeats(&"la ".repeat(8)), None);
        let list: String = (0..40).map(|n| format!("- item {n} is here\n")).collect();
        assert_eq!(repeats(&list), None);
        assert_eq!(run(&"a".repeat(61)), Some(61));
        assert_eq!(run(&"-".repeat(200)), None);
    }

    #[test]
    fn words_without_sense_are_counted() {
        let sense = "The quick strengths of rhythm are that it brings everybody together, angstschweiss or not.";
        assert!(senseless(sense).unwrap() < 0.2);
        let none = "xkcdrtfg plmbvcxz qwrtpsdf hjklzxcv bnmqwrtp sdfghjkl mnbvcxzl";
        assert!(senseless(none).unwrap() > 0.8);
        assert_eq!(senseless("ok"), None);
    }

    #[test]
    fn what_nobody_sees_is_found_and_taken_out() {
        let hidden = "pay\u{200b} me\u{e0041}";
        assert_eq!(invisible(hidden), Some(3));
        assert_eq!(visible(hidden), "pay me");
        for text in ["plain\ttext\r\n", "👩‍👩‍👧 ❤️", "فارسی می‌خواهم", "ä€"]
        {
            assert_eq!(invisible(text), None, "{text:?}");
        }
    }

    #[test]
    fn links_lead_to_hosts() {
        let text = "See [here](https://Docs.Example.com/x?y), http://user:p@evil.test:80/ and www.third.org.";
        let found: Vec<String> = hosts(text).into_iter().map(|(_, host)| host).collect();
        assert_eq!(found, ["docs.example.com", "evil.test", "www.third.org"]);
        let allowed = ["example.com".to_owned()];
        assert!(is_among("docs.example.com", &allowed));
        assert!(!is_among("badexample.com", &allowed));
    }

    #[test]
    fn disguised_words_are_found_and_others_are_not() {
        let words = Words::new(&["Acme".to_owned(), "damn".to_owned()]);
        for text in [
            "buy ACME now",
            "A.c.m.e is",
            "4cme",
            "oh daaamn!",
            "it is d a m n good",
            "pre-acme",
        ] {
            assert!(words.find(text).is_some(), "{text}");
        }
        for text in ["acmeology is", "a dam nation", "the same", ""] {
            assert_eq!(words.find(text), None, "{text}");
        }
    }
}
