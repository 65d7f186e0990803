//! One request's way through the validators of its route: which answer goes out, and what is done about the others.

use crate::answer::Answer;
use crate::check::{Asked, Failure};
use crate::policy::{Rule, Step, Validation};
use crate::verdict::{Blocked, By, Outcome, Taken, Verdict};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longest answer that goes back to its model. Chosen: a longer one fills its context, and is asked for anew instead.
const SAID_BYTES_MAX: usize = 256 * 1024;

/// What comes after a look at an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// It goes out, with these texts of choices in the place of their own.
    Deliver(BTreeMap<u32, String>),
    /// The same target is asked again; [`Course::unable`] if that is not possible.
    Retry,
    /// Likewise, with the answer and what is wrong with it.
    Repair(Box<Repair>),
    /// Another target is asked; likewise.
    Fallback,
    /// This text goes out in the place of all that was said.
    Refrain(String),
    /// The client gets an error.
    Block(Box<Blocked>),
}

/// What a model is told of an answer that can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// What it said; empty where it said nothing.
    pub said: String,
    /// What is wrong with it, and what is wanted.
    pub wish: String,
}

/// Why a stream ends of which something is out already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Late {
    /// What the client is told.
    pub blocked: Box<Blocked>,
    /// What is said before.
    pub say: Option<String>,
}

/// A check that the answer fails.
struct Failed {
    rule: usize,
    choice: u32,
    failure: Failure,
}

