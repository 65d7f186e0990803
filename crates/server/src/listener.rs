//! Accepts connections and serves HTTP/1.1 and HTTP/2 on them, within explicit limits.

use crate::gateway::Gateway;
use crate::stall::Impatient;
use crate::{admin, data};
use aplomb_engines::tasks::Tasks;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

/// Largest header list, as in the public interface reference.
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Streams of one HTTP/2 connection.
const STREAMS_MAX: u32 = 100;
/// Time for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Which service a listener offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plane {
    /// Applications.
    Data,
    /// Operators.
    Admin,
    /// Scrapers of metrics.
    Metrics,
}

/// One bound listener.
pub struct Listener {
    /// What it offers.
    pub plane: Plane,
    /// The socket.
    pub socket: TcpListener,
    /// TLS, where configured.
    pub tls: Option<TlsAcceptor>,
    /// Most connections at a time.
    pub connections_max: usize,
    /// Time a client may take to send its request head.
    pub header_timeout: Duration,
    /// Time a client may take to accept the next bytes of its answer.
    pub write_timeout: Duration,
}

impl Listener {
    /// Accepts until `stop` turns true, then waits for what runs, at most `drain`; what still runs then is told to end.
    pub async fn serve(
        self,
        gateway: Arc<Gateway>,
        tasks: Tasks,
        mut stop: watch::Receiver<bool>,
        drain: Duration,
    ) {
        let Listener {
            plane,
            socket,
            tls,
            connections_max,
            header_timeout,
            write_timeout,
        } = self;
        let graceful = GracefulShutdown::new();
        let slots = Arc::new(Semaphore::new(connections_max));
        loop {
            let accepted = tokio::select! {
                accepted = accept(&socket, &slots) => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let Some((stream, peer, slot)) = accepted else {
                continue;
            };
            let watcher = graceful.watcher();
            let (gateway, tls) = (gateway.clone(), tls.clone());
            tasks.spawn(async move {
                gateway.state.metrics.connections.up();
                let service = Service {
                    gateway: gateway.clone(),
                    plane,
                    peer,
                    header_timeout,
                    write_timeout,
                };
                match tls {
                    None => service.serve(stream, watcher).await,
                    Some(tls) => {
                        if let Ok(Ok(stream)) =
                            tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await
                        {
                            service.serve(stream, watcher).await;
                        }
                    }
                }
                gateway.state.metrics.connections.down();
                drop(slot);
            });
        }
        // From here on new connections are refused, not left waiting.
        drop(socket);
        if tokio::time::timeout(drain, graceful.shutdown())
            .await
            .is_err()
        {
            gateway.stop.send_replace(true);
        }
    }
}

type Accepted = (
    tokio::net::TcpStream,
    SocketAddr,
    tokio::sync::OwnedSemaphorePermit,
);

async fn accept(socket: &TcpListener, slots: &Arc<Semaphore>) -> Option<Accepted> {
    let slot = slots.clone().acquire_owned().await.ok()?;
    match socket.accept().await {
        Ok((stream, peer)) => {
            // Events must go out when they come, not when there are many.
            let _ = stream.set_nodelay(true);
            Some((stream, peer, slot))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            // Out of file descriptors: without a pause this loop would spin.
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

/// What one connection is served with.
struct Service {
    gateway: Arc<Gateway>,
    plane: Plane,
    peer: SocketAddr,
    header_timeout: Duration,
    write_timeout: Duration,
}

impl Service {
    async fn serve<S>(self, stream: S, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Service {
            gateway,
            plane,
            peer,
            header_timeout,
            write_timeout,
        } = self;
        let stream = Impatient::new(stream, write_timeout);
        let service = service_fn(move |request| {
            let gateway = gateway.clone();
            async move {
                let reply = match plane {
                    Plane::Data => data::serve(gateway, request, peer).await,
                    Plane::Admin => admin::serve(gateway, request).await,
                    Plane::Metrics => admin::scrape(&gateway, &request),
                };
                Ok::<_, Infallible>(reply)
            }
        });
        let builder = limited(header_timeout);
        let serving = builder
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        if let Err(error) = watcher.watch(serving).await {
            tracing::trace!(%error, "connection ended");
        }
    }
}

/// HTTP/1.1 and HTTP/2 within explicit limits.
fn limited(header_timeout: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(HEADER_BYTES_MAX)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(HEADER_BYTES_MAX).unwrap_or(u32::MAX))
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}
