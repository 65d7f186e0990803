//! A limit, compiled.

use crate::calendar::Calendar;
use std::sync::Arc;

/// What a rule counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meter {
    /// Requests.
    Requests,
    /// Input and output tokens.
    Tokens,
    /// Input tokens.
    InputTokens,
    /// Output tokens.
    OutputTokens,
    /// Nano-dollars.
    Cost,
    /// Requests in flight.
    Concurrent,
}

/// What a node does with requests under a rule while the store that nodes share is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Away {
    /// It has its share of the limit.
    #[default]
    Share,
    /// It refuses, after a grace in which it spends what its own calls give back.
    Closed,
    /// It has the whole limit.
    Open,
}

/// Over which time.
#[derive(Debug, Clone)]
pub enum Window {
    /// Any stretch of so many milliseconds.
    Sliding(u64),
    /// A period of the calendar.
    Calendar(Arc<Calendar>),
    /// For ever.
    Lifetime,
    /// At one time.
    Concurrent,
}

/// How a rule is counted. It follows from the rule; nobody chooses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Each request is remembered.
    Log,
    /// Slots of a window.
    Ring,
    /// A steady pace.
    Pace,
    /// One number for a period.
    Period,
    /// Who is in flight.
    Held,
}

/// Most requests of a window that are remembered one by one. Chosen: 1 KiB for a counter that is full.
const LOG_MAX: u64 = 128;

/// One limit.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name.
    pub name: Arc<str>,
    /// What it counts.
    pub meter: Meter,
    /// How much it allows.
    pub limit: u64,
    /// The most that it allows anyone; how it is counted goes by that.
    pub most: u64,
    /// Over which time.
    pub window: Window,
    /// Most at once, where a steady pace is kept.
    pub burst: Option<u64>,
    /// It refuses nothing, and counts what it would have refused.
    pub shadow: bool,
    /// What happens while the store that nodes share is away.
    pub away: Away,
}

impl Rule {
    /// How it is counted.
    pub fn method(&self) -> Method {
        match (&self.window, self.burst, self.meter) {
            (Window::Concurrent, ..) => Method::Held,
            (Window::Calendar(_) | Window::Lifetime, ..) => Method::Period,
            (Window::Sliding(_), Some(_), _) => Method::Pace,
            (Window::Sliding(_), None, Meter::Requests) if self.most <= LOG_MAX => Method::Log,
            (Window::Sliding(_), None, _) => Method::Ring,
        }
    }

    /// Length of its window in milliseconds; 0 where it has none.
    pub fn sliding_ms(&self) -> u64 {
        match self.window {
            Window::Sliding(ms) => ms,
            Window::Calendar(_) | Window::Lifetime | Window::Concurrent => 0,
        }
    }
}
