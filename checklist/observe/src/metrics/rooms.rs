//! What is counted for the response caches, for calls that are shared, for limits, for what keeps bad traffic out, and for validators.

use super::{Counter, Gauge, Histogram, locked};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// What is counted for each response cache.
#[derive(Debug, Default)]
pub struct CacheMetrics {
    /// Answers given again to the same request.
    pub hits_exact: Counter,
    /// Answers given to another question that the guard takes for the same.
    pub hits_semantic: Counter,
    /// Questions with a vector now.
    pub vectors: Gauge,
    /// How long requests waited for the vector of their question.
    pub embedding: Histogram,
    /// What vectors from a provider cost in nano-dollars, where the price is known.
    pub embedding_nano: Counter,
    /// Real answers that were compared with the one that would have been served.
    pub shadow: Counter,
    /// Sum of their agreement, in millionths.
    shadow_millionths: Counter,
    /// What those answers would have cost in nano-dollars, where the price is known.
    pub saved_nano: Counter,
    /// Answers that were kept.
    pub kept: Counter,
    /// Answers that were pushed out by others.
    pub evicted: Counter,
    /// Answers that are kept now.
    pub entries: Gauge,
    /// Memory of them.
    pub bytes: Gauge,
    /// Bound of that memory.
    pub bytes_max: Gauge,
    /// Whether the Redis that the cache is shared over answered last; 0 where it is not shared.
    pub shared_up: Gauge,
    /// Entries put there.
    pub shared_put: Gauge,
    /// Entries not put there: it was away, or too many waited.
    pub shared_unput: Gauge,
    /// Entries that came from there.
    pub shared_fetched: Gauge,
    /// Entries from there that were damaged or foreign.
    pub shared_dropped: Gauge,
    misses: Reasons,
    bypasses: Reasons,
    unkept: Reasons,
}

/// What is counted for each limit.
#[derive(Debug, Default)]
pub struct LimitMetrics {
    /// Requests that it refused.
    pub refused: Counter,
    /// Requests that waited for room under it.
    pub queued: Counter,
    /// Requests that it sent to another route.
    pub downgraded: Counter,
    /// Requests that it would have refused, if it were kept.
    pub shadow: Counter,
    /// Requests with which a share of the limit was reached from which on somebody wants to know.
    pub soft: Counter,
}

/// What is counted of requests before anybody knows who is calling.
#[derive(Debug, Default)]
pub struct ProtectMetrics {
    /// Requests from networks that are kept out.
    pub denied: Counter,
    /// Requests without a known key from places that are banned.
    pub banned: Counter,
    /// Requests of an address that had sent too many.
    pub crowded_address: Counter,
    /// Requests of a subnet that had sent too many.
    pub crowded_subnet: Counter,
    /// Requests without a known key, or for paths that do not exist.
    pub strikes: Counter,
    /// Refusals that were held back.
    pub slowed: Counter,
    /// Refusals that should have been held back, had there been room.
    pub unslowed: Counter,
    /// Bans of an address.
    pub bans_address: Counter,
    /// Bans of a subnet.
    pub bans_subnet: Counter,
    /// Bans that hold now.
    pub banned_now: Gauge,
    /// Requests that the panic switch kept out.
    pub panicked: Counter,
    /// Whether the panic switch is on.
    pub panic: Gauge,
    /// Requests that a spend breaker refused.
    pub spend_refused: Counter,
    /// How often a spend breaker began to hold what is far above the usual.
    pub spend_throttled: Counter,
    /// How often one opened.
    pub spend_opened: Counter,
    /// How often one closed again.
    pub spend_closed: Counter,
    /// Spend breakers that are throttled now.
    pub throttled_now: Gauge,
    /// Those that are open.
    pub open_now: Gauge,
    /// Those that are half open.
    pub half_open_now: Gauge,
    /// Bursts of new users from one subnet.
    pub bursts_subnet: Counter,
    /// Bursts of new users with one kind of client.
    pub bursts_client: Counter,
    /// Requests of users that came in a burst.
    pub linked: Counter,
    /// Requests whose risk puts their users in quarantine.
    pub risky: Counter,
    /// Challenges that were made.
    pub challenges: Counter,
    /// Sessions that were made.
    pub sessions: Counter,
    /// Requests that have to show something first.
    pub challenged: Counter,
    /// Decisions that could not be noted in the audit trail.
    pub unnoted: Counter,
}

/// Counters by a word of the code: few.
#[derive(Debug, Default)]
struct Reasons(Mutex<BTreeMap<&'static str, u64>>);

impl Reasons {
    fn add(&self, reason: &'static str) {
        *locked(&self.0).entry(reason).or_default() += 1;
    }

    fn all(&self) -> BTreeMap<&'static str, u64> {
        locked(&self.0).clone()
    }
}

