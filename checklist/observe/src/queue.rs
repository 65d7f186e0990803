//! The bounded queue between requests and the writer thread.
//!
//! A request never waits here. What happens when the writer is behind, in this order, each step counted: over half of the
//! bytes, texts are cut to their heads; when it is full, facts alone go into a lane of their own; when that is full too,
//! the record is lost (and `records.on_overflow` may have refused the request before).

use crate::prompt::Prompt;
use crate::record::{KeepText, Record, Texts};
use crate::store::embedded::{Embedded, Started};
use std::collections::VecDeque;
use std::mem::size_of;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::oneshot;

/// Bytes of facts that are taken when the queue is full.
pub(crate) const LANE_BYTES: usize = 8 << 20;
/// Bytes that a record of facts needs at most, nearly always.
const ROOM: usize = 4 << 10;
/// Texts of more bytes are cut to their heads when the queue is over half full.
const LONG_TEXT: usize = 4 << 10;

/// Told when a record is on the disk. An error means that it is lost.
pub type Ack = oneshot::Sender<()>;

/// One finished exchange.
pub struct Submission {
    /// The facts.
    pub record: Box<Record>,
    /// The text, where somebody looks at it.
    pub texts: Option<Texts>,
    /// How much of it stays.
    pub keep: KeepText,
    /// Who waits for it.
    pub ack: Option<Ack>,
}

/// What was read of a text already, instead of the text.
pub(crate) enum Said {
    Nothing,
    Texts(Texts, KeepText),
    Read(Box<Prompt>),
}

/// One thing to write.
pub(crate) enum Item {
    Done {
        record: Box<Record>,
        said: Said,
        ack: Option<Ack>,
    },
    Begun {
        started: Box<Started>,
        ack: Option<Ack>,
    },
}

/// What became of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It waits, whole.
    Taken,
    /// It waits, with the heads of its texts.
    Shed,
    /// It waits, without its text.
    FactsOnly,
    /// It is lost.
    Lost,
}

/// Runs on the writer's thread, between two writes.
pub(crate) type Job = Box<dyn FnOnce(&mut Embedded) + Send>;

#[derive(Default)]
pub(crate) struct Waiting {
    pub(crate) items: VecDeque<(Item, usize)>,
    pub(crate) bytes: usize,
    pub(crate) jobs: Vec<Job>,
    pub(crate) closed: bool,
    /// The thread sleeps until it is woken.
    pub(crate) asleep: bool,
    /// Somebody waits for an acknowledgement.
    pub(crate) awaited: bool,
    /// When the oldest item came.
    pub(crate) oldest: Option<Instant>,
}

pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    /// Most bytes of whole items.
    pub(crate) max: usize,
}

fn text_bytes(text: Option<&String>) -> usize {
    text.map_or(0, String::len)
}

/// Bytes of memory, about.
fn size(record: &Record) -> usize {
    let tags: usize = record
        .tags
        .iter()
        .map(|(key, value)| key.len() + value.len() + 48)
        .sum();
    size_of::<Record>()
        + record.model.len()
        + text_bytes(record.user.as_ref())
        + text_bytes(record.session.as_ref())
        + text_bytes(record.served_model.as_ref())
        + tags
        + record.attempts.len() * 64
}

