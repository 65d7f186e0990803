//! Limits that several nodes share over a Redis or Valkey.
//!
//! A request takes from all of its limits in one call of one script, all or nothing, by the server's clock. What it turns out to
//! have used is told afterwards, in batches that are applied once however often they are sent; nobody waits for that. What this node
//! alone has used is counted here too ([`crate::room::Room`]): who is over by that is refused without asking, and so is who is over
//! a limit that was used up a moment ago ([`known`]).
//!
//! **While the server is away** each node goes on alone, with its share of every limit: the limit by the number of nodes that lived
//! last, and at least 1, against what this node itself has used in the window. All nodes together let in at most the limit once more than
//! was let in before. Limits of money are not shared out like that unless they say so ([`Away`]): for [`GRACE_MS`] a node spends what its own calls give
//! back, which the server still counts, and then nothing; so they are never passed. What is used meanwhile is told when the server is
//! back, before it is asked again. A server that has forgotten everything hears from each node what that node has used, and is
//! asked when all nodes have told it.
//!
//! **Bounds.** One call waits at most [`Settings::deadline`]. At most [`GIVEN_UP_MAX`] calls that were given up wait to be taken back;
//! beyond that they stay charged. Counters: see [`mirror`].

mod hold;
mod known;
mod link;
mod mirror;
mod script;
mod spot;

pub(crate) use hold::Hold;
pub use link::LEASE_MS;
pub use mirror::COUNTERS_MAX;

use crate::counter::Now;
use crate::key::Key;
use crate::room::{Ask, Reservation, Room, Turn};
use crate::rule::Away;
use crate::verdict::{Broken, Level, Standing};
use aplomb_engines::redis::Redis;
use known::Known;
use link::{Change, Link};
use mirror::{Mirror, Owed};
use script::{GivenUp, Reply, Scripts, Told, Verdict};
use spot::{Kind, Spot};
use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// From one heartbeat to the next. Chosen: a node that is gone is noticed by its lease, which is twenty of them.
const BEAT: Duration = Duration::from_millis(250);
/// Longest wait for an answer that no request waits for.
const CALM: Duration = Duration::from_secs(1);
/// Differences that are told at once. Chosen: a script of half a millisecond.
const BATCH: usize = 256;
/// Calls that are taken back at once.
const GIVEN_UP_BATCH: usize = 32;
/// Most calls that wait to be taken back.
const GIVEN_UP_MAX: usize = 4096;
/// So long a node spends money without the server, of what its own calls give back. Chosen: a restart of the server.
pub const GRACE_MS: u64 = 30_000;

/// Who this node is, and how long it waits.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The same on all nodes of an installation, and unlike those of others on the same server.
    pub installation: String,
    /// Unlike those of other nodes, and of this one before a restart.
    pub node: String,
    /// Longest wait of a request for the server.
    pub deadline: Duration,
    /// A file with the name of the server's epoch that knows what this node has used: after a restart of the node another server is
    /// told that. None where nothing survives a restart.
    pub epoch: Option<PathBuf>,
}

/// What happened.
#[derive(Debug, Default)]
pub struct Counts {
    /// Requests that were decided without the server, since it was away.
    pub alone: AtomicU64,
    /// Requests that were refused since a limit that is closed then can't be counted without the server.
    pub closed: AtomicU64,
    /// Requests that were refused without asking, since a limit was known to be used up.
    pub spared: AtomicU64,
    /// Calls that failed or came too late.
    pub failed: AtomicU64,
    /// Calls that could not be taken back any more.
    given_up_lost: AtomicU64,
}

/// Why a request is not let in.
pub enum Refusal {
    /// It is over these limits. `alone`: by this node's share of them.
    Over {
        /// All rules that it would break.
        broken: Vec<Broken>,
        /// Whether the server was not asked since it is away.
        alone: bool,
    },
    /// A limit that is closed while the server is away can't be counted.
    Unavailable,
}

/// A batch on its way.
struct Batch {
    number: u64,
    epoch: link::Epoch,
    owed: Vec<Owed>,
    given_up: Vec<GivenUp>,
}

