//! Street words of our users' languages, and questions about single words.

/// English words that end a street's name. Those before the bar also in small letters.
pub(super) static AFTER: List = List::new(&[
    "street",
    "avenue",
    "road",
    "boulevard",
    "blvd",
    "ave",
    "rd",
    "lane",
    "parkway",
    "pkwy",
    "highway",
    "hwy",
    "ln",
]);
/// English words that end a street's name if it is capitalised.
pub(super) static AFTER_CAPITAL: List = List::new(&[
    "st",
    "dr",
    "drive",
    "court",
    "ct",
    "way",
    "place",
    "pl",
    "square",
    "sq",
    "terrace",
    "ter",
    "circle",
    "cir",
    "close",
    "crescent",
    "cres",
    "trail",
    "trl",
    "gardens",
    "mews",
    "row",
    "park",
    "hill",
    "grove",
    "loop",
    "plaza",
    "alley",
    "walk",
    "quay",
    "heights",
    "expressway",
    "turnpike",
    "route",
    "streets",
    "roads",
    "crossing",
    "view",
]);
/// Words that begin a street's name (fr, es, it, pt, pl, ru, tr, nl, de).
pub(super) static BEFORE: List = List::new(&[
    "rue",
    "avenue",
    "av.",
    "av",
    "boulevard",
    "bd",
    "bd.",
    "place",
    "chemin",
    "allée",
    "allee",
    "impasse",
    "quai",
    "route",
    "cours",
    "passage",
    "square",
    "faubourg",
    "calle",
    "c/",
    "cl.",
    "avenida",
    "avda.",
    "avda",
    "plaza",
    "paseo",
    "carrera",
    "camino",
    "ronda",
    "travesía",
    "calzada",
    "via",
    "viale",
    "v.le",
    "piazza",
    "corso",
    "vicolo",
    "largo",
    "strada",
    "rua",
    "r.",
    "travessa",
    "praça",
    "praca",
    "alameda",
    "estrada",
    "rodovia",
    "ul.",
    "ulica",
    "ulicy",
    "al.",
    "aleja",
    "aleje",
    "os.",
    "osiedle",
    "plac",
    "pl.",
    "ул.",
    "улица",
    "улице",
    "ул",
    "проспект",
    "пр-т",
    "пр.",
    "просп.",
    "переулок",
    "пер.",
    "бульвар",
    "шоссе",
    "ш.",
    "набережная",
    "наб.",
    "площадь",
    "straße",
    "platz",
    "am",
    "an",
    "im",
    "auf",
    "unter",
    "calea",
    "strada",
]);
/// Endings of one-word street names (de, nl, sv, da, no, fi).
pub(super) const ENDINGS: &[&str] = &[
    "straße",
    "strasse",
    "str.",
    "weg",
    "platz",
    "allee",
    "gasse",
    "damm",
    "ufer",
    "promenade",
    "chaussee",
    "stieg",
    "steig",
    "straat",
    "laan",
    "plein",
    "gracht",
    "kade",
    "singel",
    "dijk",
    "steenweg",
    "gatan",
    "vägen",
    "gränd",
    "torget",
    "stigen",
    "gade",
    "vej",
    "gata",
    "veien",
    "katu",
    "tie",
    "kuja",
    "utca",
    "caddesi",
    "cad.",
    "sokak",
    "sok.",
    "sokağı",
    "bulvarı",
    "mah.",
    "mahallesi",
    "cd.",
    "sk.",
];
/// What begins the flat in an address.
pub(super) const UNITS: &[&str] = &[
    "apt",
    "apartment",
    "suite",
    "ste",
    "unit",
    "flat",
    "floor",
    "#",
    "кв",
    "корп",
    "appt",
    "apto",
    "piso",
    "int",
    "lok",
    "m.",
    "д.",
    "дом",
    "stock",
    "etage",
    "lgh",
    "daire",
    "kat",
    "bldg",
    "building",
    "room",
];

/// Words that are looked for in any case.
pub(super) struct List {
    words: &'static [&'static str],
    /// By the first byte in small letters: the lengths of the words, as bits.
    lengths: [u32; 256],
}

impl List {
    #[expect(
        clippy::indexing_slicing,
        clippy::as_conversions,
        reason = "evaluated by the compiler, where a wrong index is an error"
    )]
    const fn new(words: &'static [&'static str]) -> Self {
        let mut lengths = [0; 256];
        let mut at = 0;
        while at < words.len() {
            let word = words[at].as_bytes();
            lengths[word[0].to_ascii_lowercase() as usize] |= 1 << word.len();
            at += 1;
        }
        List { words, lengths }
    }

    fn lists(&self, word: &str) -> bool {
        // Length and first byte rule out nearly all words without a comparison.
        let first = word.bytes().next().map(|byte| byte.to_ascii_lowercase());
        let lengths = first.and_then(|first| self.lengths.get(usize::from(first)));
        let may = word.len() < 32 && lengths.is_some_and(|set| set >> word.len() & 1 == 1);
        may && self
            .words
            .iter()
            .any(|known| known.eq_ignore_ascii_case(word))
    }
}

pub(super) fn is_in(list: &List, word: &str) -> bool {
    // Letters outside of ASCII may change their length with their case; few words have them.
    list.lists(word) || !word.is_ascii() && word.len() <= 24 && list.lists(&word.to_lowercase())
}

pub(super) fn is_preposition(word: &str) -> bool {
    ["am", "an", "im", "auf", "unter"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(word))
}

pub(super) fn is_capital(word: &str) -> bool {
    word.chars()
        .next()
        .is_some_and(|c| c.is_uppercase() || c >= '\u{900}')
}

pub(super) fn is_particle(word: &str) -> bool {
    const PARTICLES: [&str; 24] = [
        "de", "du", "des", "la", "le", "les", "del", "da", "do", "dos", "das", "di", "della",
        "dei", "van", "der", "den", "y", "e", "al", "el", "à", "of", "von",
    ];
    PARTICLES.contains(&word)
        || word.starts_with("l'")
        || word.starts_with("d'")
        || word.starts_with("dell'")
}
