//! An upstream's answer as a stream of events, whatever form it came in.
//!
//! The form is told by the first byte of the body, not by its content type: servers answer JSON to a stream request,
//! SSE to a plain one, and HTML with status 200.

use crate::decode::{Lane, Step, StreamDecoder, utf8};
use crate::fault::{FaultKind, UpstreamFault};
use crate::inflate::Inflate;
use crate::practice::PracticeAnswer;
use crate::several::Several;
use crate::{anthropic, openai};
use aplomb_core::event::{ChatEvent, Facts, Raw};
use aplomb_core::request::{ChatRequest, Delivery, Dialect, Operation};
use aplomb_core::sse::{EVENT_BYTES_MAX, SseDecoder};
use bytes::{Bytes, BytesMut};
use http_body::Body;
use hyper::body::Incoming;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// Largest whole answer. Chosen: images and audio inside JSON reach tens of megabytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What is wanted of the upstream, as far as reading its answer goes.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// What was asked.
    pub operation: Operation,
    /// How the client wants it.
    pub delivery: Delivery,
    /// What the upstream speaks.
    pub dialect: Dialect,
    /// Who looks into the texts.
    pub typed: Typed,
}

/// Whether somebody looks into the texts of an answer, so that no bytes pass unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub enum Typed {
    /// Nobody.
    #[default]
    Never,
    /// Of streams.
    Streams,
    /// Of whole answers too.
    Always,
}

impl Wanted {
    /// For a request to an upstream of `dialect`.
    pub fn of(chat: &ChatRequest, dialect: Dialect, typed: Typed) -> Self {
        Wanted {
            typed,
            operation: chat.operation,
            delivery: chat.delivery,
            dialect,
        }
    }

    fn lane(&self, form_is_stream: bool) -> Lane {
        let same =
            self.operation.dialect() == self.dialect && self.delivery.is_stream() == form_is_stream;
        let typed = match self.typed {
            Typed::Never => false,
            Typed::Streams => form_is_stream,
            Typed::Always => true,
        };
        if same && !typed {
            Lane::Native
        } else {
            Lane::Typed
        }
    }
}

enum Form {
    /// Nothing but white space so far, or the beginning of a byte order mark.
    Unknown(Vec<u8>),
    Sse {
        sse: SseDecoder,
        decoder: Box<dyn StreamDecoder>,
    },
    Body(BytesMut),
}

struct Http {
    body: Incoming,
    inflate: Inflate,
    wanted: Wanted,
    form: Form,
}

/// Where events come from that another call gives.
pub trait Feed: Send {
    /// The next event; `None` after the last one of a whole answer. An error is the last thing that comes.
    fn poll_event(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<ChatEvent, UpstreamFault>>>;
}

enum Source {
    Http(Box<Http>),
    Fed(Box<dyn Feed>),
    Practice {
        answer: PracticeAnswer,
        sleep: Pin<Box<Sleep>>,
        next: Option<ChatEvent>,
    },
    Several(Several),
    Paced {
        left: VecDeque<(Duration, ChatEvent)>,
        sleep: Pin<Box<Sleep>>,
        next: Option<ChatEvent>,
    },
    Ended,
}

/// One answer as it arrives. Dropping it closes the upstream connection.
pub struct EventStream {
    source: Source,
    ready: VecDeque<ChatEvent>,
    fault: Option<UpstreamFault>,
}

impl EventStream {
    /// Reads an HTTP answer with a good status.
    pub(crate) fn http(body: Incoming, inflate: Inflate, wanted: Wanted) -> Self {
        let http = Http {
            body,
            inflate,
            wanted,
            form: Form::Unknown(Vec::new()),
        };
        EventStream {
            source: Source::Http(Box::new(http)),
            ready: VecDeque::new(),
            fault: None,
        }
    }

    /// Plays a simulated answer.
    pub(crate) fn practice(answer: PracticeAnswer) -> Self {
        let sleep = Box::pin(tokio::time::sleep_until(Instant::now()));
        let source = Source::Practice {
            answer,
            sleep,
            next: None,
        };
        EventStream {
            source,
            ready: VecDeque::new(),
            fault: None,
        }
    }

    /// Plays an answer that is already there, each event after its pause.
    pub fn paced(events: Vec<(Duration, ChatEvent)>) -> Self {
        let source = Source::Paced {
            left: events.into(),
            sleep: Box::pin(tokio::time::sleep_until(Instant::now())),
            next: None,
        };
        EventStream {
            source,
            ready: VecDeque::new(),
            fault: None,
        }
    }

    /// Several answers, each of which is one choice.
    pub(crate) fn several(parts: Vec<EventStream>) -> Self {
        EventStream {
            source: Source::Several(Several::new(parts)),
            ready: VecDeque::new(),
            fault: None,
        }
    }

