//! Aplomb config.
