//! Every dependency has a licence that `deny.toml` allows and comes from the public registry.
#![cfg(test)]

use cargo_metadata::{MetadataCommand, Package};

/// The strings of the list `allow` in `deny.toml`.
fn allowed() -> Vec<String> {
    let text = std::fs::read_to_string(xtask::root().join("deny.toml")).unwrap();
    let list = text.split("\nallow = [").nth(1).unwrap();
    let list = list.split(']').next().unwrap();
    list.split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// Whether one alternative of an SPDX expression has only allowed licences. Expressions in the registry nest one level:
/// `(A OR B) AND C`.
fn fits(expression: &str, allowed: &[String]) -> bool {
    let all_of = |text: &str| {
        text.split(" AND ")
            .map(|one| one.trim_matches(|c| "() ".contains(c)))
            .all(|one| allowed.iter().any(|licence| licence == one))
    };
    let expression = expression.replace(" / ", " OR ").replace('/', " OR ");
    match expression.split_once(") AND ") {
        Some((first, rest)) => fits(first.trim_start_matches('('), allowed) && fits(rest, allowed),
        None => expression.split(" OR ").any(all_of),
    }
}

fn dependencies() -> Vec<Package> {
    let metadata = MetadataCommand::new()
        .manifest_path(xtask::root().join("Cargo.toml"))
        .exec()
        .unwrap();
    let foreign = metadata.packages.into_iter();
    foreign.filter(|package| package.source.is_some()).collect()
}

#[test]
fn licences_are_allowed() {
    let allowed = allowed();
    let wrong: Vec<String> = dependencies()
        .iter()
        .filter(|package| !fits(package.license.as_deref().unwrap_or("none"), &allowed))
        .map(|package| format!("{}: {:?}", package.name, package.license))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn sources_are_the_registry() {
    for package in dependencies() {
        let source = package.source.unwrap().to_string();
        assert!(
            source.starts_with("registry+"),
            "{}: {source}",
            package.name
        );
    }
}

#[test]
fn expressions_are_read() {
    let allowed = allowed();
    assert!(allowed.len() > 5);
    for (expression, expected) in [
        ("MIT", true),
        ("MIT/Apache-2.0", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("(MIT OR GPL-3.0) AND Unicode-3.0", true),
        ("(MIT OR Apache-2.0) AND GPL-3.0", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("none", false),
    ] {
        assert_eq!(fits(expression, &allowed), expected, "{expression}");
    }
}
