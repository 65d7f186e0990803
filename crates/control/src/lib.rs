//! Aplomb control.
