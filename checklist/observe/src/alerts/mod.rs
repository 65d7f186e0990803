//! Alerts: rules over the rollups of the last minutes; whoever is concerned is told once when a rule begins to hold, and
//! once when it ends.

mod measure;
mod tell;

pub use tell::{Channel, Teller};

use crate::evals::drift;
use crate::store::embedded::DAY_MS;
use crate::store::embedded::ask::{AskError, Reader};
use aplomb_config::observe::{AlertCondition, Measure};
use serde::Serialize;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Looks without the condition after which an alert ends. Chosen: one quiet look may be chance.
const QUIET_LOOKS: u32 = 2;

/// One rule, ready to be looked at.
pub struct Rule {
    /// Its name in messages.
    pub name: String,
    /// What must not be.
    pub condition: AlertCondition,
    /// Only exchanges of this route.
    pub route: Option<String>,
    /// Who is told.
    pub channels: Vec<Channel>,
}

/// Whether a rule holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Standing {
    /// Name of the rule.
    pub name: String,
    /// Its condition.
    pub when: String,
    /// Its route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// True while it holds.
    pub firing: bool,
    /// Since when, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
    /// What was measured last, in the unit of the measure; absent where there was too little.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    #[serde(skip)]
    quiet: u32,
}

/// What a look has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The rule begins to hold.
    Fired,
    /// It no longer holds.
    Resolved,
}

impl Standing {
    /// A rule that nobody has looked at.
    pub fn of(rule: &Rule) -> Self {
        Standing {
            name: rule.name.clone(),
            when: rule.condition.to_string(),
            route: rule.route.clone(),
            ..Standing::default()
        }
    }

    /// Takes a new value. `None`: too little has happened to say anything, which is quiet.
    pub fn look(
        &mut self,
        condition: &AlertCondition,
        value: Option<f64>,
        now_ms: u64,
    ) -> Option<Change> {
        self.value = value;
        let bad = value.is_some_and(|value| {
            if condition.above {
                value > condition.value
            } else {
                value < condition.value
            }
        });
        if bad {
            self.quiet = 0;
            if self.firing {
                return None;
            }
            self.firing = true;
            self.since_ms = Some(now_ms);
            return Some(Change::Fired);
        }
        if !self.firing {
            return None;
        }
        self.quiet += 1;
        if self.quiet < QUIET_LOOKS {
            return None;
        }
        self.firing = false;
        self.quiet = 0;
        self.since_ms = None;
        Some(Change::Resolved)
    }
}

/// How all rules stand. Kept over reloads: a rule that is still there stands as it did.
#[derive(Default)]
pub struct Board {
    standings: Mutex<Vec<Standing>>,
    /// The last whole day, and the route of each measure that has shifted on it: looked at once a day, since it reads weeks.
    shifted: Mutex<Option<(u64, Vec<String>)>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Board {
    /// How all rules stand.
    pub fn standings(&self) -> Vec<Standing> {
        locked(&self.standings).clone()
    }

    /// How many measures of a route (of all without one) have shifted on the last whole day.
    fn drift(&self, reader: &Reader, route: Option<&str>, now_ms: u64) -> Result<f64, AskError> {
        let day = (now_ms / DAY_MS).saturating_sub(1);
        let mut shifted = locked(&self.shifted);
        let known = shifted.take().filter(|(of, _)| *of == day);
        let (_, routes) = match known {
            Some(known) => shifted.insert(known),
            None => {
                let found = drift::check(reader, day)?.into_iter();
                let routes = found.filter(|one| one.shifted).map(|one| one.route);
                shifted.insert((day, routes.collect()))
            }
        };
        let count = routes
            .iter()
            .filter(|of| route.is_none_or(|route| *of == route))
            .count();
        Ok(u32::try_from(count).map_or(f64::from(u32::MAX), f64::from))
    }

    /// Looks at every rule, and says what has changed. Blocking.
    ///
    /// # Errors
    /// The store can't be read; nothing has changed then.
    pub fn look(
        &self,
        rules: &[Rule],
        reader: &Reader,
        now_ms: u64,
    ) -> Result<Vec<(usize, Change, Standing)>, AskError> {
        let mut values = Vec::with_capacity(rules.len());
        for rule in rules {
            let route = rule.route.as_deref();
            values.push(match rule.condition.measure {
                Measure::Drift => Some(self.drift(reader, route, now_ms)?),
                _ => measure::measure(reader, &rule.condition, route, now_ms)?,
            });
        }
        let mut board = locked(&self.standings);
        let before = std::mem::take(&mut *board);
        let mut changes = Vec::new();
        for (index, (rule, value)) in rules.iter().zip(values).enumerate() {
            let fresh = Standing::of(rule);
            let same = |known: &&Standing| {
                known.name == fresh.name && known.when == fresh.when && known.route == fresh.route
            };
            let mut standing = before.iter().find(same).cloned().unwrap_or(fresh);
            if let Some(change) = standing.look(&rule.condition, value, now_ms) {
                changes.push((index, change, standing.clone()));
            }
            board.push(standing);
        }
        Ok(changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_when_it_begins_and_one_when_it_ends() {
        let condition: AlertCondition = "error_rate > 5% for 5m".parse().unwrap();
        let mut standing = Standing::default();
        let values = [
            Some(0.01),
            Some(0.2),
            Some(0.3),
            Some(0.01),
            Some(0.2),
            None,
            Some(0.05),
            Some(0.01),
            Some(0.9),
        ];
        let changes: Vec<Option<Change>> = (0..)
            .zip(values)
            .map(|(now, value)| standing.look(&condition, value, now))
            .collect();
        let expected = [
            None,
            Some(Change::Fired),
            None,
            None,
            None,
            None,
            Some(Change::Resolved),
            None,
            Some(Change::Fired),
        ];
        assert_eq!(changes, expected);
        assert_eq!((standing.firing, standing.since_ms), (true, Some(8)));
        let low: AlertCondition = "score.relevance < 0.6".parse().unwrap();
        assert_eq!(
            Standing::default().look(&low, Some(0.5), 0),
            Some(Change::Fired)
        );
    }
}
