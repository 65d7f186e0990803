//! Trains the weights of the name model:
//! `cargo run --release -p aplomb-models --example train_names -- names.bin words.tsv...`
//!
//! A line of a words file is a word, its hints, whether a sentence starts, and its tag (`P+`, `P`, `L+`, ..., `-`), with
//! tabs between; an empty line ends a run. `aplomb-privacy`'s example `name_words` writes such files.
//!
//! Stochastic gradient descent (AdaGrad) on the likelihood of the tags, one thread, seeded: the same files give the same
//! weights. One run in twenty is kept apart, and what the rounded weights reach on it is printed.

#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a tool of the developers: it may stop at a wrong file"
)]

use std::collections::HashMap;
use std::error::Error;

use aplomb_models::names::feature::{FEATURES_MAX, Run};
use aplomb_models::names::{
    KINDS, Kind, NameModel, OUTSIDE, SET_ROWS, Set, TAGS, Weights, Word, place, tag, write,
};

const EPOCHS: usize = 6;
const RATE: f32 = 0.12;
/// Pull towards 0 at each step of a weight.
const DECAY: f32 = 2e-6;
/// A feature seen less often is noise.
const COUNT_MIN: u32 = 3;
/// 2^15 sets of eight rows: a file of 2 MiB.
const SETS: usize = 1 << 15;
/// Weights reach 127 units, so 8 nats.
const NAT: u16 = 16;

#[derive(Clone)]
struct Sample {
    words: Vec<(String, u16, bool)>,
    tags: Vec<usize>,
}

impl Sample {
    fn words(&self) -> Vec<Word<'_>> {
        self.words
            .iter()
            .map(|(text, hints, start)| Word {
                text,
                hints: *hints,
                start: *start,
            })
            .collect()
    }
}

fn tag_of(name: &str) -> Option<usize> {
    let kind = match name.chars().next()? {
        'P' => Kind::Person,
        'L' => Kind::Location,
        'O' => Kind::Organization,
        _ => return Some(OUTSIDE),
    };
    Some(tag(kind, name.ends_with('+')))
}

fn samples(path: &str) -> Result<Vec<Sample>, Box<dyn Error>> {
    let (mut all, mut words, mut tags) = (Vec::new(), Vec::new(), Vec::new());
    for line in std::fs::read_to_string(path)?.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        if let [text, hints, start, name] = fields.as_slice() {
            words.push((text.replace("\\n", "\n"), hints.parse()?, *start == "1"));
            tags.push(tag_of(name).ok_or("no tag")?);
        } else {
            all.push(Sample {
                words: std::mem::take(&mut words),
                tags: std::mem::take(&mut tags),
            });
        }
    }
    Ok(all)
}

/// A copy in which lists know less, and sometimes nobody used capitals.
fn varied(sample: &Sample, random: &mut fastrand::Rng) -> Sample {
    let mut copy = sample.clone();
    let (forget, small) = (random.f32() < 0.5, random.f32() < 0.1);
    for ((text, hints, _), tag) in copy.words.iter_mut().zip(&copy.tags) {
        let share = if *tag == OUTSIDE { 0.01 } else { 0.6 };
        if forget && random.f32() < share {
            *hints = 0;
        }
        if small {
            *text = text.to_lowercase();
        }
    }
    copy
}

/// Numbers of the features of each word.
type Features = Vec<Vec<u32>>;

fn features(sample: &Sample, mut number: impl FnMut(u64) -> Option<u32>) -> Features {
    let run = Run::new(&sample.words());
    let of_word = |index| {
        let mut own = Vec::with_capacity(FEATURES_MAX);
        run.each(index, |feature| own.extend(number(feature)));
        own
    };
    (0..run.len()).map(of_word).collect()
}

struct Learner {
    weights: Vec<[f32; OUTSIDE]>,
    squares: Vec<[f32; OUTSIDE]>,
    follows: [[f32; TAGS]; TAGS],
    follow_squares: [[f32; TAGS]; TAGS],
}

fn allowed(before: usize, next: usize) -> bool {
    next == OUTSIDE || next.is_multiple_of(2) || before == next || before + 1 == next
}

fn log_sum(values: impl Iterator<Item = f32> + Clone) -> f32 {
    let top = values.clone().fold(f32::NEG_INFINITY, f32::max);
    if top == f32::NEG_INFINITY {
        top
    } else {
        top + values.map(|value| (value - top).exp()).sum::<f32>().ln()
    }
}

