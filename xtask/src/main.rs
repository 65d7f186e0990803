//! Chores of this repository: `cargo run -p xtask -- reference` writes the generated pages.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() != Some("reference") {
        return fail("usage: cargo run -p xtask -- reference");
    }
    for (path, text) in xtask::pages() {
        if let Err(error) = std::fs::write(xtask::root().join(path), text) {
            return fail(&format!("{path}: {error}"));
        }
    }
    ExitCode::SUCCESS
}

#[expect(clippy::print_stderr, reason = "a command for people")]
fn fail(text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::FAILURE
}
