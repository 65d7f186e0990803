//! What every place for kept answers promises: in memory, and over a real Redis between two nodes.
#![cfg(test)]

use aplomb_core::event::FinishReason;
use aplomb_engines::redis::{Redis, Settings};
use aplomb_latency::cache::alike::{Alike, Asking, near};
use aplomb_latency::cache::answer::{Answer, Voice};
use aplomb_latency::cache::guard::{Features, Limits, Strictness};
use aplomb_latency::cache::key::Digest;
use aplomb_latency::cache::shared::Shared;
use aplomb_latency::cache::store::{Entry, Owner, Purge, Store};
use aplomb_testkit::redis::RedisServer;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

const MAX: usize = 1 << 20;
const NOW: u64 = 1_000_000;
const SECRET: &[u8] = b"of the installation";
const SPACE: Digest = Digest([7; 32]);

fn key(n: u8) -> Digest {
    Digest([n; 32])
}

fn entry(n: u8, user: &str, text: &str) -> Entry {
    Entry {
        answer: Arc::new(Answer {
            target: "up/m".into(),
            simulated: false,
            model: "m".into(),
            parts: vec![(Voice::Text, text.into())],
            finish: FinishReason::Stop,
            usage: None,
            ttft: Duration::ZERO,
            rest: Duration::ZERO,
            pieces: 1,
        }),
        owner: Owner {
            tenant: "t".into(),
            user: user.into(),
            route: "chat".into(),
        },
        source: [n; 16],
        made_ms: NOW,
        ttl: Duration::from_secs(60),
        alike: Some(Alike {
            space: SPACE,
            features: Arc::new(Features::of(text)),
            vector: Some(vec![1.0, 0.0]),
            dims: 2,
            ttl: Duration::from_secs(60),
        }),
    }
}

/// A node: what it keeps itself, and the cache it shares.
struct Node {
    store: Arc<Store>,
    shared: Option<Arc<Shared>>,
    follows: Option<JoinHandle<()>>,
}

impl Node {
    fn alone() -> Self {
        Node {
            store: Arc::new(Store::new(MAX)),
            shared: None,
            follows: None,
        }
    }

    fn on(server: &RedisServer, name: &str) -> Self {
        let settings = Settings {
            url: server.url(),
            user: None,
            password: None,
        };
        let redis = Redis::new(&settings).unwrap();
        let shared = Shared::new(redis, "faq", name, SECRET.into());
        let mut node = Node::alone();
        node.shared = Some(Arc::new(shared));
        node
    }

    #[expect(clippy::disallowed_methods, reason = "the test ends its task itself")]
    fn following(self) -> Self {
        let (shared, store) = (self.shared.clone().unwrap(), self.store.clone());
        let follows = tokio::spawn(async move { shared.run(&store, || NOW).await });
        let mut node = self;
        node.follows = Some(follows);
        node
    }

    fn shared(&self) -> &Shared {
        self.shared.as_ref().unwrap()
    }

    async fn put(&self, n: u8, entry: Entry) {
        self.store.put(key(n), entry.clone(), NOW);
        if let Some(shared) = &self.shared {
            shared.put(key(n), entry, NOW).await;
        }
    }

    /// What is said under a key at a time.
    async fn get(&self, n: u8, now_ms: u64) -> Option<String> {
        let told = |store: &Store| {
            let found = store.get(&key(n), now_ms, None).ok()?;
            Some(found.answer.text())
        };
        if let Some(said) = told(&self.store) {
            return Some(said);
        }
        let shared = self.shared.as_ref()?;
        shared.fetch(&self.store, &key(n), now_ms).await;
        told(&self.store)
    }

    async fn purge(&self, purge: &Purge) {
        self.store.purge(purge);
        if let Some(shared) = &self.shared {
            shared.purge(purge).await.unwrap();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(task) = &self.follows {
            task.abort();
        }
    }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < limit, "waited in vain for {what}");
        tokio::task::yield_now().await;
    }
}