/// Limits on a server.
pub struct Shared {
    redis: Redis,
    settings: Settings,
    scripts: Scripts,
    link: Link,
    mirror: Mirror,
    known: Known,
    /// Counters that this node has met, so that what it had used of them before is told once.
    met: Mutex<HashSet<Key>>,
    given_up: Mutex<VecDeque<GivenUp>>,
    batch: Mutex<Option<Batch>>,
    batches: AtomicU64,
    calls: AtomicU64,
    wake: Notify,
    counts: Counts,
}

fn epoch_before(settings: &Settings) -> Option<String> {
    let name = std::fs::read_to_string(settings.epoch.as_ref()?).ok()?;
    Some(name).filter(|name| !name.is_empty())
}

/// A call that is under way. If it is dropped before its answer, what it may have taken is taken back.
struct Call<'a> {
    shared: &'a Shared,
    given_up: Option<GivenUp>,
    reservation: Option<Reservation>,
    now: Now,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if let Some(given_up) = self.given_up.take() {
            self.shared.give_up(given_up);
        }
        if let Some(reservation) = self.reservation.take() {
            reservation.undo(self.now);
        }
    }
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

impl Shared {
    /// Limits on a server. Nothing is asked before [`Shared::run`] has reached it.
    pub fn new(redis: Redis, settings: Settings) -> Self {
        Shared {
            redis,
            scripts: Scripts::new(&settings.installation, &settings.node),
            link: Link::after(epoch_before(&settings).as_deref()),
            settings,
            mirror: Mirror::with_counters(COUNTERS_MAX),
            known: Known::default(),
            met: Mutex::default(),
            given_up: Mutex::default(),
            batch: Mutex::default(),
            batches: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            wake: Notify::new(),
            counts: Counts::default(),
        }
    }

    /// Whether the server is asked.
    pub fn is_up(&self) -> bool {
        self.link.is_up()
    }

    /// How many nodes share the limits, this one included.
    pub fn nodes(&self) -> u64 {
        self.link.nodes()
    }

    /// What happened.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Counters of which the server does not know everything yet.
    pub fn owing(&self) -> usize {
        self.mirror.owing()
    }

    /// Differences that the server will never know.
    pub fn lost(&self) -> u64 {
        let given_up = self.counts.given_up_lost.load(Ordering::Relaxed);
        given_up + self.mirror.lost.load(Ordering::Relaxed)
    }

    fn spot(&self, ask: &Ask, server_ms: u64) -> Spot {
        let kind = Kind::of(&ask.rule, ask.limit, server_ms);
        Spot::at(ask.key, kind, server_ms)
    }

