//! Accepts connections and serves HTTP/1.1 and HTTP/2 on them, within explicit limits.

use crate::gateway::Gateway;
use crate::{admin, data};
use aplomb_engines::tasks::Tasks;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
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
        let listener = Arc::new(self);
        let graceful = GracefulShutdown::new();
        let slots = Arc::new(Semaphore::new(listener.connections_max));
        loop {
            let accepted = tokio::select! {
                accepted = accept(&listener.socket, &slots) => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let Some((stream, peer, slot)) = accepted else {
                continue;
            };
            let watcher = graceful.watcher();
            let (gateway, listener) = (gateway.clone(), listener.clone());
            tasks.spawn(async move {
                gateway.state.metrics.connections.up();
                match &listener.tls {
                    None => connection(&listener, stream, peer, gateway.clone(), watcher).await,
                    Some(tls) => {
                        if let Ok(Ok(stream)) =
                            tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await
                        {
                            connection(&listener, stream, peer, gateway.clone(), watcher).await;
                        }
                    }
                }
                gateway.state.metrics.connections.down();
                drop(slot);
            });
        }
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

async fn connection<S>(
    listener: &Listener,
    stream: S,
    peer: SocketAddr,
    gateway: Arc<Gateway>,
    watcher: hyper_util::server::graceful::Watcher,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let plane = listener.plane;
    let service = service_fn(move |request| {
        let gateway = gateway.clone();
        async move {
            let reply = match plane {
                Plane::Data => data::serve(gateway, request, peer).await,
                Plane::Admin => admin::serve(gateway, request).await,
            };
            Ok::<_, Infallible>(reply)
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(listener.header_timeout)
        .max_buf_size(HEADER_BYTES_MAX)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(HEADER_BYTES_MAX).unwrap_or(u32::MAX))
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    let serving = watcher.watch(
        builder
            .serve_connection(TokioIo::new(stream), service)
            .into_owned(),
    );
    if let Err(error) = serving.await {
        tracing::trace!(%error, "connection ended");
    }
}
