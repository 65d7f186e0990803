//! The forward pass: six layers of BERT, 384 wide, 12 heads (Devlin et al., 2018; Wang et al., 2020).
#![expect(
    clippy::indexing_slicing,
    reason = "shapes are checked at load, and buffers are sized by them"
)]

use super::file::{File, Kind, ModelError};
use super::kernel::{self, Cpu, LANES, Norm, Rounded, Strided, Weights};
use super::{DIMENSIONS, TOKENS_MAX};

const LAYERS: usize = 6;
const HEADS: usize = 12;
const HEAD: usize = DIMENSIONS / HEADS;
const INNER: usize = 4 * DIMENSIONS;
/// Positions and segments of the original: only [`TOKENS_MAX`] and the first are used.
const POSITIONS: usize = 512;
const SEGMENTS: usize = 2;

/// Rows in 8 bits with a scale each, where they lie in the file.
#[derive(Debug)]
struct Table<'a> {
    rows: &'a [u8],
    scale: Vec<f32>,
}

impl<'a> Table<'a> {
    fn read(file: &File<'a>, name: &str, count: usize) -> Result<Self, ModelError> {
        let name = format!("embeddings.{name}_embeddings.weight");
        Ok(Table {
            rows: file.bytes(&name, Kind::I8, &[count, DIMENSIONS])?,
            scale: file.floats(&format!("{name}.scale"), &[count])?,
        })
    }

    /// Adds a row; one that is not there adds nothing.
    fn add(&self, place: usize, into: &mut [f32]) {
        let row = self.rows.chunks_exact(DIMENSIONS).nth(place);
        let (Some(row), Some(scale)) = (row, self.scale.get(place)) else {
            return;
        };
        for (value, byte) in into.iter_mut().zip(row) {
            *value += f32::from(byte.cast_signed()) * scale;
        }
    }
}

#[derive(Debug)]
struct Layer {
    /// Query, key and value, one beside the other.
    attend: Weights,
    attended: Weights,
    attended_norm: Norm,
    widen: Weights,
    narrow: Weights,
    norm: Norm,
}

/// The network.
#[derive(Debug)]
pub struct Bert<'a> {
    cpu: Cpu,
    words: Table<'a>,
    positions: Table<'a>,
    segment: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

/// What a pass writes to; it keeps the size of the longest text.
#[derive(Debug, Default)]
pub struct Buffers {
    states: Vec<f32>,
    summed: Vec<f32>,
    attend: Vec<f32>,
    keys: Vec<f32>,
    scores: Vec<f32>,
    wide: Vec<f32>,
    out: Vec<f32>,
    rounded: Rounded,
}

fn norm(file: &File<'_>, name: &str) -> Result<Norm, ModelError> {
    Ok(Norm {
        gain: file.floats(&format!("{name}.weight"), &[DIMENSIONS])?,
        shift: file.floats(&format!("{name}.bias"), &[DIMENSIONS])?,
    })
}

/// Matrices of one layer, one below the other, each `[outputs, inputs]`.
fn weights(
    file: &File<'_>,
    layer: usize,
    names: &[&str],
    [outputs, inputs]: [usize; 2],
) -> Result<Weights, ModelError> {
    let (mut rows, mut scale, mut bias) = (Vec::new(), Vec::new(), Vec::new());
    for name in names {
        let name = format!("encoder.layer.{layer}.{name}");
        rows.push(file.bytes(&format!("{name}.weight"), Kind::I8, &[outputs, inputs])?);
        scale.extend(file.floats(&format!("{name}.weight.scale"), &[outputs])?);
        bias.extend(file.floats(&format!("{name}.bias"), &[outputs])?);
    }
    Ok(Weights::pack(&rows, inputs, scale, bias))
}

impl Layer {
    fn read(file: &File<'_>, layer: usize) -> Result<Self, ModelError> {
        let names = [
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
        ];
        let square = [DIMENSIONS, DIMENSIONS];
        let own = |name: &str| format!("encoder.layer.{layer}.{name}.LayerNorm");
        Ok(Layer {
            attend: weights(file, layer, &names, square)?,
            attended: weights(file, layer, &["attention.output.dense"], square)?,
            attended_norm: norm(file, &own("attention.output"))?,
            widen: weights(file, layer, &["intermediate.dense"], [INNER, DIMENSIONS])?,
            narrow: weights(file, layer, &["output.dense"], [DIMENSIONS, INNER])?,
            norm: norm(file, &own("output"))?,
        })
    }

