//! The SQLite engine passes the contract suite, and keeps its own promises.
#![cfg(test)]
#![cfg(feature = "contract")]

use aplomb_control::key::KeyHasher;
use aplomb_control::sqlite::SqliteStore;
use aplomb_control::store::{Act, ControlError, ControlStore, NewKey};

#[test]
fn contract() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.db");
    aplomb_control::contract::run(&|| Box::new(SqliteStore::open(&path).unwrap()));
}

#[test]
fn no_key_stands_in_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&dir.path().join("control.db")).unwrap();
    let new = NewKey {
        tenant: "acme".into(),
        env: "live".into(),
        ..NewKey::default()
    };
    let (plain, _) = store
        .create_key(
            &new,
            &KeyHasher::new(b"p"),
            &Act {
                actor: "t",
                at_ms: 1,
            },
        )
        .unwrap();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let secret = plain.expose().as_bytes();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
}

#[test]
fn a_damaged_or_newer_file_is_refused_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.db");
    std::fs::write(&path, vec![7u8; 4096]).unwrap();
    let error = SqliteStore::open(&path).err().unwrap();
    assert!(error.to_string().contains("control.db"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), vec![7u8; 4096]);
    let newer = dir.path().join("newer.db");
    drop(SqliteStore::open(&newer).unwrap());
    let raw = rusqlite::Connection::open(&newer).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(
        SqliteStore::open(&newer),
        Err(ControlError::TooNew { found: 99, .. })
    ));
}
