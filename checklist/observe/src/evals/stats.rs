//! The few statistics that evaluations need. All give `None` where they say nothing, never a number that looks like one.

use std::cmp::Ordering;
use std::collections::BTreeSet;

/// Resamples of a bootstrap. Chosen: ends of a 95 % interval then vary by about a hundredth of its width.
const RESAMPLES: usize = 2_000;
/// Of more values the mean is normal for any scores between 0 and 1, and resampling takes seconds.
const RESAMPLED_MAX: usize = 5_000;

/// A mean with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Mean.
    pub mean: f64,
    /// 2.5 % of resampled means are below.
    pub low: f64,
    /// 2.5 % are above.
    pub high: f64,
    /// Values.
    pub n: usize,
}

impl Interval {
    /// Whether a value lies outside.
    pub fn excludes(&self, value: f64) -> bool {
        value < self.low || value > self.high
    }
}

/// Mean; `None` of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The value below which a share of all values lies, interpolated.
///
/// * `share`: `0.0..=1.0`.
pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = share.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let below = index(place.floor());
    let (low, high) = (*sorted.get(below)?, sorted.get(below + 1));
    let part = place - place.floor();
    Some(high.map_or(low, |high| low + part * (high - low)))
}

/// A number that is known to be whole, not negative and small, as an index.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and callers look the index up with a check"
)]
fn index(place: f64) -> usize {
    place as usize
}

/// Mean and percentile bootstrap interval (B. Efron, "Bootstrap methods: another look at the jackknife", 1979). The same
/// seed gives the same interval. Of very many values it is the normal one. Of fewer than two values the interval is as wide as scores can be.
pub fn bootstrap(values: &[f64], seed: u64) -> Option<Interval> {
    let (n, mean) = (values.len(), mean(values)?);
    if n < 2 {
        let (low, high) = (-1.0, 1.0);
        return Some(Interval { mean, low, high, n });
    }
    if n > RESAMPLED_MAX {
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let half = 1.96 * (squares / (n - 1) as f64 / n as f64).sqrt();
        return Some(Interval {
            mean,
            low: mean - half,
            high: mean + half,
            n,
        });
    }
    let mut random = fastrand::Rng::with_seed(seed);
    let resampled: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let sum: f64 = (0..n).filter_map(|_| values.get(random.usize(..n))).sum();
            sum / n as f64
        })
        .collect();
    Some(Interval {
        mean,
        low: quantile(&resampled, 0.025)?,
        high: quantile(&resampled, 0.975)?,
        n,
    })
}

/// Cohen's kappa of two raters (J. Cohen, "A coefficient of agreement for nominal scales", 1960): 1 they always agree, 0 as
/// often as by chance. `None` where one of them always says the same, since chance alone explains everything then.
pub fn kappa<T: Ord>(pairs: &[(T, T)]) -> Option<f64> {
    let n = pairs.len() as f64;
    let share =
        |fits: &dyn Fn(&(T, T)) -> bool| pairs.iter().filter(|pair| fits(pair)).count() as f64 / n;
    let labels: BTreeSet<&T> = pairs.iter().flat_map(|(a, b)| [a, b]).collect();
    let shares: Vec<(f64, f64)> = labels
        .iter()
        .map(|label| (share(&|(a, _)| a == *label), share(&|(_, b)| b == *label)))
        .collect();
    if pairs.is_empty() || shares.iter().any(|(a, b)| *a == 1.0 || *b == 1.0) {
        return None;
    }
    let agreed = share(&|(a, b)| a == b);
    let chance: f64 = shares.iter().map(|(a, b)| a * b).sum();
    Some((agreed - chance) / (1.0 - chance))
}

/// Area under the ROC curve: how often a good one has the higher score than a bad one, ties counting half. `None` without
/// both.
pub fn auc(scored: &[(f64, bool)]) -> Option<f64> {
    let scores: Vec<f64> = scored.iter().map(|(score, _)| *score).collect();
    let ranks = ranks(&scores);
    let good = scored.iter().filter(|(_, good)| *good).count() as f64;
    let bad = scored.len() as f64 - good;
    if good == 0.0 || bad == 0.0 {
        return None;
    }
    let sum: f64 = ranks
        .iter()
        .zip(scored)
        .filter(|(_, (_, good))| *good)
        .map(|(rank, _)| rank)
        .sum();
    Some((sum - good * (good + 1.0) / 2.0) / (good * bad))
}

/// Ranks from 1; equal values share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<(usize, f64)> = values.iter().copied().enumerate().collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    for group in order.chunk_by(|a, b| a.1.total_cmp(&b.1) == Ordering::Equal) {
        let rank = from as f64 + (group.len() as f64 + 1.0) / 2.0;
        for (at, _) in group {
            if let Some(place) = ranks.get_mut(*at) {
                *place = rank;
            }
        }
        from += group.len();
    }
    ranks
}

/// Spearman's rank correlation, ties averaged. `None` where one side does not vary.
pub fn spearman(pairs: &[(f64, f64)]) -> Option<f64> {
    let (first, second): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let (first, second) = (ranks(&first), ranks(&second));
    let (a, b) = (mean(&first)?, mean(&second)?);
    let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
        first
            .iter()
            .zip(&second)
            .map(|(x, y)| f(x - a, y - b))
            .sum()
    };
    let (cross, own, other) = (sum(&|x, y| x * y), sum(&|x, _| x * x), sum(&|_, y| y * y));
    (own > 0.0 && other > 0.0).then(|| cross / (own * other).sqrt())
}

