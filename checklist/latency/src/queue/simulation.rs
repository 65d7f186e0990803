//! A simulated machine behind the queue: who waits how long. Run with `-- --nocapture` for the table.

use super::*;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// One simulated user.
#[derive(Clone)]
struct User {
    tenant: &'static str,
    /// Calls a second.
    rate: f64,
    class: Class,
}

struct Setting {
    users: Vec<User>,
    slots: usize,
    seconds: f64,
    /// How long a caller waits.
    patience: f64,
    fifo: bool,
}

#[derive(Default, Clone)]
struct Seen {
    refused: u32,
    late: u32,
    waits: Vec<f64>,
    work: f64,
    asked_work: f64,
}

/// Mean time that a call takes, in seconds.
const SERVICE: f64 = 3.0;

fn exponential(random: &mut fastrand::Rng) -> f64 {
    -(1.0 - random.f64()).ln()
}

/// Log-normal with this mean and a sigma of 0.8, as lengths of answers are.
fn service(random: &mut fastrand::Rng) -> f64 {
    let normal =
        (-2.0 * (1.0 - random.f64()).ln()).sqrt() * (std::f64::consts::TAU * random.f64()).cos();
    SERVICE * (0.8 * normal - 0.32).exp()
}

/// Microseconds, so that events have a total order.
fn micros(seconds: f64) -> u64 {
    u64::try_from(Duration::from_secs_f64(seconds).as_micros()).unwrap()
}

#[derive(Clone, Copy)]
enum Event {
    Arrives(usize),
    Ends(usize),
}

struct Job {
    user: usize,
    takes: f64,
    came: f64,
    waiting: Option<Waiting>,
    permit: Option<Permit>,
}

struct Play<'a> {
    setting: &'a Setting,
    queue: Arc<Queue>,
    start: Instant,
    random: fastrand::Rng,
    seen: Vec<Seen>,
    events: BinaryHeap<Reverse<(u64, usize)>>,
    kinds: Vec<Event>,
    jobs: Vec<Job>,
    /// Seconds of slots that were used.
    busy: f64,
}

impl Play<'_> {
    fn push(&mut self, at: f64, event: Event) {
        self.kinds.push(event);
        self.events
            .push(Reverse((micros(at), self.kinds.len() - 1)));
    }

    fn arrivals(&mut self) {
        for (index, user) in self.setting.users.iter().enumerate() {
            let mut at = exponential(&mut self.random) / user.rate;
            while at < self.setting.seconds {
                self.push(at, Event::Arrives(index));
                at += exponential(&mut self.random) / user.rate;
            }
        }
    }

    fn now(&self, seconds: f64) -> Instant {
        self.start + Duration::from_secs_f64(seconds)
    }

    fn arrives(&mut self, index: usize, at: f64) {
        let setting = self.setting;
        let (user, now, takes) = (
            &setting.users[index],
            self.now(at),
            service(&mut self.random),
        );
        self.seen[index].asked_work += takes;
        let (tenant, name) = if setting.fifo {
            ("all", "all".to_owned())
        } else {
            (user.tenant, index.to_string())
        };
        let call = Call {
            who: Who {
                tenant: tenant.into(),
                user: name.into(),
            },
            class: user.class,
            cost: 1000,
            until: now + Duration::from_secs_f64(setting.patience),
        };
        let rule = Rule {
            slots: setting.slots,
            per_user: 100,
        };
        let (waiting, permit) = match self.queue.enter(rule, call, now) {
            Ok(Turn::Now(permit)) => (None, Some(permit)),
            Ok(Turn::Later(waiting)) => (Some(waiting), None),
            Err(_) => {
                self.seen[index].refused += 1;
                return;
            }
        };
        if permit.is_some() {
            self.seen[index].waits.push(0.0);
            self.push(at + takes, Event::Ends(self.jobs.len()));
        }
        self.jobs.push(Job {
            user: index,
            takes,
            came: at,
            waiting,
            permit,
        });
    }

    fn ends(&mut self, number: usize, at: f64) {
        let now = self.now(at);
        let job = &mut self.jobs[number];
        self.busy += job.takes;
        self.seen[job.user].work += job.takes;
        let mut permit = job.permit.take().unwrap();
        permit.used(micros(job.takes) / 3000);
        permit.end(now);
    }

    /// Those whose turn has come begin; those for whom it is too late go.
    fn turns(&mut self, at: f64) {
        let mut begun = Vec::new();
        for (number, job) in self.jobs.iter_mut().enumerate() {
            let Some(waiting) = &mut job.waiting else {
                continue;
            };
            let cx = &mut Context::from_waker(Waker::noop());
            let Poll::Ready(permit) = Pin::new(waiting).poll(cx) else {
                continue;
            };
            job.waiting = None;
            match permit {
                None => self.seen[job.user].late += 1,
                Some(permit) => {
                    job.permit = Some(permit);
                    self.seen[job.user].waits.push(at - job.came);
                    begun.push((number, job.takes));
                }
            }
        }
        for (number, takes) in begun {
            self.push(at + takes, Event::Ends(number));
        }
    }
}

