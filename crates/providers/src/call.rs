//! One call to one provider: the request built, sent, and its answer opened.
//!
//! The request to a provider is built anew from an allow-list: the client's credentials, cookies and other headers
//! never travel. Credentials belong to the provider's address, which comes from the configuration alone, and redirects
//! are not followed.

use crate::encode::{Dropped, Encoded};
use crate::fault::{FaultKind, UpstreamFault};
use crate::inflate::Inflate;
use crate::limits::Limits;
use crate::openai::quirks::Quirks;
use crate::practice::{Practice, embeddings, input_tokens};
use crate::retry_after::retry_after;
use crate::stream::{EventStream, Typed, Wanted};
use crate::{anthropic, openai};
use aplomb_core::dialect;
use aplomb_core::error::ApiError;
use aplomb_core::event::{ChatEvent, Facts, Raw};
use aplomb_core::masked::Masked;
use aplomb_core::request::{ChatRequest, Dialect, Operation};
use aplomb_engines::http::HttpClient;
use bytes::{Bytes, BytesMut};
use futures_util::future::try_join_all;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use std::sync::Arc;

/// Room for the headers of a call, so that the map does not grow step by step.
const HEADERS: usize = 16;
/// Most bytes of an error answer that are read. Chosen: error objects are small.
const ERROR_BYTES_MAX: usize = 64 * 1024;
/// Longest wait for the body of an error whose status is known. Chosen: it comes with its head; the next attempt must
/// not wait for it.
const ERROR_BODY_WAIT: std::time::Duration = std::time::Duration::from_millis(500);

// Made once: a name given as text is parsed at every use.
static TRACEPARENT_NAME: HeaderName = HeaderName::from_static("traceparent");
static TRACESTATE_NAME: HeaderName = HeaderName::from_static("tracestate");
static ANTHROPIC_VERSION_NAME: HeaderName = HeaderName::from_static("anthropic-version");
static ANTHROPIC_BETA_NAME: HeaderName = HeaderName::from_static("anthropic-beta");

/// The Messages API version this gateway speaks.
const ANTHROPIC_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

/// What a provider speaks.
pub enum Kind {
    /// OpenAI and compatible servers.
    OpenAi(Quirks),
    /// The Messages API.
    Anthropic,
    /// The simulation.
    Practice(Practice),
}

/// An upstream address, taken apart once.
#[derive(Debug, Clone)]
pub struct Base {
    scheme: Scheme,
    authority: Authority,
    prefix: String,
}

impl Base {
    /// Takes a base URL apart: `https://host[:port][/prefix]`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|_| "is not a valid URL".to_owned())?;
        let parts = uri.into_parts();
        let scheme = parts
            .scheme
            .filter(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
        let (Some(scheme), Some(authority)) = (scheme, parts.authority) else {
            return Err("must begin with http:// or https:// and name a host".to_owned());
        };
        if authority.as_str().contains('@') {
            return Err("must not hold credentials; use api_key".to_owned());
        }
        let path = parts.path_and_query;
        if path.as_ref().is_some_and(|path| path.query().is_some()) {
            return Err("must not hold a query".to_owned());
        }
        let prefix = path
            .map(|path| path.path().trim_end_matches('/').to_owned())
            .unwrap_or_default();
        Ok(Base {
            scheme,
            authority,
            prefix,
        })
    }

    /// Host and port.
    pub fn peer(&self) -> (String, u16) {
        let usual = if self.scheme == Scheme::HTTPS {
            443
        } else {
            80
        };
        let port = self.authority.port_u16().unwrap_or(usual);
        (self.authority.host().to_owned(), port)
    }

    fn uri(&self, path: &str) -> Option<Uri> {
        let full = PathAndQuery::try_from(format!("{}{path}", self.prefix)).ok()?;
        let builder = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone());
        builder.path_and_query(full).build().ok()
    }
}

/// A provider, ready to be called.
pub struct Provider {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// What it speaks.
    pub kind: Kind,
    /// Where it is; none for the simulation.
    pub base: Option<Base>,
    /// Credentials and further headers of every call.
    pub headers: HeaderMap,
    /// Its connections.
    pub client: HttpClient,
}

/// What travels with a call besides the body.
#[derive(Debug, Clone, Default)]
pub struct CallContext {
    /// `traceparent` of this call.
    pub traceparent: Option<String>,
    /// `tracestate` as it came.
    pub tracestate: Option<HeaderValue>,
    /// `anthropic-beta` as it came; only for providers of that dialect.
    pub anthropic_beta: Option<HeaderValue>,
    /// `anthropic-version` as it came; likewise.
    pub anthropic_version: Option<HeaderValue>,
    /// Milliseconds since the Unix epoch, for `Retry-After` dates.
    pub now_ms: u64,
    /// Whether somebody looks into the texts.
    pub typed: Typed,
}

