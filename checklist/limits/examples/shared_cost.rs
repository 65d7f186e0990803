//! What limits cost that nodes share: `cargo run --release -p aplomb-limits --example shared_cost`.
//!
//! Time of a reserve and settle in memory and over a real Redis on this machine, from one client and from 16; and the server's own time
//! for a script over 1, 4 and 8 counters, as it counts it itself.

#![expect(clippy::print_stdout, reason = "an example prints what it measures")]

use aplomb_engines::redis::{Redis, Settings as At};
use aplomb_limits::counter::Now;
use aplomb_limits::key::Keyer;
use aplomb_limits::room::{Ask, Room, Turn};
use aplomb_limits::rule::{Away, Meter, Rule, Window};
use aplomb_limits::shared::{Settings, Shared};
use aplomb_testkit::redis::RedisServer;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Requests of a measurement.
const ROUNDS: usize = 20_000;
/// Callers, each with counters of its own.
const USERS: usize = 50;

#[derive(Clone)]
struct Node {
    room: Arc<Room>,
    shared: Option<Arc<Shared>>,
    began: Instant,
}

fn rule(number: usize) -> Arc<Rule> {
    Arc::new(Rule {
        name: format!("rule-{number}").into(),
        meter: Meter::Requests,
        limit: 1_000_000,
        most: 1_000_000,
        // So short that all slots are in use, as they are of a longer one after a while.
        window: Window::Sliding(1_600),
        burst: None,
        shadow: false,
        away: Away::Share,
    })
}

fn asks(rules: &[Arc<Rule>], user: usize) -> Vec<Ask> {
    let (keyer, user) = (Keyer::new([5; 16]), user.to_string());
    let one = |rule: &Arc<Rule>| Ask {
        key: keyer.key(&rule.name, [user.as_str()]),
        limit: rule.limit,
        rule: rule.clone(),
        amount: 1,
    };
    rules.iter().map(one).collect()
}

impl Node {
    fn now(&self) -> Now {
        let went = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(0);
        Now {
            run_ms: 1_790_000_000_000 + went,
            wall_ms: 1_790_000_000_000 + went,
        }
    }

    /// One request: what it took until it was let in.
    async fn request(&self, asks: &[Ask]) -> Duration {
        let began = Instant::now();
        let reserved = match &self.shared {
            Some(shared) => {
                let now = self.now();
                let reserved = shared.reserve(&self.room, asks, (Turn::New, now)).await;
                reserved.ok()
            }
            None => self.room.reserve(asks, Turn::New, self.now()).ok(),
        };
        let took = began.elapsed();
        if let Some(mut reserved) = reserved {
            reserved.settle(self.now(), |_| None);
        }
        took
    }
}

async fn measure(node: &Node, rules: usize, clients: usize) -> (f64, f64) {
    let rules: Vec<Arc<Rule>> = (0..rules).map(rule).collect();
    let mut all = JoinSet::new();
    for client in 0..clients {
        let (node, rules) = (node.clone(), rules.clone());
        all.spawn(async move {
            let mut took = Vec::new();
            for round in 0..ROUNDS / clients {
                let asks = asks(&rules, (client + round * clients) % USERS);
                took.push(node.request(&asks).await);
            }
            took
        });
    }
    let mut took = Vec::new();
    while let Some(some) = all.join_next().await {
        took.extend(some.unwrap_or_default());
    }
    took.sort_unstable();
    let at = |percent: usize| {
        let at = took.get(took.len() * percent / 100);
        at.map_or(0.0, |took| took.as_secs_f64() * 1e6)
    };
    (at(50), at(99))
}

/// What the server itself has needed for a script, in microseconds.
fn script_us(server: &RedisServer) -> Option<f64> {
    let told = server.command(&[b"INFO", b"commandstats"]);
    let told = String::from_utf8_lossy(&told).into_owned();
    let line = told
        .lines()
        .find(|line| line.starts_with("cmdstat_evalsha:"))?;
    let (_, rest) = line.split_once("usec_per_call=")?;
    rest.split(',').next()?.parse().ok()
}

#[tokio::main]
async fn main() {
    let server = RedisServer::start();
    let at = At {
        url: server.url(),
        user: None,
        password: None,
    };
    let Ok(redis) = Redis::new(&at) else { return };
    let settings = Settings {
        installation: "cost".to_owned(),
        node: "one".to_owned(),
        deadline: Duration::from_secs(5),
        epoch: None,
    };
    let memory = Node {
        room: Arc::default(),
        shared: None,
        began: Instant::now(),
    };
    let shared = Node {
        room: Arc::default(),
        shared: Some(Arc::new(Shared::new(redis, settings))),
        ..memory.clone()
    };
    let stop = watch::Sender::new(false);
    let (node, stopped) = (shared.clone(), stop.subscribe());
    let mut runs = JoinSet::new();
    runs.spawn(async move {
        if let Some(shared) = &node.shared {
            shared.run(|| node.now(), stopped).await;
        }
    });
    while !shared.shared.as_ref().is_some_and(|shared| shared.is_up()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for clients in [1, 16] {
        for rules in [1, 4, 8] {
            let (p50, p99) = measure(&memory, rules, clients).await;
            println!("memory, {rules} rules, {clients} clients: p50 {p50:.1} us, p99 {p99:.1} us");
            let _ = server.command(&[b"CONFIG", b"RESETSTAT"]);
            let (p50, p99) = measure(&shared, rules, clients).await;
            let script = script_us(&server).unwrap_or(0.0);
            println!(
                "Redis,  {rules} rules, {clients} clients: p50 {p50:.1} us, p99 {p99:.1} us; a script {script:.1} us"
            );
        }
    }
    stop.send_replace(true);
    while runs.join_next().await.is_some() {}
}
