//! Signals of requests as they come through the pipeline, with a clock that is moved: days pass here in a moment.

use super::super::{Entry, admit};
use crate::policy::{Policy, Sources};
use crate::settle::{Exchange, Opening};
use crate::state::State;
use aplomb_config::secret::ProcessEnvironment;
use aplomb_core::caller::{Caller, Manner};
use aplomb_core::clock::{Clock, FakeClock};
use aplomb_core::dialect;
use aplomb_core::id::RequestId;
use aplomb_core::request::{ChatRequest, Operation};
use aplomb_limits::trust::Level;
use aplomb_limits::trust::subject::Move;
use aplomb_observe::record::Outcome;
use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const FILE: &str = "providers:\n  practice: { practice: { first_token: 0s } }\n\
    routes:\n  chat: { targets: [practice/small] }\nkarma: { enabled: true }\n\
    limits:\n  - 40 requests per 1h per user\n";

struct House {
    clock: Arc<FakeClock>,
    state: Arc<State>,
    policy: Policy,
}

impl House {
    fn new() -> Self {
        // A midnight.
        let clock = Arc::new(FakeClock::at(20_000 * 86_400_000));
        let state = Arc::new(State::new(clock.clone(), Arc::default(), None));
        let parsed = aplomb_config::parse(FILE, "test").unwrap();
        let sources = Sources {
            env: &ProcessEnvironment,
            base_dir: Path::new("."),
            state: &state,
        };
        let policy = Policy::build(&parsed, "test", &sources).unwrap();
        House {
            clock,
            state,
            policy,
        }
    }

    fn request() -> ChatRequest {
        let body = r#"{"model":"chat","messages":[{"role":"user","content":"hello"}]}"#;
        dialect::read(Operation::ChatCompletions, Bytes::from(body)).unwrap()
    }

    /// A request comes, and is answered if it is let in. Whether it was.
    async fn asks(&self, user: &str) -> bool {
        let request = House::request();
        let route = self.policy.resolve("chat", &self.state.metrics).unwrap();
        let caller = Caller {
            tenant: "acme".into(),
            key_id: "k".into(),
            user: Some(user.to_owned()),
            tags: Vec::new(),
            session: None,
            host: None,
            subnet: None,
            manner: Manner::default(),
        };
        let trace = self.state.otel.start_trace();
        let opening = Opening {
            id: RequestId::new(self.clock.now_ms()),
            request: &request,
            caller: &caller,
            trace: &trace,
            arrived: self.clock.instant(),
            policy: &self.policy,
            route: &route,
            sent_before: 0,
        };
        let mut exchange = Exchange::open(self.state.clone(), &opening);
        let entry = Entry {
            request: &request,
            route: &route,
            limits: &self.policy.limits,
            downgrades: &Vec::new(),
            deadline: Instant::now() + Duration::from_secs(600),
        };
        match admit(entry, &mut exchange).await {
            Ok(_) => {
                let target = route.targets.first().unwrap();
                exchange.answered(target, Duration::from_millis(5));
                exchange.committed(target);
                exchange.done();
                true
            }
            Err(error) => {
                exchange.failed(Outcome::Error, &error);
                false
            }
        }
    }

    fn moves(&self) -> Vec<Move> {
        let moves = self.state.trust.book.drain().moves.into_iter();
        moves.map(|(_, one)| one).collect()
    }

    fn level(&self, user: &str) -> Level {
        let row = self
            .state
            .trust
            .book
            .row(self.state.trust_key("acme", user));
        row.unwrap().subject.level(self.clock.now_ms())
    }
}

#[tokio::test(start_paused = true)]
async fn who_presses_on_loses_trust_and_who_does_not_earns_it() {
    let house = House::new();
    // Ten an hour are let in; one comes each six seconds for two hours.
    let mut let_in = 0;
    for _ in 0..1200 {
        let_in += u32::from(house.asks("eve").await);
        house.clock.advance(Duration::from_secs(6));
    }
    assert_eq!(let_in, 20);
    let moves = house.moves();
    let pressed: Vec<&Move> = moves.iter().filter(|one| one.cause == "pressure").collect();
    assert_eq!(pressed.len(), 2, "once an hour");
    assert!(
        pressed
            .iter()
            .all(|one| one.units == -1.0 && one.score.1 < one.score.0)
    );
    assert!(
        pressed[0].evidence.len() > 30,
        "the request that showed it: {}",
        pressed[0].evidence
    );
    let earned: f64 = moves
        .iter()
        .filter(|one| one.units > 0.0)
        .map(|one| one.units)
        .sum();
    assert!(
        (earned - 1.0).abs() < 1e-9,
        "twenty good requests: {earned}"
    );
}

/// The way of a good user through the levels, and back after abuse; limits follow.
#[tokio::test(start_paused = true)]
async fn a_good_user_rises_in_weeks() {
    let house = House::new();
    let mut levels = Vec::new();
    for day in 0..60 {
        for _ in 0..20 {
            house.asks("ada").await;
            house.clock.advance(Duration::from_secs(3600));
        }
        house.clock.advance(Duration::from_secs(4 * 3600));
        let level = house.level("ada");
        if levels.last().map(|(_, last)| *last) != Some(level) {
            levels.push((day, level));
        }
    }
    let names: Vec<Level> = levels.iter().map(|(_, level)| *level).collect();
    assert_eq!(
        names,
        [Level::Quarantine, Level::Standard, Level::Trusted],
        "{levels:?}"
    );
    assert!(
        (8..=14).contains(&levels[1].0) && levels[2].0 >= 28,
        "{levels:?}"
    );
    // A trusted user has twice as many: all of them at once.
    let mut let_in = 0;
    for _ in 0..100 {
        let_in += u32::from(house.asks("ada").await);
    }
    assert_eq!(let_in, 80);
}
