//! A cache that several nodes share over a Redis or Valkey.
//!
//! Each entry lives there under its key for as long as it may be given again. A stream tells every node what was put and what
//! was purged, and each keeps what fits of it in its own memory, where it is looked up: only what a node does not have is asked
//! for. While the server is away each node goes on by itself; what it puts meanwhile it keeps for itself.
//!
//! # Bounds
//! Entries leave by their time; how much memory they may take meanwhile is the server's `maxmemory` to say (with
//! `allkeys-lru` it makes room by itself). The stream holds the last [`NEWS_MAX`] events. At most [`PUTS_MAX`] entries of a node wait
//! to be put there; what is over is kept locally alone, and counted.

use super::frozen::{freeze, thaw};
use super::key::Digest;
use super::store::{Entry, Purge, Store};
use aplomb_engines::redis::{
    AsyncCommands, Away, Redis, StreamReadOptions, StreamReadReply, Value, cmd, from_redis_value,
    pipe,
};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, Notify, mpsc};

/// Events that the stream holds, about.
pub const NEWS_MAX: usize = 50_000;
/// Entries that wait to be put there at most.
pub const PUTS_MAX: usize = 64;
/// Longest wait for an entry that is not here: beyond it the provider is asked.
const GET: Duration = Duration::from_millis(25);
/// Longest wait where nobody waits for an answer.
const CALM: Duration = Duration::from_secs(2);
/// News read at a time.
const BATCH: usize = 128;
/// Longest wait for news before the connection is looked at again.
const LISTEN: Duration = Duration::from_secs(5);
/// From a broken connection to the next one.
const AGAIN: Duration = Duration::from_secs(1);
/// Keys looked at in one step of a purge.
const SCAN: usize = 512;

/// What happened.
#[derive(Debug, Default)]
pub struct Counts {
    /// Entries that came from the server.
    pub fetched: AtomicU64,
    /// Entries that were put there.
    pub put: AtomicU64,
    /// Entries that were not put there: it was away, or too many waited.
    pub unput: AtomicU64,
    /// Entries from there that were damaged or foreign.
    pub dropped: AtomicU64,
}

/// One cache on the server.
pub struct Shared {
    redis: Redis,
    /// Begins the names of its keys.
    prefix: String,
    /// Tells this node's news from others'.
    node: String,
    secret: Arc<[u8]>,
    outbox: mpsc::Sender<(Digest, Entry)>,
    inbox: Mutex<mpsc::Receiver<(Digest, Entry)>>,
    stop: Notify,
    counts: Counts,
}

impl Shared {
    /// The cache of this name. `node` is unlike those of other nodes, `secret` like theirs.
    pub fn new(redis: Redis, name: &str, node: &str, secret: Arc<[u8]>) -> Self {
        let (outbox, inbox) = mpsc::channel(PUTS_MAX);
        Shared {
            redis,
            prefix: format!("aplomb:cache:{name}"),
            node: node.to_owned(),
            secret,
            outbox,
            inbox: Mutex::new(inbox),
            stop: Notify::new(),
            counts: Counts::default(),
        }
    }

    /// Whether the server answered last.
    pub fn is_up(&self) -> bool {
        self.redis.is_up()
    }

