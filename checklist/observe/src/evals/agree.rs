//! How far scores agree with what people say of the same answers. A score that nobody has checked is called uncalibrated.

use super::rubric::Better;
use super::stats;
use serde::Serialize;

/// Fewer answers with both a score and a label say nothing. Chosen: below it, kappa's 95 % interval is wider than 0.7.
pub const LABELS_MIN: usize = 30;

/// One piece of feedback on an answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Voice {
    /// Whose.
    pub by: String,
    /// A person whose task it was to grade.
    pub grader: bool,
    /// 1 up, -1 down, 0 taken back.
    pub thumb: Option<i8>,
    /// 0 to 1.
    pub score: Option<f64>,
    /// `accurate`, `partly`, `inaccurate`.
    pub label: Option<String>,
}

impl Voice {
    /// How good the answer is to this voice, 0 to 1: by its label, else its score, else its thumb.
    fn opinion(&self) -> Option<f64> {
        let by_label = match self.label.as_deref() {
            Some("accurate") => Some(1.0),
            Some("partly") => Some(0.5),
            Some("inaccurate") => Some(0.0),
            _ => None,
        };
        let by_thumb = match self.thumb {
            Some(1) => Some(1.0),
            Some(-1) => Some(0.0),
            _ => None,
        };
        by_label.or(self.score).or(by_thumb)
    }
}

/// How good an answer is to people, 0 to 1: the mean of all graders' last words, else of all users' last words.
///
/// * `voices`: the feedback of one answer, in the order it came.
pub fn label(voices: &[Voice]) -> Option<f64> {
    let of = |grader: bool| {
        let mut last: Vec<(&str, Option<f64>)> = Vec::new();
        for voice in voices.iter().filter(|voice| voice.grader == grader) {
            let takes_back = voice.thumb == Some(0);
            let opinion = voice.opinion();
            if opinion.is_none() && !takes_back {
                continue;
            }
            last.retain(|(by, _)| *by != voice.by);
            last.push((&voice.by, opinion));
        }
        let said: Vec<f64> = last.iter().filter_map(|(_, opinion)| *opinion).collect();
        stats::mean(&said)
    };
    of(true).or_else(|| of(false))
}

/// How scores of one rubric agree with people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Agreement {
    /// Answers with both.
    pub n: usize,
    /// Cohen's kappa of good and bad, split at 0.5 (a label of 0.5 is left out).
    pub kappa: Option<f64>,
    /// How often a good answer has the better score than a bad one.
    pub auc: Option<f64>,
    /// Rank correlation.
    pub spearman: Option<f64>,
    /// Enough answers, good ones and bad ones: the numbers mean something.
    pub calibrated: bool,
}

/// Compares scores with labels.
///
/// * `pairs`: score and label of an answer, each 0 to 1.
pub fn agreement(pairs: &[(f64, f64)], better: Better) -> Agreement {
    let turned: Vec<(f64, f64)> = pairs
        .iter()
        .map(|(score, label)| match better {
            Better::Higher => (*score, *label),
            Better::Lower => (1.0 - score, *label),
        })
        .collect();
    let clear: Vec<(f64, bool)> = turned
        .iter()
        .filter(|(_, label)| *label != 0.5)
        .map(|(score, label)| (*score, *label > 0.5))
        .collect();
    let split: Vec<(bool, bool)> = clear
        .iter()
        .map(|(score, good)| (*score > 0.5, *good))
        .collect();
    let auc = stats::auc(&clear);
    Agreement {
        n: pairs.len(),
        kappa: stats::kappa(&split),
        auc,
        spearman: stats::spearman(&turned),
        calibrated: pairs.len() >= LABELS_MIN && auc.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(by: &str, grader: bool, thumb: Option<i8>) -> Voice {
        Voice {
            by: by.into(),
            grader,
            thumb,
            ..Voice::default()
        }
    }

    #[test]
    fn the_last_word_of_each_counts_and_graders_come_first() {
        let mut voices = vec![voice("a", false, Some(-1)), voice("a", false, Some(1))];
        assert_eq!(label(&voices), Some(1.0));
        voices.push(voice("b", false, Some(-1)));
        assert_eq!(label(&voices), Some(0.5));
        voices.push(voice("a", false, Some(0)));
        assert_eq!(label(&voices), Some(0.0), "taken back");
        let graded = Voice {
            label: Some("partly".into()),
            ..voice("g", true, None)
        };
        voices.push(graded);
        assert_eq!(label(&voices), Some(0.5));
        assert_eq!(label(&[voice("a", false, None)]), None);
    }

    #[test]
    fn few_labels_and_labels_of_one_kind_calibrate_nothing() {
        let good = vec![(0.9, 1.0); 40];
        assert!(!agreement(&good, Better::Higher).calibrated);
        let mut both = vec![(0.9, 1.0); 20];
        both.extend(vec![(0.2, 0.0); 9]);
        assert!(!agreement(&both, Better::Higher).calibrated, "29");
        both.push((0.1, 0.0));
        let agreed = agreement(&both, Better::Higher);
        assert_eq!(
            (agreed.n, agreed.kappa, agreed.auc, agreed.calibrated),
            (30, Some(1.0), Some(1.0), true)
        );
        let turned = agreement(&both, Better::Lower);
        assert_eq!(
            (turned.auc, turned.kappa.map(f64::signum)),
            (Some(0.0), Some(-1.0))
        );
    }
}
