//! Plays cases against several targets and compares what they answer: quality, time, tokens, money.
//!
//! Every target gets the same cases, and differences are taken case by case, so that hard cases do not blur them. Money is
//! bounded: when the budget does not suffice for all targets of a case, no further case is begun.

use super::budget::Budget;
use super::judge::{self, Verdict};
use super::online::{Judge, Recorded, question};
use super::rubric::{Better, better};
use super::rules::Rule;
use super::stats::{self, Interval};
use aplomb_core::ask::{Ask, AskError, Question, Told};
use aplomb_core::money::NanoUsd;
use aplomb_core::request::Operation;
use aplomb_core::usage::Usage;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Score of every case: 1 where the target answered.
pub const ANSWERED: &str = "answered";
/// Seed of the intervals.
const SEED: u64 = 7;

/// What a case wants of an answer, besides rubrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expect {
    /// All of these stand in it; upper and lower case are alike.
    pub contains: Vec<String>,
    /// None of these stands in it.
    pub lacks: Vec<String>,
    /// It is this text, but for space around it.
    pub equals: Option<String>,
    /// It is JSON.
    pub json: bool,
}

impl Expect {
    /// A score for each kind of wish: 1 where it is met.
    pub fn scores(&self, answer: &str) -> Vec<(&'static str, f64)> {
        let lower = answer.to_lowercase();
        let holds = |text: &String| lower.contains(&text.to_lowercase());
        let flag = |met: bool| if met { 1.0 } else { 0.0 };
        let mut scores = Vec::new();
        if !self.contains.is_empty() {
            scores.push(("contains", flag(self.contains.iter().all(holds))));
        }
        if !self.lacks.is_empty() {
            scores.push(("lacks", flag(!self.lacks.iter().any(holds))));
        }
        if let Some(text) = &self.equals {
            scores.push(("equals", flag(answer.trim() == text.trim())));
        }
        if self.json {
            scores.push((
                "json",
                flag(serde_json::from_str::<Value>(answer.trim()).is_ok()),
            ));
        }
        scores
    }
}

/// One question with what is known of it.
#[derive(Debug, Clone, Default)]
pub struct Case {
    /// Text of the question, and of the recorded answer where there is one.
    pub recorded: Recorded,
    /// A good answer, where one is known.
    pub reference: Option<String>,
    /// What is wanted besides.
    pub expect: Expect,
    /// How the recorded answer came about; `None` where there is none.
    pub history: Option<History>,
}

/// How a recorded answer came about.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Time to the whole answer.
    pub took: Duration,
    /// Tokens.
    pub usage: Usage,
    /// What it cost.
    pub cost: Option<NanoUsd>,
}

/// Whose answers are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The recorded answers.
    Recorded,
    /// A route, or `provider/model`.
    Model(String),
}

impl Target {
    /// Its name in tables.
    pub fn name(&self) -> &str {
        match self {
            Target::Recorded => "recorded",
            Target::Model(name) => name,
        }
    }
}

/// What is played.
pub struct Suite {
    /// The first one is what others are compared with.
    pub targets: Vec<Target>,
    /// Questions.
    pub cases: Vec<Case>,
    /// Checks without a model.
    pub rules: Vec<Rule>,
    /// Who is asked what.
    pub judge: Option<Judge>,
    /// Most money for targets and judge together.
    pub budget: NanoUsd,
    /// Most output tokens of an answer.
    pub max_output_tokens: u64,
    /// Longest wait for an answer.
    pub timeout: Duration,
}

/// What became of one case at one target.
#[derive(Debug, Clone, Default)]
pub struct Played {
    /// The answer; `None` where there is none.
    pub told: Option<Told>,
    /// Why there is none.
    pub error: Option<String>,
    /// Scores by rubric; `None` where a judge gave no usable number.
    pub scores: BTreeMap<String, Option<f64>>,
    /// What the judge cost.
    pub judged_for: NanoUsd,
}

/// Plays a suite; several [`Runner::work`] may run at a time.
pub struct Runner {
    suite: Suite,
    ask: Arc<dyn Ask>,
    next: AtomicUsize,
    budget: Mutex<Budget>,
    played: Mutex<BTreeMap<(usize, usize), Played>>,
    spent_out: AtomicUsize,
}

impl Runner {
    /// A runner that has played nothing.
    pub fn new(suite: Suite, ask: Arc<dyn Ask>) -> Self {
        Runner {
            budget: Mutex::new(Budget::new(suite.budget, 0)),
            suite,
            ask,
            next: AtomicUsize::new(0),
            played: Mutex::default(),
            spent_out: AtomicUsize::new(0),
        }
    }

