//! Requests that are the same share one upstream call: those with the same content where a route says so, and those with the
//! same `Idempotency-Key`.
//!
//! The first one's call is a task of its own, so that it does not end with the first caller: it walks the targets, writes what
//! the provider says on a tape, before anything is restored, and goes on while anyone listens. Every caller reads that tape
//! through filters of its own. The exchange of the first caller is the one that pays: if its client leaves while others listen,
//! it is noted to the end of the call ([`desk`]).

mod desk;
mod lead;
mod listen;
mod shares;

use crate::cached::{self, owner};
use crate::policy::Route;
use crate::settle::Exchange;
use crate::state::State;
use aplomb_config::file::{ConfigFile, RouteConfig};
use aplomb_config::share::{DedupeConfig, DedupeModeConfig};
use aplomb_core::caller::is_session;
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_core::event::ChatEvent;
use aplomb_core::id::RequestId;
use aplomb_core::masked::Masked;
use aplomb_core::request::{ChatRequest, Delivery};
use aplomb_latency::cache::directive::Directives;
use aplomb_latency::cache::key::{Digest, Keyer};
use aplomb_latency::cache::request::{Asked, Limits};
use aplomb_latency::share::register::{Ask, Entered, Mode, Register, Source};
use aplomb_latency::share::tape::{Reader, Tape};
use aplomb_observe::metrics::ShareMetrics;
use aplomb_observe::record::{Share, SharedBy, SharedFacts};
use aplomb_privacy::restore::Restorer;
use aplomb_providers::encode::Dropped;
use aplomb_providers::fault::{FaultKind, UpstreamFault};
use aplomb_providers::stream::EventStream;
pub(crate) use desk::Lead;
pub(crate) use lead::{Call, Used};
pub(crate) use listen::Listens;
pub use shares::Shares;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// All plain requests, whatever their temperature: an answer on its way is the answer to both.
const PLAIN: Limits = Limits {
    temperature_max: f64::INFINITY,
    tools: false,
};

/// What a shared call says, piece by piece.
#[derive(Clone)]
pub(crate) enum Piece {
    /// Always first: the answer has begun.
    Head(Arc<Head>),
    /// An event of it.
    Event(ChatEvent),
}

/// What is known of an answer when it begins.
pub(crate) struct Head {
    /// `provider/model` that gives it.
    pub target: Arc<str>,
    /// It comes from the practice provider.
    pub simulated: bool,
    /// Fields of the request that the provider has no counterpart for.
    pub dropped: Vec<Dropped>,
}

/// Why a shared call ended.
#[derive(Clone)]
pub(crate) struct Fallen(Arc<Fall>);

struct Fall {
    kind: FaultKind,
    error: ApiError,
    /// The chain of targets was gone through.
    spent: bool,
}

impl Fallen {
    fn new(kind: FaultKind, error: &ApiError, spent: bool) -> Self {
        let error = error.again();
        Fallen(Arc::new(Fall { kind, error, spent }))
    }

    fn fault(&self) -> UpstreamFault {
        UpstreamFault {
            kind: self.0.kind,
            error: self.0.error.again(),
            limits: None,
        }
    }
}

type Calls = Register<Piece, Fallen>;
type Listener = Reader<Piece, Fallen>;
type Tapes = Tape<Piece, Fallen>;
type Begins = Result<Begun, ApiError>;

/// An answer of a shared call: what is there of it, and where the rest comes from.
pub(crate) struct Begun {
    /// Events that are there.
    pub held: VecDeque<ChatEvent>,
    /// Where further ones come from.
    pub events: EventStream,
    /// Fields of the request that the provider has no counterpart for.
    pub dropped: Vec<Dropped>,
}

/// How a route shares calls, compiled.
#[derive(Default)]
pub struct Sharing {
    /// What happens to requests with the same content; none where nothing does.
    content: Option<(Mode, Duration)>,
    /// What happens to those of browsers: they are joined, where the route says nothing. A page that asks twice means it once.
    of_sessions: Option<(Mode, Duration)>,
    keep: Duration,
    linger: Duration,
    /// Of all in the file that can change an answer.
    version: String,
    secret: Arc<[u8]>,
}

