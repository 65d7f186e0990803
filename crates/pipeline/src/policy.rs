//! What the operator wants, compiled: everything that can fail has been done.

use crate::analyzer::Analyzer;
use crate::cached::{self, Cached};
use crate::evals;
use crate::limits::provider::Budget;
use crate::limits::{self, Limits};
use crate::otlp;
use crate::screen::{self, Screen};
use crate::shared::Sharing;
use crate::shields::{self, Shields};
use crate::state::State;
use crate::target::{Manner, Offer};
use crate::validated::{self, Checking};
use aplomb_catalog::price::{Rate, Rates};
use aplomb_catalog::prices::{Override, Prices};
use aplomb_config::Parsed;
use aplomb_config::diagnostic::{Diagnostic, Diagnostics};
use aplomb_config::file::{
    ConfigFile, MaxTokensFieldConfig, PracticeConfig, ProviderConfig, ProviderKind, QuirksConfig,
    RouteConfig, TimeoutsConfig,
};
use aplomb_config::privacy::NamesConfig;
use aplomb_config::records::{RecordAck, RecordText, RouteRecordConfig};
use aplomb_config::resilience::TargetConfig;
use aplomb_config::scalar::Usd;
use aplomb_config::secret::{Environment, Secret};
use aplomb_control::key::KeyHash;
use aplomb_latency::queue;
use aplomb_latency::standing::{ProviderStanding, Standing, Standings};
use aplomb_observe::alerts::Rule;
use aplomb_observe::evals::online::Eval;
use aplomb_observe::metrics::{RouteMetrics, TargetMetrics};
use aplomb_observe::otel::export::Settings;
use aplomb_observe::record::KeepText;
use aplomb_privacy::agreements::{Agreement, Known};
use aplomb_privacy::detect::Detector;
use aplomb_privacy::room::Shield;
use aplomb_providers::call::{Base, Kind, Provider};
use aplomb_providers::openai::quirks::{MaxTokensField, Quirks};
use aplomb_providers::practice::{Practice, PracticeSettings};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use indexmap::IndexMap;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long to wait for an answer.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For the first content of a stream, per attempt.
    pub first_token: Duration,
    /// Between two events of a stream.
    pub idle: Duration,
    /// For the request, all attempts together.
    pub total: Duration,
}

/// One (provider, model, credentials) choice.
#[derive(Clone)]
pub struct Target {
    /// Who serves.
    pub provider: Arc<Provider>,
    /// What is served.
    pub model: Arc<str>,
    /// `provider/model`.
    pub name: Arc<str>,
    /// What its provider is known to have agreed to.
    pub agreement: Arc<Known>,
    /// What is counted for it.
    pub metrics: Arc<TargetMetrics>,
    /// Place in the route; the keys of one target share it.
    pub rank: usize,
    /// Share among the route's targets.
    pub weight: f64,
    /// What was learned of it.
    pub standing: Arc<Standing>,
    /// What was learned of its provider.
    pub upstream: Arc<ProviderStanding>,
    /// Tokens that the model takes, where that is known.
    pub context: Option<u64>,
    /// What it typically costs, where that is known, in nano-dollars for a million tokens.
    pub price: Option<i64>,
    /// A number that stays the same, for choices that stay the same.
    pub seat: u64,
    /// How many calls it takes at a time; none for any number.
    pub slots: Option<queue::Rule>,
    /// What its key may be asked for; none for any number of calls.
    pub budget: Option<Arc<Budget>>,
}

/// Where requests for one model name go.
pub struct Route {
    /// Its name in the file; none for `provider/model` and bare model names.
    pub name: Option<Arc<str>>,
    /// Targets in order.
    pub targets: Vec<Target>,
    /// Waiting times.
    pub timeouts: Timeouts,
    /// How it goes about its targets.
    pub manner: Manner,
    /// Its privacy policy.
    pub rules: Rules,
    /// What is recorded.
    pub record: Recording,
    /// What its answers are checked for.
    pub checking: Checking,
    /// Its response cache.
    pub cache: Option<Arc<Cached>>,
    /// How it shares calls.
    pub sharing: Arc<Sharing>,
    /// What is counted for it.
    pub metrics: Arc<RouteMetrics>,
}

