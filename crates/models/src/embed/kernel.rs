//! Arithmetic of the forward pass: AVX2 and FMA where the processor has them, plain loops elsewhere.
//!
//! # Method
//! Weights stay in 8 bits; a token's activations are rounded to 14 bits, so that a product of whole numbers, which
//! multiplies 16 bits by 16 and sums 32, loses practically nothing: 127 * 8191 * 1536 < 2^31. Products are made in tiles
//! of up to 6 tokens by 16 outputs. `erf` is Abramowitz and Stegun 7.1.26, `exp` a polynomial.
#![expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "inner loops; lengths are fixed by the shapes that were checked at load, numbers by the rounding before"
)]

#[cfg(target_arch = "x86_64")]
mod avx;

/// Outputs that are computed together.
pub const LANES: usize = 16;
/// Tokens that are computed together.
const ROWS: usize = 6;
/// Adding 1.5 * 2^23 to a small float rounds it to the nearest whole number, which then stands in its low bits.
const ROUND: f32 = 12_582_912.0;
/// Largest activation, in 14 bits and a sign.
const ACTIVATION_MAX: f32 = 8191.0;

type Tile = [[i32; LANES]; ROWS];
type FloatTile = [[f32; LANES]; 4];

/// The instructions that are used.
#[derive(Debug, Clone, Copy)]
pub struct Cpu {
    #[cfg(target_arch = "x86_64")]
    v3: Option<pulp::x86::V3>,
}

impl Cpu {
    /// The best that this processor has.
    pub fn best() -> Self {
        Cpu {
            #[cfg(target_arch = "x86_64")]
            v3: pulp::x86::V3::try_new(),
        }
    }

    /// What every processor has.
    #[cfg(test)]
    pub fn portable() -> Self {
        Cpu {
            #[cfg(target_arch = "x86_64")]
            v3: None,
        }
    }

    /// Runs loops compiled for this processor; they must be closures that can be inlined.
    #[inline(always)]
    fn run<R>(self, loops: impl FnOnce() -> R) -> R {
        #[cfg(target_arch = "x86_64")]
        if let Some(v3) = self.v3 {
            return v3.vectorize(loops);
        }
        loops()
    }
}

/// Weights of one layer: blocks of 16 outputs by 2 inputs, `[outputs / 16][inputs / 2][16][2]`.
#[derive(Debug)]
pub struct Weights {
    pub outputs: usize,
    pub inputs: usize,
    blocks: Vec<[i8; 2 * LANES]>,
    scale: Vec<f32>,
    bias: Vec<f32>,
}

impl Weights {
    /// Rows of several matrices with the same number of inputs, one below the other; outputs are a multiple of 16,
    /// inputs of 8.
    pub fn pack(rows: &[&[u8]], inputs: usize, scale: Vec<f32>, bias: Vec<f32>) -> Self {
        let outputs = scale.len();
        let mut blocks = vec![[0; 2 * LANES]; outputs / LANES * inputs / 2];
        let rows = rows.iter().flat_map(|matrix| matrix.chunks_exact(inputs));
        for (output, row) in rows.enumerate() {
            let column = 2 * (output % LANES);
            let own = blocks[output / LANES * inputs / 2..].iter_mut();
            for (block, pair) in own.zip(row.chunks_exact(2)) {
                block[column] = pair[0].cast_signed();
                block[column + 1] = pair[1].cast_signed();
            }
        }
        Weights {
            outputs,
            inputs,
            blocks,
            scale,
            bias,
        }
    }
}

/// Activations in whole numbers, kept to be used again.
#[derive(Debug, Default)]
pub struct Rounded {
    pairs: Vec<[i16; 2]>,
    scale: Vec<f32>,
    /// The same as floats, and one block of weights, where there are no fast products of whole numbers.
    floats: Vec<f32>,
    block: Vec<[f32; LANES]>,
}

fn rounded(value: f32) -> i16 {
    ((value + ROUND)
        .to_bits()
        .cast_signed()
        .wrapping_sub(ROUND.to_bits().cast_signed())) as i16
}

/// Rounds `[tokens, inputs]` to 14 bits, each token by its own scale.
fn round(cpu: Cpu, values: &[f32], inputs: usize, into: &mut Rounded) {
    into.pairs.resize(values.len() / 2, [0; 2]);
    into.scale.resize(values.len() / inputs, 0.0);
    let (pairs, scale) = (&mut into.pairs, &mut into.scale);
    cpu.run(
        #[inline(always)]
        || {
            let tokens = values
                .chunks_exact(inputs)
                .zip(pairs.chunks_exact_mut(inputs / 2));
            for ((row, pairs), scale) in tokens.zip(scale) {
                let mut most = [1e-12_f32; 8];
                for chunk in row.chunks_exact(8) {
                    for (most, value) in most.iter_mut().zip(chunk) {
                        *most = most.max(value.abs());
                    }
                }
                let most = most.into_iter().fold(0.0, f32::max);
                *scale = most / ACTIVATION_MAX;
                let by = ACTIVATION_MAX / most;
                for (values, pair) in row.chunks_exact(2).zip(pairs) {
                    *pair = [rounded(values[0] * by), rounded(values[1] * by)];
                }
            }
        },
    );
}

