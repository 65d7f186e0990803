//! Aplomb server.
