//! Requests that are the same share one upstream call: those with the same content where a route says so, and those with the
//! same `Idempotency-Key`.
//!
//! The first one's call is a task of its own, so that it does not end with the first caller: it walks the targets, writes what
//! the provider says on a tape, before anything is restored, and goes on while anyone listens. Every caller reads that tape
//! through filters of its own. The exchange of the first caller is the one that pays: if its client leaves while others listen,
//! it is noted to the end of the call ([`Desk`]).

use crate::attempts::{Way, Won};
use crate::cached::{self, owner};
use crate::flight::Flight;
use crate::plan::Plan;
use crate::policy::{Route, Timeouts};
use crate::settle::Exchange;
use crate::state::State;
use crate::turn::Notice;
use aplomb_config::file::{ConfigFile, RouteConfig};
use aplomb_config::share::{DedupeModeConfig, IdempotencyConfig};
use aplomb_core::erase::{Erase, Subject};
use aplomb_core::error::{ApiError, BoxError, ErrorCode};
use aplomb_core::event::ChatEvent;
use aplomb_core::id::{RequestId, TraceContext};
use aplomb_core::masked::Masked;
use aplomb_core::request::{ChatRequest, Delivery};
use aplomb_core::usage::Usage;
use aplomb_latency::cache::directive::Directives;
use aplomb_latency::cache::key::{Digest, Keyer};
use aplomb_latency::cache::request::{Asked, Limits};
use aplomb_latency::cache::store::Purge;
use aplomb_latency::queue::Class;
use aplomb_latency::share::register::{Ask, Ended, Entered, Mode, Register, Source};
use aplomb_latency::share::tape::{Heard, Next, Reader, Size, Tape};
use aplomb_observe::metrics::{Metrics, ShareMetrics};
use aplomb_observe::record::{Share, SharedBy, SharedFacts};
use aplomb_privacy::restore::Restorer;
use aplomb_providers::call::CallContext;
use aplomb_providers::encode::Dropped;
use aplomb_providers::fault::{FaultKind, UpstreamFault};
use aplomb_providers::stream::{EventStream, Feed};
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, timeout_at};

/// Most memory of finished answers that are given again within a window. Chosen: thousands of answers, for seconds.
const WINDOW_BYTES: usize = 16 << 20;
/// Memory of answers in flight beyond which nobody joins them. Chosen: as much as of kept ones.
const FLYING_BYTES: usize = 64 << 20;
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
    dropped: Vec<Dropped>,
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

/// All shared calls and their finished answers. They survive a reload.
pub struct Shares {
    content: Arc<Calls>,
    key: Arc<Calls>,
    /// No call goes on for callers that have left.
    stop: watch::Sender<bool>,
}

impl Default for Shares {
    fn default() -> Self {
        Shares {
            content: Register::new(WINDOW_BYTES, FLYING_BYTES),
            key: Register::new(0, FLYING_BYTES),
            stop: watch::Sender::new(false),
        }
    }
}

impl Shares {
    /// Takes over the bounds of a file.
    pub(crate) fn bound(&self, config: &IdempotencyConfig) {
        self.key.bound(config.max.0);
    }

    /// From now on calls end when their last caller leaves: no retry can come.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Removes finished answers, and says how many. What is in flight and fits is not kept.
    pub fn purge(&self, purge: &Purge) -> u64 {
        self.content.purge(purge) + self.key.purge(purge)
    }

    /// How full they are.
    pub fn report(&self, now_ms: u64) -> Vec<Value> {
        let one = |(by, calls): (SharedBy, &Arc<Calls>)| {
            let (fill, (flying, bytes)) = (calls.fill(now_ms), calls.flying());
            json!({
                "by": by.name(),
                "entries": fill.entries,
                "bytes": fill.bytes,
                "bytes_max": fill.bytes_max,
                "calls": flying,
                "calls_bytes": bytes,
            })
        };
        self.all().into_iter().map(one).collect()
    }

    fn all(&self) -> [(SharedBy, &Arc<Calls>); 2] {
        [
            (SharedBy::Content, &self.content),
            (SharedBy::Key, &self.key),
        ]
    }

    /// Brings the metrics up to date.
    pub fn refresh(&self, metrics: &Metrics, now_ms: u64) {
        show(&self.content, &metrics.share_content, now_ms);
        show(&self.key, &metrics.share_key, now_ms);
    }
}

fn show(calls: &Calls, metrics: &ShareMetrics, now_ms: u64) {
    let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let (fill, flying) = (calls.fill(now_ms), calls.flying());
    metrics.entries.set(wide(fill.entries));
    metrics.bytes.set(wide(fill.bytes));
    metrics.calls.set(wide(flying.0));
    metrics.calls_bytes.set(wide(flying.1));
}

