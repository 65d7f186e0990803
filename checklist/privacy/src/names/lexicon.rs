//! The embedded lists, read once into hash tables.
//!
//! `data/README.md` says where each list comes from and under which licence.

use std::sync::OnceLock;

use super::fold::Key;
use super::table::{Table, role};
use super::token::{self, Kind};

const FIRST: &str = include_str!("../../data/first.txt");
const LAST: &str = include_str!("../../data/last.txt");
const COMMON: &str = include_str!("../../data/common.txt");
const COUNTRIES: &str = include_str!("../../data/countries.txt");
const CITIES: &str = include_str!("../../data/cities.txt");
const PLACES: &str = include_str!("../../data/places.txt");
const LEXICON: &str = include_str!("../../data/lexicon.txt");
const CUES: &str = include_str!("../../data/cues.txt");

/// Words the lists hold together, rounded up: sizes the table.
const WORDS: usize = 131_072;
const PHRASES: usize = 12_000;
/// Small enough for the nearest cache; the lists fill a tenth of it.
const PAIR_BITS: usize = 1 << 17;
/// Longest phrase that is looked up, in words.
pub const PHRASE_WORDS_MAX: usize = 5;

/// What a phrase announces, as bits in the phrase table; places of several words use the bits of [`role`].
pub mod cue {
    pub const NAME: u32 = 1;
    pub const PERSON: u32 = 1 << 1;
    pub const GREET: u32 = 1 << 2;
    pub const SIGN: u32 = 1 << 3;
    pub const PLACE: u32 = 1 << 4;
    pub const ORG: u32 = 1 << 8;
    pub const KEY: u32 = 1 << 9;
}

/// Roles of words and of phrases.
#[derive(Debug)]
pub struct Lexicon {
    words: Table,
    phrases: Table,
    /// Which first two characters words of East Asian scripts have, as bits by the hash of both.
    pairs: Vec<u64>,
}

impl Lexicon {
    /// The lexicon of this process, built at the first call (tens of milliseconds).
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Lexicon> = OnceLock::new();
        SHARED.get_or_init(|| Self::without(|_| false))
    }

    /// A lexicon that lacks some of the person names: what the measurements on unseen names need.
    pub fn without(left_out: impl Fn(&str) -> bool) -> Self {
        let mut lexicon = Self {
            words: Table::with_capacity(WORDS),
            phrases: Table::with_capacity(PHRASES),
            pairs: vec![0; PAIR_BITS / 64],
        };
        for (list, roles) in [(FIRST, role::FIRST), (LAST, role::LAST)] {
            each(list, |section, name| {
                if !left_out(name) {
                    let frequent = if section == "us" { role::FREQUENT } else { 0 };
                    lexicon.add_word(name, roles | frequent);
                }
            });
        }
        each(COMMON, |section, word| {
            lexicon.add_word(
                word,
                if section == "stop" {
                    role::STOP
                } else {
                    role::COMMON
                },
            )
        });
        each(COUNTRIES, |_, place| lexicon.add_place(place, role::MAJOR));
        each(PLACES, |_, place| lexicon.add_place(place, role::PLACE));
        lines(CITIES)
            .flat_map(|line| line.split(", "))
            .for_each(|place| lexicon.add_place(place, role::MAJOR));
        lexicon.add_sections(&left_out);
        lexicon.add_cues();
        lexicon
    }

    /// Roles of the word with this key.
    pub fn word(&self, key: u64) -> u32 {
        self.words.get(key)
    }

    /// Roles of the phrase with this key, see [`Key::join`].
    pub fn phrase(&self, key: u64) -> u32 {
        self.phrases.get(key)
    }

    /// Whether any word of an East Asian script can start with the two characters of this key. Most places of a
    /// Chinese text are turned away by this alone, without a look at the big table.
    pub fn starts_word(&self, pair: u64) -> bool {
        let (slot, bit) = pair_place(pair);
        self.pairs
            .get(slot)
            .is_some_and(|bits| bits >> bit & 1 == 1)
    }

    fn add_pair(&mut self, word: &str) {
        let mut key = Key::new();
        let mut letters = word.chars().inspect(|letter| key.push(*letter));
        let east = letters.next().is_some_and(|letter| letter >= '\u{2e80}');
        if !east || letters.next().is_none() {
            return;
        }
        let (slot, bit) = pair_place(key.finish());
        if let Some(bits) = self.pairs.get_mut(slot) {
            *bits |= 1 << bit;
        }
    }

    /// Bytes on the heap.
    #[cfg(test)]
    pub const fn bytes(&self) -> usize {
        self.words.bytes() + self.phrases.bytes()
    }

    fn add_word(&mut self, word: &str, roles: u32) {
        self.words.add(Key::of(word), roles);
        self.add_pair(word);
    }

    fn add_place(&mut self, place: &str, roles: u32) {
        let keys = word_keys(place);
        match keys.as_slice() {
            [] => {}
            [only] => {
                self.words.add(*only, roles);
                self.add_pair(place);
            }
            [first, ..] => {
                self.words.add(*first, role::PLACE_START);
                self.phrases.add(join(&keys), roles);
            }
        }
    }

    fn add_sections(&mut self, left_out: &impl Fn(&str) -> bool) {
        let mut roles = 0;
        for line in lines(LEXICON) {
            if let Some(section) = section(line) {
                roles = section_roles(section);
                continue;
            }
            let person = roles & (role::FIRST | role::LAST) != 0;
            for word in line
                .split_whitespace()
                .filter(|word| !person || !left_out(word))
            {
                self.add_word(word, roles);
            }
        }
    }

    fn add_cues(&mut self) {
        let mut kind = 0;
        for line in lines(CUES) {
            if let Some(section) = section(line) {
                kind = cue_kind(section);
                continue;
            }
            let keys = word_keys(line);
            if let Some(last) = keys.last() {
                self.words.add(*last, role::CUE_END);
                self.phrases.add(join(&keys), kind);
            }
        }
    }
}

