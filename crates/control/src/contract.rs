//! What every engine of the control store must do. Run by each engine's tests with a store of its own.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use crate::audit::{Anchor, Broken};
use crate::key::KeyHasher;
use crate::snapshot::{AuthError, KeySnapshot};
use crate::store::{Act, ControlError, ControlStore, NewKey};

const ACT: Act<'static> = Act {
    actor: "test",
    at_ms: 1_000,
};

fn new(tenant: &str) -> NewKey {
    NewKey {
        tenant: tenant.into(),
        name: "n".into(),
        env: "live".into(),
        ..NewKey::default()
    }
}

fn hasher() -> KeyHasher {
    KeyHasher::new(b"pepper")
}

fn snapshot(store: &dyn ControlStore) -> KeySnapshot {
    KeySnapshot::new(&store.list_keys(None).unwrap())
}

/// Runs the whole suite. `open` gives handles on one and the same empty store.
pub fn run(open: &dyn Fn() -> Box<dyn ControlStore>) {
    let store = open();
    keys_are_made_and_found(&*store);
    expiry_and_scopes_hold(&*store);
    revocation_is_final(&*store);
    rotation_overlaps(&*store);
    notes_are_kept(&*store);
    the_trail_is_whole(&*store);
    the_panic_switch_stays_where_it_is_put(open);
    sessions_of_a_site_are_ended_for_every_process(open);
    names_are_checked(&*store);
    other_handles_see_changes(open);
    threads_do_not_lose_keys(open);
}

fn keys_are_made_and_found(store: &dyn ControlStore) {
    let (plain, record) = store.create_key(&new("acme"), &hasher(), &ACT).unwrap();
    let keys = snapshot(store);
    let grant = keys.authenticate(plain.expose(), &hasher(), 2_000).unwrap();
    assert_eq!(
        (&*grant.tenant, &*grant.key_id),
        ("acme", record.id.as_str())
    );
    let other = KeyHasher::new(b"other");
    assert_eq!(
        keys.authenticate(plain.expose(), &other, 2_000)
            .unwrap_err(),
        AuthError::Unknown
    );
    assert_eq!(store.list_keys(Some("nobody")).unwrap(), []);
    let audit = store.audit(1).unwrap();
    assert_eq!(
        (audit[0].action.as_str(), audit[0].subject.as_str()),
        ("key.create", record.id.as_str())
    );
}

fn expiry_and_scopes_hold(store: &dyn ControlStore) {
    let wanted = NewKey {
        expires_at_ms: Some(5_000),
        routes: vec!["chat".into()],
        ..new("acme")
    };
    let (plain, _) = store.create_key(&wanted, &hasher(), &ACT).unwrap();
    let keys = snapshot(store);
    let grant = keys.authenticate(plain.expose(), &hasher(), 4_999).unwrap();
    assert!(grant.may_use("chat") && !grant.may_use("other"));
    assert_eq!(
        keys.authenticate(plain.expose(), &hasher(), 5_000)
            .unwrap_err(),
        AuthError::Expired
    );
}

fn revocation_is_final(store: &dyn ControlStore) {
    let (plain, record) = store.create_key(&new("acme"), &hasher(), &ACT).unwrap();
    store.revoke_key(&record.id, &ACT).unwrap();
    let again = store
        .revoke_key(
            &record.id,
            &Act {
                actor: "test",
                at_ms: 9_000,
            },
        )
        .unwrap();
    assert_eq!(again.revoked_at_ms, Some(1_000));
    assert_eq!(
        snapshot(store)
            .authenticate(plain.expose(), &hasher(), 2_000)
            .unwrap_err(),
        AuthError::Revoked
    );
    assert!(matches!(
        store.revoke_key("none", &ACT),
        Err(ControlError::NoSuchKey(_))
    ));
    assert!(matches!(
        store.rotate_key(&record.id, 0, &hasher(), &ACT),
        Err(ControlError::NoSuchKey(_))
    ));
}

fn rotation_overlaps(store: &dyn ControlStore) {
    let wanted = NewKey {
        routes: vec!["chat".into()],
        ..new("acme")
    };
    let (old, record) = store.create_key(&wanted, &hasher(), &ACT).unwrap();
    let (fresh, replaced) = store.rotate_key(&record.id, 500, &hasher(), &ACT).unwrap();
    assert_eq!(replaced.routes, record.routes);
    let keys = snapshot(store);
    assert!(keys.authenticate(old.expose(), &hasher(), 1_499).is_ok());
    assert_eq!(
        keys.authenticate(old.expose(), &hasher(), 1_500)
            .unwrap_err(),
        AuthError::Expired
    );
    assert!(keys.authenticate(fresh.expose(), &hasher(), 9_999).is_ok());
}

