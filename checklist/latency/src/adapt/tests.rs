//! A simulated server behind a learned limit. Run with `-- --nocapture` for the figures.

use super::*;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// A server that works on so many calls at a time; the others wait inside it, and their first content comes later.
struct Server {
    capacity: usize,
    /// Everything takes so many times as long.
    slow: f64,
    working: usize,
    waiting: VecDeque<Call>,
}

#[derive(Clone, Copy)]
struct Call {
    began: f64,
    first: f64,
    tokens: f64,
}

#[derive(Clone, Copy)]
enum Event {
    First(Call),
    Ends(Call),
}

struct Play {
    limit: Limit,
    start: Instant,
    server: Server,
    random: fastrand::Rng,
    /// By microseconds, so that they have a total order.
    events: BinaryHeap<Reverse<(u64, usize)>>,
    kinds: Vec<Event>,
    running: usize,
}

/// Mean seconds: to the first content of a call alone, and between its tokens, of which there are 100.
const FIRST_CONTENT: f64 = 0.3;
const TOKEN: f64 = 0.025;
const TOKENS: f64 = 100.0;

fn micros(seconds: f64) -> u64 {
    u64::try_from(Duration::from_secs_f64(seconds).as_micros()).unwrap()
}

impl Play {
    fn new(rule: Rule, capacity: usize) -> Self {
        let start = Instant::now();
        Play {
            limit: Limit::new(rule, start),
            start,
            server: Server {
                capacity,
                slow: 1.0,
                working: 0,
                waiting: VecDeque::new(),
            },
            random: fastrand::Rng::with_seed(3),
            events: BinaryHeap::new(),
            kinds: Vec::new(),
            running: 0,
        }
    }

    fn push(&mut self, at: f64, event: Event) {
        self.kinds.push(event);
        self.events
            .push(Reverse((micros(at), self.kinds.len() - 1)));
    }

    /// Log-normal around 1 with a sigma of 0.5.
    fn spread(&mut self) -> f64 {
        let normal = (-2.0 * (1.0 - self.random.f64()).ln()).sqrt()
            * (std::f64::consts::TAU * self.random.f64()).cos();
        (0.5 * normal - 0.125).exp()
    }

    fn works(&mut self, call: Call, at: f64) {
        self.server.working += 1;
        let first = at + FIRST_CONTENT * self.server.slow * self.spread();
        self.push(first, Event::First(call));
    }

    /// There is always somebody who wants a call.
    fn fill(&mut self, at: f64) {
        while self.running < self.limit.calls() {
            self.running += 1;
            let tokens = TOKENS * self.spread();
            let call = Call {
                began: at,
                first: at,
                tokens,
            };
            if self.server.working < self.server.capacity {
                self.works(call, at);
            } else {
                self.server.waiting.push_back(call);
            }
        }
    }

    fn now(&self, at: f64) -> Instant {
        self.start + Duration::from_secs_f64(at)
    }

    fn took(&mut self, signal: Signal, time: f64, at: f64) {
        let (busy, now) = (self.running, self.now(at));
        self.limit
            .took(signal, Duration::from_secs_f64(time), busy, now);
    }

    /// Lets time pass from one moment to another; mean, least and greatest limit of that time.
    fn until(&mut self, (from, to): (f64, f64)) -> (f64, usize, usize) {
        self.fill(from);
        let (mut sum, mut last, mut least, mut most) = (0.0, from, usize::MAX, 0);
        while let Some(Reverse((micros, event))) = self.events.peek().copied() {
            let at = Duration::from_micros(micros).as_secs_f64();
            let calls = self.limit.calls();
            sum += real(calls) * (at.min(to) - last);
            (last, least, most) = (at, least.min(calls), most.max(calls));
            if at >= to {
                break;
            }
            self.events.pop();
            match self.kinds[event] {
                Event::First(call) => {
                    self.took(Signal::FirstContent, at - call.began, at);
                    let pace = TOKEN * self.server.slow * self.spread();
                    let call = Call { first: at, ..call };
                    self.push(at + pace * call.tokens, Event::Ends(call));
                }
                Event::Ends(call) => {
                    self.took(Signal::PerToken, (at - call.first) / call.tokens, at);
                    self.running -= 1;
                    self.server.working -= 1;
                    while self.server.working < self.server.capacity
                        && let Some(next) = self.server.waiting.pop_front()
                    {
                        self.works(next, at);
                    }
                }
            }
            self.fill(at);
        }
        (sum / (to - from), least, most)
    }
}

const OWN: Rule = Rule {
    manner: Manner::Latency,
    min: 1,
    max: 200,
};