/// What is recorded of a route's exchanges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recording {
    /// How much text is kept.
    pub keep: KeepText,
    /// When it has to be on the disk.
    pub ack: RecordAck,
}

impl Recording {
    fn of(config: &RouteRecordConfig) -> Self {
        let keep = match config.text {
            RecordText::None => KeepText::None,
            RecordText::Masked => KeepText::Masked,
            RecordText::Plain => KeepText::Plain,
        };
        Recording {
            keep,
            ack: config.ack,
        }
    }
}

/// What a route does for privacy.
#[derive(Clone, Default)]
pub struct Rules {
    /// Its policy.
    pub shield: Option<Arc<Shield>>,
    /// The analyzer that is asked besides.
    pub analyzer: Option<Arc<Analyzer>>,
    /// What its providers must have agreed to.
    pub require: Agreement,
}

/// A route whose name has a `*`.
pub struct Pattern {
    /// Text before the star.
    pub head: String,
    /// Text after it.
    pub tail: String,
    /// The route as written.
    pub name: Arc<str>,
    /// Targets, which may hold a `*` each.
    pub targets: Vec<(Offer, String)>,
    /// Waiting times.
    pub timeouts: Timeouts,
    /// How it goes about its targets.
    pub manner: Manner,
    /// Its privacy policy.
    pub rules: Rules,
    /// What is recorded.
    pub record: Recording,
    /// What its answers are checked for.
    pub checking: Checking,
    /// Its response cache.
    pub cache: Option<Arc<Cached>>,
    /// How it shares calls.
    pub sharing: Arc<Sharing>,
    /// What is counted for it.
    pub metrics: Arc<RouteMetrics>,
}

/// A key that stands in the file by its hash.
pub struct FileKey {
    /// Tenant.
    pub tenant: String,
    /// Its hash.
    pub hash: KeyHash,
}

/// A provider and the models it lists.
pub struct Listed {
    /// The provider with each of its keys, at least once.
    pub keys: Vec<Arc<Provider>>,
    /// What each of these keys may be asked for; empty for any number of calls.
    pub budgets: Vec<Arc<Budget>>,
    /// Model names from the file.
    pub models: Vec<String>,
    /// What it is known to have agreed to.
    pub agreement: Arc<Known>,
}

/// What happens to a model that is asked for without a route.
#[derive(Clone)]
pub enum Direct {
    /// It is served by these rules.
    Served(Rules),
    /// It is not: the file has privacy policies, and none is for all.
    Refused,
}

/// The compiled configuration.
pub struct Policy {
    /// The file it was made from.
    pub file: ConfigFile,
    /// Providers by name.
    pub providers: HashMap<String, Listed>,
    /// Routes without a star.
    pub routes: HashMap<String, Arc<Route>>,
    /// Routes with one.
    pub patterns: Vec<Pattern>,
    /// Keys in the file.
    pub file_keys: Vec<FileKey>,
    /// Models without a route.
    pub direct: Direct,
    /// Alert rules.
    pub alerts: Vec<Rule>,
    /// What models cost.
    pub prices: Arc<Prices>,
    /// Evaluations of recorded answers.
    pub evals: Arc<[Arc<Eval>]>,
    /// Limits.
    pub limits: Arc<Limits>,
    /// Networks that are let in or kept out.
    pub screen: Screen,
    /// Where spans and metrics go; none where they stay.
    pub otlp: Option<Arc<Settings>>,
    /// First digits of the digest of the file.
    pub version: Arc<str>,
    /// How calls for models without a route are shared.
    pub(crate) sharing: Arc<Sharing>,
    /// What was learned of targets.
    pub(crate) standings: Arc<Standings>,
    /// When it was built, in milliseconds since the Unix epoch: choices by price go by the prices of that time.
    pub(crate) built_ms: u64,
}

/// Defaults of the file, for models without a route.
pub(crate) fn default_timeouts() -> Timeouts {
    timeouts(&TimeoutsConfig::default())
}

fn timeouts(config: &TimeoutsConfig) -> Timeouts {
    Timeouts {
        first_token: config.first_token.0,
        idle: config.idle.0,
        total: config.total.0,
    }
}

