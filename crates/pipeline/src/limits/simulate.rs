//! What other rules would have done with recorded traffic, before they are enforced.
//!
//! Requests come at the times at which they came, and last as long as they lasted. They are charged with what they really used, where
//! the gateway reserves an estimate and settles it later; one that was refused then has used nothing. Where a rule would have
//! let a request wait or sent it to another model, it is counted as that, and the request goes on as it did.

use super::trust::Trusted;
use super::{Limit, Limits, Who, compile};
use crate::policy::{Policy, Sources};
use crate::state::State;
use aplomb_config::diagnostic::Diagnostic;
use aplomb_config::file::ConfigFile;
use aplomb_config::limits::ExceedConfig;
use aplomb_config::secret::ProcessEnvironment;
use aplomb_core::clock::SystemClock;
use aplomb_limits::counter::Now;
use aplomb_limits::room::{Ask, Reservation, Turn};
use aplomb_limits::rule::Meter;
use aplomb_limits::trust::Level;
use aplomb_limits::verdict::Broken;
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// Users that are told of each rule.
const USERS: usize = 10;

/// One recorded request.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// When it came.
    pub at_ms: u64,
    /// How long it took.
    pub took_ms: u64,
    /// Its tenant.
    pub tenant: String,
    /// Public id of its key.
    pub key: String,
    /// Its end user.
    pub user: Option<String>,
    /// Its conversation.
    pub session: Option<String>,
    /// The model that it asked for.
    pub model: String,
    /// Its route.
    pub route: Option<String>,
    /// Input tokens.
    pub input: u64,
    /// Output tokens.
    pub output: u64,
    /// Nano-dollars.
    pub cost_nano: u64,
    /// The level of trust that its user had.
    pub trust: Option<Level>,
    /// A limit refused it then.
    pub refused: bool,
}

impl Seen {
    fn who(&self) -> Who<'_> {
        Who {
            tenant: &self.tenant,
            key: &self.key,
            user: self.user.as_deref(),
            session: self.session.as_deref(),
            model: &self.model,
            route: self.route.as_deref(),
            host: None,
            subnet: None,
            linked: false,
            quarantined: false,
        }
    }

    fn used(&self, meter: Meter) -> u64 {
        match meter {
            Meter::Requests | Meter::Concurrent => 1,
            Meter::Tokens => self.input.saturating_add(self.output),
            Meter::InputTokens => self.input,
            Meter::OutputTokens => self.output,
            Meter::Cost => self.cost_nano,
        }
    }
}

#[derive(Default)]
struct Tally {
    text: String,
    refused: u64,
    queued: u64,
    downgraded: u64,
    shadow: u64,
    users: HashMap<(String, String), u64>,
}

/// What rules have done with traffic.
#[derive(Default)]
struct Report {
    requests: u64,
    admitted: u64,
    refused: u64,
    refused_then: u64,
    rules: BTreeMap<Arc<str>, Tally>,
    users: HashSet<(String, String)>,
}

/// Plays traffic against the limits, plans and segments of a file, in the order of its times. Rules that go by the address are
/// left out: addresses are not kept.
///
/// # Errors
/// What is wrong with the limits.
pub fn simulate(file: &ConfigFile, seen: &mut [Seen]) -> Result<Value, Vec<Diagnostic>> {
    let wrong = aplomb_config::limits::mistakes(file);
    if !wrong.is_empty() {
        return Err(wrong);
    }
    // A state of its own: nothing that is simulated is counted as if it were real.
    let state = Arc::new(State::new(Arc::new(SystemClock), Arc::default(), None));
    let sources = Sources {
        env: &ProcessEnvironment,
        base_dir: Path::new("."),
        state: &state,
    };
    let mut errors = Vec::new();
    let limits = compile(file, &Policy::prices_of(file), &sources, &mut errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    seen.sort_by_key(|one| one.at_ms);
    let mut play = Play {
        limits: &limits,
        state: &state,
        report: Report::default(),
        running: BinaryHeap::new(),
        held: HashMap::new(),
    };
    for (number, one) in seen.iter().enumerate() {
        play.comes(number, one);
    }
    Ok(play.report.told())
}

struct Play<'a> {
    limits: &'a Limits,
    state: &'a State,
    report: Report,
    /// Ends of requests in flight, by number.
    running: BinaryHeap<Reverse<(u64, usize)>>,
    held: HashMap<usize, Reservation>,
}