#[test]
fn the_limit_settles_at_what_a_server_can_do() {
    println!("| server's capacity | mean limit | least | greatest |\n|---|---|---|---|");
    for capacity in [2, 4, 12, 40] {
        let mut play = Play::new(OWN, capacity);
        play.until((0.0, 300.0));
        let (mean, least, most) = play.until((300.0, 1800.0));
        println!("| {capacity} | {mean:.1} | {least} | {most} |");
        let real = real(capacity);
        assert!(
            (real..=1.1 * real + 1.0).contains(&mean),
            "{capacity}: {mean}"
        );
        assert!(10 * least >= 9 * capacity, "{capacity}: {least}");
        assert!(5 * most <= 6 * capacity + 5, "{capacity}: {most}");
    }
}

#[test]
fn the_limit_follows_a_server_that_gets_worse_and_recovers() {
    let mut play = Play::new(OWN, 12);
    play.until((0.0, 300.0));
    // A minute after a change it has found out.
    let mut phase = |capacity, slow, (from, to): (f64, f64)| {
        play.server.capacity = capacity;
        play.server.slow = slow;
        play.until((from, from + 60.0));
        let seen = play.until((from + 60.0, to));
        println!("capacity {capacity}, times x {slow}: {seen:.1?}");
        seen.0
    };
    let good = phase(12, 1.0, (300.0, 600.0));
    let less = phase(4, 1.0, (600.0, 900.0));
    let more = phase(12, 1.0, (900.0, 1200.0));
    // When everything takes longer, what is usual is learned anew: that takes some minutes at the least limit.
    phase(12, 3.0, (1200.0, 1800.0));
    let slow = phase(12, 3.0, (1800.0, 2400.0));
    let fast = phase(12, 1.0, (2400.0, 2700.0));
    assert!((12.0..=15.0).contains(&good), "{good}");
    assert!((4.0..=6.0).contains(&less), "{less}");
    assert!((12.0..=15.0).contains(&more), "{more}");
    assert!((8.0..=15.0).contains(&slow), "{slow}");
    assert!((12.0..=20.0).contains(&fast), "{fast}");
}

const HOSTED: Rule = Rule {
    manner: Manner::Errors,
    min: 1,
    max: 200,
};

/// A second with so many calls at a time: all are answered, or one of them is refused.
fn second(limit: &mut Limit, refused: bool, now: Instant) {
    let busy = limit.calls();
    if refused {
        limit.refused(now, now);
    }
    for _ in 0..busy {
        limit.took(
            Signal::FirstContent,
            Duration::from_millis(500),
            busy,
            now + WINDOW,
        );
    }
}

#[test]
fn refusals_hold_the_limit_just_below_what_a_provider_takes() {
    let mut now = Instant::now();
    let mut limit = Limit::new(HOSTED, now);
    assert_eq!(limit.calls(), 20);
    let (mut least, mut most) = (usize::MAX, 0);
    for n in 0..600 {
        let refused = limit.calls() > 30;
        second(&mut limit, refused, now);
        now += WINDOW;
        if n > 60 {
            (least, most) = (least.min(limit.calls()), most.max(limit.calls()));
        }
    }
    assert!(least >= 27 && most <= 31, "{least}..{most}");
}

#[test]
fn a_burst_of_refusals_is_one() {
    let now = Instant::now();
    let mut limit = Limit::new(HOSTED, now);
    let later = now + Duration::from_millis(10);
    for _ in 0..20 {
        limit.refused(now, later);
    }
    assert_eq!(limit.calls(), 18);
    limit.refused(later, later + WINDOW);
    assert_eq!(limit.calls(), 16);
}

#[test]
fn a_limit_that_nobody_needs_does_not_grow() {
    let mut now = Instant::now();
    for rule in [OWN, HOSTED] {
        let mut limit = Limit::new(rule, now);
        let before = limit.calls();
        for _ in 0..100 {
            now += WINDOW;
            for _ in 0..10 {
                limit.took(Signal::FirstContent, WINDOW, 0, now);
            }
        }
        assert_eq!(limit.calls(), before);
    }
}

#[test]
fn slower_tokens_lower_the_limit_too() {
    let mut now = Instant::now();
    let mut limit = Limit::new(Rule { min: 4, ..OWN }, now);
    let mut run = |limit: &mut Limit, seconds, ms| {
        for _ in 0..seconds {
            now += WINDOW;
            for _ in 0..10 {
                let busy = limit.calls();
                limit.took(Signal::FirstContent, Duration::from_millis(100), busy, now);
                limit.took(Signal::PerToken, Duration::from_millis(ms), busy, now);
            }
        }
    };
    run(&mut limit, 20, 20);
    let before = limit.calls();
    run(&mut limit, 20, 100);
    assert!(
        before >= 20 && limit.calls() < before / 2,
        "{before} -> {}",
        limit.calls()
    );
}