impl Learner {
    fn new(features: usize) -> Self {
        Learner {
            weights: vec![[0.0; OUTSIDE]; features],
            squares: vec![[1e-3; OUTSIDE]; features],
            follows: [[0.0; TAGS]; TAGS],
            follow_squares: [[1e-3; TAGS]; TAGS],
        }
    }

    fn follow(&self, before: usize, next: usize) -> f32 {
        if allowed(before, next) {
            self.follows[before][next]
        } else {
            f32::NEG_INFINITY
        }
    }

    fn scores(&self, features: &Features) -> Vec<[f32; TAGS]> {
        let score = |own: &Vec<u32>| {
            let mut sum = [0.0; TAGS];
            for feature in own {
                for (sum, weight) in sum.iter_mut().zip(self.weights[*feature as usize]) {
                    *sum += weight;
                }
            }
            sum
        };
        features.iter().map(score).collect()
    }

    /// One step on one sample; returns its negative log-likelihood.
    fn step(&mut self, features: &Features, tags: &[usize]) -> f32 {
        let scores = self.scores(features);
        let length = scores.len();
        let mut ahead = vec![[f32::NEG_INFINITY; TAGS]; length];
        let mut behind = vec![[0.0; TAGS]; length];
        for index in 0..length {
            for next in 0..TAGS {
                let before = |before: usize| {
                    if index == 0 {
                        if before == OUTSIDE {
                            0.0
                        } else {
                            f32::NEG_INFINITY
                        }
                    } else {
                        ahead[index - 1][before]
                    }
                };
                ahead[index][next] = scores[index][next]
                    + log_sum((0..TAGS).map(|at| before(at) + self.follow(at, next)));
            }
        }
        for index in (0..length.saturating_sub(1)).rev() {
            for before in 0..TAGS {
                behind[index][before] = log_sum((0..TAGS).map(|next| {
                    self.follow(before, next) + scores[index + 1][next] + behind[index + 1][next]
                }));
            }
        }
        let whole = log_sum((0..TAGS).map(|tag| ahead[length - 1][tag]));
        let mut slopes = [[0.0_f32; TAGS]; TAGS];
        let mut loss = whole;
        let mut last = OUTSIDE;
        for index in 0..length {
            let right = tags[index];
            loss -= scores[index][right] + self.follow(last, right);
            let mut slope = [0.0; OUTSIDE];
            for (tag, slope) in slope.iter_mut().enumerate() {
                *slope = (ahead[index][tag] + behind[index][tag] - whole).exp()
                    - if tag == right { 1.0 } else { 0.0 };
            }
            for before in 0..TAGS {
                let so_far = if index == 0 {
                    if before == OUTSIDE { 0.0 } else { continue }
                } else {
                    ahead[index - 1][before]
                };
                for next in (0..TAGS).filter(|next| allowed(before, *next)) {
                    let way = so_far
                        + self.follows[before][next]
                        + scores[index][next]
                        + behind[index][next]
                        - whole;
                    slopes[before][next] += way.exp()
                        - if before == last && next == right {
                            1.0
                        } else {
                            0.0
                        };
                }
            }
            last = right;
            for feature in &features[index] {
                let at = *feature as usize;
                descend(&mut self.weights[at], &mut self.squares[at], &slope);
            }
        }
        let rows = self.follows.iter_mut().zip(&mut self.follow_squares);
        for ((weights, squares), slope) in rows.zip(&slopes) {
            descend(weights, squares, slope);
        }
        loss
    }
}

fn descend<const N: usize>(weights: &mut [f32; N], squares: &mut [f32; N], slopes: &[f32; N]) {
    for ((weight, square), slope) in weights.iter_mut().zip(squares).zip(slopes) {
        if slope.abs() > 1e-4 {
            let slope = slope + DECAY * *weight;
            *square += slope * slope;
            *weight -= RATE * slope / square.sqrt();
        }
    }
}

fn rounded(value: f32, most: f32) -> i16 {
    (value * f32::from(NAT)).round().clamp(-most, most) as i16
}

