//! A real Redis for a test: on a free port of loopback, in a folder of its own, gone with its handle.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Ports that are tried: another process may take one between its choice and the server's start.
const TRIES: usize = 5;
/// Longest wait for a server to answer.
const START: Duration = Duration::from_secs(10);

/// A server that keeps nothing on the disk.
pub struct RedisServer {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl RedisServer {
    /// Starts one.
    ///
    /// # Panics
    /// There is no `redis-server` on this machine, or it does not start.
    pub fn start() -> Self {
        for _ in 0..TRIES {
            let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let port = socket.local_addr().expect("an address").port();
            drop(socket);
            let folder = tempfile::tempdir().expect("a folder");
            let mut server = RedisServer {
                child: spawn(port, &folder),
                port,
                folder,
            };
            if server.answers() {
                return server;
            }
        }
        panic!("redis-server does not start");
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends it, without a farewell.
    ///
    /// # Panics
    /// The system does not let it.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it has ended");
    }

    /// Starts it again, empty, on the same port.
    ///
    /// # Panics
    /// It does not start.
    pub fn restart(&mut self) {
        self.child = spawn(self.port, &self.folder);
        assert!(self.answers(), "redis-server does not start again");
    }

    /// Stops its clock: it takes connections and does not answer.
    ///
    /// # Panics
    /// The system does not let it.
    pub fn pause(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    /// Lets it go on.
    ///
    /// # Panics
    /// The system does not let it.
    pub fn resume(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        let process = rustix::process::Pid::from_raw(id).expect("a process id");
        rustix::process::kill_process(process, signal).expect("it runs");
    }

    /// Sends a command of words, and gives the raw answer.
    ///
    /// # Panics
    /// The server does not answer.
    pub fn command(&self, words: &[&[u8]]) -> Vec<u8> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        socket.write_all(&encoded(words)).expect("it reads");
        let mut answer = vec![0; 64 * 1024];
        let length = socket.read(&mut answer).expect("it answers");
        answer.truncate(length);
        answer
    }

    fn answers(&mut self) -> bool {
        let until = Instant::now() + START;
        while Instant::now() < until {
            if let Ok(Some(_)) = self.child.try_wait() {
                return false;
            }
            if let Ok(mut socket) = TcpStream::connect(("127.0.0.1", self.port)) {
                let mut answer = [0; 5];
                let asked = socket.write_all(&encoded(&[b"PING"])).is_ok();
                if asked && socket.read_exact(&mut answer).is_ok() && &answer == b"+PONG" {
                    return true;
                }
            }
            std::thread::yield_now();
        }
        false
    }
}

fn encoded(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend(*word);
        bytes.extend(b"\r\n");
    }
    bytes
}

fn spawn(port: u16, folder: &TempDir) -> Child {
    Command::new("redis-server")
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ])
        .args(["--enable-debug-command", "yes", "--dir"])
        .arg(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed (`./test` does it)")
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // One that was ended by its test has nothing to be told.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
