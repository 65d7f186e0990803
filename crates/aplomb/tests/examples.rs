//! Every configuration in the examples and the docs passes `aplomb check`, as a reader would run it.
#![cfg(test)]

use aplomb_testkit::gateway::Setup;
use std::path::{Path, PathBuf};

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let found = std::fs::read_dir(root().join(folder)).unwrap();
    let paths = found.map(|file| file.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|own| own == ending))
        .collect()
}

fn check(name: &str, text: &str) {
    let setup = Setup::new(BINARY, text);
    std::fs::write(setup.dir().join("example.yaml"), text).unwrap();
    let arguments = ["check", "--config", "example.yaml"];
    let out = setup.command(&arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{name}:\n{text}\n{errors}");
}

#[test]
fn examples_pass() {
    for path in files("deploy/examples", "yaml") {
        check(
            &path.display().to_string(),
            &std::fs::read_to_string(&path).unwrap(),
        );
    }
}

#[test]
fn configurations_in_the_docs_pass() {
    let mut count = 0;
    let mut pages = files("docs", "md");
    pages.push(root().join("README.md"));
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for block in text.split("```yaml\n").skip(1) {
            check(
                &page.display().to_string(),
                block.split("```").next().unwrap(),
            );
            count += 1;
        }
    }
    assert!(count >= 4, "{count}");
}
