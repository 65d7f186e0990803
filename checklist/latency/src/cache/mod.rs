//! The response cache: an answer that was given once is given again, without a call.
//!
//! Promises: what is shared is shared within a [`key::Digest`] only, which covers the tenant, the scope, the route with its
//! targets, everything in the body but the way of delivery, and the values behind placeholders; what is kept is what the
//! provider said, before anything is restored; only complete, plain answers are kept; memory is bounded, and a tenant or user
//! that fills the cache pushes out its own entries first. Everything here but [`shared`] is synchronous and in memory; time is passed in.

pub mod alike;
pub mod answer;
pub mod directive;
pub mod frozen;
pub mod guard;
pub mod index;
pub mod key;
pub mod request;
pub mod shared;
pub mod store;
