//! The shapes of `aplomb.yaml`. The comments on the fields are their reference documentation.

use crate::caches::CacheConfig;
use crate::cors::CorsConfig;
use crate::known::{KnownProvider, known};
use crate::limits::ProviderBudgetConfig;
use crate::limits::plans::{KarmaConfig, PlanConfig, SegmentConfig};
use crate::limits::{BudgetConfig, LimitsConfig};
use crate::observe::ObserveConfig;
use crate::privacy::{AgreementConfig, PrivacyConfig, RecognizerConfig, RequireConfig};
use crate::protect::{ForwardedConfig, NetworkSource, ProtectConfig};
use crate::queue::{ClassConfig, ConcurrencyConfig, QueueConfig};
use crate::records::{KeepConfig, PriceConfig, RecordsConfig, RouteRecordConfig};
use crate::resilience::{
    BreakerConfig, ChooseConfig, FallbackConfig, HedgeConfig, RetryConfig, TargetConfig,
};
use crate::scalar::{ByteSize, Span};
use crate::secret::Secret;
use crate::share::{DedupeConfig, IdempotencyConfig};
use crate::store::StoreConfig;
use crate::validate::{HoldConfig, ValidatorConfig};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Configuration of the gateway. An empty file is valid: loopback only, providers from the environment.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigFile {
    /// Addresses, folders and bounds of the process itself.
    pub server: ServerConfig,
    /// Upstreams by name. A name that is known (`openai`, `anthropic`, `groq`, ...) needs only its key.
    pub providers: IndexMap<String, ProviderConfig>,
    /// The model names that clients ask for. `provider/model` works without a route.
    pub routes: IndexMap<String, RouteConfig>,
    /// Organisations that pay. As soon as one has a key, every request needs a key.
    pub tenants: IndexMap<String, TenantConfig>,
    /// Response caches by name; routes pick one with `cache`.
    pub caches: IndexMap<String, CacheConfig>,
    /// Validators of answers by name; routes pick them with `validate`.
    pub validate: IndexMap<String, ValidatorConfig>,
    /// Privacy policies by name; routes pick one with `privacy`.
    pub privacy: IndexMap<String, PrivacyConfig>,
    /// Things of one's own that privacy policies find.
    pub recognizers: Vec<RecognizerConfig>,
    /// What keeps bad traffic out before anybody knows who is calling.
    pub protect: ProtectConfig,
    /// Limits, each as one line such as `25 requests per 3h per user` or as a section. Default `[60 requests per 1m per user, 16 concurrent per key]`; `[]`: none.
    pub limits: LimitsConfig,
    /// What tenants buy, by name: limits, budget, models and segment in one place. Tenants pick one with `plan`.
    pub plans: IndexMap<String, PlanConfig>,
    /// Groups of users that limits can name: `where segment = free`.
    pub segments: IndexMap<String, SegmentConfig>,
    /// Limits that follow what users do.
    pub karma: KarmaConfig,
    /// How long requests wait for providers that take only so many calls at a time.
    pub queue: QueueConfig,
    /// Requests with an `Idempotency-Key`.
    pub idempotency: IdempotencyConfig,
    /// Where things are kept.
    pub store: StoreConfig,
    /// Records of exchanges in the data folder.
    pub records: RecordsConfig,
    /// How the gateway is observed: alerts, evaluations, metrics and traces for other systems.
    pub observe: ObserveConfig,
    /// Prices by `provider/model` (or `provider/*`), in US dollars for a million tokens. Default: the built-in price list.
    pub prices: IndexMap<String, PriceConfig>,
    /// The log of the process, on standard error. Prompts, answers and secrets never reach it.
    pub log: LogConfig,
}

