//! Small local models: what runs inside this process, on weights that are part of the program.
//!
//! # What it promises
//! No download, no thread of its own, no native library. The same input gives the same output on every machine where all
//! arithmetic is that of integers ([`names`]), and nearly the same where sums of floats are part of it ([`embed`]). Each
//! module says what its model costs in memory and time.
//!
//! # What it does not
//! It gives numbers no meaning: which kinds are masked, or from which score on a name counts, is said elsewhere.

pub mod embed;
pub mod names;
pub mod tokens;