    /// Lets a request in under all of these rules, or under none. One round trip at most.
    ///
    /// Cancel safe: a call that is dropped is taken back.
    ///
    /// # Errors
    /// It is over a limit, or one can't be counted.
    pub async fn reserve(
        self: &Arc<Self>,
        room: &Arc<Room>,
        asks: &[Ask],
        (turn, now): (Turn, Now),
    ) -> Result<Reservation, Refusal> {
        self.recall(room, asks, now);
        let Some(epoch) = self.link.asked() else {
            return self.alone(room, asks, (turn, now));
        };
        let over = |broken| Refusal::Over {
            broken,
            alone: false,
        };
        let broken = self.known.broken(asks, now.run_ms);
        if !broken.is_empty() {
            self.counts.spared.fetch_add(1, Ordering::Relaxed);
            return Err(over(broken));
        }
        let own = room.reserve(asks, turn, now).map_err(over)?;
        let server_ms = self.link.server_ms(now);
        // What the server does not know yet is not there for anybody.
        let untold: Vec<u64> = asks.iter().map(|ask| self.mirror.untold(ask.key)).collect();
        let less: Vec<Ask> = asks
            .iter()
            .zip(&untold)
            .map(|(ask, untold)| Ask {
                limit: ask.limit.saturating_sub(*untold),
                ..ask.clone()
            })
            .collect();
        let spots: Vec<(&Ask, Spot)> = less
            .iter()
            .zip(asks)
            .map(|(less, ask)| (less, self.spot(ask, server_ms)))
            .collect();
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let entries = spots.iter();
        let mut call = Call {
            shared: self,
            given_up: Some(GivenUp {
                call: number,
                epoch: epoch.number,
                entries: entries
                    .map(|(ask, spot)| (*spot, signed(ask.amount)))
                    .collect(),
            }),
            reservation: Some(own),
            now,
        };
        let said = (number, &*epoch.name, self.settings.deadline);
        let mut reply = self.scripts.reserve(&self.redis, said, &spots).await;
        if let Ok(Reply::In(told, _) | Reply::Over(told, _)) = &mut reply {
            for (told, untold) in told.iter_mut().zip(&untold) {
                told.level.used = told.level.used.saturating_add(*untold);
            }
        }
        match reply {
            Ok(Reply::In(told, server_ms)) => {
                self.link.answered();
                call.given_up = None;
                let mut hold = Hold::new(self.clone(), now, false);
                for ((ask, spot), told) in spots.iter().zip(&told) {
                    if told.verdict == Verdict::Fine {
                        let spot = Spot::at(spot.key, spot.kind, server_ms);
                        let amount = signed(ask.amount);
                        self.mirror.granted(spot, amount, epoch.number, server_ms);
                        hold.add(ask, spot);
                    }
                }
                // A call holds its reservation until here.
                let Some(mut own) = call.reservation.take() else {
                    return Err(Refusal::Unavailable);
                };
                own.share(hold, asks.iter().zip(told.iter().map(|told| told.level)));
                for one in broken_by(&told, asks, Verdict::Shadow) {
                    // This node alone may have been over it already.
                    if !own.shadowed.iter().any(|known| known.at == one.at) {
                        own.shadowed.push(one);
                    }
                }
                Ok(own)
            }
            Ok(Reply::Over(told, _)) => {
                self.link.answered();
                call.given_up = None;
                let broken = broken_by(&told, asks, Verdict::Over);
                self.known.note(asks, &broken, now.run_ms);
                Err(over(broken))
            }
            Ok(Reply::Gone) => {
                call.given_up = None;
                drop(call);
                self.say(self.link.lost(now));
                self.alone(room, asks, (turn, now))
            }
            Err(_away) => {
                self.counts.failed.fetch_add(1, Ordering::Relaxed);
                drop(call);
                self.say(self.link.failed(now));
                self.alone(room, asks, (turn, now))
            }
        }
    }

    /// How the rules stand for a caller: for all nodes together, or for this one while the server is away.
    pub async fn standings(&self, room: &Room, asks: &[Ask], now: Now) -> Vec<Standing> {
        let own = || room.standings(asks, now);
        let Some(epoch) = self.link.asked() else {
            return own();
        };
        let looks: Vec<Ask> = asks
            .iter()
            .map(|ask| Ask {
                amount: 0,
                ..ask.clone()
            })
            .collect();
        let server_ms = self.link.server_ms(now);
        let spots: Vec<(&Ask, Spot)> = looks
            .iter()
            .map(|ask| (ask, self.spot(ask, server_ms)))
            .collect();
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let said = (number, &*epoch.name, self.settings.deadline);
        match self.scripts.reserve(&self.redis, said, &spots).await {
            Ok(Reply::In(told, _) | Reply::Over(told, _)) => {
                let all = asks.iter().zip(told);
                all.map(|(ask, told)| standing(ask, told.level)).collect()
            }
            Ok(Reply::Gone) | Err(_) => own(),
        }
    }

