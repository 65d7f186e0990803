//! Whether the server can be asked: it answers, knows what this node has used, and has heard the other nodes.
//!
//! Five calls that failed one after the other, or a heartbeat that did, and it is not asked any more until a heartbeat is answered
//! and all that is owed was told: by this node, and by all others that live, or after five seconds. Of a server that has forgotten
//! everything all have to be heard that lived before.

use super::mirror::BEFORE;
use crate::counter::Now;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Calls that fail one after the other before the server is not asked any more.
const FAILURES_MAX: u32 = 5;
/// Heartbeats in a row that are not answered before the server is taken for away.
const MISSED_MAX: u32 = 2;
/// A node that was not heard for so long is gone: its places in flight are free. As in the scripts.
pub const LEASE_MS: u64 = 5000;
/// Longest wait for other nodes to tell a server that has forgotten everything.
const TELLING_MS: u64 = 5000;
/// Nodes that a node which has never heard of others takes its share with. Chosen: few installations have more, and a quarter of a
/// limit is enough for the start.
const NODES_UNKNOWN: u64 = 4;

/// What the server remembers since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Epoch {
    pub(super) name: Arc<str>,
    /// Counts those that this node has seen.
    pub(super) number: u64,
}

/// Another node, or this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) heard_ms: u64,
    /// It has told all of its own in this epoch.
    pub(super) told: bool,
}

/// What the answer to a heartbeat says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) epoch: String,
    pub(super) server_ms: u64,
    pub(super) nodes: Vec<Node>,
}

#[derive(Default)]
struct State {
    up: bool,
    epoch: Option<Epoch>,
    /// Nodes that lived in the epoch before.
    before: BTreeSet<String>,
    /// Those that live now.
    nodes: BTreeSet<String>,
    /// All that live, this one too, have told all of their own.
    all_told: bool,
    /// All of this node's own is told in this epoch.
    own_told: bool,
    /// When the server was heard again.
    back_ms: Option<u64>,
    down_since_ms: Option<u64>,
    failures: u32,
    /// Heartbeats in a row that were not answered.
    missed: u32,
}

/// How the server stands for this node.
#[derive(Default)]
pub(super) struct Link {
    state: Mutex<State>,
    /// What the server's clock is ahead of this node's.
    ahead_ms: AtomicI64,
}

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// From now on the server is asked.
    Up,
    /// From now on it is not.
    Down,
}

