//! The validators of a route, from the file.

use super::Checking;
use crate::policy::Sources;
use aplomb_config::diagnostic::Diagnostic;
use aplomb_config::file::{ConfigFile, RouteConfig};
use aplomb_validate::policy::Validation;
use std::path::Path;

/// Largest schema file. Chosen: as for the configuration itself.
const SCHEMA_BYTES_MAX: u64 = 1 << 20;

/// All errors of the validators of a file, also of those that no route names.
pub(crate) fn check(file: &ConfigFile, sources: &Sources<'_>, errors: &mut Vec<Diagnostic>) {
    for (name, config) in &file.validate {
        let added = Validation::default().add(name, config, &|path| read(path, sources));
        for (place, message) in added.err().unwrap_or_default() {
            let path = format!("validate.{name}{place}");
            errors.push(Diagnostic::error(path, message));
        }
    }
}

/// What a route's answers are checked for. The file has been checked.
pub(crate) fn compile(file: &ConfigFile, route: &RouteConfig, sources: &Sources<'_>) -> Checking {
    let mut validation = Validation::default();
    for name in &route.validate {
        if let Some(config) = file.validate.get(name) {
            // Its errors are known: nothing is served by a file that has some.
            let _ = validation.add(name, config, &|path| read(path, sources));
        }
    }
    let some = !validation.rules.is_empty();
    Checking::new(route.hold, some.then_some(validation))
}

/// Not by the environment of secrets: a check without secrets looks at schemas all the same.
fn read(path: &str, sources: &Sources<'_>) -> Result<String, String> {
    let whole = sources.base_dir.join(Path::new(path));
    let wrong = |error| format!("the file {path} can't be read: {error}");
    let bytes = std::fs::metadata(&whole).map_err(wrong)?.len();
    if bytes > SCHEMA_BYTES_MAX {
        return Err(format!("the file {path} is larger than 1 MiB"));
    }
    std::fs::read_to_string(&whole).map_err(wrong)
}
