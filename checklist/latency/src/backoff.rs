//! Exponential backoff with full jitter (M. Brooker, "Exponential Backoff And Jitter", 2015), bounded by what the
//! provider asks for and by what the request has left.

use std::time::Duration;

/// Bound of the first wait. Chosen: a retry that helps at all usually helps within half a second.
const BASE: Duration = Duration::from_millis(250);
/// Bound of every wait that the provider did not ask for.
const CEILING: Duration = Duration::from_secs(8);
/// Longest wait for a provider that asks for one. Chosen: beyond it the client knows better what to do, and is told at once.
const ASKED_MAX: Duration = Duration::from_secs(10);

/// How long to wait before the next attempt.
///
/// * `failures`: attempts that failed so far, at least 1.
/// * `asked`: the provider's `Retry-After`.
/// * `left`: what remains of the request's time.
/// * `random`: uniform in `0.0..1.0`.
/// * Returns `None` if waiting makes no sense: the client gets the error now.
pub fn wait(
    failures: u32,
    asked: Option<Duration>,
    left: Duration,
    random: f64,
) -> Option<Duration> {
    let bound = BASE
        .saturating_mul(1 << failures.saturating_sub(1).min(10))
        .min(CEILING);
    let wait = match asked {
        Some(asked) if asked > ASKED_MAX => return None,
        // A little jitter on top, so that all who were told the same time do not come at once.
        Some(asked) => asked + BASE.mul_f64(random.clamp(0.0, 1.0)),
        None => bound.mul_f64(random.clamp(0.0, 1.0)),
    };
    (wait < left).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn bounds_double_up_to_the_ceiling() {
        let bound = |failures| wait(failures, None, LONG, 1.0).unwrap();
        assert_eq!(
            [bound(1), bound(2), bound(3)].map(|d| d.as_millis()),
            [250, 500, 1000]
        );
        assert_eq!(bound(40), CEILING);
        assert_eq!(wait(3, None, LONG, 0.0), Some(Duration::ZERO));
    }

    #[test]
    fn the_provider_is_obeyed_within_reason_and_deadline() {
        assert_eq!(
            wait(1, Some(Duration::from_secs(2)), LONG, 0.0),
            Some(Duration::from_secs(2))
        );
        assert_eq!(wait(1, Some(Duration::from_secs(3600)), LONG, 0.0), None);
        assert_eq!(
            wait(1, Some(Duration::from_secs(2)), Duration::from_secs(1), 0.0),
            None
        );
        assert_eq!(wait(1, None, Duration::ZERO, 0.5), None);
    }
}
