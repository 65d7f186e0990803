//! The command line.

use aplomb_config::scalar::Span;
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
    /// Show exchanges: the latest, those that fit, one, or as they come. Asks the running gateway.
    Logs(LogsArgs),
    /// Ask the records in SQL. Asks the running gateway; only reading is possible.
    Sql(SqlArgs),
    /// Who needs help? Users ranked by the trouble they have, with the reasons. Asks the running gateway.
    Users(UsersArgs),
    /// Write recorded exchanges as JSON lines for fine-tuning. Only text that a privacy policy masked, unless told otherwise.
    Export(ExportArgs),
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

/// Which exchanges to show.
#[derive(Args)]
pub struct LogsArgs {
    /// Show this one with all that is known of it: the id of `x-aplomb-request-id`.
    pub id: Option<String>,
    #[command(flatten)]
    pub config: ConfigArgs,
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
    /// Most rows. Default 1000.
    #[arg(long)]
    pub rows: Option<usize>,
    /// JSON instead of a table.
    #[arg(long)]
    pub json: bool,
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
