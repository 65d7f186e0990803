//! How often something was seen in a window of time, for any number of things in memory of a fixed size.
//!
//! A count-min sketch (Cormode and Muthukrishnan, 2005) with conservative update (Estan and Varghese, 2002) in two
//! generations, each as long as the window: the generation before counts with the part of it that is still in the window. What
//! it says is never less than what was seen in a whole generation; it is more where many other things were seen, by less than
//! their number / 24,000 almost surely. Adding at the same time from several threads may count some too few by each other's
//! race, never lose the order of magnitude.

use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

/// Counters of a row. A power of two.
const WIDTH: usize = 1 << 16;
/// Rows.
const DEPTH: usize = 4;

struct Generation {
    cells: Box<[AtomicU16]>,
}

impl Generation {
    fn new() -> Self {
        Generation {
            cells: (0..WIDTH * DEPTH).map(|_| AtomicU16::new(0)).collect(),
        }
    }

    fn clear(&self) {
        for cell in &self.cells {
            cell.store(0, Ordering::Relaxed);
        }
    }

    fn places(&self, hash: u64) -> impl Iterator<Item = &AtomicU16> {
        let mask = u64::try_from(WIDTH - 1).unwrap_or(0);
        (0..DEPTH).filter_map(move |row| {
            let shift = 16 * u32::try_from(row).unwrap_or(0);
            let column = usize::try_from((hash >> shift) & mask).unwrap_or(0);
            self.cells.get(row * WIDTH + column)
        })
    }

    fn get(&self, hash: u64) -> u16 {
        let seen = self.places(hash).map(|cell| cell.load(Ordering::Relaxed));
        seen.min().unwrap_or(0)
    }

    fn add(&self, hash: u64) -> u16 {
        let more = self.get(hash).saturating_add(1);
        for cell in self.places(hash) {
            cell.fetch_max(more, Ordering::Relaxed);
        }
        more
    }
}

/// Counts of a sliding window. 1 MiB.
pub struct Sketch {
    window_ms: u64,
    /// Number of the generation that is counted in.
    epoch: AtomicU64,
    generations: [Generation; 2],
}

impl Sketch {
    /// Over a window of so many milliseconds.
    pub fn new(window_ms: u64) -> Self {
        Sketch {
            window_ms: window_ms.max(1),
            epoch: AtomicU64::new(0),
            generations: [Generation::new(), Generation::new()],
        }
    }

    /// Its window in milliseconds.
    pub fn window_ms(&self) -> u64 {
        self.window_ms
    }

    /// The generation of now, the one before, and how many thousandths of that one are in the window.
    fn turn(&self, now_ms: u64) -> (&Generation, &Generation, u64) {
        let [even, odd] = &self.generations;
        let mut wanted = now_ms / self.window_ms;
        let known = self.epoch.load(Ordering::Acquire);
        if wanted > known {
            let won =
                self.epoch
                    .compare_exchange(known, wanted, Ordering::AcqRel, Ordering::Acquire);
            if won.is_ok() {
                let fresh = if wanted.is_multiple_of(2) { even } else { odd };
                fresh.clear();
                if wanted - known > 1 {
                    let before = if wanted.is_multiple_of(2) { odd } else { even };
                    before.clear();
                }
            }
        } else {
            // Time that goes backwards is taken for the latest that is known.
            wanted = known;
        }
        let into = now_ms
            .saturating_sub(wanted.saturating_mul(self.window_ms))
            .min(self.window_ms);
        let rest = (self.window_ms - into).saturating_mul(1000) / self.window_ms;
        if wanted.is_multiple_of(2) {
            (even, odd, rest)
        } else {
            (odd, even, rest)
        }
    }

    fn sum(own: u16, before: u16, rest: u64) -> u64 {
        u64::from(own) + (u64::from(before) * rest).div_ceil(1000)
    }

    /// One more of a thing: how many there are now.
    pub fn add(&self, hash: u64, now_ms: u64) -> u64 {
        let (own, before, rest) = self.turn(now_ms);
        Self::sum(own.add(hash), before.get(hash), rest)
    }

    /// How many of a thing there are.
    pub fn get(&self, hash: u64, now_ms: u64) -> u64 {
        let (own, before, rest) = self.turn(now_ms);
        Self::sum(own.get(hash), before.get(hash), rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(rng: &mut fastrand::Rng) -> u64 {
        rng.u64(..)
    }

    #[test]
    fn what_is_seen_is_counted_and_slides_out() {
        let sketch = Sketch::new(1000);
        for n in 1..=10 {
            assert_eq!(sketch.add(7, 5_000), n);
        }
        assert_eq!(sketch.get(7, 5_999), 10);
        assert_eq!(sketch.get(7, 6_500), 5, "half of it is over");
        assert_eq!(sketch.get(7, 7_000), 0);
        assert_eq!(sketch.get(7, 900_000), 0);
        assert_eq!(sketch.add(7, 900_000), 1);
        assert_eq!(sketch.add(7, 10), 2, "a clock that goes backwards");
    }

    #[test]
    fn many_others_do_not_make_one_look_bad() {
        let mut rng = fastrand::Rng::with_seed(3);
        let sketch = Sketch::new(60_000);
        for _ in 0..100_000 {
            sketch.add(hash(&mut rng), 1_000);
        }
        let worst = (0..1000).map(|_| sketch.get(hash(&mut rng), 1_000)).max();
        assert!(worst.unwrap() <= 4, "{worst:?}");
    }

    #[test]
    fn a_generation_is_never_counted_too_low() {
        let mut rng = fastrand::Rng::with_seed(5);
        let sketch = Sketch::new(60_000);
        let own: Vec<u64> = (0..200).map(|_| hash(&mut rng)).collect();
        for round in 1..=50 {
            for one in &own {
                assert!(sketch.add(*one, 1_000) >= round);
            }
            sketch.add(hash(&mut rng), 1_000);
        }
    }
}