    /// Plays cases until none is left or the money is used up.
    pub async fn work(self: Arc<Self>) {
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(case) = self.suite.cases.get(at) else {
                return;
            };
            let most = match self.most(case) {
                Ok(most) => most,
                Err(error) => {
                    self.note_all(at, &error.message);
                    continue;
                }
            };
            if self.locked().reserve(0, most).is_err() {
                self.spent_out.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let mut cost = NanoUsd::ZERO;
            for (number, target) in self.suite.targets.iter().enumerate() {
                let (played, spent) = self.play(case, target).await;
                cost = cost.saturating_add(spent);
                self.note((number, at), played);
            }
            self.locked().settle(0, most, cost);
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, key: (usize, usize), played: Played) {
        let mut all = self.played.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(key, played);
    }

    fn note_all(&self, at: usize, why: &str) {
        for number in 0..self.suite.targets.len() {
            let mut played = Played {
                error: Some(why.to_owned()),
                ..Played::default()
            };
            played.scores.insert(ANSWERED.to_owned(), Some(0.0));
            self.note((number, at), played);
        }
    }

    /// The most that a case can cost at all targets, verdicts included.
    fn most(&self, case: &Case) -> Result<NanoUsd, AskError> {
        // A verdict is asked for with an answer that nobody knows yet: as long as it may be.
        let tokens = usize::try_from(self.suite.max_output_tokens).unwrap_or(usize::MAX);
        let mut sum = NanoUsd::ZERO;
        for target in &self.suite.targets {
            if let Target::Model(model) = target {
                let most = self.ask.most(&self.to_target(case, model))?;
                sum = sum.saturating_add(most);
            }
            if let Some(judge) = &self.suite.judge {
                let mut longest = case.recorded.clone();
                longest.answer = "x".repeat(tokens.saturating_mul(8).min(100_000));
                let verdict = question(judge, &longest, case.reference.as_deref());
                sum = sum.saturating_add(self.ask.most(&verdict)?);
            }
        }
        Ok(sum)
    }

    async fn play(&self, case: &Case, target: &Target) -> (Played, NanoUsd) {
        let (asked, spent) = match target {
            Target::Recorded => (recorded(case), NanoUsd::ZERO),
            Target::Model(model) => {
                let asked = self.ask.ask(self.to_target(case, model)).await;
                let spent = match &asked {
                    Ok(told) => told.cost.unwrap_or_default(),
                    Err(error) => error.cost,
                };
                (asked, spent)
            }
        };
        let mut played = Played::default();
        let answered = if asked.is_ok() { 1.0 } else { 0.0 };
        played.scores.insert(ANSWERED.to_owned(), Some(answered));
        match asked {
            Err(error) => played.error = Some(error.message),
            Ok(told) => {
                let mut seen = case.recorded.clone();
                seen.answer.clone_from(&told.text);
                seen.calls = !told.calls.is_empty();
                seen.finish = told.finish.map(str::to_owned);
                let by_rules = seen.by_rules(&self.suite.rules).into_iter();
                let wishes = case.expect.scores(&told.text).into_iter();
                let wishes = wishes.map(|(name, score)| (name, Some(score)));
                for (name, score) in by_rules.chain(wishes) {
                    played.scores.insert(name.to_owned(), score);
                }
                played.told = Some(told);
                self.judged(&seen, case, &mut played).await;
            }
        }
        let spent = spent.saturating_add(played.judged_for);
        (played, spent)
    }

    async fn judged(&self, seen: &Recorded, case: &Case, played: &mut Played) {
        let Some(judge) = &self.suite.judge else {
            return;
        };
        let asked = self
            .ask
            .ask(question(judge, seen, case.reference.as_deref()))
            .await;
        let (cost, verdicts) = match asked {
            Ok(told) => {
                let verdicts = judge::read(&told.text, &judge.rubrics);
                (told.cost.unwrap_or_default(), verdicts)
            }
            Err(error) => (error.cost, vec![Verdict::default(); judge.rubrics.len()]),
        };
        played.judged_for = cost;
        for (rubric, verdict) in judge.rubrics.iter().zip(verdicts) {
            played.scores.insert(rubric.name.clone(), verdict.score);
        }
    }

    fn to_target(&self, case: &Case, model: &str) -> Question {
        let recorded = &case.recorded;
        let (operation, mut body) = request(recorded);
        body.insert("max_tokens".into(), self.suite.max_output_tokens.into());
        Question {
            model: model.to_owned(),
            operation,
            body,
            rules_of: (!recorded.route.is_empty()).then(|| recorded.route.clone()),
            kinds: recorded.kinds.clone(),
            timeout: self.suite.timeout,
        }
    }

    /// What came of it.
    pub fn results(&self) -> Results {
        let played = self.played.lock().unwrap_or_else(PoisonError::into_inner);
        Results {
            names: self
                .suite
                .targets
                .iter()
                .map(|target| target.name().to_owned())
                .collect(),
            ids: self
                .suite
                .cases
                .iter()
                .map(|case| case.recorded.id.clone())
                .collect(),
            played: played.clone(),
            skipped: self.spent_out.load(Ordering::Relaxed),
        }
    }
}

/// The recorded answer as if it had just been given.
fn recorded(case: &Case) -> Result<Told, AskError> {
    let history = case.history.clone().ok_or_else(|| AskError {
        fault: aplomb_core::ask::AskFault::Failed,
        message: "there is no recorded answer".into(),
        cost: NanoUsd::ZERO,
    })?;
    let finish = ["stop", "length", "tool_calls", "content_filter"]
        .into_iter()
        .find(|name| case.recorded.finish.as_deref() == Some(name));
    Ok(Told {
        text: case.recorded.answer.clone(),
        calls: case.recorded.calls.then(String::new).into_iter().collect(),
        target: "recorded".into(),
        usage: history.usage,
        cost: history.cost,
        finish,
        took: history.took,
    })
}

/// A recorded question as a request in its own dialect.
fn request(recorded: &Recorded) -> (Operation, Map<String, Value>) {
    let parsed = |text: &str| serde_json::from_str::<Value>(text).ok();
    let mut body = Map::new();
    let list = match parsed(&recorded.messages) {
        Some(Value::Array(list)) => list,
        _ => vec![json!({ "role": "user", "content": recorded.messages })],
    };
    if let Some(tools @ Value::Array(_)) = parsed(&recorded.tools) {
        body.insert("tools".into(), tools);
    }
    if recorded.operation == Operation::Messages.name() {
        if !recorded.system.is_empty() {
            body.insert("system".into(), recorded.system.as_str().into());
        }
        body.insert("messages".into(), list.into());
        return (Operation::Messages, body);
    }
    let system = json!({ "role": "system", "content": recorded.system });
    let system = (!recorded.system.is_empty()).then_some(system);
    let messages: Vec<Value> = system.into_iter().chain(list).collect();
    body.insert("messages".into(), messages.into());
    (Operation::ChatCompletions, body)
}

/// All that was played.
pub struct Results {
    /// Targets.
    pub names: Vec<String>,
    /// Cases.
    pub ids: Vec<String>,
    /// By number of target and case.
    pub played: BTreeMap<(usize, usize), Played>,
    /// Cases that were not played since the money was used up.
    pub skipped: usize,
}

/// A rubric at a target.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cell {
    /// Rubric or rule.
    pub rubric: String,
    /// Which end is good: `higher` or `lower`.
    pub better: &'static str,
    /// Mean with its 95 % interval; `None` without scores.
    pub score: Option<Ends>,
    /// Verdicts without a usable number.
    pub invalid: usize,
    /// Difference to the first target, case by case; `None` for the first, and without common cases.
    pub difference: Option<Ends>,
    /// `better`, `worse` or `no difference found`.
    pub verdict: Option<&'static str>,
}

