use super::*;
use crate::cache::answer::{Answer, Voice};
use crate::cache::guard::Strictness;
use crate::cache::store::{Entry, Owner, Purge, Put};
use aplomb_core::event::FinishReason;

const HOUR: Duration = Duration::from_secs(3600);
const SPACE: Digest = Digest([1; 32]);

fn answer(text: &str) -> Arc<Answer> {
    Arc::new(Answer {
        target: "up/m".into(),
        simulated: false,
        model: "m".into(),
        parts: vec![(Voice::Text, text.into())],
        finish: FinishReason::Stop,
        usage: None,
        ttft: Duration::ZERO,
        rest: Duration::ZERO,
        pieces: 1,
    })
}

fn key(n: u8) -> Digest {
    Digest([n; 32])
}

/// A direction in a plane, so that cosines are known.
fn vector(degrees: f32) -> Vec<f32> {
    let angle = degrees.to_radians();
    let mut all = vec![0.0; 64];
    (all[0], all[1]) = (angle.cos(), angle.sin());
    all
}

fn put(store: &Store, n: u8, question: &str, vector: Option<Vec<f32>>) {
    let entry = Entry {
        answer: answer(question),
        owner: Owner {
            tenant: "t".into(),
            user: "u".into(),
            route: "chat".into(),
        },
        source: [n; 16],
        made_ms: 0,
        ttl: Duration::ZERO,
        alike: Some(Alike {
            space: SPACE,
            features: Arc::new(Features::of(question)),
            vector,
            dims: 64,
            ttl: HOUR,
        }),
    };
    assert_eq!(store.put(key(n), entry, 0), Put::Kept { evicted: 0 });
}

struct Q {
    features: Features,
    vector: Vec<f32>,
}

impl Q {
    fn new(text: &str, degrees: f32) -> Self {
        Q {
            features: Features::of(text),
            vector: vector(degrees),
        }
    }

    fn asking<'a>(&'a self, space: &'a Digest, now_ms: u64) -> Asking<'a> {
        Asking {
            space,
            features: &self.features,
            now_ms,
            max_age: None,
        }
    }

    fn ask(&self, store: &Store) -> Result<Match, NoMatch> {
        let limits = Limits::from(Strictness::Strict);
        near(store, &self.asking(&SPACE, 1), &self.vector, &limits)
    }
}

fn cancelling() -> Store {
    let store = Store::new(1 << 20);
    put(
        &store,
        1,
        "How do I cancel the Pro plan?",
        Some(vector(0.0)),
    );
    put(
        &store,
        2,
        "How do I cancel the Team plan?",
        Some(vector(8.0)),
    );
    store
}

#[test]
fn the_guard_decides_and_not_the_nearest_vector() {
    let store = cancelling();
    // The vector lies on that of the other plan.
    let hit = Q::new("Please, how do I cancel the Pro plan?", 8.0)
        .ask(&store)
        .unwrap();
    assert_eq!(hit.found.answer.text(), "How do I cancel the Pro plan?");
    assert!(hit.score >= 0.9);
    let other = Q::new("How do I cancel the Basic plan?", 0.0)
        .ask(&store)
        .unwrap_err();
    assert!(["slot", "name"].contains(&other.reason), "{other:?}");
    assert!(other.cosine.unwrap() > 0.99);
    let far = Q::new("How do I cancel the Pro plan?", 90.0)
        .ask(&store)
        .unwrap_err();
    assert_eq!((far.reason, far.cosine), ("unknown", None));
}

#[test]
fn another_spelling_needs_no_vector_and_other_namespaces_are_out_of_reach() {
    let store = Store::new(1 << 20);
    put(&store, 1, "How do I cancel the Pro plan?", None);
    let asked = Q::new("how do I CANCEL the pro plan", 0.0);
    let limits = Limits::from(Strictness::Strict);
    let found = same(&store, &asked.asking(&SPACE, 1), &limits).unwrap();
    assert_eq!(found.found.answer.text(), "How do I cancel the Pro plan?");
    let polite = Q::new("Hi there, how do I cancel the Pro plan please?", 0.0);
    let found = same(&store, &polite.asking(&SPACE, 1), &limits).unwrap();
    assert!(found.score < 1.0);
    let other = Q::new("How do I not cancel the Pro plan?", 0.0);
    assert!(same(&store, &other.asking(&SPACE, 1), &limits).is_none());
    assert!(same(&store, &asked.asking(&key(9), 1), &limits).is_none());
    let late = asked.asking(&SPACE, 3_600_000);
    assert!(same(&store, &late, &limits).is_none());
}

#[test]
fn a_vector_may_come_later_and_only_to_its_own_entry() {
    let store = Store::new(1 << 20);
    put(&store, 1, "How do I cancel the Pro plan?", None);
    let asked = Q::new("Hello, how do I cancel the Pro plan?", 0.0);
    assert!(asked.ask(&store).is_err());
    store.attach(&key(1), &[7; 16], &vector(0.0));
    assert!(
        asked.ask(&store).is_err(),
        "the vector of an entry that is gone"
    );
    store.attach(&key(1), &[1; 16], &vector(0.0));
    assert!(asked.ask(&store).is_ok());
    assert_eq!(store.fill(1).vectors, 1);
}

#[test]
fn what_is_removed_is_no_longer_found_and_leaves_nothing() {
    let store = cancelling();
    let purge = Purge {
        source: Some([1; 16]),
        ..Purge::default()
    };
    assert_eq!(store.purge(&purge), 1);
    assert!(
        Q::new("Please, how do I cancel the Pro plan?", 0.0)
            .ask(&store)
            .is_err()
    );
    assert!(
        Q::new("Please, how do I cancel the Team plan?", 8.0)
            .ask(&store)
            .is_ok()
    );
    assert_eq!(store.purge(&Purge::default()), 1);
    assert!(!store.has_space(&SPACE));
    assert_eq!(store.fill(1).bytes, 0);
}

#[test]
fn of_two_entries_of_one_question_the_other_one_stays() {
    let store = Store::new(1 << 20);
    let question = "How do I cancel the Pro plan?";
    put(&store, 1, question, Some(vector(0.0)));
    put(&store, 2, question, Some(vector(0.0)));
    let purge = Purge {
        source: Some([2; 16]),
        ..Purge::default()
    };
    assert_eq!(store.purge(&purge), 1);
    let asked = Q::new("What is the way to cancel the Pro plan?", 0.0);
    assert_eq!(asked.ask(&store).unwrap().found.source, [1; 16]);
    assert_eq!(store.fill(1).vectors, 1);
    store.purge(&Purge::default());
    assert_eq!(store.fill(1).vectors, 0);
    assert!(!store.has_space(&SPACE));
}

#[test]
fn answers_agree_by_the_words_they_share() {
    assert!(
        (agreement(
            "Open settings, then billing.",
            "Open the settings, then billing!"
        ) - 1.0)
            .abs()
            < 1e-6
    );
    assert!(agreement("Open settings, then billing.", "Write to the support team.") < 0.3);
    assert!((agreement("", "") - 1.0).abs() < 1e-6);
}
