//! One batch on its way: an insert for each table it has rows for.

use super::client::Call;
use super::{CallError, ClickHouse, Fault};
use crate::store::embedded::StoreError;
use crate::store::embedded::codec::Codec;
use crate::store::embedded::outbox::{Batch, Rows, rows};
use bytes::Bytes;
use serde_json::{Map, Value};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The day's file can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// ClickHouse did not take it.
    #[error(transparent)]
    Call(#[from] CallError),
}

fn lines(rows: &[Map<String, Value>]) -> Result<Bytes, CallError> {
    let mut out = Vec::with_capacity(rows.len() * 1024);
    for row in rows {
        serde_json::to_writer(&mut out, row).map_err(|_| CallError::odd())?;
        out.push(b'\n');
    }
    Ok(out.into())
}

impl ClickHouse {
    /// Sends a batch. May be repeated with the same batch: what ClickHouse has taken already is not taken again, neither by the
    /// tables nor by the sums. Rows that were erased meanwhile are left out.
    ///
    /// # Errors
    /// A file can't be read, or ClickHouse did not take all of it.
    pub fn send(&self, folder: &Path, codec: &Arc<Codec>, batch: &Batch) -> Result<(), SendError> {
        let mut state = crate::writer::locked(&self.sending);
        let Rows {
            own,
            attempts,
            texts,
        } = rows(folder, codec, batch, self.texts)?;
        for (table, rows) in [
            (batch.what.name(), &own),
            ("attempts", &attempts),
            ("texts", &texts),
        ] {
            if rows.is_empty() {
                continue;
            }
            let sent = self.insert(table, lines(rows)?, &format!("{}-{table}", batch.token));
            if let Err(error) = sent {
                if error.fault != Fault::Refused {
                    state.in_doubt = Some(Instant::now());
                }
                return Err(error.into());
            }
        }
        Ok(())
    }

    fn insert(&self, table: &str, data: Bytes, token: &str) -> Result<(), CallError> {
        let settings = [
            ("insert_deduplicate", "1".to_owned()),
            ("insert_deduplication_token", token.to_owned()),
            (
                "deduplicate_blocks_in_dependent_materialized_views",
                "1".to_owned(),
            ),
            // One block, so that the token stands for all of it.
            ("input_format_parallel_parsing", "0".to_owned()),
            ("max_insert_block_size", "1048576".to_owned()),
            ("async_insert", "0".to_owned()),
        ];
        self.client
            .call(&Call {
                sql: &format!("INSERT INTO {table} FORMAT JSONEachRow"),
                database: Some(&self.database),
                settings: &settings,
                data: Some(data),
                ..Call::new(self.insert)
            })
            .map(|_| ())
    }
}
