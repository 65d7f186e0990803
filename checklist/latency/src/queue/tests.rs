use super::*;
use proptest::prelude::*;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

const LONG: Duration = Duration::from_secs(3600);

fn who(tenant: &str, user: &str) -> Who {
    Who {
        tenant: tenant.into(),
        user: user.into(),
    }
}

fn call(user: &str, class: Class, now: Instant) -> Call {
    Call {
        who: who("t", user),
        class,
        cost: 1000,
        weight: 1,
        until: now + LONG,
    }
}

const RULE: Rule = Rule {
    slots: Slots::Fixed(1),
    per_user: 1000,
    interactive: LONG,
    batch: LONG,
};

/// The permit of a call that waited, where its turn has come.
fn poll(waiting: &mut Waiting) -> Poll<Result<Permit, Missed>> {
    Pin::new(waiting).poll(&mut Context::from_waker(Waker::noop()))
}

#[track_caller]
fn later(turn: Result<Turn, Refused>) -> Waiting {
    match turn {
        Ok(Turn::Later(waiting)) => waiting,
        Ok(Turn::Now(_)) => panic!("it had its turn at once"),
        Err(refused) => panic!("{refused:?}"),
    }
}

#[track_caller]
fn at_once(turn: Result<Turn, Refused>) -> Permit {
    match turn {
        Ok(Turn::Now(permit)) => permit,
        Ok(Turn::Later(_)) => panic!("it waits"),
        Err(refused) => panic!("{refused:?}"),
    }
}

#[test]
fn users_take_turns_whatever_they_have_queued() {
    let (queue, now) = (Arc::new(Queue::default()), Instant::now());
    let enter = |user| queue.enter(RULE, call(user, Class::Interactive, now), now);
    let mut permit = at_once(enter("heavy"));
    let mut waiting: Vec<(&str, Waiting)> =
        (0..4).map(|_| ("heavy", later(enter("heavy")))).collect();
    waiting.push(("light", later(enter("light"))));
    waiting.push(("other", later(enter("other"))));
    let mut order = Vec::new();
    while !waiting.is_empty() {
        permit.end(now);
        let ready = |(at, (_, waiting)): (usize, &mut (&str, Waiting))| match poll(waiting) {
            Poll::Ready(permit) => Some((at, permit)),
            Poll::Pending => None,
        };
        let (at, next) = waiting.iter_mut().enumerate().find_map(ready).unwrap();
        order.push(waiting.remove(at).0);
        permit = next.unwrap();
    }
    assert_eq!(
        order,
        ["light", "other", "heavy", "heavy", "heavy", "heavy"]
    );
    drop(permit);
    assert_eq!(
        queue.fill(),
        Fill {
            running: 0,
            waiting: 0,
            slots: 1
        }
    );
}

#[test]
fn a_ticket_tells_the_place() {
    let (queue, now) = (Arc::new(Queue::default()), Instant::now());
    let enter = |user| queue.enter(RULE, call(user, Class::Interactive, now), now);
    at_once(enter("a")).end(now + Duration::from_secs(2));
    let permit = at_once(enter("a"));
    let mut first = later(enter("b"));
    let second = later(enter("b"));
    let other = later(enter("c"));
    let (one, two, three) = (first.ticket(), second.ticket(), other.ticket());
    let places = [&one, &two, &three].map(|ticket| ticket.place().unwrap().position);
    // Two users wait: the second call of one of them is about the last.
    assert_eq!(places, [2, 3, 2]);
    assert!(two.place().unwrap().wait >= Duration::from_secs(6));
    permit.end(now);
    let Poll::Ready(Ok(_permit)) = poll(&mut first) else {
        panic!("its turn has come");
    };
    assert_eq!(one.place(), None);
    assert_eq!(two.place().unwrap().position, 2);
}

#[test]
fn interactive_goes_first_and_batch_does_not_starve() {
    let (queue, now) = (Arc::new(Queue::default()), Instant::now());
    let enter = |class, at| queue.enter(RULE, call("u", class, at), at);
    let mut permit = at_once(enter(Class::Interactive, now));
    let mut batch = later(enter(Class::Batch, now));
    let late = now + Duration::from_secs(11);
    let mut others: Vec<Waiting> = (0..20)
        .map(|_| later(enter(Class::Interactive, late)))
        .collect();
    let mut before = 0;
    loop {
        permit.end(late);
        if let Poll::Ready(next) = poll(&mut batch) {
            permit = next.unwrap();
            break;
        }
        before += 1;
        permit = match poll(&mut others.remove(0)) {
            Poll::Ready(next) => next.unwrap(),
            Poll::Pending => panic!("interactive calls come in their order"),
        };
    }
    assert_eq!(before, 7);
    drop(permit);
}

