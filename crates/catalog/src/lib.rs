//! Aplomb catalog.
