//! What black-box tests of the gateway stand on: a scripted provider, the real binary, a raw client, strict readers.
//!
//! * [`upstream`]: a provider that sends any bytes at any time and remembers what it was asked.
//! * [`wire`]: well-formed answers of both dialects, in pieces that a test can bend.
//! * [`gateway`]: starts the real binary with a configuration, in a folder of its own.
//! * [`client`]: an HTTP client that hides nothing: raw bytes, single events, leaving at any time.
//! * [`scenario`]: plays what stands in a file of `scenarios/`.
//! * [`check`]: readers of answers that accept only what the dialects allow.
//!
//! Everything blocks and runs on plain threads: a test reads from top to bottom. Nothing sleeps to let things happen;
//! what is awaited has a bound of [`PATIENCE`] and fails with a message. Failures panic, as in any test.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that can't go on must fail, and show why"
)]

pub mod check;
pub mod client;
pub mod gateway;
mod http;
pub mod records;
pub mod redis;
pub mod scenario;
pub mod signal;
pub mod sse;
pub mod upstream;
pub mod wire;

use std::time::Duration;

/// Longest wait for anything. Chosen: far beyond what a loaded machine needs, so that only a defect reaches it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// API dialect, on the client's or the provider's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    /// `/v1/chat/completions`.
    OpenAi,
    /// `/v1/messages`.
    Anthropic,
}

impl Dialect {
    /// Both.
    pub const ALL: [Dialect; 2] = [Dialect::OpenAi, Dialect::Anthropic];

    /// Name in tables and model names.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::OpenAi => "openai",
            Dialect::Anthropic => "anthropic",
        }
    }

    /// Path of a chat request.
    pub fn path(self) -> &'static str {
        match self {
            Dialect::OpenAi => "/v1/chat/completions",
            Dialect::Anthropic => "/v1/messages",
        }
    }

    /// How it says that an answer ended by itself.
    pub fn stop(self) -> &'static str {
        match self {
            Dialect::OpenAi => "stop",
            Dialect::Anthropic => "end_turn",
        }
    }
}

/// Asks again and again until `look` finds something; fails with `what` when [`PATIENCE`] is over.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    const PAUSE: Duration = Duration::from_millis(10);
    let tries = PATIENCE.as_millis() / PAUSE.as_millis();
    for _ in 0..tries {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(PAUSE);
    }
    panic!("waited in vain for {what}");
}

/// A variable of the test's environment.
#[expect(
    clippy::disallowed_methods,
    reason = "tests are configured by variables, the product by its file"
)]
pub fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