#[test]
fn batch_leaves_slots_to_interactive_calls() {
    let (queue, now) = (Arc::new(Queue::default()), Instant::now());
    let rule = Rule {
        slots: Slots::Fixed(10),
        ..RULE
    };
    let batch: Vec<Permit> = (0..9)
        .map(|_| at_once(queue.enter(rule, call("u", Class::Batch, now), now)))
        .collect();
    let waiting = later(queue.enter(rule, call("u", Class::Batch, now), now));
    let interactive = at_once(queue.enter(rule, call("u", Class::Interactive, now), now));
    assert_eq!(queue.fill().running, 10);
    drop((batch, waiting, interactive));
    assert_eq!(queue.fill().running + queue.fill().waiting, 0);
}

#[test]
fn slots_are_learned_and_given_to_those_who_wait() {
    let (queue, now) = (Arc::new(Queue::default()), Instant::now());
    let learned = adapt::Rule {
        manner: adapt::Manner::Latency,
        min: 1,
        max: 8,
    };
    let rule = Rule {
        slots: Slots::Learned(learned),
        ..RULE
    };
    let enter = |at| queue.enter(rule, call("u", Class::Interactive, at), at);
    let mut permit = at_once(enter(now));
    let mut waiting = later(enter(now));
    assert_eq!(
        (queue.fill().slots, queue.grown(), queue.grown()),
        (1, 1, 0)
    );
    let (mut now, mut grown) = (now, 0);
    while queue.fill().slots == 1 {
        now += Duration::from_secs(1);
        grown += permit.took(Signal::FirstContent, Duration::from_millis(300), now);
    }
    assert_eq!((queue.fill().slots, grown), (2, 1));
    let Poll::Ready(Ok(other)) = poll(&mut waiting) else {
        panic!("there is a slot more");
    };
    // A provider that has too much to do.
    while queue.fill().slots == 2 {
        grown += other.refused(now);
    }
    assert_eq!((queue.fill().slots, grown), (1, 0));
    drop(permit);
    let mut next = later(enter(now));
    drop(other);
    let Poll::Ready(Ok(last)) = poll(&mut next) else {
        panic!("the last one is gone");
    };
    permit = last;
    // A number in the configuration takes its place.
    let _more: Vec<Permit> = (0..3)
        .map(|_| {
            let rule = Rule {
                slots: Slots::Fixed(4),
                ..RULE
            };
            at_once(queue.enter(rule, call("u", Class::Interactive, now), now))
        })
        .collect();
    permit.refused(now);
    assert_eq!(queue.fill().slots, 4);
}

#[test]
fn bounds_refuse_with_a_time() {
    let (queue, now) = (Arc::new(Queue::default()), Instant::now());
    let rule = Rule {
        slots: Slots::Fixed(1),
        per_user: 3,
        ..RULE
    };
    let enter = |user: &str, until| {
        let call = Call {
            until,
            ..call(user, Class::Interactive, now)
        };
        queue.enter(rule, call, now)
    };
    let first = at_once(enter("u", now + LONG));
    first.end(now + Duration::from_secs(4));
    let _permit = at_once(enter("u", now + LONG));
    let _waiting: Vec<Waiting> = (0..3).map(|_| later(enter("u", now + LONG))).collect();
    let Err(Refused::Full { retry_after }) = enter("u", now + LONG) else {
        panic!("a user has three places");
    };
    assert!(retry_after >= Duration::from_secs(4), "{retry_after:?}");
    // Calls take four seconds: with one second left it makes no sense to wait.
    let Err(Refused::TooLate { wait }) = enter("v", now + Duration::from_secs(1)) else {
        panic!("it can't be served in time");
    };
    assert!(wait > Duration::from_secs(4));
    let users: Vec<String> = (0..TENANT_WAITING_MAX).map(|n| n.to_string()).collect();
    let turns: Vec<Result<Turn, Refused>> =
        users.iter().map(|user| enter(user, now + LONG)).collect();
    let waiting = turns.iter().filter(|turn| turn.is_ok()).count();
    assert_eq!(waiting, TENANT_WAITING_MAX - 3);
}

