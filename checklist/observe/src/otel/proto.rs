//! The few OTLP messages that are sent, in Protocol Buffers' wire format.
//!
//! Numbers of fields are those of open-telemetry/opentelemetry-proto, `opentelemetry/proto/**.proto` (version 1). Only
//! encoding is here: a dozen messages are shorter written out than generated.

use crate::metrics::Snapshot;
use crate::metrics::families::{Family, Kind, Labels, Sample, Value};

/// A message that is being written.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Message(Vec<u8>);

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;

impl Message {
    fn raw(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(low(value) | 0x80);
            value >>= 7;
        }
        self.0.push(low(value));
    }

    fn tag(&mut self, field: u64, kind: u64) {
        self.raw(field << 3 | kind);
    }

    /// A whole number, or an enumeration.
    pub fn number(&mut self, field: u64, value: u64) {
        self.tag(field, VARINT);
        self.raw(value);
    }

    /// A number of eight bytes.
    pub fn fixed(&mut self, field: u64, value: u64) {
        self.tag(field, FIXED64);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A floating-point number.
    pub fn double(&mut self, field: u64, value: f64) {
        self.fixed(field, value.to_bits());
    }

    /// Bytes.
    pub fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.tag(field, BYTES);
        self.raw(u64::try_from(bytes.len()).unwrap_or(0));
        self.0.extend_from_slice(bytes);
    }

    /// Text.
    pub fn text(&mut self, field: u64, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    /// A message in this one.
    pub fn message(&mut self, field: u64, inner: &Message) {
        self.bytes(field, &inner.0);
    }

    /// Several numbers of eight bytes, packed.
    fn packed(&mut self, field: u64, values: impl Iterator<Item = u64>) {
        let mut inner = Message::default();
        values.for_each(|value| inner.0.extend_from_slice(&value.to_le_bytes()));
        self.message(field, &inner);
    }

    /// Its bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

fn low(value: u64) -> u8 {
    u8::try_from(value & 0x7f).unwrap_or(0)
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Any<'a> {
    /// Text.
    Text(&'a str),
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// A list of texts.
    Texts(Vec<&'a str>),
}

impl Any<'_> {
    fn encode(&self, value: &mut Message) {
        match self {
            Any::Text(text) => value.text(1, text),
            Any::Bool(set) => value.number(2, u64::from(*set)),
            // Negative numbers are ten bytes in two's complement.
            Any::Int(n) => value.number(3, u64::from_ne_bytes(n.to_ne_bytes())),
            Any::Double(n) => value.double(4, *n),
            Any::Texts(texts) => {
                let mut list = Message::default();
                for text in texts {
                    let mut item = Message::default();
                    Any::Text(text).encode(&mut item);
                    list.message(1, &item);
                }
                value.message(5, &list);
            }
        }
    }
}

/// Bytes of a number in 7 bits a byte.
fn raw_len(value: usize) -> usize {
    let bits = usize::BITS - value.max(1).leading_zeros();
    usize::try_from(bits.div_ceil(7)).unwrap_or(1)
}

/// Attributes of something, as they stand in its field. Spans have dozens of them, so they are written without a message of
/// each.
#[derive(Debug)]
pub struct Attributes {
    field: u64,
    all: Message,
    value: Message,
}

impl Attributes {
    /// For this field.
    pub fn of_field(field: u64) -> Self {
        Attributes {
            field,
            all: Message(Vec::with_capacity(1024)),
            value: Message::default(),
        }
    }

    /// Adds one.
    pub fn set(&mut self, name: &str, value: Any<'_>) {
        self.value.0.clear();
        value.encode(&mut self.value);
        let (name_len, value_len) = (name.len(), self.value.0.len());
        // A key and a value, each with its tag and its length.
        let len = 2 + raw_len(name_len) + name_len + raw_len(value_len) + value_len;
        self.all.tag(self.field, BYTES);
        self.all.raw(u64::try_from(len).unwrap_or(0));
        self.all.text(1, name);
        self.all.message(2, &self.value);
    }

    /// Adds a text, if there is one.
    pub fn text(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.set(name, Any::Text(text));
        }
    }

    /// Adds a count.
    pub fn count(&mut self, name: &str, n: u64) {
        self.set(name, Any::Int(i64::try_from(n).unwrap_or(i64::MAX)));
    }

    /// Adds a time given in milliseconds, in seconds.
    pub fn seconds(&mut self, name: &str, ms: Option<f64>) {
        if let Some(ms) = ms {
            self.set(name, Any::Double(ms / 1000.0));
        }
    }

    /// Writes them.
    pub fn write(&self, message: &mut Message) {
        message.0.extend_from_slice(&self.all.0);
    }
}

/// What is said of whoever exports: attributes of the resource, name and version of the scope.
#[derive(Debug, Clone, Default)]
pub struct Resource {
    /// Attributes, such as `service.name`.
    pub attributes: Vec<(String, String)>,
}

impl Resource {
    fn encode(&self) -> Message {
        let mut attributes = Attributes::of_field(1);
        for (name, value) in &self.attributes {
            attributes.set(name, Any::Text(value));
        }
        let mut resource = Message::default();
        attributes.write(&mut resource);
        resource
    }

    /// An export request with these things: spans, or metrics. Both kinds have the same frame.
    pub fn wrap(&self, things: &[Message]) -> Vec<u8> {
        let mut scope = Message::default();
        scope.text(1, "aplomb");
        scope.text(2, env!("CARGO_PKG_VERSION"));
        let mut of_scope = Message::default();
        of_scope.message(1, &scope);
        things.iter().for_each(|one| of_scope.message(2, one));
        let mut of_resource = Message::default();
        of_resource.message(1, &self.encode());
        of_resource.message(2, &of_scope);
        let mut request = Message::default();
        request.message(1, &of_resource);
        request.into_bytes()
    }
}

/// From when to when metrics were counted, in nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// When counting began.
    pub start_ns: u64,
    /// Now.
    pub now_ns: u64,
}

