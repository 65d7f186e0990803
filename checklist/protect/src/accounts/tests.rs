//! Three attackers of 360 accounts an hour among 40 honest sign-ups an hour, over three days.
//!
//! Of the honest, a tenth are behind three address translators, the others in subnets of their own; seven of ten have one of five popular
//! kinds of client, the others one of 4,000. The attack begins after 30 to 50 hours, with 1,000 accounts of 0.50 $ of free quota each.

use super::*;

const LEARN_MS: u64 = 6 * HOUR_MS;
const POPULAR: [f64; 5] = [0.5, 0.2, 0.12, 0.1, 0.08];

#[derive(Clone, Copy)]
struct SignUp {
    at_ms: u64,
    attack: bool,
    /// Subnet and kind of client.
    groups: [u128; 2],
}

fn popular(rng: &mut fastrand::Rng) -> u128 {
    let mut left = rng.f64();
    let found = POPULAR.iter().position(|share| {
        left -= share;
        left < 0.0
    });
    1_000_000 + u128::try_from(found.unwrap_or(0)).unwrap()
}

/// Times of a Poisson process.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "three days of milliseconds"
)]
fn times(rng: &mut fastrand::Rng, an_hour: f64, from_ms: u64, until_ms: u64) -> Vec<u64> {
    let (mut at, mut all) = (from_ms as f64, Vec::new());
    loop {
        at += -(1.0 - rng.f64()).ln() / an_hour * HOUR_MS as f64;
        if at >= until_ms as f64 {
            return all;
        }
        all.push(at as u64);
    }
}