/// An answer that has begun.
pub struct Opened {
    /// Its events.
    pub events: EventStream,
    /// Fields of the request that the provider has no counterpart for.
    pub dropped: Vec<Dropped>,
    /// What the provider said of its limits.
    pub limits: Limits,
}

impl Provider {
    /// What the provider speaks; the simulation is written in the client's dialect.
    pub fn dialect(&self) -> Dialect {
        match self.kind {
            Kind::Anthropic => Dialect::Anthropic,
            Kind::OpenAi(_) | Kind::Practice(_) => Dialect::OpenAi,
        }
    }

    /// Sends a request and gives its answer once the head has come with a good status.
    ///
    /// Dropping the future, or the stream it gives, ends the upstream call.
    ///
    /// # Errors
    /// The class of the failure and what the client may be told.
    pub async fn call(
        &self,
        chat: &Masked<ChatRequest>,
        model: &str,
        context: &CallContext,
    ) -> Result<Opened, UpstreamFault> {
        let chat = chat.get();
        let encoded = match &self.kind {
            Kind::OpenAi(_) if chat.operation == Operation::CountTokens => return count_here(chat),
            Kind::OpenAi(quirks) => {
                openai::request::encode(chat, model, quirks).map_err(refused)?
            }
            Kind::Anthropic => anthropic::request::encode(chat, model).map_err(refused)?,
            Kind::Practice(practice) => return simulate(practice, chat, model),
        };
        let wanted = Wanted::of(chat, self.dialect(), context.typed);
        let calls = self.calls_for(chat);
        if calls == 1 {
            let (events, limits) = self.open(&encoded, wanted, context).await?;
            return Ok(Opened {
                events,
                dropped: encoded.dropped,
                limits,
            });
        }
        let parts = (0..calls).map(|_| self.open(&encoded, wanted, context));
        let (parts, limits): (Vec<_>, Vec<_>) = try_join_all(parts).await?.into_iter().unzip();
        Ok(Opened {
            events: EventStream::several(parts),
            dropped: encoded.dropped,
            limits: limits.last().copied().unwrap_or_default(),
        })
    }

    /// Upstream calls that one request needs: the Messages API gives one choice a call.
    fn calls_for(&self, chat: &ChatRequest) -> u32 {
        match self.kind {
            Kind::Anthropic => chat.choices.max(1),
            Kind::OpenAi(_) | Kind::Practice(_) => 1,
        }
    }

    /// Sends one call and opens its answer once the head has come with a good status.
    async fn open(
        &self,
        encoded: &Encoded,
        wanted: Wanted,
        context: &CallContext,
    ) -> Result<(EventStream, Limits), UpstreamFault> {
        let request = self.request(encoded.path, encoded.body.clone(), context)?;
        let response = self
            .client
            .send(request)
            .await
            .map_err(|error| connection_fault(&error))?;
        let (head, body) = response.into_parts();
        if head.status.is_redirection() {
            return Err(UpstreamFault::new(
                FaultKind::Malformed,
                "the provider redirected the request, which is not followed",
            ));
        }
        let encoding = head
            .headers
            .get(header::CONTENT_ENCODING)
            .and_then(|value| value.to_str().ok());
        let inflate = Inflate::new(encoding)?;
        if !head.status.is_success() {
            return Err(self.failed(&head, body, inflate, context.now_ms).await);
        }
        let limits = Limits::read(&head.headers, context.now_ms);
        Ok((EventStream::http(body, inflate, wanted), limits))
    }

