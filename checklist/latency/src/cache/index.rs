//! Nearest neighbours among the vectors of one namespace: exact enough, and fast on one core.
//!
//! Each vector is kept twice: as a sketch of sign bits, after a rotation by random signs and Hadamard transforms (so that
//! every bit hears of every dimension), and as bytes with a scale. The part of differing bits tells the angle (Charikar 2002:
//! angle/pi of the bits differ), so a scan over 128 bits of each vector leaves few, all bits leave fewer, and those are
//! compared by their bytes. The cuts are four standard deviations above what the wanted cosine gives: what is lost is not
//! measurable (`examples/cache_index.rs` measures it).

use super::key::Digest;
use std::collections::HashMap;

/// Words of the sketch that the first scan looks at. Measured: with one word too many pass, with three the scan is slower.
const FIRST_WORDS: usize = 2;
/// Standard deviations between what is expected and the cut.
const DEVIATIONS: f32 = 4.0;
/// Most vectors that are compared by their bytes. Reached where a namespace is full of near copies: then the best sketches.
const COMPARED_MAX: usize = 2_048;
/// Rounds of signs and transforms. Chosen: three are as good as a random rotation (Andoni et al. 2015).
const ROUNDS: u64 = 3;

/// A neighbour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    /// Its key.
    pub key: Digest,
    /// Cosine to the query, from the bytes: within 0.01 of the true one.
    pub cosine: f32,
}

/// Vectors of one length, by key. All costs but `search` are those of one vector.
#[derive(Debug, Default)]
pub struct Index {
    /// Dimensions; set by the first vector.
    dims: usize,
    /// Words of a sketch.
    words: usize,
    keys: Vec<Digest>,
    places: HashMap<Digest, usize>,
    first: Vec<[u64; FIRST_WORDS]>,
    /// `[n, words]`, row-major.
    sketches: Vec<u64>,
    /// `[n, dims]`, row-major.
    codes: Vec<i8>,
    scales: Vec<f32>,
}

impl Index {
    /// How many vectors.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Bytes of memory that a vector of so many dimensions takes, its places in the maps included.
    pub fn bytes_of(dims: usize) -> usize {
        let map = 2 * size_of::<(Digest, usize)>();
        dims + dims.next_power_of_two() / 8 + size_of::<Digest>() + size_of::<u64>() * 3 + map
    }

    /// Adds a vector of any length but zero; it takes the place of an older one of the same key. False if it is of another
    /// length than the others, or is no direction.
    pub fn insert(&mut self, key: Digest, vector: &[f32]) -> bool {
        if self.is_empty() {
            self.dims = vector.len();
            self.words = vector.len().next_power_of_two().div_ceil(64).max(1);
        }
        let Some(unit) = unit(vector).filter(|unit| unit.len() == self.dims) else {
            return false;
        };
        self.remove(&key);
        let sketch = sketch(&unit);
        let (code, scale) = quantized(&unit);
        self.places.insert(key, self.keys.len());
        self.keys.push(key);
        self.first.push(head(&sketch));
        self.sketches.extend(sketch);
        self.codes.extend(code);
        self.scales.push(scale);
        true
    }

    /// Removes a vector.
    pub fn remove(&mut self, key: &Digest) {
        let Some(at) = self.places.remove(key) else {
            return;
        };
        self.keys.swap_remove(at);
        self.first.swap_remove(at);
        self.scales.swap_remove(at);
        swap_remove_row(&mut self.sketches, self.words, at);
        swap_remove_row(&mut self.codes, self.dims, at);
        if let Some(moved) = self.keys.get(at) {
            self.places.insert(*moved, at);
        }
    }

    /// The nearest vectors with at least this cosine, nearest first, at most `count`.
    ///
    /// Cost: 100 000 vectors of 384 dimensions in less than a millisecond (`examples/cache_index.rs`).
    pub fn search(&self, query: &[f32], cosine_min: f32, count: usize) -> Vec<Near> {
        let Some(unit) = unit(query).filter(|unit| unit.len() == self.dims) else {
            return Vec::new();
        };
        let sketch = sketch(&unit);
        let (code, scale) = quantized(&unit);
        let mut near: Vec<Near> = self
            .candidates(&sketch, cosine_min)
            .into_iter()
            .filter_map(|at| {
                let key = *self.keys.get(at)?;
                let other = self.codes.get(at * self.dims..(at + 1) * self.dims)?;
                let cosine = dot(&code, other) * scale * self.scales.get(at)?;
                (cosine >= cosine_min).then_some(Near { key, cosine })
            })
            .collect();
        near.sort_by(|a, b| b.cosine.total_cmp(&a.cosine));
        near.truncate(count);
        near
    }

