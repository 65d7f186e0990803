//! Times in buckets that are 1.1 % wide: 64 for each power of two of microseconds, and only those that are used.

/// Buckets for each power of two.
const PER_OCTAVE: f64 = 64.0;

/// How often each length of time occurred.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Bucket and count, ascending.
    buckets: Vec<(u16, u64)>,
}

/// The bucket of a time. 0 is its own; bucket `b` begins at `2^((b - 1) / 64)` microseconds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "64 x log2 of a 64-bit number is between 0 and 4,096"
)]
fn bucket(us: u64) -> u16 {
    if us == 0 {
        return 0;
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "a bucket is wider than what is lost"
    )]
    let log = (us as f64).log2();
    1 + (log * PER_OCTAVE) as u16
}

/// The middle of a bucket, in microseconds.
fn middle(bucket: u16) -> f64 {
    if bucket == 0 {
        return 0.0;
    }
    ((f64::from(bucket) - 0.5) / PER_OCTAVE).exp2()
}

impl Histogram {
    /// Notes one time in microseconds.
    pub fn add(&mut self, us: u64) {
        self.add_to(bucket(us), 1);
    }

    fn add_to(&mut self, bucket: u16, n: u64) {
        match self.buckets.binary_search_by_key(&bucket, |(at, _)| *at) {
            Ok(at) => {
                if let Some((_, count)) = self.buckets.get_mut(at) {
                    *count = count.saturating_add(n);
                }
            }
            Err(at) => self.buckets.insert(at, (bucket, n)),
        }
    }

    /// Adds all times of another one.
    pub fn merge(&mut self, other: &Histogram) {
        other
            .buckets
            .iter()
            .for_each(|(bucket, n)| self.add_to(*bucket, *n));
    }

    /// How many times were noted.
    pub fn count(&self) -> u64 {
        self.buckets
            .iter()
            .fold(0, |sum, (_, n)| sum.saturating_add(*n))
    }

    /// The time in microseconds below which a share of all lies; at most 1.1 % off. `None` if nothing was noted.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let all = self.count();
        if all == 0 {
            return None;
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a count, rounded up"
        )]
        let rank = ((share.clamp(0.0, 1.0) * all as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, n) in &self.buckets {
            seen += n;
            if seen >= rank {
                return Some(middle(*bucket));
            }
        }
        None
    }

    /// As bytes: distance to the bucket before and count, each in 7 bits a byte.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.buckets.len() * 3);
        let mut last = 0;
        for (bucket, n) in &self.buckets {
            push(&mut bytes, u64::from(bucket - last));
            push(&mut bytes, *n);
            last = *bucket;
        }
        bytes
    }

    /// Reads [`Histogram::encode`]. `None` for bytes that are no histogram.
    pub fn decode(mut bytes: &[u8]) -> Option<Histogram> {
        let mut histogram = Histogram::default();
        let mut at: u16 = 0;
        while !bytes.is_empty() {
            let distance = u16::try_from(pull(&mut bytes)?).ok()?;
            if distance == 0 && !histogram.buckets.is_empty() {
                return None;
            }
            at = at.checked_add(distance)?;
            histogram.buckets.push((at, pull(&mut bytes)?));
        }
        Some(histogram)
    }
}

fn push(bytes: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        bytes.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap_or(0));
}

fn pull(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(first & 0x7f);
        value |= part
            .checked_shl(shift)
            .filter(|moved| moved >> shift == part)?;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_close() {
        let mut histogram = Histogram::default();
        (1..=10_000).for_each(|us| histogram.add(us));
        for (share, expected) in [
            (0.5, 5_000.0),
            (0.95, 9_500.0),
            (0.99, 9_900.0),
            (1.0, 10_000.0),
        ] {
            let found = histogram.quantile(share).unwrap();
            assert!((found / expected - 1.0).abs() < 0.011, "{share}: {found}");
        }
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    #[test]
    fn bytes_give_the_histogram_back() {
        let mut histogram = Histogram::default();
        [0, 0, 1, 7, 1_000_000, u64::MAX]
            .into_iter()
            .for_each(|us| histogram.add(us));
        let mut double = histogram.clone();
        double.merge(&histogram);
        assert_eq!(
            Histogram::decode(&histogram.encode()),
            Some(histogram.clone())
        );
        assert_eq!(double.count(), 2 * histogram.count());
        for bad in [&[0x80u8][..], &[1], &[5, 1, 0, 1], &[0xff; 12]] {
            assert_eq!(Histogram::decode(bad), None, "{bad:?}");
        }
    }
}