fn pair_place(key: u64) -> (usize, u32) {
    let place = usize::try_from(key >> 32).unwrap_or(0) % PAIR_BITS;
    (place / 64, u32::try_from(place % 64).unwrap_or(0))
}

fn section_roles(section: &str) -> u32 {
    match section {
        "title" => role::TITLE,
        "office" => role::OFFICE,
        "post" => role::POST,
        "particle" => role::PARTICLE,
        "suffix" => role::SUFFIX,
        "date" => role::BRAND | role::STOP,
        "brand" => role::BRAND,
        "role" => role::GROUP,
        "tail" => role::TAIL,
        "lead" => role::LEAD,
        "legal" => role::LEGAL,
        "head" => role::HEAD,
        "state" => role::STATE,
        "says" => role::SAYS,
        "owned" => role::OWNED,
        "with" => role::WITH,
        "prep" => role::PREP,
        "in" => role::IN,
        "word" => role::COMMON,
        "key" => role::KEY,
        "maybekey" => role::MAYBE_KEY,
        "orgkey" => role::ORG_KEY,
        "placekey" => role::PLACE_KEY,
        "given" => role::GIVEN | role::FREQUENT,
        "first" => role::FIRST | role::FREQUENT,
        "last" => role::LAST,
        "topsurname" => role::TOP_SURNAME,
        _ => 0,
    }
}

fn cue_kind(section: &str) -> u32 {
    match section {
        "name" => cue::NAME,
        "person" => cue::PERSON,
        "greet" => cue::GREET,
        "sign" => cue::SIGN,
        "place" => cue::PLACE,
        "org" => cue::ORG,
        "key" => cue::KEY,
        _ => 0,
    }
}

/// Names of one language, as the measurements draw them: the entries of section `# language`.
#[cfg(test)]
pub fn names_of(language: &str, role_bit: u32) -> Vec<String> {
    let mut names = Vec::new();
    each(
        if role_bit == role::FIRST { FIRST } else { LAST },
        |section, name| {
            // The frequent English names have a section of their own.
            if section == language || (section == "us" && language == "en") {
                names.push(name.to_owned());
            }
        },
    );
    names
}

/// Calls `take` with the section and the text of each entry of a list that `data/build.py` wrote.
fn each(list: &'static str, mut take: impl FnMut(&str, &str)) {
    let (mut section, mut entry) = ("", String::new());
    for line in list.lines() {
        if let Some(next) = line.strip_prefix("# ") {
            section = next;
            entry.clear();
            continue;
        }
        // The first letter counts the characters that the entry before lends.
        let mut letters = line.chars();
        let shared = letters
            .next()
            .map_or(0, |count| u32::from(count).saturating_sub(u32::from('a')));
        let kept = entry
            .char_indices()
            .nth(usize::try_from(shared).unwrap_or(0))
            .map_or(entry.len(), |(place, _)| place);
        entry.truncate(kept);
        entry.push_str(letters.as_str());
        take(section, &entry);
    }
}

fn section(line: &str) -> Option<&str> {
    line.strip_prefix('[')?.strip_suffix(']')
}

fn lines(list: &str) -> impl Iterator<Item = &str> {
    list.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn join(keys: &[u64]) -> u64 {
    keys.iter().fold(0, |phrase, word| Key::join(phrase, *word))
}

/// Keys of the words of a phrase, split as running text is split.
fn word_keys(phrase: &str) -> Vec<u64> {
    token::split(phrase, |_| 0)
        .iter()
        .filter(|token| !matches!(token.kind, Kind::Mark(_)))
        .map(|token| token.key)
        .collect()
}
