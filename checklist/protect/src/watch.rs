//! Who is slowed down, and who is banned for a while.
//!
//! A request that shows no key that is known, or asks for a path that does not exist, is a strike against its address and the
//! subnet around it. With more strikes in a window answers to further ones are held back; with more still the address is banned.
//! A ban says nothing about callers whose keys are known: others may live behind the same address.
//!
//! Memory is fixed: strikes and arrivals are counted in sketches of 1 MiB each, at most [`BANS_MAX`] bans are kept (at the
//! bound the one that ends first goes), at most [`HELD_MAX`] answers are held back at a time (further ones go out at once).

use crate::address::Place;
use crate::sketch::Sketch;
use aplomb_core::network::Network;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Most bans at a time.
pub const BANS_MAX: usize = 16_384;
/// Most answers that are held back at a time. Chosen: a connection costs about 30 KiB, so these cost 15 MiB.
pub const HELD_MAX: usize = 512;

/// So many in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u64,
    /// In which time.
    pub window: Duration,
}

/// What happens to those that guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guessing {
    /// The time in which strikes are counted.
    pub window: Duration,
    /// From so many strikes of an address on, answers are held back.
    pub slow_after: u64,
    /// For so long.
    pub delay: Duration,
    /// From so many strikes of an address on, it is banned.
    pub ban_address_after: u64,
    /// From so many strikes of a subnet on, all of it is banned.
    pub ban_subnet_after: u64,
    /// For so long.
    pub ban: Duration,
}

/// The rules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    /// Most requests of an address.
    pub address: Option<Rate>,
    /// Most requests of a subnet.
    pub subnet: Option<Rate>,
    /// What happens to those that guess; none: nothing.
    pub guessing: Option<Guessing>,
}

/// A ban.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ban {
    /// Who.
    pub network: Network,
    /// When it began, in milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// When it ends.
    pub until_ms: u64,
    /// Strikes that brought it.
    pub strikes: u64,
}

/// What a strike led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Struck {
    /// Nothing yet.
    Noted,
    /// The answer is held back for so long.
    Slow(Duration),
    /// A ban has begun.
    Banned(Ban),
}

/// Why a request is not even looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany {
    /// Whether it is the subnet that has sent too much.
    pub subnet: bool,
    /// When trying again can help.
    pub wait: Duration,
}

