//! Precision and recall on labelled text, with floors below which the build fails.
//!
//! A label counts as found when a finding of its kind overlaps it; a finding counts as right when it overlaps a
//! label of its kind. F2 weighs recall twice, because a name that leaks costs more than a word masked in vain.

use std::fmt;

use super::super::lexicon::names_of;
use super::super::table::role;
use super::*;

/// A text and the names in it.
pub struct Labelled {
    pub text: String,
    pub labels: Vec<(Range<usize>, NameKind)>,
}

/// Counts of one kind.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    labels: usize,
    hit: usize,
    /// Labels with a finding of exactly their bytes.
    exact: usize,
    found: usize,
    right: usize,
}

impl Tally {
    fn ratio(part: usize, whole: usize) -> f64 {
        f64::from(u32::try_from(part).unwrap()) / f64::from(u32::try_from(whole.max(1)).unwrap())
    }

    pub fn precision(self) -> f64 {
        Self::ratio(self.right, self.found)
    }

    pub fn recall(self) -> f64 {
        Self::ratio(self.hit, self.labels)
    }

    pub fn f2(self) -> f64 {
        let (precision, recall) = (self.precision(), self.recall());
        if precision + recall == 0.0 {
            0.0
        } else {
            5.0 * precision * recall / (4.0 * precision + recall)
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = Self::ratio(self.exact, self.hit);
        write!(
            out,
            "P {:.3} R {:.3} F2 {:.3} of {}, {exact:.3} of the hits exact",
            self.precision(),
            self.recall(),
            self.f2(),
            self.labels
        )
    }
}

/// Counts one kind over a set. With `APLOMB_NAMES_SHOW` set, prints what was missed and what was wrong.
pub fn tally(names: Names, set: &[Labelled], kind: NameKind) -> Tally {
    let mut tally = Tally::default();
    let show = variable("APLOMB_NAMES_SHOW").is_some();
    for labelled in set {
        let mut found = Vec::new();
        names.find(&labelled.text, &emails(&labelled.text), &mut found);
        let labels: Vec<_> = labelled
            .labels
            .iter()
            .filter(|label| label.1 == kind)
            .map(|label| label.0.clone())
            .collect();
        let ours: Vec<_> = found.iter().filter(|name| name.kind == kind).collect();
        let meet = |left: &Range<usize>, right: &Range<usize>| {
            left.start < right.end && right.start < left.end
        };
        let hit = labels
            .iter()
            .filter(|label| ours.iter().any(|name| meet(label, &name.range)))
            .count();
        let right = ours
            .iter()
            .filter(|name| labels.iter().any(|label| meet(label, &name.range)))
            .count();
        if show {
            for label in labels
                .iter()
                .filter(|label| !ours.iter().any(|name| meet(label, &name.range)))
            {
                println!(
                    "MISS {kind:?} `{}` in {:?}",
                    &labelled.text[label.clone()],
                    labelled.text
                );
            }
            for name in ours
                .iter()
                .filter(|name| !labels.iter().any(|label| meet(label, &name.range)))
            {
                println!(
                    "WRONG {kind:?} `{}` {} {} in {:?}",
                    &labelled.text[name.range.clone()],
                    name.reason,
                    name.score,
                    labelled.text
                );
            }
        }
        tally.labels += labels.len();
        tally.hit += hit;
        tally.exact += labels
            .iter()
            .filter(|label| ours.iter().any(|name| name.range == **label))
            .count();
        tally.found += ours.len();
        tally.right += right;
    }
    tally
}

/// E-mail addresses as the structured detector would pass them.
pub fn emails(text: &str) -> Vec<Range<usize>> {
    let part = |letter: char| letter.is_alphanumeric() || "._%+-".contains(letter);
    text.match_indices('@')
        .filter_map(|(at, _)| {
            let local = text[..at]
                .chars()
                .rev()
                .take_while(|letter| part(*letter))
                .map(char::len_utf8)
                .sum::<usize>();
            let domain = text[at + 1..]
                .chars()
                .take_while(|letter| part(*letter))
                .map(char::len_utf8)
                .sum::<usize>();
            (local > 0 && domain > 0).then_some(at - local..at + 1 + domain)
        })
        .collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test asks for a data set that is not in the repository"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The public English set of presidio-research (`synth_dataset_v2.json`, MIT), if a path is given.
fn presidio() -> Option<Vec<Labelled>> {
    let file = std::fs::read_to_string(variable("APLOMB_PRESIDIO_SET")?).unwrap();
    let rows: Vec<serde_json::Value> = serde_json::from_str(&file).unwrap();
    Some(rows.iter().map(presidio_row).collect())
}

fn presidio_row(row: &serde_json::Value) -> Labelled {
    let text = row["full_text"].as_str().unwrap().to_owned();
    let places: Vec<usize> = text
        .char_indices()
        .map(|(place, _)| place)
        .chain([text.len()])
        .collect();
    let at = |span: &serde_json::Value, key: &str| {
        places[usize::try_from(span[key].as_u64().unwrap()).unwrap()]
    };
    let labels = row["spans"].as_array().unwrap().iter().filter_map(|span| {
        let kind = match span["entity_type"].as_str()? {
            "PERSON" => NameKind::Person,
            "GPE" => NameKind::Location,
            "ORGANIZATION" => NameKind::Organization,
            _ => return None,
        };
        Some((at(span, "start_position")..at(span, "end_position"), kind))
    });
    Labelled {
        labels: labels.collect(),
        text,
    }
}

#[test]
fn presidio_set_stays_above_its_floors() {
    let Some(set) = presidio() else { return };
    let names = Names::new();
    for (kind, floor) in [
        (NameKind::Person, 0.79),
        (NameKind::Location, 0.62),
        (NameKind::Organization, 0.33),
    ] {
        let tally = tally(names, &set, kind);
        println!("presidio {kind:?}: {tally}");
        assert!(tally.f2() >= floor, "{kind:?} {tally}");
    }
}

/// A text with `<P>`, `<L>`, `<O>` around its names.
fn parse(marked: &str) -> Labelled {
    let (mut text, mut labels, mut rest) = (String::new(), Vec::new(), marked);
    while let Some((place, kind)) = [
        ("<P>", NameKind::Person),
        ("<L>", NameKind::Location),
        ("<O>", NameKind::Organization),
    ]
    .iter()
    .filter_map(|(tag, kind)| Some((rest.find(tag)?, *kind)))
    .min_by_key(|found| found.0)
    {
        text.push_str(&rest[..place]);
        let end = rest
            .find("</")
            .unwrap_or_else(|| panic!("no end tag in {marked}"));
        // Tags of XML samples come before the label; its own end tag comes after it.
        let end = if end < place {
            place + rest[place..].find("</").unwrap()
        } else {
            end
        };
        let start = text.len();
        text.push_str(&rest[place + 3..end]);
        labels.push((start..text.len(), kind));
        rest = &rest[end + 4..];
    }
    text.push_str(rest);
    Labelled { text, labels }
}

fn lines(file: &str) -> impl Iterator<Item = String> {
    file.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.replace("\\n", "\n"))
}

/// Draws names without a random source, so that every run measures the same.
struct Draw(u64);

impl Draw {
    fn pick<'a>(&mut self, from: &'a [String]) -> &'a str {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        &from[usize::try_from(self.0 >> 33).unwrap() % from.len()]
    }
}