impl Play<'_> {
    fn end_until(&mut self, now_ms: u64) {
        while let Some(Reverse((end, number))) = self.running.peek().copied()
            && end <= now_ms
        {
            self.running.pop();
            self.held.remove(&number);
        }
    }

    fn comes(&mut self, number: usize, one: &Seen) {
        self.end_until(one.at_ms);
        self.report.requests += 1;
        self.report.refused_then += u64::from(one.refused);
        let who = one.who();
        let own = self.limits.standing_with(&who, |terms, given| {
            let level = given.or(one.trust)?;
            Some(Trusted {
                level,
                score: None,
                multiplier: terms.multiplier(level, 0.0),
            })
        });
        let holds = self
            .limits
            .all
            .iter()
            .filter(|limit| !limit.needs_place() && limit.holds(&who, &own));
        let holds: Vec<_> = holds.collect();
        let asks = holds.iter().map(|limit| {
            let ask = limit.ask(
                (&who, &own),
                &self.state.limit_keys,
                &super::need::Need::default(),
            );
            Ask {
                amount: one.used(limit.rule.meter),
                ..ask
            }
        });
        let mut asks: Vec<Ask> = asks.collect();
        let now = Now {
            run_ms: one.at_ms,
            wall_ms: one.at_ms,
        };
        let subject = (
            one.tenant.clone(),
            one.user.clone().unwrap_or_else(|| one.key.clone()),
        );
        let mut over: HashSet<usize> = HashSet::new();
        loop {
            match self.state.limits.reserve(&asks, Turn::New, now) {
                Ok(reservation) => {
                    for broken in &reservation.shadowed {
                        let rule = broken.standing.rule.name.clone();
                        self.report.rules.entry(rule).or_default().shadow += 1;
                    }
                    self.running
                        .push(Reverse((one.at_ms.saturating_add(one.took_ms), number)));
                    self.held.insert(number, reservation);
                    self.report.admitted += 1;
                    return;
                }
                Err(broken) => {
                    let refused = self.report.over(&holds, &broken, &subject);
                    over.extend(broken.iter().map(|one| one.at));
                    if refused || over.is_empty() {
                        self.report.refused += 1;
                        self.report.users.insert(subject);
                        return;
                    }
                    // It waits or goes elsewhere: the rules that it passed that way no longer count.
                    let mut at = 0;
                    asks.retain(|_| {
                        at += 1;
                        !over.contains(&(at - 1))
                    });
                    over.clear();
                }
            }
        }
    }
}

impl Report {
    /// Counts what rules did with a request that is over them; whether one refuses it.
    fn over(&mut self, holds: &[&Limit], broken: &[Broken], subject: &(String, String)) -> bool {
        let mut refused = false;
        for one in broken {
            let name = &one.standing.rule.name;
            let Some(limit) = holds.iter().find(|limit| limit.rule.name == *name) else {
                continue;
            };
            let tally = self.rules.entry(name.clone()).or_default();
            tally.text.clone_from(&limit.text);
            *tally.users.entry(subject.clone()).or_default() += 1;
            match limit.on_exceed {
                ExceedConfig::Reject => {
                    tally.refused += 1;
                    refused = true;
                }
                ExceedConfig::Queue(_) => tally.queued += 1,
                ExceedConfig::Downgrade(_) => tally.downgraded += 1,
            }
        }
        refused
    }

    fn told(self) -> Value {
        let rules = self.rules.into_iter().map(|(rule, tally)| {
            let mut users: Vec<((String, String), u64)> = tally.users.into_iter().collect();
            users.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
            let affected = users.len();
            let most = users.into_iter().take(USERS).map(|((tenant, user), times)| {
                json!({ "tenant": tenant, "user": user, "times": times })
            });
            json!({
                "rule": &*rule, "text": tally.text, "refused": tally.refused, "queued": tally.queued,
                "downgraded": tally.downgraded, "shadow": tally.shadow, "users": affected,
                "most": most.collect::<Vec<_>>(),
            })
        });
        json!({
            "requests": self.requests, "admitted": self.admitted, "refused": self.refused,
            "refused_then": self.refused_then, "users_refused": self.users.len(),
            "rules": rules.collect::<Vec<_>>(),
        })
    }
}