    /// What happened.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    fn key(&self, key: &Digest) -> String {
        let hex: String = key.0.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}:e:{hex}", self.prefix)
    }

    fn news(&self) -> String {
        format!("{}:news", self.prefix)
    }

    /// Asks for an entry that is not here, and keeps it. False if there is none, or the server does not answer in time.
    pub async fn fetch(&self, store: &Store, key: &Digest, now_ms: u64) -> bool {
        let mut ask = pipe();
        ask.get(self.key(key));
        let told: Result<(Option<Vec<u8>>,), Away> = self.redis.run(GET, &ask).await;
        match told {
            Ok((Some(bytes),)) => self.take(store, (*key, &bytes), now_ms),
            Ok((None,)) | Err(Away) => false,
        }
    }

    /// Keeps an entry from the server, if it is whole and its time is not over.
    fn take(&self, store: &Store, (key, bytes): (Digest, &[u8]), now_ms: u64) -> bool {
        let Some(entry) = thaw(bytes, &key, &self.secret) else {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        self.counts.fetched.fetch_add(1, Ordering::Relaxed);
        store.put(key, entry, now_ms);
        true
    }

    /// Hands an entry over, to be put there by [`Shared::run`]. It does not wait.
    pub fn offer(&self, key: Digest, entry: Entry) {
        if self.outbox.try_send((key, entry)).is_err() {
            self.counts.unput.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Puts an entry there and tells the others.
    pub async fn put(&self, key: Digest, entry: Entry, now_ms: u64) {
        let left_ms = entry.expires_ms().saturating_sub(now_ms);
        let bytes = freeze(&entry, &key, &self.secret).filter(|_| left_ms > 0);
        let put = match bytes {
            Some(bytes) => self.send((key, bytes), left_ms).await.is_ok(),
            None => false,
        };
        let counter = if put {
            &self.counts.put
        } else {
            &self.counts.unput
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    async fn send(&self, (key, bytes): (Digest, Vec<u8>), left_ms: u64) -> Result<(), Away> {
        let mut commands = pipe();
        commands.pset_ex(self.key(&key), bytes, left_ms).ignore();
        commands.add_command(self.event("put", &key.0)).ignore();
        self.redis.run(CALM, &commands).await
    }

    fn event(&self, what: &str, value: &[u8]) -> aplomb_engines::redis::Cmd {
        let mut event = cmd("XADD");
        event.arg(self.news()).arg("MAXLEN").arg("~").arg(NEWS_MAX);
        event
            .arg("*")
            .arg("node")
            .arg(&self.node)
            .arg(what)
            .arg(value);
        event
    }

    /// Removes entries from the server, those that this node does not hold included, and tells the others.
    ///
    /// # Errors
    /// The server is away: what fits may still be there.
    pub async fn purge(&self, purge: &Purge) -> Result<u64, Away> {
        let told = serde_json::to_vec(purge).map_err(|_| Away)?;
        let mut commands = pipe();
        commands.add_command(self.event("purge", &told)).ignore();
        let () = self.redis.run(CALM, &commands).await?;
        let mut cursor = 0;
        let mut removed = 0;
        loop {
            let (next, gone) = self.purge_some(purge, cursor).await?;
            removed += gone;
            if next == 0 {
                return Ok(removed);
            }
            cursor = next;
        }
    }

    async fn purge_some(&self, purge: &Purge, cursor: u64) -> Result<(u64, u64), Away> {
        let mut scan = pipe();
        scan.cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(format!("{}:e:*", self.prefix))
            .arg("COUNT")
            .arg(SCAN);
        let ((next, keys),): ((u64, Vec<String>),) = self.redis.run(CALM, &scan).await?;
        if keys.is_empty() {
            return Ok((next, 0));
        }
        let mut read = pipe();
        for key in &keys {
            read.get(key);
        }
        let found: Vec<Option<Vec<u8>>> = self.redis.run(CALM, &read).await?;
        let mut remove = pipe();
        let mut gone = 0;
        for (name, bytes) in keys.iter().zip(found) {
            let Some(bytes) = bytes else { continue };
            // What does not thaw is nobody's answer, and goes too.
            let entry = self
                .digest(name)
                .and_then(|key| thaw(&bytes, &key, &self.secret));
            if entry.is_none_or(|entry| purge.fits_entry(&entry)) {
                remove.del(name).ignore();
                gone += 1;
            }
        }
        if gone > 0 {
            let () = self.redis.run(CALM, &remove).await?;
        }
        Ok((next, gone))
    }

    /// The digest in the name of a key.
    fn digest(&self, name: &str) -> Option<Digest> {
        let hex = name.strip_prefix(&self.prefix)?.strip_prefix(":e:")?;
        let mut digest = [0; 32];
        if hex.len() != 64 || !hex.is_ascii() {
            return None;
        }
        for (place, two) in digest.iter_mut().zip(hex.as_bytes().chunks(2)) {
            *place = u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok()?;
        }
        Some(Digest(digest))
    }

    /// Puts what is handed over and follows the news, until [`Shared::stop`].
    pub async fn run(&self, store: &Store, now_ms: impl Fn() -> u64 + Send + Sync) {
        let work = async { tokio::join!(self.follow(store, &now_ms), self.deliver(&now_ms)) };
        tokio::select! {
            () = self.stop.notified() => {}
            _ = work => {}
        }
    }

    /// Ends [`Shared::run`].
    pub fn stop(&self) {
        self.stop.notify_one();
    }

    async fn deliver(&self, now_ms: &(impl Fn() -> u64 + Send + Sync)) {
        let mut inbox = self.inbox.lock().await;
        while let Some((key, entry)) = inbox.recv().await {
            self.put(key, entry, now_ms()).await;
        }
    }

    /// Follows the news for ever: what was put before this node came, then what others put and purge.
    async fn follow(&self, store: &Store, now_ms: &(impl Fn() -> u64 + Send + Sync)) {
        let mut last = "0-0".to_owned();
        loop {
            // A purge that was missed while the server was away is in the stream, unless that has grown too long.
            let _away = self.listen(store, now_ms, &mut last).await;
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn listen(
        &self,
        store: &Store,
        now_ms: &(impl Fn() -> u64 + Send + Sync),
        last: &mut String,
    ) -> Result<(), Away> {
        let mut connection = self.redis.own_connection().await?;
        let wait = usize::try_from(LISTEN.as_millis()).unwrap_or(usize::MAX);
        let options = StreamReadOptions::default().count(BATCH).block(wait);
        loop {
            let (news, from) = ([self.news()], [last.clone()]);
            let reading = connection.xread_options(&news, &from, &options);
            // A server that stands still is left, so that the next connection finds another one.
            let told: Option<StreamReadReply> = timed(LISTEN * 2, reading).await?;
            let ids = told
                .into_iter()
                .flat_map(|told| told.keys)
                .flat_map(|key| key.ids);
            let mut wanted = Vec::new();
            for event in ids {
                last.clone_from(&event.id);
                let text = |name: &str| event.map.get(name).and_then(bytes_of);
                if text("node").as_deref() == Some(self.node.as_bytes()) {
                    continue;
                }
                if let Some(key) =
                    text("put").and_then(|bytes| Some(Digest(bytes.try_into().ok()?)))
                {
                    wanted.push(key);
                } else if let Some(purge) = text("purge").and_then(|told| purge_of(&told)) {
                    // In their order: what was put before must not come back.
                    self.take_all(store, std::mem::take(&mut wanted), now_ms())
                        .await?;
                    store.purge(&purge);
                }
            }
            self.take_all(store, wanted, now_ms()).await?;
        }
    }

    async fn take_all(&self, store: &Store, keys: Vec<Digest>, now_ms: u64) -> Result<(), Away> {
        if keys.is_empty() {
            return Ok(());
        }
        let mut read = pipe();
        for key in &keys {
            read.get(self.key(key));
        }
        let found: Vec<Option<Vec<u8>>> = self.redis.run(CALM, &read).await?;
        for (key, bytes) in keys.into_iter().zip(found) {
            if let Some(bytes) = bytes {
                self.take(store, (key, &bytes), now_ms);
            }
        }
        Ok(())
    }
}

fn bytes_of(value: &Value) -> Option<Vec<u8>> {
    from_redis_value(value.clone()).ok()
}

fn purge_of(told: &[u8]) -> Option<Purge> {
    serde_json::from_slice(told).ok()
}

async fn timed<T, E>(limit: Duration, work: impl Future<Output = Result<T, E>>) -> Result<T, Away> {
    let told = tokio::time::timeout(limit, work).await;
    told.map_err(|_| Away)?.map_err(|_| Away)
}