impl Erase for Shares {
    fn store(&self) -> &'static str {
        "shared answers"
    }

    fn erase(&self, subject: &Subject) -> Result<u64, BoxError> {
        Ok(self.purge(&cached::of(subject)))
    }

    fn export(&self, subject: &Subject) -> Result<Vec<Value>, BoxError> {
        let entries = self.all().into_iter().flat_map(|(by, calls)| {
            let kept = calls.list(&cached::of(subject)).into_iter();
            kept.map(move |(at_ms, route, answer)| {
                let said: String = answer.pieces().iter().map(text).collect();
                json!({ "by": by.name(), "at_ms": at_ms, "route": &*route, "answer": said })
            })
        });
        Ok(entries.collect())
    }
}

fn text(piece: &Piece) -> String {
    match piece {
        Piece::Event(ChatEvent::Text { text, .. } | ChatEvent::Refusal { text, .. }) => {
            text.clone()
        }
        Piece::Event(ChatEvent::ToolArguments { fragment, .. }) => fragment.clone(),
        Piece::Event(ChatEvent::Raw(raw) | ChatEvent::RawBody(raw)) => {
            String::from_utf8_lossy(&raw.data).into_owned()
        }
        Piece::Head(_) | Piece::Event(_) => String::new(),
    }
}

/// How a route shares calls, compiled.
#[derive(Default)]
pub struct Sharing {
    /// What happens to requests with the same content; none where nothing does.
    content: Option<(Mode, Duration)>,
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
            version: cached::version(file, name, route, cache),
            ..Sharing::direct(file, "", state)
        }
    }

    /// Of models without a route, under this version of the file.
    pub(crate) fn direct(file: &ConfigFile, version: &str, state: &State) -> Self {
        Sharing {
            content: None,
            keep: file.idempotency.keep.0,
            linger: file.idempotency.linger.0,
            version: version.to_owned(),
            secret: state.placeholder_key.clone(),
        }
    }
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