/// Addresses, folders and bounds of the process itself.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Address of the data plane, which applications call. Default `127.0.0.1:4100`. Port 0 takes any free port.
    #[schemars(extend("format" = "socket-address"))]
    pub listen: SocketAddr,
    /// Address of the admin listener. Default `127.0.0.1:4101`. Needs the token in `<data_dir>/admin.token`.
    #[schemars(extend("format" = "socket-address"))]
    pub admin: SocketAddr,
    /// Folder for records, keys and the admin token. Default `./aplomb-data`; relative to the working folder.
    pub data_dir: PathBuf,
    /// Largest request body; larger ones get status 413. Default `10MiB`.
    pub body_max: ByteSize,
    /// Secret with which API keys are hashed at rest. Default: `<data_dir>/pepper`, made at the first start. Must be the same on every node.
    pub key_pepper: Option<Secret>,
    /// When a streamed answer has not begun after this time, the response is opened with SSE comments so that proxies keep the connection. Default `15s`.
    pub keepalive_after: Span,
    /// How long running answers may go on after SIGTERM; then they end with an error event. Default `30s`.
    pub drain: Span,
    /// Time a client may take to send its request head. Default `10s`.
    pub header_timeout: Span,
    /// Time a client may take to send its body. Default `30s`.
    pub body_timeout: Span,
    /// Time a client may take to accept the next bytes of its answer; then its connection is closed and its upstream calls end. Default `60s`.
    pub write_timeout: Span,
    /// Most connections at a time; further ones wait in the kernel's queue. Default 10000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_max: u32,
    /// Proxies that are believed when they say where a request comes from: addresses, networks, or `file:PATH` with one of them a line. Default none: a request comes from the address of its connection.
    pub trusted_proxies: Vec<NetworkSource>,
    /// The header in which they say it; what the other one says is passed over. Default `x-forwarded-for`.
    pub forwarded: ForwardedConfig,
    /// Certificate and key; with them the data plane speaks TLS (HTTP/1.1 and HTTP/2).
    pub tls: Option<TlsConfig>,
    /// Which web pages may call the data plane. Default none: browsers keep pages of other origins out.
    pub cors: CorsConfig,
    /// Serves the example page of the browser client at `/aplomb/example`, as `aplomb demo` does. Default `false`.
    pub example_page: bool,
}

impl Default for ServerConfig {
    fn default() -> Self {
        let seconds = |n| Span(Duration::from_secs(n));
        ServerConfig {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 4100)),
            admin: SocketAddr::from((Ipv4Addr::LOCALHOST, 4101)),
            data_dir: PathBuf::from("./aplomb-data"),
            body_max: ByteSize(10 << 20),
            key_pepper: None,
            keepalive_after: seconds(15),
            drain: seconds(30),
            header_timeout: seconds(10),
            body_timeout: seconds(30),
            write_timeout: seconds(60),
            connections_max: 10_000,
            trusted_proxies: Vec::new(),
            forwarded: ForwardedConfig::default(),
            tls: None,
            cors: CorsConfig::default(),
            example_page: false,
        }
    }
}

/// TLS of the data plane.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// Certificate chain in PEM form: `file:PATH`.
    pub cert: Secret,
    /// Private key in PEM form: `file:PATH`.
    pub key: Secret,
}

/// What an upstream speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// OpenAI, and every server that speaks its API.
    Openai,
    /// The Anthropic Messages API.
    Anthropic,
    /// A simulation inside the gateway.
    Practice,
}

/// One upstream.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderConfig {
    /// What it speaks. Default: by the provider's name, where it is known.
    pub kind: Option<ProviderKind>,
    /// Its address, for `openai` with the `/v1`. Default: by the provider's name, where it is known.
    #[schemars(extend("format" = "base-url"))]
    pub base_url: Option<String>,
    /// Its key. Sent to this provider's address and nowhere else.
    pub api_key: Option<Secret>,
    /// Several keys of it, instead of `api_key`. Each has limits and failures of its own: requests go to the key with the fewest calls in flight; one that is over its limit, out of quota or not accepted is set aside and the others go on.
    #[schemars(length(max = 16))]
    pub api_keys: Vec<Secret>,
    /// Further headers of each call, such as `openai-organization`. Values are texts, or secrets by reference.
    pub headers: IndexMap<String, String>,
    /// Model names it serves: shown by `GET /v1/models`, and found by bare name.
    pub models: Vec<String>,
    /// Most calls at a time for each of its keys and models: a number, or `{ adaptive: { min: 1, max: 200 } }` for one that is learned. Further calls wait in a queue that is fair to tenants and users (see `queue`). Default: no bound.
    pub concurrency: Option<ConcurrencyConfig>,
    /// What each of its keys may be asked for, such as `{ requests: 4000 per 1m, input_tokens: 400000 per 1m }`: every call counts, also one that gives no answer. Default: no bound.
    pub budget: Option<ProviderBudgetConfig>,
    /// Time to open a connection. Default `5s`.
    pub connect_timeout: Span,
    /// Where an OpenAI-compatible server differs; known names have theirs.
    pub quirks: Option<QuirksConfig>,
    /// What was agreed with it about the data it sees. Policies can require it.
    pub agreement: Option<AgreementConfig>,
    /// Behaviour of the simulation; only for the kind `practice`.
    pub practice: Option<PracticeConfig>,
}