impl Queue {
    pub(crate) fn new(max: usize) -> Self {
        Queue {
            waiting: Mutex::default(),
            max,
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the next record would be lost.
    pub(crate) fn is_full(&self) -> bool {
        self.lock().bytes + ROOM >= self.max + LANE_BYTES
    }

    /// Takes an exchange. The flag says that the thread has to be woken.
    pub(crate) fn put(&self, submission: Submission) -> (Fate, bool) {
        let Submission {
            record,
            texts,
            keep,
            ack,
        } = submission;
        let facts = size(&record);
        let long = texts.as_ref().map_or(0, Texts::size);
        let (said, fate) = self.squeeze(texts, keep, facts);
        let bytes = facts
            + match &said {
                Said::Nothing => 0,
                Said::Texts(..) => long,
                Said::Read(_) => size_of::<Prompt>() + 1024,
            };
        let limit = if fate == Fate::FactsOnly {
            self.max + LANE_BYTES
        } else {
            self.max
        };
        let mut waiting = self.lock();
        if waiting.closed || waiting.bytes + bytes > limit.max(self.max + LANE_BYTES) {
            return (Fate::Lost, false);
        }
        (fate, waiting.push(Item::Done { record, said, ack }, bytes))
    }

    /// Makes the text smaller where the queue is behind.
    fn squeeze(&self, texts: Option<Texts>, keep: KeepText, facts: usize) -> (Said, Fate) {
        let Some(texts) = texts else {
            return (Said::Nothing, Fate::Taken);
        };
        let after = self.lock().bytes + facts + texts.size();
        if after > self.max {
            let prompt = Prompt {
                kept: crate::prompt::Kept::Lost,
                ..Prompt::default()
            };
            return (Said::Read(Box::new(prompt)), Fate::FactsOnly);
        }
        if after * 2 > self.max && texts.size() > LONG_TEXT {
            let kept = if keep != KeepText::None {
                crate::prompt::Kept::Head
            } else {
                crate::prompt::Kept::None
            };
            return (Said::Read(Box::new(Prompt::read(&texts, kept))), Fate::Shed);
        }
        (Said::Texts(texts, keep), Fate::Taken)
    }

    /// Notes the beginning of an exchange. False if there is no room.
    pub(crate) fn begin(&self, started: Box<Started>, ack: Option<Ack>) -> (bool, bool) {
        let bytes = size_of::<Started>() + 256;
        let mut waiting = self.lock();
        if waiting.closed || waiting.bytes + bytes > self.max + LANE_BYTES {
            return (false, false);
        }
        (true, waiting.push(Item::Begun { started, ack }, bytes))
    }
}

impl Waiting {
    fn push(&mut self, item: Item, bytes: usize) -> bool {
        let acked = match &item {
            Item::Done { ack, .. } | Item::Begun { ack, .. } => ack.is_some(),
        };
        self.awaited |= acked;
        self.bytes += bytes;
        self.oldest.get_or_insert_with(Instant::now);
        self.items.push_back((item, bytes));
        std::mem::take(&mut self.asleep)
    }

    /// The next items, up to so many and so many bytes.
    pub(crate) fn take(&mut self, rows: usize, bytes: usize) -> (Vec<Item>, usize) {
        let mut taken = Vec::with_capacity(rows.min(self.items.len()));
        let mut sum = 0;
        while taken.len() < rows && sum < bytes {
            let Some((item, size)) = self.items.pop_front() else {
                break;
            };
            sum += size;
            taken.push(item);
        }
        if self.items.is_empty() {
            self.oldest = None;
            self.awaited = false;
            self.items.shrink_to(1024);
        }
        (taken, sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn submission(text: usize) -> Submission {
        let body = format!(
            "{{\"messages\":[{{\"role\":\"user\",\"content\":\"{}\"}}]}}",
            "x".repeat(text)
        );
        Submission {
            record: Box::default(),
            texts: Some(Texts {
                request: Bytes::from(body),
                ..Texts::default()
            }),
            keep: KeepText::Masked,
            ack: None,
        }
    }

    #[test]
    fn a_full_queue_sheds_texts_then_keeps_facts_then_loses() {
        let queue = Queue::new(1 << 20);
        let mut fates = Vec::new();
        for _ in 0..60_000 {
            let (fate, _) = queue.put(submission(20_000));
            if fates.last() != Some(&fate) {
                fates.push(fate);
            }
            assert!(queue.lock().bytes <= queue.max + LANE_BYTES);
        }
        assert_eq!(
            fates,
            [Fate::Taken, Fate::Shed, Fate::FactsOnly, Fate::Lost]
        );
        assert!(queue.is_full());
        let kept: Vec<_> = queue
            .lock()
            .items
            .iter()
            .filter_map(|(item, _)| match item {
                Item::Done {
                    said: Said::Read(prompt),
                    ..
                } => Some(prompt.kept.name()),
                _ => None,
            })
            .collect();
        assert_eq!((kept.first(), kept.last()), (Some(&"head"), Some(&"lost")));
    }

    #[test]
    fn the_thread_is_woken_once() {
        let queue = Queue::new(1 << 20);
        queue.lock().asleep = true;
        assert!(queue.put(submission(1)).1);
        assert!(!queue.put(submission(1)).1);
        let (taken, bytes) = queue.lock().take(1, usize::MAX);
        assert_eq!(taken.len(), 1);
        assert!(bytes > 0 && queue.lock().oldest.is_some());
    }
}
