//! The call that is shared: a task of its own, which walks the targets and writes what the provider says.

use super::desk::{Desk, Lead, Open};
use super::listen::rest;
use super::shares::show;
use super::{Begins, Fallen, Head, Listener, Piece, Sharer, Tapes};
use crate::attempts::{Way, Won};
use crate::flight::Flight;
use crate::plan::Plan;
use crate::policy::{Route, Timeouts};
use crate::settle::Exchange;
use crate::turn::Notice;
use crate::validated::Kind;
use aplomb_core::error::ApiError;
use aplomb_core::event::ChatEvent;
use aplomb_core::id::TraceContext;
use aplomb_core::masked::Masked;
use aplomb_core::request::ChatRequest;
use aplomb_core::usage::Usage;
use aplomb_latency::queue::Class;
use aplomb_latency::share::register::{Ended, Source};
use aplomb_latency::share::tape::{Heard, Size};
use aplomb_observe::metrics::ShareMetrics;
use aplomb_providers::call::CallContext;
use aplomb_providers::fault::FaultKind;
use aplomb_providers::stream::EventStream;
use bytes::Bytes;
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, timeout_at};

/// A call that may be shared, with all that it needs to go on by itself.
pub(crate) struct Call {
    /// Its targets.
    pub route: Arc<Route>,
    /// What is asked.
    pub request: Masked<ChatRequest>,
    /// What the caller gives for answers to be found in.
    pub given: Option<Masked<String>>,
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
        let tape = source.tape().clone();
        let patience = Patience {
            linger: self.linger,
            stream: exchange.record().stream,
            stop: state.shares.stop.subscribe(),
        };
        let bounds = Bounds {
            timeouts: call.route.timeouts,
            deadline: call.deadline,
            input: call.request.get().body.len(),
        };
        let left = patience.left(&tape);
        tokio::pin!(left);
        let walked = tokio::select! {
            biased;
            walked = call.walk(Kind::Shared, &mut exchange) => Ok(walked),
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
        let Won { begun, flight, .. } = won;
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
    pub(crate) async fn walk(
        self: Box<Self>,
        kind: Kind,
        exchange: &mut Exchange,
    ) -> Result<Won, ApiError> {
        let mut plan = self.plan;
        let mut way = Way {
            route: &self.route,
            request: &self.request,
            given: self.given.as_ref(),
            instead: None,
            kind,
            trace: &self.trace,
            context: self.context,
            deadline: self.deadline,
            conversation: self.conversation,
            sent_before: self.sent_before,
            class: self.class,
            notice: self.notice,
        };
        way.walk(&mut plan, exchange).await
    }
}

/// How long a call goes on alone.
struct Patience {
    linger: Duration,
    /// It is a stream: whoever has read some of it and leaves does not come back.
    stream: bool,
    stop: watch::Receiver<bool>,
}

impl Patience {
    fn is_over(&self, tape: &Tapes) -> bool {
        // The first piece is the head.
        self.linger.is_zero() || !tape.is_open() || self.stream && tape.heard() > 1
    }

    /// Ends when nobody has listened for as long as the call goes on alone, or when it was ended from outside.
    async fn left(mut self, tape: &Tapes) -> Heard {
        loop {
            let heard = poll_fn(|cx| tape.poll_alone(cx)).await;
            if heard == Heard::Ended || self.is_over(tape) {
                return heard;
            }
            tokio::select! {
                biased;
                () = poll_fn(|cx| tape.poll_heard(cx)) => {}
                _ = self.stop.wait_for(|stop| *stop) => return heard,
                () = sleep(self.linger) => return heard,
            }
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
    fn tokens(&self, input: usize) -> Usage {
        let input = u64::try_from(input.div_ceil(4)).unwrap_or(u64::MAX);
        self.usage.unwrap_or_else(|| Usage {
            input,
            output: self.output_bytes.div_ceil(4),
            ..Usage::default()
        })
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
        desk.follow();
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
        // Its readers set the pace, and not the provider alone.
        self.flight.ended(&used.tokens(bounds.input), None);
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
