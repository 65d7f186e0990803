//! Functions that questions may use: quantiles, and the texts in readable form.

use super::codec::{Codec, split};
use crate::histogram::{Histogram, Sum};
use memchr::memmem;
use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, Result};
use std::sync::Arc;

const FLAGS: FunctionFlags = FunctionFlags::SQLITE_UTF8.union(FunctionFlags::SQLITE_DETERMINISTIC);

/// Most values that `quantile(x, q)` looks at; an answer over more of them is an error that names the rollups.
const VALUES_MAX: usize = 5_000_000;

fn failed(message: &str) -> Error {
    Error::UserFunctionError(message.into())
}

/// Makes the functions known to a connection:
/// `hist_quantile(h, q)`, `hist_count(h)` and the aggregate `hist_merge(h)` over histograms; the aggregate
/// `quantile(x, q)` over numbers; and, for the views, `aplomb_text(stored, id, part)`.
pub(super) fn register(connection: &Connection, codec: &Arc<Codec>) -> Result<()> {
    connection.create_scalar_function("hist_quantile", 2, FLAGS, |context| {
        let share: f64 = context.get(1)?;
        Ok(histogram(context, 0)?.quantile(share))
    })?;
    connection.create_scalar_function("hist_count", 1, FLAGS, |context| {
        Ok(i64::try_from(histogram(context, 0)?.count()).unwrap_or(i64::MAX))
    })?;
    connection.create_aggregate_function("hist_merge", 1, FLAGS, Merge)?;
    connection.create_aggregate_function("quantile", 2, FLAGS, Quantile)?;
    let own = codec.clone();
    connection.create_scalar_function("aplomb_holds", 3, FLAGS, move |context| {
        holds(context, &own)
    })?;
    let codec = codec.clone();
    connection.create_scalar_function("aplomb_text", 3, FLAGS, move |context| {
        text(context, &codec)
    })?;
    Ok(())
}

fn histogram(context: &Context<'_>, at: usize) -> Result<Histogram> {
    match context.get_raw(at) {
        ValueRef::Null => Ok(Histogram::default()),
        ValueRef::Blob(bytes) => {
            Histogram::decode(bytes).ok_or_else(|| failed("this is no histogram"))
        }
        _ => Err(failed(
            "expected a histogram: the columns ttft, total and overhead of minutes and hours",
        )),
    }
}

struct Merge;

impl Aggregate<Sum, Option<Vec<u8>>> for Merge {
    fn init(&self, _: &mut Context<'_>) -> Result<Sum> {
        Ok(Sum::default())
    }

    fn step(&self, context: &mut Context<'_>, sum: &mut Sum) -> Result<()> {
        match context.get_raw(0) {
            ValueRef::Null => Ok(()),
            ValueRef::Blob(bytes) => sum.add(bytes).ok_or_else(|| failed("this is no histogram")),
            _ => Err(failed("expected a histogram")),
        }
    }

    fn finalize(&self, _: &mut Context<'_>, sum: Option<Sum>) -> Result<Option<Vec<u8>>> {
        Ok(sum.map(|sum| sum.total().encode()))
    }
}

struct Quantile;

impl Aggregate<(Vec<f64>, f64), Option<f64>> for Quantile {
    fn init(&self, _: &mut Context<'_>) -> Result<(Vec<f64>, f64)> {
        Ok((Vec::new(), 0.5))
    }

    fn step(&self, context: &mut Context<'_>, (values, share): &mut (Vec<f64>, f64)) -> Result<()> {
        *share = context.get(1)?;
        if values.len() >= VALUES_MAX {
            return Err(failed(
                "too many values; use hist_quantile(hist_merge(ttft), q) over hours",
            ));
        }
        values.extend(context.get::<Option<f64>>(0)?);
        Ok(())
    }

    fn finalize(
        &self,
        _: &mut Context<'_>,
        values: Option<(Vec<f64>, f64)>,
    ) -> Result<Option<f64>> {
        Ok(values.and_then(|(values, share)| quantile(values, share)))
    }
}

/// The value below which a share of all lies (nearest rank).
pub fn quantile(mut values: Vec<f64>, share: f64) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    values.sort_unstable_by(f64::total_cmp);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count, rounded up"
    )]
    let rank = ((share.clamp(0.0, 1.0) * values.len() as f64).ceil() as usize).max(1);
    values.get(rank - 1).copied()
}

/// `aplomb_holds(stored, id, text)`: whether a stored text holds this one, upper and lower case alike. The text is in lower
/// case already.
fn holds(context: &Context<'_>, codec: &Codec) -> Result<bool> {
    let needle = context.get_raw(2).as_bytes().unwrap_or_default();
    let lower = |mut text: Vec<u8>| {
        if needle.is_ascii() {
            text.make_ascii_lowercase();
            return memmem::find(&text, needle).is_some();
        }
        let text = String::from_utf8_lossy(&text).to_lowercase();
        memmem::find(text.as_bytes(), needle).is_some()
    };
    match context.get_raw(0) {
        ValueRef::Text(text) => Ok(lower(text.to_vec())),
        ValueRef::Blob(stored) => {
            let bound = context
                .get_raw(1)
                .as_blob()
                .map_err(|_| failed("expected an id"))?;
            let opened = codec.open(stored, bound);
            Ok(lower(opened.map_err(|error| failed(&error.to_string()))?))
        }
        _ => Ok(false),
    }
}

/// `aplomb_text(stored, id, part)`: part 0 to 3 of a body; -1: a text that stands alone (system prompt, head).
fn text(context: &Context<'_>, codec: &Codec) -> Result<Option<String>> {
    let stored = match context.get_raw(0) {
        ValueRef::Null => return Ok(None),
        ValueRef::Text(text) => return Ok(Some(String::from_utf8_lossy(text).into_owned())),
        ValueRef::Blob(bytes) => bytes,
        _ => return Err(failed("this is no stored text")),
    };
    let bound = context
        .get_raw(1)
        .as_blob()
        .map_err(|_| failed("expected an id"))?;
    let opened = codec
        .open(stored, bound)
        .map_err(|error| failed(&error.to_string()))?;
    let part: i64 = context.get(2)?;
    let Ok(part) = usize::try_from(part) else {
        return Ok(Some(String::from_utf8_lossy(&opened).into_owned()));
    };
    let mut parts = split(&opened).ok_or_else(|| failed("the stored text is damaged"))?;
    Ok(parts.get_mut(part).map(std::mem::take))
}
