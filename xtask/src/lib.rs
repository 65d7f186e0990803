//! Pages that are made from the code.

use std::path::{Path, PathBuf};

/// Root of the workspace.
pub fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// Generated files: path from the root, and text.
pub fn pages() -> Vec<(&'static str, String)> {
    let schema = serde_json::to_string_pretty(&aplomb_config::json_schema()).unwrap_or_default();
    vec![
        ("docs/configuration.md", aplomb_config::reference()),
        ("deploy/aplomb.schema.json", schema + "\n"),
        (
            "docs/record-columns.md",
            aplomb_observe::schema::reference(),
        ),
        (
            "docs/metrics.md",
            aplomb_observe::metrics::families::reference(),
        ),
    ]
}
