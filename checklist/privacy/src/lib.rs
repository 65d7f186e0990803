//! Checklist item 6, privacy: personal data does not leave, and comes back to its owner.
//!
//! [`detect`] finds it in a text, with [`names`] for people, places and organisations; [`mask::mask`] takes it out of a
//! request, [`restore::Restorer`] puts it back into the answer. Between the two, providers, caches, judges and records
//! see placeholders only.

pub mod agreements;
pub mod detect;
pub mod erase;
pub mod finder;
pub mod mask;
pub mod names;
pub mod placeholder;
pub mod policy;
mod private;
pub mod restore;
pub mod room;
pub mod screen;
pub mod vault;