/// Weights in the form of the file; where a set is full, the weakest features go.
fn packed(learner: &Learner, numbers: &HashMap<u64, u32>, lean: [f32; 3]) -> Weights {
    let mut all: Vec<(u64, [i8; OUTSIDE])> = numbers
        .iter()
        .map(|(feature, number)| {
            (
                *feature,
                learner.weights[*number as usize].map(|weight| rounded(weight, 127.0) as i8),
            )
        })
        .filter(|(_, row)| row.iter().any(|weight| weight.unsigned_abs() > 1))
        .collect();
    let strength = |row: &[i8; OUTSIDE]| {
        row.iter()
            .map(|weight| i32::from(weight.unsigned_abs()))
            .sum::<i32>()
    };
    all.sort_by_key(|(feature, row)| (-strength(row), *feature));
    let mut sets = vec![Set::default(); SETS];
    let mut used = vec![0; SETS];
    let mut lost = 0;
    for (feature, weights) in &all {
        let (set, check) = place(*feature, SETS);
        if used[set] == SET_ROWS || sets[set].checks.contains(&check) {
            lost += 1;
            continue;
        }
        sets[set].checks[used[set]] = check;
        sets[set].weights[used[set]] = *weights;
        used[set] += 1;
    }
    println!(
        "{} features with weight, {lost} of them without a place",
        all.len()
    );
    let mut follows = [[0; TAGS]; TAGS];
    for (row, from) in follows.iter_mut().zip(&learner.follows) {
        *row = from.map(|weight| rounded(weight, 8000.0));
    }
    Weights {
        sets,
        follows,
        nat: NAT,
        lean: lean.map(|lean| rounded(lean, 8000.0)),
    }
}

/// Exact spans: right, found, labelled, by kind.
fn measure(model: &NameModel, samples: &[Sample]) -> [[usize; 3]; 3] {
    let mut counts = [[0; 3]; 3];
    for sample in samples {
        let mut found = Vec::new();
        model.find(&sample.words(), &mut found);
        for (place, kind) in KINDS.into_iter().enumerate() {
            let starts = (0..sample.tags.len()).filter(|at| sample.tags[*at] == tag(kind, true));
            let labels: Vec<_> = starts
                .map(|from| {
                    let inside = sample.tags[from + 1..]
                        .iter()
                        .take_while(|next| **next == tag(kind, false));
                    from..from + 1 + inside.count()
                })
                .collect();
            let own = found.iter().filter(|name| name.kind == kind);
            counts[place][0] += own
                .clone()
                .filter(|name| labels.contains(&name.words))
                .count();
            counts[place][1] += own.count();
            counts[place][2] += labels.len();
        }
    }
    counts
}

fn report(title: &str, counts: [[usize; 3]; 3]) {
    for (kind, [right, found, labels]) in KINDS.into_iter().zip(counts) {
        let share = |whole: usize| right as f64 / whole.max(1) as f64;
        println!(
            "{title} {kind:?}: P {:.3} R {:.3} of {labels}",
            share(found),
            share(labels)
        );
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let target = arguments
        .next()
        .ok_or("give the file to write and the files of words")?;
    let mut random = fastrand::Rng::with_seed(2026);
    let (mut train, mut apart) = (Vec::new(), Vec::new());
    for path in arguments {
        let mut kept = Vec::new();
        for (count, sample) in samples(&path)?
            .into_iter()
            .filter(|sample| !sample.tags.is_empty())
            .enumerate()
        {
            if count % 20 == 7 {
                kept.push(sample);
                continue;
            }
            if sample.tags.iter().any(|tag| *tag != OUTSIDE) {
                train.push(varied(&sample, &mut random));
            }
            train.push(sample);
        }
        apart.push((path, kept));
    }
    let mut seen: HashMap<u64, u32> = HashMap::new();
    for sample in &train {
        features(sample, |feature| {
            *seen.entry(feature).or_default() += 1;
            None
        });
    }
    seen.retain(|_, count| *count >= COUNT_MIN);
    let mut order: Vec<u64> = seen.into_keys().collect();
    order.sort_unstable();
    let numbers: HashMap<u64, u32> = order.into_iter().zip(0..).collect();
    println!("{} runs, {} features", train.len(), numbers.len());
    let mut learner = Learner::new(numbers.len());
    for epoch in 1..=EPOCHS {
        random.shuffle(&mut train);
        let mut loss = 0.0;
        for sample in &train {
            loss += learner.step(
                &features(sample, |feature| numbers.get(&feature).copied()),
                &sample.tags,
            );
        }
        println!("epoch {epoch}: loss {:.4} a run", loss / train.len() as f32);
    }
    let bytes = write(&packed(&learner, &numbers, [0.7, 0.3, 0.0]))?;
    let model = NameModel::from_bytes(&bytes)?;
    for (path, kept) in &apart {
        report(path, measure(&model, kept));
    }
    println!("{} bytes", bytes.len());
    std::fs::write(target, bytes)?;
    Ok(())
}
