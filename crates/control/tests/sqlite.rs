//! The SQLite engine passes the contract suite, and keeps its own promises.
#![cfg(test)]
#![cfg(feature = "contract")]

use aplomb_control::audit::Broken;
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

const ACT: Act<'static> = Act {
    actor: "t",
    at_ms: 1,
};

fn trail(path: &std::path::Path) -> SqliteStore {
    let store = SqliteStore::open(path).unwrap();
    for n in 0..2_500 {
        store.note("test.note", &n.to_string(), &ACT).unwrap();
    }
    store
}

#[test]
fn a_changed_trail_is_found_at_its_row() {
    for (sql, expected) in [
        (
            "UPDATE audit SET subject = 'x' WHERE seq = 1700",
            Broken::Row(1700),
        ),
        ("UPDATE audit SET at_ms = 2 WHERE seq = 1", Broken::Row(1)),
        ("DELETE FROM audit WHERE seq = 2000", Broken::Gap(2001)),
        ("DELETE FROM audit WHERE seq > 2400", Broken::End(2400)),
        ("DELETE FROM audit", Broken::End(0)),
        ("UPDATE audit SET hash = NULL WHERE seq = 9", Broken::Row(9)),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.db");
        let store = trail(&path);
        let whole = store.verify(None).unwrap();
        assert_eq!(whole.rows, 2_500);
        let raw = rusqlite::Connection::open(&path).unwrap();
        assert!(raw.execute(sql, []).is_err(), "the trail is append-only");
        raw.execute_batch("DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete;")
            .unwrap();
        raw.execute(sql, []).unwrap();
        let found = store.verify(None).unwrap_err();
        assert!(
            matches!(found, ControlError::Broken(broken) if broken == expected),
            "{sql}: {found}"
        );
        // What is written afterwards does not hide it.
        store.note("test.note", "more", &ACT).unwrap();
        assert!(store.verify(None).is_err(), "{sql}");
    }
}

#[test]
fn a_trail_that_was_made_anew_is_found_by_its_anchor() {
    let dir = tempfile::tempdir().unwrap();
    let one = SqliteStore::open(&dir.path().join("one.db")).unwrap();
    let two = SqliteStore::open(&dir.path().join("two.db")).unwrap();
    for n in 0..5 {
        one.note("test.note", &n.to_string(), &ACT).unwrap();
        two.note("test.note", &(n + 1).to_string(), &ACT).unwrap();
    }
    let head = one.verify(None).unwrap().head.unwrap();
    assert!(one.verify(Some(&head)).is_ok());
    assert!(matches!(
        two.verify(Some(&head)),
        Err(ControlError::Broken(Broken::Anchor(5)))
    ));
}

#[test]
fn an_older_file_becomes_a_chain_with_all_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.db");
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute_batch(
        "CREATE TABLE tenants (id TEXT PRIMARY KEY, created_at_ms INTEGER NOT NULL) STRICT;
         CREATE TABLE keys (
           id TEXT PRIMARY KEY, tenant TEXT NOT NULL REFERENCES tenants(id), name TEXT NOT NULL,
           hash BLOB NOT NULL UNIQUE, created_at_ms INTEGER NOT NULL, expires_at_ms INTEGER, revoked_at_ms INTEGER,
           routes TEXT NOT NULL) STRICT;
         CREATE TABLE audit (
           seq INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, actor TEXT NOT NULL,
           action TEXT NOT NULL, subject TEXT NOT NULL) STRICT;
         CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
         CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
         INSERT INTO audit (at_ms, actor, action, subject) VALUES (1, 'cli', 'key.create', 'a'), (2, 'cli', 'key.revoke', 'a');
         PRAGMA user_version = 1;",
    )
    .unwrap();
    drop(raw);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.verify(None).unwrap().rows, 2);
    store.note("test.note", "b", &ACT).unwrap();
    assert_eq!(store.verify(None).unwrap().rows, 3);
    drop(store);
    assert_eq!(
        SqliteStore::open(&path).unwrap().verify(None).unwrap().rows,
        3
    );
}