/// What a file is compiled with.
pub struct Sources<'a> {
    /// Variables.
    pub env: &'a dyn Environment,
    /// Folder of the configuration file.
    pub base_dir: &'a Path,
    /// Keeps connections and counters over reloads.
    pub state: &'a State,
}

impl Policy {
    /// What models cost by a file.
    pub(crate) fn prices_of(file: &ConfigFile) -> Prices {
        prices(file)
    }

    /// Compiles a file.
    ///
    /// # Errors
    /// All that can't be compiled: missing secrets, bad addresses and headers; with their place.
    pub fn build(
        parsed: &Parsed,
        file_name: &str,
        sources: &Sources<'_>,
    ) -> Result<Policy, Diagnostics> {
        let state = sources.state;
        let mut errors = Vec::new();
        let mut providers = HashMap::new();
        for (name, config) in &parsed.file.providers {
            if let Some(keys) = with_each_key(name, config, sources, &mut errors) {
                providers.insert(
                    name.clone(),
                    Listed {
                        budgets: budgets((name, config), keys.len(), sources, &mut errors),
                        keys,
                        models: config.models.clone(),
                        agreement: Arc::new(shields::known(config.agreement.as_ref())),
                    },
                );
            }
        }
        let shields = shields::build(parsed, sources, &mut errors);
        let alerts = crate::alerts::build(&parsed.file, sources, &mut errors);
        for (name, config) in &parsed.file.routes {
            uncovered(&parsed.file, name, config, &mut errors);
        }
        validated::check(&parsed.file, sources, &mut errors);
        let otlp = otlp::settings(&parsed.file, sources, &mut errors);
        let prices = prices(&parsed.file);
        let limits = limits::compile(&parsed.file, &prices, sources, &mut errors);
        let screen = screen::compile(&parsed.file, sources, &mut errors);
        if !errors.is_empty() {
            let placed = errors.into_iter().map(|error| error.placed(&parsed.map));
            return Err(Diagnostics::new(file_name, placed.collect()));
        }
        let version = version(&parsed.file);
        let sharing = Sharing::direct(&parsed.file, &version, state);
        let mut policy = Policy {
            file: parsed.file.clone(),
            providers,
            routes: HashMap::new(),
            patterns: Vec::new(),
            file_keys: file_keys(&parsed.file),
            direct: direct(&parsed.file, &shields),
            alerts,
            prices: Arc::new(prices),
            evals: Arc::default(),
            otlp: otlp.map(Arc::new),
            version,
            sharing: Arc::new(sharing),
            limits: Arc::new(limits),
            screen,
            standings: state.standings.clone(),
            built_ms: state.clock.now_ms(),
        };
        for (name, config) in &parsed.file.routes {
            let rules = rules(&parsed.file, config, &shields);
            let checking = validated::compile(&parsed.file, config, sources);
            policy.add_route(name, config, (rules, checking), state);
        }
        state.caches.only(&parsed.file.caches);
        state.shares.bound(&parsed.file.idempotency);
        state.watch_by(&parsed.file.protect);
        // The most specific pattern is tried first.
        policy
            .patterns
            .sort_by_key(|pattern| std::cmp::Reverse(pattern.head.len() + pattern.tail.len()));
        match evals::build(&policy, state) {
            Ok(evals) => policy.evals = evals,
            Err(errors) => {
                let placed = errors.into_iter().map(|error| error.placed(&parsed.map));
                return Err(Diagnostics::new(file_name, placed.collect()));
            }
        }
        Ok(policy)
    }

    /// What finds personal data, where a policy needs it; the one with the name model if there are two.
    pub fn detector(&self) -> Option<Arc<Detector>> {
        let routes = self.routes.values().map(|route| &route.rules);
        let patterns = self.patterns.iter().map(|pattern| &pattern.rules);
        let shields = routes
            .chain(patterns)
            .filter_map(|rules| rules.shield.as_ref());
        let named = |shield: &&Arc<Shield>| {
            let policy = self.file.privacy.get(&shield.profile.name);
            policy.is_some_and(|policy| policy.names == NamesConfig::Model)
        };
        let best = shields.max_by_key(named);
        best.map(|shield| shield.detector.clone())
    }

