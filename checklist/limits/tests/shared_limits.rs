//! What holds for counters in the memory of one process holds for those on a Redis too, and over several nodes.
//! The server's clock can't be moved: where it matters, the tests wait.
#![cfg(test)]

use aplomb_engines::redis::{Redis, Settings as At};
use aplomb_limits::calendar::{Calendar, Unit};
use aplomb_limits::counter::Now;
use aplomb_limits::key::Keyer;
use aplomb_limits::room::{Ask, Reservation, Room, Turn};
use aplomb_limits::rule::{Away, Meter, Rule, Window};
use aplomb_limits::shared::{Refusal, Settings, Shared};
use aplomb_limits::store::sqlite::SqliteLedger;
use aplomb_limits::store::{Ledger, LedgerStore};
use aplomb_limits::verdict::Broken;
use aplomb_testkit::redis::RedisServer;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const HOUR: u64 = 3_600_000;
/// A day in 2026.
const NOON: u64 = 1_790_000_000_000;

/// The clock of a node. It goes as fast as the server's and says another time, as clocks do.
#[derive(Clone)]
struct Clock {
    began: Instant,
    at: Arc<AtomicU64>,
}

impl Clock {
    fn at(ms: u64) -> Self {
        Clock {
            began: Instant::now(),
            at: Arc::new(AtomicU64::new(ms)),
        }
    }

    fn advance(&self, by: Duration) {
        let ms = u64::try_from(by.as_millis()).unwrap();
        self.at.fetch_add(ms, Ordering::Relaxed);
    }

    fn now(&self) -> Now {
        let went = u64::try_from(self.began.elapsed().as_millis()).unwrap();
        let run_ms = self.at.load(Ordering::Relaxed) + went;
        Now {
            run_ms,
            wall_ms: run_ms,
        }
    }
}

/// What counts: a room alone, or one that shares over a server.
struct Node {
    room: Arc<Room>,
    shared: Option<Arc<Shared>>,
    clock: Clock,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

static NODES: AtomicU64 = AtomicU64::new(0);

fn redis(url: &str) -> Redis {
    let at = At {
        url: url.to_owned(),
        user: None,
        password: None,
    };
    Redis::retrying(&at, Duration::from_millis(100)).unwrap()
}

impl Node {
    fn memory() -> Self {
        Node {
            room: Arc::default(),
            shared: None,
            clock: Clock::at(NOON),
            stop: watch::Sender::new(false),
            task: None,
        }
    }

    /// One that is in touch with its server, and waits so long for it.
    async fn sharing(server: &RedisServer, deadline: Duration) -> Self {
        let node = Self::starting(server, deadline);
        node.up().await;
        node
    }

    fn starting(server: &RedisServer, deadline: Duration) -> Self {
        Self::over(server, deadline, (Room::default(), None))
    }

    fn over(
        server: &RedisServer,
        deadline: Duration,
        (room, epoch): (Room, Option<PathBuf>),
    ) -> Self {
        let number = NODES.fetch_add(1, Ordering::Relaxed);
        let settings = Settings {
            installation: "test".to_owned(),
            node: format!("n{number}"),
            deadline,
            epoch,
        };
        let shared = Arc::new(Shared::new(redis(&server.url()), settings));
        let clock = Clock::at(NOON + number * 60_000);
        let stop = watch::Sender::new(false);
        let (runs, runs_by, stopped) = (shared.clone(), clock.clone(), stop.subscribe());
        #[expect(clippy::disallowed_methods, reason = "a test owns its tasks")]
        let task = tokio::spawn(async move { runs.run(|| runs_by.now(), stopped).await });
        Node {
            room: Arc::new(room),
            shared: Some(shared),
            clock,
            stop,
            task: Some(task),
        }
    }

    fn shared(&self) -> &Arc<Shared> {
        self.shared.as_ref().unwrap()
    }

    async fn up(&self) {
        until("the server is asked", || self.shared().is_up()).await;
    }

    async fn down(&self) {
        until("the server is given up", || !self.shared().is_up()).await;
    }

