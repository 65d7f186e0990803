//! Checklist item 4, latency: the mechanisms by which a request finds a target that answers soon, or an answer that was given.
//!
//! * [`class`]: the one table of failures and what follows from each.
//! * [`backoff`], [`budget`]: when the same target is asked again, and how often at most.
//! * [`breaker`], [`gate`], [`pace`]: what a target's calls say about it; [`standing`] keeps it by name.
//! * [`choose`]: in which order targets are asked. [`hedge`]: when two are asked at once.
//! * [`queue`]: whose turn it is where a target takes only so many calls at a time. [`adapt`]: how many those are.
//! * [`cache`]: answers that are given again. [`share`]: one call for several who ask the same at a time.
//!
//! All of it is pure or guarded by short locks: instants and random numbers are passed in, nothing waits.

pub mod adapt;
pub mod backoff;
pub mod breaker;
pub mod budget;
pub mod cache;
pub mod choose;
pub mod class;
pub mod gate;
pub mod hedge;
pub mod hints;
pub mod pace;
pub mod queue;
pub mod share;
pub mod standing;
