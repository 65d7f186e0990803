//! The HTTP client for upstream calls: pooled HTTP/1.1 connections, TLS by rustls, no redirects, no proxies, no
//! cookies, no decompression. Time limits of a call are its caller's; the connect timeout is set here.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::time::Duration;

pub use hyper_util::client::legacy::Error;

/// How long an unused connection is kept. Chosen: below the 60 s after which common servers close theirs.
const IDLE: Duration = Duration::from_secs(45);

/// A pool of connections to one provider.
#[derive(Clone)]
pub struct HttpClient(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl HttpClient {
    /// A client that gives up a connection after `connect_timeout`.
    ///
    /// Certificates are checked against the system's roots, or Mozilla's where the system has none.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place where HTTP clients are built"
    )]
    pub fn new(connect_timeout: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(connect_timeout));
        tcp.set_keepalive(Some(Duration::from_secs(30)));
        let tls = match HttpsConnectorBuilder::new().with_native_roots() {
            Ok(builder) => builder,
            Err(_) => HttpsConnectorBuilder::new().with_webpki_roots(),
        };
        let connector = tls.https_or_http().enable_http1().wrap_connector(tcp);
        HttpClient(
            Client::builder(TokioExecutor::new())
                .pool_idle_timeout(IDLE)
                .pool_timer(TokioTimer::new())
                .http1_max_headers(128)
                .build(connector),
        )
    }

    /// Sends one request. Dropping the future closes the connection of an answer that has not come.
    ///
    /// # Errors
    /// No connection, or one that broke before the head of the answer.
    pub async fn send(
        &self,
        request: http::Request<Full<Bytes>>,
    ) -> Result<http::Response<Incoming>, Error> {
        self.0.request(request).await
    }
}
