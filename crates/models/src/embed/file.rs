//! The file of weights: safetensors, read where it lies.
//!
//! # Format
//! Length of the header (u64, little-endian), the header (JSON: name to type, shape and place; texts under
//! `__metadata__`), the tensors. Nothing of the tensors is copied here, and nothing in the file is trusted.

use serde::Deserialize;
use std::collections::HashMap;

/// Longest header: ours has 240 kB, mostly the vocabulary.
const HEADER_MAX: usize = 1 << 20;

/// Why bytes are no weights.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    #[error("the file of weights has no readable header")]
    Header,
    #[error("the file of weights has no `{0}`")]
    Missing(String),
    #[error("`{0}` has another type or shape than this program expects")]
    Shape(String),
    #[error("`{0}` lies outside of the file of weights")]
    Outside(String),
    #[error("`{0}` holds a value that is no number")]
    Value(String),
    #[error("the vocabulary is damaged: {0}")]
    Vocabulary(&'static str),
}

/// Types of numbers that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Kind {
    I8,
    F32,
}

impl Kind {
    fn bytes(self) -> usize {
        match self {
            Kind::I8 => 1,
            Kind::F32 => 4,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    dtype: Kind,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

#[derive(Debug, Deserialize)]
struct Header {
    #[serde(rename = "__metadata__", default)]
    texts: HashMap<String, String>,
    #[serde(flatten)]
    places: HashMap<String, Place>,
}

/// A file's header and what follows it.
#[derive(Debug)]
pub struct File<'a> {
    header: Header,
    tensors: &'a [u8],
}

impl<'a> File<'a> {
    /// Reads the header. It takes memory for the header only, whatever that says.
    ///
    /// # Errors
    /// [`ModelError::Header`] if it is cut, too long, or of another form.
    pub fn read(bytes: &'a [u8]) -> Result<Self, ModelError> {
        let (length, rest) = bytes.split_first_chunk().ok_or(ModelError::Header)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        if length > HEADER_MAX {
            return Err(ModelError::Header);
        }
        let (header, tensors) = rest.split_at_checked(length).ok_or(ModelError::Header)?;
        let header = serde_json::from_slice(header).map_err(|_| ModelError::Header)?;
        Ok(File { header, tensors })
    }

    /// A text of the header.
    ///
    /// # Errors
    /// [`ModelError::Missing`] if there is none of this name.
    pub fn text(&self, name: &str) -> Result<&str, ModelError> {
        let text = self.header.texts.get(name);
        text.map(String::as_str)
            .ok_or_else(|| ModelError::Missing(name.to_owned()))
    }

    /// The bytes of a tensor, exactly as many as its type and shape take.
    ///
    /// # Errors
    /// [`ModelError`] if it is missing, of another type or shape, or not inside the file.
    pub fn bytes(&self, name: &str, kind: Kind, shape: &[usize]) -> Result<&'a [u8], ModelError> {
        let place = self.header.places.get(name);
        let place = place.ok_or_else(|| ModelError::Missing(name.to_owned()))?;
        let wrong = || ModelError::Shape(name.to_owned());
        if place.dtype != kind || place.shape != shape {
            return Err(wrong());
        }
        let [start, end] = place.data_offsets;
        let found = self.tensors.get(start..end);
        let found = found.ok_or_else(|| ModelError::Outside(name.to_owned()))?;
        let numbers = shape
            .iter()
            .try_fold(kind.bytes(), |all, one| all.checked_mul(*one));
        if numbers != Some(found.len()) {
            return Err(wrong());
        }
        Ok(found)
    }

    /// A tensor of single floats.
    ///
    /// # Errors
    /// As [`File::bytes`], and [`ModelError::Value`] for what is not finite.
    pub fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let bytes = self.bytes(name, Kind::F32, shape)?;
        let (numbers, _) = bytes.as_chunks();
        let numbers: Vec<f32> = numbers.iter().map(|one| f32::from_le_bytes(*one)).collect();
        if numbers.iter().all(|number| number.is_finite()) {
            Ok(numbers)
        } else {
            Err(ModelError::Value(name.to_owned()))
        }
    }
}