fn notes_are_kept(store: &dyn ControlStore) {
    store.note("privacy.erase", "receipt-1", &ACT).unwrap();
    let newest = store.audit(1).unwrap();
    let entry = newest.first().unwrap();
    assert_eq!(
        (entry.action.as_str(), entry.subject.as_str()),
        ("privacy.erase", "receipt-1")
    );
}

fn the_trail_is_whole(store: &dyn ControlStore) {
    let verified = store.verify(None).unwrap();
    let head = verified.head.unwrap();
    assert_eq!(verified.rows, head.seq);
    store.note("test.more", "x", &ACT).unwrap();
    assert!(
        store.verify(Some(&head)).is_ok(),
        "a row that was written down stays"
    );
    let other = Anchor {
        hash: "0".repeat(64),
        ..head.clone()
    };
    assert!(matches!(
        store.verify(Some(&other)),
        Err(ControlError::Broken(Broken::Anchor(seq))) if seq == head.seq
    ));
    let later = Anchor {
        seq: head.seq + 100,
        ..head
    };
    assert!(store.verify(Some(&later)).is_err());
}

fn the_panic_switch_stays_where_it_is_put(open: &dyn Fn() -> Box<dyn ControlStore>) {
    let (one, two) = (open(), open());
    assert!(!one.panic().unwrap());
    let before = two.version().unwrap();
    one.set_panic(true, &ACT).unwrap();
    assert!(two.panic().unwrap());
    assert_eq!(two.audit(1).unwrap()[0].action, "panic.on");
    let once = two.version().unwrap();
    assert!(once > before);
    one.set_panic(true, &ACT).unwrap();
    assert_eq!(two.version().unwrap(), once, "it is on already");
    two.set_panic(false, &ACT).unwrap();
    assert!(!one.panic().unwrap());
}

fn sessions_of_a_site_are_ended_for_every_process(open: &dyn Fn() -> Box<dyn ControlStore>) {
    let (one, two) = (open(), open());
    assert!(two.sessions_from().unwrap().is_empty());
    let before = two.version().unwrap();
    one.end_sessions("shop", &ACT).unwrap();
    let later = Act {
        at_ms: ACT.at_ms + 5,
        ..ACT
    };
    one.end_sessions("shop", &later).unwrap();
    let expected = vec![("shop".to_owned(), ACT.at_ms + 5)];
    assert_eq!(two.sessions_from().unwrap(), expected);
    assert!(two.version().unwrap() > before);
    let row = two.audit(1).unwrap().remove(0);
    assert_eq!((&*row.action, &*row.subject), ("session.revoke", "shop"));
    assert!(!two.panic().unwrap());
}

fn names_are_checked(store: &dyn ControlStore) {
    let before = store.version().unwrap();
    for tenant in ["", "Acme", "a b", &"x".repeat(65)] {
        assert!(
            matches!(
                store.create_key(&new(tenant), &hasher(), &ACT),
                Err(ControlError::BadName(_))
            ),
            "{tenant}"
        );
    }
    assert_eq!(store.version().unwrap(), before);
}

fn other_handles_see_changes(open: &dyn Fn() -> Box<dyn ControlStore>) {
    let (one, two) = (open(), open());
    let before = two.version().unwrap();
    let (_, record) = one.create_key(&new("acme"), &hasher(), &ACT).unwrap();
    assert!(two.version().unwrap() > before);
    assert!(
        two.list_keys(None)
            .unwrap()
            .iter()
            .any(|key| key.id == record.id)
    );
}

fn threads_do_not_lose_keys(open: &dyn Fn() -> Box<dyn ControlStore>) {
    let handles: Vec<_> = (0..4).map(|_| open()).collect();
    std::thread::scope(|scope| {
        for store in &handles {
            scope.spawn(move || {
                for _ in 0..5 {
                    store.create_key(&new("busy"), &hasher(), &ACT).unwrap();
                }
            });
        }
    });
    assert_eq!(open().list_keys(Some("busy")).unwrap().len(), 20);
}