/// Whether a name is among the 30 % that the lexicon of the unseen measurement lacks.
fn left_out(name: &str) -> bool {
    // Chinese and Korean surnames are a closed class: leaving them out measures nothing.
    let closed = name.chars().count() == 1;
    !closed && super::super::fold::Key::of(name) % 10 < 3
}

/// Names of one language in the script of its texts.
fn pool(language: &str, list: u32, unseen: bool) -> Vec<String> {
    // Surnames are a closed class in these languages: the most frequent ones stand for all.
    let frequent = match language {
        "zh" => "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗",
        "ko" => "김이박최정강조윤장임한오서신권황안송류홍",
        _ => "",
    };
    if !frequent.is_empty() && list == role::LAST {
        return frequent.chars().map(String::from).collect();
    }
    if language == "vi" {
        let names: &[&str] = if list == role::FIRST {
            &["Minh Tuấn", "Thị Hồng", "Quang Hải"]
        } else {
            &["Nguyễn", "Trần", "Phạm"]
        };
        return names.iter().map(|name| (*name).to_owned()).collect();
    }
    let native = |name: &str| match language {
        "zh" | "ja" => name
            .chars()
            .all(|letter| ('\u{3400}'..'\u{a000}').contains(&letter)),
        "ko" => name.chars().all(|letter| letter >= '\u{ac00}'),
        "hi" => name
            .chars()
            .all(|letter| ('\u{900}'..'\u{980}').contains(&letter)),
        "ar" => name
            .chars()
            .all(|letter| ('\u{600}'..'\u{700}').contains(&letter)),
        "ru" | "uk" => name.chars().all(|letter| letter >= '\u{400}'),
        _ => name.chars().all(|letter| letter < '\u{250}'),
    };
    names_of(language, list)
        .into_iter()
        .filter(|name| {
            native(name) && (name.chars().count() > 2 || matches!(language, "zh" | "ja" | "ko"))
        })
        .filter(|name| left_out(name) == unseen)
        .collect()
}

