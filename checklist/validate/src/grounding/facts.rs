//! What a text tells in numbers, dates and codes, in one form however it is written.

use crate::words::Word;
use std::collections::HashMap;
use std::sync::LazyLock;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A number in each way in which it can be read (`1.200` is 1200 or 1.2), with its unit where that is known.
    Quantity {
        /// In digits, without what does not count.
        values: Vec<String>,
        /// In one form of its family.
        unit: Option<&'static str>,
    },
    /// A month, 1 to 12.
    Month(u8),
    /// A day of a month.
    Day(u8, u8),
    /// A day of the week, 1 to 7.
    Weekday(u8),
    /// What has letters and digits: an order, a version, a file.
    Code(String),
}

const UNITS: &[&str] = &[
    "% percent prozent pourcent porcento percento pct",
    "$ dollar dollars usd bucks",
    "€ euro euros eur",
    "£ pound pounds gbp",
    "¥ yen jpy",
    "second seconds sec secs sekunde sekunden seconde secondes segundo segundos",
    "minute minutes min mins minuten minuto minutos minuti",
    "hour hours h hr hrs stunde stunden heure heures hora horas ora ore",
    "day days tag tage tagen jour jours dia dias giorno giorni",
    "week weeks woche wochen semaine semaines semana semanas settimana settimane",
    "month months monat monate monaten mois mes meses mese mesi",
    "year years yr yrs jahr jahre jahren an ans annee annees ano anos anno anni",
    "km kilometer kilometers kilometre kilometres kilometro kilometros chilometri",
    "m meter meters metre metres metern metro metros metri",
    "cm centimeter centimeters centimetre centimetres zentimeter",
    "mm millimeter millimeters millimetre millimetres",
    "mile miles mi",
    "foot feet ft",
    "kg kilogram kilograms kilo kilos kilogramm",
    "g gram grams gramm",
    "mg milligram milligrams",
    "l liter liters litre litres litern litro litros litri",
    "ml milliliter milliliters millilitre millilitres",
    "kb kilobyte kilobytes",
    "mb megabyte megabytes",
    "gb gigabyte gigabytes",
    "tb terabyte terabytes",
    "w watt watts",
    "kw kilowatt kilowatts",
    "kwh",
    "v volt volts",
    "° degree degrees celsius c grad degres grados gradi",
    "ms millisecond milliseconds",
];

const MONTHS: [&str; 12] = [
    "january jan januar janner janvier enero gennaio",
    "february feb februar fevrier febrero febbraio",
    "march mar marz mars marzo",
    "april apr avril abril aprile",
    "may mai mayo maggio",
    "june jun juni juin junio giugno",
    "july jul juli juillet julio luglio",
    "august aug aout agosto",
    "september sep sept septembre septiembre settembre",
    "october oct oktober okt octobre octubre ottobre",
    "november nov novembre noviembre",
    "december dec dezember dez decembre diciembre dicembre",
];

const WEEKDAYS: [&str; 7] = [
    "monday mondays montag montags lundi lunes lunedi",
    "tuesday tuesdays dienstag dienstags mardi martes martedi",
    "wednesday wednesdays mittwoch mittwochs mercredi miercoles mercoledi",
    "thursday thursdays donnerstag donnerstags jeudi jueves giovedi",
    "friday fridays freitag freitags vendredi viernes venerdi",
    "saturday saturdays samstag samstags samedi sabado sabato",
    "sunday sundays sonntag sonntags dimanche domingo domenica",
];