#[test]
fn an_overloaded_class_gives_up_its_oldest_and_takes_its_newest() {
    let (queue, start) = (Arc::new(Queue::default()), Instant::now());
    let rule = Rule {
        interactive: Duration::from_secs(8),
        ..RULE
    };
    let seconds = |n: u64| start + Duration::from_secs(n);
    let enter = |user, at| queue.enter(rule, call(user, Class::Interactive, at), at);
    let mut permit = at_once(enter("heavy", start));
    let mut heavy: Vec<Waiting> = (0..6).map(|_| later(enter("heavy", start))).collect();
    // Every call has waited for more than a quarter of the patience, for an eighth of it.
    for at in [3, 4] {
        permit.end(seconds(at));
        permit = match poll(&mut heavy.remove(0)) {
            Poll::Ready(Ok(permit)) => permit,
            _ => panic!("{at}: in their order so far"),
        };
    }
    let mut newest = later(enter("heavy", seconds(5)));
    permit.end(seconds(5));
    assert!(matches!(
        poll(&mut heavy[0]),
        Poll::Ready(Err(Missed::Shed))
    ));
    let Poll::Ready(Ok(permit)) = poll(&mut newest) else {
        panic!("the newest is next");
    };
    drop((permit, heavy, newest));
    let fill = queue.fill();
    assert_eq!((fill.running, fill.waiting), (0, 0));
    assert!(queue.lock().decided.is_empty());
}

#[test]
fn who_waits_too_long_is_passed_over() {
    let (queue, now) = (Arc::new(Queue::default()), Instant::now());
    let permit = at_once(queue.enter(RULE, call("a", Class::Interactive, now), now));
    let until = now + Duration::from_secs(5);
    let short = Call {
        until,
        ..call("b", Class::Interactive, now)
    };
    let mut late = later(queue.enter(RULE, short, now));
    let mut next = later(queue.enter(RULE, call("c", Class::Interactive, now), now));
    permit.end(now + Duration::from_secs(6));
    assert!(matches!(poll(&mut late), Poll::Ready(Err(Missed::Late))));
    assert!(matches!(poll(&mut next), Poll::Ready(Ok(_))));
}

#[test]
fn nobody_saves_up_and_nobody_escapes_what_they_used() {
    let (queue, now) = (Arc::new(Queue::default()), Instant::now());
    let enter = |user: &str, cost| {
        let call = Call {
            cost,
            ..call(user, Class::Interactive, now)
        };
        queue.enter(RULE, call, now)
    };
    // A heavy user uses a lot, leaves, and comes back beside one who used little.
    at_once(enter("heavy", 50_000)).end(now);
    let permit = at_once(enter("light", 1000));
    let mut heavy = later(enter("heavy", 1000));
    let mut light: Vec<Waiting> = (0..3).map(|_| later(enter("light", 1000))).collect();
    permit.end(now);
    assert!(matches!(poll(&mut heavy), Poll::Pending));
    let Poll::Ready(Ok(permit)) = poll(&mut light[0]) else {
        panic!("the light user is next")
    };
    drop(permit);
}

#[test]
fn what_was_used_while_nobody_waited_is_not_held_against_anybody() {
    let (queue, now) = (Arc::new(Queue::default()), Instant::now());
    let enter = |user: &str| queue.enter(RULE, call(user, Class::Interactive, now), now);
    for _ in 0..1000 {
        at_once(enter("early")).end(now);
    }
    let mut permit = at_once(enter("early"));
    let mut waiting: Vec<(&str, Waiting)> = Vec::new();
    for _ in 0..20 {
        waiting.push(("early", later(enter("early"))));
        waiting.push(("late", later(enter("late"))));
    }
    let mut turns = (0, 0);
    for _ in 0..20 {
        permit.end(now);
        let ready = |(at, (_, waiting)): (usize, &mut (&str, Waiting))| match poll(waiting) {
            Poll::Ready(permit) => Some((at, permit.unwrap())),
            Poll::Pending => None,
        };
        let (at, next) = waiting.iter_mut().enumerate().find_map(ready).unwrap();
        match waiting.remove(at).0 {
            "early" => turns.0 += 1,
            _ => turns.1 += 1,
        }
        permit = next;
    }
    assert!((9..=11).contains(&turns.0), "{turns:?}");
    drop(permit);
}

