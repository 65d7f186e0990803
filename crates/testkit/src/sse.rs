//! Reader of server-sent events that accepts only the canonical form that the gateway promises to write.

use serde_json::Value;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// From its `event:` line.
    pub name: Option<String>,
    /// From its one `data:` line.
    pub data: String,
}

impl Event {
    /// Its data as JSON.
    ///
    /// # Errors
    /// It is none.
    pub fn json(&self) -> Result<Value, String> {
        serde_json::from_str(&self.data)
            .map_err(|error| format!("not JSON ({error}): {}", self.data))
    }
}

/// One block of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// An event.
    Event(Event),
    /// A comment, as it keeps connections alive.
    Comment(String),
}

/// Cuts a stream into blocks.
#[derive(Debug, Default)]
pub struct Blocks {
    buffer: Vec<u8>,
}

impl Blocks {
    /// Takes over the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole block.
    ///
    /// # Errors
    /// It is not canonical: `[event: NAME LF] data: TEXT LF LF`, or `: TEXT LF LF`, in UTF-8.
    pub fn next_block(&mut self) -> Result<Option<Block>, String> {
        let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") else {
            return Ok(None);
        };
        let bytes: Vec<u8> = self.buffer.drain(..end + 2).collect();
        let text = String::from_utf8(bytes).map_err(|_| "a block is not UTF-8".to_owned())?;
        block(text.trim_end_matches('\n')).map(Some)
    }

    /// True if no half block is left.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }
}

fn block(text: &str) -> Result<Block, String> {
    if text.contains('\r') {
        return Err(format!("a carriage return in {text:?}"));
    }
    if let Some(comment) = text.strip_prefix(':') {
        return if comment.contains('\n') {
            Err(format!("more than a comment: {text:?}"))
        } else {
            Ok(Block::Comment(comment.trim().to_owned()))
        };
    }
    let lines: Vec<&str> = text.split('\n').collect();
    let (name, data) = match lines.as_slice() {
        [data] => (None, data),
        [name, data] => (
            Some(
                name.strip_prefix("event: ")
                    .ok_or_else(|| format!("not an event line: {name:?}"))?,
            ),
            data,
        ),
        _ => return Err(format!("not the canonical form: {text:?}")),
    };
    let data = data
        .strip_prefix("data: ")
        .ok_or_else(|| format!("not a data line: {data:?}"))?;
    Ok(Block::Event(Event {
        name: name.map(str::to_owned),
        data: data.to_owned(),
    }))
}

/// All events of a complete stream.
///
/// # Errors
/// It is not canonical, or ends within a block.
pub fn events(bytes: &[u8]) -> Result<Vec<Event>, String> {
    let mut blocks = Blocks::default();
    blocks.push(bytes);
    let mut all = Vec::new();
    while let Some(block) = blocks.next_block()? {
        if let Block::Event(event) = block {
            all.push(event);
        }
    }
    if blocks.is_empty() {
        Ok(all)
    } else {
        Err("the stream ends within a block".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_form_is_accepted() {
        let two = events(b": wait\n\nevent: a\ndata: {\"x\":1}\n\ndata: [DONE]\n\n").unwrap();
        assert_eq!(two.len(), 2);
        assert_eq!(two[0].name.as_deref(), Some("a"));
        for bad in [
            "data: x\r\n\r\n\n\n",
            "data: x",
            "data:x\n\n",
            "data: x\ndata: y\n\n",
            "id: 4\ndata: x\n\n",
            "\n\n\n",
        ] {
            assert!(events(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