/// One request's way. Each step of an `on_fail` is taken once, so there is an end.
pub struct Course {
    validation: Arc<Validation>,
    asked: Asked,
    /// The next step of each plan.
    at: Vec<usize>,
    /// The last answer, as it was mended.
    answer: Answer,
    /// What was mended of it: texts of choices.
    mended: BTreeMap<u32, String>,
    /// What the model said: the first text that failed.
    said: String,
    /// Numbers of the rules that it failed as it came.
    first: Vec<usize>,
    /// What it fails.
    failed: Vec<Failed>,
    /// It is not whole yet.
    open: bool,
    /// How its own faults were mended.
    mending: Outcome,
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
            answer: Answer::default(),
            mended: BTreeMap::new(),
            said: String::new(),
            first: Vec::new(),
            failed: Vec::new(),
            open: false,
            mending: Outcome::Pass,
            verdict: Verdict::default(),
        }
    }

    /// Whether answers are laid beside a context, which takes longer than other checks.
    pub fn compares(&self) -> bool {
        self.validation.needs_context()
    }

    /// Looks at the beginning of an answer, of which nothing is out yet.
    pub fn judge_begun(&mut self, answer: Answer) -> Next {
        self.open = true;
        let next = self.judge(answer);
        self.open = false;
        next
    }

    /// Looks at an answer.
    pub fn judge(&mut self, answer: Answer) -> Next {
        self.verdict.tries += 1;
        self.verdict.by.clear();
        self.answer = answer;
        self.mended.clear();
        self.mending = Outcome::Pass;
        self.failed = self.look();
        self.first = self.failed.iter().map(|failed| failed.rule).collect();
        let first = self.failed.first().map(|failed| failed.choice);
        let said = first.and_then(|choice| self.answer.choices.get(&choice));
        self.said = said.map_or(String::new(), |choice| choice.text.clone());
        self.fix();
        self.next()
    }

    /// Whose checks the last answer failed as it came, before anything was mended.
    pub fn failed_first(&self) -> impl Iterator<Item = &By> {
        let rules = self.first.iter();
        rules.filter_map(|rule| Some(&self.validation.rules.get(*rule)?.by))
    }

    /// The step that came of the last look can't be taken: what comes instead.
    pub fn unable(&mut self) -> Next {
        // It was not taken after all.
        self.verdict.steps.pop();
        self.next()
    }

    fn look(&self) -> Vec<Failed> {
        let mut failed = Vec::new();
        let several = self.answer.choices.len() > 1;
        for (rule, one) in self.validation.rules.iter().enumerate() {
            let wrong = self.answer.choices.iter().find_map(|(number, choice)| {
                let mut failure = match self.open {
                    true => one.check.begun(&choice.text)?,
                    false => one.check.run(choice, &self.asked).err()?,
                };
                if several {
                    let inside = failure.place.take();
                    let inside = inside.map_or(String::new(), |place| format!(", {place}"));
                    failure.place = Some(format!("choice {number}{inside}"));
                }
                Some(Failed {
                    rule,
                    choice: *number,
                    failure,
                })
            });
            failed.extend(wrong);
        }
        failed
    }

    /// Mends what may be mended: it costs nothing, so it comes first with each answer.
    fn fix(&mut self) {
        // Each round mends one check of one choice; another one's mending may break it again.
        let rounds =
            if self.open { 0 } else { 1 } * self.validation.rules.len() * self.answer.choices.len();
        for _ in 0..rounds {
            let validation = self.validation.clone();
            let mends = |failed: &Failed| {
                let rule = validation.rules.get(failed.rule)?;
                let fixes = validation.plans.get(rule.plan)?.contains(&Step::Fix);
                let choice = self.answer.choices.get(&failed.choice).filter(|_| fixes)?;
                let text = rule.check.fix(&choice.text, &self.asked)?;
                Some((failed.choice, text, rule))
            };
            let Some((choice, text, rule)) = self.failed.iter().find_map(mends) else {
                return;
            };
            self.replace(choice, text, (rule, Step::Fix));
            self.mending = Outcome::Fix;
        }
    }

    /// Puts another text in the place of a choice's own.
    fn replace(&mut self, choice: u32, text: String, (rule, step): (&Rule, Step)) {
        if let Some(known) = self.answer.choices.get_mut(&choice) {
            known.text.clone_from(&text);
        }
        self.mended.insert(choice, text);
        self.note(rule, step);
        self.failed = self.look();
    }

    /// A step that was taken without ending the course.
    fn note(&mut self, rule: &Rule, step: Step) {
        let by = rule.by.clone();
        if !self.verdict.by.contains(&by) {
            self.verdict.by.push(by.clone());
        }
        let taken = Taken { by, step };
        if self.verdict.steps.last() != Some(&taken) {
            self.verdict.steps.push(taken);
        }
    }

    /// What the first check does that wants something done.
    fn next(&mut self) -> Next {
        let validation = self.validation.clone();
        loop {
            let acting = self.failed.iter().find_map(|failed| {
                let rule = validation.rules.get(failed.rule)?;
                let steps = validation.plans.get(rule.plan)?;
                let at = *self.at.get(rule.plan)?;
                // Mending was tried; whoever has no step left does not let the answer out.
                let later = steps.iter().enumerate().skip(at);
                let mut later = later.filter(|(_, step)| **step != Step::Fix);
                let (at, step) = later
                    .next()
                    .map_or((steps.len(), Step::Block), |(at, step)| (at, *step));
                (step != Step::Flag).then_some((failed, rule, at, step))
            });
            let Some((failed, rule, at, step)) = acting else {
                return self.deliver();
            };
            if let Some(own) = self.at.get_mut(rule.plan) {
                *own = at + 1;
            }
            // Until another one comes that may go out.
            self.verdict.outcome = Outcome::Block;
            let next = match step {
                Step::Retry => Next::Retry,
                Step::Fallback => Next::Fallback,
                Step::Repair => match self.repair() {
                    Some(repair) => Next::Repair(Box::new(repair)),
                    None => continue,
                },
                Step::Filter => {
                    self.filter(failed.rule);
                    continue;
                }
                Step::Refrain => {
                    self.verdict.outcome = Outcome::Refrain;
                    Next::Refrain(rule.say.clone())
                }
                Step::Fix | Step::Block | Step::Flag => Next::Block(Box::new(Blocked {
                    by: rule.by.clone(),
                    failure: failed.failure.clone(),
                    tries: self.verdict.tries,
                })),
            };
            let by = rule.by.clone();
            self.verdict.steps.push(Taken { by, step });
            self.fails();
            return next;
        }
    }

    /// The verdict names what the answer fails.
    fn fails(&mut self) {
        let rules = &self.validation.rules;
        let by = |failed: &Failed| rules.get(failed.rule).map(|rule| rule.by.clone());
        self.verdict.by = self.failed.iter().filter_map(by).collect();
    }

    fn deliver(&mut self) -> Next {
        if self.open {
            self.verdict.outcome = Outcome::Open;
        } else if self.failed.is_empty() {
            self.verdict.outcome = self.mending;
        } else {
            self.verdict.outcome = Outcome::Flag;
            self.fails();
        }
        Next::Deliver(self.mended.clone())
    }

    /// Cuts out of all choices what a check does not allow.
    fn filter(&mut self, rule: usize) {
        let validation = self.validation.clone();
        let Some(rule) = validation.rules.get(rule) else {
            return;
        };
        let cut = |(number, text): (u32, &str)| Some((number, rule.check.filter(text)?));
        let texts = self.answer.choices.iter();
        let texts: Vec<_> = texts
            .filter_map(|(number, choice)| cut((*number, &choice.text)))
            .collect();
        for (choice, text) in texts {
            self.replace(choice, text, (rule, Step::Filter));
            self.mending = Outcome::Filter;
        }
    }

    /// What the model is told; none where its answer is too long to be sent back.
    fn repair(&self) -> Option<Repair> {
        if self.said.len() > SAID_BYTES_MAX {
            return None;
        }
        let line = |failed: &Failed| {
            let Failure {
                place,
                message,
                detail,
            } = &failed.failure;
            match (detail, place) {
                (Some(detail), _) => format!("- {detail}"),
                (None, Some(place)) => format!("- {message} ({place})"),
                (None, None) => format!("- {message}"),
            }
        };
        let lines: Vec<String> = self.failed.iter().map(line).collect();
        Some(Repair {
            said: self.said.clone(),
            wish: format!(
                "That answer can't be used:\n{}\nGive the whole answer again, corrected. Say nothing else: no apology, no explanation.",
                lines.join("\n")
            ),
        })
    }
}

