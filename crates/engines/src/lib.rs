//! Aplomb engines.
