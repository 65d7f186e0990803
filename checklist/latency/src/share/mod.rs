//! One call for several who ask the same: a tape that is written once and read by all, and the register of those who ask.
//!
//! Promises: whoever joins reads everything from the beginning; a reader that falls behind is cut off, never the one who
//! writes; the call goes on while anyone listens; memory is bounded, per tape and for all together; after any history nothing
//! is held. It knows nothing of what is written: pieces and failures are the arranger's. Everything here is synchronous, with
//! short locks; wakers are called after them, and time is passed in.

pub mod label;
pub mod register;
pub mod tape;
