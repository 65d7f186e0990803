//! What the room decided, as plain data.

use crate::rule::Rule;
use std::sync::Arc;
use std::time::Duration;

/// How a counter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Level {
    /// What is used of the limit. More than the limit where an answer became longer than it was estimated.
    pub used: u64,
    /// After which time some of it can be used again; none where nothing is used, or that depends on others.
    pub next: Option<Duration>,
    /// After which time all of it can be used again.
    pub full: Option<Duration>,
}

/// How a rule stands for one request.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The rule.
    pub rule: Arc<Rule>,
    /// What it allows this caller.
    pub limit: u64,
    /// Its counter, with the request in it if that was let in.
    pub level: Level,
}

impl Standing {
    /// What is left.
    pub fn remaining(&self) -> u64 {
        self.limit.saturating_sub(self.level.used)
    }
}

/// A rule that a request would have broken.
#[derive(Debug, Clone)]
pub struct Broken {
    /// Its place among the rules that were asked.
    pub at: usize,
    /// How it stands.
    pub standing: Standing,
    /// What was asked for.
    pub amount: u64,
    /// After which time there is room; none where there never is, or where that depends on others.
    pub wait: Option<Duration>,
}
