use super::*;
use crate::key::Keyer;
use crate::rule::{Away, Window};
use std::time::Duration;

const HOUR: u64 = 3_600_000;

fn at(ms: u64) -> Now {
    Now {
        run_ms: ms,
        wall_ms: ms,
    }
}

fn rule(meter: Meter, limit: u64, window: Window) -> Arc<Rule> {
    Arc::new(Rule {
        name: format!("{meter:?}-{limit}").into(),
        meter,
        limit,
        most: limit,
        window,
        burst: None,
        shadow: false,
        away: Away::Share,
    })
}

fn ask(rule: &Arc<Rule>, user: &str, amount: u64) -> Ask {
    Ask {
        key: Keyer::new([1; 16]).key(&rule.name, [user]),
        limit: rule.limit,
        rule: rule.clone(),
        amount,
    }
}

fn enter(room: &Arc<Room>, asks: &[Ask], ms: u64) -> Result<Reservation, Vec<Broken>> {
    room.reserve(asks, Turn::New, at(ms))
}

#[test]
fn a_request_is_charged_under_all_rules_or_under_none() {
    let room = Arc::new(Room::default());
    let few = rule(Meter::Requests, 2, Window::Sliding(HOUR));
    let tokens = rule(Meter::Tokens, 1000, Window::Sliding(HOUR));
    let asks = [ask(&few, "u", 1), ask(&tokens, "t", 400)];
    let first = enter(&room, &asks, 1000).unwrap();
    assert_eq!(first.standings().next().unwrap().remaining(), 1);
    assert_eq!(first.standings().nth(1).unwrap().remaining(), 600);
    drop(first);
    let broken = enter(&room, &[ask(&few, "u", 1), ask(&tokens, "t", 700)], 2000);
    let broken = broken.err().unwrap();
    assert_eq!(broken.len(), 1);
    assert_eq!(broken[0].standing.level.used, 400);
    let standing = room.standings(&asks, at(2000));
    assert_eq!(
        (standing[0].level.used, standing[1].level.used),
        (1, 400),
        "a refused request leaves no trace"
    );
    let _second = enter(&room, &asks, 3000).unwrap();
    let both = enter(&room, &[ask(&few, "u", 1), ask(&tokens, "t", 700)], 4000);
    assert_eq!(both.err().unwrap().len(), 2, "every broken rule is told");
}

#[test]
fn twenty_five_in_three_hours_are_twenty_five() {
    let few = rule(Meter::Requests, 25, Window::Sliding(3 * HOUR));
    // At once, and again when the first of them are over.
    let room = Arc::new(Room::default());
    let mut times = Vec::new();
    for start in [10 * HOUR, 13 * HOUR - 1, 13 * HOUR, 16 * HOUR - 1] {
        for _ in 0..100 {
            if enter(&room, &[ask(&few, "burst", 1)], start).is_ok() {
                times.push(start);
            }
        }
    }
    assert_eq!(times.len(), 50, "{times:?}");
    // A drip: one every two minutes.
    let drip: Vec<u64> = (0..300)
        .map(|n| 20 * HOUR + n * 120_000)
        .filter(|ms| enter(&room, &[ask(&few, "drip", 1)], *ms).is_ok())
        .collect();
    let worst = |times: &[u64]| {
        let within = |from: u64| {
            let inside = times
                .iter()
                .filter(|at| (from..from + 3 * HOUR).contains(*at));
            inside.count()
        };
        times.iter().map(|from| within(*from)).max()
    };
    assert_eq!(worst(&drip), Some(25));
    assert_eq!(worst(&times), Some(25));
    // The wait is true to the millisecond.
    let now = 40 * HOUR;
    for n in 0..25 {
        assert!(enter(&room, &[ask(&few, "wait", 1)], now + n).is_ok());
    }
    let broken = enter(&room, &[ask(&few, "wait", 1)], now + HOUR)
        .err()
        .unwrap();
    assert_eq!(broken[0].wait, Some(Duration::from_millis(2 * HOUR)));
    assert!(enter(&room, &[ask(&few, "wait", 1)], now + 3 * HOUR - 1).is_err());
    assert!(enter(&room, &[ask(&few, "wait", 1)], now + 3 * HOUR).is_ok());
    assert!(enter(&room, &[ask(&few, "wait", 1)], now + 3 * HOUR).is_err());
}