impl Default for ProviderConfig {
    fn default() -> Self {
        ProviderConfig {
            kind: None,
            base_url: None,
            api_key: None,
            api_keys: Vec::new(),
            headers: IndexMap::new(),
            models: Vec::new(),
            concurrency: None,
            budget: None,
            connect_timeout: Span(Duration::from_secs(5)),
            quirks: None,
            agreement: None,
            practice: None,
        }
    }
}

impl ProviderConfig {
    /// All its keys with their places below the provider; they have the numbers 0, 1, ... of their standings.
    pub fn keys(&self) -> Vec<(String, &Secret)> {
        match &self.api_key {
            Some(key) => vec![("api_key".to_owned(), key)],
            None => {
                let named = |(index, key)| (format!("api_keys[{index}]"), key);
                self.api_keys.iter().enumerate().map(named).collect()
            }
        }
    }

    /// What this provider speaks: as written, or as its name is known for.
    pub fn kind_of(&self, name: &str) -> Option<ProviderKind> {
        self.kind.or_else(|| known(name).map(|known| known.kind))
    }

    /// Its address: as written, or as its name is known for.
    pub fn base_url_of(&self, name: &str) -> Option<String> {
        let by_name = || {
            known(name)
                .and_then(|known: &KnownProvider| known.base_url)
                .map(str::to_owned)
        };
        self.base_url.clone().or_else(by_name)
    }
}

/// Name of the member that bounds output tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensFieldConfig {
    /// The older name.
    MaxTokens,
    /// The newer name.
    MaxCompletionTokens,
}

/// Where an OpenAI-compatible server differs.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QuirksConfig {
    /// It accepts `stream_options.include_usage`. Default true.
    pub stream_usage: Option<bool>,
    /// Which member bounds output tokens in translated requests. Default `max_tokens`.
    pub max_tokens_field: Option<MaxTokensFieldConfig>,
    /// It knows the role `developer`. Default false.
    pub developer_role: Option<bool>,
}

/// Behaviour of the practice provider.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PracticeConfig {
    /// Everything that looks random follows from it. Default 7.
    pub seed: u64,
    /// Pause before the first token. Default `150ms`.
    pub first_token: Span,
    /// Pace of the tokens after it; 0 means no pauses. Default 80.
    #[schemars(range(max = 1_000_000))]
    pub tokens_per_second: u32,
    /// Relative spread of pauses, 0 to 1. Default 0.2.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub jitter: f64,
    /// Share of calls that fail, 0 to 1. Default 0.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub error_rate: f64,
}

impl Default for PracticeConfig {
    fn default() -> Self {
        PracticeConfig {
            seed: 7,
            first_token: Span(Duration::from_millis(150)),
            tokens_per_second: 80,
            jitter: 0.2,
            error_rate: 0.0,
        }
    }
}