    fn request(
        &self,
        path: &str,
        body: Bytes,
        context: &CallContext,
    ) -> Result<http::Request<Full<Bytes>>, UpstreamFault> {
        let broken =
            || UpstreamFault::new(FaultKind::Connect, "the provider's address can't be used");
        let uri = self
            .base
            .as_ref()
            .and_then(|base| base.uri(path))
            .ok_or_else(broken)?;
        let mut request = http::Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.reserve(HEADERS);
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        headers.insert(
            header::ACCEPT,
            HeaderValue::from_static("application/json, text/event-stream"),
        );
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("aplomb/", env!("CARGO_PKG_VERSION"))),
        );
        if let Some(parent) = context
            .traceparent
            .as_ref()
            .and_then(|text| HeaderValue::from_str(text).ok())
        {
            headers.insert(TRACEPARENT_NAME.clone(), parent);
        }
        let pass = |headers: &mut HeaderMap, name: &HeaderName, value: &Option<HeaderValue>| {
            if let Some(value) = value {
                headers.insert(name.clone(), value.clone());
            }
        };
        pass(headers, &TRACESTATE_NAME, &context.tracestate);
        if matches!(self.kind, Kind::Anthropic) {
            headers.insert(
                ANTHROPIC_VERSION_NAME.clone(),
                context
                    .anthropic_version
                    .clone()
                    .unwrap_or(ANTHROPIC_VERSION),
            );
            pass(headers, &ANTHROPIC_BETA_NAME, &context.anthropic_beta);
        }
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        Ok(request)
    }

    async fn failed(
        &self,
        head: &http::response::Parts,
        body: Incoming,
        mut inflate: Inflate,
        now_ms: u64,
    ) -> UpstreamFault {
        let status = head.status;
        let packed = read_bounded(body).await;
        let mut text = Vec::new();
        if inflate.push(&packed, &mut text).is_err() {
            text.clear();
        }
        let (facets, message) = match self.kind {
            Kind::Anthropic => anthropic::error::facets(status.as_u16(), &text),
            Kind::OpenAi(_) | Kind::Practice(_) => openai::error::facets(status.as_u16(), &text),
        };
        let mut fault =
            UpstreamFault::upstream(facets, message, retry_after(&head.headers, now_ms));
        fault.limits = Some(Box::new(Limits::read(&head.headers, now_ms)));
        fault
    }
}

/// What comes of an error's body within bounds of size and time.
async fn read_bounded(mut body: Incoming) -> BytesMut {
    let mut all = BytesMut::new();
    let end = tokio::time::Instant::now() + ERROR_BODY_WAIT;
    while let Ok(Some(Ok(frame))) = tokio::time::timeout_at(end, body.frame()).await {
        if let Ok(data) = frame.into_data() {
            let room = ERROR_BYTES_MAX.saturating_sub(all.len());
            all.extend_from_slice(data.get(..data.len().min(room)).unwrap_or_default());
            if data.len() > room {
                break;
            }
        }
    }
    all
}

/// The request can't be told to this provider: the client's to mend.
fn refused(error: ApiError) -> UpstreamFault {
    UpstreamFault {
        kind: FaultKind::Request,
        error,
        limits: None,
    }
}

fn connection_fault(error: &aplomb_engines::http::Error) -> UpstreamFault {
    // The error itself may name addresses: for the log only.
    let text = chain(error);
    if error.is_connect() {
        UpstreamFault::new(FaultKind::Connect, "the provider could not be reached").because(text)
    } else {
        UpstreamFault::new(FaultKind::Reset, "the connection to the provider broke").because(text)
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Counts tokens for a provider that has no such call: an estimate of four bytes a token.
fn count_here(chat: &ChatRequest) -> Result<Opened, UpstreamFault> {
    let conversation = dialect::conversation(chat).map_err(refused)?;
    let body = serde_json::json!({ "input_tokens": input_tokens(&conversation) }).to_string();
    let facts = Facts {
        content: true,
        ..Facts::default()
    };
    let events = EventStream::whole(vec![ChatEvent::RawBody(Raw {
        name: None,
        data: Bytes::from(body),
        facts,
    })]);
    Ok(Opened {
        events,
        dropped: Vec::new(),
        limits: Limits::default(),
    })
}

fn simulate(practice: &Practice, chat: &ChatRequest, model: &str) -> Result<Opened, UpstreamFault> {
    let events = match chat.operation {
        Operation::Embeddings => {
            let answer = embeddings::answer(&chat.body, model).map_err(refused)?;
            let usage = answer
                .get("usage")
                .and_then(aplomb_core::usage::Usage::from_openai);
            let facts = Facts {
                content: true,
                ..Facts::default()
            };
            let mut events = vec![ChatEvent::RawBody(Raw {
                name: None,
                data: Bytes::from(answer.to_string()),
                facts,
            })];
            events.extend(usage.map(ChatEvent::Usage));
            EventStream::whole(events)
        }
        Operation::CountTokens => return count_here(chat),
        Operation::ChatCompletions | Operation::Completions | Operation::Messages => {
            let conversation = dialect::conversation(chat).map_err(refused)?;
            EventStream::practice(practice.answer(&conversation, model)?)
        }
    };
    Ok(Opened {
        events,
        dropped: Vec::new(),
        limits: Limits::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let base = Base::parse("http://127.0.0.1:9/v1/").unwrap();
        assert_eq!(
            base.uri("/chat/completions").unwrap().to_string(),
            "http://127.0.0.1:9/v1/chat/completions"
        );
        for bad in [
            "ftp://x/",
            "nonsense",
            "http://u:p@host/",
            "https://host/?a=b",
            "",
        ] {
            assert!(Base::parse(bad).is_err(), "{bad}");
        }
    }
}
