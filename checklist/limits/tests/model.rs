//! Every way of counting against a naive model that remembers everything.
#![cfg(test)]

use aplomb_limits::counter::Now;
use aplomb_limits::key::Keyer;
use aplomb_limits::room::{Ask, Reservation, Room, Turn};
use aplomb_limits::rule::{Away, Meter, Rule, Window};
use proptest::prelude::*;
use std::sync::Arc;

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// Time goes on by so many milliseconds.
    On(u64),
    /// The clock steps back.
    Back(u64),
    /// A request asks for so much.
    Ask(u64),
    /// An open one turns out to have used so many percent, and is told so once, twice or never.
    Settle(usize, u64, u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0u64..4000).prop_map(Step::On),
        1 => (0u64..30_000).prop_map(Step::On),
        1 => (0u64..5000).prop_map(Step::Back),
        6 => (1u64..40).prop_map(Step::Ask),
        3 => (any::<usize>(), 0u64..100, 0u8..3).prop_map(|(which, percent, times)| Step::Settle(which, percent, times)),
    ]
}

/// One amount as the model remembers it: when it was let in, and how much it is known to be.
struct Seen {
    at: u64,
    amount: u64,
}

struct Model {
    window: u64,
    seen: Vec<Seen>,
}

impl Model {
    /// The most that is in any window.
    fn worst(&self) -> u64 {
        let within = |from: u64| -> u64 {
            let inside = self
                .seen
                .iter()
                .filter(|one| (from..from + self.window).contains(&one.at));
            inside.map(|one| one.amount).sum()
        };
        self.seen
            .iter()
            .map(|one| within(one.at))
            .max()
            .unwrap_or(0)
    }
}

const WINDOW: u64 = 10_000;

fn run(rule: Rule, steps: &[Step], unit: Option<u64>) -> (Model, u64) {
    let room = Arc::new(Room::default());
    let rule = Arc::new(rule);
    let key = Keyer::new([3; 16]).key("r", ["u"]);
    let mut model = Model {
        window: WINDOW,
        seen: Vec::new(),
    };
    let (mut clock, mut latest) = (1_000_000u64, 0u64);
    let mut open: Vec<(Reservation, usize)> = Vec::new();
    for step in steps {
        match step {
            Step::On(ms) => clock += ms,
            Step::Back(ms) => clock -= ms,
            Step::Ask(amount) => {
                latest = latest.max(clock);
                let amount = unit.unwrap_or(*amount);
                let ask = Ask {
                    rule: rule.clone(),
                    key,
                    limit: rule.limit,
                    amount,
                };
                let now = Now {
                    run_ms: clock,
                    wall_ms: clock,
                };
                if let Ok(reservation) = room.reserve(&[ask], Turn::New, now) {
                    open.push((reservation, model.seen.len()));
                    model.seen.push(Seen { at: latest, amount });
                }
            }
            Step::Settle(which, percent, times) => {
                if open.is_empty() {
                    continue;
                }
                let (mut reservation, at) = open.remove(which % open.len());
                let is = model.seen[at].amount * percent / 100;
                let now = Now {
                    run_ms: clock,
                    wall_ms: clock,
                };
                for n in 0..u64::from(*times) {
                    // Only the first one counts.
                    reservation.settle(now, |_| Some(is + n * 1000));
                }
                if *times > 0 {
                    latest = latest.max(clock);
                    model.seen[at].amount = is;
                }
            }
        }
    }
    let worst = model.worst();
    (model, worst)
}

fn rule(meter: Meter, limit: u64) -> Rule {
    Rule {
        name: "r".into(),
        meter,
        limit,
        most: limit,
        window: Window::Sliding(WINDOW),
        burst: None,
        shadow: false,
        away: Away::Share,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn each_request_is_remembered(limit in 1u64..20, steps in prop::collection::vec(step(), 1..300)) {
        let (_, worst) = run(rule(Meter::Requests, limit), &steps, Some(1));
        prop_assert!(worst <= limit, "{worst} of {limit}");
    }

    #[test]
    fn slots_are_never_over(limit in 1u64..300, steps in prop::collection::vec(step(), 1..300)) {
        let (_, worst) = run(rule(Meter::Tokens, limit), &steps, None);
        prop_assert!(worst <= limit, "{worst} of {limit}");
    }

    #[test]
    fn a_pace_keeps_its_bound(limit in 1u64..50, burst in 1u64..50, steps in prop::collection::vec(step(), 1..300)) {
        let burst = burst.min(limit);
        let paced = Rule { burst: Some(burst), ..rule(Meter::Requests, limit) };
        // Nothing is settled here: what comes back to a pace may be used at once.
        let steps: Vec<Step> = steps.into_iter().filter(|step| !matches!(step, Step::Settle(..))).collect();
        let (_, worst) = run(paced, &steps, Some(1));
        prop_assert!(worst < limit + burst, "{worst} of {limit} with a burst of {burst}");
    }

    #[test]
    fn a_lifetime_is_once(limit in 1u64..300, steps in prop::collection::vec(step(), 1..300)) {
        let for_ever = Rule { window: Window::Lifetime, ..rule(Meter::Cost, limit) };
        let (model, _) = run(for_ever, &steps, None);
        let all: u64 = model.seen.iter().map(|one| one.amount).sum();
        prop_assert!(all <= limit, "{all} of {limit}");
    }
}