/// One model name that clients ask for. Its name may hold one `*`, which stands for the same text in its targets.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// Where requests go, as `provider/model` or `{ target: provider/model, weight: 3 }`, in order: when one fails before its answer begins, the next is asked.
    #[schemars(length(min = 1, max = 16))]
    pub targets: Vec<TargetConfig>,
    /// Which target is asked first. Default `ordered`.
    #[serde(default)]
    pub choose: ChooseConfig,
    /// Typical time to the first content that is still fast enough, for `choose: cheapest`. Default: any.
    #[serde(default)]
    pub ttft_goal: Option<Span>,
    /// How long to wait for an answer.
    #[serde(default)]
    pub timeouts: TimeoutsConfig,
    /// How often to try.
    #[serde(default)]
    pub retry: RetryConfig,
    /// A second call when the first is slow. Default: none.
    #[serde(default)]
    pub hedge: Option<HedgeConfig>,
    /// When another target is asked, beyond what is always done.
    #[serde(default)]
    pub fallback: FallbackConfig,
    /// When a target is left alone for a while.
    #[serde(default)]
    pub breaker: BreakerConfig,
    /// How urgent its requests are. Default `interactive`; a request can be made less urgent with the header `x-aplomb-priority: batch`.
    #[serde(default)]
    pub class: ClassConfig,
    /// Name of the privacy policy. Default: none, requests travel as they are.
    #[serde(default)]
    pub privacy: Option<String>,
    /// What its providers must have agreed to, besides what the privacy policy requires.
    #[serde(default)]
    pub require: RequireConfig,
    /// What is recorded of its exchanges.
    #[serde(default)]
    pub record: RouteRecordConfig,
    /// Name of the response cache. Default: none, every request goes to a provider.
    #[serde(default)]
    pub cache: Option<String>,
    /// Names of the validators that its answers go through, in order. Default: none.
    #[serde(default)]
    pub validate: Vec<String>,
    /// When the content of an answer may go out: `first_token`, `whole`, or `{ window: 64 tokens, overlap: 16 tokens }`. Default `first_token`; `whole` where the route has validators.
    #[serde(default)]
    pub hold: Option<HoldConfig>,
    /// What happens to a request while the same one of the same user is in flight. Default: nothing, since equal requests of programs may be deliberate samples.
    #[serde(default)]
    pub dedupe: Option<DedupeConfig>,
}

/// How long to wait for an answer.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TimeoutsConfig {
    /// For the first content of a streamed answer, per attempt. A whole answer has only `total`. Default `60s`.
    pub first_token: Span,
    /// Between two events of a stream; comments do not count. Default `30s`.
    pub idle: Span,
    /// For the request, all attempts together. Default `600s`.
    pub total: Span,
}

impl Default for TimeoutsConfig {
    fn default() -> Self {
        let seconds = |n| Span(Duration::from_secs(n));
        TimeoutsConfig {
            first_token: seconds(60),
            idle: seconds(30),
            total: seconds(600),
        }
    }
}

/// One organisation that pays.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TenantConfig {
    /// Keys by their hash, as `aplomb keys hash` prints it: `hash:<64 hex digits>`. More keys are made with `aplomb keys create`.
    #[schemars(extend("items" = { "type": "string", "format": "key-hash" }))]
    pub keys: Vec<String>,
    /// Routes that all keys of the tenant may use, those made with `aplomb keys create` too; empty means all. A `*` stands for any text.
    pub routes: Vec<String>,
    /// Sites of `protect.sites` whose sessions it pays for.
    pub sites: Vec<String>,
    /// Its plan. Default: none.
    pub plan: Option<String>,
    /// What all its requests may cost together, such as `500 USD per month` or `20 USD per day tz Europe/Berlin`. Default: no bound.
    pub budget: Option<BudgetConfig>,
    /// How long its records are kept, where that is shorter than `records.keep`.
    pub keep: KeepConfig,
    /// Its share of a target that takes only so many calls at a time, beside other tenants that wait for it. Default 1.
    #[schemars(range(min = 1, max = 1000))]
    pub weight: u32,
}

impl Default for TenantConfig {
    fn default() -> Self {
        TenantConfig {
            budget: None,
            plan: None,
            keys: Vec::new(),
            routes: Vec::new(),
            sites: Vec::new(),
            keep: KeepConfig::default(),
            weight: 1,
        }
    }
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Someone must act.
    Error,
    /// Degraded but served.
    Warn,
    /// Start, reload, drain.
    #[default]
    Info,
    /// One line a request.
    Debug,
    /// One line an event.
    Trace,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Text,
}

/// The log of the process.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// Least level that is written. Default `info`.
    pub level: LogLevel,
    /// Form of the lines. Default `json`.
    pub format: LogFormat,
}
