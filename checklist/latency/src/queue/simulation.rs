//! A simulated machine behind the queue: who waits how long. Run with `-- --nocapture` for the table.

use super::*;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Wake};

/// One simulated user.
#[derive(Clone)]
struct User {
    tenant: &'static str,
    /// Calls a second.
    rate: f64,
    class: Class,
    weight: u32,
}

const USER: User = User {
    tenant: "t",
    rate: 1.0,
    class: Class::Interactive,
    weight: 1,
};

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
    shed: u32,
    waits: Vec<f64>,
    work: f64,
    asked_work: f64,
}

/// Mean time that a call takes, in seconds.
const SERVICE: f64 = 3.0;
/// Time to its first content.
const FIRST_CONTENT: f64 = 0.3;

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
    began: f64,
    waiting: Option<Waiting>,
    permit: Option<Permit>,
}

/// Wakes a call by its number.
struct Bell {
    number: usize,
    rung: Arc<Mutex<Vec<usize>>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.lock().unwrap().push(self.number);
    }
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
    /// Calls that wait no longer.
    rung: Arc<Mutex<Vec<usize>>>,
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
            weight: user.weight,
            // The gateway takes off what the target usually needs to begin.
            until: now + Duration::from_secs_f64(setting.patience - FIRST_CONTENT),
        };
        let rule = Rule {
            slots: Slots::Fixed(setting.slots),
            per_user: 100,
            interactive: Duration::from_secs_f64(setting.patience),
            batch: Duration::from_secs_f64(setting.patience),
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
        } else {
            self.rung.lock().unwrap().push(self.jobs.len());
        }
        self.jobs.push(Job {
            user: index,
            takes,
            came: at,
            began: at,
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
        let rung = std::mem::take(&mut *self.rung.lock().unwrap());
        for number in rung {
            let job = &mut self.jobs[number];
            let Some(waiting) = &mut job.waiting else {
                continue;
            };
            let rung = self.rung.clone();
            let waker = Waker::from(Arc::new(Bell { number, rung }));
            let cx = &mut Context::from_waker(&waker);
            let Poll::Ready(permit) = Pin::new(waiting).poll(cx) else {
                continue;
            };
            job.waiting = None;
            match permit {
                Err(Missed::Late) => self.seen[job.user].late += 1,
                Err(Missed::Shed) => self.seen[job.user].shed += 1,
                Ok(permit) => {
                    job.permit = Some(permit);
                    job.began = at;
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
        rung: Arc::default(),
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
    // Calls that still run have used their slots too.
    let running = play.jobs.iter().filter(|job| job.permit.is_some());
    play.busy += running.map(|job| setting.seconds - job.began).sum::<f64>();
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
    let user = |rate| User { rate, ..USER };
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
    let user = |tenant| User { tenant, ..USER };
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
fn tenants_share_by_their_weights() {
    let user = |tenant, weight| User {
        tenant,
        weight,
        ..USER
    };
    // Ten users each, who ask for more than all slots.
    let users = [vec![user("three", 3); 10], vec![user("one", 1); 10]].concat();
    let setting = Setting {
        users,
        slots: 8,
        seconds: 1200.0,
        patience: 60.0,
        fifo: false,
    };
    let (seen, used) = play(&setting);
    let work = |seen: &[Seen]| seen.iter().map(|one| one.work).sum::<f64>();
    let share = work(&seen[..10]) / work(&seen);
    println!("weights 3 and 1: {share:.3} of the work for the first, {used:.3} of the slots used");
    assert!((share - 0.75).abs() < 0.03 * 0.75, "{share}");
    assert!(used >= 0.98, "{used}");
}

/// Share of batch, and the longest wait of a batch call, while interactive calls alone would need twice the slots.
fn batch_under_pressure(slots: usize, rate: f64) -> (f64, f64) {
    let mut users = vec![
        User {
            rate: real(slots) * 2.0 / SERVICE / 20.0,
            ..USER
        };
        20
    ];
    users.push(User {
        class: Class::Batch,
        rate,
        ..USER
    });
    let setting = Setting {
        users,
        slots,
        seconds: 1200.0,
        patience: 600.0,
        fifo: false,
    };
    let (seen, _) = play(&setting);
    let batch = &seen[20];
    let all: f64 = seen.iter().map(|one| one.work).sum();
    let longest = batch.waits.iter().copied().fold(0.0, f64::max);
    (batch.work / all, longest)
}

#[test]
fn batch_is_not_starved() {
    // One in eight of four slots is a call in six seconds; asked for is one in ten.
    let (_, longest) = batch_under_pressure(4, 0.1);
    println!("4 slots, one batch call in 10 s: waits {longest:.1} s at most");
    assert!(longest <= 60.0, "{longest}");
    // A tenth of twenty slots: two thirds of a call a second.
    let (_, longest) = batch_under_pressure(20, 0.5);
    println!("20 slots, one batch call in 2 s: waits {longest:.1} s at most");
    assert!(longest <= 30.0, "{longest}");
    for slots in [4, 20] {
        let (share, _) = batch_under_pressure(slots, 20.0);
        println!("{slots} slots, batch asks for all of them: {share:.3} of the work");
        assert!((0.08..=0.15).contains(&share), "{share}");
    }
}

#[test]
fn overload_wastes_nothing_and_serves_nobody_too_late() {
    let setting = Setting {
        users: vec![User { rate: 0.4, ..USER }; 20],
        slots: 8,
        seconds: 60.0,
        patience: 10.0,
        fifo: false,
    };
    let (seen, used) = play(&setting);
    let waits: Vec<f64> = seen.iter().flat_map(|one| one.waits.clone()).collect();
    let latest = waits.iter().copied().fold(0.0, f64::max) + FIRST_CONTENT;
    let count = |pick: fn(&Seen) -> u32| seen.iter().map(pick).sum::<u32>();
    let (refused, late, shed) = (
        count(|one| one.refused),
        count(|one| one.late),
        count(|one| one.shed),
    );
    println!(
        "3 x overload: {used:.3} of the slots' time used for {} calls, {refused} refused at once, {shed} given up, {late} too \
         late; first content after {:.1} s (p50), {latest:.1} s at most",
        waits.len(),
        upper(waits.clone(), 2) + FIRST_CONTENT
    );
    assert!(used >= 0.95, "{used}");
    assert!(latest <= setting.patience, "{latest}");
    assert!(
        refused + shed > 10 * late,
        "callers should know soon: {refused} {shed} {late}"
    );
}
