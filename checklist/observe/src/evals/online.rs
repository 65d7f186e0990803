//! Judges a sampled share of recorded answers, away from the request path.
//!
//! A request that ends leaves only its id in a bounded queue; when the queue is full, the sample is dropped and counted.
//! Workers read the text from the store, as it was recorded, score it, and add the scores to the record. A judge that is
//! down, slow or writes nonsense costs scores, never requests.

use super::budget::Budget;
use super::judge::{self, Judged, Verdict};
use super::rubric::Rubric;
use super::rules::{Rule, Seen};
use crate::metrics::{Counter, Metrics};
use crate::record::Record;
use crate::store::embedded::ask::{Limits, Sql};
use crate::store::embedded::{DAY_MS, Late, Score};
use crate::writer::RecordWriter;
use aplomb_core::ask::{Ask, AskError, Question, Told};
use aplomb_core::clock::Clock;
use aplomb_core::id::RequestId;
use aplomb_core::money::NanoUsd;
use aplomb_core::request::Operation;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::watch;

/// Answers that may wait to be judged. Chosen: some kilobytes, and minutes of judging.
const QUEUE: usize = 1_024;
/// Workers of a gateway, so many judge calls at a time. Chosen: a judge is not in a hurry.
pub const WORKERS: usize = 4;
/// Operations that answer in words.
const ANSWERS: [&str; 3] = ["chat_completions", "messages", "completions"];
/// Who judges where a rule does.
const RULE: &str = "rule";

/// One evaluation, compiled.
#[derive(Debug, Clone)]
pub struct Eval {
    /// Name in scores.
    pub name: String,
    /// Routes whose answers are judged.
    pub routes: Vec<String>,
    /// Share of answers, 0 to 1.
    pub share: f64,
    /// Checks without a model.
    pub rules: Vec<Rule>,
    /// Who is asked what, for how much.
    pub judge: Option<Judge>,
}

/// A model that judges.
#[derive(Debug, Clone)]
pub struct Judge {
    /// Route or `provider/model`.
    pub model: String,
    /// What it is asked.
    pub rubrics: Vec<Rubric>,
    /// Most money of a window.
    pub limit: NanoUsd,
    /// Length of a window in milliseconds.
    pub window_ms: u64,
    /// Longest wait for a verdict.
    pub timeout: Duration,
    /// Bound of a verdict.
    pub max_output_tokens: u64,
}

impl Eval {
    /// Whether this answer belongs to the sample. The same answer does on every node and at every time.
    pub fn samples(&self, record: &Record) -> bool {
        let route = record.route.as_deref();
        ANSWERS.contains(&record.operation)
            && route.is_some_and(|route| self.routes.iter().any(|own| own == route))
            && fraction(record.id, &self.name) < self.share
    }
}

/// The evaluations that sample an answer.
pub fn sampling(evals: &[Arc<Eval>], record: &Record) -> Vec<Arc<Eval>> {
    let sampling = evals.iter().filter(|eval| eval.samples(record));
    sampling.cloned().collect()
}