/// `out[token][output] = values . weights + bias`; `values` is `[tokens, inputs]`.
pub fn linear(cpu: Cpu, values: &[f32], weights: &Weights, work: &mut Rounded, out: &mut Vec<f32>) {
    let inputs = weights.inputs;
    round(cpu, values, inputs, work);
    let tokens = work.scale.len();
    out.resize(tokens * weights.outputs, 0.0);
    let blocks = weights.blocks.chunks_exact(inputs / 2);
    let (scales, _) = weights.scale.as_chunks::<LANES>();
    let (biases, _) = weights.bias.as_chunks::<LANES>();
    let fast = prepare(cpu, work);
    for (place, (block, (scale, bias))) in blocks.zip(scales.iter().zip(biases)).enumerate() {
        if !fast {
            unpack(block, &mut work.block);
        }
        for from in (0..tokens).step_by(ROWS) {
            let rows = (tokens - from).min(ROWS);
            let tile = tile(cpu, work, block, from..from + rows);
            for (row, sums) in tile.iter().enumerate().take(rows) {
                let by = work.scale[from + row];
                let start = (from + row) * weights.outputs + place * LANES;
                for lane in 0..LANES {
                    out[start + lane] = sums[lane] as f32 * (scale[lane] * by) + bias[lane];
                }
            }
        }
    }
}

/// Whether there are fast products of whole numbers; where not, activations are laid out as floats.
fn prepare(cpu: Cpu, work: &mut Rounded) -> bool {
    #[cfg(target_arch = "x86_64")]
    if cpu.v3.is_some() {
        return true;
    }
    let _ = cpu;
    work.floats.clear();
    let pairs = work.pairs.iter().flatten();
    work.floats.extend(pairs.map(|value| f32::from(*value)));
    false
}

fn unpack(block: &[[i8; 2 * LANES]], into: &mut Vec<[f32; LANES]>) {
    into.clear();
    for pairs in block {
        for half in 0..2 {
            into.push(core::array::from_fn(|lane| {
                f32::from(pairs[2 * lane + half])
            }));
        }
    }
}

/// Sums of up to 6 tokens.
fn tile(
    cpu: Cpu,
    work: &Rounded,
    block: &[[i8; 2 * LANES]],
    tokens: core::ops::Range<usize>,
) -> Tile {
    #[cfg(target_arch = "x86_64")]
    if let Some(v3) = cpu.v3 {
        let inputs = block.len();
        let rows = &work.pairs[tokens.start * inputs..tokens.end * inputs];
        return avx::tile(v3, rows, block);
    }
    let _ = cpu;
    let (inputs, mut out) = (2 * block.len(), Tile::default());
    let rows = &work.floats[tokens.start * inputs..tokens.end * inputs];
    for (pair, out) in rows.chunks(2 * inputs).zip(out.chunks_mut(2)) {
        match pair.len() / inputs {
            2 => plain_tile::<2>(pair, &work.block, out),
            _ => plain_tile::<1>(pair, &work.block, out),
        }
    }
    out
}

/// Float loops that the compiler vectorises for the target; a sum is rounded by some 1e-7 of it.
fn plain_tile<const M: usize>(values: &[f32], block: &[[f32; LANES]], out: &mut [[i32; LANES]]) {
    let inputs = block.len();
    let rows: [&[f32]; M] = core::array::from_fn(|row| &values[row * inputs..][..inputs]);
    let mut sums = [[0.0_f32; LANES]; M];
    for (input, weights) in block.iter().enumerate() {
        for (row, sums) in rows.iter().zip(&mut sums) {
            let value = row[input];
            for lane in 0..LANES {
                sums[lane] += value * weights[lane];
            }
        }
    }
    for (out, sums) in out.iter_mut().zip(&sums) {
        *out = sums.map(|sum| sum as i32);
    }
}

/// A matrix that lies in a slice: its rows are `stride` apart.
#[derive(Debug, Clone, Copy)]
pub struct Strided<'a> {
    pub values: &'a [f32],
    pub stride: usize,
}

/// `out = left . right`, for `left` of `[rows, inner]` and `right` of `[inner, columns]`; columns are a multiple of 16.
pub fn product(
    cpu: Cpu,
    left: Strided<'_>,
    right: Strided<'_>,
    out: (&mut [f32], usize),
    [rows, inner, columns]: [usize; 3],
) {
    let (out, stride) = out;
    for row in (0..rows).step_by(4) {
        let height = (rows - row).min(4);
        let left = Strided {
            values: &left.values[row * left.stride..],
            ..left
        };
        for column in (0..columns).step_by(LANES) {
            let right = Strided {
                values: &right.values[column..],
                ..right
            };
            let tile = float_tile(cpu, left, right, height, inner);
            for (place, sums) in tile.iter().enumerate().take(height) {
                out[(row + place) * stride + column..][..LANES].copy_from_slice(sums);
            }
        }
    }
}