impl Sharing {
    /// Of a route.
    pub(crate) fn of(file: &ConfigFile, name: &str, route: &RouteConfig, state: &State) -> Self {
        let cache = route.cache.as_ref().and_then(|name| file.caches.get(name));
        let content = route.dedupe.as_ref().and_then(|dedupe| match dedupe.mode {
            DedupeModeConfig::Join => Some((Mode::Join, dedupe.window.0)),
            DedupeModeConfig::Reject => Some((Mode::Reject, Duration::ZERO)),
            DedupeModeConfig::Replace => Some((Mode::Replace, Duration::ZERO)),
            DedupeModeConfig::None => None,
        });
        Sharing {
            content,
            of_sessions: match &route.dedupe {
                Some(_) => content,
                None => join_by_default(),
            },
            version: cached::version(file, name, route, cache),
            ..Sharing::direct(file, "", state)
        }
    }

    /// Of models without a route, under this version of the file.
    pub(crate) fn direct(file: &ConfigFile, version: &str, state: &State) -> Self {
        Sharing {
            content: None,
            of_sessions: join_by_default(),
            keep: file.idempotency.keep.0,
            linger: file.idempotency.linger.0,
            version: version.to_owned(),
            secret: state.placeholder_key.clone(),
        }
    }
}

fn join_by_default() -> Option<(Mode, Duration)> {
    Some((Mode::Join, DedupeConfig::default().window.0))
}

/// What a client says about the sharing of its request.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// It is not to be shared with others of the same content.
    pub alone: bool,
    /// Its `Idempotency-Key`.
    pub key: Option<String>,
}

/// A request that may share a call.
pub(crate) struct Sharer {
    calls: Arc<Calls>,
    metrics: Arc<ShareMetrics>,
    by: SharedBy,
    ask: Ask,
    linger: Duration,
    /// It is plain: its call serves both ways of delivery.
    pub plain: bool,
}

/// What became of a request that may share a call.
pub(crate) enum Place {
    /// It makes the call.
    First(Box<Source<Piece, Fallen>>, Listener),
    /// It gets the answer of another one.
    Listens(Box<Listens>),
    /// It makes a call of its own, which nobody joins.
    Alone,
}

impl Sharer {
    /// A request, if it may share: by its key, or by its content where the route says so.
    pub(crate) fn of(
        (route, request): (&Route, &Masked<ChatRequest>),
        restorer: &Restorer,
        (wish, cache): (Wish, Directives),
        exchange: &Exchange,
    ) -> Option<Box<Self>> {
        let sharing = &*route.sharing;
        let content = match is_session(&exchange.record().key_id) {
            true => sharing.of_sessions,
            false => sharing.content,
        };
        let content = content.filter(|_| !wish.alone);
        let (mode, keep) = match (&wish.key, content) {
            (Some(_), _) => (Mode::Join, sharing.keep),
            (None, Some(content)) => content,
            (None, None) => return None,
        };
        let (state, record) = (exchange.state(), exchange.record());
        let (request, metrics) = (request.get(), &state.metrics);
        let owner = owner(record, route);
        let place = |purpose: &str| {
            let mut keyer = Keyer::new(&sharing.secret, purpose);
            keyer.text(&owner.tenant);
            keyer.text(&owner.user);
            cached::place(&mut keyer, route, request.operation, &sharing.version);
            keyer
        };
        let mut keyer = place("aplomb share 1");
        let values = restorer.digest(&sharing.secret);
        keyer.bytes(values.as_ref().map_or(&[], |digest| digest.as_slice()));
        let (question, plain) = question(keyer, request, wish.key.is_none())?;
        let (by, key, question) = match (wish.key, &record.session) {
            (Some(label), _) => {
                let mut keyer = place("aplomb share by key 1");
                keyer.text(&label);
                (SharedBy::Key, keyer.finish(), question)
            }
            (None, Some(session)) if mode == Mode::Replace => {
                let mut keyer = place("aplomb share by session 1");
                keyer.text(session);
                let key = keyer.finish();
                (SharedBy::Content, key, key)
            }
            (None, _) => (SharedBy::Content, question, question),
        };
        // A key says what is wanted; without one the client's wishes for kept answers count.
        let (calls, metrics, linger, wanted) = match by {
            SharedBy::Key => {
                let any = (true, None);
                (&state.shares.key, &metrics.share_key, sharing.linger, any)
            }
            SharedBy::Content => {
                let wanted = (!cache.no_cache && !cache.no_store, cache.max_age);
                let metrics = &metrics.share_content;
                (&state.shares.content, metrics, Duration::ZERO, wanted)
            }
        };
        let ask = Ask {
            key,
            question,
            owner,
            source: record.id.to_bytes(),
            mode,
            replay: wanted.0,
            age_max: wanted.1,
            keep: if cache.no_store { Duration::ZERO } else { keep },
            now_ms: exchange.now_ms(),
        };
        Some(Box::new(Sharer {
            calls: calls.clone(),
            metrics: metrics.clone(),
            by,
            ask,
            linger,
            plain,
        }))
    }

