use super::*;
use crate::flight::{Beginning, Flight};
use crate::policy::{Recording, Rules, Timeouts};
use crate::target::Manner;
use crate::validated::Checking;
use aplomb_latency::breaker::Rule;
use aplomb_latency::standing::Standings;
use aplomb_observe::metrics::Metrics;
use aplomb_providers::call::{Kind, Provider};
use aplomb_providers::practice::{Practice, PracticeSettings};
use std::sync::Arc;

const LONG: Duration = Duration::from_secs(60);

/// A route to targets of these ranks, with one context window each.
struct Road {
    route: Route,
    now: Instant,
}

fn road(ranks: &[usize], attempts: u32) -> Road {
    let now = tokio::time::Instant::now().into_std();
    let (metrics, standings) = (Metrics::default(), Standings::default());
    let settings = PracticeSettings {
        seed: 1,
        first_token: Duration::ZERO,
        tokens_per_second: 0,
        jitter: 0.0,
        error_rate: 0.0,
    };
    let provider = Arc::new(Provider {
        name: "p".into(),
        kind: Kind::Practice(Practice::new(settings)),
        base: None,
        headers: http::HeaderMap::new(),
        client: aplomb_engines::http::HttpClient::new(LONG),
    });
    let targets = ranks.iter().enumerate().map(|(index, rank)| {
        let model = format!("m{rank}");
        Target {
            name: format!("p/{model}").into(),
            metrics: metrics.target("p/m"),
            agreement: Arc::default(),
            standing: standings.target("p", &model, index, now),
            upstream: standings.provider("p", now),
            context: Some(1000 * (*rank as u64 + 1)),
            price: None,
            seat: index as u64,
            rank: *rank,
            weight: 1.0,
            slots: None,
            budget: None,
            model: model.into(),
            provider: provider.clone(),
        }
    });
    let route = Route {
        name: None,
        targets: targets.collect(),
        timeouts: Timeouts {
            first_token: LONG,
            idle: LONG,
            total: LONG,
        },
        manner: Manner {
            attempts,
            ..Manner::default()
        },
        rules: Rules::default(),
        record: Recording::default(),
        checking: Checking::default(),
        cache: None,
        sharing: Arc::default(),
        metrics: metrics.route("r"),
    };
    Road { route, now }
}

fn fault(kind: FaultKind) -> UpstreamFault {
    UpstreamFault::new(kind, "x")
}

fn flight(target: &Target, rule: Rule) -> Flight {
    let beginning = Beginning {
        tokens: 1,
        delivery: Delivery::Whole,
        rule,
        permit: None,
    };
    Flight::begin(target, beginning)
}

impl Road {
    fn plan(&self) -> Plan {
        let mut plan = Plan::new(&self.route);
        self.first(&mut plan);
        plan
    }

    fn first(&self, plan: &mut Plan) -> Option<(usize, Duration)> {
        let weighing = Weighing {
            tokens: 1,
            conversation: None,
            seed: 3,
            delivery: Delivery::Whole,
            class: queue::Class::Interactive,
        };
        plan.first(&self.route, &weighing, (self.now, LONG)).ok()
    }

    fn after(&self, plan: &mut Plan, kind: FaultKind) -> Option<usize> {
        match plan.after(&self.route, &fault(kind), (LONG, 1.0), |_| true) {
            Next::Call { target, .. } => Some(target),
            Next::GiveUp | Next::Unaffordable => None,
        }
    }

    fn breaks(&self, target: usize, kind: FaultKind, times: u32) {
        let target = &self.route.targets[target];
        for _ in 0..times {
            let rule = self.route.manner.breaker;
            flight(target, rule).failed(&fault(kind));
        }
    }
}

#[test]
fn other_targets_come_first_and_at_once() {
    let road = road(&[0, 1], 3);
    let mut plan = road.plan();
    let wait = |ms| Duration::from_millis(ms);
    let server = fault(FaultKind::Server);
    let mut next = || plan.after(&road.route, &server, (LONG, 1.0), |_| true);
    assert_eq!(
        next(),
        Next::Call {
            target: 1,
            wait: Duration::ZERO
        }
    );
    assert_eq!(
        next(),
        Next::Call {
            target: 0,
            wait: wait(250)
        }
    );
    assert_eq!(next(), Next::GiveUp);
}

#[test]
fn a_target_that_refuses_is_not_asked_again() {
    for kind in [
        FaultKind::Quota,
        FaultKind::Credentials,
        FaultKind::NotFound,
    ] {
        assert_eq!(road(&[0], 3).after(&mut road(&[0], 3).plan(), kind), None);
        let road = road(&[0, 1], 5);
        let mut plan = road.plan();
        assert_eq!(road.after(&mut plan, kind), Some(1), "{kind:?}");
        assert_eq!(road.after(&mut plan, FaultKind::Reset), Some(1), "{kind:?}");
    }
}

#[test]
fn another_key_of_the_same_model_comes_before_the_next_model() {
    let road = road(&[0, 0, 1], 5);
    let mut plan = road.plan();
    let (first, _) = road.first(&mut plan).unwrap();
    let second = road.after(&mut plan, FaultKind::RateLimited).unwrap();
    assert_eq!((first + second, first == second), (1, false));
    assert_eq!(road.after(&mut plan, FaultKind::RateLimited), Some(2));
}