fn float_tile(
    cpu: Cpu,
    left: Strided<'_>,
    right: Strided<'_>,
    height: usize,
    inner: usize,
) -> FloatTile {
    #[cfg(target_arch = "x86_64")]
    if let Some(v3) = cpu.v3 {
        return avx::float_tile(v3, left, right, height, inner);
    }
    let _ = cpu;
    let mut out = FloatTile::default();
    for (row, sums) in out.iter_mut().enumerate().take(height) {
        let values = &left.values[row * left.stride..][..inner];
        for (place, value) in values.iter().enumerate() {
            let other = &right.values[place * right.stride..][..LANES];
            for lane in 0..LANES {
                sums[lane] += value * other[lane];
            }
        }
    }
    out
}

#[inline(always)]
fn exp(value: f32) -> f32 {
    let value = value.clamp(-87.0, 88.0);
    let shifted = value * core::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let rest = value - whole * 0.693_359_4 - whole * -2.121_944_4e-4;
    let sum = 1.987_569_1e-4 * rest + 1.398_2e-3;
    let sum = (sum * rest + 8.333_452e-3) * rest + 4.166_579_6e-2;
    let sum = (sum * rest + 0.166_666_66) * rest + 0.5;
    let sum = sum * rest * rest + rest + 1.0;
    let power = shifted.to_bits().wrapping_sub(ROUND.to_bits()) << 23;
    sum * f32::from_bits(power.wrapping_add(0x3f80_0000))
}

/// The exact (erf) form of GELU, in place.
pub fn gelu(cpu: Cpu, values: &mut [f32]) {
    cpu.run(
        #[inline(always)]
        || {
            for value in values {
                let z = *value * core::f32::consts::FRAC_1_SQRT_2;
                let a = z.abs();
                let t = 1.0 / (1.0 + 0.327_591_1 * a);
                let sum = (1.061_405_4 * t - 1.453_152) * t + 1.421_413_7;
                let sum = ((sum * t - 0.284_496_74) * t + 0.254_829_6) * t;
                let erf = 1.0 - sum * exp(-a * a);
                *value *= 0.5 * (1.0 + erf.copysign(z));
            }
        },
    );
}

/// Softmax of the first `count` numbers of each row; the rest of the row becomes 0. `width` is a multiple of 16.
pub fn softmax(cpu: Cpu, values: &mut [f32], width: usize, count: usize) {
    cpu.run(
        #[inline(always)]
        || {
            for row in values.chunks_exact_mut(width) {
                row[count..].fill(f32::NEG_INFINITY);
                let mut most = [f32::NEG_INFINITY; LANES];
                for chunk in row.chunks_exact(LANES) {
                    for (most, value) in most.iter_mut().zip(chunk) {
                        *most = most.max(*value);
                    }
                }
                let most = most.into_iter().fold(f32::NEG_INFINITY, f32::max);
                let mut sums = [0.0_f32; LANES];
                for chunk in row.chunks_exact_mut(LANES) {
                    for (sum, value) in sums.iter_mut().zip(chunk) {
                        *value = exp(*value - most);
                        *sum += *value;
                    }
                }
                row[count..].fill(0.0);
                // The rest was e^-87 each: nothing.
                let by = 1.0 / sums.iter().sum::<f32>();
                for value in row {
                    *value *= by;
                }
            }
        },
    );
}

/// Gain and shift of a layer norm.
#[derive(Debug)]
pub struct Norm {
    pub gain: Vec<f32>,
    pub shift: Vec<f32>,
}

/// `values = norm(values + other)`, token by token.
pub fn add_norm(cpu: Cpu, values: &mut [f32], other: &[f32], norm: &Norm) {
    let width = norm.gain.len();
    cpu.run(
        #[inline(always)]
        || {
            let rows = values
                .chunks_exact_mut(width)
                .zip(other.chunks_exact(width));
            for (row, other) in rows {
                let mut sums = [0.0_f32; LANES];
                for (chunk, other) in row.chunks_exact_mut(LANES).zip(other.chunks_exact(LANES)) {
                    for lane in 0..LANES {
                        chunk[lane] += other[lane];
                        sums[lane] += chunk[lane];
                    }
                }
                let mean = sums.iter().sum::<f32>() / width as f32;
                let mut sums = [0.0_f32; LANES];
                for chunk in row.chunks_exact(LANES) {
                    for lane in 0..LANES {
                        sums[lane] += (chunk[lane] - mean) * (chunk[lane] - mean);
                    }
                }
                let spread = sums.iter().sum::<f32>() / width as f32;
                let by = 1.0 / (spread + 1e-12).sqrt();
                let learned = norm.gain.iter().zip(&norm.shift);
                for (value, (gain, shift)) in row.iter_mut().zip(learned) {
                    *value = (*value - mean) * by * gain + shift;
                }
            }
        },
    );
}
