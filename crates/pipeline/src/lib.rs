//! Aplomb pipeline.
