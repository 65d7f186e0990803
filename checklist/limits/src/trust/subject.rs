//! One user: what it has done, and the level that follows.
//!
//! A level changes slowly. Up: the score is five above the border for 24 hours, one step in seven days. Down: five below it for
//! an hour. Between two changes there are 24 hours at least, so that no noise at a border moves a user to and fro; only a severe
//! signal acts at once.

use super::score::{BAD_HALF_MS, DAY_MS, Decaying, GOOD_HALF_MS, MARGIN, Parts, STANDARD, TRUSTED};
use super::signal::{SEVERE, Signal};
use super::{Level, Terms};
use serde::{Deserialize, Serialize};

const HOUR_MS: u64 = 3_600_000;
/// A score is so long above a border before its user goes up.
const UP_MS: u64 = DAY_MS;
/// A score is so long below a border before its user goes down.
const DOWN_MS: u64 = HOUR_MS;
/// Time between two changes of the level.
const DWELL_MS: u64 = DAY_MS;
/// Time between two steps up.
const STEP_MS: u64 = 7 * DAY_MS;
/// Active days of a user that becomes trusted.
const TRUSTED_DAYS: u32 = 14;
/// Requests of a day before their share of faults says something. Chosen: one in five of fewer is chance.
const FAULTY_MIN: u32 = 20;
/// Time over which pressure is looked at.
const PRESSURE_MS: u64 = 600_000;
/// Refused requests of that time before they are pressure. Chosen: three a minute is a program, or an impatient person.
const PRESSURE_MIN: u32 = 30;

/// How a request ended, as trust sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A model answered.
    Good,
    /// It was wrong: status 4xx other than 429.
    Fault,
    /// It was over a limit.
    Limited,
    /// Nothing that the user has to do with: an error of a provider, an answer from a cache, a client that left.
    Other,
}

/// A level that the operator has set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// The level.
    pub level: Level,
    /// Until when, in milliseconds since the Unix epoch.
    pub until_ms: u64,
    /// Why.
    pub reason: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Today {
    day: u64,
    /// Units of each signal that has a cap.
    units: [f64; 4],
    requests: u32,
    faults: u32,
    active: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Pressure {
    since_ms: u64,
    let_in: u32,
    refused: u32,
    /// When it was last counted.
    told_ms: u64,
}

/// One user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// When it first came.
    pub first_ms: u64,
    /// When it was last here.
    pub seen_ms: u64,
    /// What the operator has set.
    #[serde(rename = "override")]
    pub set: Option<Override>,
    good: Decaying,
    bad: Decaying,
    active_days: u32,
    vouched: bool,
    today: Today,
    pressure: Pressure,
    level: Level,
    since_ms: u64,
    raised_ms: Option<u64>,
    leaning: Option<(Level, u64)>,
}

/// Something that changed a score or a level.
#[derive(Debug, Clone, PartialEq)]
pub struct Move {
    /// When.
    pub at_ms: u64,
    /// What it was: the name of a signal, `level` for time's work, `set` or `cleared` for the operator's.
    pub cause: &'static str,
    /// Units that counted.
    pub units: f64,
    /// Score before and after.
    pub score: (f64, f64),
    /// Level before and after.
    pub level: (Level, Level),
    /// What shows it: the id of a request, or a reason.
    pub evidence: String,
}

impl Subject {
    /// Somebody new.
    pub fn new(now_ms: u64) -> Self {
        Subject {
            first_ms: now_ms,
            seen_ms: now_ms,
            set: None,
            good: Decaying::default(),
            bad: Decaying::default(),
            active_days: 0,
            vouched: false,
            today: Today::default(),
            pressure: Pressure::default(),
            level: Level::Quarantine,
            since_ms: now_ms,
            raised_ms: None,
            leaning: None,
        }
    }

    /// What its score is made of.
    pub fn parts(&self, now_ms: u64) -> Parts {
        Parts {
            good: self.good.at(now_ms, GOOD_HALF_MS),
            bad: self.bad.at(now_ms, BAD_HALF_MS),
            active_days: self.active_days,
        }
    }

