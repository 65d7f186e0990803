//! Server-sent events, read from any cut of the bytes and written in one canonical form.
//!
//! Reading follows WHATWG HTML section 9.2: UTF-8 with replacement, one leading byte order mark dropped,
//! lines end at CR, LF or CRLF, comments skipped, `data` lines joined by LF, a block without its blank line
//! at the end of the stream discarded. Lines and events are bounded; nothing here panics on any input.

use bytes::{BufMut, Bytes, BytesMut};
use memchr::memchr2;

/// Default bound on one line and on one event, in bytes.
pub const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One dispatched event. `data` is valid UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// Value of the last `event` field, if any.
    pub name: Option<Box<str>>,
    /// The `data` lines, joined by LF.
    pub data: Bytes,
}

/// A line or an event is larger than the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("server-sent event larger than {max} bytes")]
pub struct SseTooLarge {
    /// The bound that was reached.
    pub max: usize,
}

#[derive(Default)]
enum Data {
    #[default]
    None,
    One(Bytes),
    Many(BytesMut),
}

impl Data {
    fn len(&self) -> usize {
        match self {
            Data::None => 0,
            Data::One(bytes) => bytes.len(),
            Data::Many(bytes) => bytes.len(),
        }
    }

    fn push(&mut self, line: Bytes) {
        *self = match std::mem::take(self) {
            Data::None => Data::One(line),
            Data::One(first) => {
                let mut all = BytesMut::with_capacity(first.len() + line.len() + 1);
                all.put_slice(&first);
                all.put_u8(b'\n');
                all.put_slice(&line);
                Data::Many(all)
            }
            Data::Many(mut all) => {
                all.put_u8(b'\n');
                all.put_slice(&line);
                Data::Many(all)
            }
        };
    }

    fn take(&mut self) -> Option<Bytes> {
        match std::mem::take(self) {
            Data::None => None,
            Data::One(bytes) => Some(bytes),
            Data::Many(bytes) => Some(bytes.freeze()),
        }
    }
}

/// Incremental reader: feed bytes with [`push`](Self::push), take events with [`next_event`](Self::next_event).
pub struct SseDecoder {
    buffer: BytesMut,
    /// Bytes of `buffer` known to hold no line end.
    scanned: usize,
    /// The last line ended with CR: a LF right after it belongs to that end.
    after_cr: bool,
    at_start: bool,
    name: Option<Box<str>>,
    data: Data,
    max: usize,
}

impl Default for SseDecoder {
    fn default() -> Self {
        SseDecoder::new(EVENT_BYTES_MAX)
    }
}

impl SseDecoder {
    /// A reader that refuses lines and events over `max` bytes.
    pub fn new(max: usize) -> Self {
        SseDecoder {
            buffer: BytesMut::new(),
            scanned: 0,
            after_cr: false,
            at_start: true,
            name: None,
            data: Data::None,
            max,
        }
    }

    /// Takes over the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole event, or `None` until more bytes come.
    ///
    /// # Errors
    /// [`SseTooLarge`] if a line or an event is over the bound; the stream can't be read on after it.
    pub fn next_event(&mut self) -> Result<Option<SseEvent>, SseTooLarge> {
        if self.at_start && !self.skip_byte_order_mark() {
            return Ok(None);
        }
        while let Some(line) = self.next_line()? {
            if line.is_empty() {
                if let Some(event) = self.dispatch() {
                    return Ok(Some(event));
                }
            } else {
                self.field(&line)?;
            }
        }
        Ok(None)
    }

    /// False while the bytes so far are a part of a byte order mark.
    fn skip_byte_order_mark(&mut self) -> bool {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        if self.buffer.starts_with(MARK) {
            let _ = self.buffer.split_to(MARK.len());
        } else if MARK.starts_with(&self.buffer) {
            return false;
        }
        self.at_start = false;
        true
    }

    fn next_line(&mut self) -> Result<Option<Bytes>, SseTooLarge> {
        if self.after_cr && !self.buffer.is_empty() {
            self.after_cr = false;
            if self.buffer.first() == Some(&b'\n') {
                let _ = self.buffer.split_to(1);
            }
        }
        let tail = self.buffer.get(self.scanned..).unwrap_or_default();
        let Some(found) = memchr2(b'\n', b'\r', tail) else {
            self.scanned = self.buffer.len();
            return if self.scanned > self.max {
                Err(self.too_large())
            } else {
                Ok(None)
            };
        };
        let end = self.scanned + found;
        self.scanned = 0;
        if end > self.max {
            return Err(self.too_large());
        }
        let line = self.buffer.split_to(end).freeze();
        self.after_cr = self.buffer.first() == Some(&b'\r');
        let _ = self.buffer.split_to(1);
        Ok(Some(line))
    }

    fn too_large(&self) -> SseTooLarge {
        SseTooLarge { max: self.max }
    }