    /// Decides without the server: by this node's share of the limits, and by what it has to give back where they are closed.
    fn alone(
        self: &Arc<Self>,
        room: &Arc<Room>,
        asks: &[Ask],
        (turn, now): (Turn, Now),
    ) -> Result<Reservation, Refusal> {
        self.counts.alone.fetch_add(1, Ordering::Relaxed);
        let nodes = self.link.nodes();
        let share = |ask: &Ask| Ask {
            limit: match ask.rule.away {
                Away::Closed | Away::Open => ask.limit,
                Away::Share => (ask.limit / nodes).max(1),
            },
            ..ask.clone()
        };
        let shares: Vec<Ask> = asks.iter().map(share).collect();
        let mut own = room
            .reserve(&shares, turn, now)
            .map_err(|broken| Refusal::Over {
                broken,
                alone: true,
            })?;
        let server_ms = self.link.server_ms(now);
        let mut hold = Hold::new(self.clone(), now, true);
        for ask in asks {
            let spot = self.spot(ask, server_ms);
            let amount = signed(ask.amount);
            let spared = own
                .shadowed
                .iter()
                .any(|one| one.standing.rule.name == ask.rule.name);
            if spared {
                continue;
            }
            if ask.rule.away == Away::Closed && !ask.rule.shadow && ask.amount > 0 {
                let graced = self.link.down_for_ms(now) < GRACE_MS;
                if !graced || !self.mirror.spend(spot, amount) {
                    // What was taken before is given back.
                    hold.settle(now, |_| Some(0));
                    own.undo(now);
                    self.counts.closed.fetch_add(1, Ordering::Relaxed);
                    return Err(Refusal::Unavailable);
                }
            } else {
                self.mirror.used(spot, amount, server_ms);
            }
            hold.add(ask, spot);
        }
        own.share(hold, std::iter::empty());
        Ok(own)
    }

    /// What this node had used before it was started, of counters that it meets for the first time.
    fn recall(&self, room: &Room, asks: &[Ask], now: Now) {
        let server_ms = self.link.server_ms(now);
        for ask in asks {
            if self.mirror.knows(ask.key) {
                continue;
            }
            // Read before anybody here has taken anything: what is being taken now is no history.
            let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
            if met.len() >= COUNTERS_MAX {
                met.clear();
            }
            if !met.insert(ask.key) {
                continue;
            }
            let since = |at_ms: u64| now.run_ms.saturating_sub(at_ms);
            for (at_ms, amount) in room.history(ask, now) {
                let then = server_ms.saturating_sub(since(at_ms));
                let spot = match self.spot(ask, server_ms) {
                    spot @ Spot {
                        kind: Kind::Ring(_),
                        ..
                    } => Spot::at(spot.key, spot.kind, then),
                    spot => spot,
                };
                self.mirror.used_before(spot, signed(amount), server_ms);
            }
        }
    }

    /// The server of this epoch knows what this node has used.
    async fn keep_epoch(&self) {
        let (Some(file), Some(epoch)) = (self.settings.epoch.clone(), self.link.epoch()) else {
            return;
        };
        let write = move || {
            let next = file.with_extension("next");
            std::fs::write(&next, epoch.name.as_bytes())?;
            std::fs::rename(&next, &file)
        };
        if !matches!(tokio::task::spawn_blocking(write).await, Ok(Ok(()))) {
            tracing::warn!(
                "the epoch of shared limits could not be written: after a restart this node's uses may be counted twice"
            );
        }
    }

    fn give_up(&self, call: GivenUp) {
        let mut all = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= GIVEN_UP_MAX {
            self.counts.given_up_lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        all.push_back(call);
        drop(all);
        self.wake.notify_one();
    }

    fn say(&self, change: Change) {
        let nodes = self.link.nodes();
        match change {
            Change::None => {}
            Change::Up => tracing::info!(nodes, "limits are shared"),
            Change::Down => tracing::warn!(
                nodes,
                "the store of shared limits is away: this node goes on alone with its share"
            ),
        }
    }

    /// Keeps in touch with the server until `stop` says so; then tells it what is left to tell.
    pub async fn run(&self, now: impl Fn() -> Now + Send + Sync, mut stop: watch::Receiver<bool>) {
        let mut beaten: Option<tokio::time::Instant> = None;
        loop {
            let due = beaten.is_none_or(|at| at.elapsed() >= BEAT);
            let mut heard = true;
            if due || !self.is_up() {
                beaten = Some(tokio::time::Instant::now());
                heard = self.beat(&now).await;
            }
            if heard {
                self.settle(&now).await;
            }
            let next = beaten.map_or(Duration::ZERO, |at| BEAT.saturating_sub(at.elapsed()));
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                () = tokio::time::sleep(next) => {}
                () = self.wake.notified(), if self.is_up() => {}
            }
        }
        if self.is_up() {
            self.settle(&now).await;
        }
    }