impl Link {
    /// A link of a node that has ended in this epoch.
    pub(super) fn after(epoch: Option<&str>) -> Self {
        let link = Link::default();
        link.state().epoch = epoch.map(|name| Epoch {
            name: name.into(),
            number: BEFORE,
        });
        link
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The epoch to ask in; none while the server is not asked.
    pub(super) fn asked(&self) -> Option<Epoch> {
        let state = self.state();
        state.epoch.clone().filter(|_| state.up)
    }

    pub(super) fn epoch(&self) -> Option<Epoch> {
        self.state().epoch.clone()
    }

    pub(super) fn is_up(&self) -> bool {
        self.state().up
    }

    /// The epoch in which this node has told all of its own.
    pub(super) fn told_in(&self) -> Option<Arc<str>> {
        let state = self.state();
        let epoch = state.epoch.as_ref().filter(|_| state.own_told);
        epoch.map(|epoch| epoch.name.clone())
    }

    /// How many nodes share a limit.
    pub(super) fn nodes(&self) -> u64 {
        let state = self.state();
        let count = state.nodes.len().max(state.before.len());
        match u64::try_from(count).unwrap_or(u64::MAX) {
            0 => NODES_UNKNOWN,
            count => count,
        }
    }

    /// For how long the server is not asked.
    pub(super) fn down_for_ms(&self, now: Now) -> u64 {
        let since = self.state().down_since_ms;
        since.map_or(u64::MAX, |since| now.run_ms.saturating_sub(since))
    }

    /// What the server's clock says.
    pub(super) fn server_ms(&self, now: Now) -> u64 {
        now.run_ms
            .saturating_add_signed(self.ahead_ms.load(Ordering::Relaxed))
    }

    pub(super) fn clock(&self, server_ms: u64, now: Now) {
        let ahead = i64::try_from(i128::from(server_ms) - i128::from(now.run_ms)).unwrap_or(0);
        self.ahead_ms.store(ahead, Ordering::Relaxed);
    }

    /// A call was answered.
    pub(super) fn answered(&self) {
        self.state().failures = 0;
    }

    /// A call failed.
    pub(super) fn failed(&self, now: Now) -> Change {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        match state.failures >= FAILURES_MAX {
            true => go_down(&mut state, now),
            false => Change::None,
        }
    }

    /// A heartbeat was not answered. One alone may have met a busy moment; calls that are not answered are counted besides.
    pub(super) fn missed(&self, now: Now) -> Change {
        let mut state = self.state();
        state.missed = state.missed.saturating_add(1);
        match state.missed >= MISSED_MAX {
            true => go_down(&mut state, now),
            false => Change::None,
        }
    }

    /// The epoch is over.
    pub(super) fn lost(&self, now: Now) -> Change {
        go_down(&mut self.state(), now)
    }

    /// A heartbeat was answered. `renew` is called with the number of the epoch, where it is a new one, before anybody asks in it.
    pub(super) fn heard(&self, heard: &Heard, now: Now, renew: impl FnOnce(u64)) -> Change {
        self.clock(heard.server_ms, now);
        let mut state = self.state();
        state.missed = 0;
        let mut change = Change::None;
        let known = state.epoch.as_ref();
        if known.is_none_or(|epoch| *epoch.name != *heard.epoch) {
            let number = known.map_or(1, |epoch| epoch.number + 1);
            change = go_down(&mut state, now);
            renew(number);
            state.epoch = Some(Epoch {
                name: heard.epoch.as_str().into(),
                number,
            });
            state.before = std::mem::take(&mut state.nodes);
            (state.own_told, state.back_ms) = (false, None);
        }
        if !state.up {
            state.back_ms.get_or_insert(heard.server_ms);
        }
        let lives = |node: &&Node| node.heard_ms.saturating_add(LEASE_MS) >= heard.server_ms;
        let living: Vec<&Node> = heard.nodes.iter().filter(lives).collect();
        state.all_told = living.iter().all(|node| node.told);
        state.nodes = living.iter().map(|node| node.name.clone()).collect();
        change
    }

    /// Nothing is owed any more: the server is asked, if it has heard the others too.
    pub(super) fn settled(&self, server_ms: u64) -> Change {
        let mut state = self.state();
        if state.up || state.epoch.is_none() {
            return Change::None;
        }
        state.own_told = true;
        let all = state.all_told && state.before.is_subset(&state.nodes);
        let back_ms = state.back_ms.unwrap_or(server_ms);
        if !all && server_ms < back_ms.saturating_add(TELLING_MS) {
            return Change::None;
        }
        state.before.clear();
        state.up = true;
        state.failures = 0;
        state.down_since_ms = None;
        Change::Up
    }
}

fn go_down(state: &mut State, now: Now) -> Change {
    if !std::mem::replace(&mut state.up, false) {
        state.down_since_ms.get_or_insert(now.run_ms);
        return Change::None;
    }
    state.down_since_ms = Some(now.run_ms);
    // What is used from now on was not told.
    (state.own_told, state.all_told, state.back_ms) = (false, false, None);
    Change::Down
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(ms: u64) -> Now {
        Now {
            run_ms: ms,
            wall_ms: ms,
        }
    }

    fn heard(epoch: &str, server_ms: u64, nodes: &[(&str, bool)]) -> Heard {
        let one = |(name, told): &(&str, bool)| Node {
            name: (*name).to_owned(),
            heard_ms: server_ms,
            told: *told,
        };
        Heard {
            epoch: epoch.to_owned(),
            server_ms,
            nodes: nodes.iter().map(one).collect(),
        }
    }

    /// A node that asks, with another one.
    fn up() -> Link {
        let link = Link::default();
        link.heard(
            &heard("e", 100, &[("a", true), ("b", true)]),
            now(0),
            |_| {},
        );
        assert_eq!(link.settled(100), Change::Up);
        link
    }

    #[test]
    fn a_node_asks_when_all_that_live_have_told_their_own() {
        let link = Link::default();
        assert_eq!((link.nodes(), link.asked()), (NODES_UNKNOWN, None));
        let mut renewed = Vec::new();
        link.heard(&heard("e", 100, &[("a", false)]), now(0), |n| {
            renewed.push(n)
        });
        assert_eq!(link.settled(100), Change::None, "it has not said so yet");
        assert_eq!(link.told_in().as_deref(), Some("e"));
        link.heard(&heard("e", 350, &[("a", true)]), now(250), |n| {
            renewed.push(n)
        });
        assert_eq!(link.settled(350), Change::Up);
        assert_eq!((renewed, link.nodes()), (vec![1], 1));
        assert_eq!(link.server_ms(now(300)), 400);
    }

    #[test]
    fn five_failures_or_two_heartbeats_and_it_goes_on_alone() {
        let link = up();
        assert_eq!(link.missed(now(1)), Change::None);
        assert_eq!(link.missed(now(2)), Change::Down);
        let link = up();
        for _ in 0..4 {
            assert_eq!(link.failed(now(1)), Change::None);
        }
        link.answered();
        for _ in 0..4 {
            assert_eq!(link.failed(now(2)), Change::None);
        }
        assert_eq!(link.failed(now(3)), Change::Down);
        assert_eq!((link.asked(), link.nodes()), (None, 2));
        assert_eq!(link.down_for_ms(now(1003)), 1000);
        assert_eq!(link.lost(now(5)), Change::None, "it is down");
        // The server comes back as it was.
        assert_eq!(link.told_in(), None);
        let one = [("a", false), ("b", false)];
        link.heard(&heard("e", 5000, &one), now(4900), |_| panic!());
        assert_eq!(link.settled(5000), Change::None);
        assert_eq!(link.told_in().as_deref(), Some("e"));
        let both = [("a", true), ("b", true)];
        link.heard(&heard("e", 5001, &both), now(4901), |_| panic!());
        assert_eq!(link.settled(5001), Change::Up);
    }

    #[test]
    fn a_server_that_has_forgotten_is_asked_when_all_have_told_it() {
        let link = up();
        let mut renewed = 0;
        let told = heard("f", 200, &[("a", false)]);
        assert_eq!(link.heard(&told, now(100), |n| renewed = n), Change::Down);
        assert_eq!(renewed, 2);
        assert_eq!(link.settled(200), Change::None);
        link.heard(&heard("f", 300, &[("a", true)]), now(200), |_| panic!());
        assert_eq!(link.settled(300), Change::None, "b was not heard");
        assert_eq!(link.nodes(), 2);
        let both = [("a", true), ("b", false)];
        link.heard(&heard("f", 400, &both), now(300), |_| panic!());
        assert_eq!(link.settled(400), Change::None, "b has not told all");
        let both = [("a", true), ("b", true)];
        link.heard(&heard("f", 500, &both), now(400), |_| panic!());
        assert_eq!(link.settled(500), Change::Up);
    }

    #[test]
    fn a_node_that_is_gone_is_not_waited_for_for_ever() {
        let link = up();
        link.heard(&heard("f", 200, &[("a", true)]), now(100), |_| {});
        assert_eq!(link.settled(200 + TELLING_MS - 1), Change::None);
        assert_eq!(link.settled(200 + TELLING_MS), Change::Up);
        assert_eq!(link.nodes(), 1);
    }
}
