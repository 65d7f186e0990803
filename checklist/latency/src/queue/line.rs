//! Who is next: tenants by what they were served, users in them likewise, calls of a user in their order.

use std::cmp::Reverse;
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
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) tenant: usize,
    pub(super) user: usize,
    /// About how many calls are served for each one of the user.
    pub(super) round: usize,
}

/// What a call costs its user, and its tenant by its weight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Price {
    /// Tokens.
    pub(super) tokens: u64,
    /// The tenant's share beside others.
    pub(super) weight: u32,
}

/// What tenants were served is counted in so small parts of a token, so that weights divide it.
const PARTS: u64 = 1000;

impl Price {
    fn of_tenant(self) -> u64 {
        self.tokens.saturating_mul(PARTS) / u64::from(self.weight.max(1))
    }
}

/// Which of several calls with the same right is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The one that has waited for longest.
    Oldest,
    /// The one that came last.
    Newest,
}

/// One party that is served in turn with others of its kind.
#[derive(Debug, Default)]
struct Party<T> {
    /// Tokens served so far, lifted to those of others when it came.
    served: u64,
    running: usize,
    waits: bool,
    /// Number of the call with which it began to wait: of those that were served the same, it is next by that.
    since: u64,
    inner: T,
}

/// Parties in the order of what they were served.
#[derive(Debug)]
struct Turns<T> {
    parties: HashMap<Arc<str>, Party<T>>,
    /// Those with waiting calls: what they were served, and since when they wait.
    order: BTreeSet<(u64, u64, Arc<str>)>,
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

    /// It waits with the call of this number.
    fn wait(&mut self, name: &Arc<str>, number: u64) -> &mut T {
        let party = self.party(name);
        if !std::mem::replace(&mut party.waits, true) {
            party.since = number;
        }
        let place = (party.served, party.since, name.clone());
        self.order.insert(place);
        &mut self.party(name).inner
    }

    /// Of those that were served least, who has waited for longest, or who came last.
    fn next(&self, next: Next) -> Option<Arc<str>> {
        let first = self.order.first()?;
        let (_, _, name) = match next {
            Next::Oldest => first,
            Next::Newest => {
                let after = (first.0.saturating_add(1), 0, Arc::from(""));
                self.order.range(..after).next_back()?
            }
        };
        Some(name.clone())
    }