    /// Its score.
    pub fn score(&self, now_ms: u64) -> f64 {
        self.parts(now_ms).score()
    }

    /// Its level: as the operator has set it, else as it was earned.
    pub fn level(&self, now_ms: u64) -> Level {
        let set = self.set.as_ref().filter(|set| set.until_ms > now_ms);
        set.map_or(self.level, |set| set.level)
    }

    /// Since when it has the level that it has earned.
    pub fn since_ms(&self) -> u64 {
        self.since_ms
    }

    fn day(&mut self, now_ms: u64) -> &mut Today {
        let day = now_ms / DAY_MS;
        // A clock that steps back begins no day again.
        if day > self.today.day {
            self.today = Today {
                day,
                ..Today::default()
            };
        }
        &mut self.today
    }

    /// What of a signal still counts today.
    fn counted(&mut self, signal: Signal, now_ms: u64) -> f64 {
        let units = signal.units();
        if signal == Signal::Vouched && std::mem::replace(&mut self.vouched, true) {
            return 0.0;
        }
        let (Some(max), Some(slot)) = (signal.day_max(), signal.slot()) else {
            return units;
        };
        let Some(sum) = self.day(now_ms).units.get_mut(slot) else {
            return units;
        };
        let counts = units.abs().min((max - *sum).max(0.0));
        *sum += counts;
        counts.copysign(units)
    }

    /// Takes a signal; none where it changed nothing.
    pub fn signal(
        &mut self,
        signal: Signal,
        terms: &Terms,
        now_ms: u64,
        evidence: &str,
    ) -> Option<Move> {
        let (score, level) = (self.score(now_ms), self.level(now_ms));
        let units = self.counted(signal, now_ms);
        if units > 0.0 {
            self.good.add(units, now_ms, GOOD_HALF_MS);
        } else {
            self.bad.add(-units, now_ms, BAD_HALF_MS);
        }
        if units <= -SEVERE {
            self.fall(terms, now_ms);
        }
        self.climb(terms, now_ms);
        (units != 0.0).then(|| Move {
            at_ms: now_ms,
            cause: signal.name(),
            units,
            score: (score, self.score(now_ms)),
            level: (level, self.level(now_ms)),
            evidence: evidence.to_owned(),
        })
    }

    /// Takes the end of a request; the signals that follow from it.
    pub fn ended(&mut self, end: End, terms: &Terms, now_ms: u64, evidence: &str) -> Vec<Move> {
        self.seen_ms = self.seen_ms.max(now_ms);
        let today = self.day(now_ms);
        if end != End::Limited {
            today.requests = today.requests.saturating_add(1);
        }
        if end == End::Fault {
            today.faults = today.faults.saturating_add(1);
        }
        let faulty =
            today.requests >= FAULTY_MIN && today.faults.saturating_mul(5) > today.requests;
        if end == End::Good && !std::mem::replace(&mut today.active, true) {
            self.active_days = self.active_days.saturating_add(1);
        }
        let mut signals = Vec::new();
        if end == End::Good {
            signals.push(Signal::Good);
        }
        if faulty {
            signals.push(Signal::Faulty);
        }
        if self.presses(end, now_ms) {
            signals.push(Signal::Pressure);
        }
        let moves = signals.into_iter();
        moves
            .filter_map(|signal| self.signal(signal, terms, now_ms, evidence))
            .collect()
    }

