//! `aplomb serve`: load, wire, listen, reload, drain.

use crate::alerts;
use crate::audit;
use crate::cli::ConfigArgs;
use crate::keys::{hasher, store};
use crate::load::{Origin, nothing_found};
use crate::log;
use crate::output::{Failure, error_line};
use crate::records;
use aplomb_config::Parsed;
use aplomb_config::file::{ConfigFile, ServerConfig};
use aplomb_config::secret::ProcessEnvironment;
use aplomb_control::key::{create_private, random_text};
use aplomb_core::ask::Ask;
use aplomb_core::clock::SystemClock;
use aplomb_core::id::RequestId;
use aplomb_engines::redis::{self, Redis};
use aplomb_engines::tasks::Tasks;
use aplomb_limits::store::sqlite::SqliteLedger;
use aplomb_limits::store::{Ledger, LedgerStore};
use aplomb_limits::trust::book::{Book, SUBJECTS_MAX};
use aplomb_limits::trust::sqlite::SqliteTrust;
use aplomb_limits::trust::store::{Keeper, TrustStore};
use aplomb_observe::evals::online::{WORKERS, Worker};
use aplomb_observe::metrics::Metrics;
use aplomb_observe::writer::RecordWriter;
use aplomb_pipeline::asker::Asker;
use aplomb_pipeline::limits::trust::Trust;
use aplomb_pipeline::state::State;
use aplomb_server::gateway::{AccessParts, Gateway};
use aplomb_server::listener::{Listener, Plane};
use aplomb_server::tls;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// File in the data folder with the address of the admin listener.
pub const ADMIN_ADDRESS: &str = "admin.address";
/// How often the file and the control store are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Time for the last error events to reach their clients after the drain deadline.
const FAREWELL: Duration = Duration::from_secs(2);

/// Time for the last uses of limits to be told to the store that nodes share.
const LAST_LIMITS: Duration = Duration::from_secs(2);

/// Time for the last spans and metrics to be exported.
const LAST_EXPORT: Duration = Duration::from_secs(5);

/// `aplomb serve`.
///
/// # Errors
/// The gateway can't start: what is wrong, for people.
pub fn run(args: &ConfigArgs) -> Result<(), Failure> {
    let origin = Origin::of(args);
    let (parsed, found) = origin.read().map_err(Failure::start)?;
    if parsed.file.providers.is_empty() {
        return Err(Failure::start(nothing_found()));
    }
    log::start(&parsed.file.log);
    if !found.is_empty() {
        tracing::info!(providers = %found.join(", "), "providers found in the environment");
    }
    for warning in &parsed.warnings {
        tracing::warn!(path = %warning.path, warning = %warning.message, "configuration warning");
    }
    let wired = wire(&origin, &parsed)?;
    runtime()?.block_on(serve(origin, parsed, wired, |_, _| {}))
}

/// The async runtime of the process.
///
/// # Errors
/// The system gives no threads.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::start)
}

/// The gateway and the spawner of its tasks.
pub struct Wired {
    gateway: Arc<Gateway>,
    tasks: Tasks,
}

/// Opens stores and compiles the policy.
///
/// # Errors
/// Whatever can't be opened or compiled.
pub fn wire(origin: &Origin, parsed: &Parsed) -> Result<Wired, Failure> {
    let server = &parsed.file.server;
    let control = Arc::new(store(server).map_err(Failure::start)?);
    let hasher = hasher(server, &origin.base_dir()).map_err(Failure::start)?;
    let token = admin_token(&server.data_dir)?;
    let metrics = Arc::new(Metrics::default());
    let settings = records::settings(&parsed.file, &origin.base_dir())?;
    let clickhouse = records::clickhouse(&parsed.file, &origin.base_dir())?;
    let records = RecordWriter::start_shipping(settings, clickhouse, metrics.clone())
        .map_err(|error| Failure::start(format!("the records can't be set up: {error}")))?;
    let state = State::new(Arc::new(SystemClock), metrics, Some(records));
    let state = state
        .with_placeholder_key(&hasher.derive("placeholders"))
        .with_limits_key(&hasher.derive("limits"))
        .with_session_key(&hasher.derive("sessions"));
    let state = with_ledger(state, &server.data_dir)?;
    let state = with_trust(state, &server.data_dir)?;
    let state = Arc::new(match shared(&parsed.file, &origin.base_dir())? {
        Some((caches, limits, deadline)) => {
            let node = RequestId::new(state.clock.now_ms()).to_string();
            state.shared_over(caches).limits_over(
                limits,
                (node, deadline),
                server.data_dir.join("limits.epoch"),
            )
        }
        None => state,
    });
    state
        .otel
        .hash_users_with(&hasher.derive("telemetry users"));
    let policy = origin
        .build(parsed, &ProcessEnvironment, &state)
        .map_err(Failure::start)?;
    let access = AccessParts {
        hasher,
        control,
        admin_token: token,
    };
    let gateway = Gateway::new(policy, state, access).map_err(Failure::start)?;
    Ok(Wired {
        tasks: gateway.state.tasks.clone(),
        gateway: Arc::new(gateway),
    })
}