    /// A tenant's share of targets that take only so many calls at a time.
    pub(crate) fn weight(&self, tenant: &str) -> u32 {
        let config = self.file.tenants.get(tenant);
        config.map_or(1, |config| config.weight)
    }

    fn add_route(
        &mut self,
        name: &str,
        config: &RouteConfig,
        (rules, checking): (Rules, Checking),
        state: &State,
    ) {
        let metrics = &state.metrics;
        let cache = cached::compile(self, name, config, state).map(Arc::new);
        let sharing = Arc::new(Sharing::of(&self.file, name, config, state));
        let known = |(rank, target): (usize, &TargetConfig)| {
            let (provider, model) = target.split_once('/')?;
            let offers = self.providers.get(provider)?.offers(rank, target.weight);
            let named = offers.map(|offer| (offer, model.to_owned()));
            Some(named.collect::<Vec<_>>())
        };
        let targets = config.targets.iter().enumerate().filter_map(known);
        let targets: Vec<(Offer, String)> = targets.flatten().collect();
        let timeouts = timeouts(&config.timeouts);
        let manner = Manner::of(name, config, &self.standings);
        let record = Recording::of(&config.record);
        if let Some((head, tail)) = name.split_once('*') {
            let (head, tail) = (head.to_owned(), tail.to_owned());
            self.patterns.push(Pattern {
                head,
                tail,
                name: name.into(),
                targets,
                timeouts,
                manner,
                rules,
                record,
                checking,
                cache,
                sharing,
                metrics: metrics.route(name),
            });
        } else {
            let targets = targets
                .iter()
                .map(|(offer, model)| self.target(offer, model, metrics))
                .collect();
            let route = Route {
                name: Some(name.into()),
                targets,
                timeouts,
                manner,
                rules,
                record,
                checking,
                cache,
                sharing,
                metrics: metrics.route(name),
            };
            self.routes.insert(name.to_owned(), Arc::new(route));
        }
    }
}

/// Name of the policy for all routes that name none, and for models without a route.
const DEFAULT_PRIVACY: &str = "default";

/// Name of the privacy policy of a route.
pub(crate) fn policy_name(config: &RouteConfig) -> &str {
    config.privacy.as_deref().unwrap_or(DEFAULT_PRIVACY)
}

/// What a route requires of its providers, with what its policy does.
fn required(file: &ConfigFile, config: &RouteConfig) -> Agreement {
    let own = shields::requirement(&config.require);
    let Some(policy) = file.privacy.get(policy_name(config)) else {
        return own;
    };
    let by_policy = shields::requirement(&policy.require);
    own.and(&by_policy)
        .and(&shields::preset_requirement(policy))
}

fn rules(file: &ConfigFile, config: &RouteConfig, shields: &Shields) -> Rules {
    let compiled = shields.get(policy_name(config));
    Rules {
        shield: compiled.map(|one| one.shield.clone()),
        analyzer: compiled.and_then(|one| one.analyzer.clone()),
        require: required(file, config),
    }
}

/// A route whose privacy can't be kept: without a policy where others have one, or with a target that lacks what is
/// required of it.
fn uncovered(file: &ConfigFile, name: &str, config: &RouteConfig, errors: &mut Vec<Diagnostic>) {
    let names_none = config.privacy.is_none() && !file.privacy.contains_key(DEFAULT_PRIVACY);
    if !file.privacy.is_empty() && names_none {
        let message = "this route has no privacy policy, although the file has some: name one with `privacy`, or \
                       add one called `default` for all routes";
        errors.push(Diagnostic::error(format!("routes.{name}"), message));
    }
    let require = required(file, config);
    for (index, target) in config.targets.iter().enumerate() {
        let provider = target.split_once('/').map(|(provider, _)| provider);
        let listed = provider.and_then(|provider| file.providers.get_key_value(provider));
        let Some((provider, listed)) = listed else {
            continue;
        };
        if let Some(lacks) = require.lacking(&shields::known(listed.agreement.as_ref())) {
            let message = format!(
                "requests of this route may not go there: the provider {lacks} (see `providers.{provider}.agreement`)"
            );
            let path = format!("routes.{name}.targets[{index}]");
            errors.push(Diagnostic::error(path, message));
        }
    }
}