const CUMULATIVE: u64 = 2;

/// A family of metrics, with its number of points. Counters and histograms are cumulative.
pub fn metric(family: &Family, window: Window) -> (Message, u64) {
    let mut data = Message::default();
    let mut points = 0;
    for sample in &family.samples {
        data.message(1, &point(sample, window));
        points += 1;
    }
    let field = match family.kind {
        Kind::Gauge => 5,
        Kind::Counter => 7,
        Kind::Histogram => 9,
    };
    if family.kind != Kind::Gauge {
        data.number(2, CUMULATIVE);
    }
    if family.kind == Kind::Counter {
        data.number(3, 1);
    }
    let mut metric = Message::default();
    metric.text(1, family.name);
    metric.text(2, family.help);
    metric.text(3, family.unit);
    metric.message(field, &data);
    (metric, points)
}

fn attributes(labels: &Labels, field: u64) -> Attributes {
    let mut attributes = Attributes::of_field(field);
    for (name, text) in labels {
        match text.parse::<i64>() {
            Ok(port) if *name == super::names::SERVER_PORT => {
                attributes.set(name, Any::Int(port));
            }
            _ => attributes.set(name, Any::Text(text)),
        }
    }
    attributes
}

fn point(sample: &Sample, window: Window) -> Message {
    let mut point = Message::default();
    point.fixed(2, window.start_ns);
    point.fixed(3, window.now_ns);
    match &sample.value {
        Value::Number(value) => {
            point.double(4, *value);
            attributes(&sample.labels, 7).write(&mut point);
        }
        Value::Buckets(snapshot) => {
            buckets(&mut point, snapshot);
            attributes(&sample.labels, 9).write(&mut point);
        }
    }
    point
}

fn buckets(point: &mut Message, snapshot: &Snapshot) {
    point.fixed(4, snapshot.count());
    point.double(5, snapshot.sum);
    point.packed(6, snapshot.counts.iter().copied());
    point.packed(7, snapshot.bounds.iter().map(|bound| bound.to_bits()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_are_in_the_wire_format() {
        // The examples of the Protocol Buffers documentation, "Encoding".
        let mut message = Message::default();
        message.number(1, 150);
        message.text(2, "testing");
        assert_eq!(message.0, b"\x08\x96\x01\x12\x07testing");
        let mut negative = Message::default();
        let mut value = Message::default();
        Any::Int(-2).encode(&mut value);
        negative.message(1, &value);
        assert_eq!(
            negative.0,
            b"\x0a\x0b\x18\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"
        );
    }

    #[test]
    fn attributes_have_the_length_of_their_bytes() {
        for len in [0, 1, 127, 128, 16_383, 16_384, 70_000] {
            let text = "x".repeat(len);
            let mut attributes = Attributes::of_field(9);
            attributes.set("name", Any::Text(&text));
            let (mut pair, mut value) = (Message::default(), Message::default());
            Any::Text(&text).encode(&mut value);
            pair.text(1, "name");
            pair.message(2, &value);
            let (mut expected, mut written) = (Message::default(), Message::default());
            expected.message(9, &pair);
            attributes.write(&mut written);
            assert!(written == expected, "{len}");
        }
    }

    #[test]
    fn doubles_are_little_endian() {
        let mut message = Message::default();
        message.double(4, 1.0);
        assert_eq!(message.0, [0x21, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
    }
}
