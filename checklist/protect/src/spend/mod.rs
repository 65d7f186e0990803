//! The spend breaker: what a tenant or a key usually spends, and what happens when it is suddenly far more.
//!
//! Money is counted in buckets of ten seconds, when a request is let in (what it will probably cost) and corrected when it has ended.
//! What is usual is the median of the last hour's buckets, and how far they lie from it is their median absolute deviation, which a
//! few odd buckets do not move (Rousseeuw and Croux, 1993). What is *asked for*, refused or not, is compared with it:
//!
//! - **closed**: everything passes, until a bucket would hold more than the median and [`SOFT`] deviations;
//! - **throttled**: a bucket holds no more than that, and the rest is refused. A minute in which no more is asked for closes it;
//! - **open**: in two of three buckets more than the median and [`HARD`] deviations was asked for. All is refused, for a time
//!   that doubles when it opens again;
//! - **half open**: after that time a bucket holds what is usual. Two minutes in which no more than the throttled amount is asked for
//!   close it; two of three buckets with more open it again.
//!
//! Nothing is unusual below an amount for a minute that the operator names, nor in the first ten minutes of buckets with anything to
//! compare. What is asked for while it is not closed is not learned from, so that an attack never becomes what is usual; an
//! operator who knows better resets it, and it learns anew.

mod breakers;
mod scope;
#[cfg(test)]
mod tests;

pub use breakers::{Breakers, Denied, Event, Report, SCOPES_MAX, Ticket};
pub use scope::{Change, State};

/// Length of a bucket. Chosen: the loss at x200 is set by it, and a minute's bucket would cost six times as much.
pub const BUCKET_MS: u64 = 10_000;
/// Deviations above the median from which on a bucket is held. Chosen with the simulation in `tests.rs`.
pub const SOFT: f64 = 6.0;
/// Deviations above the median that open the breaker in two of three buckets.
pub const HARD: f64 = 8.0;

/// What the operator says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Nothing is unusual below so many nano-dollars a minute.
    pub from_nano: u64,
    /// How long it is open the first time.
    pub open_ms: u64,
}