#[test]
fn sixty_four_threads_get_exactly_what_there_is() {
    let room = Arc::new(Room::default());
    let few = rule(Meter::Requests, 25, Window::Sliding(3 * HOUR));
    let tokens = rule(Meter::Tokens, 100_000, Window::Sliding(60_000));
    let (requests, used) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..64u64 {
            let (room, few, tokens, requests, used) = (&room, &few, &tokens, &requests, &used);
            scope.spawn(move || {
                for n in 0..50u64 {
                    if enter(room, &[ask(few, "u", 1), ask(tokens, "x", 0)], HOUR).is_ok() {
                        requests.fetch_add(1, Ordering::Relaxed);
                    }
                    let amount = 500 + (thread * 31 + n * 17) % 1000;
                    if let Ok(mut reservation) = enter(room, &[ask(tokens, "t", amount)], HOUR) {
                        let really = amount - 100;
                        reservation.settle(at(HOUR), |_| Some(really));
                        used.fetch_add(really, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(requests.load(Ordering::Relaxed), 25);
    let used = used.load(Ordering::Relaxed);
    assert!(used <= 100_000 && used > 98_000, "{used}");
    let standing = room.standings(&[ask(&tokens, "t", 0)], at(HOUR));
    assert_eq!(standing[0].level.used, used, "nothing stays held");
}

#[test]
fn settling_twice_changes_nothing_and_a_dropped_reservation_stays_charged() {
    let room = Arc::new(Room::default());
    let tokens = rule(Meter::Tokens, 1000, Window::Sliding(60_000));
    let used = |ms| {
        room.standings(&[ask(&tokens, "t", 0)], at(ms))[0]
            .level
            .used
    };
    let mut one = enter(&room, &[ask(&tokens, "t", 500)], 0).unwrap();
    one.settle(at(10), |_| Some(120));
    one.settle(at(20), |_| Some(900));
    assert_eq!(used(20), 120);
    drop(enter(&room, &[ask(&tokens, "t", 300)], 30));
    assert_eq!(used(30), 420);
    // An answer that became longer than it was estimated is a debt, and it is told as nothing left.
    let mut long = enter(&room, &[ask(&tokens, "t", 500)], 40).unwrap();
    long.settle(at(50), |_| Some(5000));
    let standing = &room.standings(&[ask(&tokens, "t", 0)], at(50))[0];
    assert_eq!((standing.level.used, standing.remaining()), (5420, 0));
    assert!(enter(&room, &[ask(&tokens, "t", 1)], 59_000).is_err());
    assert!(enter(&room, &[ask(&tokens, "t", 1)], 61_000).is_ok());
    // A debt that is known when the window is over counts from then on.
    let mut late = enter(&room, &[ask(&tokens, "late", 10)], 100_000).unwrap();
    late.settle(at(300_000), |_| Some(1010));
    assert!(enter(&room, &[ask(&tokens, "late", 1)], 300_001).is_err());
}

#[test]
fn an_answer_that_grows_takes_more_while_there_is_some() {
    let room = Arc::new(Room::default());
    let tokens = rule(Meter::Tokens, 1000, Window::Sliding(60_000));
    let output = rule(Meter::OutputTokens, 2000, Window::Sliding(60_000));
    let asks = [ask(&tokens, "t", 300), ask(&output, "t", 100)];
    let used = |ms| {
        let all = room.standings(&asks, at(ms));
        (all[0].level.used, all[1].level.used)
    };
    let mut growing = enter(&room, &asks, 0).unwrap();
    let more = |meter| match meter {
        Meter::Tokens | Meter::OutputTokens => 256,
        _ => 0,
    };
    assert!(growing.extend(at(2000), more).is_ok());
    assert!(growing.extend(at(4000), more).is_ok());
    assert_eq!(used(4000), (812, 612));
    let broken = growing.extend(at(6000), more).err().unwrap();
    assert_eq!(broken[0].standing.rule.meter, Meter::Tokens);
    assert_eq!(used(6000), (812, 612), "all or nothing");
    growing.settle(at(8000), |meter| match meter {
        Meter::Tokens => Some(700),
        _ => Some(900),
    });
    assert_eq!(used(8000), (700, 900));
}

#[test]
fn places_in_flight_come_back_with_every_ending() {
    let room = Arc::new(Room::default());
    let flight = rule(Meter::Concurrent, 2, Window::Concurrent);
    let one = enter(&room, &[ask(&flight, "u", 1)], 0).unwrap();
    let mut two = enter(&room, &[ask(&flight, "u", 1)], 0).unwrap();
    let third = enter(&room, &[ask(&flight, "u", 1)], 0).err().unwrap();
    assert_eq!(third[0].wait, None);
    assert_eq!(room.fill().held, 2);
    drop(one);
    two.settle(at(1), |_| None);
    two.settle(at(1), |_| None);
    drop(two);
    assert_eq!(room.fill(), Fill::default(), "nothing is left behind");
}

#[test]
fn what_was_used_survives_a_restart() {
    use crate::store::{LedgerStore, sqlite::SqliteLedger};
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("limits.db");
    let few = rule(Meter::Requests, 3, Window::Sliding(HOUR));
    let tokens = rule(Meter::Tokens, 1000, Window::Sliding(HOUR));
    let money = rule(Meter::Cost, 500, Window::Lifetime);
    let paced = Arc::new(Rule {
        burst: Some(4),
        name: "paced".into(),
        ..(*rule(Meter::Requests, 4, Window::Sliding(4 * HOUR))).clone()
    });
    let short = rule(Meter::Requests, 9, Window::Sliding(60_000));
    let all = [
        ask(&few, "u", 1),
        ask(&tokens, "u", 400),
        ask(&money, "u", 100),
        ask(&paced, "u", 1),
        ask(&short, "u", 1),
    ];
    let used = |room: &Room, ms| -> Vec<u64> {
        let standings = room.standings(&all, at(ms));
        standings.iter().map(|one| one.level.used).collect()
    };
    let start = 1000 * HOUR;
    let journal = Arc::new(Journal::default());
    let room = Arc::new(Room::default().with_journal(journal.clone(), Vec::new()));
    let mut one = enter(&room, &all, start).unwrap();
    one.settle(at(start + 1000), |meter| match meter {
        Meter::Tokens => Some(150),
        Meter::Cost => Some(30),
        _ => None,
    });
    // This one is not settled when the process is killed: it stays charged.
    let _lost = enter(&room, &all, start + 2000).unwrap();
    assert_eq!(used(&room, start + 2000), [2, 550, 130, 2, 2]);
    let mut store = SqliteLedger::open(&file).unwrap();
    journal.drain_into(&mut store);
    // An hour and a half later the window of an hour is over.
    for (later, expected) in [
        (10_000, [2, 550, 130, 2, 0]),
        (HOUR * 3 / 2, [0, 0, 130, 1, 0]),
    ] {
        let before = store.load(start + later).unwrap();
        let after = Arc::new(Room::default().with_journal(Arc::default(), before));
        assert_eq!(used(&after, start + later), expected, "{later}");
    }
}

#[test]
fn a_shadow_rule_lets_through_and_tells() {
    let room = Arc::new(Room::default());
    let mut shadow = (*rule(Meter::Requests, 1, Window::Sliding(HOUR))).clone();
    shadow.shadow = true;
    let shadow = Arc::new(shadow);
    assert!(
        enter(&room, &[ask(&shadow, "u", 1)], 0)
            .unwrap()
            .shadowed
            .is_empty()
    );
    let second = enter(&room, &[ask(&shadow, "u", 1)], 1).unwrap();
    assert_eq!(second.shadowed.len(), 1);
    assert!(second.standings().next().is_none());
}

#[test]
fn the_map_is_bounded_and_no_limit_is_passed_at_the_bound() {
    let room = Arc::new(Room::with_counters(SHARDS));
    let few = rule(Meter::Requests, 3, Window::Sliding(60_000));
    for user in 0..5000 {
        let _ = enter(&room, &[ask(&few, &format!("u{user}"), 1)], 0);
    }
    let fill = room.fill();
    assert!(fill.counters <= 2 * SHARDS, "{fill:?}");
    assert!(fill.crowded > 0);
    // Those who share a counter get no more than one of them might.
    let late = |ms| {
        let tries = (0..10).filter(|_| enter(&room, &[ask(&few, "late", 1)], ms).is_ok());
        tries.count()
    };
    assert!(late(1000) <= 3);
    // When the others are over there is room for a counter, and it begins with what was shared.
    assert_eq!(late(59_999), 0);
    assert_eq!(late(62_000), 3);
    assert_eq!(late(62_001), 0);
}

#[test]
fn a_rule_that_changes_keeps_what_was_counted() {
    let room = Arc::new(Room::default());
    let few = rule(Meter::Requests, 100, Window::Sliding(HOUR));
    for _ in 0..100 {
        enter(&room, &[ask(&few, "u", 1)], 1000).unwrap().settled = true;
    }
    let more = Arc::new(Rule {
        limit: 150,
        most: 150,
        ..(*few).clone()
    });
    let taken = (0..100).filter(|_| enter(&room, &[ask(&more, "u", 1)], 2000).is_ok());
    assert_eq!(
        taken.count(),
        50,
        "counted in another way, and still counted"
    );
}

#[test]
fn a_clock_that_steps_back_gives_nothing_away() {
    let room = Arc::new(Room::default());
    let few = rule(Meter::Requests, 2, Window::Sliding(HOUR));
    assert!(enter(&room, &[ask(&few, "u", 1)], 10 * HOUR).is_ok());
    assert!(enter(&room, &[ask(&few, "u", 1)], 5 * HOUR).is_ok());
    assert!(enter(&room, &[ask(&few, "u", 1)], HOUR).is_err());
    let broken = enter(&room, &[ask(&few, "u", 1)], 10 * HOUR).err().unwrap();
    assert_eq!(broken[0].wait, Some(Duration::from_secs(3600)));
}

#[tokio::test]
async fn who_waits_longest_is_told_first_and_newcomers_do_not_push_in() {
    let room = Arc::new(Room::default());
    let flight = rule(Meter::Concurrent, 1, Window::Concurrent);
    let asks = [ask(&flight, "u", 1)];
    let running = enter(&room, &asks, 0).unwrap();
    let first = room.lobby.enter(asks[0].key).unwrap();
    let second = room.lobby.enter(asks[0].key).unwrap();
    assert!(room.reserve(&asks, Turn::Entered, at(0)).is_err());
    let mut told = Box::pin(first.told());
    assert!(futures_poll(told.as_mut()).await.is_none());
    drop(running);
    assert!(enter(&room, &asks, 1).is_err(), "others wait");
    told.await;
    let next = room.reserve(&asks, Turn::Told, at(1)).unwrap();
    drop(first);
    drop(next);
    second.told().await;
    assert!(room.reserve(&asks, Turn::Told, at(2)).is_ok());
    drop(second);
    assert_eq!(room.lobby.all(), 0);
    assert!(enter(&room, &asks, 3).is_ok());
    let places: Vec<_> = (0..=crate::lobby::LINE_MAX)
        .map(|_| room.lobby.enter(asks[0].key))
        .collect();
    assert!(places.last().unwrap().is_none(), "the line has an end");
}

/// Polls once.
async fn futures_poll<F: Future<Output = ()>>(mut future: std::pin::Pin<&mut F>) -> Option<()> {
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        std::task::Poll::Ready(()) => std::task::Poll::Ready(Some(())),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}
