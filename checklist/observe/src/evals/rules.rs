//! Scores without a model, from the answer alone.

use crate::prompt::language;
use std::collections::HashSet;

/// Characters at the beginning in which a refusal shows. Chosen: refusals come first.
const REFUSAL_CHARS: usize = 240;
/// Words of a phrase that counts as repeated.
const PHRASE: usize = 4;
/// Fewer words are never called repetitive.
const WORDS_MIN: usize = 24;

/// An answer as rules see it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen<'a> {
    /// Last user message.
    pub question: &'a str,
    /// Text of the answer.
    pub answer: &'a str,
    /// The answer calls tools.
    pub calls: bool,
    /// Why it ended, as OpenAI says it.
    pub finish: Option<&'a str>,
}

/// Bounds of an answer's length in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// Least.
    pub min: usize,
    /// Most.
    pub max: usize,
}

impl Default for Length {
    fn default() -> Self {
        Length {
            min: 1,
            max: usize::MAX,
        }
    }
}

/// One rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// 1 where the answer holds neither text nor tool calls.
    Empty,
    /// 1 where it reads as a refusal, or the provider ended it as one.
    Refusal,
    /// 1 where its length is within bounds and the bound on tokens did not cut it.
    Length(Length),
    /// Share of its phrases of four words that stood before.
    Repetition,
    /// 1 where it is in the language of the question; nothing where a language can't be told.
    LanguageMatch,
}

impl Rule {
    /// All names.
    pub const NAMES: [&'static str; 5] =
        ["empty", "refusal", "length", "repetition", "language_match"];

    /// A rule by its name; `length` is what the rule of that name holds to.
    pub fn parse(name: &str, length: Length) -> Option<Rule> {
        Some(match name {
            "empty" => Rule::Empty,
            "refusal" => Rule::Refusal,
            "length" => Rule::Length(length),
            "repetition" => Rule::Repetition,
            "language_match" => Rule::LanguageMatch,
            _ => return None,
        })
    }

    /// Its name in scores.
    pub fn name(self) -> &'static str {
        match self {
            Rule::Empty => "empty",
            Rule::Refusal => "refusal",
            Rule::Length(_) => "length",
            Rule::Repetition => "repetition",
            Rule::LanguageMatch => "language_match",
        }
    }

    /// Its score, 0 to 1; `None` where it says nothing of this answer.
    pub fn score(self, seen: &Seen<'_>) -> Option<f64> {
        let flag = |holds: bool| Some(if holds { 1.0 } else { 0.0 });
        match self {
            Rule::Empty => flag(seen.answer.trim().is_empty() && !seen.calls),
            Rule::Refusal => flag(seen.finish == Some("content_filter") || refuses(seen.answer)),
            Rule::Length(_) if seen.calls && seen.answer.is_empty() => None,
            Rule::Length(Length { min, max }) => {
                let chars = seen.answer.trim().chars().count();
                flag((min..=max).contains(&chars) && seen.finish != Some("length"))
            }
            Rule::Repetition => repetition(seen.answer),
            Rule::LanguageMatch => {
                let (asked, answered) = (language(seen.question)?, language(seen.answer)?);
                flag(asked == answered)
            }
        }
    }
}

/// Beginnings of refusals in the languages of most traffic, in lower case, apostrophes straight.
const REFUSALS: [&str; 36] = [
    "i can't help",
    "i cannot help",
    "i can't assist",
    "i cannot assist",
    "i'm unable to",
    "i am unable to",
    "i'm not able to",
    "i am not able to",
    "i can't provide",
    "i cannot provide",
    "i can't do that",
    "i cannot do that",
    "i can't comply",
    "i cannot comply",
    "i won't be able to",
    "i must decline",
    "i have to decline",
    "i'm sorry, but i can't",
    "i'm sorry, but i cannot",
    "i cannot fulfill",
    "i can't fulfill",
    "against my guidelines",
    "as an ai language model, i can",
    "dabei kann ich nicht helfen",
    "das kann ich leider nicht",
    "kann ich dir nicht helfen",
    "kann ich ihnen nicht helfen",
    "je ne peux pas vous aider",
    "je ne peux pas t'aider",
    "je suis désolé, mais je ne peux pas",
    "no puedo ayudar",
    "lo siento, pero no puedo",
    "não posso ajudar",
    "non posso aiutar",
    "我无法",
    "申し訳ありませんが、お手伝い",
];

fn refuses(answer: &str) -> bool {
    let head: String = answer
        .chars()
        .take(REFUSAL_CHARS)
        .flat_map(char::to_lowercase)
        .map(|c| if c == '\u{2019}' { '\'' } else { c })
        .collect();
    REFUSALS.iter().any(|phrase| head.contains(phrase))
}

fn repetition(answer: &str) -> Option<f64> {
    let words: Vec<&str> = answer.split_whitespace().collect();
    if words.is_empty() {
        return None;
    }
    if words.len() < WORDS_MIN {
        return Some(0.0);
    }
    let phrases = words.windows(PHRASE).count();
    let distinct: HashSet<&[&str]> = words.windows(PHRASE).collect();
    Some((phrases - distinct.len()) as f64 / phrases as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, seen: &Seen<'_>, expected: Option<f64>) {
        let length = Length { min: 5, max: 400 };
        let rule = Rule::parse(name, length).unwrap();
        assert_eq!(rule.score(seen), expected, "{name}: {seen:?}");
        assert_eq!(rule.name(), name);
    }

    fn said(answer: &str) -> Seen<'_> {
        Seen {
            question: "Where is the next railway station, please?",
            answer,
            ..Seen::default()
        }
    }

    #[test]
    fn rules_see_what_they_are_named_for() {
        check("empty", &said(" \n"), Some(1.0));
        check("empty", &said("Here."), Some(0.0));
        let calls = Seen {
            calls: true,
            ..said("")
        };
        check("empty", &calls, Some(0.0));
        check("length", &calls, None);
        check(
            "refusal",
            &said("I\u{2019}m sorry, but I can't help with that."),
            Some(1.0),
        );
        check("refusal", &said("Dabei kann ich nicht helfen."), Some(1.0));
        check(
            "refusal",
            &said("You can't help but smile at it."),
            Some(0.0),
        );
        let filtered = Seen {
            finish: Some("content_filter"),
            ..said("Well")
        };
        check("refusal", &filtered, Some(1.0));
        check("length", &said("Left."), Some(1.0));
        check("length", &said("No"), Some(0.0));
        let cut = Seen {
            finish: Some("length"),
            ..said("It is behind the old")
        };
        check("length", &cut, Some(0.0));
        check(
            "language_match",
            &said("It is behind the old market hall."),
            Some(1.0),
        );
        check(
            "language_match",
            &said("Er ist gleich hinter der alten Markthalle."),
            Some(0.0),
        );
        check("language_match", &said("42"), None);
        for name in Rule::NAMES {
            assert!(Rule::parse(name, Length::default()).is_some());
        }
        assert_eq!(Rule::parse("emty", Length::default()), None);
    }

    #[test]
    fn repetition_is_the_share_of_phrases_that_stood_before() {
        let loops = "and then it goes on ".repeat(20);
        let rule = Rule::Repetition;
        assert!(rule.score(&said(&loops)).unwrap() > 0.9);
        let plain = (0..100)
            .map(|n| n.to_string())
            .collect::<Vec<_>>()
            .join(" ");
        assert_eq!(rule.score(&said(&plain)), Some(0.0));
        assert_eq!(rule.score(&said("no no no no no no")), Some(0.0));
        assert_eq!(rule.score(&said("")), None);
    }
}
