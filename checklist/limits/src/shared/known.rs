//! Limits that are known to be used up: who comes again before there is room is refused without asking.
//!
//! What is known is at most [`STALE_MS`] old: room may come earlier than was said, when a request gives something back on another
//! node. **Bound.** At most [`KNOWN_MAX`] counters are known; beyond that the server is asked.

use crate::key::Key;
use crate::room::Ask;
use crate::rule::Method;
use crate::verdict::{Broken, Level, Standing};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most counters that are known.
const KNOWN_MAX: usize = 1 << 16;
/// Longest time for which something is known. Chosen: who is refused asks the server once a second, not with every request.
const STALE_MS: u64 = 1000;

#[derive(Debug, Clone, Copy)]
struct UsedUp {
    limit: u64,
    level: Level,
    wait: Duration,
    /// When that was.
    at_ms: u64,
    until_ms: u64,
}

/// What is known.
#[derive(Default)]
pub(super) struct Known {
    all: Mutex<HashMap<Key, UsedUp>>,
    count: AtomicUsize,
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Known {
    fn all(&self) -> MutexGuard<'_, HashMap<Key, UsedUp>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what the server said of a request that it has refused.
    pub(super) fn note(&self, asks: &[Ask], broken: &[Broken], now_ms: u64) {
        let mut all = self.all();
        for one in broken {
            let (Some(ask), Some(wait)) = (asks.get(one.at), one.wait) else {
                continue;
            };
            // What is in flight elsewhere may end at any time.
            if ask.rule.method() == Method::Held {
                continue;
            }
            if all.len() >= KNOWN_MAX {
                all.retain(|_, one| one.until_ms > now_ms);
                if all.len() >= KNOWN_MAX {
                    break;
                }
            }
            let known = UsedUp {
                limit: ask.limit,
                level: one.standing.level,
                wait,
                at_ms: now_ms,
                until_ms: now_ms.saturating_add(ms(wait).min(STALE_MS)),
            };
            all.insert(ask.key, known);
        }
        self.count.store(all.len(), Ordering::Release);
    }

    /// The rules that are known to have no room for what is asked.
    pub(super) fn broken(&self, asks: &[Ask], now_ms: u64) -> Vec<Broken> {
        if self.count.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let mut all = self.all();
        let mut broken = Vec::new();
        for (at, ask) in asks.iter().enumerate() {
            let Some(known) = all.get(&ask.key).copied() else {
                continue;
            };
            if known.until_ms <= now_ms {
                all.remove(&ask.key);
                continue;
            }
            let left = known.limit.saturating_sub(known.level.used);
            if ask.rule.shadow || ask.limit != known.limit || ask.amount <= left {
                continue;
            }
            let since = Duration::from_millis(now_ms.saturating_sub(known.at_ms));
            let later = |time: Duration| time.saturating_sub(since);
            broken.push(Broken {
                at,
                standing: Standing {
                    rule: ask.rule.clone(),
                    limit: ask.limit,
                    level: Level {
                        used: known.level.used,
                        next: known.level.next.map(later),
                        full: known.level.full.map(later),
                    },
                },
                amount: ask.amount,
                // Never more than the limit was asked for then, so there is room some time.
                wait: (ask.amount <= ask.limit).then(|| later(known.wait)),
            });
        }
        self.count.store(all.len(), Ordering::Release);
        broken
    }

    /// Something was given back.
    pub(super) fn forget(&self, key: Key) {
        if self.count.load(Ordering::Acquire) > 0 {
            self.all().remove(&key);
        }
    }
}