/// Probability that chi-square with `df` degrees of freedom is at least `x`: the upper regularized incomplete gamma
/// function, by its series and its continued fraction (W. Press et al., "Numerical Recipes", section 6.2).
pub fn chi_square_tail(x: f64, df: f64) -> f64 {
    let (a, x) = (df / 2.0, x / 2.0);
    if x <= 0.0 || a <= 0.0 {
        return 1.0;
    }
    let scale = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        while term > sum * 1e-15 {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        return (1.0 - sum * scale).clamp(0.0, 1.0);
    }
    let tiny = 1e-300;
    let mut b = x + 1.0 - a;
    let (mut c, mut d) = (1.0 / tiny, 1.0 / b);
    let mut h = d;
    for i in 1..500_u32 {
        let i = f64::from(i);
        let an = -i * (i - a);
        b += 2.0;
        d = 1.0 / not_zero(an * d + b, tiny);
        c = not_zero(b + an / c, tiny);
        h *= d * c;
        if (d * c - 1.0).abs() < 1e-14 {
            break;
        }
    }
    (scale * h).clamp(0.0, 1.0)
}

fn not_zero(x: f64, tiny: f64) -> f64 {
    if x.abs() < tiny { tiny } else { x }
}

/// Logarithm of the gamma function for `x > 0` (C. Lanczos, with the coefficients of "Numerical Recipes", error < 2e-10).
fn ln_gamma(x: f64) -> f64 {
    const C: [f64; 6] = [
        76.180_091_729_471_46,
        -86.505_320_329_416_77,
        24.014_098_240_830_91,
        -1.231_739_572_450_155,
        0.120_865_097_386_617_9e-2,
        -0.539_523_938_495_3e-5,
    ];
    let t = x + 5.5;
    let mut sum = 1.000_000_000_190_015;
    let mut y = x;
    for c in C {
        y += 1.0;
        sum += c / y;
    }
    (x + 0.5) * t.ln() - t + (2.506_628_274_631_000_5 * sum / x).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kappa_takes_chance_out() {
        // 20 x both yes, 15 x both no, 5 and 10 mixed: a textbook case, kappa 0.4.
        let of = |a: &'static str, b: &'static str, n: usize| std::iter::repeat_n((a, b), n);
        let (yes, no) = ("accurate", "inaccurate");
        let pairs: Vec<(&str, &str)> = of(yes, yes, 20)
            .chain(of(yes, no, 5))
            .chain(of(no, yes, 10))
            .chain(of(no, no, 15))
            .collect();
        assert!((kappa(&pairs).unwrap() - 0.4).abs() < 1e-9);
        assert_eq!(kappa::<&str>(&[]), None);
        assert_eq!(kappa(&[(yes, yes), (yes, yes)]), None);
    }

    fn near(found: Option<f64>, expected: f64) {
        assert!(
            (found.unwrap() - expected).abs() < 1e-3,
            "{found:?} {expected}"
        );
    }

    #[test]
    fn quantiles_interpolate() {
        near(quantile(&[4.0, 1.0, 3.0, 2.0], 0.5), 2.5);
        near(quantile(&[5.0], 0.95), 5.0);
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn agreement_has_its_known_values() {
        // J. Cohen's form with 20, 5, 10, 15: kappa 0.4.
        let mut pairs = vec![(true, true); 20];
        pairs.extend([(true, false); 5]);
        pairs.extend([(false, true); 10]);
        pairs.extend([(false, false); 15]);
        near(kappa(&pairs), 0.4);
        assert_eq!(kappa(&[(true, true), (true, false)]), None);
        assert_eq!(kappa::<bool>(&[]), None);
        near(
            auc(&[(0.1, false), (0.4, false), (0.35, true), (0.8, true)]),
            0.75,
        );
        near(auc(&[(0.5, false), (0.5, true)]), 0.5);
        assert_eq!(auc(&[(0.5, true)]), None);
        near(spearman(&[(1.0, 2.0), (2.0, 4.0), (3.0, 9.0)]), 1.0);
        near(spearman(&[(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)]), -1.0);
        assert_eq!(spearman(&[(1.0, 3.0), (1.0, 2.0)]), None);
    }

    #[test]
    fn chi_square_has_its_tabled_values() {
        for (x, df, p) in [
            (3.841, 1.0, 0.05),
            (10.828, 1.0, 0.001),
            (18.307, 10.0, 0.05),
            (2.0, 4.0, 0.7358),
            (0.0, 3.0, 1.0),
            (500.0, 10.0, 0.0),
        ] {
            let found = chi_square_tail(x, df);
            assert!((found - p).abs() < 2e-4, "{x} {df}: {found}");
        }
    }

    /// 95 % intervals hold the true mean about as often as they say.
    #[test]
    fn bootstrap_intervals_cover() {
        let mut random = fastrand::Rng::with_seed(11);
        let trials = 200;
        let covered = (0..trials)
            .filter(|seed| {
                let values: Vec<f64> = (0..60).map(|_| random.f64()).collect();
                !bootstrap(&values, *seed).unwrap().excludes(0.5)
            })
            .count();
        assert!((180..=199).contains(&covered), "{covered} of {trials}");
        let one = bootstrap(&[0.4], 1).unwrap();
        assert!(!one.excludes(0.0) && !one.excludes(1.0));
        assert_eq!(bootstrap(&[], 1), None);
    }
}