    /// Whether it has asked for far more than it was let have, for long; told at most once an hour.
    fn presses(&mut self, end: End, now_ms: u64) -> bool {
        let pressure = &mut self.pressure;
        let mut presses = false;
        if now_ms.saturating_sub(pressure.since_ms) >= PRESSURE_MS {
            let asked = pressure.refused.saturating_add(pressure.let_in);
            presses = pressure.refused >= PRESSURE_MIN
                && asked > pressure.let_in.saturating_mul(3)
                // What was refused long ago is over.
                && now_ms.saturating_sub(pressure.since_ms) < 2 * PRESSURE_MS
                && now_ms.saturating_sub(pressure.told_ms) >= HOUR_MS;
            *pressure = Pressure {
                since_ms: now_ms,
                told_ms: if presses { now_ms } else { pressure.told_ms },
                ..Pressure::default()
            };
        }
        let counter = match end {
            End::Limited => &mut pressure.refused,
            End::Good | End::Fault | End::Other => &mut pressure.let_in,
        };
        *counter = counter.saturating_add(1);
        presses
    }

    /// The next level, where score and time speak for one.
    fn wanted(&self, terms: &Terms, now_ms: u64) -> Level {
        let score = self.score(now_ms);
        let old = now_ms.saturating_sub(self.first_ms) >= terms.first_ms
            && self.active_days >= terms.active_days;
        match self.level {
            Level::Quarantine if old && (!terms.karma || score >= STANDARD + MARGIN) => {
                Level::Standard
            }
            Level::Standard if terms.karma && score < STANDARD - MARGIN => Level::Quarantine,
            Level::Standard
                if terms.karma && score >= TRUSTED + MARGIN && self.active_days >= TRUSTED_DAYS =>
            {
                Level::Trusted
            }
            Level::Trusted if terms.karma && score < TRUSTED - MARGIN => Level::Standard,
            level => level,
        }
    }

    /// A severe signal: it goes down as far as its score has, at once.
    fn fall(&mut self, terms: &Terms, now_ms: u64) {
        while self.wanted(terms, now_ms) < self.level {
            self.level = self.wanted(terms, now_ms);
            self.since_ms = now_ms;
            self.leaning = None;
        }
    }

    /// Changes the level if that has been due for long enough.
    fn climb(&mut self, terms: &Terms, now_ms: u64) {
        let wanted = self.wanted(terms, now_ms);
        if wanted == self.level {
            self.leaning = None;
            return;
        }
        let (to, since) = match self.leaning {
            Some(leaning) if leaning.0 == wanted => leaning,
            _ => *self.leaning.insert((wanted, now_ms)),
        };
        let up = to > self.level;
        let hold = match (up, terms.karma) {
            (true, true) => UP_MS,
            (true, false) => 0,
            (false, _) => DOWN_MS,
        };
        let dwell = if terms.karma { DWELL_MS } else { 0 };
        let raised = self.raised_ms.map(|at| now_ms.saturating_sub(at));
        let due = now_ms.saturating_sub(since) >= hold
            && now_ms.saturating_sub(self.since_ms) >= dwell
            && (!up || raised.is_none_or(|raised| raised >= STEP_MS));
        if due {
            self.level = to;
            self.since_ms = now_ms;
            self.leaning = None;
            self.raised_ms = if up { Some(now_ms) } else { self.raised_ms };
        }
    }

    /// Looks whether time alone has changed its level.
    pub fn look(&mut self, terms: &Terms, now_ms: u64) -> Option<Move> {
        let level = self.level;
        self.climb(terms, now_ms);
        let score = self.score(now_ms);
        (self.level != level).then(|| Move {
            at_ms: now_ms,
            cause: "level",
            units: 0.0,
            score: (score, score),
            level: (level, self.level),
            evidence: String::new(),
        })
    }

    /// The operator sets its level, or takes that back.
    pub fn put(&mut self, set: Option<Override>, now_ms: u64) -> Move {
        let (score, level) = (self.score(now_ms), self.level(now_ms));
        let cause = if set.is_some() { "set" } else { "cleared" };
        let evidence = set.as_ref().map(|set| set.reason.clone());
        self.set = set;
        Move {
            at_ms: now_ms,
            cause,
            units: 0.0,
            score: (score, score),
            level: (level, self.level(now_ms)),
            evidence: evidence.unwrap_or_default(),
        }
    }
}