/// Goes on with what limits have used before.
fn with_ledger(state: State, data_dir: &Path) -> Result<State, Failure> {
    let file = data_dir.join("limits.db");
    let mut store = SqliteLedger::open(&file).map_err(Failure::start)?;
    let before = store.load(state.clock.now_ms()).map_err(Failure::start)?;
    let ledger = Ledger::start(Box::new(store)).map_err(Failure::start)?;
    Ok(state.with_ledger(ledger, before))
}

/// Goes on with what was known of users.
fn with_trust(state: State, data_dir: &Path) -> Result<State, Failure> {
    let mut store = SqliteTrust::open(&data_dir.join("trust.db")).map_err(Failure::start)?;
    let book = Book::default().with(store.load(SUBJECTS_MAX).map_err(Failure::start)?);
    let (book, trail) = (Arc::new(book), Box::new(store.trail()));
    let keeper = Keeper::start(book.clone(), Box::new(store), trail).map_err(Failure::start)?;
    Ok(state.with_trust(Trust {
        book,
        keeper: Some(keeper),
    }))
}

/// From a failure of the Redis that counts limits to the next try: requests are refused meanwhile that count money.
const RETRY: Duration = Duration::from_millis(200);

/// The Redis that nodes share, where the file names one: a connection for kept answers, one for limits, which must not wait behind
/// them, and how long a request waits for that. It is reached when it is needed.
fn shared(file: &ConfigFile, base_dir: &Path) -> Result<Option<(Redis, Redis, Duration)>, Failure> {
    let Some(config) = &file.store.shared else {
        return Ok(None);
    };
    let fail = |error: String| Failure::start(format!("store.shared: {error}"));
    let password = match &config.password {
        None => None,
        Some(secret) => {
            let text = secret
                .resolve(&ProcessEnvironment, base_dir)
                .map_err(|error| fail(error.to_string()))?;
            Some(text.expose().to_owned())
        }
    };
    let settings = redis::Settings {
        url: config.url.clone(),
        user: config.user.clone(),
        password,
    };
    let caches = Redis::new(&settings).map_err(fail)?;
    let limits = Redis::retrying(&settings, RETRY).map_err(fail)?;
    Ok(Some((caches, limits, config.timeout.0)))
}

/// Reads `<data_dir>/admin.token`, or makes it and shows it once.
fn admin_token(data_dir: &Path) -> Result<String, Failure> {
    let path = data_dir.join("admin.token");
    let fail = |error: std::io::Error| {
        Failure::start(format!("{} can't be used: {error}", path.display()))
    };
    let fresh = format!("apla_{}", random_text(40).map_err(Failure::start)?);
    if create_private(&path, &fresh).map_err(fail)? {
        error_line(&format!(
            "admin token, shown once and kept in {}: {fresh}",
            path.display()
        ));
    }
    let token = std::fs::read_to_string(&path)
        .map_err(fail)?
        .trim()
        .to_owned();
    if token.len() < 16 {
        return Err(Failure::start(format!(
            "{} is too short; remove it to get a new one",
            path.display()
        )));
    }
    Ok(token)
}

async fn bind(address: SocketAddr, what: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address)
        .await
        .map_err(|error| Failure::start(format!("can't listen on {address} ({what}): {error}")))
}

fn acceptor(origin: &Origin, server: &ServerConfig) -> Result<Option<tls::Acceptor>, Failure> {
    let Some(config) = &server.tls else {
        return Ok(None);
    };
    let base_dir = origin.base_dir();
    let read = |secret: &aplomb_config::secret::Secret| {
        secret
            .resolve(&ProcessEnvironment, &base_dir)
            .map_err(|error| Failure::start(format!("server.tls: {error}")))
    };
    let (cert, key) = (read(&config.cert)?, read(&config.key)?);
    tls::acceptor(cert.expose(), key.expose())
        .map(Some)
        .map_err(|error| Failure::start(format!("server.tls: {error}")))
}