fn wide(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The sketches of one set of rules. Made anew where a window changes.
struct Counts {
    rules: Rules,
    strikes: Option<Sketch>,
    address: Option<Sketch>,
    subnet: Option<Sketch>,
}

impl Counts {
    fn new(rules: Rules) -> Self {
        let sketch = |rate: Rate| Sketch::new(wide(rate.window));
        Counts {
            rules,
            strikes: rules
                .guessing
                .map(|guessing| Sketch::new(wide(guessing.window))),
            address: rules.address.map(sketch),
            subnet: rules.subnet.map(sketch),
        }
    }
}

/// What was seen of addresses. Survives a reload.
pub struct Watch {
    secret: RandomState,
    counts: RwLock<Arc<Counts>>,
    bans: RwLock<HashMap<Network, Ban>>,
    held: AtomicUsize,
    begun: AtomicU64,
}

impl Default for Watch {
    fn default() -> Self {
        Watch {
            secret: RandomState::new(),
            counts: RwLock::new(Arc::new(Counts::new(Rules::default()))),
            bans: RwLock::default(),
            held: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
        }
    }
}

impl Watch {
    /// From now on these rules hold. What was counted is kept where they are the same.
    pub fn keep_to(&self, rules: Rules) {
        let mut counts = self.counts.write().unwrap_or_else(PoisonError::into_inner);
        if counts.rules != rules {
            *counts = Arc::new(Counts::new(rules));
        }
    }

    fn counts(&self) -> Arc<Counts> {
        self.counts
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn hash(&self, network: Network) -> u64 {
        self.secret.hash_one(network)
    }

    /// Counts a request before anybody knows who is calling.
    ///
    /// # Errors
    /// Too many have come from its address or its subnet.
    pub fn arrive(&self, place: &Place, now_ms: u64) -> Result<(), TooMany> {
        let counts = self.counts();
        let over = |sketch: &Option<Sketch>, rate: Option<Rate>, network: Network| {
            let (Some(sketch), Some(rate)) = (sketch, rate) else {
                return None;
            };
            let hash = self.hash(network);
            // What is refused is not counted: who goes on gets through as soon as there is room.
            if sketch.get(hash, now_ms) >= rate.count {
                return Some(rate.window / 2);
            }
            sketch.add(hash, now_ms);
            None
        };
        let rules = &counts.rules;
        if let Some(wait) = over(&counts.address, rules.address, place.host()) {
            let subnet = false;
            return Err(TooMany { subnet, wait });
        }
        match over(&counts.subnet, rules.subnet, place.subnet()) {
            None => Ok(()),
            Some(wait) => Err(TooMany { subnet: true, wait }),
        }
    }

    /// The ban that holds for a place.
    pub fn ban_of(&self, place: &Place, now_ms: u64) -> Option<Ban> {
        let bans = self.bans.read().unwrap_or_else(PoisonError::into_inner);
        if bans.is_empty() {
            return None;
        }
        let own = [place.host(), place.subnet()];
        let own = own.iter().filter_map(|network| bans.get(network));
        let holding = own.filter(|ban| ban.until_ms > now_ms);
        holding.max_by_key(|ban| ban.until_ms).copied()
    }

    /// A request showed no key that is known, or asked for what does not exist.
    pub fn strike(&self, place: &Place, now_ms: u64) -> Struck {
        let counts = self.counts();
        let (Some(guessing), Some(sketch)) = (counts.rules.guessing, &counts.strikes) else {
            return Struck::Noted;
        };
        let host = sketch.add(self.hash(place.host()), now_ms);
        let subnet = sketch.add(self.hash(place.subnet()), now_ms);
        if subnet >= guessing.ban_subnet_after {
            return self.banned(place.subnet(), subnet, &guessing, now_ms);
        }
        if host >= guessing.ban_address_after {
            return self.banned(place.host(), host, &guessing, now_ms);
        }
        if host >= guessing.slow_after {
            return Struck::Slow(guessing.delay);
        }
        Struck::Noted
    }

    /// Strikes of a place's address that are in the window.
    pub fn strikes(&self, place: &Place, now_ms: u64) -> u64 {
        let counts = self.counts();
        let sketch = counts.strikes.as_ref();
        sketch.map_or(0, |sketch| sketch.get(self.hash(place.host()), now_ms))
    }

    fn banned(&self, network: Network, strikes: u64, guessing: &Guessing, now_ms: u64) -> Struck {
        let ban = Ban {
            network,
            since_ms: now_ms,
            until_ms: now_ms.saturating_add(wide(guessing.ban)),
            strikes,
        };
        let mut bans = self.bans.write().unwrap_or_else(PoisonError::into_inner);
        if bans.get(&network).is_some_and(|ban| ban.until_ms > now_ms) {
            return Struck::Noted;
        }
        if bans.len() >= BANS_MAX {
            bans.retain(|_, ban| ban.until_ms > now_ms);
        }
        if bans.len() >= BANS_MAX
            && let Some(first) = bans.values().min_by_key(|ban| ban.until_ms).copied()
        {
            bans.remove(&first.network);
        }
        bans.insert(network, ban);
        self.begun.fetch_add(1, Ordering::Relaxed);
        Struck::Banned(ban)
    }

    /// Ends a ban. False where there is none.
    pub fn lift(&self, network: Network) -> bool {
        let mut bans = self.bans.write().unwrap_or_else(PoisonError::into_inner);
        bans.remove(&network).is_some()
    }

    /// All bans that hold, the latest first.
    pub fn bans(&self, now_ms: u64) -> Vec<Ban> {
        let bans = self.bans.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<Ban> = bans
            .values()
            .filter(|ban| ban.until_ms > now_ms)
            .copied()
            .collect();
        all.sort_by_key(|ban| (std::cmp::Reverse(ban.since_ms), ban.network));
        all
    }

    /// How many bans have begun.
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// A place among the answers that are held back; none where there are too many.
    pub fn hold(&self) -> Option<Held<'_>> {
        let room = |held| (held < HELD_MAX).then_some(held + 1);
        let taken = self
            .held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, room);
        taken.ok().map(|_| Held(&self.held))
    }
}

