//! The command line.

use aplomb_config::scalar::{Span, Usd};
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

/// A gateway between applications and LLM providers.
#[derive(Parser)]
#[command(version, about, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Verbs.
#[derive(Subcommand)]
pub enum Command {
    /// Run the gateway.
    Serve(ConfigArgs),
    /// Run the gateway with the simulated practice provider and simulated traffic: no key, no file, no network.
    Demo(DemoArgs),
    /// Check the configuration file without running anything.
    Check(ConfigArgs),
    /// Show what happens to a request for a model name.
    Explain(ExplainArgs),
    /// Print the JSON Schema of the configuration file.
    Schema,
    /// Make, list, rotate and revoke API keys.
    Keys(KeysArgs),
    /// See what would be masked, and where data goes.
    Privacy(PrivacyArgs),
    /// Show how targets stand: breakers, limits, keys that are set aside. Asks the running gateway.
    Targets(TargetsArgs),
    /// Show exchanges: the latest, those that fit, one, or as they come. Asks the running gateway.
    Logs(LogsArgs),
    /// Judge answers: suites and traffic against models, what scores say, what has shifted.
    Eval(EvalArgs),
    /// Ask the records in SQL. Asks the running gateway; only reading is possible.
    Sql(SqlArgs),
    /// Who needs help? Users ranked by the trouble they have, with the reasons. Asks the running gateway.
    Users(UsersArgs),
    /// How somebody's limits stand and why, what plans have, how far users are trusted, what other rules would have done.
    Limits(LimitsArgs),
    /// See what the response caches hold and do, and remove answers from them. Asks the running gateway.
    Cache(CacheArgs),
    /// Show networks that are banned for a while, or end a ban. Asks the running gateway.
    Bans(BansArgs),
    /// Say which answers of a file pass the validators of a route, or which values fit their schemas. Needs no gateway.
    Validate(ValidateArgs),
    /// Show what tenants and keys usually spend and which spend breakers are not closed, or close one. Asks the running gateway.
    Breaker(BreakerArgs),
    /// Stop serving all but the keys of `protect.panic`, at once, or go on. Asks the running gateway, else works on the store.
    Panic(PanicArgs),
    /// Show what was done by people and decided by the gateway, and whether that trail is whole. Works on the store itself.
    Audit(AuditArgs),
    /// Write recorded exchanges as JSON lines for fine-tuning. Only text that a privacy policy masked, unless told otherwise.
    Export(ExportArgs),
}

/// Which spend breakers.
#[derive(Args)]
pub struct BreakerArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Close this one, such as `tenant:acme`; it learns anew what is usual.
    #[arg(long)]
    pub reset: Option<String>,
    /// One JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// Where to turn the panic switch.
#[derive(Args)]
pub struct PanicArgs {
    /// `on` or `off`; without it, how the switch stands is shown.
    #[arg(value_enum)]
    pub turn: Option<Turn>,
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Ways to turn a switch.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Turn {
    /// On.
    On,
    /// Off.
    Off,
}

/// About the audit trail.
#[derive(Args)]
pub struct AuditArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// What to do. Default: show the latest rows.
    #[command(subcommand)]
    pub command: Option<AuditCommand>,
    /// Most rows.
    #[arg(long, default_value_t = 50)]
    pub limit: u32,
    /// One JSON object a line.
    #[arg(long, global = true)]
    pub json: bool,
}

/// Verbs about the audit trail.
#[derive(Subcommand)]
pub enum AuditCommand {
    /// Say whether the trail is whole: no row changed, removed or inserted. Prints the number and hash of its last row.
    Verify {
        /// A row that was written down elsewhere and must be there: `NUMBER:HASH`, as this command printed it.
        #[arg(long)]
        anchor: Option<String>,
    },
}

/// Which bans.
#[derive(Args)]
pub struct BansArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// End the ban of this network.
    #[arg(long)]
    pub lift: Option<String>,
    /// One JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// About limits.
#[derive(Args)]
pub struct LimitsArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: LimitsCommand,
}