#[test]
fn what_is_wrong_everywhere_is_not_carried_on() {
    let mut upstream = fault(FaultKind::Request);
    upstream.error.code = ErrorCode::Upstream;
    let road = road(&[0, 1, 2], 5);
    let next = |fault: &UpstreamFault| road.plan().after(&road.route, fault, (LONG, 0.5), |_| true);
    assert_eq!(next(&upstream), Next::GiveUp);
    assert_eq!(next(&fault(FaultKind::Total)), Next::GiveUp);
    assert_eq!(next(&fault(FaultKind::ContentFilter)), Next::GiveUp);
    let mut ours = fault(FaultKind::Request);
    ours.error.code = ErrorCode::InvalidRequest;
    assert!(matches!(next(&ours), Next::Call { target: 1, .. }));
}

#[test]
fn a_request_that_is_too_long_goes_to_a_larger_window() {
    let mut road = road(&[0, 1, 2], 5);
    road.route.targets[1].context = Some(500);
    let mut plan = road.plan();
    assert_eq!(road.after(&mut plan, FaultKind::ContextLength), Some(2));
    assert_eq!(road.after(&mut plan, FaultKind::ContextLength), None);
}

#[test]
fn a_filter_is_gone_round_where_the_route_says_so() {
    let mut road = road(&[0, 0, 1], 5);
    road.route.manner.on_content_filter = true;
    let mut plan = road.plan();
    assert_eq!(road.after(&mut plan, FaultKind::ContentFilter), Some(2));
}

#[test]
fn no_wait_goes_beyond_the_deadline() {
    let mut fault = fault(FaultKind::RateLimited);
    fault.error.retry_after = Some(Duration::from_secs(5));
    let road = road(&[0], 3);
    let next = |left| {
        road.plan()
            .after(&road.route, &fault, (left, 0.5), |_| true)
    };
    assert_eq!(next(Duration::from_secs(2)), Next::GiveUp);
    assert!(matches!(next(LONG), Next::Call { target: 0, .. }));
}

#[test]
fn retries_need_the_budget_and_fallbacks_do_not() {
    let road = road(&[0, 1], 5);
    let mut plan = road.plan();
    let server = fault(FaultKind::Server);
    let mut next = || plan.after(&road.route, &server, (LONG, 0.5), |_| false);
    assert!(matches!(next(), Next::Call { target: 1, .. }));
    assert_eq!(next(), Next::Unaffordable);
}

#[test]
fn what_is_out_of_order_comes_last_but_is_asked_when_nothing_else_is_left() {
    let road = road(&[0, 1], 5);
    road.breaks(0, FaultKind::Server, 5);
    let mut plan = Plan::new(&road.route);
    assert_eq!(road.first(&mut plan), Some((1, Duration::ZERO)));
    road.breaks(1, FaultKind::Server, 5);
    let mut plan = Plan::new(&road.route);
    assert_eq!(road.first(&mut plan), Some((0, Duration::ZERO)));
}

#[test]
fn a_limit_is_waited_for_within_reason() {
    let road = road(&[0], 5);
    let mut limited = fault(FaultKind::RateLimited);
    for (seconds, expected) in [(2, true), (600, false)] {
        limited.error.retry_after = Some(Duration::from_secs(seconds));
        let rule = road.route.manner.breaker;
        flight(&road.route.targets[0], rule).failed(&limited);
        let mut plan = Plan::new(&road.route);
        let first = road.first(&mut plan);
        assert_eq!(first.is_some_and(|(_, wait)| !wait.is_zero()), expected);
        assert_eq!(first.is_some(), expected);
    }
}

#[test]
fn a_hedge_goes_to_another_target_if_there_is_one() {
    let pair = road(&[0, 1], 3);
    assert_eq!(
        pair.plan().second(&pair.route, 1, pair.now),
        Some((1, 2, 2))
    );
    let alone = road(&[0], 3);
    assert_eq!(
        alone.plan().second(&alone.route, 1, alone.now),
        Some((0, 1, 1))
    );
    let spent = road(&[0], 1);
    assert_eq!(spent.plan().second(&spent.route, 1, spent.now), None);
}

#[test]
fn a_target_with_a_free_slot_is_asked_before_one_where_the_request_would_wait() {
    let mut road = road(&[0, 1], 3);
    let rule = queue::Rule {
        slots: queue::Slots::Fixed(1),
        per_user: 3,
        interactive: LONG,
        batch: LONG,
    };
    for target in &mut road.route.targets {
        target.slots = Some(rule);
    }
    let call = queue::Call {
        who: queue::Who {
            tenant: "t".into(),
            user: "u".into(),
        },
        class: queue::Class::Interactive,
        cost: 1,
        weight: 1,
        until: road.now + LONG,
    };
    let busy = road.route.targets[0].standing.queue.clone();
    let permit = busy.enter_at_once(rule, call, road.now).unwrap();
    for (choose, expected) in [
        (Choose::LeastBusy, 1),
        (Choose::Cheapest { ttft_max: None }, 1),
        (Choose::Ordered, 0),
    ] {
        road.route.manner.choose = choose;
        let mut plan = Plan::new(&road.route);
        assert_eq!(road.first(&mut plan), Some((expected, Duration::ZERO)));
    }
    drop(permit);
}
