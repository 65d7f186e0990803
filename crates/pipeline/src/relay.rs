//! An answer on its way to the client, after its first content.

use crate::attempt::Begun;
use crate::flight::Flight;
use crate::limits::Growing;
use crate::policy::Timeouts;
use crate::settle::{DURABLE_WAIT, Exchange};
use crate::validated::error;
use aplomb_core::error::ApiError;
use aplomb_core::event::ChatEvent;
use aplomb_limits::verdict::Standing;
use aplomb_observe::record::{Outcome, Record};
use aplomb_privacy::restore::Restorer;
use aplomb_privacy::screen::Screen;
use aplomb_providers::encode::Dropped;
use aplomb_providers::fault::FaultKind;
use aplomb_providers::limits::Limits;
use aplomb_providers::stream::EventStream;
use aplomb_validate::course::Late;
use aplomb_validate::watch::Watch;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};

/// The events of a committed answer. Dropping it ends the upstream call and settles the exchange.
pub struct Relay {
    exchange: Exchange,
    /// The upstream call, in flight until the answer ends; none where an answer is given again.
    flight: Option<Flight>,
    held: VecDeque<ChatEvent>,
    events: EventStream,
    /// Fields of the request that the provider has no counterpart for.
    pub dropped: Vec<Dropped>,
    idle: Duration,
    deadline: Instant,
    /// When the first content came.
    first: Instant,
    last: Instant,
    /// The provider's next event is waited for.
    waits: bool,
    /// How long its events were waited for.
    waited: Duration,
    timer: Pin<Box<Sleep>>,
    filters: Filters,
    /// An event that waits until what it costs is reserved.
    growing: Option<(Growing, ChatEvent)>,
    /// Events that may go out.
    ready: VecDeque<ChatEvent>,
    /// What comes after them.
    error: Option<ApiError>,
    ended: bool,
    /// The record's way to the disk, where the route waits for it before the answer ends.
    acked: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

/// Share of a stream's time that its provider must have been waited for, for its pace to be the provider's own.
const OWN_PACE: f64 = 0.8;

/// What an answer goes through between the provider and the client, in this order.
pub struct Filters {
    /// Checks a stream while it goes out.
    pub watch: Option<Box<Watch>>,
    /// Looks for personal data that the model invents.
    pub screen: Option<Screen>,
    /// Puts back what was masked.
    pub restorer: Restorer,
}

impl Filters {
    /// Whether events pass untouched.
    fn pass(&self) -> bool {
        self.watch.is_none() && self.screen.is_none() && self.restorer.is_empty()
    }

    /// The answer ends with an error where a check wants that.
    fn checked(&mut self, event: ChatEvent, out: &mut Vec<ChatEvent>) -> Result<(), Box<Late>> {
        let Some(watch) = &mut self.watch else {
            self.on_event(event, out);
            return Ok(());
        };
        let mut passed = Vec::new();
        let fate = watch.on_event(event, &mut passed);
        for event in passed {
            self.on_event(event, out);
        }
        fate
    }

    /// Likewise for the end of an answer.
    fn checked_end(
        &mut self,
        exchange: &mut Exchange,
        out: &mut Vec<ChatEvent>,
    ) -> Result<(), Box<Late>> {
        let Some(watch) = &mut self.watch else {
            return Ok(());
        };
        let mut passed = Vec::new();
        watch.on_end(&mut passed)?;
        exchange.validated(&watch.course.verdict);
        for event in passed {
            self.on_event(event, out);
        }
        Ok(())
    }

    fn on_event(&mut self, event: ChatEvent, out: &mut Vec<ChatEvent>) {
        match &mut self.screen {
            None => self.restorer.on_event(event, out),
            Some(screen) => {
                let mut screened = Vec::new();
                screen.on_event(event, &mut screened);
                for event in screened {
                    self.restorer.on_event(event, out);
                }
            }
        }
    }

    fn on_end(&mut self, out: &mut Vec<ChatEvent>) {
        if let Some(screen) = &mut self.screen {
            let mut screened = Vec::new();
            screen.on_end(&mut screened);
            for event in screened {
                self.restorer.on_event(event, out);
            }
        }
        self.restorer.on_end(out);
    }