/// Numbers in words; one and articles like it are left out.
const NUMBERS: &[(&str, u32)] = &[
    ("zero null cero", 0),
    ("two zwei deux dos due twice", 2),
    ("three drei trois tres tre", 3),
    ("four vier quatre cuatro quattro", 4),
    ("five funf cinq cinco cinque", 5),
    ("six sechs seis sei", 6),
    ("seven sieben sept siete sette", 7),
    ("eight acht huit ocho otto", 8),
    ("nine neun neuf nueve nove", 9),
    ("ten zehn dix diez dieci", 10),
    ("eleven elf onze once undici", 11),
    ("twelve zwolf douze doce dodici dozen", 12),
    ("thirteen dreizehn treize trece", 13),
    ("fourteen vierzehn quatorze catorce", 14),
    ("fifteen funfzehn quinze quince quindici", 15),
    ("sixteen sechzehn seize", 16),
    ("seventeen siebzehn", 17),
    ("eighteen achtzehn", 18),
    ("nineteen neunzehn", 19),
    ("twenty zwanzig vingt veinte venti", 20),
    ("thirty dreissig trente treinta trenta", 30),
    ("forty vierzig quarante cuarenta quaranta", 40),
    ("fifty funfzig cinquante cincuenta cinquanta", 50),
    ("sixty sechzig soixante sesenta sessanta", 60),
    ("seventy siebzig setenta settanta", 70),
    ("eighty achtzig ochenta ottanta", 80),
    ("ninety neunzig noventa novanta", 90),
    ("hundred hundert cent cien cento", 100),
];

const TIMES: &[(&str, usize)] = &[
    ("thousand tausend mille mil mila k", 3),
    ("million millions millionen millones milioni mio mn", 6),
    (
        "billion billions milliarde milliarden milliard milliards miliardi bn mrd",
        9,
    ),
];

/// What a word can be.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    unit: Option<&'static str>,
    month: Option<u8>,
    weekday: Option<u8>,
    number: Option<u32>,
    zeros: Option<usize>,
}

static LEXICON: LazyLock<HashMap<&'static str, Entry>> = LazyLock::new(|| {
    let mut all: HashMap<&'static str, Entry> = HashMap::new();
    let mut add = |list: &'static str, set: &dyn Fn(&mut Entry)| {
        for word in list.split(' ') {
            set(all.entry(word).or_default());
        }
    };
    for list in UNITS {
        add(list, &|entry| entry.unit = list.split(' ').next());
    }
    for (list, at) in MONTHS.iter().zip(1..) {
        add(list, &|entry| entry.month = Some(at));
    }
    for (list, at) in WEEKDAYS.iter().zip(1..) {
        add(list, &|entry| entry.weekday = Some(at));
    }
    for (list, value) in NUMBERS {
        add(list, &|entry| entry.number = Some(*value));
    }
    for (list, zeros) in TIMES {
        add(list, &|entry| entry.zeros = Some(*zeros));
    }
    all
});

fn entry(word: &str) -> Entry {
    LEXICON.get(word).copied().unwrap_or_default()
}

/// The one form of a unit.
pub fn unit(word: &str) -> Option<&'static str> {
    entry(word).unit
}

/// Whether a word is a number, or a code with one.
pub fn counts(word: &str) -> bool {
    word.contains(|c: char| c.is_ascii_digit()) || entry(word).number.is_some()
}

/// Whether a word is a month or a day of the week.
pub fn dates(word: &str) -> bool {
    let known = entry(word);
    known.month.is_some() || known.weekday.is_some()
}

fn times(word: &str) -> Option<usize> {
    entry(word).zeros
}

fn spelled(word: &str) -> Option<String> {
    entry(word).number.map(|value| value.to_string())
}

/// Digits with a point where parts of one follow, and no zeros that do not count.
fn decimal(whole: &str, part: &str) -> String {
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    match part.trim_end_matches('0') {
        "" => whole.to_owned(),
        part => format!("{whole}.{part}"),
    }
}

/// A number in each way in which its marks can be read.
fn readings(core: &str) -> Vec<String> {
    let marks: Vec<(usize, char)> = core
        .char_indices()
        .filter(|(_, c)| !c.is_ascii_digit())
        .collect();
    let digits = |text: &str| {
        text.chars()
            .filter(char::is_ascii_digit)
            .collect::<String>()
    };
    let Some((at, mark)) = marks.last().copied() else {
        return vec![decimal(core, "")];
    };
    let (front, back) = (
        core.get(..at).unwrap_or_default(),
        core.get(at + 1..).unwrap_or_default(),
    );
    let grouped = back.len() == 3
        && marks
            .iter()
            .all(|(_, other)| *other == mark || marks.len() == 1);
    let several = marks.iter().filter(|(_, other)| *other == mark).count() > 1;
    let point = decimal(&digits(front), back);
    match (grouped, several) {
        (_, true) => vec![decimal(&digits(core), "")],
        (true, false) => vec![decimal(&digits(core), ""), point],
        (false, false) => vec![point],
    }
}

