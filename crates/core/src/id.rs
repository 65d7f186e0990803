//! Identifiers made here: record ids (UUIDv7, RFC 9562 section 5.7) and W3C trace contexts.

use std::fmt;

/// Id of one exchange: 48 bits of milliseconds, then random bits. Sorts by time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct RequestId(u128);

impl RequestId {
    /// A new id for the moment `now_ms` (milliseconds since the Unix epoch).
    ///
    /// The random part comes from a seeded generator per thread: ids name records, they are no secrets.
    pub fn new(now_ms: u64) -> Self {
        let time = u128::from(now_ms & 0xffff_ffff_ffff) << 80;
        let random = fastrand::u128(..) & 0x0fff_3fff_ffff_ffff_ffff;
        RequestId(time | random | (0x7 << 76) | (0b10 << 62))
    }

    /// The smallest id of a moment: `id >= RequestId::floor(t)` says that a request came at `t` or later.
    pub fn floor(at_ms: u64) -> Self {
        RequestId(u128::from(at_ms & 0xffff_ffff_ffff) << 80)
    }

    /// Its 16 bytes; they sort as it does.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The id of 16 bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        RequestId(u128::from_be_bytes(bytes))
    }

    /// When it was made, in milliseconds since the Unix epoch.
    pub fn at_ms(self) -> u64 {
        u64::try_from(self.0 >> 80).unwrap_or_default()
    }

    /// Reads the form with hyphens, in upper or lower case.
    pub fn parse(text: &str) -> Option<Self> {
        let groups = [8, 4, 4, 4, 12];
        let mut parts = text.split('-');
        let mut value: u128 = 0;
        for len in groups {
            let part = parts.next().filter(|part| part.len() == len)?;
            for digit in part.chars() {
                value = (value << 4) | u128::from(digit.to_digit(16)?);
            }
        }
        parts.next().is_none().then_some(RequestId(value))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(36);
        for (shift, digits) in [(96, 8), (80, 4), (64, 4), (48, 4), (0, 12)] {
            if !text.is_empty() {
                text.push('-');
            }
            push_hex(&mut text, self.0 >> shift, digits);
        }
        f.write_str(&text)
    }
}

/// Appends the lowest `digits` hexadecimal digits. Several ids a request are written, and the general formatter takes its
/// time over 128 bits.
fn push_hex(text: &mut String, value: u128, digits: u32) {
    for place in (0..digits).rev() {
        let digit = u32::try_from((value >> (4 * place)) & 0xf).unwrap_or(0);
        text.push(char::from_digit(digit, 16).unwrap_or('0'));
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// W3C Trace Context: which trace this exchange belongs to.
///
/// An upstream call keeps the trace id and gets a span id of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// 16 bytes, never zero.
    pub trace_id: u128,
    /// Span of the caller, 0 where the trace starts here.
    pub parent_id: u64,
    /// Trace flags (bit 0: sampled).
    pub flags: u8,
}

impl TraceContext {
    /// Reads a `traceparent` header. Anything invalid is `None` and starts a new trace.
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.trim().splitn(4, '-');
        let (version, trace, parent, rest) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |s: &str, len: usize| {
            s.len() == len && s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let flags = if version == "00" {
            rest
        } else {
            rest.split('-').next()?
        };
        if !hex(version, 2)
            || version == "ff"
            || !hex(trace, 32)
            || !hex(parent, 16)
            || !hex(flags, 2)
        {
            return None;
        }
        let context = TraceContext {
            trace_id: u128::from_str_radix(trace, 16).ok()?,
            parent_id: u64::from_str_radix(parent, 16).ok()?,
            flags: u8::from_str_radix(flags, 16).ok()?,
        };
        (context.trace_id != 0 && context.parent_id != 0).then_some(context)
    }

    /// A trace that starts here.
    pub fn start() -> Self {
        TraceContext {
            trace_id: fastrand::u128(1..),
            parent_id: 0,
            flags: 0,
        }
    }

    /// The trace id as 32 hexadecimal digits.
    pub fn trace_hex(&self) -> String {
        let mut text = String::with_capacity(32);
        push_hex(&mut text, self.trace_id, 32);
        text
    }

    /// A new span id, never zero.
    pub fn new_span() -> u64 {
        fastrand::u64(1..)
    }

    /// Whether the caller records this trace (flag `sampled`).
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }

    /// The `traceparent` value that travels with the span `span_id` of this trace.
    pub fn header(&self, span_id: u64) -> String {
        let mut text = String::with_capacity(55);
        text.push_str("00-");
        push_hex(&mut text, self.trace_id, 32);
        text.push('-');
        push_hex(&mut text, u128::from(span_id), 16);
        text.push('-');
        push_hex(&mut text, u128::from(self.flags), 2);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_version_7_and_sort_by_time() {
        let text = RequestId::new(0x0123_4567_89ab).to_string();
        assert_eq!(text.len(), 36);
        assert!(text.starts_with("01234567-89ab-7"), "{text}");
        assert!(matches!(text.as_bytes()[19], b'8'..=b'b'), "{text}");
        assert!(RequestId::new(1) < RequestId::new(2));
        assert_ne!(RequestId::new(1), RequestId::new(1));
    }

    #[test]
    fn request_ids_are_read_back() {
        let id = RequestId::new(1_700_000_000_123);
        assert_eq!(RequestId::parse(&id.to_string()), Some(id));
        assert_eq!(RequestId::parse(&id.to_string().to_uppercase()), Some(id));
        assert_eq!(RequestId::from_bytes(id.to_bytes()), id);
        assert_eq!(id.at_ms(), 1_700_000_000_123);
        assert!(
            RequestId::floor(1_700_000_000_123) <= id && id < RequestId::floor(1_700_000_000_124)
        );
        for bad in [
            "",
            "x",
            "0123",
            "01234567-89ab-7000-8000-00000000000g",
            "01234567-89ab-7000-8000-000000000000-",
        ] {
            assert_eq!(RequestId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn traceparent_keeps_the_trace_and_changes_the_span() {
        let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let child = TraceContext::parse(header).unwrap().header(0xabc);
        assert_eq!(&child[..36], &header[..36]);
        assert_eq!(&child[36..52], "0000000000000abc");
        assert_eq!(&child[52..], "-01");
    }

    #[test]
    fn invalid_traceparents_are_ignored() {
        for bad in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        ] {
            assert_eq!(TraceContext::parse(bad), None, "{bad}");
        }
        assert!(
            TraceContext::parse("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x")
                .is_some()
        );
    }
}
