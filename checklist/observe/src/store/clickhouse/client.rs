//! Calls over ClickHouse's HTTP interface. Each has a time limit, and a bound on its answer.

use super::Settings;
use aplomb_engines::http::HttpClient;
use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use std::fmt::Write;
use std::io;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// ClickHouse gives up so long before we do: no insert runs on when its outcome is asked for again.
const GRACE: Duration = Duration::from_secs(5);
/// Most bytes of an answer.
const ANSWER_MAX: usize = 64 << 20;

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No connection, or one that broke.
    Unreachable,
    /// No answer in time.
    Slow,
    /// ClickHouse answered with an error.
    Refused,
    /// An answer that can't be read, or is too long.
    Odd,
}

/// Why a call failed. What is shown of it holds no part of a query or of a row.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", self.shown())]
pub struct CallError {
    /// Kind.
    pub fault: Fault,
    /// ClickHouse's number of the error, such as 252 for too many parts.
    pub code: Option<u32>,
    status: Option<u16>,
    name: String,
    message: String,
}

impl CallError {
    fn of(fault: Fault) -> Self {
        CallError {
            fault,
            code: None,
            status: None,
            name: String::new(),
            message: String::new(),
        }
    }

    pub(super) fn odd() -> Self {
        CallError::of(Fault::Odd)
    }

    fn refused(status: StatusCode, body: &str) -> Self {
        let code = body.split_once("Code: ").and_then(|(_, rest)| {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        });
        // The name stands in brackets: capital letters and underscores only.
        let mut names = body.match_indices('(').filter_map(|(at, _)| {
            let rest = body.get(at + 1..)?;
            let name = rest.get(..rest.find(')')?)?;
            let fits = name.len() > 3
                && name.len() < 64
                && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
            fits.then(|| name.to_owned())
        });
        CallError {
            fault: Fault::Refused,
            code,
            status: Some(status.as_u16()),
            // What comes before the last may be of a row.
            name: names.next_back().unwrap_or_default(),
            message: body.to_owned(),
        }
    }

    fn shown(&self) -> String {
        match self.fault {
            Fault::Unreachable => "ClickHouse can't be reached".to_owned(),
            Fault::Slow => "ClickHouse did not answer in time".to_owned(),
            Fault::Odd => "ClickHouse gave an answer that can't be read".to_owned(),
            Fault::Refused => {
                let mut text = format!(
                    "ClickHouse answered with status {}",
                    self.status.unwrap_or(0)
                );
                if let Some(code) = self.code {
                    let _ = write!(text, ", error {code} {}", self.name);
                }
                text.trim_end().to_owned()
            }
        }
    }

    /// What ClickHouse wrote, for who asked the question. May hold parts of it.
    pub(super) fn message(&self) -> &str {
        &self.message
    }
}

/// One call.
pub(super) struct Call<'a> {
    /// The statement.
    pub(super) sql: &'a str,
    /// Database that bare names are looked up in.
    pub(super) database: Option<&'a str>,
    /// Settings.
    pub(super) settings: &'a [(&'a str, String)],
    /// Rows of an insert.
    pub(super) data: Option<Bytes>,
    /// How long ClickHouse may work on it.
    pub(super) time: Duration,
}

impl Call<'_> {
    pub(super) fn new(time: Duration) -> Self {
        Call {
            sql: "",
            database: None,
            settings: &[],
            data: None,
            time,
        }
    }
}

/// The client, with a thread of its own for connections.
pub(super) struct Client {
    http: HttpClient,
    runtime: Option<Runtime>,
    base: String,
    user: String,
    password: Option<String>,
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // May run on a thread of another runtime, which must not wait.
            runtime.shutdown_background();
        }
    }
}

fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

impl Client {
    pub(super) fn new(settings: Settings) -> io::Result<Self> {
        let uri: Uri = settings
            .url
            .parse()
            .map_err(|_| io::Error::other("the address of ClickHouse is none"))?;
        if uri.host().is_none() {
            return Err(io::Error::other("the address of ClickHouse has no host"));
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("clickhouse")
            .enable_all()
            .build()?;
        let _inside = runtime.enter();
        let http = HttpClient::new(CONNECT);
        drop(_inside);
        Ok(Client {
            http,
            runtime: Some(runtime),
            base: settings.url.trim_end_matches('/').to_owned(),
            user: settings.user,
            password: settings.password,
        })
    }

    /// Makes a call and waits for its answer.
    ///
    /// # Errors
    /// No connection, no answer in time, an error of ClickHouse, or an answer that is too long.
    pub(super) fn call(&self, call: &Call<'_>) -> Result<Bytes, CallError> {
        let Some(runtime) = &self.runtime else {
            return Err(CallError::of(Fault::Unreachable));
        };
        let request = self.request(call)?;
        let limit = call.time + GRACE;
        let work = async { tokio::time::timeout(limit, self.send(request)).await };
        runtime
            .block_on(work)
            .unwrap_or_else(|_| Err(CallError::of(Fault::Slow)))
    }

    fn request(&self, call: &Call<'_>) -> Result<Request<Full<Bytes>>, CallError> {
        let mut url = format!(
            "{}/?max_execution_time={}&wait_end_of_query=1",
            self.base,
            call.time.as_secs().max(1)
        );
        if let Some(database) = call.database {
            let _ = write!(url, "&database={}", encoded(database));
        }
        for (name, value) in call.settings {
            let _ = write!(url, "&{name}={}", encoded(value));
        }
        let body = match &call.data {
            Some(data) => {
                let _ = write!(url, "&query={}", encoded(call.sql));
                data.clone()
            }
            None => Bytes::from(call.sql.to_owned()),
        };
        let mut request = Request::post(url).header("x-clickhouse-user", &self.user);
        if let Some(password) = &self.password {
            request = request.header("x-clickhouse-key", password);
        }
        request
            .body(Full::new(body))
            .map_err(|_| CallError::of(Fault::Unreachable))
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Bytes, CallError> {
        let answer = self.http.send(request).await;
        let answer = answer.map_err(|_| CallError::of(Fault::Unreachable))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_MAX).collect().await;
        let body = body.map_err(|_| CallError::of(Fault::Odd))?.to_bytes();
        // An error after the head has gone out stands in a header of its own, or in the trailing text.
        if head.status != StatusCode::OK || head.headers.contains_key("x-clickhouse-exception-code")
        {
            let text: String = String::from_utf8_lossy(&body).chars().take(4096).collect();
            return Err(CallError::refused(head.status, &text));
        }
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_show_numbers_and_names_but_no_text() {
        let body = "Code: 252. DB::Exception: Too many parts (300) near 'my secret prompt' (x). (TOO_MANY_PARTS) (version 26.9)";
        let error = CallError::refused(StatusCode::INTERNAL_SERVER_ERROR, body);
        assert_eq!(error.code, Some(252));
        assert_eq!(
            error.to_string(),
            "ClickHouse answered with status 500, error 252 TOO_MANY_PARTS"
        );
        assert_eq!(
            CallError::refused(StatusCode::BAD_GATEWAY, "<html>").to_string(),
            "ClickHouse answered with status 502"
        );
    }

    #[test]
    fn parameters_are_encoded() {
        assert_eq!(encoded("a b&c=ü'"), "a%20b%26c%3D%C3%BC%27");
    }
}
