//! What is said to the server, and what it answers.
//!
//! All counters of an installation have one hash tag, so that one script takes from all limits of a request at once.

use super::link::{Heard, Node};
use super::mirror::Owed;
use super::spot::Spot;
use crate::room::Ask;
use crate::verdict::Level;
use aplomb_engines::redis::{Away, Redis, Script, ScriptInvocation};
use std::time::Duration;

/// How long the mark of a call lives, in milliseconds. A call that was given up is taken back within that time, or stays charged.
const MARK_MS: u64 = 30_000;

/// The scripts and the names of their keys.
pub(super) struct Scripts {
    reserve: Script,
    amend: Script,
    beat: Script,
    /// Begins the names of all keys, with the hash tag.
    prefix: String,
    node: String,
}

/// What the server said of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) verdict: Verdict,
    pub(super) level: Level,
    /// Until there is room; none where there never is, or where that depends on others.
    pub(super) wait: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Fine,
    Over,
    /// A rule that only counts would be over.
    Shadow,
}

/// What the server said of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    In(Vec<Told>, u64),
    Over(Vec<Told>, u64),
    /// The epoch is over, or the call was given up before it came: nothing was taken.
    Gone,
}

/// A call that was given up: what it may have taken is taken back.
#[derive(Debug, Clone)]
pub(super) struct GivenUp {
    pub(super) call: u64,
    pub(super) epoch: u64,
    pub(super) entries: Vec<(Spot, i64)>,
}

fn time(ms: i64) -> Option<Duration> {
    u64::try_from(ms).ok().map(Duration::from_millis)
}

fn told(entry: &[i64; 5]) -> Told {
    let [verdict, used, wait, next, full] = *entry;
    Told {
        verdict: match verdict {
            0 => Verdict::Fine,
            2 => Verdict::Shadow,
            _ => Verdict::Over,
        },
        level: Level {
            used: u64::try_from(used).unwrap_or(0),
            next: time(next),
            full: time(full),
        },
        wait: time(wait),
    }
}

fn reply(numbers: &[i64], asked: usize) -> Option<Reply> {
    let (first, rest) = numbers.split_first()?;
    let (server_ms, rest) = rest.split_first()?;
    let server_ms = u64::try_from(*server_ms).ok()?;
    let (entries, _) = rest.as_chunks::<5>();
    let all: Vec<Told> = entries.iter().map(told).collect();
    match first {
        1 if all.len() == asked => Some(Reply::In(all, server_ms)),
        2 if all.len() == asked => Some(Reply::Over(all, server_ms)),
        0 | 3 => Some(Reply::Gone),
        _ => None,
    }
}

fn heard(texts: Vec<String>) -> Option<Heard> {
    let mut texts = texts.into_iter();
    let epoch = texts.next()?;
    let server_ms = texts.next()?.parse().ok()?;
    let mut nodes = Vec::new();
    while let (Some(name), Some(at), Some(told)) = (texts.next(), texts.next(), texts.next()) {
        nodes.push(Node {
            name,
            heard_ms: at.parse().ok()?,
            told: told == "1",
        });
    }
    Some(Heard {
        epoch,
        server_ms,
        nodes,
    })
}

impl Scripts {
    pub(super) fn new(installation: &str, node: &str) -> Self {
        Scripts {
            reserve: Script::new(include_str!("reserve.lua")),
            amend: Script::new(include_str!("amend.lua")),
            beat: Script::new(include_str!("beat.lua")),
            prefix: format!("aplomb:{{limits:{installation}}}:"),
            node: node.to_owned(),
        }
    }

    pub(super) fn node(&self) -> &str {
        &self.node
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn mark(&self, call: u64) -> String {
        format!("{}c:{}:{call}", self.prefix, self.node)
    }

    /// Asks to let a request in.
    pub(super) async fn reserve(
        &self,
        redis: &Redis,
        (call, epoch, limit): (u64, &str, Duration),
        asks: &[(&Ask, Spot)],
    ) -> Result<Reply, Away> {
        let mut said = self.reserve.prepare_invoke();
        said.key(self.key("epoch")).key(self.key("nodes"));
        said.key(self.mark(call));
        said.arg(epoch).arg(&self.node).arg(MARK_MS);
        for (ask, spot) in asks {
            let (a, b) = spot.kind.numbers();
            said.key(spot.name(&self.prefix));
            said.arg(spot.kind.letter()).arg(ask.limit).arg(ask.amount);
            said.arg(0).arg(a).arg(b).arg(u8::from(ask.rule.shadow));
        }
        let numbers: Vec<i64> = redis.script(limit, &said).await?;
        reply(&numbers, asks.len()).ok_or(Away)
    }

    /// Tells differences and calls that were given up. False where the epoch is over.
    pub(super) async fn amend(
        &self,
        redis: &Redis,
        (number, epoch, limit): (u64, &str, Duration),
        (owed, given_up): (&[Owed], &[GivenUp]),
    ) -> Result<bool, Away> {
        let mut said = self.amend.prepare_invoke();
        said.key(self.key("epoch")).key(self.key("nodes"));
        said.arg(epoch).arg(&self.node).arg(number);
        let entry = |said: &mut ScriptInvocation<'_>, (spot, amount): (&Spot, i64)| {
            let (a, b) = spot.kind.numbers();
            said.key(spot.name(&self.prefix));
            said.arg(spot.kind.letter()).arg(spot.slot).arg(amount);
            said.arg(a).arg(b);
        };
        for one in owed {
            entry(&mut said, (&one.spot, one.amount));
        }
        for call in given_up {
            said.key(self.mark(call.call));
            said.arg("o").arg(0).arg(0).arg(MARK_MS).arg(0);
            for (spot, amount) in &call.entries {
                entry(&mut said, (spot, -amount));
            }
        }
        let numbers: Vec<i64> = redis.script(limit, &said).await?;
        Ok(numbers.first() == Some(&1))
    }

    /// Says that this node lives.
    pub(super) async fn beat(
        &self,
        redis: &Redis,
        (fresh, told_in): (&str, &str),
        limit: Duration,
    ) -> Result<Heard, Away> {
        let mut said = self.beat.prepare_invoke();
        said.key(self.key("epoch")).key(self.key("nodes"));
        said.arg(&self.node).arg(fresh).arg(told_in);
        let texts: Vec<String> = redis.script(limit, &said).await?;
        heard(texts).ok_or(Away)
    }
}