/// What listens where.
struct Listeners {
    data: Listener,
    admin: Listener,
    /// For scrapers, where they have an address of their own.
    metrics: Option<Listener>,
    /// Addresses of the data plane and of the admin listener.
    at: (SocketAddr, SocketAddr),
}

/// Most connections of listeners for few.
const FEW: usize = 100;

async fn listeners(
    server: &ServerConfig,
    metrics_at: Option<SocketAddr>,
    tls: Option<tls::Acceptor>,
) -> Result<Listeners, Failure> {
    let data = bind(server.listen, "server.listen").await?;
    let admin = bind(server.admin, "server.admin").await?;
    let at = (
        data.local_addr().map_err(Failure::start)?,
        admin.local_addr().map_err(Failure::start)?,
    );
    let listener = |plane, socket, connections_max| Listener {
        plane,
        socket,
        tls: None,
        connections_max,
        header_timeout: server.header_timeout.0,
        write_timeout: server.write_timeout.0,
    };
    let metrics = match metrics_at {
        Some(address) => {
            let socket = bind(address, "observe.metrics.listen").await?;
            let address = socket.local_addr().map_err(Failure::start)?;
            tracing::info!(plane = "metrics", address = %address, "listening");
            Some(listener(Plane::Metrics, socket, FEW))
        }
        None => None,
    };
    let connections_max = usize::try_from(server.connections_max).unwrap_or(usize::MAX);
    Ok(Listeners {
        data: Listener {
            tls,
            ..listener(Plane::Data, data, connections_max)
        },
        admin: listener(Plane::Admin, admin, FEW),
        metrics,
        at,
    })
}

/// Serves until SIGTERM or SIGINT. `started` is told the bound addresses of the data plane and the admin listener.
///
/// # Errors
/// An address is taken, or TLS can't be set up.
pub async fn serve(
    origin: Origin,
    parsed: Parsed,
    wired: Wired,
    started: impl FnOnce(SocketAddr, SocketAddr),
) -> Result<(), Failure> {
    let Wired { gateway, tasks } = wired;
    let metrics_at = parsed.file.observe.metrics.listen;
    let server = parsed.file.server;
    let tls = acceptor(&origin, &server)?;
    let Listeners {
        data,
        admin,
        metrics,
        at: (data_at, admin_at),
    } = listeners(&server, metrics_at, tls).await?;
    let (stop_data, stop_admin) = (watch::Sender::new(false), watch::Sender::new(false));
    let (admin_tasks, otel_tasks) = (Tasks::default(), Tasks::default());
    otel_tasks.spawn(gateway.state.otel.clone().run());
    tasks.spawn(data.serve(
        gateway.clone(),
        tasks.clone(),
        stop_data.subscribe(),
        server.drain.0,
    ));
    admin_tasks.spawn(admin.serve(
        gateway.clone(),
        admin_tasks.clone(),
        stop_admin.subscribe(),
        Duration::from_millis(100),
    ));
    watch_over(&gateway, &admin_tasks, &stop_admin);
    if let Some(metrics) = metrics {
        admin_tasks.spawn(metrics.serve(
            gateway.clone(),
            admin_tasks.clone(),
            stop_admin.subscribe(),
            Duration::from_millis(100),
        ));
    }
    // Commands look here: the file may name port 0, and environments differ.
    std::fs::write(server.data_dir.join(ADMIN_ADDRESS), format!("{admin_at}\n"))
        .map_err(Failure::start)?;
    let evals = Tasks::default();
    judge_samples(&gateway, &evals);
    follow(&gateway.state);
    let (limits, stop_limits) = (Tasks::default(), watch::Sender::new(false));
    limits.spawn(gateway.state.clone().share_limits(stop_limits.subscribe()));
    limits.spawn(gateway.state.clone().hear_others());
    announce(&gateway, &server, data_at, admin_at);
    started(data_at, admin_at);
    run_until_stopped(&origin, &gateway).await?;
    tracing::info!(running = gateway.state.metrics.in_flight.get(), "draining");
    gateway.drain();
    gateway.state.shares.stop();
    stop_data.send_replace(true);
    let clean = tasks.wait(server.drain.0 + FAREWELL).await;
    gateway.state.evals.stop();
    evals.wait(Duration::from_secs(1)).await;
    stop_limits.send_replace(true);
    gateway.state.hear_no_more();
    if !limits.wait(LAST_LIMITS).await {
        tracing::warn!("the shared store did not take the last uses of limits in time");
    }
    gateway.state.otel.close();
    if !otel_tasks.wait(LAST_EXPORT).await {
        tracing::warn!("the OTLP endpoint did not take the last spans and metrics in time");
    }
    stop_admin.send_replace(true);
    admin_tasks.wait(Duration::from_secs(1)).await;
    close(&gateway.state);
    tracing::info!(clean, "stopped");
    Ok(())
}