/// What each user saw, and the share of the slots' time that was used.
fn play(setting: &Setting) -> (Vec<Seen>, f64) {
    let mut play = Play {
        setting,
        queue: Arc::default(),
        start: Instant::now(),
        random: fastrand::Rng::with_seed(7),
        seen: vec![Seen::default(); setting.users.len()],
        events: BinaryHeap::new(),
        kinds: Vec::new(),
        jobs: Vec::new(),
        busy: 0.0,
    };
    play.arrivals();
    while let Some(Reverse((at, event))) = play.events.pop() {
        let at = Duration::from_micros(at).as_secs_f64();
        if at > setting.seconds {
            break;
        }
        match play.kinds[event] {
            Event::Arrives(index) => play.arrives(index, at),
            Event::Ends(number) => play.ends(number, at),
        }
        play.turns(at);
    }
    (
        play.seen,
        play.busy / (setting.seconds * real(setting.slots)),
    )
}

/// The value that a share of one in `n` exceeds.
fn upper(mut waits: Vec<f64>, n: usize) -> f64 {
    waits.sort_by(|a, b| b.total_cmp(a));
    waits.get(waits.len() / n).copied().unwrap_or(0.0)
}

/// Shares of slots that max-min fairness gives to these demands.
fn fair(demands: &[f64], slots: f64) -> Vec<f64> {
    let (mut shares, mut left) = (vec![0.0; demands.len()], slots);
    let mut order: Vec<usize> = (0..demands.len()).collect();
    order.sort_by(|a, b| demands[*a].total_cmp(&demands[*b]));
    for (done, index) in order.iter().enumerate() {
        let share = demands[*index].min(left / real(demands.len() - done));
        shares[*index] = share;
        left -= share;
    }
    shares
}

/// Jain's index of what users got of their fair share.
fn jain(seen: &[Seen], slots: usize, seconds: f64) -> f64 {
    let demands: Vec<f64> = seen.iter().map(|one| one.asked_work / seconds).collect();
    let shares = fair(&demands, real(slots));
    let got = seen
        .iter()
        .zip(shares)
        .map(|(one, share)| (one.work / seconds / share).min(1.0));
    let (sum, squares) = got.fold((0.0, 0.0), |(sum, squares), x| (sum + x, squares + x * x));
    sum * sum / (real(seen.len()) * squares)
}

fn one_heavy_user(fifo: bool) -> (f64, f64, f64, f64) {
    let user = |rate| User {
        tenant: "t",
        rate,
        class: Class::Interactive,
    };
    let mut users = vec![user(4.0)];
    users.extend(vec![user(0.05); 19]);
    let setting = Setting {
        users,
        slots: 8,
        seconds: 600.0,
        patience: 600.0,
        fifo,
    };
    let (seen, used) = play(&setting);
    let light: Vec<f64> = seen[1..].iter().flat_map(|one| one.waits.clone()).collect();
    let jain = jain(&seen, setting.slots, setting.seconds);
    (upper(light.clone(), 2), upper(light, 100), jain, used)
}

#[test]
fn a_heavy_user_does_not_make_light_ones_wait() {
    println!("| | light p50 | light p99 | Jain | utilisation |\n|---|---|---|---|---|");
    for (name, fifo) in [("first come, first served", true), ("this queue", false)] {
        let (p50, p99, jain, used) = one_heavy_user(fifo);
        println!("| {name} | {p50:.2} s | {p99:.2} s | {jain:.3} | {used:.3} |");
        if !fifo {
            assert!(p99 <= 2.0 * SERVICE, "light users wait {p99} s");
            assert!(jain >= 0.97, "{jain}");
            assert!(used >= 0.98, "{used}");
        } else {
            assert!(
                p99 > 2.0 * SERVICE,
                "the setting is too easy to show anything: {p99} s"
            );
        }
    }
}

#[test]
fn tenants_share_whatever_the_number_of_their_users() {
    let user = |tenant| User {
        tenant,
        rate: 1.0,
        class: Class::Interactive,
    };
    let mut users = vec![user("small")];
    users.extend(vec![user("large"); 9]);
    users[0].rate = 9.0;
    let setting = Setting {
        users,
        slots: 4,
        seconds: 600.0,
        patience: 60.0,
        fifo: false,
    };
    let (seen, _) = play(&setting);
    let large: f64 = seen[1..].iter().map(|one| one.work).sum();
    let share = seen[0].work / (seen[0].work + large);
    println!("the tenant with one user of ten gets {share:.3} of the work");
    assert!((share - 0.5).abs() < 0.03, "{share}");
}

#[test]
fn overload_wastes_nothing_and_serves_nobody_too_late() {
    let user = User {
        tenant: "t",
        rate: 0.4,
        class: Class::Interactive,
    };
    let setting = Setting {
        users: vec![user; 20],
        slots: 8,
        seconds: 60.0,
        patience: 10.0,
        fifo: false,
    };
    let (seen, used) = play(&setting);
    let latest = seen
        .iter()
        .flat_map(|one| one.waits.clone())
        .fold(0.0, f64::max);
    let refused: u32 = seen.iter().map(|one| one.refused).sum();
    let late: u32 = seen.iter().map(|one| one.late).sum();
    println!(
        "3 x overload: {used:.3} of the slots' time used, {refused} refused at once, {late} after a wait, longest wait {latest:.1} s"
    );
    assert!(used >= 0.95, "{used}");
    assert!(latest <= setting.patience, "{latest}");
    assert!(
        refused > 2 * late,
        "callers should know at once: {refused} {late}"
    );
}