    /// Places of the vectors whose sketches are near enough.
    fn candidates(&self, sketch: &[u64], cosine_min: f32) -> Vec<usize> {
        let query = head(sketch);
        let first_cut = cut(FIRST_WORDS.min(self.words) * 64, cosine_min);
        let mut passing = Vec::new();
        for (at, bits) in self.first.iter().enumerate() {
            if differing(&query, bits) <= first_cut {
                passing.push(at);
            }
        }
        let all_cut = cut(self.words * 64, cosine_min);
        let mut found: Vec<(u32, usize)> = passing
            .into_iter()
            .filter_map(|at| {
                let bits = self.sketches.get(at * self.words..(at + 1) * self.words)?;
                let differ = differing(sketch, bits);
                (differ <= all_cut).then_some((differ, at))
            })
            .collect();
        if found.len() > COMPARED_MAX {
            found.select_nth_unstable(COMPARED_MAX);
            found.truncate(COMPARED_MAX);
        }
        found.into_iter().map(|(_, at)| at).collect()
    }
}

/// Most bits that may differ where the cosine is at least this: the expected number and some deviations.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a number of bits below a few thousand"
)]
fn cut(bits: usize, cosine_min: f32) -> u32 {
    let part = cosine_min.clamp(-1.0, 1.0).acos() / std::f32::consts::PI;
    let bits = bits as f32;
    let deviation = (bits * part * (1.0 - part)).sqrt();
    (bits * part + DEVIATIONS * deviation + 1.0) as u32
}

fn head(sketch: &[u64]) -> [u64; FIRST_WORDS] {
    let mut first = [0; FIRST_WORDS];
    for (own, word) in first.iter_mut().zip(sketch) {
        *own = *word;
    }
    first
}

fn differing(a: &[u64], b: &[u64]) -> u32 {
    a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum()
}

/// The same direction with length 1; `None` for what is no direction.
fn unit(vector: &[f32]) -> Option<Vec<f32>> {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    let good = length.is_finite() && length > 0.0;
    good.then(|| vector.iter().map(|x| x / length).collect())
}

/// Sign bits after the rotation.
fn sketch(unit: &[f32]) -> Vec<u64> {
    let mut turned = unit.to_vec();
    turned.resize(unit.len().next_power_of_two().max(64), 0.0);
    for round in 0..ROUNDS {
        for (at, chunk) in turned.chunks_mut(64).enumerate() {
            let signs = mixed(round << 32 | u64::try_from(at).unwrap_or(0));
            for (bit, x) in chunk.iter_mut().enumerate() {
                if signs >> bit & 1 == 1 {
                    *x = -*x;
                }
            }
        }
        hadamard(&mut turned);
    }
    let words = turned.chunks(64).map(|chunk| {
        let bits = chunk.iter().enumerate();
        bits.fold(0, |word, (bit, x)| word | u64::from(*x > 0.0) << bit)
    });
    words.collect()
}

/// Fast Walsh-Hadamard transform, not scaled. `data`: a power of two of numbers.
fn hadamard(data: &mut [f32]) {
    let mut half = 1;
    while half < data.len() {
        for block in data.chunks_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            for (a, b) in low.iter_mut().zip(high) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
}

/// Random-looking bits of a number (`SplitMix64`): the same on every node and in every version.
fn mixed(n: u64) -> u64 {
    let mut x = n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ x >> 31
}

/// Bytes and what to multiply them with.
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounded numbers from -127 to 127"
)]
fn quantized(unit: &[f32]) -> (Vec<i8>, f32) {
    let largest = unit.iter().fold(0.0f32, |max, x| max.max(x.abs()));
    let scale = largest / 127.0;
    let code = unit.iter().map(|x| (x / scale).round() as i8);
    (code.collect(), scale)
}

#[expect(clippy::cast_precision_loss, reason = "a score, not a count")]
fn dot(a: &[i8], b: &[i8]) -> f32 {
    let pairs = a.iter().zip(b);
    pairs
        .map(|(a, b)| i32::from(i16::from(*a) * i16::from(*b)))
        .sum::<i32>() as f32
}

