//! In which order the targets of a route are asked.
//!
//! `fastest` is the power of two choices over peak EWMA (as in Finagle): of two targets by chance the one with the lower
//! cost. Chance is replaced by the conversation where there is one, so that its turns find the provider's prompt cache.

use std::cmp::Ordering;
use std::time::Duration;

/// How a route chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choose {
    /// In the order of the file.
    #[default]
    Ordered,
    /// By chance, by weight.
    Weighted,
    /// The one with the fewest calls in flight for its weight.
    LeastBusy,
    /// The one that is likely to answer first.
    Fastest,
    /// The one with the lowest price, of those that are fast enough.
    Cheapest {
        /// Typical time to the first content that is still fast enough.
        ttft_max: Option<Duration>,
    },
}

/// What is known of a target when it is chosen.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    /// Its number in the route.
    pub index: usize,
    /// Its place in the file; several keys share one.
    pub rank: usize,
    /// Its share, above 0.
    pub weight: f64,
    /// Calls in flight.
    pub in_flight: u32,
    /// A call would have to wait for its turn.
    pub waits: bool,
    /// Average time until there is something for the client.
    pub ttft_ms: Option<f64>,
    /// Share of calls that failed lately.
    pub error_rate: f64,
    /// Price of a typical call; none where it is not known.
    pub price: Option<i64>,
    /// A number of its own that stays the same.
    pub seat: u64,
}

/// Of a target that nobody has measured. Chosen: low, so that it is measured soon.
const UNMEASURED_MS: f64 = 1.0;
const ERRORS_COUNT: f64 = 10.0;

impl Candidate {
    /// Expected wait, as it is compared.
    pub fn cost(&self) -> f64 {
        let ttft = self.ttft_ms.unwrap_or(UNMEASURED_MS);
        ttft * (f64::from(self.in_flight) + 1.0) / self.weight
            * (1.0 + ERRORS_COUNT * self.error_rate)
    }

    fn load(&self) -> f64 {
        (f64::from(self.in_flight) + 1.0) / self.weight
    }
}

/// Puts candidates in the order in which they are asked. Those with a free slot come before those where a call has to wait,
/// but for `ordered`, where that decides among the keys of one target alone.
///
/// * `conversation`: what turns of one conversation have in common; none where that is not known.
/// * `seed`: a random number, used where there is no conversation.
pub fn order(choose: Choose, candidates: &mut [Candidate], conversation: Option<u64>, seed: u64) {
    if candidates.len() < 2 {
        return;
    }
    let luck = |candidate: &Candidate| unit(candidate.seat ^ conversation.unwrap_or(seed));
    let by_luck = |a: &Candidate, b: &Candidate| luck(a).total_cmp(&luck(b));
    match choose {
        Choose::Ordered => candidates.sort_by(|a, b| {
            a.rank
                .cmp(&b.rank)
                .then(a.waits.cmp(&b.waits))
                .then(a.in_flight.cmp(&b.in_flight))
                .then_with(|| by_luck(a, b))
        }),
        // Weighted sampling without replacement (Efraimidis and Spirakis, 2006).
        Choose::Weighted => {
            let key = |candidate: &Candidate| -luck(candidate).ln() / candidate.weight;
            candidates.sort_by(|a, b| key(a).total_cmp(&key(b)));
        }
        Choose::LeastBusy => {
            candidates.sort_by(|a, b| a.load().total_cmp(&b.load()).then_with(|| by_luck(a, b)));
        }
        Choose::Fastest => {
            candidates.sort_by(by_luck);
            let (two, rest) = candidates.split_at_mut(2);
            two.sort_by(|a, b| a.cost().total_cmp(&b.cost()));
            rest.sort_by(|a, b| a.cost().total_cmp(&b.cost()));
        }
        Choose::Cheapest { ttft_max } => {
            let slow = |candidate: &Candidate| match (ttft_max, candidate.ttft_ms) {
                (Some(most), Some(ms)) => ms > most.as_secs_f64() * 1e3,
                _ => false,
            };
            candidates.sort_by(|a, b| {
                slow(a)
                    .cmp(&slow(b))
                    .then(by_price(a.price, b.price))
                    .then(a.rank.cmp(&b.rank))
                    .then(a.in_flight.cmp(&b.in_flight))
                    .then_with(|| by_luck(a, b))
            });
        }
    }
    if choose != Choose::Ordered {
        candidates.sort_by_key(|one| one.waits);
    }
}

