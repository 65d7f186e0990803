//! Measures the vector index: time of a search, what is found, memory. `cargo run --release -p aplomb-latency --example
//! cache_index`.
//!
//! Vectors are made like those of sentences: all share a direction, topics share another one, and each has its own.

use aplomb_latency::cache::index::Index;
use aplomb_latency::cache::key::Digest;
use std::io::Write;
use std::time::Instant;

const DIMS: usize = 384;
const VECTORS: usize = 100_000;
const TOPICS: usize = 500;
const QUERIES: usize = 1_000;

fn normal(rng: &mut fastrand::Rng) -> f32 {
    let sum: f32 = (0..12).map(|_| rng.f32()).sum();
    sum - 6.0
}

fn unit(vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter().map(|x| x / length).collect()
}

fn random(rng: &mut fastrand::Rng) -> Vec<f32> {
    unit((0..DIMS).map(|_| normal(rng)).collect())
}

fn sum(parts: &[(f32, &[f32])]) -> Vec<f32> {
    let mut all = vec![0.0; DIMS];
    for (weight, part) in parts {
        all.iter_mut()
            .zip(*part)
            .for_each(|(x, y)| *x += weight * y);
    }
    unit(all)
}

fn key(n: usize) -> Digest {
    let mut bytes = [0; 32];
    bytes
        .iter_mut()
        .zip(n.to_be_bytes())
        .for_each(|(own, byte)| *own = byte);
    Digest(bytes)
}

fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|n| n.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout();
    let mut rng = fastrand::Rng::with_seed(1);
    let common = random(&mut rng);
    let topics: Vec<Vec<f32>> = (0..TOPICS).map(|_| random(&mut rng)).collect();
    let vectors: Vec<Vec<f32>> = (0..VECTORS)
        .map(|n| {
            let own = random(&mut rng);
            let topic = topics.get(n % TOPICS).map_or(&[][..], Vec::as_slice);
            sum(&[(0.4, &common), (0.5, topic), (0.77, &own)])
        })
        .collect();
    let before = resident_bytes();
    let begun = Instant::now();
    let mut index = Index::default();
    for (n, vector) in vectors.iter().enumerate() {
        index.insert(key(n), vector);
    }
    let per_insert = begun.elapsed() / u32::try_from(VECTORS).unwrap_or(1);
    let bytes = resident_bytes().saturating_sub(before) / VECTORS;
    writeln!(
        out,
        "{VECTORS} vectors of {DIMS}: insert {per_insert:?}, {bytes} bytes each measured, {} accounted",
        Index::bytes_of(DIMS)
    )?;
    for cosine_min in [0.8f32, 0.85, 0.9] {
        let mut times = Vec::new();
        let (mut wanted, mut found) = (0u32, 0u32);
        for q in 0..QUERIES {
            let at = q * 97 % VECTORS;
            let Some(base) = vectors.get(at) else {
                continue;
            };
            let own = random(&mut rng);
            let away = rng.f32() * 0.7;
            let query = sum(&[(1.0, base), (away, &own)]);
            let begun = Instant::now();
            let near = index.search(&query, cosine_min, 5);
            times.push(begun.elapsed());
            let cosine: f32 = query.iter().zip(base).map(|(a, b)| a * b).sum();
            // Within what bytes lose of the cosine, either is right.
            if cosine >= cosine_min + 0.005 {
                wanted += 1;
                found += u32::from(near.iter().any(|near| near.key == key(at)));
            }
        }
        times.sort();
        let at = |part: usize| {
            times
                .get(times.len() * part / 100)
                .copied()
                .unwrap_or_default()
        };
        writeln!(
            out,
            "cosine >= {cosine_min}: p50 {:?}, p99 {:?}; found {found} of {wanted}",
            at(50),
            at(99)
        )?;
    }
    Ok(())
}
