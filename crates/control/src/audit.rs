//! The audit trail as a chain: each row holds a hash of itself and of the row before it.
//!
//! Who changes, removes or inserts a row has to make every later hash anew; who does that is found by an *anchor*, a number and a
//! hash that were written down somewhere else. Rows that are missing at the end are found by the number that was given last.

use crate::store::AuditEntry;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// Hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the hash of a row is made of, besides the hash before it.
pub(crate) struct Link<'a> {
    pub seq: u64,
    pub at_ms: u64,
    pub actor: &'a str,
    pub action: &'a str,
    pub subject: &'a str,
}

impl Link<'_> {
    /// Each text is told with its length, so that no two rows say the same.
    pub(crate) fn hash(&self, before: &[u8]) -> Vec<u8> {
        let mut digest = Sha256::new();
        digest.update(before);
        digest.update(self.seq.to_be_bytes());
        digest.update(self.at_ms.to_be_bytes());
        for text in [self.actor, self.action, self.subject] {
            let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
            digest.update(length.to_be_bytes());
            digest.update(text.as_bytes());
        }
        digest.finalize().to_vec()
    }
}

/// A row whose hash was written down elsewhere: `17:9f2c...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// Its number.
    pub seq: u64,
    /// Its hash, in hexadecimal digits.
    pub hash: String,
}

impl FromStr for Anchor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected NUMBER:HASH, as `aplomb audit verify` prints it".to_owned();
        let (seq, hash) = text.split_once(':').ok_or_else(wrong)?;
        let digits = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
        let seq = seq.parse().map_err(|_| wrong())?;
        if !digits {
            return Err(wrong());
        }
        Ok(Anchor {
            seq,
            hash: hash.to_ascii_lowercase(),
        })
    }
}

/// A trail that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How many rows it has.
    pub rows: u64,
    /// The last one, to be written down elsewhere; none where there is no row.
    pub head: Option<Anchor>,
}

/// Where a trail is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// A row was changed, or does not follow the one before it.
    Row(u64),
    /// Rows are missing before this one.
    Gap(u64),
    /// Rows after this one are missing.
    End(u64),
    /// The row of the anchor is another one, or missing.
    Anchor(u64),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Row(seq) => write!(f, "row {seq} was changed"),
            Broken::Gap(seq) => write!(f, "rows before row {seq} are missing"),
            Broken::End(seq) => write!(f, "rows after row {seq} are missing"),
            Broken::Anchor(seq) => write!(f, "row {seq} is not the one that was written down"),
        }
    }
}

/// A walk along the trail.
pub(crate) struct Walk<'a> {
    anchor: Option<&'a Anchor>,
    found: bool,
    seq: u64,
    hash: Vec<u8>,
    rows: u64,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(anchor: Option<&'a Anchor>) -> Self {
        Walk {
            anchor,
            found: false,
            seq: 0,
            hash: Vec::new(),
            rows: 0,
        }
    }

    /// Number of the last row.
    pub(crate) fn last(&self) -> u64 {
        self.seq
    }

    pub(crate) fn step(&mut self, row: &AuditEntry) -> Result<(), Broken> {
        if row.seq != self.seq.saturating_add(1) {
            return Err(Broken::Gap(row.seq));
        }
        let hash = row.link().hash(&self.hash);
        if hex(&hash) != row.hash {
            return Err(Broken::Row(row.seq));
        }
        if let Some(anchor) = self.anchor.filter(|anchor| anchor.seq == row.seq) {
            if anchor.hash != row.hash {
                return Err(Broken::Anchor(row.seq));
            }
            self.found = true;
        }
        self.hash = hash;
        self.seq = row.seq;
        self.rows += 1;
        Ok(())
    }

    /// No row is left; `given` is the number that was given last.
    pub(crate) fn end(self, given: u64) -> Result<Verified, Broken> {
        if given != self.seq {
            return Err(Broken::End(self.seq));
        }
        if let Some(anchor) = self.anchor.filter(|_| !self.found) {
            return Err(Broken::Anchor(anchor.seq));
        }
        let head = (self.rows > 0).then(|| Anchor {
            seq: self.seq,
            hash: hex(&self.hash),
        });
        Ok(Verified {
            rows: self.rows,
            head,
        })
    }
}