fn honest(rng: &mut fastrand::Rng) -> Vec<SignUp> {
    let times = times(rng, 40.0, 0, 72 * HOUR_MS);
    let one = |at_ms| {
        let translated = rng.f64() < 0.1;
        let subnet = if translated {
            rng.u128(0..3)
        } else {
            rng.u128(1_000..1_000_000)
        };
        let client = if rng.f64() < 0.7 {
            popular(rng)
        } else {
            rng.u128(2_000_000..2_004_000)
        };
        SignUp {
            at_ms,
            attack: false,
            groups: [subnet, client],
        }
    };
    times.into_iter().map(one).collect()
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Attacker {
    /// Ten subnets, three odd clients.
    Datacentre,
    /// A subnet for each account, three odd clients.
    Residential,
    /// A subnet for each account, popular clients.
    Popular,
}

fn attack(who: Attacker, rng: &mut fastrand::Rng) -> Vec<SignUp> {
    let begin = rng.u64(30 * HOUR_MS..50 * HOUR_MS);
    let one = |n: u64| {
        let number = u128::from(n);
        let subnet = match who {
            Attacker::Datacentre => 5_000_000 + number % 10,
            Attacker::Residential | Attacker::Popular => 6_000_000 + number,
        };
        let client = match who {
            Attacker::Datacentre | Attacker::Residential => 7_000_000 + number % 3,
            Attacker::Popular => popular(rng),
        };
        SignUp {
            at_ms: begin + n * HOUR_MS / 360,
            attack: true,
            groups: [subnet, client],
        }
    };
    (0..1000).map(one).collect()
}

#[derive(Debug, Default)]
struct Outcome {
    /// Number of the attack's first account that was linked, and the minutes until then.
    first: Option<(u64, f64)>,
    /// Sum of such numbers over all runs.
    firsts: u64,
    stopped: u64,
    /// What accounts that were not linked spend, where nothing else bounds them.
    loss: f64,
    /// The same with a budget of 15 $ an hour for all who are new.
    capped: f64,
    honest: u64,
    honest_linked: u64,
}

fn run(who: Option<Attacker>, seed: u64) -> Outcome {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut all = honest(&mut rng);
    if let Some(who) = who {
        all.extend(attack(who, &mut rng));
    }
    all.sort_by_key(|one| one.at_ms);
    let begin = all.iter().find(|one| one.attack).map(|one| one.at_ms);
    let (accounts, mut outcome) = (Accounts::default(), Outcome::default());
    let (mut attackers, mut spent) = (0, Vec::new());
    for one in all {
        for group in one.groups {
            accounts.came(group, one.at_ms, LEARN_MS);
        }
        let mut groups = one.groups.iter();
        let linked = groups.any(|group| accounts.are_linked(*group, one.at_ms, one.at_ms));
        if !one.attack {
            outcome.honest += 1;
            outcome.honest_linked += u64::from(linked);
            continue;
        }
        attackers += 1;
        if linked {
            let minutes = (one.at_ms - begin.unwrap()) as f64 / 60_000.0;
            outcome.first.get_or_insert((attackers, minutes));
            outcome.stopped += 1;
            continue;
        }
        outcome.loss += 0.5;
        spent.retain(|at: &u64| one.at_ms - at < HOUR_MS);
        if spent.len() < 30 {
            spent.push(one.at_ms);
            outcome.capped += 0.5;
        }
    }
    outcome
}

/// The worst of ten runs.
fn worst(who: Attacker) -> Outcome {
    let mut worst = Outcome::default();
    for seed in 0..10 {
        let one = run(Some(who), seed);
        let first = one.first.expect("it is found");
        if worst.first.is_none_or(|known| known.0 < first.0) {
            worst.first = Some(first);
        }
        worst.firsts += first.0;
        worst.loss = worst.loss.max(one.loss);
        worst.capped = worst.capped.max(one.capped);
        worst.honest += one.honest;
        worst.honest_linked += one.honest_linked;
        worst.stopped += one.stopped;
    }
    let share = worst.honest_linked as f64 / worst.honest as f64;
    let (account, minutes) = worst.first.unwrap();
    println!(
        "{who:?}: account {:.1} on average, {account} at worst, {minutes:.1} min, loss {:.2} $, with a cohort budget {:.2} $; of all 10 runs {} of 10000 linked; honest linked {} of {} ({:.2} %)",
        worst.firsts as f64 / 10.0,
        worst.loss,
        worst.capped,
        worst.stopped,
        worst.honest_linked,
        worst.honest,
        100.0 * share
    );
    worst
}

fn share(outcome: &Outcome) -> f64 {
    outcome.honest_linked as f64 / outcome.honest as f64
}

#[test]
fn attackers_with_odd_clients_are_linked_within_minutes() {
    for who in [Attacker::Datacentre, Attacker::Residential] {
        let worst = worst(who);
        let (account, minutes) = worst.first.unwrap();
        assert!(account <= 25 && minutes <= 4.0, "{who:?}: {worst:?}");
        assert!(worst.loss <= 10.5, "{who:?}: {worst:?}");
        assert!(share(&worst) <= 0.003, "{who:?}: {worst:?}");
    }
}

#[test]
fn attackers_with_popular_clients_are_linked_and_their_loss_is_bounded() {
    let worst = worst(Attacker::Popular);
    assert!(worst.first.unwrap().0 <= 60, "{worst:?}");
    assert!(worst.capped <= 1.25 * 15.0, "{worst:?}");
    assert!(share(&worst) <= 0.03, "{worst:?}");
}

#[test]
fn honest_users_alone_are_hardly_ever_linked() {
    let (mut all, mut linked) = (0, 0);
    for seed in 0..10 {
        let one = run(None, seed);
        all += one.honest;
        linked += one.honest_linked;
    }
    println!("nobody attacks: {linked} of {all} linked");
    assert!(f64::from(u32::try_from(linked).unwrap()) <= 0.003 * all as f64);
}

#[test]
fn a_flag_goes_with_its_burst_and_holds_for_those_in_it_alone() {
    let accounts = Accounts::default();
    let minute = |n: u64| n * 60_000;
    let came = |n| accounts.came(1, minute(n), 0);
    let begins: Vec<u64> = (100..120).filter(|n| came(*n).is_some()).collect();
    assert_eq!(begins, [107], "the eighth, and told once");
    let linked = |first, now| accounts.are_linked(1, minute(first), minute(now));
    assert!(!linked(106, 120) && linked(107, 120) && linked(119, 120));
    assert!(
        !accounts.are_linked(2, minute(110), minute(120)),
        "another group"
    );
    // Twenty minutes later somebody comes who has nothing to do with it.
    assert_eq!(came(145), None);
    assert!(!linked(145, 145) && linked(119, 145));
    assert!(linked(119, 119 + 1439) && !linked(119, 119 + 1440), "a day");
}

#[test]
fn nobody_is_linked_while_it_learns_and_what_was_learned_is_usual() {
    let accounts = Accounts::default();
    let minute = |n: u64| n * 60_000;
    // Thirty an hour for six hours, and then on.
    let bursts = (0..600).filter(|n| accounts.came(1, minute(2 * n), LEARN_MS).is_some());
    assert_eq!(bursts.count(), 0);
}

#[test]
fn groups_are_bounded_and_those_in_use_stay() {
    let accounts = Accounts::default();
    for n in 0..u128::try_from(GROUPS_MAX).unwrap() + 10 {
        accounts.came(n, 0, 0);
    }
    assert_eq!(accounts.lock().groups.len(), GROUPS_MAX);
    let came = |now_ms| {
        (0..8).for_each(|_| {
            accounts.came(u128::MAX, now_ms, 0);
        });
        accounts.are_linked(u128::MAX, now_ms, now_ms)
    };
    assert!(!came(SLOT_MS), "all are in use");
    assert!(came(2 * HOUR_MS), "all have gone");
}