/// Every template filled in `times` times, as (language, text).
fn generated(times: usize, unseen: bool) -> Vec<(String, Labelled)> {
    let (mut language, mut set) = (String::new(), Vec::new());
    let (mut first, mut last) = (Vec::new(), Vec::new());
    let mut draw = Draw(7);
    for line in lines(include_str!("../../../testset/templates.txt")) {
        if let Some(next) = line.strip_prefix('@') {
            language = next.to_owned();
            first = pool(next, role::FIRST, unseen);
            last = pool(next, role::LAST, unseen);
            assert!(!first.is_empty() && !last.is_empty(), "{language}");
            continue;
        }
        for _ in 0..times {
            set.push((
                language.clone(),
                parse(&fill(&line, &language, &mut draw, &first, &last)),
            ));
        }
    }
    set
}

fn fill(
    template: &str,
    language: &str,
    draw: &mut Draw,
    first: &[String],
    last: &[String],
) -> String {
    let mut text = template.to_owned();
    while let Some(place) = text.find('%') {
        let (given, family) = (draw.pick(first), draw.pick(last));
        let name = match &text[place..place + 2] {
            "%F" => given.to_owned(),
            "%L" => family.to_owned(),
            "%f" => given.to_lowercase(),
            "%l" => family.to_lowercase(),
            _ if matches!(language, "zh" | "ja" | "ko") => format!("{family}{given}"),
            _ if language == "vi" => format!("{family} {given}"),
            _ => format!("{given} {family}"),
        };
        text.replace_range(place..place + 2, &name);
    }
    text
}

fn by_language(names: Names, set: &[(String, Labelled)]) -> Vec<(String, Tally)> {
    let mut languages: Vec<_> = set.iter().map(|(language, _)| language.clone()).collect();
    languages.dedup();
    languages
        .into_iter()
        .map(|language| {
            let texts: Vec<_> = set
                .iter()
                .filter(|(own, _)| *own == language)
                .map(|(_, text)| Labelled {
                    text: text.text.clone(),
                    labels: text.labels.clone(),
                })
                .collect();
            let tally = tally(names, &texts, NameKind::Person);
            (language, tally)
        })
        .collect()
}

fn texts(set: Vec<(String, Labelled)>) -> Vec<Labelled> {
    set.into_iter().map(|(_, text)| text).collect()
}