    /// Says that this node lives. False where nobody has heard it.
    async fn beat(&self, now: &(impl Fn() -> Now + Send + Sync)) -> bool {
        // Where a heartbeat brings news, the next one tells that they have arrived.
        for _ in 0..2 {
            let before = self.link.told_in();
            let told = before.as_deref().unwrap_or_default();
            let fresh = format!("{}-{}", self.scripts.node(), now().run_ms);
            let heard = self.scripts.beat(&self.redis, (&fresh, told), CALM).await;
            let Ok(heard) = heard else {
                self.counts.failed.fetch_add(1, Ordering::Relaxed);
                self.say(self.link.missed(now()));
                return false;
            };
            let (at, server_ms) = (now(), heard.server_ms);
            let renew = |epoch| self.mirror.renew(epoch, server_ms);
            self.say(self.link.heard(&heard, at, renew));
            if self.is_up() {
                return true;
            }
            self.settle(now).await;
            if self.is_up() || self.link.told_in() == before {
                return true;
            }
        }
        true
    }

    /// Tells all that is owed.
    async fn settle(&self, now: &(impl Fn() -> Now + Send + Sync)) {
        loop {
            let server_ms = self.link.server_ms(now());
            let Some(epoch) = self.link.epoch() else {
                return;
            };
            let Some(batch) = self.batch(epoch, server_ms) else {
                let change = self.link.settled(server_ms);
                self.say(change);
                if change == Change::Up {
                    self.keep_epoch().await;
                }
                return;
            };
            let said = (batch.number, &*batch.epoch.name, CALM);
            let what = (&*batch.owed, &*batch.given_up);
            match self.scripts.amend(&self.redis, said, what).await {
                Ok(true) => self.mirror.told(&batch.owed, batch.epoch.number),
                // The next heartbeat says which epoch it is.
                Ok(false) => return self.say(self.link.lost(now())),
                Err(_away) => {
                    self.counts.failed.fetch_add(1, Ordering::Relaxed);
                    *self.batch.lock().unwrap_or_else(PoisonError::into_inner) = Some(batch);
                    return self.say(self.link.failed(now()));
                }
            }
        }
    }

    /// The batch that was not answered, or the next one; none where nothing is owed.
    fn batch(&self, epoch: link::Epoch, server_ms: u64) -> Option<Batch> {
        let mut last = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
        // A batch of an epoch before is told anew: everything is.
        if let Some(batch) = last.take().filter(|batch| batch.epoch == epoch) {
            return Some(batch);
        }
        let mut given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        given_up.retain(|call| call.epoch == epoch.number);
        let count = given_up.len().min(GIVEN_UP_BATCH);
        let given_up: Vec<GivenUp> = given_up.drain(..count).collect();
        let owed = self.mirror.collect(BATCH, server_ms);
        if owed.is_empty() && given_up.is_empty() {
            return None;
        }
        Some(Batch {
            number: self.batches.fetch_add(1, Ordering::Relaxed) + 1,
            epoch,
            owed,
            given_up,
        })
    }
}

fn standing(ask: &Ask, level: Level) -> Standing {
    Standing {
        rule: ask.rule.clone(),
        limit: ask.limit,
        level,
    }
}

/// The rules of which the server said this.
fn broken_by(told: &[Told], asks: &[Ask], verdict: Verdict) -> Vec<Broken> {
    let all = told.iter().zip(asks).enumerate();
    let those = all.filter(|(_, (told, _))| told.verdict == verdict);
    those
        .map(|(at, (told, ask))| Broken {
            at,
            standing: standing(ask, told.level),
            amount: ask.amount,
            wait: told.wait,
        })
        .collect()
}