    fn report(&self, exchange: &mut Exchange) {
        let none = BTreeMap::new();
        let invented = self.screen.as_ref().map_or(&none, Screen::counts);
        exchange.restored(self.restorer.restored(), invented);
    }
}

/// Ends when a record is on the disk, or when it has taken too long for an answer to wait.
fn durable(acked: oneshot::Receiver<()>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async {
        let _ = tokio::time::timeout(DURABLE_WAIT, acked).await;
    })
}

impl Relay {
    pub(crate) fn new(
        (begun, flight): (Begun, Option<Flight>),
        exchange: Exchange,
        filters: Filters,
        timeouts: &Timeouts,
        deadline: Instant,
    ) -> Self {
        let last = Instant::now();
        let timer = Box::pin(tokio::time::sleep_until(deadline.min(last + timeouts.idle)));
        let Begun {
            held,
            events,
            dropped,
            limits: _,
        } = begun;
        Relay {
            exchange,
            flight,
            held,
            events,
            dropped,
            idle: timeouts.idle,
            deadline,
            first: last,
            last,
            waits: false,
            waited: Duration::ZERO,
            timer,
            filters,
            growing: None,
            ready: VecDeque::new(),
            error: None,
            ended: false,
            acked: None,
        }
    }

    /// An answer that is given again: what is there of it, and where the rest comes from.
    pub(crate) fn replaying(
        (held, events): (VecDeque<ChatEvent>, EventStream),
        exchange: Exchange,
        filters: Filters,
        timeouts: &Timeouts,
        deadline: Instant,
    ) -> Self {
        let begun = Begun {
            held,
            events,
            dropped: Vec::new(),
            limits: Limits::default(),
        };
        Relay::new((begun, None), exchange, filters, timeouts, deadline)
    }

    /// The record as it is so far.
    pub fn record(&self) -> &Record {
        self.exchange.record()
    }

    /// The bound of the output that a limit of money has lowered.
    pub fn clamped(&self) -> Option<u64> {
        self.exchange.clamped()
    }

    /// Whether this node has decided alone about limits; none where nothing was limited.
    pub fn limits_alone(&self) -> Option<bool> {
        self.exchange.limits_alone()
    }

    /// How the limits stood when the request was let in.
    pub fn standings(&self) -> &[Standing] {
        self.exchange.standings()
    }

