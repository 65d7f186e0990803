//! Evaluations: whether answers are good, by rules, by a judge that is a model, and by what people say of both.
//!
//! [`online`] judges a sampled share of recorded answers away from the request path; [`batch`] plays cases against several
//! targets and compares them; [`agree`] says how far scores agree with people; [`drift`] finds days that differ from those
//! before. All of them see text as it was recorded, in the masked zone, and reach models through `core::ask::Ask` alone.

pub mod agree;
pub mod batch;
pub mod budget;
pub mod drift;
pub mod judge;
pub mod online;
pub mod report;
pub mod rubric;
pub mod rules;
pub mod stats;
