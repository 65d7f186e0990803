//! A provider that does what a script says: any bytes at any time, and every way to end a connection.

use crate::Dialect;
use crate::PATIENCE;
use crate::http::{Framing, Head, Reader, find};
use crate::signal::Signal;
use serde_json::Value;
use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// One thing to do while answering a request.
#[derive(Debug, Clone)]
pub enum Step {
    /// Sends bytes.
    Send(Vec<u8>),
    /// Sends bytes, so many a write.
    SendSplit(Vec<u8>, usize),
    /// Goes on when the test says so (or when the test has long failed).
    WaitFor(Signal),
    /// Does nothing until the peer goes away.
    Stall,
    /// Closes the connection in good order (FIN).
    CloseFin,
    /// Breaks the connection (RST).
    Reset,
}

/// What to do with one request. After the last step the connection waits for the next request.
pub type Script = Vec<Step>;

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `POST`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Headers in their order, names as sent.
    pub headers: Vec<(String, String)>,
    /// Body without its framing.
    pub body: Vec<u8>,
    /// Number of this request, from 0.
    pub number: usize,
    /// Number of this request on its connection, from 0: above 0 the connection was reused.
    pub on_connection: usize,
    gone: Signal,
    sent: Arc<AtomicUsize>,
}

impl Seen {
    /// First header of a name.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// Body as JSON; `null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// `model` of the body.
    pub fn model(&self) -> String {
        self.json()
            .get("model")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    }

    /// Whether a stream is asked for.
    pub fn is_stream(&self) -> bool {
        self.json()
            .get("stream")
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }

    /// Whether usage is asked for in a stream.
    pub fn wants_usage(&self) -> bool {
        self.json()
            .pointer("/stream_options/include_usage")
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }

    /// By its path.
    pub fn dialect(&self) -> Dialect {
        if self.path.starts_with("/v1/messages") {
            Dialect::Anthropic
        } else {
            Dialect::OpenAi
        }
    }

    /// Set when the peer closed the connection while this request was the last one on it.
    pub fn gone(&self) -> &Signal {
        &self.gone
    }

    /// Bytes that the peer's side has taken so far.
    pub fn sent(&self) -> usize {
        self.sent.load(Ordering::SeqCst)
    }
}

type Choose = dyn Fn(&Seen) -> Script + Send + Sync;

struct Shared {
    choose: Box<Choose>,
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    stopped: AtomicBool,
}

/// A scripted provider on a free port of the loopback address. Dropping it stops it.
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Upstream {
    /// One that asks `choose` what to do with each request.
    pub fn start(choose: impl Fn(&Seen) -> Script + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            choose: Box::new(choose),
            seen: Mutex::default(),
            connections: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        });
        let accepting = shared.clone();
        std::thread::spawn(move || accept(&listener, &accepting));
        Upstream { address, shared }
    }

    /// One that answers the nth request with the nth script, further ones with the last.
    pub fn queue(scripts: Vec<Script>) -> Self {
        Upstream::start(move |seen| {
            let last = scripts.len().saturating_sub(1);
            scripts
                .get(seen.number.min(last))
                .cloned()
                .unwrap_or_default()
        })
    }

    /// One that answers all requests alike.
    pub fn always(script: Script) -> Self {
        Upstream::queue(vec![script])
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Requests so far that ask for this model.
    pub fn seen_of(&self, model: &str) -> Vec<Seen> {
        self.seen()
            .into_iter()
            .filter(|seen| seen.model() == model)
            .collect()
    }

    /// The nth request, from 0, when it comes.
    pub fn wait_seen(&self, number: usize) -> Seen {
        crate::wait_for("a request at the provider", || {
            self.seen().get(number).cloned()
        })
    }

    /// Connections that were opened so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, so that the port is free again.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let shared = shared.clone();
        std::thread::spawn(move || serve(stream, &shared));
    }
}

