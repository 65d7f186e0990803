//! What validators count.

use super::*;

pub(super) fn families(metrics: &Metrics) -> Vec<Family> {
    let mut verdicts = Family::counter(
        "aplomb_validate_verdicts_total",
        "Requests by how their answer fared with validators: `pass`, `fix`, `filter`, `flag`, `refrain`, `block`, or `open` where the client left before the end.",
    );
    for (verdict, count) in metrics.validation.verdicts() {
        verdicts.push(one("verdict", verdict), number(count));
    }
    let mut failures = Family::counter(
        "aplomb_validate_failures_total",
        "Answers that failed a check, by validator and check.",
    );
    let mut steps = Family::counter(
        "aplomb_validate_steps_total",
        "What was done about answers that failed, by validator and step.",
    );
    for (name, validator) in metrics.validators.all() {
        for (check, count) in validator.failures() {
            failures.push(two(("validator", &name), ("check", check)), number(count));
        }
        for (step, count) in validator.steps() {
            steps.push(two(("validator", &name), ("step", step)), number(count));
        }
    }
    let histogram = |name, help, snapshot| {
        let mut family = Family::histogram(name, help);
        family.buckets(Vec::new(), snapshot);
        family
    };
    vec![
        verdicts,
        failures,
        steps,
        histogram(
            "aplomb_validate_checks_seconds",
            "Time of all checks of one answer.",
            metrics.validation.checks.snapshot(),
        ),
        histogram(
            "aplomb_validate_hold_seconds",
            "How long answers were held back after their first content, to be checked as a whole.",
            metrics.validation.hold.snapshot(),
        ),
        Family::counter(
            "aplomb_validate_cost_usd_total",
            "Cost of answers that were turned down, where the price is known.",
        )
        .with(Vec::new(), usd(&metrics.validation.cost_nano)),
    ]
}
