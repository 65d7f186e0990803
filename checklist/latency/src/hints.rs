//! Hints between nodes: what one has learned of a target, the others need not learn again.
//!
//! A node tells that a breaker has opened, that a provider wants to be left alone, that a key was not accepted. Others ask other
//! targets first for that time, at most [`HINT_MAX`]; their own breakers and keys stay as they are, since a hint may be wrong for them
//! (another network, another key while keys are changed). Hints go through a stream on the Redis that nodes share. Where it is away, nobody is told
//! anything, and each node learns by itself.
//!
//! **Bounds.** The stream holds the last [`STREAM_MAX`] hints; at most [`WAITING_MAX`] of a node wait to be told, what is more is dropped.

use crate::standing::Standings;
use aplomb_engines::redis::{
    AsyncCommands, Away, Redis, StreamReadOptions, StreamReadReply, Value, cmd, from_redis_value,
    pipe,
};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, Notify, mpsc};
use tokio::time::timeout;

/// Longest time that a hint holds: by then its node has told a new one, or the target is in order.
pub const HINT_MAX: Duration = Duration::from_secs(30);
/// Hints that the stream holds, about.
pub const STREAM_MAX: usize = 1_000;
/// Hints of a node that wait to be told.
pub const WAITING_MAX: usize = 256;
/// Name of the stream.
const STREAM: &str = "aplomb:hints";
/// Longest wait for the server, where nobody waits for an answer.
const CALM: Duration = Duration::from_secs(2);
/// Longest wait for hints before the connection is looked at again.
const LISTEN: Duration = Duration::from_secs(5);
/// From a broken connection to the next one.
const AGAIN: Duration = Duration::from_secs(1);
/// Hints read at a time.
const BATCH: usize = 64;

/// What a node has learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Learned {
    /// Its breaker has opened.
    Fails,
    /// Its provider wants to be left alone.
    Limited,
    /// Its key is not accepted, or has no quota.
    KeyAside,
}

/// One hint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// `provider/model`, with `#2` for its second key.
    pub target: String,
    /// What was learned.
    pub learned: Learned,
    /// For how long it holds, in milliseconds.
    pub for_ms: u64,
}

impl Hint {
    /// For how long it holds, as far as others go by it.
    pub fn time(&self) -> Duration {
        Duration::from_millis(self.for_ms).min(HINT_MAX)
    }
}

/// Takes hints that are to be told. It never waits.
pub type Outbox = mpsc::Sender<Hint>;

/// The hints of one installation.
pub struct Hints {
    redis: Redis,
    /// Tells this node's hints from others'.
    node: String,
    inbox: Mutex<mpsc::Receiver<Hint>>,
    stop: Notify,
    told: AtomicU64,
    heard: AtomicU64,
}

impl Hints {
    /// Over a Redis. `node` is unlike those of other nodes.
    pub fn new(redis: Redis, node: &str) -> (Self, Outbox) {
        let (outbox, inbox) = mpsc::channel(WAITING_MAX);
        let hints = Hints {
            redis,
            node: node.to_owned(),
            inbox: Mutex::new(inbox),
            stop: Notify::new(),
            told: AtomicU64::new(0),
            heard: AtomicU64::new(0),
        };
        (hints, outbox)
    }

    /// Hints that others were told, and that others have told.
    pub fn counts(&self) -> (u64, u64) {
        (
            self.told.load(Ordering::Relaxed),
            self.heard.load(Ordering::Relaxed),
        )
    }

    /// Tells and hears, until [`Hints::stop`].
    pub async fn run(&self, standings: &Standings, now: impl Fn() -> Instant + Send + Sync) {
        let work = async { tokio::join!(self.follow(standings, &now), self.deliver()) };
        tokio::select! {
            () = self.stop.notified() => {}
            _ = work => {}
        }
    }

    /// Ends [`Hints::run`].
    pub fn stop(&self) {
        self.stop.notify_one();
    }

    async fn deliver(&self) {
        let mut inbox = self.inbox.lock().await;
        while let Some(hint) = inbox.recv().await {
            let Ok(text) = serde_json::to_vec(&hint) else {
                continue;
            };
            let mut add = cmd("XADD");
            add.arg(STREAM)
                .arg("MAXLEN")
                .arg("~")
                .arg(STREAM_MAX)
                .arg("*");
            add.arg("node").arg(&self.node).arg("hint").arg(text);
            let mut commands = pipe();
            commands.add_command(add).ignore();
            // A hint that can't be told is none.
            if self.redis.run::<()>(CALM, &commands).await.is_ok() {
                self.told.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    async fn follow(&self, standings: &Standings, now: &(impl Fn() -> Instant + Send + Sync)) {
        loop {
            let _away = self.listen(standings, now).await;
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Hears what is told from now on: older hints are over.
    async fn listen(
        &self,
        standings: &Standings,
        now: &(impl Fn() -> Instant + Send + Sync),
    ) -> Result<(), Away> {
        let mut last = self.newest().await?;
        let mut connection = self.redis.own_connection().await?;
        let wait = usize::try_from(LISTEN.as_millis()).unwrap_or(usize::MAX);
        let options = StreamReadOptions::default().count(BATCH).block(wait);
        loop {
            let from = [last.clone()];
            let reading = connection.xread_options(&[STREAM], &from, &options);
            let told: Option<StreamReadReply> = timeout(LISTEN * 2, reading)
                .await
                .map_err(|_| Away)?
                .map_err(|_| Away)?;
            let keys = told.into_iter().flat_map(|told| told.keys);
            for event in keys.flat_map(|key| key.ids) {
                last.clone_from(&event.id);
                let bytes = |name: &str| event.map.get(name).and_then(bytes_of);
                if bytes("node").as_deref() == Some(self.node.as_bytes()) {
                    continue;
                }
                let hint = bytes("hint").and_then(|text| serde_json::from_slice(&text).ok());
                if hint.is_some_and(|hint: Hint| standings.hear(&hint, now())) {
                    self.heard.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// The id of the newest hint.
    async fn newest(&self) -> Result<String, Away> {
        let mut ask = pipe();
        ask.cmd("XREVRANGE")
            .arg(STREAM)
            .arg("+")
            .arg("-")
            .arg("COUNT")
            .arg(1);
        let (found,): (Vec<(String, Value)>,) = self.redis.run(CALM, &ask).await?;
        let newest = found.into_iter().next().map(|(id, _)| id);
        Ok(newest.unwrap_or_else(|| "0-0".to_owned()))
    }
}

fn bytes_of(value: &Value) -> Option<Vec<u8>> {
    from_redis_value(value.clone()).ok()
}
