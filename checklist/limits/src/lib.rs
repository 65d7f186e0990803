//! Limits: never exceeded, always explained.
//!
//! A request reserves what it may use before it is let in, under all rules that hold for it at once or under none
//! ([`room::Room::reserve`]); when it is over, [`room::Reservation::settle`] puts what it really used in the place of what
//! was reserved. No rule is checked without being charged in the same step, so that parallel requests can't pass it
//! together.
//!
//! Counts are exact or err to the strict side: for limits of at most 128 requests each one is remembered ([`counter::log`]),
//! for larger ones the window is cut into 60 slots and one more ([`counter::ring`]); a steady pace is kept with the generic cell
//! rate algorithm ([`counter::pace`]), periods of the calendar with one number ([`counter::period`]).
//!
//! What it does not do: it knows no HTTP, no providers and no prices, and reads no clock.

pub mod calendar;
pub mod counter;
pub mod estimate;
pub mod hammer;
pub mod key;
pub mod lobby;
pub mod room;
pub mod rule;
pub mod shared;
pub mod store;
pub mod trust;
pub mod verdict;