/// Verbs about limits.
#[derive(Subcommand)]
pub enum LimitsCommand {
    /// Say how the limits of a key or user stand, how far it is trusted and why, and what was refused last. Asks the running gateway.
    Explain(WhoArgs),
    /// Print what each plan costs and has, as it is enforced. Needs no gateway.
    Table {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// List users by how far they are trusted, the least first. Asks the running gateway.
    Users(TrustedArgs),
    /// Set the level of trust of a user for a time.
    Set(TrustArgs),
    /// Take back the level that was set for a user.
    Clear {
        /// The user.
        user: String,
        /// Its tenant.
        #[arg(long)]
        tenant: String,
    },
    /// Say what you know of a user: `vouched`, `paid` (with `--usd`) or `abuse`.
    Signal(SignalArgs),
    /// Say what the limits of another file would have done with the recorded traffic. Asks the running gateway.
    Simulate(SimulateArgs),
}

/// Whose limits.
#[derive(Args)]
pub struct WhoArgs {
    /// Public id of a key, or a user.
    pub who: String,
    /// The user's tenant. Not needed where only one fits.
    #[arg(long)]
    pub tenant: Option<String>,
    /// For requests that ask for this route or model.
    #[arg(long)]
    pub model: Option<String>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Which users.
#[derive(Args)]
pub struct TrustedArgs {
    /// Only of this tenant.
    #[arg(long)]
    pub tenant: Option<String>,
    /// Only of this level: `suspended`, `quarantine`, `standard`, `trusted`.
    #[arg(long)]
    pub level: Option<String>,
    /// Most users.
    #[arg(long, default_value_t = 50)]
    pub limit: usize,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Whom to trust how far, until when and why.
#[derive(Args)]
pub struct TrustArgs {
    /// The user.
    pub user: String,
    /// Its tenant.
    #[arg(long)]
    pub tenant: String,
    /// The level: `suspended`, `quarantine`, `standard`, `trusted`.
    #[arg(long)]
    pub trust: String,
    /// For how long, such as `30d`.
    #[arg(long)]
    pub r#for: Span,
    /// Why; it is told to whoever asks later.
    #[arg(long)]
    pub reason: String,
}

/// What is known of a user.
#[derive(Args)]
pub struct SignalArgs {
    /// The user.
    pub user: String,
    /// `vouched`, `paid` or `abuse`.
    pub signal: String,
    /// Its tenant.
    #[arg(long)]
    pub tenant: String,
    /// What was paid, in dollars.
    #[arg(long)]
    pub usd: Option<f64>,
    /// What shows it.
    #[arg(long)]
    pub note: String,
}

/// Which limits, and which traffic.
#[derive(Args)]
pub struct SimulateArgs {
    /// A configuration file whose limits, plans, segments and karma are tried. Default: those in force.
    pub file: Option<PathBuf>,
    /// Days of traffic, today included.
    #[arg(long, default_value_t = 7)]
    pub days: u64,
    /// Only of this tenant.
    #[arg(long = "of")]
    pub tenant: Option<String>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// About the response caches.
#[derive(Args)]
pub struct CacheArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: CacheCommand,
}

/// Verbs about response caches.
#[derive(Subcommand)]
pub enum CacheCommand {
    /// Show how full each cache is, what it gave again and what it passed over, with the reasons.
    Show {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove the kept answers that fit everything that is said; at least one thing must be said.
    Purge(PurgeArgs),
    /// Say whether two questions have the same answer, as the guard of the semantic cache sees it. Needs no gateway.
    Compare(CompareArgs),
}

/// Which answers to check.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ValidateArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Whose validators.
    #[arg(long)]
    pub route: Option<String>,
    /// Lines `{"id", "answer", "request"}`, of which only `answer` must be there; `-` for standard input. Lines `{"id", "pass", "failed"}` are written, and pass rates on standard error.
    #[arg(long)]
    pub file: Option<PathBuf>,
    /// Other checks.
    #[command(subcommand)]
    pub command: Option<ValidateCommand>,
}

/// Checks that need no configuration.
#[derive(Subcommand)]
pub enum ValidateCommand {
    /// Say which sentences of answers are in their contexts.
    Grounding {
        /// File, or `-` for standard input.
        #[arg(default_value = "-")]
        file: PathBuf,
        /// Read lines `{"id", "context", "answer"}` and write lines `{"id", "grounded", "sentences": [{"text", "supported", "reason"}]}`.
        #[arg(long, required = true)]
        jsonl: bool,
    },
    /// Say which answers are about their questions.
    Relevance {
        /// File, or `-` for standard input.
        #[arg(default_value = "-")]
        file: PathBuf,
        /// Read lines `{"id", "question", "answer"}` and write lines `{"id", "score", "relevant"}`.
        #[arg(long, required = true)]
        jsonl: bool,
    },
    /// Say which values fit their JSON Schemas.
    Schema {
        /// File, or `-` for standard input.
        #[arg(default_value = "-")]
        file: PathBuf,
        /// Read lines `{"id", "schema", "instance"}` and write lines `{"id", "valid", "errors"}`.
        #[arg(long, required = true)]
        jsonl: bool,
    },
}

/// Which questions to compare.
#[derive(Args)]
pub struct CompareArgs {
    /// Two questions; with `--jsonl` a file, or `-` for standard input.
    #[arg(required = true, num_args = 1..=2)]
    pub texts: Vec<String>,
    /// Read lines `{"id", "a", "b"}` and write lines `{"id", "score", "hit", "reason"}`.
    #[arg(long)]
    pub jsonl: bool,
    /// Least score of a hit, 0 to 1. Default 0.9.
    #[arg(long, value_parser = threshold)]
    pub threshold: Option<f32>,
}

fn threshold(text: &str) -> Result<f32, String> {
    let found = text.parse::<f32>().ok();
    let found = found.filter(|number| (0.0..=1.0).contains(number));
    found.ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

/// Which kept answers to remove.
#[derive(Args)]
#[group(required = true, multiple = true)]
pub struct PurgeArgs {
    /// Those that this user asked for first.
    #[arg(long)]
    pub user: Option<String>,
    /// Of this tenant.
    #[arg(long)]
    pub tenant: Option<String>,
    /// Of this route.
    #[arg(long)]
    pub route: Option<String>,
    /// Older than this, such as `1h`.
    #[arg(long)]
    pub older_than: Option<Span>,
    /// Of this cache.
    #[arg(long)]
    pub cache: Option<String>,
    /// All of them.
    #[arg(long)]
    pub all: bool,
}

/// Whose trouble.
#[derive(Args)]
pub struct UsersArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Days looked at, today included.
    #[arg(long, default_value_t = 7)]
    pub days: u64,
    /// Only of this tenant.
    #[arg(long)]
    pub tenant: Option<String>,
    /// Most users.
    #[arg(long, default_value_t = 20)]
    pub limit: usize,
    /// One JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// What to export.
#[derive(Args)]
pub struct ExportArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Pairs of a preferred and a worse answer, from corrections, instead of chats.
    #[arg(long)]
    pub preference: bool,
    /// Only of this tenant.
    #[arg(long)]
    pub tenant: Option<String>,
    /// Only of this route.
    #[arg(long)]
    pub route: Option<String>,
    /// Only with this last thumb: `up` or `down`.
    #[arg(long)]
    pub thumb: Option<String>,
    /// Least score of a rubric, `relevance=0.7`; may be given several times.
    #[arg(long)]
    pub min_score: Vec<String>,
    /// Not older than this, such as `30d`.
    #[arg(long)]
    pub since: Option<Span>,
    /// Text of routes without a privacy policy too.
    #[arg(long)]
    pub unmasked: bool,
    /// Most lines.
    #[arg(long, default_value_t = 100_000)]
    pub limit: usize,
    /// File to write to. Default: standard output.
    #[arg(long)]
    pub out: Option<PathBuf>,
}

/// Which targets to show, or to forget the failures of.
#[derive(Args)]
pub struct TargetsArgs {
    /// `provider/model`, with `#2` for its second key. Default: all.
    pub target: Option<String>,
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Forget failures, limits and keys that were set aside, instead of showing them.
    #[arg(long)]
    pub reset: bool,
    /// One JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// Which exchanges to show.
#[derive(Args)]
pub struct LogsArgs {
    /// Show this one with all that is known of it: the id of `x-aplomb-request-id`.
    pub id: Option<String>,
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Store that is asked: `embedded` or `clickhouse`. Default: the data folder, where it is a store of its own.
    #[arg(long)]
    pub store: Option<String>,
    /// Tenant.
    #[arg(long)]
    pub tenant: Option<String>,
    /// End user.
    #[arg(long)]
    pub user: Option<String>,
    /// Public id of the key.
    #[arg(long)]
    pub key: Option<String>,
    /// Conversation.
    #[arg(long)]
    pub session: Option<String>,
    /// Route.
    #[arg(long)]
    pub route: Option<String>,
    /// `provider/model` that answered.
    #[arg(long)]
    pub target: Option<String>,
    /// How it ended: `done`, `error`, `cut`, `client_gone`, `panic`, `crashed`.
    #[arg(long)]
    pub outcome: Option<String>,
    /// HTTP status.
    #[arg(long)]
    pub status: Option<u16>,
    /// Code of the error.
    #[arg(long)]
    pub error_code: Option<String>,
    /// At least so long, such as `2s`.
    #[arg(long)]
    pub slower_than: Option<Span>,
    /// Last thumb: `up` or `down`.
    #[arg(long)]
    pub thumb: Option<String>,
    /// Text in the conversation or the answer, where text is kept.
    #[arg(long)]
    pub text: Option<String>,
    /// Not older than this, such as `2h`.
    #[arg(long)]
    pub since: Option<Span>,
    /// Most exchanges.
    #[arg(long, default_value_t = 50)]
    pub limit: usize,
    /// Go on showing what comes.
    #[arg(long, short)]
    pub follow: bool,
    /// One JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// A question in SQL.
#[derive(Args)]
pub struct SqlArgs {
    /// One SELECT over the views `requests`, `attempts`, `feedback`, `scores`, `texts`, `minutes`, `hours`, `tenants`, `users`.
    pub query: String,
    #[command(flatten)]
    pub config: ConfigArgs,
    /// First day that it sees, `YYYY-MM-DD`. Default: 30 days before the last.
    #[arg(long)]
    pub since: Option<String>,
    /// Last day that it sees. Default: today.
    #[arg(long)]
    pub until: Option<String>,
    /// Only this tenant's rows.
    #[arg(long)]
    pub tenant: Option<String>,
    /// Store that is asked, in its own SQL: `embedded` or `clickhouse`. Default: the data folder, where it is a store of its own.
    #[arg(long)]
    pub store: Option<String>,
    /// Most rows. Default 1000.
    #[arg(long)]
    pub rows: Option<usize>,
    /// JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// What to do about evaluations.
#[derive(Args)]
pub struct EvalArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: EvalCommand,
}

/// Verbs about evaluations.
#[derive(Subcommand)]
pub enum EvalCommand {
    /// Play a suite or recorded traffic against routes and models, and compare their answers, time and money.
    Run(Box<EvalRunArgs>),
    /// Make cases from answers that people did not like.
    Grow(EvalGrowArgs),
    /// Show scores with their agreement with people.
    Report {
        /// Days, today included.
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=400))]
        days: u64,
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Show which measures of a day differ from the two weeks before it.
    Drift {
        /// The day, `YYYY-MM-DD`. Default: yesterday, the last whole one.
        #[arg(long)]
        day: Option<String>,
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
}

/// Where cases come from.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum CasesFrom {
    /// Recorded traffic of a route.
    Traffic,
}

/// Where cases for a new suite come from.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum GrowFrom {
    /// Thumbs down, bad labels and scores, corrections.
    BadFeedback,
}

/// What to play.
#[derive(Args)]
pub struct EvalRunArgs {
    /// Suite (YAML). Not needed with `--from traffic`.
    pub suite: Option<PathBuf>,
    /// Take the cases from here instead; the recorded answers are compared with.
    #[arg(long, value_enum)]
    pub from: Option<CasesFrom>,
    /// Route whose traffic is taken.
    #[arg(long)]
    pub route: Option<String>,
    /// Not older than this.
    #[arg(long, default_value = "7d")]
    pub since: Span,
    /// Most cases of traffic.
    #[arg(long, default_value_t = 100)]
    pub limit: usize,
    /// A further target: a route or `provider/model`; may be given several times.
    #[arg(long)]
    pub against: Vec<String>,
    /// Who judges: `provider/model` or a route.
    #[arg(long)]
    pub judge: Option<String>,
    /// What the judge is asked; may be given several times. Default with a judge: relevance and helpfulness.
    #[arg(long = "rubric")]
    pub rubrics: Vec<String>,
    /// A check without a model; may be given several times.
    #[arg(long = "rule")]
    pub rules: Vec<String>,
    /// Most money for answers and verdicts together. Default: as the suite says, else 1 USD.
    #[arg(long)]
    pub budget: Option<Usd>,
    /// Requests a month, for the saving. Default: as the suite says, else by the traffic.
    #[arg(long)]
    pub requests_a_month: Option<u64>,
    /// Fail if a target's mean is lower, such as `relevance=0.7`; may be given several times.
    #[arg(long)]
    pub min: Vec<String>,
    /// Fail if a target's mean is higher, such as `refusal=0.05`; may be given several times.
    #[arg(long)]
    pub max: Vec<String>,
    /// JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// What to make cases of.
#[derive(Args)]
pub struct EvalGrowArgs {
    /// Which answers.
    #[arg(long, value_enum, default_value = "bad-feedback")]
    pub from: GrowFrom,
    /// File to write: a new suite (`.yaml`), or cases that are added (`.jsonl`).
    #[arg(long)]
    pub out: PathBuf,
    /// Only of this route.
    #[arg(long)]
    pub route: Option<String>,
    /// Not older than this.
    #[arg(long, default_value = "30d")]
    pub since: Span,
    /// Most cases, the latest first.
    #[arg(long, default_value_t = 200)]
    pub limit: usize,
}

/// What to do about privacy.
#[derive(Args)]
pub struct PrivacyArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: PrivacyCommand,
}

/// Verbs about privacy.
#[derive(Subcommand)]
pub enum PrivacyCommand {
    /// Show what is found in a text, with its kind, score and reason. Recognizers of the configuration file count too.
    Scan {
        /// File, or `-` for standard input.
        file: PathBuf,
        /// Read one JSON object a line, `{"id","text"}`, and write one a line, `{"id","spans":[...]}`, in order.
        #[arg(long)]
        jsonl: bool,
        /// What `start` and `end` count.
        #[arg(long, value_enum, default_value = "codepoint")]
        unit: Unit,
    },
    /// Erase a user in every store, and print the signed receipt. Speaks to the running gateway, else works on the files.
    Erase {
        /// The user's id, as requests name it.
        #[arg(long)]
        user: String,
        /// Only in this tenant.
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Print everything that is kept of a user, as JSON.
    Export {
        /// The user's id, as requests name it.
        #[arg(long)]
        user: String,
        /// Only in this tenant.
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Say whether a receipt was made by this installation and is unchanged.
    Verify {
        /// File with the receipt, or `-` for standard input.
        file: PathBuf,
    },
    /// Say which data goes where, for the record of processing.
    Report {
        /// A paragraph for a privacy policy instead.
        #[arg(long)]
        public: bool,
    },
}

/// What offsets count.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Unit {
    /// Unicode code points.
    Codepoint,
    /// Bytes of UTF-8.
    Byte,
}

/// Where the configuration is.
#[derive(Args, Clone, Default)]
pub struct ConfigArgs {
    /// Configuration file. Default: `aplomb.yaml` in the working folder if there is one, else the environment.
    #[arg(long, short, global = true)]
    pub config: Option<PathBuf>,
}

/// Where the demo listens.
#[derive(Args)]
pub struct DemoArgs {
    /// Address of the data plane.
    #[arg(long, default_value = "127.0.0.1:4100")]
    pub listen: SocketAddr,
    /// Address of the admin listener.
    #[arg(long, default_value = "127.0.0.1:4101")]
    pub admin: SocketAddr,
    /// Simulated requests per second; 0 for none.
    #[arg(long, default_value_t = 2)]
    pub rate: u32,
}

/// What to explain.
#[derive(Args)]
pub struct ExplainArgs {
    /// Model name as a client would ask for it.
    pub model: String,
    #[command(flatten)]
    pub config: ConfigArgs,
    /// One JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Keys.
#[derive(Args)]
pub struct KeysArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: KeysCommand,
    #[command(flatten)]
    pub config: ConfigArgs,
    /// JSON instead of text.
    #[arg(long, global = true)]
    pub json: bool,
}

/// Verbs on keys.
#[derive(Subcommand)]
pub enum KeysCommand {
    /// Make a key. It is shown once.
    Create {
        /// Organisation that pays; made with its first key.
        #[arg(long)]
        tenant: String,
        /// Name for people.
        #[arg(long, default_value = "")]
        name: String,
        /// Second part of the key.
        #[arg(long, default_value = "live")]
        env: String,
        /// Time until it ends, such as `90d`. Default: never.
        #[arg(long)]
        expires: Option<String>,
        /// Route or model it may use; may be given several times, may hold a `*`. Default: all.
        #[arg(long = "route")]
        routes: Vec<String>,
    },
    /// List keys. Their text is not kept.
    List {
        /// Only of this tenant.
        #[arg(long)]
        tenant: Option<String>,
    },
    /// End a key now.
    Revoke {
        /// Its id: the third part of the key.
        id: String,
    },
    /// Make a successor of a key; the old one ends after the overlap.
    Rotate {
        /// Its id.
        id: String,
        /// Time until the old key ends.
        #[arg(long, default_value = "24h")]
        overlap: String,
    },
    /// Print the hash of a key of your own, for `tenants.<name>.keys`. Reads the key from standard input.
    Hash,
}