    fn field(&mut self, line: &Bytes) -> Result<(), SseTooLarge> {
        let colon = memchr::memchr(b':', line);
        let (name, mut value) = match colon {
            Some(0) => return Ok(()),
            Some(at) => (line.slice(..at), line.slice(at + 1..)),
            None => (line.clone(), Bytes::new()),
        };
        if value.first() == Some(&b' ') {
            value = value.slice(1..);
        }
        match name.as_ref() {
            b"data" => {
                if self.data.len() + value.len() > self.max {
                    return Err(self.too_large());
                }
                self.data.push(value);
            }
            b"event" => self.name = Some(String::from_utf8_lossy(&value).into()),
            // `id` and `retry` serve reconnection, which an answer has not; others are ignored by the standard.
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self) -> Option<SseEvent> {
        let name = self.name.take();
        let data = self.data.take()?;
        if data.is_empty() {
            return None;
        }
        Some(SseEvent {
            name,
            data: to_utf8(data),
        })
    }
}

fn to_utf8(data: Bytes) -> Bytes {
    match std::str::from_utf8(&data) {
        Ok(_) => data,
        Err(_) => Bytes::from(String::from_utf8_lossy(&data).into_owned()),
    }
}

/// Writes `data: {json}\n\n`. `data` must hold no line end, as JSON text never does.
pub fn write_data(out: &mut BytesMut, data: &[u8]) {
    out.reserve(data.len() + 8);
    out.put_slice(b"data: ");
    put_without_line_ends(out, data);
    out.put_slice(b"\n\n");
}

/// Writes `event: name\ndata: {json}\n\n`.
pub fn write_named(out: &mut BytesMut, name: &str, data: &[u8]) {
    out.reserve(name.len() + data.len() + 16);
    out.put_slice(b"event: ");
    put_without_line_ends(out, name.as_bytes());
    out.put_slice(b"\n");
    write_data(out, data);
}

/// Pretty-printed JSON that came as several data lines is still one line when written.
fn put_without_line_ends(out: &mut BytesMut, bytes: &[u8]) {
    if memchr2(b'\n', b'\r', bytes).is_none() {
        out.put_slice(bytes);
    } else {
        bytes
            .split(|b| matches!(b, b'\n' | b'\r'))
            .for_each(|part| out.put_slice(part));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(chunks: &[&[u8]]) -> Vec<(Option<String>, String)> {
        let mut decoder = SseDecoder::default();
        let mut events = Vec::new();
        for chunk in chunks {
            decoder.push(chunk);
            while let Some(event) = decoder.next_event().unwrap() {
                events.push((
                    event.name.map(String::from),
                    String::from_utf8(event.data.to_vec()).unwrap(),
                ));
            }
        }
        events
    }

    #[track_caller]
    fn check(input: &[u8], expected: &[&str]) {
        let whole: Vec<_> = decode(&[input]).into_iter().map(|(_, data)| data).collect();
        assert_eq!(whole, expected, "whole");
        let bytes: Vec<_> = decode(&input.chunks(1).collect::<Vec<_>>())
            .into_iter()
            .map(|(_, data)| data)
            .collect();
        assert_eq!(bytes, expected, "byte by byte");
    }

    #[test]
    fn line_ends() {
        check(
            b"data: a\n\ndata: b\r\n\r\ndata: c\r\rdata: d\r\n\ndata: e\n\r",
            &["a", "b", "c", "d", "e"],
        );
    }

    #[test]
    fn cr_only_stream_keeps_its_last_event() {
        check(b"data: a\r\r", &["a"]);
    }

    #[test]
    fn byte_order_mark_is_dropped_once() {
        check(b"\xef\xbb\xbfdata: a\n\n", &["a"]);
        check(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", &[]);
        check(b"\xef\xbbdata: a\n\ndata: b\n\n", &["b"]);
    }

    #[test]
    fn comments_unknown_fields_and_empty_blocks() {
        check(b": hello\n\nid: 4\nretry: 10\nfoo: bar\n\n\n\ndata\n\ndata:\n\ndata: x\n:c\ndata: y\n\n", &["x\ny"]);
    }

    #[test]
    fn one_space_is_removed_and_names_are_kept() {
        assert_eq!(
            decode(&[b"event: ping\ndata:  two\n\ndata:none\n\n"]),
            vec![(Some("ping".into()), " two".into()), (None, "none".into())]
        );
    }

    #[test]
    fn name_does_not_survive_an_empty_block() {
        assert_eq!(
            decode(&[b"event: a\n\ndata: x\n\n"]),
            vec![(None, "x".into())]
        );
    }

    #[test]
    fn unterminated_block_is_discarded() {
        check(b"data: a\n\ndata: b\n", &["a"]);
    }

    #[test]
    fn invalid_utf8_is_replaced() {
        check(b"data: a\xff\xc3\n\n", &["a\u{fffd}\u{fffd}"]);
    }

    #[test]
    fn lines_and_events_are_bounded() {
        let mut decoder = SseDecoder::new(64);
        decoder.push(&[b'a'; 65]);
        assert_eq!(decoder.next_event(), Err(SseTooLarge { max: 64 }));
        let mut decoder = SseDecoder::new(64);
        for _ in 0..3 {
            decoder.push(b"data: 0123456789012345678901234567890\n");
        }
        assert_eq!(decoder.next_event(), Err(SseTooLarge { max: 64 }));
    }

    #[test]
    fn written_events_are_canonical() {
        let mut out = BytesMut::new();
        write_named(&mut out, "ping", b"{\n}");
        assert_eq!(&out[..], b"event: ping\ndata: {}\n\n");
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_events(
            input in proptest::collection::vec(proptest::sample::select(b"d:a \r\n\xef\xbb\xbf\xc3\xa9{data: event".to_vec()), 0..200),
            cuts in proptest::collection::vec(1usize..7, 1..50),
        ) {
            let whole = decode(&[&input]);
            let mut rest = &input[..];
            let mut chunks = Vec::new();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (chunk, tail) = rest.split_at((*cut).min(rest.len()));
                chunks.push(chunk);
                rest = tail;
            }
            prop_assert_eq!(whole, decode(&chunks));
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(input in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut decoder = SseDecoder::new(128);
            decoder.push(&input);
            while let Ok(Some(event)) = decoder.next_event() {
                prop_assert!(std::str::from_utf8(&event.data).is_ok());
            }
        }
    }
}