    /// An answer that another call gives.
    pub fn fed(feed: Box<dyn Feed>) -> Self {
        EventStream {
            source: Source::Fed(feed),
            ready: VecDeque::new(),
            fault: None,
        }
    }

    /// An answer that is already there.
    pub fn whole(events: Vec<ChatEvent>) -> Self {
        EventStream {
            source: Source::Ended,
            ready: events.into(),
            fault: None,
        }
    }

    /// The next event; `None` after the last one of a whole answer. An error is the last thing that comes.
    pub fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<ChatEvent, UpstreamFault>>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(event)));
            }
            if let Some(fault) = self.fault.take() {
                return Poll::Ready(Some(Err(fault)));
            }
            match ready!(self.fill(cx)) {
                Ok(true) => {}
                Ok(false) => self.source = Source::Ended,
                Err(fault) => {
                    self.source = Source::Ended;
                    self.fault = Some(fault);
                }
            }
            if matches!(self.source, Source::Ended) && self.ready.is_empty() && self.fault.is_none()
            {
                return Poll::Ready(None);
            }
        }
    }

    /// The upstream stood still for too long. An answer that is whole but for its closing mark is completed; any
    /// other is given up with `kind`.
    pub fn give_up(&mut self, kind: FaultKind) {
        match self.complete(kind) {
            Some(events) => self.ready.extend(events),
            None => self.fault = Some(UpstreamFault::new(kind, timeout_message(kind))),
        }
    }

    /// Ends the reading. The remaining events of an answer that is whole but for its closing mark, else `None`.
    pub(crate) fn complete(&mut self, kind: FaultKind) -> Option<Vec<ChatEvent>> {
        let mut out: Vec<ChatEvent> = Vec::new();
        let complete = match &mut self.source {
            Source::Http(http) => match &mut http.form {
                Form::Sse { decoder, .. } => decoder.on_end(&mut out).is_ok(),
                Form::Unknown(_) | Form::Body(_) => false,
            },
            Source::Several(several) => several.complete(kind, &mut out),
            Source::Practice { .. } | Source::Paced { .. } | Source::Fed(_) | Source::Ended => {
                false
            }
        };
        self.source = Source::Ended;
        complete.then_some(out)
    }

    /// Makes more events ready. `Ok(false)`: the answer is over.
    fn fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, UpstreamFault>> {
        match &mut self.source {
            Source::Ended => Poll::Ready(Ok(false)),
            Source::Practice {
                answer,
                sleep,
                next,
            } => {
                ready!(sleep.as_mut().poll(cx));
                self.ready.extend(next.take());
                let step = answer.next_event();
                Poll::Ready(Ok(play(step, sleep, next, &mut self.ready)))
            }
            Source::Paced { left, sleep, next } => {
                ready!(sleep.as_mut().poll(cx));
                self.ready.extend(next.take());
                let step = left.pop_front();
                Poll::Ready(Ok(play(step, sleep, next, &mut self.ready)))
            }
            Source::Http(http) => {
                let mut out = Vec::new();
                let more = ready!(http.poll(cx, &mut out));
                self.ready.extend(out);
                Poll::Ready(more)
            }
            Source::Fed(feed) => {
                let event = ready!(feed.poll_event(cx)).transpose();
                Poll::Ready(event.map(|event| {
                    let more = event.is_some();
                    self.ready.extend(event);
                    more
                }))
            }
            Source::Several(several) => {
                let mut out = Vec::new();
                let more = ready!(several.poll(cx, &mut out));
                self.ready.extend(out);
                Poll::Ready(more)
            }
        }
    }
}

/// Makes an event ready, or waits for its time. False: there is none.
fn play(
    step: Option<(Duration, ChatEvent)>,
    sleep: &mut Pin<Box<Sleep>>,
    next: &mut Option<ChatEvent>,
    ready: &mut VecDeque<ChatEvent>,
) -> bool {
    let Some((pause, event)) = step else {
        return false;
    };
    if pause.is_zero() {
        ready.push_back(event);
    } else {
        sleep.as_mut().reset(Instant::now() + pause);
        *next = Some(event);
    }
    true
}

fn timeout_message(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::FirstToken => "the provider did not begin its answer in time",
        FaultKind::Idle => "the provider's answer stood still for too long",
        _ => "the time for this request is used up",
    }
}

/// A byte order mark, as some servers put it before their answer.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// The first bytes of an answer without white space and byte order mark.
fn beginning(mut seen: Vec<u8>, data: &[u8]) -> Vec<u8> {
    seen.extend_from_slice(data);
    let trimmed = seen.trim_ascii_start();
    trimmed
        .strip_prefix(BOM)
        .unwrap_or(trimmed)
        .trim_ascii_start()
        .to_vec()
}

