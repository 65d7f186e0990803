//! Street words of our users' languages, and questions about single words.

/// English words that end a street's name. Those before the bar also in small letters.
pub(super) const AFTER: &[&str] = &[
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
];
/// English words that end a street's name if it is capitalised.
pub(super) const AFTER_CAPITAL: &[&str] = &[
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
];
/// Words that begin a street's name (fr, es, it, pt, pl, ru, tr, nl, de).
pub(super) const BEFORE: &[&str] = &[
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
];
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

pub(super) fn is_in(list: &[&str], word: &str) -> bool {
    // Length and first letter rule out nearly all words without a comparison. Letters outside
    // of ASCII may change their length with their case; few words have them.
    let first = |word: &str| word.bytes().next().map(|b| b.to_ascii_lowercase());
    let listed = |word: &str| {
        let (len, letter) = (word.len(), first(word));
        list.iter().any(|known| {
            known.len() == len && first(known) == letter && known.eq_ignore_ascii_case(word)
        })
    };
    listed(word) || !word.is_ascii() && word.len() <= 24 && listed(&word.to_lowercase())
}

pub(super) fn is_preposition(word: &str) -> bool {
    matches!(
        word.to_lowercase().as_str(),
        "am" | "an" | "im" | "auf" | "unter"
    )
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
