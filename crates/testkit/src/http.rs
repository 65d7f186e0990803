//! HTTP/1.1 messages as bytes, for both ends of the gateway. Strict where a gateway could be sloppy.

use std::io::{self, Read};
use std::net::TcpStream;

/// Start line and headers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    pub start: String,
    pub headers: Vec<(String, String)>,
}

impl Head {
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

/// First header of a name, whatever its case.
pub(crate) fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// How a body is delimited, and how much of it is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
    Done,
}

impl Framing {
    pub fn of_request(head: &Head) -> Self {
        Framing::of(head).unwrap_or(Framing::Done)
    }

    pub fn of_response(head: &Head, status: u16) -> Self {
        if status < 200 || matches!(status, 204 | 304) {
            return Framing::Done;
        }
        Framing::of(head).unwrap_or(Framing::UntilClose)
    }

    fn of(head: &Head) -> Option<Self> {
        if head
            .header("transfer-encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
        {
            return Some(Framing::Chunked);
        }
        let length = head.header("content-length")?.parse().ok()?;
        Some(if length == 0 {
            Framing::Done
        } else {
            Framing::Length(length)
        })
    }
}

/// Reads messages from one connection.
pub(crate) struct Reader {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

fn broken(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.to_owned())
}

impl Reader {
    pub fn new(stream: TcpStream) -> Self {
        Reader {
            stream,
            buffer: Vec::new(),
        }
    }

    /// Reads more bytes; false at the end of the connection.
    fn fill(&mut self) -> io::Result<bool> {
        let mut piece = [0u8; 64 * 1024];
        let count = self.stream.read(&mut piece)?;
        self.buffer.extend(piece.iter().take(count));
        Ok(count > 0)
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        self.buffer.drain(..count).collect()
    }

    /// One line without its CRLF.
    fn line(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.take(end + 2);
                let text = String::from_utf8_lossy(&line)
                    .trim_end_matches("\r\n")
                    .to_owned();
                return Ok(Some(text));
            }
            if !self.fill()? {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(broken("the connection ended within a line"))
                };
            }
        }
    }

    /// The next head; `None` if the connection ended before it.
    pub fn head(&mut self) -> io::Result<Option<Head>> {
        let Some(start) = self.line()? else {
            return Ok(None);
        };
        let mut head = Head {
            start,
            headers: Vec::new(),
        };
        loop {
            let line = self
                .line()?
                .ok_or_else(|| broken("the connection ended within a head"))?;
            if line.is_empty() {
                return Ok(Some(head));
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| broken("a header without a colon"))?;
            head.headers
                .push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }

    /// The next bytes of a body; `None` after its clean end. A body that breaks off is an error.
    pub fn body(&mut self, framing: &mut Framing) -> io::Result<Option<Vec<u8>>> {
        match *framing {
            Framing::Done => Ok(None),
            Framing::UntilClose => {
                let more = !self.buffer.is_empty() || self.fill()?;
                Ok(more.then(|| std::mem::take(&mut self.buffer)))
            }
            Framing::Length(left) => {
                if self.buffer.is_empty() && !self.fill()? {
                    return Err(broken("the body is shorter than its content-length"));
                }
                let count = left.min(self.buffer.len());
                *framing = if left == count {
                    Framing::Done
                } else {
                    Framing::Length(left - count)
                };
                Ok(Some(self.take(count)))
            }
            Framing::Chunked => self.chunk(framing),
        }
    }

    fn chunk(&mut self, framing: &mut Framing) -> io::Result<Option<Vec<u8>>> {
        let size = self
            .line()?
            .ok_or_else(|| broken("the connection ended within a chunked body"))?;
        let digits = size.split(';').next().unwrap_or_default().trim();
        let size =
            usize::from_str_radix(digits, 16).map_err(|_| broken("a chunk without its size"))?;
        if size == 0 {
            while !self
                .line()?
                .ok_or_else(|| broken("the connection ended within trailers"))?
                .is_empty()
            {}
            *framing = Framing::Done;
            return Ok(None);
        }
        while self.buffer.len() < size + 2 {
            if !self.fill()? {
                return Err(broken("the connection ended within a chunk"));
            }
        }
        let data = self.take(size);
        if self.take(2) != b"\r\n" {
            Err(broken("a chunk without its end"))
        } else {
            Ok(Some(data))
        }
    }
}