    fn run(&self, cpu: Cpu, tokens: usize, buffers: &mut Buffers) {
        let Buffers {
            states,
            attend: asked,
            rounded,
            ..
        } = buffers;
        kernel::linear(cpu, states, &self.attend, rounded, asked);
        attend(cpu, tokens, buffers);
        let Buffers {
            states,
            summed,
            wide,
            out,
            rounded,
            ..
        } = buffers;
        kernel::linear(cpu, summed, &self.attended, rounded, out);
        kernel::add_norm(cpu, states, out, &self.attended_norm);
        kernel::linear(cpu, states, &self.widen, rounded, wide);
        kernel::gelu(cpu, wide);
        kernel::linear(cpu, wide, &self.narrow, rounded, out);
        kernel::add_norm(cpu, states, out, &self.norm);
    }
}

/// Every head's attention of each token to all, from `attend` to `summed`.
fn attend(cpu: Cpu, tokens: usize, buffers: &mut Buffers) {
    let Buffers {
        summed,
        attend,
        keys,
        scores,
        ..
    } = buffers;
    let (stride, width) = (3 * DIMENSIONS, tokens.next_multiple_of(LANES));
    let by = 1.0 / (HEAD as f32).sqrt();
    for row in attend.chunks_exact_mut(stride) {
        row[..DIMENSIONS].iter_mut().for_each(|query| *query *= by);
    }
    keys.clear();
    keys.resize(HEAD * width, 0.0);
    scores.resize(tokens * width, 0.0);
    for head in 0..HEADS {
        let at = |part: usize| part * DIMENSIONS + head * HEAD;
        for (token, row) in attend.chunks_exact(stride).enumerate() {
            for (place, key) in row[at(1)..][..HEAD].iter().enumerate() {
                keys[place * width + token] = *key;
            }
        }
        let part = |part: usize| Strided {
            values: &attend[at(part)..],
            stride,
        };
        let turned = Strided {
            values: keys,
            stride: width,
        };
        kernel::product(cpu, part(0), turned, (scores, width), [tokens, HEAD, width]);
        kernel::softmax(cpu, scores, width, tokens);
        let shares = Strided {
            values: scores,
            stride: width,
        };
        let out = (&mut summed[head * HEAD..], DIMENSIONS);
        kernel::product(cpu, shares, part(2), out, [tokens, tokens, HEAD]);
    }
}

impl<'a> Bert<'a> {
    /// The network of a file whose vocabulary has so many words.
    pub fn read(file: &File<'a>, words: usize, cpu: Cpu) -> Result<Self, ModelError> {
        let segments = "embeddings.token_type_embeddings.weight";
        let mut segment = file.floats(segments, &[SEGMENTS, DIMENSIONS])?;
        segment.truncate(DIMENSIONS);
        Ok(Bert {
            cpu,
            words: Table::read(file, "word", words)?,
            positions: Table::read(file, "position", POSITIONS)?,
            segment,
            norm: norm(file, "embeddings.LayerNorm")?,
            layers: (0..LAYERS)
                .map(|layer| Layer::read(file, layer))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The sum of all tokens' last states, which has the direction of their mean. At most [`TOKENS_MAX`] tokens are read.
    pub fn pooled(&self, ids: &[u32], buffers: &mut Buffers) -> Vec<f32> {
        let tokens = ids.len().min(TOKENS_MAX);
        for buffer in [&mut buffers.states, &mut buffers.summed] {
            buffer.clear();
            buffer.resize(tokens * DIMENSIONS, 0.0);
        }
        let rows = buffers.summed.chunks_exact_mut(DIMENSIONS);
        for (position, (row, id)) in rows.zip(ids).enumerate() {
            row.copy_from_slice(&self.segment);
            self.words
                .add(usize::try_from(*id).unwrap_or(usize::MAX), row);
            self.positions.add(position, row);
        }
        kernel::add_norm(self.cpu, &mut buffers.states, &buffers.summed, &self.norm);
        for layer in &self.layers {
            layer.run(self.cpu, tokens, buffers);
        }
        sum(buffers.states.chunks_exact(DIMENSIONS))
    }

    /// Mean of rows of the table of words.
    pub fn mean_row(&self, ids: impl Iterator<Item = u32>) -> Vec<f32> {
        let (mut total, mut count) = (vec![0.0; DIMENSIONS], 0.0_f32);
        for id in ids {
            self.words
                .add(usize::try_from(id).unwrap_or(usize::MAX), &mut total);
            count += 1.0;
        }
        total.iter_mut().for_each(|value| *value /= count.max(1.0));
        total
    }
}

fn sum<'a>(rows: impl Iterator<Item = &'a [f32]>) -> Vec<f32> {
    let mut total = vec![0.0; DIMENSIONS];
    for row in rows {
        for (total, value) in total.iter_mut().zip(row) {
            *total += value;
        }
    }
    total
}
