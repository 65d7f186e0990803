//! The guard's words, read once from the lists in `data/guard`. They are English.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// Words by what they do to a question.
#[derive(Debug)]
pub(super) struct Lexicon {
    pub stop: HashSet<&'static str>,
    pub filler: HashSet<&'static str>,
    /// Small words of other languages that are none of English.
    pub foreign: HashSet<&'static str>,
    antonyms: HashSet<(String, String)>,
    known: HashSet<String>,
    units: HashMap<&'static str, (&'static str, bool)>,
    dates: HashMap<&'static str, &'static str>,
    folds: HashMap<&'static str, &'static str>,
    asks: Vec<(&'static str, u16)>,
}

/// Kinds of questions in the order of their bits.
pub(super) const ASKS: [&str; 9] = [
    "time",
    "duration",
    "amount",
    "price",
    "reason",
    "place",
    "person",
    "frequency",
    "how",
];

/// Most words of a phrase that is folded into one.
pub(super) const PHRASE_MAX: usize = 4;

/// The lists of this program.
pub(super) static LEXICON: LazyLock<Lexicon> = LazyLock::new(Lexicon::read);

fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    let all = text.lines().map(str::trim);
    all.filter(|line| !line.is_empty() && !line.starts_with('#'))
}

impl Lexicon {
    fn read() -> Self {
        let stop: HashSet<&str> = lines(include_str!("../../../data/guard/stop.txt"))
            .flat_map(str::split_whitespace)
            .collect();
        let filler = lines(include_str!("../../../data/guard/filler.txt"))
            .flat_map(str::split_whitespace)
            .collect();
        let foreign = lines(include_str!("../../../data/guard/foreign.txt"))
            .flat_map(str::split_whitespace)
            .filter(|word| !stop.contains(word))
            .collect();
        let mut antonyms = HashSet::new();
        let mut known = HashSet::new();
        for line in lines(include_str!("../../../data/guard/antonyms.txt")) {
            if let Some((one, other)) = line.split_once(' ') {
                let (one, other) = (super::normal::stem(one), super::normal::stem(other));
                known.extend([one.clone(), other.clone()]);
                antonyms.insert((one.clone(), other.clone()));
                antonyms.insert((other, one));
            }
        }
        Lexicon {
            stop,
            filler,
            foreign,
            antonyms,
            known,
            units: spellings(include_str!("../../../data/guard/units.txt")),
            dates: spellings(include_str!("../../../data/guard/dates.txt"))
                .into_iter()
                .map(|(word, (name, _))| (word, name))
                .collect(),
            folds: folds(),
            asks: asks(),
        }
    }

    /// Whether two stems are opposites, by the list or by a prefix such as `un`.
    pub fn opposite(&self, one: &str, other: &str) -> bool {
        self.antonyms.contains(&(one.to_owned(), other.to_owned()))
            || negated(one, other)
            || negated(other, one)
    }

    /// Whether a stem is a word of the lists, and so no slip of the pen.
    pub fn knows(&self, stem: &str) -> bool {
        self.known.contains(stem)
    }

    /// A unit's one name.
    pub fn unit(&self, word: &str, behind_number: bool) -> Option<&'static str> {
        let (name, short) = self.units.get(word)?;
        (behind_number || !short).then_some(*name)
    }

    /// A weekday's, month's or season's one name.
    pub fn date(&self, word: &str) -> Option<&'static str> {
        self.dates.get(word).copied()
    }

    /// The one way to say a word or phrase.
    pub fn fold(&self, phrase: &str) -> Option<&'static str> {
        self.folds.get(phrase).copied()
    }

    /// What a question asks for, one bit each. `text` is lowercase words with a space at both ends.
    pub fn asks(&self, text: &str) -> u16 {
        let found = self.asks.iter().filter(|(phrase, _)| text.contains(phrase));
        found.fold(0, |bits, (_, bit)| bits | bit)
    }
}

fn negated(one: &str, other: &str) -> bool {
    let prefixes = ["un", "in", "im", "dis", "non", "non-", "de", "ir", "il"];
    other.len() >= 4
        && prefixes
            .iter()
            .any(|prefix| one.strip_prefix(prefix) == Some(other))
}

fn spellings(text: &'static str) -> HashMap<&'static str, (&'static str, bool)> {
    let mut all = HashMap::new();
    for line in lines(text) {
        let mut words = line.split_whitespace();
        let Some(name) = words.next() else { continue };
        all.insert(name, (name, false));
        for word in words {
            match word.strip_prefix('!') {
                Some(short) => all.insert(short, (name, true)),
                None => all.insert(word, (name, false)),
            };
        }
    }
    all
}

fn folds() -> HashMap<&'static str, &'static str> {
    let mut all = HashMap::new();
    for line in lines(include_str!("../../../data/guard/folds.txt")) {
        let mut phrases = line.split(',').map(str::trim);
        let Some(first) = phrases.next() else {
            continue;
        };
        all.entry(first).or_insert(first);
        for phrase in phrases {
            all.entry(phrase).or_insert(first);
        }
    }
    all
}

fn asks() -> Vec<(&'static str, u16)> {
    let mut all = Vec::new();
    for line in lines(include_str!("../../../data/guard/asks.txt")) {
        let Some((kind, phrases)) = line.split_once(':') else {
            continue;
        };
        let Some(place) = ASKS.iter().position(|name| *name == kind) else {
            continue;
        };
        all.extend(phrases.split(',').map(|phrase| (phrase.trim(), 1 << place)));
    }
    all
}
