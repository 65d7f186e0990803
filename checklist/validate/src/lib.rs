//! Answers that users can rely on: each is checked before it goes out, and what fails is asked for again, or not delivered.
//!
//! # What it promises
//! [`policy::Validation`] is what a route's validators want, compiled; [`course::Course`] is one request's way through them:
//! it looks at an answer and says what comes next. Every check takes time in proportion to the answer: expressions are
//! matched without backtracking, schemas fetch nothing. What is said of a failure ([`check::Failure::message`]) holds numbers,
//! places and words of the configuration, and nothing of the answer.
//!
//! # What it does not
//! It calls nobody and waits for nothing; whoever asks for another answer does that elsewhere. Checks see the masked text:
//! placeholders, not values.

pub mod answer;
pub mod check;
pub mod course;
pub mod grounding;
pub mod length;
pub mod mend;
pub mod policy;
pub mod relevance;
pub mod schema;
pub mod smells;
pub mod verdict;
pub mod watch;
pub mod words;