/// A number in `0.0..1.0` that follows from an id and a name, evenly spread.
pub fn fraction(id: RequestId, name: &str) -> f64 {
    let mut hash = 0;
    for byte in id.to_bytes() {
        hash = mixed(hash ^ u64::from(byte));
    }
    for byte in name.bytes() {
        hash = mixed(hash ^ u64::from(byte));
    }
    (mixed(hash) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Finalizer of SplitMix64 (G. Steele, D. Lea, C. Flood, 2014).
fn mixed(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Counters of evaluations.
#[derive(Debug, Default)]
pub struct EvalMetrics {
    /// Answers that were sampled.
    pub sampled: Counter,
    /// Sampled answers that were not judged since the queue was full.
    pub dropped: Counter,
    /// Sampled answers whose text is not there, or only in part.
    pub without_text: Counter,
    /// Sampled answers that no judge saw since the budget is used up.
    pub over_budget: Counter,
    /// Scores that were stored with a number.
    pub scored: Counter,
    /// Verdicts without a usable number.
    pub invalid: Counter,
    /// Judge calls without an answer.
    pub failed: Counter,
    /// Scores that could not be stored.
    pub unwritten: Counter,
    /// Nano-dollars for judges.
    pub cost_nano: Counter,
}

impl EvalMetrics {
    /// Names, meanings and values, for `/metrics`.
    pub fn plain(&self) -> [(&'static str, &'static str, &Counter); 9] {
        [
            (
                "aplomb_evals_sampled_total",
                "Answers sampled for evaluation.",
                &self.sampled,
            ),
            (
                "aplomb_evals_dropped_total",
                "Sampled answers not judged: the queue was full.",
                &self.dropped,
            ),
            (
                "aplomb_evals_without_text_total",
                "Sampled answers whose text is not kept whole.",
                &self.without_text,
            ),
            (
                "aplomb_evals_over_budget_total",
                "Sampled answers no judge saw: the budget is used up.",
                &self.over_budget,
            ),
            (
                "aplomb_evals_scores_total",
                "Scores stored with a number.",
                &self.scored,
            ),
            (
                "aplomb_evals_invalid_total",
                "Verdicts without a usable number.",
                &self.invalid,
            ),
            (
                "aplomb_evals_failed_total",
                "Judge calls without an answer.",
                &self.failed,
            ),
            (
                "aplomb_evals_unwritten_total",
                "Scores that could not be stored.",
                &self.unwritten,
            ),
            (
                "aplomb_evals_cost_nano_usd_total",
                "Cost of judges in nano-dollars.",
                &self.cost_nano,
            ),
        ]
    }
}

/// One sampled answer.
struct Job {
    eval: Arc<Eval>,
    id: RequestId,
}

/// The bounded queue between requests and workers.
pub struct EvalQueue {
    send: Sender<Job>,
    receive: tokio::sync::Mutex<Receiver<Job>>,
    stop: watch::Sender<bool>,
    budgets: Mutex<HashMap<String, Budget>>,
}

impl Default for EvalQueue {
    fn default() -> Self {
        let (send, receive) = mpsc::channel(QUEUE);
        EvalQueue {
            send,
            receive: tokio::sync::Mutex::new(receive),
            stop: watch::Sender::new(false),
            budgets: Mutex::default(),
        }
    }
}

impl EvalQueue {
    /// Takes an answer for the evaluations that sample it, once its record is on its way. Never waits.
    pub fn offer(&self, sampled: Vec<Arc<Eval>>, id: RequestId, metrics: &EvalMetrics) {
        for eval in sampled {
            metrics.sampled.add(1);
            if self.send.try_send(Job { eval, id }).is_err() {
                metrics.dropped.add(1);
            }
        }
    }

    /// Ends the workers; what waits is dropped.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// What each evaluation has spent in its window, and whether it found too little left for a call. Evaluations that have
    /// asked no judge yet are missing.
    pub fn spending(&self, now_ms: u64) -> Vec<(String, NanoUsd, bool)> {
        let mut budgets = self.budgets();
        let one = |(name, budget): (&String, &mut Budget)| {
            (
                name.clone(),
                budget.spent(now_ms),
                budget.is_used_up(now_ms),
            )
        };
        let mut all: Vec<_> = budgets.iter_mut().map(one).collect();
        all.sort();
        all
    }

    fn budgets(&self) -> MutexGuard<'_, HashMap<String, Budget>> {
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn next(&self) -> Option<Job> {
        self.receive.lock().await.recv().await
    }
}

/// What workers work with.
pub struct Worker<R> {
    /// Gives the queue and the records of a gateway.
    pub room: Arc<R>,
    /// Asks models.
    pub ask: Arc<dyn Ask>,
}

/// What a worker needs of a gateway.
pub trait Room: Send + Sync + 'static {
    /// Where samples wait.
    fn queue(&self) -> &EvalQueue;
    /// Where texts come from and scores go.
    fn records(&self) -> Option<&RecordWriter>;
    /// Counters.
    fn metrics(&self) -> &Metrics;
    /// Time.
    fn clock(&self) -> &dyn Clock;
}

/// A recorded answer as evaluations see it.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    /// Record id.
    pub id: String,
    /// Route.
    pub route: String,
    /// Instructions before the conversation.
    pub system: String,
    /// JSON array of messages, or the plain prompt.
    pub messages: String,
    /// JSON array of tools on offer, or empty.
    pub tools: String,
    /// What was answered.
    pub answer: String,
    /// The answer calls tools.
    pub calls: bool,
    /// Why it ended.
    pub finish: Option<String>,
    /// `chat_completions`, `messages`, ...
    pub operation: String,
    /// Kinds of personal data that were found.
    pub kinds: Vec<String>,
}

impl Recorded {
    /// From a record as [`Reader::one`](crate::store::embedded::ask::Reader::one) gives it; `None` where its text is not kept
    /// whole.
    pub fn of(record: &Value) -> Option<Recorded> {
        // Parts that are JSON come parsed; where text is no longer there, its place is null.
        let text = |path: &str| match record.pointer(path) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(parsed) => parsed.to_string(),
        };
        if record.get("text_kept").and_then(Value::as_str) != Some("whole")
            || record.get("text").is_none_or(Value::is_null)
        {
            return None;
        }
        let messages = text("/text/messages");
        if messages.is_empty() {
            return None;
        }
        let counts = record.pointer("/privacy/counts").and_then(Value::as_object);
        let kinds = counts.into_iter().flat_map(|counts| counts.keys());
        Some(Recorded {
            id: text("/id"),
            route: text("/route"),
            system: text("/text/system"),
            messages,
            tools: text("/text/tools"),
            answer: text("/text/output"),
            calls: text("/text/output_more").contains("\"tool_calls\""),
            finish: record
                .get("finish_reason")
                .and_then(Value::as_str)
                .map(str::to_owned),
            operation: text("/operation"),
            kinds: kinds
                .filter_map(|count| count.split_once(':'))
                .map(|(kind, _)| kind.to_owned())
                .collect(),
        })
    }

    /// Scores by rules.
    pub fn by_rules(&self, rules: &[Rule]) -> Vec<(&'static str, Option<f64>)> {
        let question = judge::question(&self.messages);
        let seen = Seen {
            question: &question,
            answer: &self.answer,
            calls: self.calls,
            finish: self.finish.as_deref(),
        };
        rules
            .iter()
            .map(|rule| (rule.name(), rule.score(&seen)))
            .collect()
    }
}

