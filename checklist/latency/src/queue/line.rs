//! Who is next: tenants by what they were served, users in them likewise, calls of a user in their order.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Most tenants, or users of a tenant, whose counters are remembered while they are away. Beyond it the least are forgotten.
const REMEMBERED: usize = 10_000;

/// On whose behalf a call is made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Who {
    /// Organisation that pays.
    pub tenant: Arc<str>,
    /// End user.
    pub user: Arc<str>,
}

/// Where a call stands when it begins to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// About which one it is, from 1.
    pub position: usize,
    /// About how long it will take; zero where that is not known yet.
    pub wait: Duration,
}

/// What waits already.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Held {
    pub(super) tenant: usize,
    pub(super) user: usize,
    /// Users with waiting calls, all tenants together.
    pub(super) users: usize,
}

/// One party that is served in turn with others of its kind.
#[derive(Debug, Default)]
struct Party<T> {
    /// Tokens served so far, lifted to those of others when it came.
    served: u64,
    running: usize,
    waits: bool,
    inner: T,
}

/// Parties in the order of what they were served.
#[derive(Debug)]
struct Turns<T> {
    parties: HashMap<Arc<str>, Party<T>>,
    /// Those with waiting calls.
    order: BTreeSet<(u64, Arc<str>)>,
    /// Those without any calls that were served more than others.
    away: BTreeSet<(u64, Arc<str>)>,
    /// The least that a party which comes anew has been served.
    floor: u64,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Turns {
            parties: HashMap::new(),
            order: BTreeSet::new(),
            away: BTreeSet::new(),
            floor: 0,
        }
    }
}

impl<T: Default> Turns<T> {
    /// A party, as new where it is not known.
    fn party(&mut self, name: &Arc<str>) -> &mut Party<T> {
        let floor = self.floor;
        let party = self.parties.entry(name.clone()).or_default();
        self.away.remove(&(party.served, name.clone()));
        if !party.waits && party.running == 0 {
            party.served = party.served.max(floor);
        }
        party
    }

    fn wait(&mut self, name: &Arc<str>) -> &mut T {
        let party = self.party(name);
        party.waits = true;
        let served = party.served;
        self.order.insert((served, name.clone()));
        &mut self.party(name).inner
    }

    fn next(&self) -> Option<Arc<str>> {
        self.order.first().map(|(_, name)| name.clone())
    }

    /// Changes what a party was served.
    fn charge(&mut self, name: &Arc<str>, change: impl FnOnce(u64) -> u64) {
        let party = self.party(name);
        let before = party.served;
        party.served = change(before);
        let (after, waits) = (party.served, party.waits);
        if waits {
            self.order.remove(&(before, name.clone()));
            self.order.insert((after, name.clone()));
        }
    }

    fn begin(&mut self, name: &Arc<str>, cost: u64) {
        self.party(name).running += 1;
        self.charge(name, |served| served.saturating_add(cost));
    }

    fn end(&mut self, name: &Arc<str>, change: impl FnOnce(u64) -> u64) {
        self.charge(name, change);
        let party = self.party(name);
        party.running = party.running.saturating_sub(1);
        self.leave(name);
    }

    fn waits_no_more(&mut self, name: &Arc<str>) {
        let Some(party) = self.parties.get_mut(name) else {
            return;
        };
        party.waits = false;
        let served = party.served;
        self.order.remove(&(served, name.clone()));
        self.leave(name);
    }

    /// A party without calls is forgotten, unless it was served more than others.
    fn leave(&mut self, name: &Arc<str>) {
        let Some(party) = self.parties.get(name) else {
            return;
        };
        if party.waits || party.running > 0 {
            return;
        }
        if party.served > self.floor {
            self.away.insert((party.served, name.clone()));
        } else {
            self.parties.remove(name);
        }
        self.forget();
    }

    /// What others have been served by now: the least of those who wait.
    fn rise(&mut self, served: u64) {
        self.floor = self.floor.max(served);
        self.forget();
    }

    fn forget(&mut self) {
        while let Some((served, _)) = self.away.first() {
            if *served > self.floor && self.away.len() <= REMEMBERED {
                return;
            }
            if let Some((_, name)) = self.away.pop_first() {
                self.parties.remove(&name);
            }
        }
    }
}

