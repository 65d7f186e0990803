use super::*;

const RULE: Rule = Rule {
    calls_min: 10,
    share: 0.5,
    in_a_row: 5,
    pause: Duration::from_secs(5),
};

fn failure(class: Class) -> Failure {
    Failure {
        class,
        retry_after: Some(Duration::from_secs(7)),
        random: 0.5,
    }
}

#[test]
fn each_class_has_the_effect_that_the_table_says() {
    for class in Class::ALL {
        let now = Instant::now();
        let standings = Standings::default();
        let target = standings.target("p", "m", 0, now);
        let mut opened = false;
        for _ in 0..5 {
            let changed =
                target
                    .begin(10, now)
                    .failed(&RULE, &failure(class), &Told::default(), now);
            opened |= changed.opened;
        }
        let view = target.view(10, now);
        let action = class.action().health;
        let counts = matches!(action, Health::Failed(_));
        assert_eq!(opened, counts, "{class:?}");
        assert_eq!(
            view.gate.is_some(),
            class == Class::RateLimited,
            "{class:?}"
        );
        assert_eq!(
            view.aside.is_some(),
            action == Health::KeyAside,
            "{class:?}"
        );
        assert_eq!(
            target.is_free(10, now),
            action == Health::Unharmed,
            "{class:?}"
        );
        assert_eq!(view.in_flight, 0);
    }
}

#[test]
fn a_refused_key_takes_all_its_models_along_and_no_other_key() {
    let now = Instant::now();
    let standings = Standings::default();
    let [one, other, second] =
        [("m", 0), ("n", 0), ("m", 1)].map(|(model, key)| standings.target("p", model, key, now));
    let changed =
        one.begin(1, now)
            .failed(&RULE, &failure(Class::Credentials), &Told::default(), now);
    assert!(changed.key_aside);
    let again =
        one.begin(1, now)
            .failed(&RULE, &failure(Class::Credentials), &Told::default(), now);
    assert!(!again.key_aside, "told once");
    assert!(!other.is_free(1, now) && second.is_free(1, now));
    standings.keys_may_have_changed();
    assert!(other.is_free(1, now));
}

#[test]
fn whoever_goes_away_frees_the_probe() {
    let now = Instant::now();
    let standings = Standings::default();
    let target = standings.target("p", "m", 0, now);
    for _ in 0..5 {
        target
            .begin(1, now)
            .failed(&RULE, &failure(Class::Overloaded), &Told::default(), now);
    }
    let due = now + Duration::from_secs(10);
    let probe = target.begin(1, due);
    assert!(!target.is_free(1, due));
    drop(probe);
    assert!(target.is_free(1, due));
    let mut probe = target.begin(1, due);
    assert!(probe.answered(
        (Delivery::Whole, Duration::from_millis(5)),
        &Told::default(),
        due
    ));
    assert_eq!(target.view(1, due).phase, Phase::Closed);
}

#[test]
fn names_from_clients_are_bounded() {
    let now = Instant::now();
    let standings = Standings::default();
    let held = standings.target("p", "held", 0, now);
    for n in 0..STANDINGS_MAX * 2 {
        standings.target("p", &n.to_string(), 0, now);
    }
    let all = standings.targets();
    assert!(all.len() <= STANDINGS_MAX);
    assert!(Arc::ptr_eq(&held, &standings.target("p", "held", 0, now)));
}