/// The question to a judge about a recorded answer.
pub fn question(judge: &Judge, recorded: &Recorded, reference: Option<&str>) -> Question {
    let judged = Judged {
        system: &recorded.system,
        messages: &recorded.messages,
        answer: &recorded.answer,
        reference,
    };
    let nonce = format!("{:016x}", fastrand::u64(..));
    Question {
        model: judge.model.clone(),
        operation: Operation::ChatCompletions,
        body: judge::body(&judge.rubrics, &judged, &nonce, judge.max_output_tokens),
        rules_of: (!recorded.route.is_empty()).then(|| recorded.route.clone()),
        kinds: recorded.kinds.clone(),
        timeout: judge.timeout,
    }
}

/// Divides a cost among scores so that their sum is exact.
fn parts(cost: NanoUsd, count: usize) -> Vec<i64> {
    let count = i64::try_from(count).unwrap_or(i64::MAX).max(1);
    let (each, rest) = (cost.0 / count, cost.0 % count);
    (0..count).map(|n| each + i64::from(n < rest)).collect()
}

impl<R: Room> Worker<R> {
    /// Judges what comes until the queue stops. Several may run.
    pub async fn run(self) {
        let mut stop = self.room.queue().stop.subscribe();
        loop {
            let job = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                job = self.room.queue().next() => job,
            };
            let Some(job) = job else { return };
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                () = self.evaluate(job) => {}
            }
        }
    }

    fn counters(&self) -> &EvalMetrics {
        &self.room.metrics().evals
    }

    async fn evaluate(&self, job: Job) {
        let Some(recorded) = self.recorded(job.id).await else {
            self.counters().without_text.add(1);
            return;
        };
        let at_ms = self.room.clock().now_ms();
        let mut scores: Vec<Score> = recorded
            .by_rules(&job.eval.rules)
            .into_iter()
            .filter_map(|(rule, score)| {
                Some(Score {
                    at_ms,
                    eval: job.eval.name.clone(),
                    rubric: rule.to_owned(),
                    score: Some(score?),
                    judge: RULE.to_owned(),
                    ..Score::default()
                })
            })
            .collect();
        self.counters()
            .scored
            .add(u64::try_from(scores.len()).unwrap_or(0));
        if let Some(judge) = &job.eval.judge {
            scores.extend(self.judged(&job.eval.name, judge, &recorded).await);
        }
        self.write(job.id, scores).await;
    }

    /// The text of a record, which may still be on its way to the disk.
    async fn recorded(&self, id: RequestId) -> Option<Recorded> {
        let room = self.room.clone();
        let read = tokio::task::spawn_blocking(move || {
            let records = room.records()?;
            let reader = records.reader();
            let read = || Recorded::of(&reader.one(id, None).ok()??);
            // Texts reach the disk apart from facts, so that a record may be there without its text.
            read().or_else(|| {
                records.flush().ok()?;
                read()
            })
        });
        read.await.ok().flatten()
    }

    async fn judged(&self, eval: &str, judge: &Judge, recorded: &Recorded) -> Vec<Score> {
        let question = question(judge, recorded, None);
        let most = self.ask.most(&question);
        let Some(most) = self.reserve(eval, judge, most.ok()).await else {
            self.counters().over_budget.add(1);
            return Vec::new();
        };
        let reservation = Reservation {
            queue: self.room.queue(),
            clock: self.room.clock(),
            eval,
            most,
            settled: false,
        };
        let asked = self.ask.ask(question).await;
        let (cost, who, verdicts) = self.outcome(judge, asked);
        reservation.settle(cost);
        self.counters()
            .cost_nano
            .add(u64::try_from(cost.0).unwrap_or(0));
        let at_ms = self.room.clock().now_ms();
        let costs = parts(cost, judge.rubrics.len());
        let rows = judge.rubrics.iter().zip(verdicts).zip(costs);
        rows.map(|((rubric, verdict), cost)| Score {
            at_ms,
            eval: eval.to_owned(),
            rubric: rubric.name.clone(),
            score: verdict.score,
            reason: verdict.reason,
            judge: who.clone(),
            cost_nano: Some(cost),
        })
        .collect()
    }

    /// Cost, judge and verdicts of a call, however it ended.
    fn outcome(
        &self,
        judge: &Judge,
        asked: Result<Told, AskError>,
    ) -> (NanoUsd, String, Vec<Verdict>) {
        let counters = self.counters();
        match asked {
            Ok(told) => {
                let verdicts = judge::read(&told.text, &judge.rubrics);
                let valid = verdicts
                    .iter()
                    .filter(|verdict| verdict.score.is_some())
                    .count();
                counters.scored.add(u64::try_from(valid).unwrap_or(0));
                let invalid = verdicts.len() - valid;
                counters.invalid.add(u64::try_from(invalid).unwrap_or(0));
                (told.cost.unwrap_or_default(), told.target, verdicts)
            }
            Err(error) => {
                counters.failed.add(1);
                tracing::debug!(fault = error.fault.name(), "a judge gave no verdict");
                let verdict = Verdict {
                    score: None,
                    reason: Some(format!("no verdict: {}", error.message)),
                };
                let verdicts = vec![verdict; judge.rubrics.len()];
                (error.cost, judge.model.clone(), verdicts)
            }
        }
    }

    /// Sets money aside; `None` if there is not enough, or if nobody can say what a call costs.
    async fn reserve(&self, eval: &str, judge: &Judge, most: Option<NanoUsd>) -> Option<NanoUsd> {
        let most = most?;
        let known = self.room.queue().budgets().contains_key(eval);
        if !known {
            let budget = self.restored(eval, judge).await;
            let mut budgets = self.room.queue().budgets();
            budgets.entry(eval.to_owned()).or_insert(budget);
        }
        let now_ms = self.room.clock().now_ms();
        let mut budgets = self.room.queue().budgets();
        let budget = budgets.get_mut(eval)?;
        budget.limit(judge.limit);
        let reserved = budget.reserve(now_ms, most);
        if reserved.is_err() && budget.tell() {
            tracing::warn!(
                eval,
                "the budget of an evaluation is used up; no judge is asked until its next window"
            );
        }
        reserved.ok().map(|()| most)
    }

    /// A budget that knows what the store says was spent in this window.
    async fn restored(&self, eval: &str, judge: &Judge) -> Budget {
        let mut budget = Budget::new(judge.limit, judge.window_ms);
        let now_ms = self.room.clock().now_ms();
        let (since_ms, room, eval) = (budget.began_ms(now_ms), self.room.clone(), eval.to_owned());
        let read =
            tokio::task::spawn_blocking(move || spent(room.records()?, &eval, since_ms, now_ms));
        let spent = read.await.ok().flatten().unwrap_or_default();
        budget.restore(now_ms, spent);
        budget
    }

    async fn write(&self, id: RequestId, scores: Vec<Score>) {
        let room = self.room.clone();
        let written = tokio::task::spawn_blocking(move || {
            for score in scores {
                let written = room
                    .records()
                    .map(|records| records.late(id, Late::Score(Box::new(score))));
                if !matches!(written, Some(Ok(true))) {
                    room.metrics().evals.unwritten.add(1);
                }
            }
        });
        // A panic in the store is the writer's to report.
        let _ = written.await;
    }
}