/// Writes what waits, and closes what is kept. Blocking.
fn close(state: &State) {
    if let Some(records) = &state.records {
        records.close();
    }
    if let Some(ledger) = &state.ledger {
        ledger.close();
    }
    if let Some(keeper) = &state.trust.keeper {
        keeper.close();
    }
}

/// Starts what looks at the alert rules, and what writes the audit trail.
fn watch_over(gateway: &Arc<Gateway>, tasks: &Tasks, stop: &watch::Sender<bool>) {
    tasks.spawn(alerts::watch(gateway.clone(), stop.subscribe()));
    if let Some(decisions) = gateway.state.decisions.take() {
        tasks.spawn(audit::note(gateway.clone(), decisions, stop.subscribe()));
    }
}

/// Starts the workers of evaluations. They ask by the policy that is in force at each question.
fn judge_samples(gateway: &Arc<Gateway>, tasks: &Tasks) {
    let source = gateway.clone();
    let asker = Asker::new(Box::new(move || source.policy()), gateway.state.clone());
    let ask: Arc<dyn Ask> = Arc::new(asker);
    for _ in 0..WORKERS {
        let worker = Worker {
            room: gateway.state.clone(),
            ask: ask.clone(),
        };
        tasks.spawn(worker.run());
    }
}

fn announce(gateway: &Gateway, server: &ServerConfig, data: SocketAddr, admin: SocketAddr) {
    tracing::info!(plane = "data", address = %data, tls = server.tls.is_some(), "listening");
    tracing::info!(plane = "admin", address = %admin, "listening");
    if gateway.state.keys.load().is_empty() {
        tracing::warn!(
            "no keys exist: only this machine may call; make one with `aplomb keys create --tenant NAME`"
        );
    }
}

/// What a file looks like from outside; changes when its content does.
fn look(origin: &Origin) -> Option<(SystemTime, u64)> {
    let Origin::File(path) = origin else {
        return None;
    };
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

async fn run_until_stopped(origin: &Origin, gateway: &Arc<Gateway>) -> Result<(), Failure> {
    let mut term = signal(SignalKind::terminate()).map_err(Failure::start)?;
    let mut int = signal(SignalKind::interrupt()).map_err(Failure::start)?;
    let mut hup = signal(SignalKind::hangup()).map_err(Failure::start)?;
    let mut ticks = tokio::time::interval(LOOK);
    let mut seen = look(origin);
    loop {
        tokio::select! {
            _ = term.recv() => return Ok(()),
            _ = int.recv() => return Ok(()),
            _ = hup.recv() => {
                seen = look(origin);
                reload(origin, gateway).await;
            }
            _ = ticks.tick() => {
                let now = look(origin);
                if now.is_some() && now != seen {
                    seen = now;
                    reload(origin, gateway).await;
                }
                refresh_keys(gateway).await;
            }
        }
    }
}

async fn reload(origin: &Origin, gateway: &Arc<Gateway>) {
    let state = &gateway.state;
    let (origin, gateway) = (origin.clone(), gateway.clone());
    let work = tokio::task::spawn_blocking(move || {
        let built = origin.compile(&ProcessEnvironment, &gateway.state);
        if let (Ok((_, policy)), Some(records)) = (&built, &gateway.state.records) {
            records.keep(records::bounds(&policy.file));
        }
        gateway.reloaded(built.map(|(_, policy)| policy));
    });
    if work.await.is_err() {
        tracing::error!("the reload failed");
    }
    follow(state);
}

/// Follows what other nodes put into the caches of the policy in force.
fn follow(state: &State) {
    state.caches.follow(&state.tasks, &state.clock);
}

async fn refresh_keys(gateway: &Arc<Gateway>) {
    let gateway = gateway.clone();
    let work = tokio::task::spawn_blocking(move || gateway.refresh_keys());
    if let Ok(Err(error)) = work.await {
        tracing::error!(%error, "keys could not be read; the ones before stay in force");
    }
}
