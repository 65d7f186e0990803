//! Aplomb observe.
