//! Where records stay.

pub mod embedded;