fn direct(file: &ConfigFile, shields: &Shields) -> Direct {
    match file.privacy.get(DEFAULT_PRIVACY) {
        Some(policy) => Direct::Served(Rules {
            shield: shields.get(DEFAULT_PRIVACY).map(|one| one.shield.clone()),
            analyzer: shields
                .get(DEFAULT_PRIVACY)
                .and_then(|one| one.analyzer.clone()),
            require: shields::requirement(&policy.require)
                .and(&shields::preset_requirement(policy)),
        }),
        None if file.privacy.is_empty() => Direct::Served(Rules::default()),
        None => Direct::Refused,
    }
}

/// The built-in price list, and the file's own before it.
fn prices(file: &ConfigFile) -> Prices {
    let own = file.prices.iter().filter_map(|(name, config)| {
        let (provider, model) = name.split_once('/')?;
        let rate = |usd: Usd| Rate::per_million(usd.0);
        let mut rates = Rates::new(rate(config.input)?, rate(config.output)?);
        rates.cache_read = config.cache_read.and_then(rate);
        rates.cache_write_5m = config.cache_write.and_then(rate);
        rates.cache_write_1h = rates.cache_write_5m;
        Some(Override {
            provider: provider.to_owned(),
            model: model.to_owned(),
            from: None,
            rates,
            long_context: None,
        })
    });
    Prices::published().with_overrides(own.collect::<Vec<_>>())
}

/// First digits of the digest of a file: the same for the same configuration on every node.
fn version(file: &ConfigFile) -> Arc<str> {
    let text = serde_json::to_string(file).unwrap_or_default();
    let digest = Sha256::digest(text.as_bytes());
    let hex: String = digest
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    hex.into()
}

fn file_keys(file: &ConfigFile) -> Vec<FileKey> {
    let keys = file.tenants.iter().flat_map(|(tenant, config)| {
        config.keys.iter().filter_map(|text| {
            Some(FileKey {
                tenant: tenant.clone(),
                hash: KeyHash::parse(text)?,
            })
        })
    });
    keys.collect()
}

/// A provider with each of its keys; once without one if it has none.
fn budgets(
    (name, config): (&str, &ProviderConfig),
    keys: usize,
    sources: &Sources<'_>,
    errors: &mut Vec<Diagnostic>,
) -> Vec<Arc<Budget>> {
    let Some(budget) = &config.budget else {
        return Vec::new();
    };
    let one = |key| Budget::new(budget, (name, key), sources.state).map(Arc::new);
    let all: Result<Vec<_>, String> = (0..keys).map(one).collect();
    all.unwrap_or_else(|message| {
        let path = format!("providers.{name}.budget");
        errors.push(Diagnostic::error(path, message));
        Vec::new()
    })
}

fn with_each_key(
    name: &str,
    config: &ProviderConfig,
    sources: &Sources<'_>,
    errors: &mut Vec<Diagnostic>,
) -> Option<Vec<Arc<Provider>>> {
    let keys = config.keys();
    let keys = keys.iter().map(Some);
    let keys: Vec<_> = if keys.len() == 0 {
        vec![None]
    } else {
        keys.collect()
    };
    let mut all = Vec::new();
    for key in keys {
        // What is wrong with one is wrong with all, but for the key itself.
        let before = errors.len();
        all.extend(provider((name, config), key, sources, errors).map(Arc::new));
        if errors.len() > before {
            return None;
        }
    }
    (!all.is_empty()).then_some(all)
}

