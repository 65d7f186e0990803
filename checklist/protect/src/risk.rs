//! What speaks against a request, as one number with its parts.
//!
//! Parts are added; the sum is 0 to 100. No part alone is enough to act on: the worst single one is 40. Each is told in the record, so that
//! an operator sees why somebody was held to less.

/// What is known of a request and its user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signals {
    /// Requests of its address, in the window of strikes, that showed no known key or asked for what does not exist.
    pub strikes: u64,
    /// Its user came new in a burst from one subnet.
    pub linked_subnet: bool,
    /// Its user came new in a burst with one kind of client.
    pub linked_client: bool,
    /// It says no language that answers should be in, as browsers do.
    pub no_language: bool,
    /// Its user is in quarantine.
    pub quarantine: bool,
    /// Its tenant or key spends far more than usual, and is held.
    pub spending: bool,
    /// Its user has been here for a month.
    pub known_long: bool,
}

/// A part: its name and what it adds.
pub type Part = (&'static str, i16);

/// A request's risk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Risk {
    /// 0 to 100.
    pub score: u8,
    /// What it is made of.
    pub parts: Vec<Part>,
}

/// Strikes of an address from which on they are not mistakes.
const STRIKES_FEW: u64 = 3;
/// Those of somebody who guesses.
const STRIKES_MANY: u64 = 10;

/// Adds up what speaks against a request.
pub fn weigh(signals: &Signals) -> Risk {
    let strikes = match signals.strikes {
        STRIKES_MANY.. => 30,
        STRIKES_FEW.. => 15,
        _ => 0,
    };
    let when = |holds: bool, points: i16| if holds { points } else { 0 };
    let all = [
        ("strikes", strikes),
        ("linked_subnet", when(signals.linked_subnet, 40)),
        ("linked_client", when(signals.linked_client, 40)),
        ("no_language", when(signals.no_language, 5)),
        ("quarantine", when(signals.quarantine, 20)),
        ("spending", when(signals.spending, 20)),
        ("known_long", when(signals.known_long, -20)),
    ];
    let parts: Vec<Part> = all.into_iter().filter(|(_, points)| *points != 0).collect();
    let sum: i16 = parts.iter().map(|(_, points)| points).sum();
    let score = u8::try_from(sum.clamp(0, 100)).unwrap_or(100);
    Risk { score, parts }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(signals: Signals, score: u8, parts: &[Part]) {
        let risk = weigh(&signals);
        assert_eq!((risk.score, &*risk.parts), (score, parts));
    }

    #[test]
    fn parts_are_added_and_told() {
        let none = Signals::default();
        check(none, 0, &[]);
        let strikes = |strikes| Signals { strikes, ..none };
        check(strikes(2), 0, &[]);
        check(strikes(3), 15, &[("strikes", 15)]);
        check(strikes(u64::MAX), 30, &[("strikes", 30)]);
        let long = Signals {
            known_long: true,
            no_language: true,
            ..none
        };
        check(long, 0, &[("no_language", 5), ("known_long", -20)]);
    }

    #[test]
    fn more_never_lowers_it_and_it_ends_at_100() {
        let linked = Signals {
            linked_subnet: true,
            linked_client: true,
            quarantine: true,
            ..Signals::default()
        };
        assert_eq!(weigh(&linked).score, 100);
        let all = Signals {
            strikes: 100,
            spending: true,
            no_language: true,
            ..linked
        };
        assert_eq!(weigh(&all).score, 100);
    }
}