    /// The next event; `None` after the last one of a complete answer. After an error nothing more comes.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<ChatEvent, ApiError>>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(event)));
            }
            if self.ended {
                if let Some(error) = self.error.take() {
                    return Poll::Ready(Some(Err(error)));
                }
                if let Some(acked) = &mut self.acked {
                    ready!(acked.as_mut().poll(cx));
                    self.acked = None;
                }
                return Poll::Ready(None);
            }
            if let Some((growing, _)) = &mut self.growing {
                let grown = ready!(growing.as_mut().poll(cx));
                let event = self.growing.take().map(|(_, event)| event);
                match (self.exchange.grown(grown), event) {
                    (Ok(()), Some(event)) => self.pay(event),
                    (Ok(()), None) => {}
                    (Err(error), _) => self.end_early(error),
                }
                continue;
            }
            match ready!(self.poll_upstream(cx)) {
                Some(Ok(event)) => {
                    // What is noted is what the provider said: placeholders, not values.
                    self.exchange.saw(&event);
                    self.pay(event);
                }
                Some(Err(mut error)) => {
                    self.exchange.failed(Outcome::Cut, &error);
                    self.filters.restorer.error(&mut error);
                    self.error = Some(error);
                    self.finish_filters();
                }
                None => {
                    let mut out = Vec::new();
                    let fate = self.filters.checked_end(&mut self.exchange, &mut out);
                    self.ready.extend(out);
                    if let Err(late) = fate {
                        self.late(*late);
                        continue;
                    }
                    self.finish_filters();
                    self.exchange.done();
                    self.acked = self.exchange.close().map(durable);
                }
            }
        }
    }

    /// A check ends the answer, of which something is out.
    fn late(&mut self, late: Late) {
        let error = error(&late.blocked);
        // What is held does not go out.
        if let Some(watch) = self.filters.watch.take() {
            self.exchange.validated(&watch.course.verdict);
        }
        if let Some(text) = late.say.filter(|text| !text.is_empty()) {
            let said = ChatEvent::Text {
                choice: 0,
                text,
                logprobs: None,
            };
            self.ready.push_back(said);
        }
        self.end_early(error);
    }

    /// Lets an event go on, when what it costs is reserved.
    fn pay(&mut self, event: ChatEvent) {
        match self.exchange.grow() {
            Ok(None) => self.pass_on(event),
            Ok(Some(growing)) => self.growing = Some((growing, event)),
            Err(error) => self.end_early(error),
        }
    }

    /// Takes an event through the filters.
    fn pass_on(&mut self, event: ChatEvent) {
        if self.filters.pass() {
            return self.ready.push_back(event);
        }
        let mut out = Vec::new();
        let fate = self.filters.checked(event, &mut out);
        self.ready.extend(out);
        if let Err(late) = fate {
            self.late(*late);
        }
    }

    fn end_early(&mut self, error: ApiError) {
        self.exchange.failed(Outcome::Cut, &error);
        self.finish_filters();
        self.error = Some(error);
    }

    /// The provider's next event, within the route's times.
    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<ChatEvent, ApiError>>> {
        if let Some(event) = self.held.pop_front() {
            return Poll::Ready(Some(Ok(event)));
        }
        loop {
            match self.events.poll_next(cx) {
                Poll::Ready(Some(Ok(event))) => {
                    let now = Instant::now();
                    let pause = now.duration_since(self.last);
                    self.exchange.paused(pause);
                    if std::mem::take(&mut self.waits) {
                        self.waited += pause;
                    }
                    self.last = now;
                    return Poll::Ready(Some(Ok(event)));
                }
                Poll::Ready(Some(Err(fault))) => {
                    if let Some(flight) = &mut self.flight {
                        flight.failed(&fault);
                    }
                    return Poll::Ready(Some(Err(fault.error)));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => self.waits = true,
            }
            // The timer is not moved with every event; when it fires, it is looked up what is really due.
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let idle_at = self.last + self.idle;
            let now = Instant::now();
            if now >= self.deadline {
                self.events.give_up(FaultKind::Total);
            } else if now >= idle_at {
                self.events.give_up(FaultKind::Idle);
            }
            let due = self
                .deadline
                .min(idle_at)
                .max(now + Duration::from_millis(1));
            self.timer.as_mut().reset(due);
        }
    }

    /// The upstream call has ended.
    fn land(&mut self) {
        let Some(mut flight) = self.flight.take() else {
            return;
        };
        // A client that reads slowly holds the provider back: such a stream says nothing of the provider's pace.
        let took = self.last.duration_since(self.first);
        // One that was held came at once.
        let own = !took.is_zero()
            && self.error.is_none()
            && self.waited.as_secs_f64() >= OWN_PACE * took.as_secs_f64();
        let pace = own.then(|| self.exchange.upstream_took(took)).flatten();
        flight.ended(&self.exchange.usage(), pace);
    }

    /// Nothing more comes from the provider: what filters hold back goes out.
    fn finish_filters(&mut self) {
        self.ended = true;
        // Whoever waits for the target need not wait until the client has read everything.
        self.land();
        if self.filters.pass() {
            return;
        }
        let mut out = Vec::new();
        self.filters.on_end(&mut out);
        self.ready.extend(out);
        self.filters.report(&mut self.exchange);
    }

    /// All events of a whole answer.
    pub fn into_whole(mut self) -> (Vec<ChatEvent>, Exchange) {
        let mut out = Vec::new();
        for event in std::mem::take(&mut self.held) {
            self.exchange.saw(&event);
            self.filters.on_event(event, &mut out);
        }
        self.land();
        self.filters.on_end(&mut out);
        self.filters.report(&mut self.exchange);
        self.exchange.done();
        (out, self.exchange)
    }

    /// The gateway ends the answer itself.
    pub fn cut(&mut self, error: &ApiError) {
        if !self.ended {
            self.filters.report(&mut self.exchange);
        }
        self.ended = true;
        self.held.clear();
        self.ready.clear();
        self.exchange.failed(Outcome::Cut, error);
    }
}
