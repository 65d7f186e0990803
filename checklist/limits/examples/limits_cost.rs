//! What limits cost: `cargo run --release -p aplomb-limits --example limits_cost`.
//!
//! Time of one reserve and settle under 8 rules, memory of a million live counters, and ten million operations of 64 threads
//! with the most that was in any window.

#![expect(clippy::print_stdout, reason = "an example prints what it measures")]

use aplomb_limits::counter::Now;
use aplomb_limits::key::Keyer;
use aplomb_limits::room::{Ask, Room, Turn};
use aplomb_limits::rule::{Away, Meter, Rule, Window};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

fn at(ms: u64) -> Now {
    Now {
        run_ms: ms,
        wall_ms: ms,
    }
}

fn rule(name: &str, meter: Meter, limit: u64, window: Window) -> Arc<Rule> {
    Arc::new(Rule {
        name: name.into(),
        meter,
        limit,
        most: limit,
        window,
        burst: None,
        shadow: false,
        away: Away::Share,
    })
}

const MINUTE: Window = Window::Sliding(60_000);
const DAY: Window = Window::Sliding(86_400_000);

fn eight() -> [(Arc<Rule>, u64); 8] {
    [
        (rule("rpm", Meter::Requests, 60, MINUTE), 1),
        (rule("rpd", Meter::Requests, 1_000_000, DAY), 1),
        (rule("tpm", Meter::Tokens, 200_000, MINUTE), 900),
        (rule("itpm", Meter::InputTokens, 100_000, MINUTE), 500),
        (rule("otpm", Meter::OutputTokens, 100_000, MINUTE), 400),
        (rule("usd-day", Meter::Cost, 2_000_000_000, DAY), 1_000_000),
        (
            rule("usd", Meter::Cost, 500_000_000_000, Window::Lifetime),
            1_000_000,
        ),
        (rule("flight", Meter::Concurrent, 16, Window::Concurrent), 1),
    ]
}

fn asks(rules: &[(Arc<Rule>, u64)], keyer: &Keyer, user: &str) -> Vec<Ask> {
    let one = |(rule, amount): &(Arc<Rule>, u64)| Ask {
        key: keyer.key(&rule.name, ["acme", user]),
        limit: rule.limit,
        rule: rule.clone(),
        amount: *amount,
    };
    rules.iter().map(one).collect()
}

/// Median and 99th percentile of one request's reserve and settle, keys made anew for each.
fn time() {
    let (room, keyer, rules) = (Arc::new(Room::default()), Keyer::new([5; 16]), eight());
    let users: Vec<String> = (0..50_000).map(|n| format!("user-{n}")).collect();
    let mut took = Vec::new();
    for round in 0..4u64 {
        for (n, user) in (0u64..).zip(&users) {
            let now = at(1_000_000 + round * 20_000 + n / 5);
            let begun = Instant::now();
            let asks = asks(&rules, &keyer, user);
            let reserved = room.reserve(&asks, Turn::New, now);
            if let Ok(mut reservation) = reserved {
                reservation.settle(now, |meter| match meter {
                    Meter::Tokens => Some(700),
                    Meter::OutputTokens => Some(200),
                    Meter::Cost => Some(800_000),
                    Meter::Requests | Meter::InputTokens | Meter::Concurrent => None,
                });
            }
            took.push(begun.elapsed());
        }
    }
    took.sort();
    let quantile = |percent: usize| {
        took.get(took.len() * percent / 100)
            .copied()
            .unwrap_or_default()
    };
    println!(
        "8 rules, 50000 users: reserve + settle p50 {:?}, p99 {:?}",
        quantile(50),
        quantile(99)
    );
}

fn resident_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0)
}

/// Memory of a million counters, each with three uses in its window.
fn memory() {
    let before = resident_kib();
    let (room, keyer) = (Arc::new(Room::default()), Keyer::new([5; 16]));
    let rules = [
        (rule("rpm", Meter::Requests, 60, MINUTE), 1),
        (rule("tpm", Meter::Tokens, 200_000, MINUTE), 900),
    ];
    for round in 0..3u64 {
        for user in 0..500_000u64 {
            let asks = asks(&rules, &keyer, &format!("user-{user}"));
            let now = at(1_000_000 + round * 5_000 + user / 200);
            drop(room.reserve(&asks, Turn::New, now));
        }
    }
    let fill = room.fill();
    let mib = (resident_kib() - before) / 1024;
    println!("{} live counters: {mib} MiB", fill.counters);
}

/// Ten million reservations by 64 threads against counters that few pass; each window is then looked at.
fn violations() {
    const THREADS: u64 = 64;
    const EACH: u64 = 156_250;
    let (room, keyer) = (Arc::new(Room::default()), Keyer::new([5; 16]));
    let requests = rule("rpm", Meter::Requests, 60, MINUTE);
    let tokens = rule("tpm", Meter::Tokens, 12_000, MINUTE);
    let clock = AtomicU64::new(1_000_000);
    let users = 500u64;
    let begun = Instant::now();
    let logs: Vec<Vec<(u64, u64, u64)>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (room, requests, tokens, clock) = (&room, &requests, &tokens, &clock);
                scope.spawn(move || {
                    let mut log = Vec::new();
                    for n in 0..EACH {
                        // About a millisecond for each 40 requests: 250 s in all.
                        let ticks = clock.fetch_add(1, Ordering::Relaxed);
                        let now = 1_000_000 + (ticks - 1_000_000) / 40;
                        let user = (n * 7919 + thread * 104_729) % users;
                        let name = user.to_string();
                        let amount = 100 + n % 700;
                        let ask = |rule: &Arc<Rule>, amount| Ask {
                            key: keyer.key(&rule.name, [name.as_str()]),
                            limit: rule.limit,
                            rule: rule.clone(),
                            amount,
                        };
                        let both = [ask(requests, 1), ask(tokens, amount)];
                        if let Ok(mut reservation) = room.reserve(&both, Turn::New, at(now)) {
                            let really = amount / 2;
                            reservation.settle(at(now), |meter| {
                                (meter == Meter::Tokens).then_some(really)
                            });
                            log.push((user, reservation.at_ms, really));
                        }
                    }
                    log
                })
            })
            .collect();
        let logs = threads.into_iter().map(|thread| thread.join());
        logs.map(Result::unwrap_or_default).collect()
    });
    let took = begun.elapsed();
    let mut admitted: Vec<(u64, u64, u64)> = logs.into_iter().flatten().collect();
    admitted.sort_unstable();
    let (mut over, mut most) = (0, (0, 0));
    for (at, first) in admitted.iter().enumerate() {
        let rest = admitted.get(at..).unwrap_or_default();
        let inside = rest
            .iter()
            .take_while(|one| one.0 == first.0 && one.1 < first.1 + 60_000);
        let (count, sum) = inside.fold((0, 0), |(count, sum), one| (count + 1, sum + one.2));
        over += u64::from(count > 60 || sum > 12_000);
        most = (most.0.max(count), most.1.max(sum));
    }
    println!(
        "{} operations of {THREADS} threads in {took:?}, {} let in: {over} windows over their limit; most in one: {} of 60 requests, {} of 12000 tokens; held afterwards: {}",
        THREADS * EACH,
        admitted.len(),
        most.0,
        most.1,
        room.fill().held
    );
}

fn main() {
    time();
    memory();
    violations();
}
