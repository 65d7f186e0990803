//! Aplomb testkit.
