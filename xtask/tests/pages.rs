//! Generated pages are current; examples are loaded as a user would load them.
#![cfg(test)]

use std::path::PathBuf;

#[test]
fn generated_pages_are_current() {
    for (path, text) in xtask::pages() {
        let kept = std::fs::read_to_string(xtask::root().join(path)).unwrap_or_default();
        assert!(
            kept == text,
            "{path} is not current: cargo run -p xtask -- reference"
        );
    }
}

fn examples() -> Vec<PathBuf> {
    let files = std::fs::read_dir(xtask::root().join("deploy/examples")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .collect()
}

#[test]
fn examples_load_without_a_warning() {
    let examples = examples();
    assert!(!examples.is_empty());
    for path in examples {
        let parsed = aplomb_config::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
        assert!(
            parsed.warnings.is_empty(),
            "{}: {:?}",
            path.display(),
            parsed.warnings
        );
        assert!(!parsed.file.providers.is_empty());
    }
}

/// YAML blocks of the README and the docs are configurations that load.
#[test]
fn configurations_in_the_docs_load() {
    let docs = std::fs::read_dir(xtask::root().join("docs")).unwrap();
    let mut pages: Vec<PathBuf> = docs.map(|file| file.unwrap().path()).collect();
    pages.push(xtask::root().join("README.md"));
    let mut count = 0;
    for page in pages
        .iter()
        .filter(|page| page.extension().is_some_and(|ending| ending == "md"))
    {
        let text = std::fs::read_to_string(page).unwrap();
        for block in text.split("```yaml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            aplomb_config::parse(block, &page.display().to_string())
                .unwrap_or_else(|errors| panic!("{errors}\n{block}"));
            count += 1;
        }
    }
    assert!(count > 0, "no configuration in the docs");
}

/// Links between files of the repository lead somewhere.
#[test]
fn links_in_the_docs_lead_somewhere() {
    let mut broken = Vec::new();
    for page in [
        "README.md",
        "CONTRIBUTING.md",
        "docs/ARCHITECTURE.md",
        "docs/robustness.md",
        "docs/observability.md",
        "docs/metrics.md",
        "docs/privacy.md",
        "docs/llm.md",
        "docs/records.md",
        "bench/README.md",
    ] {
        let path = xtask::root().join(page);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{page}: {error}"));
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let target = link.split('#').next().unwrap();
            let outside = link.contains("://") || target.is_empty();
            if !outside && !path.parent().unwrap().join(target).exists() {
                broken.push(format!("{page}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:?}");
}