/// What judges of an evaluation cost since a moment, by their scores. Scores stand in the file of their record's day, which
/// may be a day before they were made.
fn spent(records: &RecordWriter, eval: &str, since_ms: u64, now_ms: u64) -> Option<NanoUsd> {
    let first = (since_ms / DAY_MS).saturating_sub(1);
    let last = now_ms / DAY_MS;
    let table = records.reader().sql(&Sql {
        query: format!(
            "SELECT sum(cost_nano) FROM scores WHERE eval = '{}' AND at >= {}",
            eval.replace('\'', "''"),
            since_ms.saturating_mul(1000)
        ),
        days: first.max(last.saturating_sub(59))..=last,
        tenant: None,
        limits: Limits::default(),
    });
    let sum = table.ok()?.rows.first()?.first()?.as_i64()?;
    Some(NanoUsd(sum))
}

/// Money that is set aside for a call. If the call is dropped, the most it can cost counts as spent.
struct Reservation<'a> {
    queue: &'a EvalQueue,
    clock: &'a dyn Clock,
    eval: &'a str,
    most: NanoUsd,
    settled: bool,
}

impl Reservation<'_> {
    fn settle(mut self, cost: NanoUsd) {
        self.close(cost);
    }

    fn close(&mut self, cost: NanoUsd) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        let now_ms = self.clock.now_ms();
        if let Some(budget) = self.queue.budgets().get_mut(self.eval) {
            budget.settle(now_ms, self.most, cost);
        }
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.close(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eval(share: f64) -> Eval {
        Eval {
            name: "quality".into(),
            routes: vec!["chat".into()],
            share,
            rules: Vec::new(),
            judge: None,
        }
    }

    #[test]
    fn samples_are_even_and_the_same_each_time() {
        let records: Vec<Record> = (0..20_000)
            .map(|n| Record {
                id: RequestId::new(1_700_000_000_000 + n),
                route: Some("chat".into()),
                operation: "messages",
                ..Record::default()
            })
            .collect();
        let sampled = |eval: &Eval| -> Vec<RequestId> {
            let of = records.iter().filter(|record| eval.samples(record));
            of.map(|record| record.id).collect()
        };
        let five = sampled(&eval(0.05));
        assert!((900..1_100).contains(&five.len()), "{}", five.len());
        assert_eq!(five, sampled(&eval(0.05)));
        let ten = sampled(&eval(0.1));
        assert!(
            five.iter().all(|id| ten.contains(id)),
            "a larger share holds the smaller one"
        );
        let mut other = eval(0.05);
        other.name = "other".into();
        let both = sampled(&other)
            .iter()
            .filter(|id| five.contains(id))
            .count();
        assert!(
            both < 120,
            "samples of two evaluations are independent: {both}"
        );
        other.routes = vec!["else".into()];
        assert!(sampled(&other).is_empty());
        assert_eq!(sampled(&eval(1.0)).len(), records.len());
        let embeddings = Record {
            route: Some("chat".into()),
            operation: "embeddings",
            ..Record::default()
        };
        assert!(!eval(1.0).samples(&embeddings));
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        let (queue, metrics) = (EvalQueue::default(), EvalMetrics::default());
        let record = Record {
            route: Some("chat".into()),
            operation: "chat_completions",
            ..Record::default()
        };
        let evals = [Arc::new(eval(1.0))];
        for _ in 0..QUEUE + 7 {
            queue.offer(sampling(&evals, &record), record.id, &metrics);
        }
        assert_eq!(metrics.dropped.get(), 7);
    }

    #[test]
    fn costs_are_divided_without_loss() {
        assert_eq!(parts(NanoUsd(11), 3), [4, 4, 3]);
        assert_eq!(parts(NanoUsd(0), 2), [0, 0]);
    }
}