/// A place among the answers that are held back, until it is dropped.
#[must_use = "the place is given back when this is dropped"]
pub struct Held<'a>(&'a AtomicUsize);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place {
        Place {
            address: text.parse().unwrap(),
            forwarded: true,
        }
    }

    fn rules() -> Rules {
        Rules {
            address: Some(Rate {
                count: 5,
                window: Duration::from_secs(10),
            }),
            subnet: Some(Rate {
                count: 8,
                window: Duration::from_secs(10),
            }),
            guessing: Some(Guessing {
                window: Duration::from_secs(60),
                slow_after: 3,
                delay: Duration::from_secs(1),
                ban_address_after: 6,
                ban_subnet_after: 12,
                ban: Duration::from_secs(600),
            }),
        }
    }

    fn watch() -> Watch {
        let watch = Watch::default();
        watch.keep_to(rules());
        watch
    }

    #[test]
    fn who_guesses_is_slowed_then_banned_and_comes_back() {
        let (watch, one) = (watch(), place("192.0.2.1"));
        assert_eq!(watch.strike(&one, 0), Struck::Noted);
        assert_eq!(
            (
                watch.strikes(&one, 0),
                watch.strikes(&place("192.0.2.2"), 0)
            ),
            (1, 0)
        );
        assert_eq!(watch.strike(&one, 0), Struck::Noted);
        for _ in 0..3 {
            assert_eq!(watch.strike(&one, 0), Struck::Slow(Duration::from_secs(1)));
        }
        let Struck::Banned(ban) = watch.strike(&one, 0) else {
            panic!("no ban");
        };
        assert_eq!((ban.network, ban.until_ms), (one.host(), 600_000));
        assert_eq!(watch.ban_of(&one, 599_999), Some(ban));
        assert_eq!(watch.ban_of(&one, 600_000), None);
        assert_eq!(watch.ban_of(&place("192.0.2.2"), 1), None);
        assert_eq!(watch.strike(&one, 1), Struck::Noted, "a ban begins once");
        assert_eq!(
            watch.strike(&one, 700_000),
            Struck::Noted,
            "it is forgotten"
        );
        assert_eq!(watch.begun(), 1);
    }

    #[test]
    fn many_addresses_of_a_subnet_are_one_attacker() {
        let watch = watch();
        let mut all = (1..=12).map(|n| watch.strike(&place(&format!("192.0.2.{n}")), 0));
        assert!(all.by_ref().take(11).all(|struck| struck == Struck::Noted));
        let last = all.next();
        assert!(
            matches!(last, Some(Struck::Banned(ban)) if ban.network.to_string() == "192.0.2.0/24")
        );
        assert!(watch.ban_of(&place("192.0.2.200"), 1).is_some());
        assert!(watch.ban_of(&place("192.0.3.1"), 1).is_none());
        assert!(watch.lift("192.0.2.0/24".parse().unwrap()));
        assert!(!watch.lift("192.0.2.0/24".parse().unwrap()));
        assert!(watch.ban_of(&place("192.0.2.200"), 1).is_none());
    }

    #[test]
    fn arrivals_are_bounded_by_address_and_subnet() {
        let watch = watch();
        let one = place("192.0.2.1");
        assert!((0..5).all(|_| watch.arrive(&one, 0).is_ok()));
        let over = watch.arrive(&one, 0).unwrap_err();
        assert_eq!((over.subnet, over.wait), (false, Duration::from_secs(5)));
        let two = place("192.0.2.2");
        assert!((0..3).all(|_| watch.arrive(&two, 0).is_ok()));
        assert!(watch.arrive(&two, 0).unwrap_err().subnet);
        assert!(watch.arrive(&place("192.0.3.1"), 0).is_ok());
        assert!(watch.arrive(&one, 20_000).is_ok());
    }

    #[test]
    fn a_flood_of_distinct_networks_has_a_bound() {
        let watch = watch();
        for n in 0..u32::try_from(BANS_MAX).unwrap() + 100 {
            let address = std::net::Ipv4Addr::from_bits(0x0b00_0000 + n * 256);
            let place = place(&address.to_string());
            for _ in 0..6 {
                watch.strike(&place, u64::from(n));
            }
        }
        assert_eq!(watch.bans(0).len(), BANS_MAX);
        let held: Vec<_> = std::iter::from_fn(|| watch.hold()).collect();
        assert_eq!(held.len(), HELD_MAX);
        drop(held);
        assert!(watch.hold().is_some());
    }

    #[test]
    fn rules_that_stay_keep_what_was_counted() {
        let (watch, one) = (watch(), place("192.0.2.1"));
        assert!((0..5).all(|_| watch.arrive(&one, 0).is_ok()));
        watch.keep_to(rules());
        assert!(watch.arrive(&one, 0).is_err());
        watch.keep_to(Rules::default());
        assert!(watch.arrive(&one, 0).is_ok());
        assert_eq!(watch.strike(&one, 0), Struck::Noted);
    }
}
