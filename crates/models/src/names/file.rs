//! The weights and their file.
//!
//! # Format
//! Little-endian, in this order: `APLN`, version `2` (u8), binary logarithm of the number of sets (u8), units a nat
//! (u16), lean of each kind (i16 x 3), weights of tags that follow each other (i16 x 7 x 7, row: the tag before), rows.
//! A row is a check (u16) and a weight for each tag but the last (i8 x 6); eight rows are a set. The length of the file
//! follows from the number of sets, and any other length is an error.

use super::{OUTSIDE, TAGS};

const MAGIC: &[u8; 4] = b"APLN";
const VERSION: u8 = 2;
/// Rows that share a place: one cache line.
pub const SET_ROWS: usize = 8;
const ROW_BYTES: usize = 8;
/// 2^17 sets would be 8 MiB, the memory that was promised.
const SETS_LOG2_MAX: u8 = 17;
const HEAD_BYTES: usize = 4 + 1 + 1 + 2 + 3 * 2 + TAGS * TAGS * 2;

/// Why bytes are no weights.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    #[error("the file of weights is not one of this program")]
    Foreign,
    #[error("the file of weights has version {0}, expected {VERSION}")]
    Version(u8),
    #[error("the file of weights is damaged: {0}")]
    Damaged(&'static str),
}

/// One cache line of rows, those of features that share a place. The checks stand together, so that one comparison of
/// eight finds a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(align(64))]
pub struct Set {
    /// Part of each feature's hash: another feature that falls into the same set is told apart. 0 is an empty row.
    pub checks: [u16; SET_ROWS],
    /// Units for each tag but [`OUTSIDE`].
    pub weights: [[i8; OUTSIDE]; SET_ROWS],
}

/// All that was learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weights {
    /// A power of two.
    pub sets: Vec<Set>,
    /// `follows[before][tag]`, in units.
    pub follows: [[i16; TAGS]; TAGS],
    /// Units that make one nat (natural logarithm of odds); at least 1.
    pub nat: u16,
    /// Units added to the first word of each kind when names are chosen, but not in their scores: recall for precision.
    pub lean: [i16; 3],
}

/// Place of a feature: its set, and its check, which is never 0, the check of empty rows.
pub fn place(feature: u64, sets: usize) -> (usize, u16) {
    let check = u16::try_from(feature & 0xffff).unwrap_or(0).max(1);
    let set = usize::try_from(feature >> 40).unwrap_or(0) & sets.saturating_sub(1);
    (set, check)
}

impl Weights {
    /// Weights of a feature; `None` for one that training did not show.
    pub fn row(&self, feature: u64) -> Option<&[i8; OUTSIDE]> {
        let (set, check) = place(feature, self.sets.len());
        let set = self.sets.get(set)?;
        let mut row = SET_ROWS;
        // No early end: eight comparisons at once are cheaper than a branch.
        for (place, known) in set.checks.iter().enumerate() {
            row = if *known == check { place } else { row };
        }
        set.weights.get(row)
    }
}

/// Reads bytes from the front.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], ModelError> {
        let (part, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(ModelError::Damaged("it ends too early"))?;
        self.0 = rest;
        Ok(*part)
    }

    fn byte(&mut self) -> Result<u8, ModelError> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn signed(&mut self) -> Result<i16, ModelError> {
        self.take().map(i16::from_le_bytes)
    }
}

/// Weights from the bytes of a file. Takes no more memory than the file, whatever it says.
///
/// # Errors
/// [`ModelError`] if the bytes are not exactly a file of this version.
pub fn read(bytes: &[u8]) -> Result<Weights, ModelError> {
    let mut bytes = Bytes(bytes);
    if bytes.take::<4>().ok().as_ref() != Some(MAGIC) {
        return Err(ModelError::Foreign);
    }
    let version = bytes.byte()?;
    if version != VERSION {
        return Err(ModelError::Version(version));
    }
    let sets_log2 = bytes.byte()?;
    if sets_log2 > SETS_LOG2_MAX {
        return Err(ModelError::Damaged("it has too many rows"));
    }
    let nat = u16::from_le_bytes(bytes.take()?);
    if nat == 0 {
        return Err(ModelError::Damaged("its unit is 0"));
    }
    let mut lean = [0; 3];
    for kind in &mut lean {
        *kind = bytes.signed()?;
    }
    let mut follows = [[0; TAGS]; TAGS];
    for weight in follows.iter_mut().flatten() {
        *weight = bytes.signed()?;
    }
    let count = 1_usize << sets_log2;
    if bytes.0.len() != count * SET_ROWS * ROW_BYTES {
        return Err(ModelError::Damaged("its length is wrong"));
    }
    let mut sets = vec![Set::default(); count];
    for set in &mut sets {
        for (check, own) in set.checks.iter_mut().zip(&mut set.weights) {
            let [low, high, weights @ ..] = bytes.take::<ROW_BYTES>()?;
            *check = u16::from_le_bytes([low, high]);
            *own = weights.map(|weight| i8::from_le_bytes([weight]));
        }
    }
    Ok(Weights {
        sets,
        follows,
        nat,
        lean,
    })
}

/// The bytes of a file with these weights.
///
/// # Errors
/// [`ModelError::Damaged`] if the number of sets is no power of two or too large, or the unit is 0.
pub fn write(weights: &Weights) -> Result<Vec<u8>, ModelError> {
    let count = weights.sets.len();
    let sets_log2 = u8::try_from(count.max(1).ilog2()).unwrap_or(u8::MAX);
    if !count.is_power_of_two() || sets_log2 > SETS_LOG2_MAX || weights.nat == 0 {
        return Err(ModelError::Damaged("these weights have no file"));
    }
    let mut bytes = Vec::with_capacity(HEAD_BYTES + count * SET_ROWS * ROW_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[VERSION, sets_log2]);
    bytes.extend_from_slice(&weights.nat.to_le_bytes());
    let numbers = weights.lean.iter().chain(weights.follows.iter().flatten());
    numbers.for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
    let rows = weights.sets.iter();
    let rows = rows.flat_map(|set| set.checks.iter().zip(&set.weights));
    for (check, weights) in rows {
        bytes.extend_from_slice(&check.to_le_bytes());
        bytes.extend(weights.iter().flat_map(|weight| weight.to_le_bytes()));
    }
    Ok(bytes)
}