fn provider(
    (name, config): (&str, &ProviderConfig),
    key: Option<&(String, &Secret)>,
    sources: &Sources<'_>,
    errors: &mut Vec<Diagnostic>,
) -> Option<Provider> {
    let path = format!("providers.{name}");
    let kind = match config.kind_of(name)? {
        ProviderKind::Openai => Kind::OpenAi(quirks(name, config.quirks.as_ref())),
        ProviderKind::Anthropic => Kind::Anthropic,
        ProviderKind::Practice => Kind::Practice(practice(config.practice.as_ref())),
    };
    let base = config
        .base_url_of(name)
        .map(|url| Base::parse(&url))
        .transpose();
    let base =
        base.map_err(|message| errors.push(Diagnostic::error(format!("{path}.base_url"), message)));
    let mut headers = HeaderMap::new();
    let collect = |headers: &mut HeaderMap| {
        extra_headers(config, &path, sources, headers)?;
        if let Some((member, secret)) = key {
            let at = format!("{path}.{member}");
            let key = value_of(secret, &at, sources)?;
            let (name, text) = match kind {
                Kind::Anthropic => (HeaderName::from_static("x-api-key"), key),
                Kind::OpenAi(_) | Kind::Practice(_) => {
                    (header::AUTHORIZATION, format!("Bearer {key}"))
                }
            };
            headers.insert(name, secret_value(&text, &at)?);
        }
        Ok(())
    };
    if let Err(error) = collect(&mut headers) {
        errors.push(error);
    }
    let base = base.ok()?;
    let client = sources.state.client(name, config.connect_timeout.0);
    Some(Provider {
        name: name.into(),
        kind,
        base,
        headers,
        client,
    })
}

pub(crate) fn value_of(
    secret: &Secret,
    at: &str,
    sources: &Sources<'_>,
) -> Result<String, Diagnostic> {
    let text = secret.resolve(sources.env, sources.base_dir);
    text.map(|text| text.expose().to_owned())
        .map_err(|error| Diagnostic::error(at, error.to_string()))
}

pub(crate) fn secret_value(text: &str, at: &str) -> Result<HeaderValue, Diagnostic> {
    let wrong = |_| Diagnostic::error(at, "has characters that a header can't carry");
    let mut value = HeaderValue::from_str(text).map_err(wrong)?;
    value.set_sensitive(true);
    Ok(value)
}

fn extra_headers(
    config: &ProviderConfig,
    path: &str,
    sources: &Sources<'_>,
    headers: &mut HeaderMap,
) -> Result<(), Diagnostic> {
    further_headers(
        &config.headers,
        &format!("{path}.headers"),
        sources,
        headers,
    )
}

/// Headers as written in the file; their values are texts, or secrets by reference.
pub(crate) fn further_headers(
    written: &IndexMap<String, String>,
    path: &str,
    sources: &Sources<'_>,
    headers: &mut HeaderMap,
) -> Result<(), Diagnostic> {
    for (name, text) in written {
        let at = format!("{path}.{name}");
        let header: HeaderName = name
            .parse()
            .map_err(|_| Diagnostic::error(&at, "is not a header name"))?;
        if matches!(
            header.as_str(),
            "host"
                | "content-length"
                | "transfer-encoding"
                | "connection"
                | "content-type"
                | "accept-encoding"
        ) {
            return Err(Diagnostic::error(at, "is set by the gateway"));
        }
        let text = match text.parse::<Secret>() {
            Ok(secret) => value_of(&secret, &at, sources)?,
            Err(_) => text.clone(),
        };
        headers.insert(header, secret_value(&text, &at)?);
    }
    Ok(())
}

fn quirks(name: &str, config: Option<&QuirksConfig>) -> Quirks {
    let known = Quirks::of(name);
    let Some(config) = config else { return known };
    Quirks {
        stream_usage: config.stream_usage.unwrap_or(known.stream_usage),
        max_tokens_field: match config.max_tokens_field {
            None => known.max_tokens_field,
            Some(MaxTokensFieldConfig::MaxTokens) => MaxTokensField::MaxTokens,
            Some(MaxTokensFieldConfig::MaxCompletionTokens) => MaxTokensField::MaxCompletionTokens,
        },
        developer_role: config.developer_role.unwrap_or(known.developer_role),
    }
}

fn practice(config: Option<&PracticeConfig>) -> Practice {
    let config = config.cloned().unwrap_or_default();
    Practice::new(PracticeSettings {
        seed: config.seed,
        first_token: config.first_token.0,
        tokens_per_second: config.tokens_per_second,
        jitter: config.jitter,
        error_rate: config.error_rate,
    })
}