    async fn ask(&self, asks: &[Ask]) -> Result<Reservation, Refusal> {
        let now = self.clock.now();
        match &self.shared {
            Some(shared) => shared.reserve(&self.room, asks, (Turn::New, now)).await,
            None => {
                let own = self.room.reserve(asks, Turn::New, now);
                own.map_err(|broken| Refusal::Over {
                    broken,
                    alone: false,
                })
            }
        }
    }

    /// How often it lets in, of so many times.
    async fn count(&self, times: usize, asks: &[Ask]) -> usize {
        let mut served = 0;
        for _ in 0..times {
            served += usize::from(self.ask(asks).await.is_ok());
        }
        served
    }

    fn settle(&self, mut reservation: Reservation, used: impl Fn(Meter) -> Option<u64>) {
        reservation.settle(self.clock.now(), used);
    }

    /// Waits until the server knows everything.
    async fn told(&self) {
        if let Some(shared) = &self.shared {
            until("the server knows everything", || shared.owing() == 0).await;
            // The batch may be on its way.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends it as a crash does: it tells nothing more.
    fn killed(mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }

    async fn stopped(mut self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task.take() {
            task.await.unwrap();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn until(what: &str, is: impl Fn() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn rule(name: &str, meter: Meter, limit: u64, window: Window) -> Rule {
    Rule {
        name: name.into(),
        meter,
        limit,
        most: limit,
        window,
        burst: None,
        shadow: false,
        away: match meter {
            Meter::Cost => Away::Closed,
            _ => Away::Share,
        },
    }
}

fn hours(name: &str, meter: Meter, limit: u64) -> Rule {
    rule(name, meter, limit, Window::Sliding(3 * HOUR))
}

fn for_whom(rule: &Rule, amount: u64, user: &str) -> Ask {
    Ask {
        key: Keyer::new([7; 16]).key(&rule.name, [user]),
        limit: rule.limit,
        rule: Arc::new(rule.clone()),
        amount,
    }
}

fn ask(rule: &Rule, amount: u64) -> Ask {
    for_whom(rule, amount, "ada")
}

fn broken(refused: Result<Reservation, Refusal>) -> Vec<Broken> {
    match refused {
        Err(Refusal::Over { broken, .. }) => broken,
        Err(Refusal::Unavailable) => panic!("unavailable"),
        Ok(_) => panic!("let in"),
    }
}

const PATIENT: Duration = Duration::from_secs(5);

/// Runs a contract on memory and on a Redis.
async fn on_both<F: Future<Output = ()>>(contract: impl Fn(Node) -> F) {
    contract(Node::memory()).await;
    let server = RedisServer::start();
    contract(Node::sharing(&server, PATIENT).await).await;
}

fn windows() -> Vec<(&'static str, Window)> {
    let month = Calendar::new(Unit::Month, "Europe/Berlin", Some(15)).unwrap();
    vec![
        ("sliding", Window::Sliding(3 * HOUR)),
        ("month", Window::Calendar(Arc::new(month))),
        ("lifetime", Window::Lifetime),
        ("concurrent", Window::Concurrent),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_as_much_as_there_is_of_every_kind() {
    on_both(async |node: Node| {
        for (name, window) in windows() {
            let held = matches!(window, Window::Concurrent);
            let meter = if held {
                Meter::Concurrent
            } else {
                Meter::Requests
            };
            let rule = rule(name, meter, 5, window);
            let mut kept = Vec::new();
            for count in 1..=5 {
                let one = node.ask(&[ask(&rule, 1)]).await.ok().unwrap();
                let levels: Vec<u64> = one.standings().map(|one| one.level.used).collect();
                assert_eq!(levels, [count], "{name}");
                kept.push(one);
            }
            let over = broken(node.ask(&[ask(&rule, 1)]).await);
            assert_eq!((over.len(), over[0].standing.level.used), (1, 5), "{name}");
            let waits = !matches!(name, "lifetime" | "concurrent");
            assert_eq!(over[0].wait.is_some(), waits, "{name}");
            if let Some(wait) = over[0].wait.filter(|_| name == "sliding") {
                let most = Duration::from_millis(3 * HOUR + 3 * HOUR / 16);
                assert!(wait > Duration::from_millis(3 * HOUR - 1000) && wait <= most);
            }
            assert!(node.ask(&[for_whom(&rule, 1, "bob")]).await.is_ok());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_takes_from_all_rules_or_from_none() {
    on_both(async |node: Node| {
        let wide = hours("wide", Meter::Requests, 100);
        let tight = hours("tight", Meter::Tokens, 1000);
        let shadow = Rule {
            shadow: true,
            ..hours("shadow", Meter::Requests, 1)
        };
        let all = |tokens| [ask(&wide, 1), ask(&tight, tokens), ask(&shadow, 1)];
        let first = node.ask(&all(600)).await.ok().unwrap();
        assert!(first.shadowed.is_empty());
        let over = broken(node.ask(&all(600)).await);
        assert_eq!((over[0].at, over[0].amount), (1, 600));
        let second = node.ask(&all(400)).await.ok().unwrap();
        assert_eq!(second.shadowed.len(), 1, "a shadow rule tells and lets in");
        let wides: Vec<u64> = second.standings().map(|one| one.level.used).collect();
        assert_eq!(wides[0], 2, "who was refused was not counted");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_used_comes_back_once_and_what_was_more_is_a_debt() {
    on_both(async |node: Node| {
        let tokens = hours("tokens", Meter::Tokens, 1000);
        let held = rule("held", Meter::Concurrent, 1, Window::Concurrent);
        let both = |amount| [ask(&tokens, amount), ask(&held, 1)];
        let mut first = node.ask(&both(1000)).await.ok().unwrap();
        assert!(node.ask(&both(1)).await.is_err());
        first.settle(node.clock.now(), |_| Some(300));
        first.settle(node.clock.now(), |_| Some(0));
        drop(first);
        node.told().await;
        let second = node.ask(&both(700)).await.ok().unwrap();
        node.settle(second, |_| Some(900));
        node.told().await;
        let over = broken(node.ask(&[ask(&tokens, 1)]).await);
        assert_eq!(over[0].standing.level.used, 1200, "a debt");
        // A reservation that is dropped frees its place and stays charged.
        let other = [for_whom(&tokens, 10, "eve"), for_whom(&held, 1, "eve")];
        drop(node.ask(&other).await.ok().unwrap());
        node.told().await;
        let third = node.ask(&other).await.ok().unwrap();
        let used: Vec<u64> = third.standings().map(|one| one.level.used).collect();
        assert_eq!(used, [20, 1]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_grows_takes_more() {
    on_both(async |node: Node| {
        let tokens = hours("tokens", Meter::Tokens, 1000);
        let mut one = node.ask(&[ask(&tokens, 500)]).await.ok().unwrap();
        assert!(one.extend(node.clock.now(), |_| 300).is_ok());
        assert!(one.extend(node.clock.now(), |_| 300).is_err());
        node.told().await;
        let over = broken(node.ask(&[ask(&tokens, 300)]).await);
        assert_eq!(over[0].standing.level.used, 800);
        node.settle(one, |_| Some(650));
        node.told().await;
        assert!(node.ask(&[for_whom(&tokens, 350, "ada")]).await.is_ok());
        assert!(node.ask(&[ask(&tokens, 1)]).await.is_err());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_steady_pace_is_kept() {
    on_both(async |node: Node| {
        let pace = Rule {
            burst: Some(3),
            ..rule("pace", Meter::Requests, 60, Window::Sliding(HOUR))
        };
        assert_eq!(node.count(5, &[ask(&pace, 1)]).await, 3);
        let over = broken(node.ask(&[ask(&pace, 1)]).await);
        let wait = over[0].wait.unwrap().as_millis();
        assert!((50_000..=60_000).contains(&wait), "{wait}");
        assert_eq!(over[0].standing.level.used, 60);
        let never = broken(node.ask(&[ask(&pace, 4)]).await);
        assert_eq!(never[0].wait, None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_slide() {
    on_both(async |node: Node| {
        let short = rule("short", Meter::Requests, 4, Window::Sliding(400));
        let began = Instant::now();
        let mut times = Vec::new();
        while times.len() < 16 {
            match node.ask(&[ask(&short, 1)]).await {
                Ok(_) => times.push(began.elapsed()),
                Err(Refusal::Over { broken, .. }) => {
                    let wait = broken[0].wait.unwrap();
                    assert!(wait <= Duration::from_millis(400 + 26), "{wait:?}");
                    tokio::time::sleep(wait).await;
                }
                Err(Refusal::Unavailable) => panic!("unavailable"),
            }
        }
        for five in times.windows(5) {
            // From the sending of the first to the answer of the last.
            assert!(five[4] - five[0] >= Duration::from_millis(390), "{times:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_nodes_are_never_over_together() {
    let server = RedisServer::start();
    let mut nodes = Vec::new();
    for _ in 0..4 {
        nodes.push(Arc::new(Node::sharing(&server, PATIENT).await));
    }
    let requests = hours("requests", Meter::Requests, 300);
    let tokens = rule("tokens", Meter::Tokens, 100_000, Window::Lifetime);
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..64u64 {
        let node = nodes[usize::try_from(client).unwrap() % 4].clone();
        let (requests, tokens) = (requests.clone(), tokens.clone());
        let asks = move |amount| [ask(&requests, 1), ask(&tokens, amount)];
        let mut seed = client + 1;
        clients.spawn(async move {
            let (mut count, mut used) = (0u64, 0u64);
            for _ in 0..20 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let amount = 500 + seed % 1000;
                let Ok(one) = node.ask(&asks(amount)).await else {
                    continue;
                };
                let is = amount * (seed >> 32) % 11 / 10;
                let is = is.min(amount);
                node.settle(one, |meter| (meter == Meter::Tokens).then_some(is));
                count += 1;
                used += is;
            }
            (count, used)
        });
    }
    let (mut count, mut used) = (0, 0);
    while let Some(done) = clients.join_next().await {
        let (some, tokens) = done.unwrap();
        count += some;
        used += tokens;
    }
    assert!(used <= 100_000 && count <= 300, "{count} {used}");
    assert!(count == 300 || used > 95_000, "{count} {used}");
    for node in &nodes {
        node.told().await;
        assert_eq!(node.shared().counts().alone.load(Ordering::Relaxed), 0);
    }
    // The server knows what was used, not more and not less.
    let asked = nodes[0].ask(&[ask(&tokens, 0)]).await.ok().unwrap();
    let told: Vec<u64> = asked.standings().map(|one| one.level.used).collect();
    assert_eq!(told, [used]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_dropped_or_comes_too_late_takes_nothing() {
    let server = RedisServer::start();
    let node = Node::sharing(&server, Duration::from_millis(200)).await;
    let rule = rule("once", Meter::Tokens, 1000, Window::Lifetime);
    server.pause();
    for _ in 0..3 {
        let asks = [ask(&rule, 100)];
        let call = node.ask(&asks);
        assert!(
            tokio::time::timeout(Duration::from_millis(20), call)
                .await
                .is_err()
        );
    }
    // This one is decided here, when its time is over.
    let alone = node.ask(&[ask(&rule, 50)]).await.ok().unwrap();
    assert!(alone.is_alone());
    server.resume();
    node.told().await;
    node.up().await;
    node.told().await;
    let asked = node.ask(&[ask(&rule, 0)]).await.ok().unwrap();
    let told: Vec<u64> = asked.standings().map(|one| one.level.used).collect();
    assert_eq!(told, [50]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_of_a_killed_node_come_back_and_those_of_a_paused_server_do_not() {
    let server = RedisServer::start();
    let one = Node::sharing(&server, PATIENT).await;
    let other = Node::sharing(&server, PATIENT).await;
    let held = rule("held", Meter::Concurrent, 2, Window::Concurrent);
    let (mine, _theirs) = (
        one.ask(&[ask(&held, 1)]).await.ok().unwrap(),
        other.ask(&[ask(&held, 1)]).await.ok().unwrap(),
    );
    assert!(one.ask(&[ask(&held, 1)]).await.is_err());
    let killed = Instant::now();
    other.killed();
    let mut back = one.ask(&[ask(&held, 1)]).await;
    while back.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
        back = one.ask(&[ask(&held, 1)]).await;
    }
    let took = killed.elapsed();
    assert!(
        (Duration::from_millis(4500)..Duration::from_secs(8)).contains(&took),
        "{took:?}"
    );
    drop(back);
    drop(mine);
    // A server that stood still has heard nobody, and nobody is gone for that.
    let third = Node::sharing(&server, PATIENT).await;
    until("they know of one another", || one.shared().nodes() == 2).await;
    let _all = (
        one.ask(&[ask(&held, 1)]).await.ok().unwrap(),
        third.ask(&[ask(&held, 1)]).await.ok().unwrap(),
    );
    server.pause();
    tokio::time::sleep(Duration::from_millis(6000)).await;
    server.resume();
    for _ in 0..20 {
        assert!(one.ask(&[ask(&held, 1)]).await.is_err());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_server_each_node_has_its_share_and_what_it_used_is_told_later() {
    let server = RedisServer::start();
    let deadline = Duration::from_millis(50);
    let (one, other) = (
        Node::sharing(&server, deadline).await,
        Node::sharing(&server, deadline).await,
    );
    until("they know of one another", || one.shared().nodes() == 2).await;
    let requests = hours("requests", Meter::Requests, 100);
    assert_eq!(one.count(30, &[ask(&requests, 1)]).await, 30);
    server.pause();
    // The first calls still wait for it.
    let alone = one.count(200, &[ask(&requests, 1)]).await;
    one.down().await;
    assert_eq!(alone, 20, "its share is 50, and it has used 30");
    other.down().await;
    assert_eq!(other.count(200, &[ask(&requests, 1)]).await, 50);
    // Rules may say otherwise.
    let open = Rule {
        away: Away::Open,
        ..hours("open", Meter::Requests, 20)
    };
    assert_eq!(one.count(30, &[ask(&open, 1)]).await, 20);
    let closed = Rule {
        away: Away::Closed,
        ..hours("closed", Meter::Requests, 20)
    };
    assert!(matches!(
        one.ask(&[ask(&closed, 1)]).await,
        Err(Refusal::Unavailable)
    ));
    let money = Rule {
        away: Away::Share,
        ..rule("money", Meter::Cost, 20, Window::Lifetime)
    };
    assert_eq!(one.count(30, &[ask(&money, 1)]).await, 10);
    let Err(Refusal::Over { alone, .. }) = other.ask(&[ask(&requests, 1)]).await else {
        panic!("let in");
    };
    assert!(alone);
    server.resume();
    let resumed = Instant::now();
    one.up().await;
    other.up().await;
    assert!(
        resumed.elapsed() < Duration::from_secs(2),
        "{:?}",
        resumed.elapsed()
    );
    one.told().await;
    other.told().await;
    // Both have used 100 together: nothing is left, and nothing was counted twice.
    let asked = one.ask(&[ask(&requests, 0)]).await.ok().unwrap();
    let told: Vec<u64> = asked.standings().map(|one| one.level.used).collect();
    assert_eq!(told, [100]);
    assert!(one.ask(&[ask(&requests, 1)]).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_has_forgotten_everything_hears_it_from_the_nodes() {
    let mut server = RedisServer::start();
    let deadline = Duration::from_millis(500);
    let (one, other) = (
        Node::sharing(&server, deadline).await,
        Node::sharing(&server, deadline).await,
    );
    until("they know of one another", || one.shared().nodes() == 2).await;
    let money = rule("money", Meter::Cost, 1000, Window::Lifetime);
    let held = rule("held", Meter::Concurrent, 2, Window::Concurrent);
    for (node, amount) in [(&one, 300), (&other, 500)] {
        let spent = node.ask(&[ask(&money, amount)]).await.ok().unwrap();
        node.settle(spent, |_| None);
    }
    let flying = other
        .ask(&[ask(&money, 100), ask(&held, 1)])
        .await
        .ok()
        .unwrap();
    server.kill();
    one.down().await;
    other.down().await;
    // Nothing was given back here, so nothing can be spent.
    assert!(matches!(
        one.ask(&[ask(&money, 1)]).await,
        Err(Refusal::Unavailable)
    ));
    // What the call on its way gives back can be spent by its node.
    other.settle(flying, |_| Some(40));
    let spent = other.ask(&[ask(&money, 50)]).await.ok().unwrap();
    assert!(matches!(
        other.ask(&[ask(&money, 20)]).await,
        Err(Refusal::Unavailable)
    ));
    other.settle(spent, |_| None);
    // After a minute nothing can, whatever is left.
    other.clock.advance(Duration::from_mins(1));
    assert!(matches!(
        other.ask(&[ask(&money, 1)]).await,
        Err(Refusal::Unavailable)
    ));
    server.restart();
    let restarted = Instant::now();
    one.up().await;
    other.up().await;
    assert!(
        restarted.elapsed() < Duration::from_secs(2),
        "{:?}",
        restarted.elapsed()
    );
    let asked = one
        .ask(&[ask(&money, 0), ask(&held, 1)])
        .await
        .ok()
        .unwrap();
    let told: Vec<u64> = asked.standings().map(|one| one.level.used).collect();
    assert_eq!(told, [300 + 500 + 40 + 50, 1]);
    assert!(one.ask(&[ask(&money, 111)]).await.is_err());
    assert!(other.ask(&[ask(&money, 110)]).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_ends_tells_what_is_left_to_tell() {
    let server = RedisServer::start();
    let one = Node::sharing(&server, PATIENT).await;
    let tokens = rule("tokens", Meter::Tokens, 1000, Window::Lifetime);
    let taken = one.ask(&[ask(&tokens, 900)]).await.ok().unwrap();
    one.settle(taken, |_| Some(100));
    one.stopped().await;
    let other = Node::sharing(&server, PATIENT).await;
    let asked = other.ask(&[ask(&tokens, 900)]).await.ok().unwrap();
    let told: Vec<u64> = asked.standings().map(|one| one.level.used).collect();
    assert_eq!(told, [1000]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_never_met_the_server_is_careful() {
    let mut server = RedisServer::start();
    server.kill();
    let node = Node::starting(&server, Duration::from_millis(50));
    let requests = hours("requests", Meter::Requests, 100);
    assert_eq!(
        node.count(100, &[ask(&requests, 1)]).await,
        25,
        "as if there were four"
    );
    let money = rule("money", Meter::Cost, 1000, Window::Lifetime);
    assert!(matches!(
        node.ask(&[ask(&money, 1)]).await,
        Err(Refusal::Unavailable)
    ));
    server.restart();
    node.up().await;
    node.told().await;
    assert_eq!(node.count(100, &[ask(&requests, 1)]).await, 75);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_used_before_its_restart_is_told_to_another_server_and_not_twice_to_the_same() {
    let mut server = RedisServer::start();
    let folder = tempfile::tempdir().unwrap();
    let start = async |server: &RedisServer| {
        let mut store = SqliteLedger::open(&folder.path().join("limits.db")).unwrap();
        let before = store.load(NOON).unwrap();
        let ledger = Ledger::start(Box::new(store)).unwrap();
        let room = Room::default().with_journal(ledger.journal.clone(), before);
        let epoch = Some(folder.path().join("limits.epoch"));
        let node = Node::over(server, Duration::from_millis(500), (room, epoch));
        node.up().await;
        (node, ledger)
    };
    let money = rule("money", Meter::Cost, 1000, Window::Lifetime);
    let slides = hours("slides", Meter::Requests, 10);
    let both = [ask(&money, 100), ask(&slides, 1)];
    let used =
        |one: &Reservation| -> Vec<u64> { one.standings().map(|one| one.level.used).collect() };
    let (node, ledger) = start(&server).await;
    drop(node.ask(&both).await.ok().unwrap());
    node.stopped().await;
    ledger.close();
    // The same server knows it.
    let (node, ledger) = start(&server).await;
    assert_eq!(used(&node.ask(&both).await.ok().unwrap()), [200, 2]);
    node.stopped().await;
    ledger.close();
    // One that has forgotten does not, while the node is away and while it is there.
    server.kill();
    server.restart();
    let (node, ledger) = start(&server).await;
    assert_eq!(used(&node.ask(&both).await.ok().unwrap()), [300, 3]);
    node.told().await;
    server.kill();
    node.down().await;
    server.restart();
    node.up().await;
    let other = Node::sharing(&server, PATIENT).await;
    assert_eq!(used(&other.ask(&both).await.ok().unwrap()), [400, 4]);
    ledger.close();
}