    /// Changes what a party was served.
    fn charge(&mut self, name: &Arc<str>, change: impl FnOnce(u64) -> u64) {
        let party = self.party(name);
        let before = party.served;
        party.served = change(before);
        let (after, since, waits) = (party.served, party.since, party.waits);
        if waits {
            self.order.remove(&(before, since, name.clone()));
            self.order.insert((after, since, name.clone()));
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
        let place = (party.served, party.since, name.clone());
        self.order.remove(&place);
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
    /// Its share beside others, while it waits.
    weight: u32,
}

/// All waiting calls of one class.
#[derive(Debug, Default)]
pub(super) struct Line {
    tenants: Turns<Tenant>,
    waiting: usize,
    /// Weights of tenants with waiting calls, together.
    weights: u64,
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

    /// What waits of a user already, whose tenant has this weight.
    pub(super) fn waiting_of(&self, who: &Who, weight: u32) -> Held {
        let alone = u64::from(weight.max(1));
        let tenant = self
            .tenants
            .parties
            .get(&who.tenant)
            .filter(|one| one.waits);
        let Some(tenant) = tenant.map(|tenant| &tenant.inner) else {
            return Held {
                tenant: 0,
                user: 0,
                round: round(self.weights.saturating_add(alone), 1, alone),
            };
        };
        let user = tenant.users.parties.get(&who.user);
        let user = user.map_or(0, |user| user.inner.len());
        let users = tenant.users.order.len() + usize::from(user == 0);
        Held {
            tenant: tenant.waiting,
            user,
            round: round(self.weights, users, u64::from(tenant.weight.max(1))),
        }
    }

    /// How many calls of the same user go before this one.
    pub(super) fn place_of(&self, who: &Who, number: u64) -> Option<usize> {
        let tenant = &self.tenants.parties.get(&who.tenant)?.inner;
        let calls = &tenant.users.parties.get(&who.user)?.inner;
        calls.iter().position(|waiting| *waiting == number)
    }

    pub(super) fn push(&mut self, who: &Who, weight: u32, number: u64) {
        let tenant = self.tenants.wait(&who.tenant, number);
        if tenant.waiting == 0 {
            tenant.weight = weight.max(1);
            self.weights += u64::from(tenant.weight);
        }
        tenant.waiting += 1;
        tenant.users.wait(&who.user, number).push_back(number);
        self.waiting += 1;
        self.numbers.insert(number);
    }

    /// The call that is next.
    pub(super) fn pop(&mut self, next: Next) -> Option<u64> {
        let tenant = self.tenants.next(next)?;
        let inner = &mut self.tenants.parties.get_mut(&tenant)?.inner;
        let user = inner.users.next(next)?;
        let calls = &inner.users.parties.get(&user)?.inner;
        let number = match next {
            Next::Oldest => *calls.front()?,
            Next::Newest => *calls.back()?,
        };
        let who = Who { tenant, user };
        self.rise(&who);
        self.remove(&who, number);
        Some(number)
    }

    /// The oldest call of the user with most of them; it is removed. Looks at all users with waiting calls.
    pub(super) fn give_up(&mut self) -> Option<u64> {
        let mut most: Option<(usize, Reverse<u64>, Who)> = None;
        for (_, _, tenant) in &self.tenants.order {
            let Some(party) = self.tenants.parties.get(tenant) else {
                continue;
            };
            let users = &party.inner.users;
            for (_, _, user) in &users.order {
                let calls = users.parties.get(user).map(|user| &user.inner);
                let Some((calls, oldest)) = calls.and_then(|calls| Some((calls, *calls.front()?)))
                else {
                    continue;
                };
                let rank = (calls.len(), Reverse(oldest));
                if most
                    .as_ref()
                    .is_none_or(|(len, oldest, _)| rank > (*len, *oldest))
                {
                    let (tenant, user) = (tenant.clone(), user.clone());
                    most = Some((rank.0, rank.1, Who { tenant, user }));
                }
            }
        }
        let (_, Reverse(number), who) = most?;
        self.remove(&who, number);
        Some(number)
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
            tenant.users.waits_no_more(&who.user);
        }
        if !tenant_waits {
            self.weights = self.weights.saturating_sub(u64::from(tenant.weight));
            self.tenants.waits_no_more(&who.tenant);
        }
    }

    /// A call begins.
    pub(super) fn begin(&mut self, who: &Who, price: Price) {
        // What is used while nobody waits is taken from nobody, and is held against nobody later.
        self.tenants.party(&who.tenant).inner.users.party(&who.user);
        if self.is_empty() {
            self.rise(who);
        }
        self.tenants.begin(&who.tenant, price.of_tenant());
        let users = &mut self.tenants.party(&who.tenant).inner.users;
        users.begin(&who.user, price.tokens);
    }

    /// It has ended, and has really used so many tokens.
    pub(super) fn end(&mut self, who: &Who, price: Price, used: Option<u64>) {
        let right = |before: u64, after: u64| {
            move |served: u64| served.saturating_sub(before).saturating_add(after)
        };
        let used = used.map_or(price, |tokens| Price { tokens, ..price });
        let users = &mut self.tenants.party(&who.tenant).inner.users;
        users.end(&who.user, right(price.tokens, used.tokens));
        self.tenants
            .end(&who.tenant, right(price.of_tenant(), used.of_tenant()));
    }
}

/// Calls that are served for each one of a user: of all weights together, its tenant's users share a part.
fn round(weights: u64, users: usize, own: u64) -> usize {
    let users = u64::try_from(users).unwrap_or(u64::MAX);
    let calls = weights.saturating_mul(users).div_ceil(own);
    usize::try_from(calls).unwrap_or(usize::MAX).max(1)
}