/// What comes after a script.
enum After {
    NextRequest,
    Closed,
}

fn serve(stream: TcpStream, shared: &Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let Ok(own) = stream.try_clone() else { return };
    let mut reader = Reader::new(own);
    let mut on_connection = 0;
    loop {
        let Ok(Some(head)) = reader.head() else {
            return;
        };
        if head.header("expect").is_some() {
            let _ = (&stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let Ok(body) = whole_body(&mut reader, &head) else {
            return;
        };
        let seen = note(&head, body, on_connection, shared);
        let closing = Arc::new(AtomicBool::new(false));
        watch(&stream, &seen, closing.clone());
        match run((shared.choose)(&seen), &stream, &seen, &closing) {
            After::NextRequest => on_connection += 1,
            After::Closed => return,
        }
    }
}

fn whole_body(reader: &mut Reader, head: &Head) -> std::io::Result<Vec<u8>> {
    let mut framing = Framing::of_request(head);
    let mut body = Vec::new();
    while let Some(bytes) = reader.body(&mut framing)? {
        body.extend(bytes);
    }
    Ok(body)
}

fn note(head: &Head, body: Vec<u8>, on_connection: usize, shared: &Shared) -> Seen {
    let mut words = head.start.split(' ').map(str::to_owned);
    let mut all = shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
    let seen = Seen {
        method: words.next().unwrap_or_default(),
        path: words.next().unwrap_or_default(),
        headers: head.headers.clone(),
        body,
        number: all.len(),
        on_connection,
        gone: Signal::new(),
        sent: Arc::default(),
    };
    all.push(seen.clone());
    seen
}

/// Sets `gone` when the peer closes. Ends without it when the next request comes, or when we close.
fn watch(stream: &TcpStream, seen: &Seen, closing: Arc<AtomicBool>) {
    let Ok(stream) = stream.try_clone() else {
        return;
    };
    let gone = seen.gone.clone();
    std::thread::spawn(move || {
        let ended = !matches!(stream.peek(&mut [0u8; 1]), Ok(1..));
        if ended && !closing.load(Ordering::SeqCst) {
            gone.set();
        }
    });
}

fn run(script: Script, stream: &TcpStream, seen: &Seen, closing: &AtomicBool) -> After {
    for step in script {
        let sent = match step {
            Step::Send(bytes) => send(stream, seen, &bytes, 64 * 1024),
            Step::SendSplit(bytes, size) => send(stream, seen, &bytes, size.max(1)),
            Step::WaitFor(signal) => {
                signal.wait_at_most(PATIENCE);
                Ok(())
            }
            Step::Stall => {
                // Longer than any test may take.
                seen.gone.wait_at_most(PATIENCE * 3);
                Ok(())
            }
            Step::CloseFin => return close(stream, closing),
            Step::Reset => {
                let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
                return reset(stream, closing);
            }
        };
        if sent.is_err() {
            return After::Closed;
        }
    }
    After::NextRequest
}

fn send(stream: &TcpStream, seen: &Seen, bytes: &[u8], size: usize) -> std::io::Result<()> {
    let mut stream = stream;
    for piece in bytes.chunks(size) {
        stream.write_all(piece)?;
        seen.sent.fetch_add(piece.len(), Ordering::SeqCst);
    }
    Ok(())
}

/// Ends our side; with a linger of zero before it, the peer sees a reset.
fn close(stream: &TcpStream, closing: &AtomicBool) -> After {
    closing.store(true, Ordering::SeqCst);
    let _ = stream.shutdown(Shutdown::Both);
    After::Closed
}

/// Breaks the connection. Shutting down first would send a FIN, so the socket is made to send a RST when the last
/// handle to it closes, and the watching thread is told to let go of its own.
fn reset(stream: &TcpStream, closing: &AtomicBool) -> After {
    closing.store(true, Ordering::SeqCst);
    let _ = stream.shutdown(Shutdown::Read);
    After::Closed
}