/// Most rounds of cutting out, where what is left makes another match.
const CUTS_MAX: usize = 8;

/// What is done about a stream of which something is out already: no step that needs another call.
impl Course {
    /// Bytes of the longest text that a check forbids.
    pub fn reach(&self) -> usize {
        let reaches = self.validation.rules.iter();
        reaches
            .filter_map(|rule| rule.check.reach())
            .max()
            .unwrap_or(0)
    }

    /// The step that is left for a failure of a stream.
    fn late_step(&self, plan: usize, whole: bool) -> Step {
        let at = self.at.get(plan).copied().unwrap_or(0);
        let steps = self
            .validation
            .plans
            .get(plan)
            .into_iter()
            .flatten()
            .skip(at);
        let mut late = steps.copied().filter(|step| match step {
            Step::Flag | Step::Refrain | Step::Block => true,
            Step::Filter => !whole,
            Step::Retry | Step::Repair | Step::Fix | Step::Fallback => false,
        });
        late.next().unwrap_or(Step::Block)
    }

    /// Looks at what is held of a stream, together with what went out before it. What is left where something was cut out.
    ///
    /// # Errors
    /// The stream ends here.
    pub fn begun(&mut self, together: &str, held: &str) -> Result<Option<String>, Box<Late>> {
        let validation = self.validation.clone();
        let out = together.len().saturating_sub(held.len());
        let out = together.get(..out).unwrap_or_default();
        let mut left = None;
        for round in 0..=CUTS_MAX {
            let now: &str = left.as_deref().unwrap_or(held);
            let together = format!("{out}{now}");
            let acting = validation.rules.iter().find_map(|rule| {
                let failure = rule.check.begun(&together)?;
                let step = self.late_step(rule.plan, false);
                (step != Step::Flag).then_some((rule, failure, step))
            });
            let Some((rule, failure, step)) = acting else {
                break;
            };
            let cut = rule.check.filter(now);
            match cut.filter(|_| step == Step::Filter && round < CUTS_MAX) {
                Some(cut) => left = Some(cut),
                None => return Err(self.too_late(rule, failure, step)),
            }
            self.note(rule, Step::Filter);
            self.mending = Outcome::Filter;
        }
        Ok(left)
    }

    /// Looks at a stream that is whole, and out but for its end.
    ///
    /// # Errors
    /// It ends without that.
    pub fn late(&mut self, answer: Answer) -> Result<(), Box<Late>> {
        let validation = self.validation.clone();
        self.verdict.tries = self.verdict.tries.max(1);
        self.answer = answer;
        self.mended.clear();
        self.failed = self.look();
        for failed in &self.failed {
            let Some(rule) = validation.rules.get(failed.rule) else {
                continue;
            };
            let step = self.late_step(rule.plan, true);
            if step != Step::Flag {
                let failure = failed.failure.clone();
                return Err(self.too_late(rule, failure, step));
            }
        }
        self.deliver();
        Ok(())
    }

    fn too_late(&mut self, rule: &Rule, failure: Failure, step: Step) -> Box<Late> {
        let by = rule.by.clone();
        self.verdict.by = vec![by.clone()];
        let (outcome, say) = match step {
            Step::Refrain => (Outcome::Refrain, Some(rule.say.clone())),
            _ => (Outcome::Block, None),
        };
        self.verdict.outcome = outcome;
        let step = if say.is_some() { step } else { Step::Block };
        let taken = Taken {
            by: by.clone(),
            step,
        };
        self.verdict.steps.push(taken);
        self.verdict.tries = self.verdict.tries.max(1);
        let tries = self.verdict.tries;
        Box::new(Late {
            blocked: Box::new(Blocked { by, failure, tries }),
            say,
        })
    }
}

#[cfg(test)]
mod tests;
