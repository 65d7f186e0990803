//! An HTTP client that hides nothing: raw bytes, single events, leaving at any time.

use crate::http::{Framing, Head, Reader, find};
use crate::sse::{Block, Blocks, Event};
use crate::{Dialect, PATIENCE};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

/// One request. Sent on a connection of its own.
#[derive(Debug, Clone)]
pub struct Request {
    address: SocketAddr,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// A request without a body.
    pub fn new(address: SocketAddr, method: &str, path: &str) -> Self {
        Request {
            address,
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// `POST` of JSON.
    pub fn post(address: SocketAddr, path: &str, body: &Value) -> Self {
        Request::new(address, "POST", path).body(body.to_string().as_bytes())
    }

    /// A chat request in a dialect.
    pub fn chat(address: SocketAddr, dialect: Dialect, model: &str, stream: bool) -> Self {
        Request::post(address, dialect.path(), &chat_body(dialect, model, stream))
    }

    /// Sets the method.
    #[must_use]
    pub fn with_method(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    /// Sets the body, as JSON.
    #[must_use]
    pub fn body(mut self, bytes: &[u8]) -> Self {
        self.body = bytes.to_vec();
        self.header("content-type", "application/json")
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What travels.
    pub fn bytes(&self) -> Vec<u8> {
        let mut text = format!(
            "{} {} HTTP/1.1\r\nhost: {}\r\n",
            self.method, self.path, self.address
        );
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("content-length: {}\r\n\r\n", self.body.len()));
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Sends it and does not wait.
    #[track_caller]
    pub fn send(&self) -> Connection {
        let mut connection = Connection::open(self.address);
        connection
            .write(&self.bytes())
            .expect("the request is sent");
        connection
    }

    /// Sends it and reads the answer's head.
    #[track_caller]
    pub fn open(&self) -> Answer {
        self.send().answer().expect("an answer")
    }

    /// Sends it and reads the whole answer.
    #[track_caller]
    pub fn whole(&self) -> Whole {
        self.open().whole().expect("a whole answer")
    }
}

/// The body of a chat request that asks for one short answer.
pub fn chat_body(dialect: Dialect, model: &str, stream: bool) -> Value {
    let mut body = json!({ "model": model, "messages": [{ "role": "user", "content": "Say hello." }], "stream": stream });
    if dialect == Dialect::Anthropic {
        body["max_tokens"] = json!(100);
    }
    body
}

/// A connection to the gateway.
pub struct Connection {
    reader: Reader,
}

impl Connection {
    /// Connects.
    #[track_caller]
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Connection {
            reader: Reader::new(stream),
        }
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The peer has closed.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.stream.write_all(bytes)
    }

    /// Reads the head of the next answer.
    ///
    /// # Errors
    /// The connection ended or is silent for too long.
    pub fn answer(mut self) -> io::Result<Answer> {
        loop {
            let head = self
                .reader
                .head()?
                .ok_or_else(|| io::Error::other("closed without an answer"))?;
            let status = head
                .start
                .split(' ')
                .nth(1)
                .and_then(|word| word.parse().ok())
                .unwrap_or(0);
            if status >= 200 {
                let framing = Framing::of_response(&head, status);
                return Ok(Answer {
                    status,
                    head,
                    framing,
                    blocks: Blocks::default(),
                    connection: self,
                });
            }
        }
    }

    /// Goes away.
    pub fn leave(self) {
        let _ = self.reader.stream.shutdown(Shutdown::Both);
    }
}

/// An answer whose head has come.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    head: Head,
    framing: Framing,
    blocks: Blocks,
    connection: Connection,
}

impl Answer {
    /// First header of a name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// The next bytes of the body; `None` after its clean end.
    ///
    /// # Errors
    /// It broke off, or is silent for too long.
    pub fn bytes(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.connection.reader.body(&mut self.framing)
    }

    /// The next block of an event stream; `None` after its clean end. Fails on anything that is none.
    #[track_caller]
    pub fn block(&mut self) -> Option<Block> {
        loop {
            if let Some(block) = self.blocks.next_block().expect("the canonical form") {
                return Some(block);
            }
            match self.bytes().expect("an unbroken body") {
                Some(bytes) => self.blocks.push(&bytes),
                None => {
                    assert!(self.blocks.is_empty(), "the stream ends within a block");
                    return None;
                }
            }
        }
    }

    /// The next event, comments left out.
    #[track_caller]
    pub fn event(&mut self) -> Option<Event> {
        loop {
            match self.block()? {
                Block::Event(event) => return Some(event),
                Block::Comment(_) => {}
            }
        }
    }

    /// All further events.
    #[track_caller]
    pub fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.event()).collect()
    }

    /// Reads to the end.
    ///
    /// # Errors
    /// The body broke off.
    pub fn whole(mut self) -> io::Result<Whole> {
        let mut body = Vec::new();
        while let Some(bytes) = self.bytes()? {
            body.extend(bytes);
        }
        Ok(Whole {
            status: self.status,
            headers: self.head.headers,
            body,
        })
    }

    /// Reads to the end, and then the head of the next answer on the same connection.
    ///
    /// # Errors
    /// The connection ended or is silent for too long.
    pub fn next_answer(mut self) -> io::Result<Answer> {
        while self.bytes()?.is_some() {}
        self.connection.answer()
    }

    /// Goes away.
    pub fn leave(self) {
        self.connection.leave();
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Whole {
    /// HTTP status.
    pub status: u16,
    /// Headers in their order.
    pub headers: Vec<(String, String)>,
    /// Body without its framing.
    pub body: Vec<u8>,
}

impl Whole {
    /// First header of a name.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// Body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text()))
    }

    /// `error.code` of OpenAI's shape, else `error.type` of Anthropic's.
    #[track_caller]
    pub fn error_code(&self) -> String {
        let value = self.json();
        let found = value
            .pointer("/error/code")
            .filter(|code| !code.is_null())
            .or_else(|| value.pointer("/error/type"));
        found.and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

/// Sends bytes as they are and reads one answer. `None` if the connection closes without one.
pub fn raw(address: SocketAddr, bytes: &[u8]) -> Option<Whole> {
    let mut connection = Connection::open(address);
    // A peer that refuses early may close before all is written; its answer is read all the same.
    let _ = connection.write(bytes);
    connection.answer().ok()?.whole().ok()
}