/// A number with so many zeros more.
fn shifted(value: &str, zeros: usize) -> String {
    let (whole, part) = value.split_once('.').unwrap_or((value, ""));
    let (up, rest) = part.split_at(zeros.min(part.len()));
    let fill = "0".repeat(zeros - up.len());
    decimal(&format!("{whole}{up}{fill}"), rest)
}

/// `2024-03-15`, `15.03.2024`, `3/15/2024` as year and pairs of day and month.
fn date(core: &str) -> Option<Vec<Fact>> {
    let parts: Vec<&str> = core.split(['-', '.']).collect();
    let [one, two, three] = parts.as_slice() else {
        return None;
    };
    let number = |text: &str| text.parse::<u8>().ok();
    let (year, day, month) = match (one.len(), three.len()) {
        (4, 1..=2) => (*one, number(three)?, number(two)?),
        (1..=2, 4) => (*three, number(one)?, number(two)?),
        _ => return None,
    };
    let year = year.parse::<u16>().ok()?.to_string();
    let fits = (1..=31).contains(&day) && (1..=12).contains(&month);
    fits.then(|| vec![plain(year), Fact::Month(month), Fact::Day(day, month)])
}

fn plain(value: String) -> Fact {
    Fact::Quantity {
        values: vec![value],
        unit: None,
    }
}

/// One word with digits: a quantity, a date or a code.
fn digits(word: &str) -> Vec<Fact> {
    if let Some(facts) = date(word) {
        return facts;
    }
    let sign = |c: char| "$€£¥%°".contains(c);
    let bare = word.trim_matches(sign);
    let signed = word.chars().find(|c| sign(*c));
    let start = bare.find(|c: char| c.is_ascii_digit()).unwrap_or(0);
    let core = bare.get(start..).unwrap_or_default();
    let end = core
        .find(|c: char| !(c.is_ascii_digit() || ".,:'’".contains(c)))
        .unwrap_or(core.len());
    let (core, after) = core.split_at(end);
    let before = bare.get(..start).unwrap_or_default().trim_end_matches('-');
    let ordinal = matches!(
        after,
        "st" | "nd" | "rd" | "th" | "er" | "e" | "º" | "ª" | "s"
    );
    let after = if ordinal {
        ""
    } else {
        after.trim_start_matches('-')
    };
    let zeros = times(after).or_else(|| (after == "m" && signed.is_some()).then_some(6));
    let known = unit(after).or_else(|| unit(before));
    let named = signed.and_then(|sign| unit(sign.encode_utf8(&mut [0; 4])));
    if !before.is_empty() && unit(before).is_none()
        || !after.is_empty() && known.is_none() && zeros.is_none()
    {
        return range(bare).unwrap_or_else(|| vec![Fact::Code(word.to_owned())]);
    }
    let values = readings(core.trim_matches(['.', ',', ':', '\'', '’'])).into_iter();
    let values = values
        .map(|value| shifted(&value, zeros.unwrap_or(0)))
        .collect();
    let unit = named.or(known.filter(|_| zeros.is_none()));
    vec![Fact::Quantity { values, unit }]
}

/// `5-10` is two numbers.
fn range(bare: &str) -> Option<Vec<Fact>> {
    let (one, other) = bare.split_once('-')?;
    let number = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_digit())
            && text.chars().all(|c| c.is_ascii_digit() || ".,".contains(c))
    };
    let both = number(one) && number(other);
    both.then(|| {
        [one, other]
            .map(|text| Fact::Quantity {
                values: readings(text),
                unit: None,
            })
            .to_vec()
    })
}

