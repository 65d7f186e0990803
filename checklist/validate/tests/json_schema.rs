//! The official required tests of JSON Schema draft 2020-12.
#![cfg(test)]

use aplomb_validate::schema::Schema;
use serde_json::Value;
use std::path::Path;

/// Where the suite expects documents that a schema refers to. Nothing is fetched here, so such schemas do not compile.
const ELSEWHERE: &str = "http://localhost:1234/";

#[test]
fn all_required_tests_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/json-schema-2020-12");
    let (mut passed, mut elsewhere) = (0, 0);
    let mut failed = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|end| end != "json") {
            continue;
        }
        let groups: Vec<Value> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for group in &groups {
            let tests = group["tests"].as_array().unwrap();
            let schema = match Schema::new(&group["schema"]) {
                Ok(schema) => schema,
                Err(error) if error.contains(ELSEWHERE) => {
                    elsewhere += tests.len();
                    continue;
                }
                Err(error) => {
                    failed.push(format!(
                        "{}: {}: {error}",
                        path.display(),
                        group["description"]
                    ));
                    continue;
                }
            };
            for test in tests {
                let valid = schema.wrong(&test["data"]).is_empty();
                if valid == test["valid"].as_bool().unwrap() {
                    passed += 1;
                } else {
                    let name = path.file_name().unwrap().to_string_lossy();
                    failed.push(format!(
                        "{name}: {}: {}",
                        group["description"], test["description"]
                    ));
                }
            }
        }
    }
    println!(
        "{passed} passed, {} failed, {elsewhere} refer to other documents",
        failed.len()
    );
    assert_eq!(failed, Vec::<String>::new());
    assert!(passed > 1200, "{passed}");
    assert!(elsewhere < 60, "{elsewhere}");
}