#[test]
fn generated_texts_stay_above_their_floors() {
    let set = generated(6, false);
    for (language, tally) in by_language(Names::new(), &set) {
        println!("listed {language}: {tally}");
        assert!(tally.f2() >= 0.80, "{language} {tally}");
    }
    let set = texts(set);
    for (kind, floor) in [
        (NameKind::Person, 0.95),
        (NameKind::Location, 0.92),
        (NameKind::Organization, 0.85),
    ] {
        let tally = tally(Names::new(), &set, kind);
        println!("listed {kind:?}: {tally}");
        assert!(tally.f2() >= floor, "{kind:?} {tally}");
    }
}

/// A finder without 30 % of the names.
fn poorer() -> Names {
    Names {
        lexicon: Box::leak(Box::new(Lexicon::without(left_out))),
        model: None,
    }
}

#[test]
fn unseen_names_stay_above_their_floors() {
    let set = generated(6, true);
    for (language, tally) in by_language(poorer(), &set) {
        println!("unseen {language}: {tally}");
        assert!(tally.f2() >= 0.60, "{language} {tally}");
    }
    let tally = tally(poorer(), &texts(set), NameKind::Person);
    println!("unseen Person: {tally}");
    assert!(tally.f2() >= 0.88 && tally.precision() >= 0.97, "{tally}");
}

#[test]
fn other_sets_without_a_third_of_the_names_stay_above_their_floors() {
    let marked = |file: &str| lines(file).map(|line| parse(&line)).collect::<Vec<_>>();
    let harder = marked(include_str!("../../../testset/people.txt"));
    let blind = marked(include_str!("../../../testset/blind.txt"));
    let public = presidio().unwrap_or_default();
    for (label, set, floor) in [
        ("harder", harder, 0.80),
        ("blind", blind, 0.80),
        ("presidio", public, 0.65),
    ] {
        let tally = tally(poorer(), &set, NameKind::Person);
        println!("poorer {label} Person: {tally}");
        assert!(set.is_empty() || tally.f2() >= floor, "{label} {tally}");
    }
}

#[test]
fn harder_texts_stay_above_their_floors() {
    let set: Vec<_> = lines(include_str!("../../../testset/people.txt"))
        .map(|line| parse(&line))
        .collect();
    for (kind, floor) in [
        (NameKind::Person, 0.93),
        (NameKind::Location, 0.85),
        (NameKind::Organization, 0.80),
    ] {
        let tally = tally(Names::new(), &set, kind);
        println!("harder {kind:?}: {tally}");
        assert!(tally.f2() >= floor, "{kind:?} {tally}");
    }
}

#[test]
fn blind_texts_stay_above_their_floors() {
    let set: Vec<_> = lines(include_str!("../../../testset/blind.txt"))
        .map(|line| parse(&line))
        .collect();
    for (kind, floor) in [
        (NameKind::Person, 0.93),
        (NameKind::Location, 0.85),
        (NameKind::Organization, 0.80),
    ] {
        let tally = tally(Names::new(), &set, kind);
        println!("blind {kind:?}: {tally}");
        assert!(tally.f2() >= floor, "{kind:?} {tally}");
    }
}

#[test]
fn second_blind_texts_stay_above_their_floors() {
    let set: Vec<_> = lines(include_str!("../../../testset/second.txt"))
        .map(|line| parse(&line))
        .collect();
    for (kind, floor) in [
        (NameKind::Person, 0.60),
        (NameKind::Location, 0.50),
        (NameKind::Organization, 0.50),
    ] {
        let tally = tally(Names::new(), &set, kind);
        println!("second {kind:?}: {tally}");
        assert!(tally.f2() >= floor, "{kind:?} {tally}");
    }
    println!(
        "second poorer Person: {}",
        tally(poorer(), &set, NameKind::Person)
    );
}