impl Http {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut Vec<ChatEvent>,
    ) -> Poll<Result<bool, UpstreamFault>> {
        match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => Poll::Ready(self.data(data, out)),
                // Trailers say nothing that is needed here.
                Err(_) => Poll::Ready(Ok(true)),
            },
            Some(Err(error)) => Poll::Ready(self.end(out).map(|()| false).map_err(|fault| {
                match fault.kind {
                    FaultKind::Cut | FaultKind::Malformed => {
                        UpstreamFault::new(FaultKind::Reset, "the connection to the provider broke")
                            .because(error)
                    }
                    _ => fault,
                }
            })),
            None => Poll::Ready(self.end(out).map(|()| false)),
        }
    }

    fn data(&mut self, data: Bytes, out: &mut Vec<ChatEvent>) -> Result<bool, UpstreamFault> {
        if matches!(self.inflate, Inflate::Plain) {
            return self.plain(&data, out);
        }
        let mut unpacked = Vec::new();
        self.inflate.push(&data, &mut unpacked)?;
        self.plain(&unpacked, out)
    }

    fn plain(&mut self, data: &[u8], out: &mut Vec<ChatEvent>) -> Result<bool, UpstreamFault> {
        if let Form::Unknown(seen) = &mut self.form {
            let begun = beginning(std::mem::take(seen), data);
            self.form = self.sniff(&begun)?;
            return match self.form {
                Form::Unknown(_) => Ok(true),
                Form::Body(_) | Form::Sse { .. } => self.plain(&begun, out),
            };
        }
        match &mut self.form {
            Form::Unknown(_) => Ok(true),
            Form::Body(buffer) => {
                if buffer.len() + data.len() > BODY_BYTES_MAX {
                    return Err(UpstreamFault::new(
                        FaultKind::TooLarge,
                        "the provider's answer is too large",
                    ));
                }
                buffer.extend_from_slice(data);
                Ok(true)
            }
            Form::Sse { sse, decoder } => {
                sse.push(data);
                while let Some(event) = sse.next_event().map_err(|error| {
                    UpstreamFault::new(
                        FaultKind::TooLarge,
                        "an event of the provider's stream is too large",
                    )
                    .because(error)
                })? {
                    if decoder.on_event(event, out)? == Step::Done {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }

    fn sniff(&self, begun: &[u8]) -> Result<Form, UpstreamFault> {
        match begun.first() {
            None => Ok(Form::Unknown(Vec::new())),
            Some(_) if BOM.starts_with(begun) => Ok(Form::Unknown(begun.to_vec())),
            Some(b'{' | b'[') => Ok(Form::Body(BytesMut::with_capacity(begun.len()))),
            Some(b'<') => Err(UpstreamFault::new(
                FaultKind::Malformed,
                "the provider sent a page, not an answer",
            )),
            Some(_) => Ok(Form::Sse {
                sse: SseDecoder::new(EVENT_BYTES_MAX),
                decoder: self.decoder(),
            }),
        }
    }

    fn decoder(&self) -> Box<dyn StreamDecoder> {
        let lane = self.wanted.lane(true);
        match self.wanted.dialect {
            Dialect::OpenAi => {
                let include_usage = matches!(
                    self.wanted.delivery,
                    Delivery::Stream {
                        include_usage: true
                    }
                );
                Box::new(openai::stream::OpenAiStream::new(lane, include_usage))
            }
            Dialect::Anthropic => Box::new(anthropic::stream::AnthropicStream::new(lane)),
        }
    }

    /// The upstream's bytes are over.
    fn end(&mut self, out: &mut Vec<ChatEvent>) -> Result<(), UpstreamFault> {
        match std::mem::replace(&mut self.form, Form::Unknown(Vec::new())) {
            Form::Unknown(_) => Err(UpstreamFault::new(
                FaultKind::Malformed,
                "the provider sent an empty answer",
            )),
            Form::Sse { mut decoder, .. } => decoder.on_end(out),
            Form::Body(buffer) => self.body(buffer.freeze(), out),
        }
    }

    fn body(&self, bytes: Bytes, out: &mut Vec<ChatEvent>) -> Result<(), UpstreamFault> {
        let lane = self.wanted.lane(false);
        match (self.wanted.operation, self.wanted.dialect) {
            (Operation::CountTokens, _) => {
                let bytes = utf8(&bytes);
                let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
                if value.get("input_tokens").is_none() {
                    return Err(UpstreamFault::new(
                        FaultKind::Malformed,
                        "the provider sent no token count",
                    ));
                }
                out.push(ChatEvent::RawBody(Raw {
                    name: None,
                    data: bytes,
                    facts: Facts {
                        content: true,
                        ..Facts::default()
                    },
                }));
                Ok(())
            }
            (_, Dialect::OpenAi) => openai::body::decode(&bytes, lane, out),
            (_, Dialect::Anthropic) => anthropic::body::decode(&bytes, lane, out),
        }
    }
}
