//! A Redis or Valkey that several nodes share: one connection for everything, made when it is needed, made anew when it
//! broke. While the server is away calls fail at once, and one a second tries again.

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, RedisError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, timeout};

pub use redis::streams::{StreamReadOptions, StreamReadReply};
pub use redis::{
    AsyncCommands, Cmd, FromRedisValue, Pipeline, Script, ScriptInvocation, Value, cmd,
    from_redis_value, pipe,
};

/// Longest wait for a connection. Chosen: a server in the same network answers in a millisecond.
const CONNECT: Duration = Duration::from_secs(1);
/// From a failure to the next try, where nothing else is said.
const RETRY: Duration = Duration::from_secs(1);
/// Calls that may time out one after the other before the connection is given up.
const TIMEOUTS_MAX: u32 = 3;

/// The server did not answer, or answered with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the shared store is away")]
pub struct Away;

/// Where it is, and who calls.
#[derive(Clone)]
pub struct Settings {
    /// `redis://host:port/db` or `rediss://...`, without credentials.
    pub url: String,
    /// User; the server's default one if there is none.
    pub user: Option<String>,
    /// Password.
    pub password: Option<String>,
}

#[derive(Default)]
struct Link {
    connection: Option<MultiplexedConnection>,
    retry_at: Option<Instant>,
    timeouts: u32,
}

struct Shared {
    client: Client,
    link: Arc<Mutex<Link>>,
    up: AtomicBool,
    failures: AtomicU64,
    retry: Duration,
}

/// A handle. Cheap to clone.
#[derive(Clone)]
pub struct Redis(Arc<Shared>);

impl Redis {
    /// Opens nothing yet.
    ///
    /// # Errors
    /// The address is none that can be used, in words without it.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        Redis::retrying(settings, RETRY)
    }

    /// The same, with another time from a failure to the next try.
    ///
    /// # Errors
    /// As [`Redis::new`].
    pub fn retrying(settings: &Settings, retry: Duration) -> Result<Self, String> {
        let info = settings
            .url
            .as_str()
            .into_connection_info()
            .map_err(|_| "is no address such as `redis://host:6379`".to_owned())?;
        if matches!(info.addr(), ConnectionAddr::Unix(_)) {
            return Err("sockets of files are not supported: use `redis://host:6379`".to_owned());
        }
        let mut login = info.redis_settings().clone();
        if let Some(user) = &settings.user {
            login = login.set_username(user);
        }
        if let Some(password) = &settings.password {
            login = login.set_password(password);
        }
        let client = Client::open(info.set_redis_settings(login))
            .map_err(|_| "can't be used as the address of a Redis".to_owned())?;
        Ok(Redis(Arc::new(Shared {
            client,
            link: Arc::default(),
            up: AtomicBool::new(false),
            failures: AtomicU64::new(0),
            retry,
        })))
    }

    /// Whether the last call was answered.
    pub fn is_up(&self) -> bool {
        self.0.up.load(Ordering::Relaxed)
    }

    /// Calls that failed.
    pub fn failures(&self) -> u64 {
        self.0.failures.load(Ordering::Relaxed)
    }

    /// Sends commands and reads all their answers, within `limit`.
    ///
    /// # Errors
    /// It is away, too slow, or refused a command.
    pub async fn run<T: FromRedisValue>(
        &self,
        limit: Duration,
        commands: &Pipeline,
    ) -> Result<T, Away> {
        let work = async {
            let mut connection = self.connection().await?;
            let told = commands.query_async(&mut connection).await;
            told.map_err(|error| self.failed(&error))
        };
        self.timed(limit, work).await
    }

    /// Runs a script, within `limit`.
    ///
    /// # Errors
    /// As [`Redis::run`].
    pub async fn script<T: FromRedisValue>(
        &self,
        limit: Duration,
        call: &redis::ScriptInvocation<'_>,
    ) -> Result<T, Away> {
        let work = async {
            let mut connection = self.connection().await?;
            let told = call.invoke_async(&mut connection).await;
            told.map_err(|error| self.failed(&error))
        };
        self.timed(limit, work).await
    }

    /// A connection of its own, for commands that wait.
    ///
    /// # Errors
    /// The server is away.
    pub async fn own_connection(&self) -> Result<MultiplexedConnection, Away> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(None);
        let client = &self.0.client;
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        connecting.await.map_err(|_| Away)
    }

    async fn timed<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, Failed>>,
    ) -> Result<T, Away> {
        let outcome = timeout(limit, work).await;
        let fine = matches!(outcome, Ok(Ok(_)));
        self.0.up.store(fine, Ordering::Relaxed);
        if fine {
            if let Ok(mut link) = self.0.link.try_lock() {
                link.timeouts = 0;
            }
        } else {
            self.0.failures.fetch_add(1, Ordering::Relaxed);
        }
        match outcome {
            Ok(Ok(told)) => Ok(told),
            Ok(Err(Failed::Link)) => {
                self.give_up().await;
                Err(Away)
            }
            Ok(Err(Failed::Away | Failed::Command)) => Err(Away),
            Err(_) => {
                self.slow().await;
                Err(Away)
            }
        }
    }

    fn failed(&self, error: &RedisError) -> Failed {
        if error.is_io_error() || error.is_connection_dropped() || error.is_unrecoverable_error() {
            Failed::Link
        } else {
            Failed::Command
        }
    }

    async fn connection(&self) -> Result<MultiplexedConnection, Failed> {
        let mut link = self.0.link.clone().lock_owned().await;
        if let Some(connection) = &link.connection {
            return Ok(connection.clone());
        }
        if link.retry_at.is_some_and(|at| Instant::now() < at) {
            return Err(Failed::Away);
        }
        link.retry_at = Some(Instant::now() + self.0.retry);
        // Whoever has less patience than connecting takes may leave: the others go on waiting for it, and it is not begun anew.
        #[expect(
            clippy::disallowed_methods,
            reason = "it ends by itself, and nobody loses anything if the process ends first"
        )]
        tokio::spawn(connect(self.0.client.clone(), link));
        let link = self.0.link.lock().await;
        link.connection.clone().ok_or(Failed::Away)
    }

    async fn give_up(&self) {
        let mut link = self.0.link.lock().await;
        link.connection = None;
        link.retry_at = Some(Instant::now() + self.0.retry);
    }

    async fn slow(&self) {
        let mut link = self.0.link.lock().await;
        link.timeouts += 1;
        if link.timeouts >= TIMEOUTS_MAX {
            link.connection = None;
            link.retry_at = Some(Instant::now() + self.0.retry);
            link.timeouts = 0;
        }
    }
}