#[test]
fn texts_without_people_are_left_alone() {
    let set: Vec<_> = lines(include_str!("../../../testset/negatives.txt")).collect();
    let mut touched = Vec::new();
    for text in &set {
        let mut found = Vec::new();
        Names::new().find(text, &emails(text), &mut found);
        let people: Vec<_> = found
            .iter()
            .filter(|name| name.kind == NameKind::Person)
            .map(|name| (&text[name.range.clone()], name.reason))
            .collect();
        if !people.is_empty() {
            touched.push(format!("{people:?} in {text:?}"));
        }
    }
    println!(
        "touched {} of {}:\n{}",
        touched.len(),
        set.len(),
        touched.join("\n")
    );
    assert!(touched.len() * 100 <= set.len() * 3, "{touched:#?}");
}

/// The finder with the local model.
fn learned(names: Names) -> Names {
    names.with_model().unwrap()
}

fn touched(names: Names, set: &[String], kinds: &[NameKind]) -> usize {
    let touched = |text: &&String| {
        let mut found = Vec::new();
        names.find(text, &emails(text), &mut found);
        let mut found = found.iter().filter(|name| kinds.contains(&name.kind));
        let first = found.next();
        if let Some(name) = first {
            println!("TOUCHED {name:?} {text:?}");
        }
        first.is_some()
    };
    set.iter().filter(touched).count()
}

/// English texts with and without the model, as `docs/privacy.md` shows them.
#[test]
fn the_model_finds_more_people_in_english() {
    let own: Vec<_> = lines(include_str!("../../../testset/english.txt"))
        .map(|line| parse(&line))
        .collect();
    let public = presidio().unwrap_or_default();
    for kind in [NameKind::Person, NameKind::Location, NameKind::Organization] {
        for (label, set, floor) in [("english", &own, 0.95_f64), ("public", &public, 0.85)] {
            let rules = tally(Names::new(), set, kind);
            let model = tally(learned(Names::new()), set, kind);
            println!("{label} {kind:?}: rules {rules}; with model {model}");
            println!(
                "{label} {kind:?}, poorer: rules {}; with model {}",
                tally(poorer(), set, kind),
                tally(learned(poorer()), set, kind)
            );
            let person = kind == NameKind::Person && !set.is_empty();
            assert!(
                !person || model.f2() >= floor.max(rules.f2()),
                "{label} {model}"
            );
        }
    }
}

#[test]
fn the_model_leaves_texts_without_people_alone() {
    let set: Vec<_> = lines(include_str!("../../../testset/negatives.txt")).collect();
    let people = touched(learned(Names::new()), &set, &[NameKind::Person]);
    println!("with model touched {people} of {}", set.len());
    assert!(people * 100 <= set.len() * 5, "{people} of {}", set.len());
    let all = [NameKind::Person, NameKind::Location, NameKind::Organization];
    let plain: Vec<_> = lines(include_str!("../../../testset/english.txt"))
        .filter(|line| !line.contains('<'))
        .collect();
    let wrong = touched(learned(Names::new()), &plain, &all);
    println!("sentences without names touched {wrong} of {}", plain.len());
    assert!(wrong * 100 <= plain.len() * 5, "{wrong} of {}", plain.len());
}

/// The model reads English alone; texts of other languages stay as the rules leave them.
#[test]
fn the_model_does_no_harm_in_any_language() {
    let set = generated(6, false);
    let without = by_language(Names::new(), &set);
    let with = by_language(learned(Names::new()), &set);
    for ((language, rules), (_, model)) in without.into_iter().zip(with) {
        println!("{language}: rules {rules}; with model {model}");
        assert!(
            model.f2() >= rules.f2() - 0.005,
            "{language}: {rules}; {model}"
        );
    }
    for (label, file) in [
        ("harder", include_str!("../../../testset/people.txt")),
        ("blind", include_str!("../../../testset/blind.txt")),
        ("second", include_str!("../../../testset/second.txt")),
    ] {
        let set: Vec<_> = lines(file).map(|line| parse(&line)).collect();
        let rules = tally(Names::new(), &set, NameKind::Person);
        let model = tally(learned(Names::new()), &set, NameKind::Person);
        println!("{label}: rules {rules}; with model {model}");
        assert!(model.f2() >= rules.f2() - 0.02, "{label}: {rules}; {model}");
    }
}