/// A mean with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ends {
    /// Mean.
    pub mean: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Cases.
    pub n: usize,
}

impl From<Interval> for Ends {
    fn from(interval: Interval) -> Self {
        Ends {
            mean: interval.mean,
            low: interval.low,
            high: interval.high,
            n: interval.n,
        }
    }
}

/// A target.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Its name.
    pub target: String,
    /// By rubric.
    pub scores: Vec<Cell>,
    /// Cases without an answer.
    pub errors: usize,
    /// The first reason for one.
    pub error: Option<String>,
    /// Median time to the whole answer, in milliseconds.
    pub p50_ms: Option<f64>,
    /// 95 % are faster.
    pub p95_ms: Option<f64>,
    /// Mean input tokens.
    pub input_tokens: Option<f64>,
    /// Mean output tokens.
    pub output_tokens: Option<f64>,
    /// US dollars for 1000 requests; `None` where a price is not known.
    pub usd_per_1000: Option<f64>,
    /// US dollars that a month of this traffic would cost less than with the first target, with its 95 % interval.
    pub saves_usd_a_month: Option<Ends>,
    /// What this run has paid this target and its judge, in nano-dollars.
    pub paid_nano: i64,
}

/// Compares all targets with the first.
///
/// * `monthly`: requests a month, for the saving; `None` where it is not known.
pub fn compare(results: &Results, monthly: Option<f64>) -> Vec<Row> {
    let rubrics: BTreeSet<&String> = results
        .played
        .values()
        .flat_map(|played| played.scores.keys())
        .collect();
    (0..results.names.len())
        .map(|target| row(results, target, &rubrics, monthly))
        .collect()
}

