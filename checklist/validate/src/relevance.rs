//! Whether an answer is about what was asked, by the words of both.
//!
//! The score is the share of the question's content words of which a form, or a word of the same meaning, is in the answer,
//! together with the share of its groups of three letters that are; the greater of both counts more. It asks how much of the
//! question comes back, so a long answer is not worse than a short one. An answer in other words has a low score: it is a
//! lexical measure, for finding what is plainly beside the point.

use crate::words::{Index, Word, share, words};
use std::collections::HashSet;

/// Characters of a text that are read: more says little about what it is about.
const CHARS_MAX: usize = 20_000;

/// Score from which on an answer counts as being about the question where nothing else is said.
pub const MIN: f32 = 0.35;

fn head(text: &str) -> &str {
    let end = text.char_indices().nth(CHARS_MAX).map(|(at, _)| at);
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// Groups of three letters of words, with their borders.
fn threes(words: &[&Word]) -> HashSet<String> {
    let mut all = HashSet::new();
    for word in words {
        let letters: Vec<char> = format!(" {} ", word.text).chars().collect();
        all.extend(
            letters
                .windows(3)
                .map(|three| three.iter().collect::<String>()),
        );
    }
    all
}

/// How much an answer is about a question, 0 to 1. A question without content words (`and then?`) is met by any answer.
pub fn score(question: &str, answer: &str) -> f32 {
    let (question, answer) = (words(head(question)), words(head(answer)));
    let asked: Vec<&Word> = question.iter().filter(|word| word.content).collect();
    if asked.is_empty() {
        return if answer.is_empty() { 0.0 } else { 1.0 };
    }
    let index = Index::of(&answer);
    let found = asked.iter().filter(|word| index.means(&word.text)).count();
    let by_words = share(found, asked.len());
    let said: Vec<&Word> = answer.iter().filter(|word| word.content).collect();
    let (ours, theirs) = (threes(&asked), threes(&said));
    let by_letters = share(ours.intersection(&theirs).count(), ours.len());
    // A long answer has many groups of letters by chance, so words count more.
    0.75 * by_words.max(0.6 * by_letters) + 0.25 * by_letters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(question: &str, answer: &str, relevant: bool) {
        let score = score(question, answer);
        assert_eq!(score >= MIN, relevant, "{score}: {question} / {answer}");
    }

    #[test]
    fn answers_are_about_their_questions_in_several_languages() {
        for (question, answer, other) in [
            (
                "How long does the warranty of the blender last?",
                "The warranty lasts two years from the day of purchase.",
                "Our office is closed on Sundays and on public holidays.",
            ),
            (
                "Wie hoch sind die Versandkosten nach Österreich?",
                "Der Versand nach Österreich kostet 8 Euro.",
                "Das Museum öffnet um neun Uhr.",
            ),
            (
                "Quelle est la capitale de l'Australie ?",
                "La capitale de l'Australie est Canberra.",
                "Les chats dorment beaucoup.",
            ),
            (
                "東京の人口はどれくらいですか",
                "東京の人口は約1400万人です",
                "猫は魚が好きです",
            ),
        ] {
            check(question, answer, true);
            check(question, other, false);
            // Not worse for what comes after it.
            check(
                question,
                &format!(
                    "{answer} {}",
                    "Ask us if anything else is unclear. ".repeat(20)
                ),
                true,
            );
        }
    }

    #[test]
    fn a_question_without_content_is_met_by_any_answer() {
        check("and you?", "Fine.", true);
        check("and you?", "", false);
    }
}