/// A request that gets the answer of another one.
pub(crate) struct Listens {
    reader: Listener,
    facts: SharedFacts,
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
        let content = sharing.content.filter(|_| !wish.alone);
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

impl Listens {
    /// The answer, as soon as it has begun (streams) or is whole.
    ///
    /// Cancel safe: dropping the future leaves the call.
    ///
    /// # Errors
    /// The call failed, or the time of this request is used up.
    pub(crate) async fn begin(mut self, exchange: &mut Exchange, deadline: Instant) -> Begins {
        let since = Instant::now();
        let head = match timeout_at(deadline, next(&mut self.reader)).await {
            Ok(Next::Piece(Piece::Head(head))) => head,
            Ok(Next::Failed(fallen)) => {
                exchange.fell(fallen.0.spent);
                return Err(fallen.fault().error);
            }
            Ok(Next::Cut) => return Err(too_slow().error),
            Ok(Next::Piece(Piece::Event(_)) | Next::Done) => return Err(headless()),
            Err(_) => return Err(timed_out()),
        };
        exchange.shares(&head, self.facts, since.elapsed());
        rest(self.reader, &head, (exchange.record().stream, deadline)).await
    }
}

async fn next(reader: &mut Listener) -> Next<Piece, Fallen> {
    poll_fn(|cx| reader.poll_next(cx)).await
}

fn headless() -> ApiError {
    ApiError::new(ErrorCode::Internal, "a shared answer has no beginning")
}

fn timed_out() -> ApiError {
    let message = "the time for this request is used up";
    ApiError::new(ErrorCode::UpstreamTimeout, message)
}

fn too_slow() -> UpstreamFault {
    let message =
        "this answer is shared with another request of yours, and this one was read too slowly";
    UpstreamFault {
        error: ApiError::new(ErrorCode::Overloaded, message),
        ..UpstreamFault::new(FaultKind::Reset, message)
    }
}

/// What comes after the head: a stream as it comes, a whole answer when it is whole.
async fn rest(mut reader: Listener, head: &Head, (stream, deadline): (bool, Instant)) -> Begins {
    let dropped = head.dropped.clone();
    let mut held = VecDeque::new();
    if stream {
        let events = EventStream::fed(Box::new(Fed(reader)));
        return Ok(Begun {
            held,
            events,
            dropped,
        });
    }
    loop {
        match timeout_at(deadline, next(&mut reader)).await {
            Ok(Next::Piece(Piece::Event(event))) => held.push_back(event),
            Ok(Next::Piece(Piece::Head(_))) => {}
            Ok(Next::Done) => break,
            Ok(Next::Failed(fallen)) => return Err(fallen.fault().error),
            Ok(Next::Cut) => return Err(too_slow().error),
            Err(_) => return Err(timed_out()),
        }
    }
    Ok(Begun {
        held,
        events: EventStream::whole(Vec::new()),
        dropped,
    })
}

/// A reader as the source of an answer's events.
struct Fed(Listener);

impl Feed for Fed {
    fn poll_event(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<ChatEvent, UpstreamFault>>> {
        loop {
            return match self.0.poll_next(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Next::Piece(Piece::Head(_))) => continue,
                Poll::Ready(Next::Piece(Piece::Event(event))) => Poll::Ready(Some(Ok(event))),
                Poll::Ready(Next::Done) => Poll::Ready(None),
                Poll::Ready(Next::Failed(fallen)) => Poll::Ready(Some(Err(fallen.fault()))),
                Poll::Ready(Next::Cut) => Poll::Ready(Some(Err(too_slow()))),
            };
        }
    }
}

/// A call that may be shared, with all that it needs to go on by itself.
pub(crate) struct Call {
    /// Its targets.
    pub route: Arc<Route>,
    /// What is asked.
    pub request: Masked<ChatRequest>,
    /// The trace of the first caller.
    pub trace: TraceContext,
    /// What travels upstream besides the body.
    pub context: CallContext,
    /// In which order targets are tried.
    pub plan: Plan,
    /// When the time of the first caller's request is used up.
    pub deadline: Instant,
    /// What turns of one conversation have in common.
    pub conversation: Option<u64>,
    /// How often the first caller's SDK has sent the request before.
    pub sent_before: u32,
    /// How urgent it is.
    pub class: Class,
    /// Where it says that it waits.
    pub notice: Arc<Notice>,
}

type Handed = (Exchange, Result<Arc<Head>, ApiError>);

impl Sharer {
    /// Makes the call, and reads what it says.
    ///
    /// Cancel safe: dropping the future leaves the call to those who have joined.
    pub(crate) async fn lead(
        self: Box<Self>,
        call: Box<Call>,
        (source, mut reader): (Box<Source<Piece, Fallen>>, Listener),
        exchange: Exchange,
    ) -> (Begins, Exchange) {
        let deadline = call.deadline;
        let tasks = exchange.state().tasks.clone();
        let (hand, back) = oneshot::channel();
        tasks.spawn(self.run(call, source, exchange, hand));
        match back.await {
            Ok((exchange, Err(error))) => (Err(error), exchange),
            Ok((exchange, Ok(head))) => {
                // The head is known here.
                let _ = reader.try_next();
                let stream = exchange.record().stream;
                (rest(reader, &head, (stream, deadline)).await, exchange)
            }
            // The task has panicked, and so would this have.
            Err(lost) => resume_unwind(Box::new(lost)),
        }
    }

    async fn run(
        self: Box<Self>,
        call: Box<Call>,
        source: Box<Source<Piece, Fallen>>,
        mut exchange: Exchange,
        hand: oneshot::Sender<Handed>,
    ) {
        let state = exchange.state().clone();
        let (tape, stop) = (source.tape().clone(), state.shares.stop.subscribe());
        let bounds = Bounds {
            timeouts: call.route.timeouts,
            deadline: call.deadline,
            input: call.request.get().body.len(),
        };
        let left = left(&tape, self.linger, stop);
        tokio::pin!(left);
        let walked = tokio::select! {
            biased;
            walked = call.walk(&mut exchange) => Ok(walked),
            heard = &mut left => Err(heard),
        };
        let heard = match walked {
            Ok(Ok(won)) => tokio::select! {
                biased;
                () = self.tell(won, (source, exchange), hand, bounds) => None,
                heard = left => Some(heard),
            },
            Ok(Err(error)) => {
                let record = exchange.record();
                let spent = record.attempts.len() > 1 || record.chain_spent;
                let fallen = Fallen::new(FaultKind::Server, &error, spent);
                // Ended first: whoever is told of the failure and tries again makes a call of its own.
                source.end(Err(fallen), state.clock.now_ms());
                let _ = hand.send((exchange, Err(error)));
                None
            }
            Err(heard) => {
                if let Some(fallen) = tape.failure() {
                    let _ = hand.send((exchange, Err(fallen.fault().error)));
                }
                Some(heard)
            }
        };
        let replaced = heard == Some(Heard::Ended);
        self.metrics.replaced.add(u64::from(replaced));
        show(&self.calls, &self.metrics, state.clock.now_ms());
    }

