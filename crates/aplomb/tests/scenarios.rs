//! Every file under `scenarios/`, played against the real binary and the scripted provider.
#![cfg(test)]

use aplomb_testkit::scenario::{Scenario, run};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios")
}

/// All files of a folder and those below it, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(text: &str, name: &str) -> Result<Scenario, String> {
    let value = aplomb_config::yaml_value(text, name).map_err(|errors| errors.to_string())?;
    serde_json::from_value(value).map_err(|error| error.to_string())
}

fn play(file: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let scenario = read(&text, "scenario")?;
    // What can't go on panics, as in any test; the other files are played all the same.
    let played = catch_unwind(AssertUnwindSafe(|| run(&scenario, BINARY)));
    played.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>();
        Err(text.cloned().unwrap_or_else(|| "it panicked".to_owned()))
    })
}

#[test]
fn every_scenario_holds() {
    let files = files(&folder());
    assert!(files.len() >= 6, "{files:?}");
    let mut failed = Vec::new();
    for file in &files {
        if let Err(differs) = play(file) {
            failed.push(format!("{}: {differs}", file.display()));
        }
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

/// The example in CONTRIBUTING.md is one.
#[test]
fn the_example_of_the_docs_holds() {
    let page = std::fs::read_to_string(folder().join("../CONTRIBUTING.md")).unwrap();
    let block = page.split("# file: scenario\n").nth(1).unwrap();
    let text = block.split("```").next().unwrap();
    let scenario = read(text, "CONTRIBUTING.md").unwrap();
    assert_eq!(run(&scenario, BINARY), Ok(()));
}

#[test]
fn a_member_that_is_not_known_is_an_error() {
    let good =
        "about: x\nconfig: \"\"\nsteps:\n  - request: { path: /x }\n    answer: { status: 200 }\n";
    assert!(read(good, "f").is_ok());
    for (from, to) in [
        ("about", "abuot"),
        ("answer", "anser"),
        ("status", "staus"),
        ("path", "paht"),
        ("steps:", "more: 1\nsteps:"),
    ] {
        let error = read(&good.replacen(from, to, 1), "f").unwrap_err();
        assert!(error.contains("unknown field"), "{to}: {error}");
    }
}

/// A scenario whose expectation does not hold fails, and says in which step.
#[test]
fn what_differs_is_told() {
    let text = "about: x\nconfig: |\n  providers:\n    up: { kind: openai, base_url: \"{url}/v1\" }\nsteps:\n  - request: { chat: { model: up/m, text: hello } }\n    answer: { text: hello }\n  - request: { chat: { model: up/m, text: hello }, dialect: openai, stream: true }\n    answer: { text: bye }\n";
    let differs = run(&read(text, "f").unwrap(), BINARY).unwrap_err();
    assert_eq!(
        differs,
        "step 2: openai, streamed: expected the text \"bye\", found \"hello\""
    );
}
