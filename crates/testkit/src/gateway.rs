//! The real binary, in a folder of its own.

use crate::client::Request;
use crate::{Dialect, wait_for};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use tempfile::TempDir;

/// What a gateway is started with.
#[derive(Clone)]
pub struct Setup {
    binary: PathBuf,
    server: String,
    rest: String,
    env: Vec<(String, String)>,
    dir: Arc<TempDir>,
}

impl Setup {
    /// With the providers, routes and so on of `config` (YAML).
    pub fn new(binary: &str, config: &str) -> Self {
        Setup {
            binary: PathBuf::from(binary),
            server: String::new(),
            rest: config.to_owned(),
            env: vec![(
                "UP_KEY".to_owned(),
                "sk-provider-secret-1234567890".to_owned(),
            )],
            dir: Arc::new(TempDir::new().expect("a folder")),
        }
    }

    /// Adds a line to its `server` section.
    #[must_use]
    pub fn server(mut self, line: &str) -> Self {
        self.server.push_str(&format!("  {line}\n"));
        self
    }

    /// Sets an environment variable. There are no others but `UP_KEY`.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The folder of its files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Writes its configuration file, with other providers, routes and so on.
    /// Nothing is limited, unless it says so itself: tests send more than a person.
    fn write(&self, rest: &str) {
        let own = rest.lines().any(|line| line.starts_with("limits:"));
        let limits = if own { "" } else { "limits: []\n" };
        let text = format!(
            "server:\n  listen: 127.0.0.1:0\n  admin: 127.0.0.1:0\n  data_dir: data\n{}{limits}{rest}",
            self.server
        );
        std::fs::write(self.config(), text).expect("a file");
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("aplomb.yaml")
    }

    /// A command of the binary with the environment of this setup.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .env_clear()
            .envs(self.env.iter().cloned())
            .current_dir(self.dir.path());
        command
    }

    /// Starts it; returns when both of its listeners are there.
    #[track_caller]
    pub fn start(self) -> Gateway {
        self.write(&self.rest);
        let mut child = self
            .command(&["serve", "--config", "aplomb.yaml"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let stderr = child.stderr.take().expect("a pipe");
        let lines = log.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                lines
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(line);
            }
        });
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut gateway = Gateway {
            setup: self,
            child,
            log,
            data: unknown,
            admin: unknown,
        };
        gateway.data = gateway.listening("data");
        gateway.admin = gateway.listening("admin");
        gateway
    }
}

/// A running gateway. Dropping it kills it.
pub struct Gateway {
    setup: Setup,
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    /// Where applications call.
    pub data: SocketAddr,
    /// Where operators look.
    pub admin: SocketAddr,
}

impl Gateway {
    /// Starts one with the providers, routes and so on of `config` (YAML).
    #[track_caller]
    pub fn start(binary: &str, config: &str) -> Self {
        Setup::new(binary, config).start()
    }

    #[track_caller]
    fn listening(&mut self, plane: &str) -> SocketAddr {
        let log = self.log.clone();
        wait_for("the gateway to listen", || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!(
                    "the gateway ended with {status}: {:#?}",
                    log.lock().unwrap_or_else(PoisonError::into_inner)
                );
            }
            self.log_entries().iter().find_map(|entry| {
                let found = entry.get("message")? == "listening" && entry.get("plane")? == plane;
                found.then(|| entry.get("address")?.as_str()?.parse().ok())?
            })
        })
    }

    /// All lines of its log.
    pub fn log(&self) -> Vec<String> {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn log_entries(&self) -> Vec<Value> {
        self.log()
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// Waits for a line of its log with this message.
    #[track_caller]
    pub fn wait_log(&self, message: &str) -> Value {
        wait_for(&format!("the log message {message:?}"), || {
            self.log_entries()
                .into_iter()
                .find(|entry| entry.get("message").is_some_and(|text| text == message))
        })
    }

    /// What it was started with.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The path of a file in its data folder.
    pub fn data_file(&self, name: &str) -> PathBuf {
        self.setup.dir().join("data").join(name)
    }

    /// Writes its configuration anew, in place.
    pub fn write_config(&self, rest: &str) {
        self.setup.write(rest);
    }

    /// A chat request in a dialect.
    pub fn chat(&self, dialect: Dialect, model: &str, stream: bool) -> Request {
        Request::chat(self.data, dialect, model, stream)
    }

    /// A request to its admin listener, with the token.
    pub fn admin_get(&self, path: &str) -> Request {
        let token = std::fs::read_to_string(self.data_file("admin.token")).expect("the token file");
        Request::new(self.admin, "GET", path)
            .header("authorization", &format!("Bearer {}", token.trim()))
    }

    /// The value of a metric line that begins like this, e.g. `aplomb_x_total{outcome="ok"}`.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let text = self.admin_get("/metrics").whole().text();
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    /// All records that are written so far, oldest first: the columns of the view `requests`, with `attempts`.
    pub fn records(&self) -> Vec<Value> {
        let Ok(files) = std::fs::read_dir(self.data_file("records")) else {
            return Vec::new();
        };
        let mut paths: Vec<PathBuf> = files.filter_map(|file| Some(file.ok()?.path())).collect();
        paths.retain(|path| {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            name.ends_with(".db") && !name.ends_with(".text.db")
        });
        paths.sort();
        // A file that is just being made has no view yet.
        paths
            .iter()
            .filter_map(|path| crate::records::read(path).ok())
            .flatten()
            .collect()
    }

    /// Waits for a record that fits.
    #[track_caller]
    pub fn wait_record(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        wait_for(what, || {
            self.records().into_iter().find(|record| fits(record))
        })
    }

    /// Sends a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let raw = i32::try_from(self.child.id()).expect("a process id");
        let pid = rustix::process::Pid::from_raw(raw).expect("a process id");
        rustix::process::kill_process(pid, signal).expect("a running process");
    }

    /// Kills it as a crash would (SIGKILL), and gives what another one on the same folder is started with.
    pub fn killed(mut self) -> Setup {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.setup.clone()
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait_end(&mut self) -> ExitStatus {
        wait_for("the gateway to end", || {
            self.child.try_wait().ok().flatten()
        })
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            // A failed test shows what the gateway said.
            for line in self.log() {
                println!("{line}");
            }
        }
    }
}
