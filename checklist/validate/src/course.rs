//! One request's way through the validators of its route: which answer goes out, and what is done about the others.

use crate::answer::Answer;
use crate::check::{Asked, Failure};
use crate::policy::{Step, Validation};
use crate::verdict::{Blocked, Outcome, Taken, Verdict};
use std::sync::Arc;

/// What comes after a look at an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// It goes out.
    Deliver,
    /// The same target is asked again; [`Course::unable`] if that is not possible.
    Retry,
    /// Another target is asked; likewise.
    Fallback,
    /// The client gets an error.
    Block(Box<Blocked>),
}

/// A check that the answer fails.
struct Failed {
    rule: usize,
    failure: Failure,
}

/// One request's way. Each step of an `on_fail` is taken once, so there is an end.
pub struct Course {
    validation: Arc<Validation>,
    asked: Asked,
    /// The next step of each plan.
    at: Vec<usize>,
    /// What the last answer fails.
    failed: Vec<Failed>,
    /// What was decided so far.
    pub verdict: Verdict,
}

impl Course {
    /// Of a request.
    pub fn new(validation: Arc<Validation>, asked: Asked) -> Self {
        let at = vec![0; validation.plans.len()];
        Course {
            validation,
            asked,
            at,
            failed: Vec::new(),
            verdict: Verdict::default(),
        }
    }

    /// Looks at an answer.
    pub fn judge(&mut self, answer: &Answer) -> Next {
        self.verdict.tries += 1;
        self.failed = self.look(answer);
        self.next()
    }

    /// The step that came of the last look can't be taken: what comes instead.
    pub fn unable(&mut self) -> Next {
        // It was not taken after all.
        self.verdict.steps.pop();
        self.next()
    }

    fn look(&self, answer: &Answer) -> Vec<Failed> {
        let mut failed = Vec::new();
        let several = answer.choices.len() > 1;
        for (rule, one) in self.validation.rules.iter().enumerate() {
            let wrong = answer.choices.iter().find_map(|(number, choice)| {
                let mut failure = one.check.run(choice, &self.asked).err()?;
                if several {
                    let inside = failure.place.take();
                    let inside = inside.map_or(String::new(), |place| format!(", {place}"));
                    failure.place = Some(format!("choice {number}{inside}"));
                }
                Some(failure)
            });
            failed.extend(wrong.map(|failure| Failed { rule, failure }));
        }
        failed
    }

    /// What the first check does that wants something done.
    fn next(&mut self) -> Next {
        let rules = &self.validation.rules;
        let by = |failed: &Failed| rules.get(failed.rule).map(|rule| rule.by.clone());
        self.verdict.by = self.failed.iter().filter_map(by).collect();
        let acting = self.failed.iter().find_map(|failed| {
            let plan = rules.get(failed.rule)?.plan;
            let at = *self.at.get(plan)?;
            let steps = self.validation.plans.get(plan)?;
            // Whoever has no step left does not let the answer out.
            let step = steps.get(at).copied().unwrap_or(Step::Block);
            (step != Step::Flag).then_some((failed, plan, step))
        });
        let Some((failed, plan, step)) = acting else {
            self.verdict.outcome = match self.failed.is_empty() {
                true => Outcome::Pass,
                false => Outcome::Flag,
            };
            return Next::Deliver;
        };
        if let Some(at) = self.at.get_mut(plan) {
            *at += 1;
        }
        let Some(by) = by(failed) else {
            return Next::Deliver;
        };
        // Until another one comes that may go out.
        self.verdict.outcome = Outcome::Block;
        let next = match step {
            Step::Retry => Next::Retry,
            Step::Fallback => Next::Fallback,
            Step::Block | Step::Flag => Next::Block(Box::new(Blocked {
                by: by.clone(),
                failure: failed.failure.clone(),
                tries: self.verdict.tries,
            })),
        };
        self.verdict.steps.push(Taken { by, step });
        next
    }
}

#[cfg(test)]
mod tests;
