//! Trust: what a user has earned, what that does to its limits, and why.
//!
//! Each user has a score from 0 to 100 ([`score`]) that follows from what it has done ([`signal`]), and a level that follows
//! from the score, the time and the days on which it was there ([`subject`]). All of it is kept in memory ([`book`]) and written
//! behind, with a row for each thing that moved a score ([`store`]): a score can be worked out again from those rows alone.
//!
//! Time is that of the calendar, since it goes on while the gateway does not run.

pub mod book;
pub mod score;
pub mod signal;
pub mod sqlite;
pub mod store;
pub mod subject;

use serde::{Deserialize, Serialize};

/// How far a user is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing is answered.
    Suspended,
    /// New, or fallen back.
    Quarantine,
    /// As everybody.
    Standard,
    /// Has been good for a while.
    Trusted,
}

impl Level {
    /// All of them, the least first.
    pub const ALL: [Level; 4] = [
        Level::Suspended,
        Level::Quarantine,
        Level::Standard,
        Level::Trusted,
    ];

    /// Its name in files, records and answers.
    pub fn name(self) -> &'static str {
        match self {
            Level::Suspended => "suspended",
            Level::Quarantine => "quarantine",
            Level::Standard => "standard",
            Level::Trusted => "trusted",
        }
    }

    /// By its name.
    pub fn parse(name: &str) -> Option<Level> {
        Level::ALL.into_iter().find(|level| level.name() == name)
    }

    /// What its limits are multiplied by, unless the file says something else.
    pub fn multiplier(self) -> f64 {
        match self {
            Level::Suspended => 0.0,
            Level::Quarantine => 0.25,
            Level::Standard => 1.0,
            Level::Trusted => 2.0,
        }
    }
}

/// What the operator wants of trust.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Terms {
    /// Levels follow the score. Otherwise only time and active days count, and nobody becomes trusted by itself.
    pub karma: bool,
    /// Age of a user that leaves quarantine, in milliseconds.
    pub first_ms: u64,
    /// Active days of a user that leaves quarantine.
    pub active_days: u32,
    /// Between the levels the multiplier goes with the score, in steps too small to be felt.
    pub smooth: bool,
    /// Multipliers of the levels, in the order of [`Level::ALL`].
    pub multipliers: [f64; 4],
}

impl Terms {
    /// What the limits of a user of this level and score are multiplied by.
    pub fn multiplier(&self, level: Level, score: f64) -> f64 {
        let of = |level: Level| {
            let at = Level::ALL.iter().position(|one| *one == level);
            at.and_then(|at| self.multipliers.get(at))
                .copied()
                .unwrap_or(1.0)
        };
        let own = of(level);
        if level != Level::Standard || !self.smooth || !self.karma {
            return own;
        }
        let way = (score - score::STANDARD) / (score::TRUSTED - score::STANDARD);
        own + (of(Level::Trusted) - own) * way.clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests;
