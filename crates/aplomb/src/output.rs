//! What commands say to people, and how they fail.

use std::io::Write;

/// Why a command failed: its message and exit code (1: what was asked is wrong, 2: the gateway can't start).
pub struct Failure {
    /// For people, on standard error.
    pub message: String,
    /// Exit code.
    pub code: u8,
}

impl Failure {
    /// What was asked is wrong.
    pub fn wrong(message: impl std::fmt::Display) -> Self {
        Failure {
            message: message.to_string(),
            code: 1,
        }
    }

    /// The gateway can't start.
    pub fn start(message: impl std::fmt::Display) -> Self {
        Failure {
            message: message.to_string(),
            code: 2,
        }
    }
}

/// A line on standard output. A reader that went away is no failure.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// A line on standard error.
pub fn error_line(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