    /// Brings an answer that has begun to all who listen.
    async fn tell(
        &self,
        won: Won,
        (source, mut exchange): (Box<Source<Piece, Fallen>>, Exchange),
        hand: oneshot::Sender<Handed>,
        bounds: Bounds,
    ) {
        let state = exchange.state().clone();
        let Won { begun, flight } = won;
        let head = Arc::new(Head {
            target: exchange.record().target.clone().unwrap_or_default(),
            simulated: exchange.record().simulated,
            dropped: begun.dropped,
        });
        let desk = Open(Arc::new(Desk::default()));
        let mut pump = Pump {
            tape: source.tape(),
            desk: &desk.0,
            metrics: &self.metrics,
            events: begun.events,
            flight,
        };
        pump.push(Piece::Head(head.clone()));
        for event in begun.held {
            pump.event(event);
        }
        exchange.leads(Lead {
            desk: desk.0.clone(),
            tape: source.tape().clone(),
            seen: 0,
        });
        // If the first caller has left, its exchange goes to the desk when it is dropped here.
        let _ = hand.send((exchange, Ok(head)));
        let end = pump.run(&bounds).await;
        match source.end(end, state.clock.now_ms()) {
            Ended::Kept { evicted } => self.metrics.evicted.add(evicted),
            Ended::TooLarge => self.metrics.unkept("size"),
            Ended::Unwanted | Ended::Failed => {}
        }
    }
}

/// What bounds a call, and what it was asked.
struct Bounds {
    timeouts: Timeouts,
    deadline: Instant,
    /// Bytes of the request.
    input: usize,
}

impl Call {
    /// Takes it to an answer that has begun.
    ///
    /// # Errors
    /// The last failure.
    pub(crate) async fn walk(self: Box<Self>, exchange: &mut Exchange) -> Result<Won, ApiError> {
        let way = Way {
            route: &self.route,
            request: &self.request,
            trace: &self.trace,
            context: self.context,
            deadline: self.deadline,
            conversation: self.conversation,
            sent_before: self.sent_before,
            class: self.class,
            notice: self.notice,
        };
        way.walk(self.plan, exchange).await
    }
}

/// Ends when nobody has listened for as long as the call goes on alone, or when it was ended from outside.
async fn left(tape: &Tapes, linger: Duration, mut stop: watch::Receiver<bool>) -> Heard {
    loop {
        let heard = poll_fn(|cx| tape.poll_alone(cx)).await;
        if heard == Heard::Ended || linger.is_zero() || !tape.is_open() {
            return heard;
        }
        tokio::select! {
            biased;
            () = poll_fn(|cx| tape.poll_heard(cx)) => {}
            _ = stop.wait_for(|stop| *stop) => return heard,
            () = sleep(linger) => return heard,
        }
    }
}

/// What a call has used, as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Used {
    /// Bytes of generated text.
    pub output_bytes: u64,
    /// What the provider says.
    pub usage: Option<Usage>,
}

impl Used {
    fn saw(&mut self, event: &ChatEvent) {
        self.output_bytes += u64::from(event.output_bytes());
        if let ChatEvent::Usage(usage) = event {
            self.usage = Some(*usage);
        }
    }

    /// About four bytes a token, where the provider does not say.
    fn tokens(&self, input: usize) -> u64 {
        let told = self.usage;
        let told = told.map(|usage| usage.input_total().saturating_add(usage.output));
        let input = u64::try_from(input).unwrap_or(u64::MAX);
        told.unwrap_or(input.saturating_add(self.output_bytes) / 4)
    }
}

/// Brings a provider's answer onto the tape.
struct Pump<'a> {
    tape: &'a Tapes,
    desk: &'a Desk,
    metrics: &'a ShareMetrics,
    events: EventStream,
    flight: Flight,
}