/// Makes a connection. Nobody else looks at the link meanwhile.
async fn connect(client: Client, mut link: OwnedMutexGuard<Link>) {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(None);
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    if let Ok(connection) = connecting.await {
        link.connection = Some(connection);
        link.timeouts = 0;
    }
}

/// Why a call failed.
enum Failed {
    /// The connection broke.
    Link,
    /// There is none, and it is too early for another try.
    Away,
    /// The server refused a command.
    Command,
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// A server that takes its time for the first answer, and says `OK` to everything.
    async fn slow_server(first: Duration) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut wait = Some(first);
            let mut bytes = [0; 4096];
            while let Ok(read) = stream.read(&mut bytes).await
                && read > 0
            {
                if let Some(wait) = wait.take() {
                    tokio::time::sleep(wait).await;
                }
                let commands = bytes[..read].iter().filter(|byte| **byte == b'*').count();
                let answer = "+OK\r\n".repeat(commands);
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        format!("redis://{address}")
    }

    /// Somebody with little patience is the first to come: the connection is made all the same, and no second of the others is lost.
    #[tokio::test]
    async fn a_connection_is_made_though_the_first_caller_leaves() {
        let url = slow_server(Duration::from_millis(200)).await;
        let settings = Settings {
            url,
            user: None,
            password: None,
        };
        let redis = Redis::retrying(&settings, Duration::from_secs(60)).unwrap();
        let mut ping = pipe();
        ping.cmd("PING");
        let hasty: Result<(String,), Away> = redis.run(Duration::from_millis(5), &ping).await;
        assert_eq!(hasty, Err(Away));
        let patient: Result<(String,), Away> = redis.run(Duration::from_secs(5), &ping).await;
        assert_eq!(patient, Ok(("OK".to_owned(),)));
        assert!(redis.is_up());
    }
}
