//! Labelled texts made from templates and seeded values. The same seed gives the same texts.
//!
//! Values are synthetic: numbers are drawn at random and completed to pass the published
//! checks, keys are drawn from the alphabets of their providers. Nothing belongs to anybody.

pub mod score;
pub mod values;

use std::ops::Range;

/// A text and what is in it.
pub struct Labelled {
    pub text: String,
    /// Bytes and kind, in order.
    pub spans: Vec<(Range<usize>, String)>,
}

/// The texts of a file in which values stand as `[[KIND|value]]`.
pub fn from_marked(file: &str) -> Vec<Labelled> {
    let lines = file
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let marked = |line: &str| {
        let line = line.replace("\\n", "\n");
        let mut labelled = Labelled {
            text: String::new(),
            spans: Vec::new(),
        };
        let mut parts = line.split("[[");
        labelled.text.push_str(parts.next().unwrap());
        for part in parts {
            let (kind, rest) = part.split_once('|').unwrap();
            let (value, rest) = rest.split_once("]]").unwrap();
            let start = labelled.text.len();
            labelled.text.push_str(value);
            let range = start..labelled.text.len();
            labelled.spans.push((range, kind.to_owned()));
            labelled.text.push_str(rest);
        }
        labelled
    };
    lines.map(marked).collect()
}

/// `rounds` texts from each line of a template file.
pub fn from_templates(file: &str, seed: u64, rounds: u64) -> Vec<Labelled> {
    let lines = file
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut texts = Vec::new();
    for (number, line) in lines.enumerate() {
        for round in 0..rounds {
            let number = u64::try_from(number).unwrap();
            let mut rng =
                fastrand::Rng::with_seed(seed ^ (number << 20) ^ round.wrapping_mul(0x9E37_79B9));
            texts.push(fill(&line.replace("\\n", "\n"), &mut rng));
        }
    }
    texts
}

fn fill(template: &str, rng: &mut fastrand::Rng) -> Labelled {
    let mut labelled = Labelled {
        text: String::new(),
        spans: Vec::new(),
    };
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        labelled.text.push_str(&rest[..open]);
        let name_end = rest[open..].find('}').map(|end| open + end);
        let name = name_end.map(|end| &rest[open + 1..end]);
        let value = name.and_then(|name| {
            values::filler(name, rng)
                .map(|v| (None, v))
                .or_else(|| values::value(name, rng).map(|v| (Some(values::kind_of(name)), v)))
        });
        let Some((kind, value)) = value else {
            // A brace of JSON or code.
            labelled.text.push('{');
            rest = &rest[open + 1..];
            continue;
        };
        let start = labelled.text.len();
        labelled.text.push_str(&value);
        if let Some(kind) = kind {
            labelled
                .spans
                .push((start..labelled.text.len(), kind.to_owned()));
        }
        rest = &rest[name_end.unwrap() + 1..];
    }
    labelled.text.push_str(rest);
    labelled
}

/// The same value in spellings meant to slip through.
pub fn disguises(value: &str) -> Vec<(&'static str, String)> {
    let each = |f: &dyn Fn(char) -> String| value.chars().map(f).collect::<String>();
    let wide = |c: char| {
        char::from_u32(u32::from(c) + 0xFEE0)
            .unwrap_or(c)
            .to_string()
    };
    let middle = value.len() / 2;
    let split = (1..value.len())
        .rev()
        .find(|&i| i <= middle && value.is_char_boundary(i))
        .unwrap_or(0);
    let space = value.find(' ').unwrap_or(split);
    vec![
        ("zero width", each(&|c| format!("{c}\u{200b}"))),
        ("nbsp", value.replace(' ', "\u{a0}")),
        (
            "full width",
            each(&|c| {
                if c.is_ascii_digit() {
                    wide(c)
                } else {
                    c.to_string()
                }
            }),
        ),
        (
            "dash",
            value.replace('-', "\u{2011}").replace(' ', "\u{2013}"),
        ),
        (
            "line split",
            format!("{}\n{}", &value[..space], value[space..].trim_start()),
        ),
        (
            "spaced digits",
            each(&|c| {
                if c.is_ascii_digit() {
                    format!("{c} ")
                } else {
                    String::new()
                }
            })
            .trim_end()
            .to_owned(),
        ),
        (
            "arabic digits",
            each(&|c| {
                c.to_digit(10)
                    .and_then(|d| char::from_u32(0x660 + d))
                    .unwrap_or(c)
                    .to_string()
            }),
        ),
        (
            "percent",
            value
                .replace('@', "%40")
                .replace(' ', "%20")
                .replace('-', "%2D"),
        ),
    ]
}