fn swap_remove_row<T: Copy>(rows: &mut Vec<T>, width: usize, at: usize) {
    let last = rows.len().saturating_sub(width);
    rows.copy_within(last.., at * width);
    rows.truncate(last);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(n: u64) -> Digest {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        Digest(bytes)
    }

    fn random(rng: &mut fastrand::Rng, dims: usize) -> Vec<f32> {
        (0..dims)
            .map(|_| rng.f32() + rng.f32() + rng.f32() - 1.5)
            .collect()
    }

    fn cosine(a: &[f32], b: &[f32]) -> f32 {
        let (a, b) = (unit(a).unwrap(), unit(b).unwrap());
        a.iter().zip(&b).map(|(a, b)| a * b).sum()
    }

    /// A vector whose cosine to `of` is about `cosine`.
    fn beside(rng: &mut fastrand::Rng, of: &[f32], cosine: f32) -> Vec<f32> {
        let (of, other) = (unit(of).unwrap(), unit(&random(rng, of.len())).unwrap());
        let away = (1.0 - cosine * cosine).sqrt();
        of.iter()
            .zip(&other)
            .map(|(a, b)| a * cosine + b * away)
            .collect()
    }

    #[test]
    fn neighbours_are_found_with_their_cosine() {
        let mut rng = fastrand::Rng::with_seed(7);
        for dims in [384, 100, 32, 1_536] {
            let mut index = Index::default();
            let mut all = Vec::new();
            for n in 0..2_000 {
                let vector = random(&mut rng, dims);
                index.insert(key(n), &vector);
                all.push(vector);
            }
            let (mut wanted, mut found) = (0, 0);
            for (n, vector) in all.iter().enumerate().take(300) {
                let cosine_of = 0.82 + 0.17 * rng.f32();
                let query = beside(&mut rng, vector, cosine_of);
                let true_cosine = cosine(&query, vector);
                if true_cosine < 0.81 {
                    continue;
                }
                wanted += 1;
                let near = index.search(&query, 0.8, 5);
                let hit = near.iter().find(|near| near.key == key(n as u64));
                if let Some(hit) = hit {
                    found += 1;
                    assert!(
                        (hit.cosine - true_cosine).abs() < 0.02,
                        "{hit:?} {true_cosine}"
                    );
                }
            }
            assert!(
                wanted > 150 && found * 1000 >= wanted * 990,
                "{dims}: {found} of {wanted}"
            );
        }
    }

    #[test]
    fn the_nearest_comes_first_and_no_more_than_wanted() {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut index = Index::default();
        let base = random(&mut rng, 384);
        for n in 0..50u8 {
            let vector = beside(&mut rng, &base, 0.9 + f32::from(n) * 0.001);
            index.insert(key(u64::from(n)), &vector);
        }
        let near = index.search(&base, 0.85, 3);
        assert_eq!(near.len(), 3);
        assert!(near.windows(2).all(|pair| pair[0].cosine >= pair[1].cosine));
        assert!(index.search(&base, 0.9999, 3).is_empty());
    }

    #[test]
    fn what_is_no_direction_is_not_taken() {
        let mut index = Index::default();
        assert!(!index.insert(key(1), &[0.0; 8]));
        assert!(!index.insert(key(1), &[f32::NAN; 8]));
        assert!(index.insert(key(1), &[1.0; 8]));
        assert!(!index.insert(key(2), &[1.0; 9]));
        assert!(index.search(&[1.0; 9], 0.5, 1).is_empty());
        assert_eq!(index.search(&[2.0; 8], 0.5, 1).len(), 1);
    }

    proptest! {
        /// After any history the vectors that are there are found by their own, and no others.
        #[test]
        fn what_is_removed_is_gone(steps in proptest::collection::vec((0u64..30, any::<bool>()), 1..200)) {
            let mut index = Index::default();
            let mut there = std::collections::BTreeSet::new();
            let vector = |n: u64| random(&mut fastrand::Rng::with_seed(n), 70);
            for (n, adds) in steps {
                if adds {
                    index.insert(key(n), &vector(n));
                    there.insert(n);
                } else {
                    index.remove(&key(n));
                    there.remove(&n);
                }
            }
            prop_assert_eq!(index.len(), there.len());
            for n in 0..30 {
                let near = index.search(&vector(n), 0.98, 1);
                prop_assert_eq!(near.first().map(|near| near.key), there.contains(&n).then(|| key(n)));
            }
        }
    }
}
