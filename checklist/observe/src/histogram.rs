//! Times in buckets that are 1.1 % wide: 64 for each power of two of microseconds, and only those that are used.

/// Buckets for each power of two.
const PER_OCTAVE: f64 = 64.0;

/// How often each length of time occurred.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Bucket and count, ascending.
    buckets: Vec<(u16, u64)>,
    /// Buckets of times that are not in `buckets` yet: they are sorted in many at a time.
    pending: Vec<u16>,
}

/// Times that are sorted in at once.
const PENDING_MAX: usize = 256;

/// The sum of two ascending lists.
fn merged(a: &[(u16, u64)], b: &[(u16, u64)]) -> Vec<(u16, u64)> {
    let mut out: Vec<(u16, u64)> = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    loop {
        let next = match (a.peek(), b.peek()) {
            (Some((x, _)), Some((y, _))) if x == y => {
                let sum = a.next().map_or(0, |(_, n)| *n);
                b.next().map(|(bucket, n)| (*bucket, n.saturating_add(sum)))
            }
            (Some((x, _)), Some((y, _))) if x > y => b.next().copied(),
            (Some(_), _) => a.next().copied(),
            (None, _) => b.next().copied(),
        };
        match next {
            Some(pair) => out.push(pair),
            None => return out,
        }
    }
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
        self.pending.push(bucket(us));
        if self.pending.len() >= PENDING_MAX {
            self.settle();
        }
    }

    /// Sorts in what is pending.
    fn settle(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let mut fresh = std::mem::take(&mut self.pending);
        fresh.sort_unstable();
        let mut counted: Vec<(u16, u64)> = Vec::with_capacity(fresh.len());
        for bucket in &fresh {
            match counted.last_mut() {
                Some((last, n)) if last == bucket => *n += 1,
                _ => counted.push((*bucket, 1)),
            }
        }
        self.buckets = merged(&self.buckets, &counted);
        fresh.clear();
        self.pending = fresh;
    }

    /// Adds all times of another one.
    pub fn merge(&mut self, other: &Histogram) {
        self.settle();
        self.buckets = merged(&self.buckets, &other.buckets);
        other
            .pending
            .iter()
            .for_each(|bucket| self.pending.push(*bucket));
        self.settle();
    }

    /// How many times were noted.
    pub fn count(&self) -> u64 {
        let pending = u64::try_from(self.pending.len()).unwrap_or(u64::MAX);
        let settled = self.buckets.iter().map(|(_, n)| *n);
        settled.fold(pending, u64::saturating_add)
    }

    /// The time in microseconds below which a share of all lies; at most 1.1 % off. `None` if nothing was noted.
    pub fn quantile(&mut self, share: f64) -> Option<f64> {
        self.settle();
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
    pub fn encode(&mut self) -> Vec<u8> {
        self.settle();
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

/// Sum of many encoded histograms: a place for each bucket, so that adding one costs little.
#[derive(Debug, Clone, Default)]
pub struct Sum(Vec<u64>);

impl Sum {
    /// Adds [`Histogram::encode`]d bytes. `None` for bytes that are no histogram.
    pub fn add(&mut self, mut bytes: &[u8]) -> Option<()> {
        let (mut at, mut first) = (0usize, true);
        while !bytes.is_empty() {
            let distance = usize::from(u16::try_from(pull(&mut bytes)?).ok()?);
            if distance == 0 && !first {
                return None;
            }
            first = false;
            at = at
                .checked_add(distance)
                .filter(|at| *at <= usize::from(u16::MAX))?;
            let n = pull(&mut bytes)?;
            if self.0.len() <= at {
                self.0.resize(at + 1, 0);
            }
            let place = self.0.get_mut(at)?;
            *place = place.saturating_add(n);
        }
        Some(())
    }

    /// The sum.
    pub fn total(&self) -> Histogram {
        let used = (0u16..).zip(&self.0).filter(|(_, n)| **n > 0);
        Histogram {
            buckets: used.map(|(bucket, n)| (bucket, *n)).collect(),
            pending: Vec::new(),
        }
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
        let mut sum = Sum::default();
        assert_eq!(sum.total(), Histogram::default());
        for _ in 0..2 {
            sum.add(&histogram.encode()).unwrap();
        }
        assert_eq!(sum.total(), double);
        for bad in [&[0x80u8][..], &[1], &[5, 1, 0, 1], &[0xff; 12]] {
            assert_eq!(Histogram::decode(bad), None, "{bad:?}");
            assert_eq!(Sum::default().add(bad), None, "{bad:?}");
        }
    }
}