impl Pump<'_> {
    fn push(&self, piece: Piece) {
        let size = size(&piece);
        self.tape.push(piece, size);
    }

    fn event(&self, event: ChatEvent) {
        let event = on_its_own(event);
        let mut desk = self.desk.lock();
        desk.used.saw(&event);
        self.push(Piece::Event(event));
        if let Some(following) = &mut desk.following {
            following.catch_up();
        }
    }

    /// To the end of the answer, within the times of the route.
    async fn run(&mut self, bounds: &Bounds) -> Result<(), Fallen> {
        let (timeouts, deadline) = (&bounds.timeouts, bounds.deadline);
        let mut given_up = false;
        let end = loop {
            let room = poll_fn(|cx| self.tape.poll_room(cx));
            match timeout_at(deadline, room).await {
                Ok(cut) => self.metrics.cut.add(u64::try_from(cut).unwrap_or(0)),
                Err(_) if !given_up => self.events.give_up(FaultKind::Total),
                Err(_) => {}
            }
            let idle = Instant::now() + timeouts.idle;
            let event = poll_fn(|cx| self.events.poll_next(cx));
            match timeout_at(deadline.min(idle), event).await {
                Ok(Some(Ok(event))) => self.event(event),
                Ok(None) => break Ok(()),
                Ok(Some(Err(fault))) => {
                    self.flight.failed(&fault);
                    break Err(Fallen::new(fault.kind, &fault.error, false));
                }
                Err(_) => {
                    given_up = true;
                    let total = Instant::now() >= deadline;
                    let kind = if total {
                        FaultKind::Total
                    } else {
                        FaultKind::Idle
                    };
                    self.events.give_up(kind);
                }
            }
        };
        let used = self.desk.lock().used;
        self.flight.used(used.tokens(bounds.input));
        end
    }
}

/// Bytes may be a piece of a connection's read buffer, and a kept answer would keep all of that.
fn on_its_own(mut event: ChatEvent) -> ChatEvent {
    if let ChatEvent::Raw(raw) = &mut event {
        raw.data = Bytes::copy_from_slice(&raw.data);
    }
    event
}

fn size(piece: &Piece) -> Size {
    /// Of members that are not counted one by one.
    const FEW: usize = 256;
    let payload = match piece {
        Piece::Head(_) => FEW,
        Piece::Event(event) => match event {
            ChatEvent::Text { text, logprobs, .. } => {
                text.len() + logprobs.as_ref().map_or(0, |all| all.to_string().len())
            }
            ChatEvent::Refusal { text, .. } | ChatEvent::Reasoning { text, .. } => text.len(),
            ChatEvent::ReasoningSignature { signature, .. } => signature.len(),
            ChatEvent::RedactedReasoning { data, .. } => data.len(),
            ChatEvent::ToolStart { id, name, .. } => id.len() + name.len(),
            ChatEvent::ToolArguments { fragment, .. } => fragment.len(),
            ChatEvent::Raw(raw) | ChatEvent::RawBody(raw) => raw.data.len(),
            ChatEvent::Start(_) | ChatEvent::Finish { .. } | ChatEvent::Usage(_) => FEW,
        },
    };
    let memory = payload + size_of::<(Piece, Size)>();
    Size { payload, memory }
}

/// The first caller's part in its call, while it listens.
pub(crate) struct Lead {
    desk: Arc<Desk>,
    tape: Arc<Tapes>,
    seen: u64,
}

impl Lead {
    /// Its exchange has noted another event.
    pub(crate) fn saw(&mut self) {
        self.seen += 1;
    }

    /// The first caller has left, or is over: its exchange is noted to the end of the call.
    pub(crate) fn go_on(self, exchange: Exchange) {
        // Before the events stands the head.
        let reader = self.tape.follow(self.seen + 1);
        self.desk.put(Box::new(Following { exchange, reader }));
    }
}

/// An exchange that is noted without its caller.
struct Following {
    exchange: Exchange,
    reader: Listener,
}

impl Following {
    fn catch_up(&mut self) {
        while let Some(Next::Piece(piece)) = self.reader.try_next() {
            if let Piece::Event(event) = piece {
                self.exchange.saw(&event);
            }
        }
    }

    /// The call has ended. Of what was said while its caller was too slow at least the tokens are noted.
    fn settle(self, used: &Used) {
        let mut exchange = self.exchange;
        exchange.used(used);
    }
}

/// Where the exchange of a caller that has left lies while its call goes on.
#[derive(Default)]
struct Desk(Mutex<OnDesk>);

#[derive(Default)]
struct OnDesk {
    following: Option<Box<Following>>,
    /// The call has ended.
    is_closed: bool,
    used: Used,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, OnDesk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, mut following: Box<Following>) {
        let mut desk = self.lock();
        following.catch_up();
        if !desk.is_closed {
            desk.following = Some(following);
            return;
        }
        let used = desk.used;
        drop(desk);
        following.settle(&used);
    }
}

/// An open desk. Dropping it settles what lies on it.
struct Open(Arc<Desk>);

impl Drop for Open {
    fn drop(&mut self) {
        let mut desk = self.0.lock();
        desk.is_closed = true;
        let (left, used) = (desk.following.take(), desk.used);
        drop(desk);
        if let Some(mut following) = left {
            following.catch_up();
            following.settle(&used);
        }
    }
}