/// What holds between who puts and who asks.
async fn contract(puts: &Node, asks: &Node) {
    puts.put(1, entry(1, "ada", "How do I cancel the Pro plan?"))
        .await;
    puts.put(2, entry(2, "bob", "How do I cancel the Team plan?"))
        .await;
    until("an entry", async || asks.get(1, NOW).await.is_some()).await;
    let second = asks.get(2, NOW).await;
    assert_eq!(second.as_deref(), Some("How do I cancel the Team plan?"));
    assert_eq!(asks.get(3, NOW).await, None);
    // Its time is over.
    assert_eq!(asks.get(1, NOW + 60_000).await, None);
    puts.put(1, entry(1, "ada", "Another answer")).await;
    until("the later answer", async || {
        asks.get(1, NOW).await.as_deref() == Some("Another answer")
    })
    .await;
    let of = Purge {
        user: Some("ada".to_owned()),
        ..Purge::default()
    };
    puts.purge(&of).await;
    until("the purge", async || asks.get(1, NOW).await.is_none()).await;
    assert!(asks.get(2, NOW).await.is_some());
    puts.purge(&Purge::default()).await;
    until("the purge of all", async || {
        asks.get(2, NOW).await.is_none()
    })
    .await;
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    let node = Node::alone();
    contract(&node, &node).await;
}

#[tokio::test]
async fn two_nodes_on_one_redis_keep_the_contract() {
    let server = RedisServer::start();
    let one = Node::on(&server, "one").following();
    let other = Node::on(&server, "other").following();
    contract(&one, &other).await;
    contract(&other, &one).await;
}

#[tokio::test]
async fn a_node_that_comes_later_finds_what_was_put_before_by_other_words_too() {
    let server = RedisServer::start();
    let early = Node::on(&server, "early");
    early
        .put(1, entry(1, "ada", "How do I cancel the Pro plan?"))
        .await;
    let late = Node::on(&server, "late").following();
    until("the entries of before", async || {
        late.store.fill(NOW).vectors == 1
    })
    .await;
    let asking = Asking {
        space: &SPACE,
        features: &Features::of("What is the way to cancel the Pro plan?"),
        now_ms: NOW,
        max_age: None,
    };
    let limits = Limits::from(Strictness::Strict);
    let found = near(&late.store, &asking, &[1.0, 0.0], &limits).unwrap();
    assert_eq!(found.found.source, [1; 16]);
}

#[tokio::test]
async fn a_poisoned_entry_is_dropped() {
    let server = RedisServer::start();
    let node = Node::on(&server, "node");
    let name = format!("aplomb:cache:faq:e:{}", "01".repeat(32));
    let poison = b"apc1 and an answer that nobody gave";
    server.command(&[b"SET", name.as_bytes(), poison]);
    assert_eq!(node.get(1, NOW).await, None);
    let counts = node.shared().counts();
    assert_eq!(counts.dropped.load(Ordering::Relaxed), 1);
    // One that belongs to another key is none either.
    node.put(2, entry(2, "ada", "of two")).await;
    let other = format!("aplomb:cache:faq:e:{}", "02".repeat(32));
    server.command(&[b"COPY", other.as_bytes(), name.as_bytes(), b"REPLACE"]);
    assert_eq!(node.get(1, NOW).await, None);
    assert_eq!(counts.dropped.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn while_it_is_away_nodes_go_on_alone_and_meet_again() {
    let mut server = RedisServer::start();
    let one = Node::on(&server, "one").following();
    let other = Node::on(&server, "other").following();
    one.put(1, entry(1, "ada", "before")).await;
    until("the entry", async || other.get(1, NOW).await.is_some()).await;
    server.kill();
    let begun = Instant::now();
    one.put(2, entry(2, "ada", "meanwhile")).await;
    assert_eq!(one.get(2, NOW).await.as_deref(), Some("meanwhile"));
    assert_eq!(other.get(1, NOW).await.as_deref(), Some("before"));
    assert_eq!(other.get(2, NOW).await, None);
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "nobody waits for it"
    );
    assert!(!one.shared().is_up());
    assert!(one.shared().purge(&Purge::default()).await.is_err());
    server.restart();
    until("the server", async || {
        one.put(3, entry(3, "ada", "after")).await;
        other.get(3, NOW).await.is_some()
    })
    .await;
    assert!(one.shared().is_up());
}

#[tokio::test]
async fn one_that_stands_still_costs_a_request_no_more_than_the_wait_for_it() {
    let server = RedisServer::start();
    let node = Node::on(&server, "node");
    assert_eq!(node.get(1, NOW).await, None);
    server.pause();
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(node.get(1, NOW).await, None);
    }
    // After three waits of 25 ms it is left alone for a second.
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    server.resume();
}
