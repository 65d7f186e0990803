use super::*;
use crate::cache::answer::Voice;
use aplomb_core::event::FinishReason;
use proptest::prelude::*;

const HOUR: Duration = Duration::from_secs(3600);

fn entry(tenant: &str, user: &str, text: usize, made_ms: u64) -> Entry {
    let answer = Answer {
        target: "up/m".into(),
        simulated: false,
        model: "m".into(),
        parts: vec![(Voice::Text, "x".repeat(text).into())],
        finish: FinishReason::Stop,
        usage: None,
        ttft: Duration::ZERO,
        rest: Duration::ZERO,
        pieces: 1,
    };
    Entry {
        answer: Arc::new(answer),
        owner: Owner {
            tenant: tenant.into(),
            user: user.into(),
            route: "chat".into(),
        },
        source: [u8::try_from(made_ms % 251).unwrap(); 16],
        made_ms,
        ttl: HOUR,
        alike: None,
    }
}

fn key(n: usize) -> Digest {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    Digest(bytes)
}

#[test]
fn an_entry_is_found_until_its_time_is_over() {
    let store = Store::new(1 << 20);
    store.put(key(1), entry("t", "u", 10, 1_000), 1_000);
    let found = store.get(&key(1), 61_000, None).unwrap();
    assert_eq!(
        (found.answer.text().len(), found.age),
        (10, Duration::from_secs(60))
    );
    let young = Some(Duration::from_secs(59));
    assert_eq!(
        store.get(&key(1), 61_000, young).unwrap_err(),
        Absent::TooOld
    );
    assert_eq!(
        store.get(&key(2), 61_000, None).unwrap_err(),
        Absent::Unknown
    );
    let late = 1_000 + 3_600_000;
    assert_eq!(store.get(&key(1), late, None).unwrap_err(), Absent::Expired);
    assert_eq!(store.fill(late).entries, 0);
}

#[test]
fn expired_entries_go_without_being_asked_for() {
    let store = Store::new(1 << 20);
    for n in 0..10 {
        store.put(key(n), entry("t", "u", 10, 0), 0);
    }
    assert_eq!(
        store.fill(3_600_000),
        Fill {
            bytes_max: 1 << 20,
            ..Fill::default()
        }
    );
}

#[test]
fn who_floods_pushes_out_their_own() {
    let store = Store::new(100 * 1024);
    for n in 0..10 {
        store.put(key(n), entry("small", "u", 100, 0), 0);
        store.put(key(100 + n), entry("big", "quiet", 100, 0), 0);
    }
    let mut evicted = 0;
    for n in 1_000..3_000 {
        match store.put(key(n), entry("big", "flood", 1_000, 0), 0) {
            Put::Kept { evicted: n } => evicted += n,
            Put::TooLarge => panic!("it fits"),
        }
    }
    assert!(evicted > 1_900, "{evicted}");
    for n in (0..10).chain(100..110) {
        assert!(store.get(&key(n), 1, None).is_ok(), "{n}");
    }
    let fill = store.fill(1);
    assert!(fill.bytes <= fill.bytes_max);
}

#[test]
fn what_is_asked_for_stays_longer() {
    let store = Store::new(64 * 1024);
    store.put(key(0), entry("t", "u", 1_000, 0), 0);
    for n in 1..200 {
        assert!(store.get(&key(0), 1, None).is_ok(), "{n}");
        store.put(key(n), entry("t", "u", 1_000, 0), 0);
    }
    assert!(store.get(&key(1), 1, None).is_err());
}

#[test]
fn an_answer_that_is_too_large_is_not_kept() {
    let store = Store::new(8 * 1024);
    assert_eq!(
        store.put(key(1), entry("t", "u", 1_100, 0), 0),
        Put::TooLarge
    );
    assert_eq!(store.fill(0).entries, 0);
}

#[test]
fn purges_fit_everything_they_say() {
    let store = Store::new(1 << 20);
    let mut n = 0;
    for tenant in ["a", "b"] {
        for user in ["u", "v"] {
            for made in [10, 20] {
                n += 1;
                store.put(key(n), entry(tenant, user, 10, made), made);
            }
        }
    }
    let of = |tenant: Option<&str>, user: Option<&str>, before| Purge {
        tenant: tenant.map(str::to_owned),
        user: user.map(str::to_owned),
        before_ms: before,
        ..Purge::default()
    };
    assert_eq!(store.list(&of(Some("a"), Some("u"), None)).len(), 2);
    assert_eq!(store.purge(&of(Some("a"), Some("u"), Some(15))), 1);
    assert_eq!(store.purge(&of(None, Some("v"), None)), 4);
    let source = Purge {
        source: Some([10; 16]),
        ..Purge::default()
    };
    assert_eq!(store.purge(&source), 1);
    assert_eq!(store.purge(&Purge::default()), 2);
    assert_eq!(store.fill(0).bytes, 0);
}

proptest! {
    /// After any history the sums are those of the entries that are there, and the bound holds.
    #[test]
    fn the_books_balance(steps in proptest::collection::vec((0usize..40, 0usize..3, 0usize..4, 0usize..3_000, 0u8..10), 1..300)) {
        let store = Store::new(40 * 1024);
        let mut now = 0;
        for (n, tenant, user, size, what) in steps {
            now += 60_000;
            let (tenant, user) = (format!("t{tenant}"), format!("u{user}"));
            match what {
                0 => drop(store.purge(&Purge { user: Some(user), ..Purge::default() })),
                1 => drop(store.get(&key(n), now, None)),
                2 => store.bound(20 * 1024 + size),
                _ => drop(store.put(key(n), entry(&tenant, &user, size, now), now)),
            }
            let inner = store.lock();
            let sum: usize = inner.slots.values().map(|slot| slot.size).sum();
            let tenants: usize = inner.tenants.values().map(|share| share.bytes).sum();
            let users: usize = inner.tenants.values().flat_map(|t| t.users.values()).map(|u| u.bytes).sum();
            let ranked: usize = inner.by_size.iter().map(|(size, _)| *size).sum();
            prop_assert_eq!([sum; 4], [inner.bytes, tenants, users, ranked]);
            prop_assert!(inner.bytes <= inner.bytes_max);
            prop_assert!(inner.expiry.len() <= 2 * inner.slots.len() + 64);
        }
    }
}
