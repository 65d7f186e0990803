//! Who may depend on whom, as `docs/ARCHITECTURE.md` says.
#![cfg(test)]

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// Where a crate stands: `checklist` for the rooms, else its own name.
fn place(package: &Package) -> String {
    let room = package.manifest_path.as_str().contains("/checklist/");
    if room {
        "checklist".to_owned()
    } else {
        package.name.trim_start_matches("aplomb-").to_owned()
    }
}

/// What may be used by each place.
fn allowed(place: &str) -> Option<&'static [&'static str]> {
    Some(match place {
        "core" | "config" | "catalog" | "control" | "testkit" => &["core"],
        "engines" => &["core", "catalog"],
        "models" => &["core", "catalog"],
        "checklist" => &["core", "catalog", "config", "models", "engines"],
        "providers" => &["core", "catalog", "engines"],
        "pipeline" => &[
            "core",
            "catalog",
            "config",
            "models",
            "engines",
            "control",
            "checklist",
            "providers",
        ],
        "server" => &[
            "core",
            "catalog",
            "config",
            "models",
            "engines",
            "control",
            "checklist",
            "providers",
            "pipeline",
        ],
        "aplomb" => &[
            "core",
            "catalog",
            "config",
            "models",
            "engines",
            "control",
            "checklist",
            "providers",
            "pipeline",
            "server",
        ],
        "xtask" => &["config", "checklist"],
        _ => return None,
    })
}

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(xtask::root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .unwrap()
}

fn normal(package: &Package) -> impl Iterator<Item = &str> {
    let normal =
        |kind: &DependencyKind| matches!(kind, DependencyKind::Normal | DependencyKind::Build);
    package
        .dependencies
        .iter()
        .filter(move |dependency| normal(&dependency.kind))
        .map(|dependency| dependency.name.as_str())
}

#[test]
fn crates_depend_downwards_only() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let own = place(package);
        let Some(allowed) = allowed(&own) else {
            wrong.push(format!("{own} has no place in the house"));
            continue;
        };
        for name in normal(package) {
            let Some(used) = metadata
                .packages
                .iter()
                .find(|other| other.name.as_str() == name)
            else {
                continue;
            };
            if !allowed.contains(&place(used).as_str()) {
                wrong.push(format!("{} uses {name}", package.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(metadata.packages.len() > 10);
}

/// HTTP servers stay in `server`, the file format in `config`, I/O out of `core`.
#[test]
fn heavy_dependencies_have_one_home() {
    let homes: [(&str, &[&str]); 7] = [
        ("hyper-util", &["engines", "server"]),
        ("hyper-rustls", &["engines"]),
        ("tokio-rustls", &["server"]),
        ("saphyr-parser", &["config"]),
        ("schemars", &["config"]),
        ("rusqlite", &["control", "checklist", "testkit"]),
        ("clap", &["aplomb"]),
    ];
    let metadata = metadata();
    for package in &metadata.packages {
        let own = place(package);
        for (name, at) in homes {
            assert!(
                !normal(package).any(|used| used == name) || at.contains(&own.as_str()),
                "{own} uses {name}"
            );
        }
        assert!(
            own != "core"
                || normal(package).all(|used| !["tokio", "hyper", "rusqlite"].contains(&used)),
            "I/O in core"
        );
    }
}
