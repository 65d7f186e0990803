//! Small repairs to chunks that pass as they are, for what servers send and strict clients refuse.
//!
//! * an empty `finish_reason` becomes `null`;
//! * `delta: null` becomes `{}`;
//! * the two halves of one character in two chunks are joined in the second.

use super::text::{Carry, decode};
use super::wire::{Answer, Choice};
use aplomb_core::json::{self, Edit};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What has to be remembered between chunks.
#[derive(Default)]
pub(super) struct Repair {
    /// By choice index: halves of its text, of its reasoning and of its tool arguments.
    halves: Vec<(u32, [Carry; 3])>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

impl Repair {
    /// The changes that this chunk needs; none for almost all.
    pub fn edits(&mut self, answer: &Answer<'_>, data: &[u8]) -> Vec<Edit> {
        let mut edits = Vec::new();
        let escaped = memchr::memmem::find(data, b"\\ud").is_some()
            || memchr::memmem::find(data, b"\\uD").is_some();
        for choice in answer.choices.iter().flatten() {
            if let Some(reason) = choice.finish_reason.filter(|raw| raw.get() == "\"\"") {
                edits.extend(replace(data, reason, "null".into()));
            }
            if choice.delta.is_none() && choice.text.is_none() {
                edits.extend(null_delta(data));
            }
            if escaped || !self.halves.is_empty() {
                self.join(choice, data, &mut edits);
            }
        }
        edits
    }

    fn join(&mut self, choice: &Choice<'_>, data: &[u8], edits: &mut Vec<Edit>) {
        let at = match self
            .halves
            .iter()
            .position(|(index, _)| *index == choice.index)
        {
            Some(at) => at,
            None => {
                self.halves.push((choice.index, [Carry::default(); 3]));
                self.halves.len() - 1
            }
        };
        let Some((_, [text, reasoning, arguments])) = self.halves.get_mut(at) else {
            return;
        };
        let mut rewrite = |raw: Option<&RawValue>, carry: &mut Carry| {
            let Some(raw) = raw else { return };
            if let Some(joined) = decode(raw.get(), carry).map(serde_json::Value::String) {
                edits.extend(replace(data, raw, joined.to_string()));
            }
        };
        rewrite(choice.text, text);
        let Some(delta) = &choice.delta else { return };
        rewrite(delta.content, text);
        rewrite(delta.reasoning_content, reasoning);
        if delta.reasoning_content.is_none() {
            rewrite(delta.reasoning, reasoning);
        }
        let calls: Vec<Call<'_>> = delta
            .tool_calls
            .and_then(|raw| serde_json::from_str(raw.get()).ok())
            .unwrap_or_default();
        for call in calls {
            rewrite(
                call.function.and_then(|function| function.arguments),
                arguments,
            );
        }
    }
}

fn replace(data: &[u8], raw: &RawValue, text: String) -> Option<Edit> {
    json::range_of(data, raw.get()).map(|range| Edit { range, text })
}

/// `null` after the key `delta`.
fn null_delta(data: &[u8]) -> Option<Edit> {
    const KEY: &[u8] = b"\"delta\"";
    let after = memchr::memmem::find(data, KEY)? + KEY.len();
    let rest = data
        .get(after..)?
        .trim_ascii_start()
        .strip_prefix(b":")?
        .trim_ascii_start();
    let start = data.len() - rest.len();
    rest.starts_with(b"null").then(|| Edit {
        range: start..start + 4,
        text: "{}".into(),
    })
}
