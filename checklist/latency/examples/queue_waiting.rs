//! Measures the queue before a target: memory of waiting calls, how soon a storm of them is gone, what a turn costs.
//! `cargo run --release -p aplomb-latency --example queue_waiting`.

use aplomb_latency::queue::{
    Call, Class, Permit, Queue, Rule, Slots, Turn, WAITING_MAX, Waiting, Who,
};
use std::future::Future;
use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// Queues that are filled at once for the memory.
const QUEUES: usize = 20;
const TURNS: u32 = 1_000_000;
const HOUR: Duration = Duration::from_secs(3600);

const RULE: Rule = Rule {
    slots: Slots::Fixed(1),
    per_user: 3,
    interactive: HOUR,
    batch: HOUR,
};

fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|n| n.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}

/// Two hundred calls a tenant, each of a user of its own.
fn call(n: usize, now: Instant) -> Call {
    Call {
        who: Who {
            tenant: format!("tenant-{}", n / 200).into(),
            user: format!("user-{n}").into(),
        },
        class: Class::Interactive,
        cost: 1000,
        weight: 1,
        until: now + HOUR,
    }
}

fn enter(queue: &Arc<Queue>, n: usize, now: Instant) -> Option<Turn> {
    queue.enter(RULE, call(n, now), now).ok()
}

/// A queue whose only slot is taken, and who waits in it.
fn full(now: Instant) -> (Arc<Queue>, Option<Permit>, Vec<Waiting>) {
    let queue = Arc::new(Queue::default());
    let permit = match enter(&queue, 0, now) {
        Some(Turn::Now(permit)) => Some(permit),
        _ => None,
    };
    let cx = &mut Context::from_waker(Waker::noop());
    let mut waiting = Vec::with_capacity(WAITING_MAX);
    for n in 0..WAITING_MAX {
        if let Some(Turn::Later(mut call)) = enter(&queue, n, now) {
            let _ = Pin::new(&mut call).poll(cx);
            waiting.push(call);
        }
    }
    (queue, permit, waiting)
}

/// Tells the number of a call whose turn it is.
struct Bell {
    number: usize,
    sender: SyncSender<usize>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let _ = self.sender.try_send(self.number);
    }
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout();
    let now = Instant::now();
    let before = resident_bytes();
    let queues: Vec<_> = (0..QUEUES).map(|_| full(now)).collect();
    let waiting: usize = queues.iter().map(|(queue, ..)| queue.fill().waiting).sum();
    let bytes = (resident_bytes() - before) / waiting.max(1);
    writeln!(out, "{waiting} waiting calls: {bytes} bytes each")?;

    let (mut drops, mut worst) = (Vec::new(), 0.0_f64);
    for (queue, permit, calls) in queues {
        let begun = Instant::now();
        drop(calls);
        let took = millis(begun);
        worst = worst.max(took);
        drops.push(took);
        drop(permit);
        let fill = queue.fill();
        if fill.running + fill.waiting > 0 {
            writeln!(out, "left behind: {fill:?}")?;
        }
    }
    drops.sort_by(f64::total_cmp);
    let median = drops.get(drops.len() / 2).copied().unwrap_or_default();
    writeln!(
        out,
        "{WAITING_MAX} leave in {median:.1} ms (median of {QUEUES}), {worst:.1} ms (slowest)"
    )?;

    let queue = Arc::new(Queue::default());
    let one = call(0, now);
    let begun = Instant::now();
    for _ in 0..TURNS {
        if let Ok(Turn::Now(permit)) = queue.enter(RULE, one.clone(), now) {
            permit.end(now);
        }
    }
    let nanos = begun.elapsed().as_secs_f64() * 1e9 / f64::from(TURNS);
    writeln!(out, "a turn at once: {nanos:.0} ns")?;

    let (queue, mut permit, waiting) = full(now);
    let (sender, rung) = std::sync::mpsc::sync_channel(WAITING_MAX);
    let mut bells = Vec::with_capacity(waiting.len());
    for (number, mut call) in waiting.into_iter().enumerate() {
        let sender = sender.clone();
        let waker = Waker::from(Arc::new(Bell { number, sender }));
        let _ = Pin::new(&mut call).poll(&mut Context::from_waker(&waker));
        bells.push((call, waker));
    }
    let mut turns = 0;
    let begun = Instant::now();
    while let Some(running) = permit.take() {
        running.end(now);
        let woken = rung
            .try_recv()
            .ok()
            .and_then(|number| bells.get_mut(number));
        if let Some((call, waker)) = woken
            && let Poll::Ready(Ok(next)) = Pin::new(call).poll(&mut Context::from_waker(waker))
        {
            permit = Some(next);
            turns += 1;
        }
    }
    let micros = begun.elapsed().as_secs_f64() * 1e6 / f64::from(turns.max(1));
    writeln!(
        out,
        "a turn after a wait, {WAITING_MAX} waiting at first: {micros:.2} us ({turns} turns)"
    )?;
    writeln!(out, "left: {} waiting", queue.fill().waiting)
}