/// A price that is not known comes last.
fn by_price(a: Option<i64>, b: Option<i64>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

/// A number in `0.0..1.0`, never 0, that looks random (the finaliser of `SplitMix64`).
fn unit(seed: u64) -> f64 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 31;
    #[expect(clippy::cast_precision_loss, reason = "52 bits fit")]
    let fraction = (x >> 12) as f64 / (1u64 << 52) as f64;
    fraction.max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(count: usize) -> Vec<Candidate> {
        (0..count)
            .map(|index| Candidate {
                index,
                rank: index,
                weight: 1.0,
                in_flight: 0,
                waits: false,
                ttft_ms: Some(100.0),
                error_rate: 0.0,
                price: None,
                seat: 7919 * (index as u64 + 1),
            })
            .collect()
    }

    fn first(choose: Choose, all: &[Candidate], conversation: Option<u64>, seed: u64) -> usize {
        let mut all = all.to_vec();
        order(choose, &mut all, conversation, seed);
        all[0].index
    }

    /// How often each of `count` comes first.
    fn shares(choose: Choose, all: &[Candidate]) -> Vec<u32> {
        let mut shares = vec![0; all.len()];
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..10_000 {
            shares[first(choose, all, None, random.u64(..))] += 1;
        }
        shares
    }

    #[test]
    fn nothing_is_lost_in_any_order() {
        let mut random = fastrand::Rng::with_seed(1);
        let ways = [
            Choose::Ordered,
            Choose::Weighted,
            Choose::LeastBusy,
            Choose::Fastest,
            Choose::Cheapest { ttft_max: None },
        ];
        for choose in ways {
            for count in 0..9 {
                let mut all = candidates(count);
                for one in &mut all {
                    one.in_flight = random.u32(0..4);
                    one.waits = random.bool();
                    one.ttft_ms = random.bool().then(|| random.f64() * 1e3);
                    one.price = random.bool().then(|| random.i64(0..9));
                }
                order(choose, &mut all, None, random.u64(..));
                let mut found: Vec<usize> = all.iter().map(|one| one.index).collect();
                found.sort_unstable();
                assert_eq!(found, (0..count).collect::<Vec<_>>(), "{choose:?}");
            }
        }
    }

    #[test]
    fn weights_are_shares() {
        let mut all = candidates(2);
        all[0].weight = 3.0;
        let shares = shares(Choose::Weighted, &all);
        assert!((7_300..7_700).contains(&shares[0]), "{shares:?}");
    }

    #[test]
    fn a_conversation_stays_where_it_is() {
        let all = candidates(4);
        for conversation in 0..100 {
            for choose in [Choose::Weighted, Choose::Fastest, Choose::LeastBusy] {
                let firsts = (0..5).map(|seed| first(choose, &all, Some(conversation), seed));
                let firsts: Vec<usize> = firsts.collect();
                assert!(firsts.windows(2).all(|pair| pair[0] == pair[1]));
            }
        }
    }

    #[test]
    fn the_slow_and_the_failing_are_passed_over() {
        let mut all = candidates(3);
        all[0].ttft_ms = Some(1000.0);
        all[1].error_rate = 0.5;
        let shares = shares(Choose::Fastest, &all);
        // The slow one never wins; the failing one only against the slow one.
        assert_eq!(shares[0], 0, "{shares:?}");
        assert!(shares[2] > 6_000 && shares[1] < 3_700, "{shares:?}");
    }

    #[test]
    fn keys_of_one_target_share_and_the_next_target_waits() {
        let mut all = candidates(3);
        all[1].rank = 0;
        let shares = shares(Choose::Ordered, &all);
        assert!(shares[0] > 4_500 && shares[1] > 4_500, "{shares:?}");
        assert_eq!(shares[2], 0);
        all[0].in_flight = 3;
        assert_eq!(first(Choose::Ordered, &all, None, 3), 1);
    }

    #[test]
    fn a_free_slot_is_taken_before_waiting() {
        let mut all = candidates(3);
        all[0].waits = true;
        all[1].waits = true;
        all[0].price = Some(1);
        for choose in [
            Choose::Weighted,
            Choose::LeastBusy,
            Choose::Fastest,
            Choose::Cheapest { ttft_max: None },
        ] {
            for seed in 0..20 {
                assert_eq!(first(choose, &all, Some(seed), seed), 2, "{choose:?}");
            }
        }
        // The operator's order holds, but for the keys of one target.
        assert_eq!(first(Choose::Ordered, &all, None, 3), 0);
        all[2].rank = 0;
        assert_eq!(first(Choose::Ordered, &all, None, 3), 2);
    }

    #[test]
    fn the_cheapest_has_to_be_fast_enough() {
        let mut all = candidates(3);
        all[0].price = Some(3);
        all[1].price = Some(1);
        all[1].ttft_ms = Some(5000.0);
        let any = Choose::Cheapest { ttft_max: None };
        assert_eq!(first(any, &all, None, 1), 1);
        let ttft_max = Some(Duration::from_secs(1));
        assert_eq!(first(Choose::Cheapest { ttft_max }, &all, None, 1), 0);
    }
}
