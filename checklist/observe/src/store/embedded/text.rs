//! A day's file of texts, open for writing.

use super::codec::{Codec, CodecError, join};
use super::connect::{named, open};
use super::{StoreError, ddl};
use crate::prompt::Text;
use aplomb_core::id::RequestId;
use rusqlite::types::Value;
use rusqlite::{Connection, TransactionBehavior, params};
use std::path::{Path, PathBuf};

/// A day's texts.
pub(super) struct TextFile {
    path: PathBuf,
    connection: Connection,
}

fn failed(error: CodecError) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}

/// A head: readable with any tool where texts are not sealed.
fn head(codec: &Codec, text: &str, id: &[u8]) -> Result<Value, CodecError> {
    if codec.seals() {
        return Ok(Value::Blob(codec.close(text.as_bytes(), id)?));
    }
    Ok(Value::Text(text.to_owned()))
}

impl TextFile {
    /// Opens the file, or makes it.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = open(path, ddl::TEXT_VERSION, ddl::CREATE_TEXTS, |_, _| Ok(()))?;
        Ok(TextFile {
            path: path.to_owned(),
            connection,
        })
    }

    /// Writes texts in one transaction; those that are there already stay.
    pub(super) fn write<'a>(
        &mut self,
        codec: &Codec,
        texts: impl Iterator<Item = (RequestId, &'a Text)>,
    ) -> Result<(), StoreError> {
        let run = |connection: &mut Connection| {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for (id, text) in texts {
                add(&tx, codec, &id.to_bytes(), text)?;
            }
            tx.commit()
        };
        run(&mut self.connection).map_err(named(&self.path))
    }
}

fn add(tx: &Connection, codec: &Codec, id: &[u8; 16], text: &Text) -> rusqlite::Result<()> {
    let hash = (!text.system.is_empty()).then(|| codec.hash(&text.system));
    if let Some(hash) = hash {
        let known = tx
            .prepare_cached("SELECT 1 FROM systems WHERE hash = ?1")?
            .exists([hash])?;
        if !known {
            let body = codec.close(text.system.as_bytes(), &hash).map_err(failed)?;
            tx.prepare_cached("INSERT OR IGNORE INTO systems VALUES (?1, ?2)")?
                .execute(params![hash, body])?;
        }
    }
    let parts = [
        &*text.messages,
        &text.tools,
        &text.output,
        &text.output_more,
    ];
    if parts.iter().any(|part| !part.is_empty()) {
        let body = codec.close(&join(parts), id).map_err(failed)?;
        tx.prepare_cached("INSERT OR IGNORE INTO texts (id, system, body) VALUES (?1, ?2, ?3)")?
            .execute(params![id, hash, body])?;
    }
    tx.prepare_cached("INSERT OR IGNORE INTO heads VALUES (?1, ?2, ?3)")?
        .execute(params![
            id,
            head(codec, &text.prompt_head, id).map_err(failed)?,
            head(codec, &text.output_head, id).map_err(failed)?
        ])?;
    Ok(())
}