/// The facts of words in order.
pub fn facts(words: &[Word]) -> Vec<Fact> {
    let mut all: Vec<Fact> = Vec::new();
    let has_digit = |word: &Word| word.text.contains(|c: char| c.is_ascii_digit());
    for (at, word) in words.iter().enumerate() {
        let near = |step: isize| at.checked_add_signed(step).and_then(|at| words.get(at));
        let beside = [-2, -1, 1].into_iter().filter_map(near).any(has_digit);
        if has_digit(word) {
            all.extend(digits(&word.text));
        } else if let Some(zeros) = times(&word.text) {
            multiply(&mut all, near(-1), zeros);
        } else if let Some(value) = spelled(&word.text) {
            all.push(plain(value));
        } else if let Some(month) = entry(&word.text)
            .month
            .filter(|_| beside || word.capital && word.text != "may" && word.text != "mar")
        {
            all.push(Fact::Month(month));
            let days = [near(-1), near(-2), near(1)].into_iter().flatten();
            let mut days = days.filter_map(|word| {
                word.text
                    .trim_end_matches(|c: char| c.is_alphabetic())
                    .trim_end_matches('.')
                    .parse()
                    .ok()
            });
            let day = days.find(|day: &u8| (1..=31).contains(day));
            all.extend(day.map(|day| Fact::Day(day, month)));
        } else if let Some(day) = entry(&word.text).weekday {
            all.push(Fact::Weekday(day));
        } else if let Some(named) = unit(&word.text)
            && near(-1).is_some_and(|before| {
                has_digit(before)
                    || spelled(&before.text).is_some()
                    || times(&before.text).is_some()
            })
            && let Some(Fact::Quantity { unit, .. }) = all.last_mut()
        {
            *unit = unit.or(Some(named));
        }
    }
    all
}

fn multiply(all: &mut [Fact], before: Option<&Word>, zeros: usize) {
    let counted = before.is_some_and(|word| {
        word.text.contains(|c: char| c.is_ascii_digit()) || spelled(&word.text).is_some()
    });
    if let Some(Fact::Quantity { values, .. }) = all.last_mut().filter(|_| counted) {
        for value in values {
            *value = shifted(value, zeros);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::words;

    fn quantity(value: &str, unit: Option<&'static str>) -> Fact {
        Fact::Quantity {
            values: vec![value.to_owned()],
            unit,
        }
    }

    #[test]
    fn numbers_and_units_have_one_form() {
        for (text, value, unit) in [
            ("$1.5 million", "1500000", Some("$")),
            ("5GB", "5", Some("gb")),
            ("30 days", "30", Some("day")),
            ("drei Jahre", "3", Some("year")),
            ("1.234.567,50 Euro", "1234567.5", Some("€")),
            ("15%", "15", Some("%")),
            ("15 Prozent", "15", Some("%")),
            ("20k", "20000", None),
            ("the 3rd", "3", None),
        ] {
            assert_eq!(facts(&words(text)), [quantity(value, unit)], "{text}");
        }
        let Some(Fact::Quantity { values, .. }) = facts(&words("1,200")).pop() else {
            panic!()
        };
        assert_eq!(values, ["1200", "1.2"]);
    }

    #[test]
    fn dates_have_one_form() {
        let expected = [plain("2024".into()), Fact::Month(3), Fact::Day(15, 3)];
        for text in [
            "15 March 2024",
            "March 15, 2024",
            "2024-03-15",
            "15.03.2024",
            "15. März 2024",
        ] {
            let found = facts(&words(text));
            assert!(
                expected.iter().all(|fact| found.contains(fact)),
                "{text}: {found:?}"
            );
        }
        assert_eq!(facts(&words("You may go on.")), []);
    }

    #[test]
    fn what_has_letters_and_digits_is_a_code() {
        assert_eq!(
            facts(&words("order INV-1207")),
            [Fact::Code("inv-1207".into())]
        );
        assert_eq!(facts(&words("5-10")).len(), 2);
    }
}