/// Values of a target by case.
fn values<T>(
    results: &Results,
    target: usize,
    value: impl Fn(&Played) -> Option<T>,
) -> BTreeMap<usize, T> {
    results
        .played
        .range((target, 0)..=(target, usize::MAX))
        .filter_map(|((_, case), played)| Some((*case, value(played)?)))
        .collect()
}

fn differences(own: &BTreeMap<usize, f64>, first: &BTreeMap<usize, f64>) -> Vec<f64> {
    own.iter()
        .filter_map(|(case, value)| Some(value - first.get(case)?))
        .collect()
}

fn cell(results: &Results, target: usize, rubric: &str) -> Cell {
    let of = |target: usize| {
        values(results, target, |played| {
            played.scores.get(rubric).copied().flatten()
        })
    };
    let own = of(target);
    let invalid = values(results, target, |played| {
        played
            .scores
            .get(rubric)
            .is_some_and(Option::is_none)
            .then_some(())
    });
    let scores: Vec<f64> = own.values().copied().collect();
    let difference = (target > 0)
        .then(|| stats::bootstrap(&differences(&own, &of(0)), SEED))
        .flatten();
    let good = better(rubric);
    let verdict = difference.map(|found| {
        let up = (found.mean > 0.0) == (good == Better::Higher);
        match (found.excludes(0.0), up) {
            (false, _) => "no difference found",
            (true, true) => "better",
            (true, false) => "worse",
        }
    });
    Cell {
        rubric: rubric.to_owned(),
        better: if good == Better::Higher {
            "higher"
        } else {
            "lower"
        },
        score: stats::bootstrap(&scores, SEED).map(Ends::from),
        invalid: invalid.len(),
        difference: difference.map(Ends::from),
        verdict,
    }
}

fn usd(cost: NanoUsd) -> f64 {
    cost.0 as f64 / 1e9
}

fn row(results: &Results, target: usize, rubrics: &BTreeSet<&String>, monthly: Option<f64>) -> Row {
    let told = |played: &Played| played.told.clone();
    let answers = values(results, target, told);
    let cost = |target: usize| {
        values(results, target, |played| {
            Some(usd(played.told.as_ref()?.cost?))
        })
    };
    let own = cost(target);
    let errors = values(results, target, |played| played.error.clone());
    let list = |value: &dyn Fn(&Told) -> f64| answers.values().map(value).collect::<Vec<f64>>();
    let times = list(&|told| told.took.as_secs_f64() * 1e3);
    let known: Vec<f64> = own.values().copied().collect();
    let complete = own.len() == answers.len();
    let saved: Vec<f64> = differences(&own, &cost(0))
        .iter()
        .map(|more| -more * monthly.unwrap_or(0.0))
        .collect();
    let saves =
        stats::bootstrap(&saved, SEED).filter(|_| target > 0 && monthly.is_some() && complete);
    let judged: NanoUsd = values(results, target, |played| Some(played.judged_for))
        .into_values()
        .sum();
    let is_recorded = results
        .names
        .get(target)
        .is_some_and(|name| name == "recorded");
    let asked: NanoUsd = answers.values().filter_map(|told| told.cost).sum();
    let asked = if is_recorded { NanoUsd::ZERO } else { asked };
    Row {
        target: results.names.get(target).cloned().unwrap_or_default(),
        scores: rubrics
            .iter()
            .map(|rubric| cell(results, target, rubric))
            .collect(),
        errors: errors.len(),
        error: errors.into_values().next(),
        p50_ms: stats::quantile(&times, 0.5),
        p95_ms: stats::quantile(&times, 0.95),
        input_tokens: stats::mean(&list(&|told| told.usage.input_total() as f64)),
        output_tokens: stats::mean(&list(&|told| told.usage.output as f64)),
        usd_per_1000: stats::mean(&known)
            .filter(|_| complete)
            .map(|usd| usd * 1e3),
        saves_usd_a_month: saves.map(Ends::from),
        paid_nano: asked.saturating_add(judged).0,
    }
}

#[cfg(test)]
mod tests;