    /// The answer to the same key, in flight or finished. It goes before the cache; content comes after it.
    ///
    /// # Errors
    /// The key was used for another question, or its answer can't be joined.
    pub(crate) fn known(&self) -> Result<Option<Box<Listens>>, ApiError> {
        if self.by == SharedBy::Content {
            return Ok(None);
        }
        let Some(known) = self.calls.known(&self.ask) else {
            return Ok(None);
        };
        match self.place(known)? {
            Place::Listens(listens) => Ok(Some(listens)),
            Place::First(..) | Place::Alone => Ok(None),
        }
    }

    /// Takes part: as the first, or with another one's call.
    ///
    /// # Errors
    /// It is refused.
    pub(crate) fn enter(&self) -> Result<Place, ApiError> {
        let conflict = |message| ApiError::new(ErrorCode::DuplicateInFlight, message);
        let replaced = conflict("a newer request of yours took the place of this one");
        let lost = ApiError::new(ErrorCode::Internal, "the call for this request was lost");
        let fallen = |error| Fallen::new(FaultKind::Reset, &error, false);
        let ask = self.ask.clone();
        let entered = self.calls.enter(ask, fallen(replaced), fallen(lost));
        self.place(entered)
    }

    fn place(&self, entered: Entered<Piece, Fallen>) -> Result<Place, ApiError> {
        let metrics = &self.metrics;
        let conflict = |message: &str| {
            metrics.rejected.add(1);
            Err(ApiError::new(ErrorCode::DuplicateInFlight, message))
        };
        match entered {
            Entered::Lead(source, reader) => {
                metrics.led.add(1);
                Ok(Place::First(source, reader))
            }
            Entered::Joined(reader, source) => {
                metrics.joined.add(1);
                Ok(self.listens(reader, source, None))
            }
            Entered::Again(reader, source, age) => {
                metrics.replayed.add(1);
                Ok(self.listens(reader, source, Some(age)))
            }
            Entered::Refused => conflict("the same request of yours is being answered already"),
            Entered::Closed if self.by == SharedBy::Key => conflict(
                "the request with this idempotency key is being answered, and its answer is too long to be given twice",
            ),
            Entered::Closed => Ok(Place::Alone),
            Entered::Mismatch => {
                metrics.mismatched.add(1);
                let message = "this idempotency key was used for another request; use a new key for each request";
                Err(ApiError::new(ErrorCode::IdempotencyKeyReused, message))
            }
        }
    }

    fn listens(&self, reader: Listener, source: [u8; 16], age: Option<Duration>) -> Place {
        let facts = SharedFacts {
            how: match age {
                None => Share::Joined,
                Some(_) => Share::Replayed,
            },
            by: self.by,
            source: RequestId::from_bytes(source),
            age_ms: age.and_then(|age| u64::try_from(age.as_millis()).ok()),
            saved_nano: None,
        };
        Place::Listens(Box::new(Listens { reader, facts }))
    }
}

/// What is asked, and whether it is plain. Then a streamed answer serves a whole one and the other way round, as from the cache.
/// What has more than text, and whatever has a key of its own, is the same only if it is delivered the same way, and passes as
/// it is.
fn question(mut keyer: Keyer, request: &ChatRequest, may_be_plain: bool) -> Option<(Digest, bool)> {
    if may_be_plain && let Ok(asked) = Asked::read(request.operation, &request.body, &PLAIN) {
        keyer.text("plain");
        return Some((asked.key(keyer), true));
    }
    keyer.text(match request.delivery {
        Delivery::Whole => "whole",
        Delivery::Stream {
            include_usage: false,
        } => "stream",
        Delivery::Stream {
            include_usage: true,
        } => "stream with usage",
    });
    let asked = Asked::of_any(&request.body)?;
    Some((asked.key(keyer), false))
}