impl CacheMetrics {
    /// Nothing was found.
    pub fn miss(&self, reason: &'static str) {
        self.misses.add(reason);
    }

    /// The cache was not asked.
    pub fn bypass(&self, reason: &'static str) {
        self.bypasses.add(reason);
    }

    /// An answer was not kept.
    pub fn unkept(&self, reason: &'static str) {
        self.unkept.add(reason);
    }

    /// A real answer agrees so far with the one that would have been served: 0 to 1.
    pub fn shadowed(&self, agreement: f32) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share from 0 to 1"
        )]
        let millionths = (f64::from(agreement.clamp(0.0, 1.0)) * 1e6) as u64;
        self.shadow.add(1);
        self.shadow_millionths.add(millionths);
    }

    /// Sum of the agreement of all real answers with those that would have been served.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a mean of shares loses nothing that matters"
    )]
    pub fn shadow_agreement(&self) -> f64 {
        self.shadow_millionths.get() as f64 / 1e6
    }

    /// Requests by why nothing was found.
    pub fn misses(&self) -> BTreeMap<&'static str, u64> {
        self.misses.all()
    }

    /// Requests by why the cache was not asked.
    pub fn bypasses(&self) -> BTreeMap<&'static str, u64> {
        self.bypasses.all()
    }

    /// Answers by why they were not kept.
    pub fn left_out(&self) -> BTreeMap<&'static str, u64> {
        self.unkept.all()
    }
}

/// What is counted of requests that are the same, by what makes them so.
#[derive(Debug, Default)]
pub struct ShareMetrics {
    /// Calls that others could join.
    pub led: Counter,
    /// Requests that got the answer of a call in flight.
    pub joined: Counter,
    /// Requests that got a finished answer.
    pub replayed: Counter,
    /// Requests that were refused, since the same one was in flight.
    pub rejected: Counter,
    /// Calls that a newer request took the place of.
    pub replaced: Counter,
    /// Requests that were refused, since their key was used for another question.
    pub mismatched: Counter,
    /// Readers that were too slow for a shared answer.
    pub cut: Counter,
    /// Finished answers that were pushed out by others.
    pub evicted: Counter,
    /// Finished answers that are there now.
    pub entries: Gauge,
    /// Memory of them.
    pub bytes: Gauge,
    /// Calls in flight that others may join.
    pub calls: Gauge,
    /// Memory of what they have said.
    pub calls_bytes: Gauge,
    unkept: Reasons,
}

impl ShareMetrics {
    /// A finished answer was not kept.
    pub fn unkept(&self, reason: &'static str) {
        self.unkept.add(reason);
    }

    /// Finished answers by why they were not kept.
    pub fn left_out(&self) -> BTreeMap<&'static str, u64> {
        self.unkept.all()
    }
}

/// Upper bounds of the time of checks, in seconds. From a short text to a long one with many checks.
const CHECK_BOUNDS: &[f64] = &[
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.01, 0.1, 1.0,
];

/// What is counted for each validator.
#[derive(Debug, Default)]
pub struct ValidatorMetrics {
    failures: Reasons,
    steps: Reasons,
}

impl ValidatorMetrics {
    /// An answer failed one of its checks.
    pub fn failed(&self, check: &'static str) {
        self.failures.add(check);
    }

    /// Something was done about it.
    pub fn took(&self, step: &'static str) {
        self.steps.add(step);
    }

    /// Answers by the check that they failed.
    pub fn failures(&self) -> BTreeMap<&'static str, u64> {
        self.failures.all()
    }

    /// What was done.
    pub fn steps(&self) -> BTreeMap<&'static str, u64> {
        self.steps.all()
    }
}

/// What is counted of answers that validators look at.
#[derive(Debug)]
pub struct ValidationMetrics {
    /// Time of all checks of one answer.
    pub checks: Histogram,
    /// How long answers were held after their first content.
    pub hold: Histogram,
    /// Cost in nano-dollars of answers that were turned down, where the price is known.
    pub cost_nano: Counter,
    verdicts: Reasons,
}

impl Default for ValidationMetrics {
    fn default() -> Self {
        ValidationMetrics {
            checks: Histogram::new(CHECK_BOUNDS),
            hold: Histogram::default(),
            cost_nano: Counter::default(),
            verdicts: Reasons::default(),
        }
    }
}

impl ValidationMetrics {
    /// It was decided about a request.
    pub fn decided(&self, verdict: &'static str) {
        self.verdicts.add(verdict);
    }

    /// Requests by verdict.
    pub fn verdicts(&self) -> BTreeMap<&'static str, u64> {
        self.verdicts.all()
    }
}