#[test]
fn ten_thousand_leave_at_once() {
    let (queue, now) = (Arc::new(Queue::default()), Instant::now());
    let permit = at_once(queue.enter(RULE, call("u", Class::Interactive, now), now));
    let turns: Vec<Waiting> = (0..WAITING_MAX)
        .map(|n| {
            let who = who(&(n / 100).to_string(), &n.to_string());
            later(queue.enter(
                RULE,
                Call {
                    who,
                    ..call("", Class::Interactive, now)
                },
                now,
            ))
        })
        .collect();
    let full = queue.enter(RULE, call("z", Class::Interactive, now), now);
    assert!(matches!(full, Err(Refused::Full { .. })));
    drop(turns);
    assert_eq!(
        queue.fill(),
        Fill {
            running: 1,
            waiting: 0,
            slots: 1
        }
    );
    drop(permit);
    assert_eq!(queue.fill().running, 0);
    let inner = queue.lock();
    assert!(
        inner.decided.is_empty()
            && inner.lines.interactive.is_empty()
            && inner.lines.batch.is_empty()
    );
}

/// What happens next to the calls of a history.
#[derive(Debug, Clone)]
enum Step {
    Enter(u8, bool, u16),
    Cancel(usize),
    Take(usize),
    End(usize),
    /// So many tenths of a second pass.
    Pass(u64),
    /// A call says how long it took, or was refused.
    Learn(usize, Option<u64>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u8..6, any::<bool>(), any::<u16>()).prop_map(|(user, batch, cost)| Step::Enter(user, batch, cost)),
        1 => any::<usize>().prop_map(Step::Cancel),
        3 => any::<usize>().prop_map(Step::Take),
        3 => any::<usize>().prop_map(Step::End),
        2 => (0u64..30).prop_map(Step::Pass),
        1 => (any::<usize>(), prop::option::of(0u64..900)).prop_map(|(at, ms)| Step::Learn(at, ms)),
    ]
}

proptest! {
    #[test]
    fn after_any_history_all_slots_are_back(
        steps in prop::collection::vec(step(), 1..200),
        slots in 1usize..5,
        learned in any::<bool>(),
    ) {
        let queue = Arc::new(Queue::default());
        let mut now = Instant::now();
        let bounds = adapt::Rule { manner: adapt::Manner::Latency, min: 1, max: slots };
        // Short waits, so that calls are late and given up too.
        let seconds = Duration::from_secs;
        let rule = Rule {
            slots: if learned { Slots::Learned(bounds) } else { Slots::Fixed(slots) },
            per_user: 5,
            interactive: seconds(8),
            batch: seconds(20),
        };
        let (mut waiting, mut running) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Enter(user, batch, cost) => {
                    let class = if batch { Class::Batch } else { Class::Interactive };
                    let who = who(&(user % 2).to_string(), &user.to_string());
                    let weight = 1 + u32::from(user % 2);
                    let until = now + rule.patience(class);
                    let call = Call { who, class, cost: cost.into(), weight, until };
                    match queue.enter(rule, call, now) {
                        Ok(Turn::Now(permit)) => running.push(permit),
                        Ok(Turn::Later(one)) => waiting.push(one),
                        Err(_) => {}
                    }
                }
                Step::Cancel(at) if !waiting.is_empty() => drop(waiting.swap_remove(at % waiting.len())),
                Step::Take(at) if !waiting.is_empty() => {
                    let at = at % waiting.len();
                    if let Poll::Ready(turn) = poll(&mut waiting[at]) {
                        running.extend(turn);
                        drop(waiting.swap_remove(at));
                    }
                }
                Step::End(at) if !running.is_empty() => {
                    let mut permit: Permit = running.swap_remove(at % running.len());
                    permit.used(7);
                    permit.end(now);
                }
                Step::Pass(tenths) => now += Duration::from_millis(100 * tenths),
                Step::Learn(at, took) if !running.is_empty() => {
                    let permit = &running[at % running.len()];
                    match took {
                        Some(ms) => permit.took(Signal::FirstContent, Duration::from_millis(ms), now),
                        None => permit.refused(now),
                    };
                }
                _ => {}
            }
            let fill = queue.fill();
            // A limit that gets lower takes nothing away from those who run.
            prop_assert!(fill.running <= slots);
            prop_assert!(fill.slots <= slots);
            prop_assert!(fill.running >= running.len());
            // Slots do not stay free while somebody waits, but for the one that batch leaves.
            prop_assert!(fill.waiting == 0 || fill.running + 1 >= fill.slots);
        }
        drop((waiting, running));
        let fill = queue.fill();
        prop_assert_eq!((fill.running, fill.waiting), (0, 0));
        let inner = queue.lock();
        prop_assert!(inner.decided.is_empty());
        prop_assert!(inner.lines.interactive.is_empty() && inner.lines.batch.is_empty());
    }
}