/// A user's calls in their order.
type Calls = VecDeque<u64>;

#[derive(Debug, Default)]
struct Tenant {
    users: Turns<Calls>,
    waiting: usize,
}

/// All waiting calls of one class.
#[derive(Debug, Default)]
pub(super) struct Line {
    tenants: Turns<Tenant>,
    waiting: usize,
    users: usize,
    /// Numbers of waiting calls; they grow with time.
    numbers: BTreeSet<u64>,
}

impl Line {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    pub(super) fn oldest(&self) -> Option<u64> {
        self.numbers.first().copied()
    }

    pub(super) fn waiting_of(&self, who: &Who) -> Held {
        let users = self.users;
        let Some(tenant) = self.tenants.parties.get(&who.tenant) else {
            return Held {
                users,
                ..Held::default()
            };
        };
        let user = tenant.inner.users.parties.get(&who.user);
        Held {
            tenant: tenant.inner.waiting,
            user: user.map_or(0, |user| user.inner.len()),
            users,
        }
    }

    /// How many calls of the same user go before this one.
    pub(super) fn place_of(&self, who: &Who, number: u64) -> Option<usize> {
        let tenant = &self.tenants.parties.get(&who.tenant)?.inner;
        let calls = &tenant.users.parties.get(&who.user)?.inner;
        calls.iter().position(|waiting| *waiting == number)
    }

    pub(super) fn push(&mut self, who: &Who, number: u64) {
        let tenant = self.tenants.wait(&who.tenant);
        tenant.waiting += 1;
        let calls = tenant.users.wait(&who.user);
        calls.push_back(number);
        self.users += usize::from(calls.len() == 1);
        self.waiting += 1;
        self.numbers.insert(number);
    }

    /// The call that is next.
    pub(super) fn pop(&mut self) -> Option<(Who, u64)> {
        let tenant = self.tenants.next()?;
        let inner = &mut self.tenants.parties.get_mut(&tenant)?.inner;
        let user = inner.users.next()?;
        let number = *inner.users.parties.get(&user)?.inner.front()?;
        let who = Who { tenant, user };
        self.rise(&who);
        self.remove(&who, number);
        Some((who, number))
    }

    fn rise(&mut self, who: &Who) {
        let Some(tenant) = self.tenants.parties.get_mut(&who.tenant) else {
            return;
        };
        let served = tenant.served;
        if let Some(user) = tenant.inner.users.parties.get(&who.user) {
            let served = user.served;
            tenant.inner.users.rise(served);
        }
        self.tenants.rise(served);
    }

    /// A call waits no longer.
    pub(super) fn remove(&mut self, who: &Who, number: u64) {
        let Some(tenant) = self.tenants.parties.get_mut(&who.tenant) else {
            return;
        };
        let tenant = &mut tenant.inner;
        let Some(user) = tenant.users.parties.get_mut(&who.user) else {
            return;
        };
        let Some(at) = user.inner.iter().position(|waiting| *waiting == number) else {
            return;
        };
        user.inner.remove(at);
        self.numbers.remove(&number);
        self.waiting -= 1;
        tenant.waiting -= 1;
        let tenant_waits = tenant.waiting > 0;
        if user.inner.is_empty() {
            self.users -= 1;
            tenant.users.waits_no_more(&who.user);
        }
        if !tenant_waits {
            self.tenants.waits_no_more(&who.tenant);
        }
    }

    /// A call of this cost begins.
    pub(super) fn begin(&mut self, who: &Who, cost: u64) {
        // What is used while nobody waits is taken from nobody, and is held against nobody later.
        self.tenants.party(&who.tenant).inner.users.party(&who.user);
        if self.is_empty() {
            self.rise(who);
        }
        self.tenants.begin(&who.tenant, cost);
        let users = &mut self.tenants.party(&who.tenant).inner.users;
        users.begin(&who.user, cost);
    }

    /// It has ended, and has really used so much.
    pub(super) fn end(&mut self, who: &Who, cost: u64, used: Option<u64>) {
        let used = used.unwrap_or(cost);
        let right = |served: u64| served.saturating_sub(cost).saturating_add(used);
        let users = &mut self.tenants.party(&who.tenant).inner.users;
        users.end(&who.user, right);
        self.tenants.end(&who.tenant, right);
    }
}
