//! What the shapes alone can't say: that names meet, and that values make sense together.

use crate::cors::mistake;
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::file::{ConfigFile, ProviderConfig, ProviderKind, RouteConfig};
use crate::known::KNOWN_PROVIDERS;
use crate::limits;
use crate::observe::Measure;
use crate::protect;
use crate::queue::ConcurrencyConfig;
use crate::records::RecordText;
use crate::resilience::{ChooseConfig, HedgeAfter};
use crate::share::{LINGER_MAX, WINDOW_MAX};
use crate::store::{ClickhouseConfig, RecordStoreConfig};
use crate::telemetry::OtlpConfig;
use crate::validate;
use std::time::Duration;

pub(crate) fn check(file: &ConfigFile) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    server(file, &mut found);
    idempotency(file, &mut found);
    stores(file, &mut found);
    observe(file, &mut found);
    limits::sense(file, &mut found);
    protect::sense(file, &mut found);
    validate::sense(file, &mut found);
    for (name, config) in &file.providers {
        provider(name, config, &mut found);
    }
    for (name, config) in &file.routes {
        route(file, name, config, &mut found);
    }
    for (index, alert) in file.observe.alerts.iter().enumerate() {
        let path = format!("observe.alerts[{index}].route");
        let by_route = !matches!(
            alert.when.measure,
            Measure::ThumbsDownRate | Measure::Score(_)
        );
        match &alert.route {
            Some(_) if !by_route => found.push(Diagnostic::error(
                path,
                "this measure is known for all routes together only",
            )),
            Some(route) if !file.routes.contains_key(route) => {
                let suggestion = did_you_mean(route, file.routes.keys().map(String::as_str));
                found.push(
                    Diagnostic::error(path, format!("there is no route `{route}`"))
                        .suggest(suggestion),
                );
            }
            _ => {}
        }
    }
    for (name, config) in &file.routes {
        recorded(file, name, config, &mut found);
        cached(file, name, config, &mut found);
        deduped(name, config, &mut found);
    }
    for name in file.prices.keys() {
        let path = format!("prices.{name}");
        let provider = name.split_once('/').map(|(provider, _)| provider);
        match provider {
            None => found.push(Diagnostic::error(
                path,
                "expected `provider/model`, such as `openai/gpt-5` or `house/*`",
            )),
            Some(provider) if !file.providers.contains_key(provider) => {
                let known = file.providers.keys().map(String::as_str);
                let suggestion = did_you_mean(provider, known);
                found.push(
                    Diagnostic::error(path, format!("there is no provider `{provider}`"))
                        .suggest(suggestion),
                );
            }
            Some(_) => {}
        }
    }
    caches(file, &mut found);
    shared(file, &mut found);
    for index in 0..file.observe.evals.len() {
        evaluation(file, index, &mut found);
    }
    for (index, recognizer) in file.recognizers.iter().enumerate() {
        if recognizer.pattern.is_none() && recognizer.words.is_empty() {
            let path = format!("recognizers[{index}]");
            found.push(Diagnostic::error(path, "needs a `pattern` or `words`"));
        }
    }
    found
}

/// What is asked again later than that belongs to a cache.
fn deduped(name: &str, config: &RouteConfig, found: &mut Vec<Diagnostic>) {
    if let Some(dedupe) = &config.dedupe
        && dedupe.window.0 > WINDOW_MAX
    {
        let at = format!("routes.{name}.dedupe.window");
        let message = "must be at most 60s; for longer, use a cache";
        found.push(Diagnostic::error(at, message));
    }
}

fn idempotency(file: &ConfigFile, found: &mut Vec<Diagnostic>) {
    if file.idempotency.linger.0 > LINGER_MAX {
        let message = "must be at most 60s";
        found.push(Diagnostic::error("idempotency.linger", message));
    }
}

fn cached(file: &ConfigFile, name: &str, config: &RouteConfig, found: &mut Vec<Diagnostic>) {
    let Some(cache) = &config.cache else { return };
    if !file.caches.contains_key(cache) {
        let suggestion = did_you_mean(cache, file.caches.keys().map(String::as_str));
        found.push(
            Diagnostic::error(
                format!("routes.{name}.cache"),
                format!("there is no cache `{cache}`"),
            )
            .suggest(suggestion),
        );
    }
}

/// The semantic part of each cache.
fn caches(file: &ConfigFile, found: &mut Vec<Diagnostic>) {
    for (name, cache) in &file.caches {
        let Some(semantic) = &cache.semantic else {
            continue;
        };
        let path = format!("caches.{name}.semantic");
        if semantic.ttl.0.is_zero() {
            let path = format!("{path}.ttl");
            let message = "no answer would ever serve: leave `semantic` out instead";
            found.push(Diagnostic::error(path, message));
        }
        if let Some(model) = &semantic.model {
            let path = format!("{path}.model");
            match model.split_once('/') {
                Some((provider, model)) if !model.is_empty() => {
                    if !file.providers.contains_key(provider) {
                        let known = file.providers.keys().map(String::as_str);
                        let suggestion = did_you_mean(provider, known);
                        let message = format!("there is no provider `{provider}`");
                        found.push(Diagnostic::error(path, message).suggest(suggestion));
                    }
                }
                _ => {
                    let message = "a provider's embedding model is `provider/model`; without `model` the one inside \
                                   this program is used";
                    found.push(Diagnostic::error(path, message));
                }
            }
        }
    }
}

fn stores(file: &ConfigFile, found: &mut Vec<Diagnostic>) {
    let same = |one: &RecordStoreConfig, other: &RecordStoreConfig| {
        std::mem::discriminant(one) == std::mem::discriminant(other)
    };
    for (index, store) in file.store.records.iter().enumerate() {
        let path = format!("store.records[{index}]");
        let before = file.store.records.iter().take(index);
        if before.into_iter().any(|other| same(store, other)) {
            found.push(Diagnostic::error(&path, "is there already"));
        }
        if let RecordStoreConfig::Clickhouse(config) = store {
            clickhouse(file, config, &format!("{path}.clickhouse"), found);
        }
    }
}

/// Longest wait of a request for the store that nodes share.
const SHARED_TIMEOUT_MAX: Duration = Duration::from_secs(5);

fn shared(file: &ConfigFile, found: &mut Vec<Diagnostic>) {
    let Some(shared) = &file.store.shared else {
        return;
    };
    let path = "store.shared";
    let (scheme, rest) = shared.url.split_once("://").unwrap_or_default();
    let host = rest.split('/').next().unwrap_or_default();
    if !matches!(scheme, "redis" | "rediss") || host.is_empty() || rest.contains(['?', '#', ' ']) {
        let message = "expected an address such as `redis://host:6379`";
        found.push(Diagnostic::error(path, message));
    } else if host.contains('@') {
        let message = "must not hold credentials: write `{ url, user, password }`";
        found.push(Diagnostic::error(path, message));
    } else if scheme == "redis" && shared.password.is_some() && !is_local(host) {
        found.push(Diagnostic::warning(
            path,
            "the password travels without TLS",
        ));
    }
    if shared.user.is_some() && shared.password.is_none() {
        found.push(Diagnostic::error(path, "a user needs a `password`"));
    }
    if shared.timeout.0.is_zero() || shared.timeout.0 > SHARED_TIMEOUT_MAX {
        let message = "a request waits for the store at least 1 ms and at most `5s`";
        found.push(Diagnostic::error(format!("{path}.timeout"), message));
    }
}

fn clickhouse(
    file: &ConfigFile,
    config: &ClickhouseConfig,
    path: &str,
    found: &mut Vec<Diagnostic>,
) {
    let name = &config.database;
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let legal = name.len() <= 64
        && name.bytes().all(word)
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
    if !legal {
        found.push(Diagnostic::error(
            format!("{path}.database"),
            "a database's name has letters, digits and `_`, and does not begin with a digit",
        ));
    }
    url(
        &format!("{path}.url"),
        &config.url,
        (config.password.is_some(), "`password`"),
        found,
    );
    if config.texts && file.records.encrypt.is_some() {
        found.push(Diagnostic::warning(
            format!("{path}.texts"),
            "texts are encrypted in the data folder (`records.encrypt`), but not in ClickHouse",
        ));
    }
}

/// Text as masked needs somebody who masks.
fn recorded(file: &ConfigFile, name: &str, config: &RouteConfig, found: &mut Vec<Diagnostic>) {
    let masks = config.privacy.is_some() || file.privacy.contains_key("default");
    if config.record.text == RecordText::Masked && !masks {
        let message = "this route has no privacy policy that masks: name one with `privacy`, or keep text as it is with `text: plain`";
        found.push(Diagnostic::error(
            format!("routes.{name}.record.text"),
            message,
        ));
    }
}

/// An evaluation needs names that meet, text to look at, and money for its judge.
fn evaluation(file: &ConfigFile, index: usize, found: &mut Vec<Diagnostic>) {
    let Some(eval) = file.observe.evals.get(index) else {
        return;
    };
    let path = format!("observe.evals[{index}]");
    let mut error = |member: &str, message: String| {
        found.push(Diagnostic::error(format!("{path}{member}"), message));
    };
    if !legal_name(&eval.name) {
        error(
            ".name",
            "a name has 1 to 64 letters, digits, `.`, `_` or `-`".into(),
        );
    }
    let before = file.observe.evals.iter().take(index);
    if before
        .map(|other| &other.name)
        .any(|name| *name == eval.name)
    {
        error(
            ".name",
            format!("there are two evaluations `{}`", eval.name),
        );
    }
    for (at, route) in eval.routes.iter().enumerate() {
        let member = format!(".routes[{at}]");
        match file.routes.get(route) {
            None => error(&member, format!("there is no route `{route}`")),
            Some(config) if config.record.text == RecordText::None => error(
                &member,
                format!(
                    "evaluations see recorded text, and `{route}` records none: give it `record: {{ text: masked }}`"
                ),
            ),
            Some(_) => {}
        }
    }
    if eval.rules.is_empty() && eval.rubrics.is_empty() {
        error("", "needs `rules`, `rubrics` or both".into());
    }
    let Some(judge) = &eval.judge else {
        if !eval.rubrics.is_empty() {
            error(
                ".rubrics",
                "rubrics need a `judge`; checks without a model stand under `rules`".into(),
            );
        }
        return;
    };
    if eval.rubrics.is_empty() {
        error(".judge", "a judge needs `rubrics`".into());
    }
    if eval.budget.is_none() {
        error(
            "",
            "a judge costs money: say how much with `budget`, such as `3 USD per 1d`".into(),
        );
    }
    let provider = judge.split_once('/').map(|(provider, _)| provider);
    let known = provider.is_some_and(|provider| file.providers.contains_key(provider));
    if !known && !file.routes.contains_key(judge) {
        error(
            ".judge",
            format!("`{judge}` is no route and no `provider/model` of a provider in this file"),
        );
    }
}

fn server(file: &ConfigFile, found: &mut Vec<Diagnostic>) {
    let server = &file.server;
    if server.listen == server.admin && server.listen.port() != 0 {
        found.push(Diagnostic::error(
            "server.admin",
            "must differ from `server.listen`",
        ));
    }
    if server.body_max.0 == 0 {
        found.push(Diagnostic::error(
            "server.body_max",
            "must be larger than 0",
        ));
    }
    if !server.admin.ip().is_loopback() {
        found.push(Diagnostic::warning(
            "server.admin",
            "the admin listener is reachable from outside this machine, without TLS",
        ));
    }
    for (path, span) in [
        ("header_timeout", server.header_timeout),
        ("body_timeout", server.body_timeout),
        ("keepalive_after", server.keepalive_after),
    ] {
        if span.0.is_zero() {
            found.push(Diagnostic::error(
                format!("server.{path}"),
                "must be longer than 0",
            ));
        }
    }
    let origins = &server.cors.origins;
    for (index, origin) in origins.iter().enumerate() {
        let path = format!("server.cors.origins[{index}]");
        if let Some((message, right)) = mistake(origin) {
            found.push(
                Diagnostic::error(path, message)
                    .suggest(right.map(|right| format!("did you mean `{right}`?"))),
            );
        } else if origin == "*" && origins.len() > 1 {
            found.push(Diagnostic::error(
                path,
                "`*` is every origin: name no other beside it",
            ));
        }
    }
}

fn observe(file: &ConfigFile, found: &mut Vec<Diagnostic>) {
    let (observe, server) = (&file.observe, &file.server);
    if let Some(listen) = observe.metrics.listen
        && listen.port() != 0
        && [server.listen, server.admin].contains(&listen)
    {
        found.push(Diagnostic::error(
            "observe.metrics.listen",
            "must differ from `server.listen` and `server.admin`",
        ));
    }
    let Some(otlp) = &observe.otlp else { return };
    url(
        "observe.otlp.endpoint",
        &otlp.endpoint,
        (!otlp.headers.is_empty(), "`headers`"),
        found,
    );
    otlp_values(otlp, found);
    if otlp.content && file.privacy.is_empty() {
        found.push(Diagnostic::error(
            "observe.otlp.content",
            "texts leave only as a privacy policy has masked them, and the file has none: add one called `default` below `privacy`",
        ));
    }
}

fn otlp_values(otlp: &OtlpConfig, found: &mut Vec<Diagnostic>) {
    for (field, span) in [("interval", otlp.interval), ("timeout", otlp.timeout)] {
        if span.0.is_zero() {
            found.push(Diagnostic::error(
                format!("observe.otlp.{field}"),
                "must be longer than 0",
            ));
        }
    }
    if otlp.service.trim().is_empty() {
        found.push(Diagnostic::error(
            "observe.otlp.service",
            "must not be empty",
        ));
    }
}

fn legal_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn provider(name: &str, config: &ProviderConfig, found: &mut Vec<Diagnostic>) {
    let path = format!("providers.{name}");
    if !legal_name(name) {
        found.push(Diagnostic::error(
            &path,
            "a provider's name has 1 to 64 letters, digits, `.`, `_` or `-`",
        ));
    }
    let Some(kind) = config.kind_of(name) else {
        let suggestion = did_you_mean(name, KNOWN_PROVIDERS.iter().map(|known| known.name));
        let suggestion = suggestion.or_else(|| {
            Some("add `kind: openai` for a server that speaks OpenAI's API".to_owned())
        });
        found.push(
            Diagnostic::error(
                &path,
                format!("`{name}` is not a known provider, so `kind` is needed"),
            )
            .suggest(suggestion),
        );
        return;
    };
    if kind == ProviderKind::Practice {
        for (given, field) in [
            (config.base_url.is_some(), "base_url"),
            (config.api_key.is_some(), "api_key"),
        ] {
            if given {
                found.push(Diagnostic::error(
                    format!("{path}.{field}"),
                    "the practice provider has none: it is a simulation inside the gateway",
                ));
            }
        }
    } else if config.practice.is_some() {
        found.push(Diagnostic::error(
            format!("{path}.practice"),
            "only for `kind: practice`",
        ));
    }
    if let Some(ConcurrencyConfig::Learned(learned)) = &config.concurrency
        && learned.adaptive.min > learned.adaptive.max
    {
        found.push(Diagnostic::error(
            format!("{path}.concurrency.adaptive.min"),
            "must not be more than `max`",
        ));
    }
    if config.api_key.is_some() && !config.api_keys.is_empty() {
        let message = "there is an `api_key` too; all keys stand in the list";
        found.push(Diagnostic::error(format!("{path}.api_keys"), message));
    }
    for (index, key) in config.api_keys.iter().enumerate() {
        if config.api_keys.iter().take(index).any(|other| other == key) {
            let at = format!("{path}.api_keys[{index}]");
            found.push(Diagnostic::error(at, "is there already"));
        }
    }
    if kind != ProviderKind::Openai && config.quirks.is_some() {
        found.push(Diagnostic::error(
            format!("{path}.quirks"),
            "only for `kind: openai`",
        ));
    }
    if kind != ProviderKind::Practice {
        address(
            &path,
            config.base_url_of(name).as_deref(),
            !config.keys().is_empty(),
            found,
        );
    }
}

fn address(path: &str, url: Option<&str>, has_key: bool, found: &mut Vec<Diagnostic>) {
    let Some(url) = url else {
        found.push(Diagnostic::error(path, "`base_url` is missing"));
        return;
    };
    let path = format!("{path}.base_url");
    self::url(&path, url, (has_key, "`api_key`"), found);
}

/// Checks a URL; `secret` says whether a secret travels with it, and where secrets belong.
fn url(path: &str, url: &str, secret: (bool, &str), found: &mut Vec<Diagnostic>) {
    let (has_key, secrets) = secret;
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if !matches!(scheme, "http" | "https") || host.is_empty() || url.contains(char::is_whitespace) {
        found.push(Diagnostic::error(
            path,
            "expected a URL such as `https://api.example.com/v1`",
        ));
    } else if host.contains('@') {
        found.push(Diagnostic::error(
            path,
            format!("must not hold credentials; use {secrets}"),
        ));
    } else if rest.contains(['?', '#']) {
        found.push(Diagnostic::error(path, "must not hold a query or fragment"));
    } else if scheme == "http" && has_key && !is_local(host) {
        found.push(Diagnostic::warning(
            path,
            if secrets == "`password`" {
                "the password travels without TLS"
            } else {
                "the key travels without TLS"
            },
        ));
    }
}

fn is_local(host: &str) -> bool {
    let name = if host.starts_with('[') {
        host.split(']').next()
    } else {
        host.split(':').next()
    };
    let name = name.unwrap_or_default().trim_start_matches('[');
    name == "localhost"
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

fn route(file: &ConfigFile, name: &str, config: &RouteConfig, found: &mut Vec<Diagnostic>) {
    let path = format!("routes.{name}");
    let stars = name.matches('*').count();
    if name.is_empty() || name.len() > 128 || stars > 1 {
        found.push(Diagnostic::error(
            &path,
            "a route's name has 1 to 128 characters and at most one `*`",
        ));
    }
    for (index, target) in config.targets.iter().enumerate() {
        let at = format!("{path}.targets[{index}]");
        let (provider, model) = target.split_once('/').unwrap_or_default();
        if !file.providers.contains_key(provider) {
            let suggestion = did_you_mean(provider, file.providers.keys().map(String::as_str))
                .or_else(|| {
                    Some("every provider that a route names stands under `providers`".to_owned())
                });
            found.push(
                Diagnostic::error(&at, format!("unknown provider `{provider}`"))
                    .suggest(suggestion),
            );
        }
        if model.contains('*') && stars == 0 {
            found.push(Diagnostic::error(
                &at,
                "a `*` in a target needs one in the route's name",
            ));
        }
        let before = config.targets.iter().take(index);
        if before
            .into_iter()
            .any(|other| other.target == target.target)
        {
            found.push(Diagnostic::error(&at, "is there already"));
        }
    }
    resilience(&path, config, found);
    if let Some(policy) = &config.privacy
        && !file.privacy.contains_key(policy)
    {
        let suggestion = did_you_mean(policy, file.privacy.keys().map(String::as_str));
        found.push(
            Diagnostic::error(
                format!("{path}.privacy"),
                format!("there is no privacy policy `{policy}`"),
            )
            .suggest(suggestion),
        );
    }
    let timeouts = &config.timeouts;
    for (field, span) in [
        ("first_token", timeouts.first_token),
        ("idle", timeouts.idle),
        ("total", timeouts.total),
    ] {
        if span.0.is_zero() {
            found.push(Diagnostic::error(
                format!("{path}.timeouts.{field}"),
                "must be longer than 0",
            ));
        }
    }
    if timeouts.first_token > timeouts.total {
        found.push(Diagnostic::error(
            format!("{path}.timeouts.first_token"),
            "must not be longer than `total`",
        ));
    }
}

/// Choices and bounds of a route that contradict one another.
fn resilience(path: &str, config: &RouteConfig, found: &mut Vec<Diagnostic>) {
    let weighs = matches!(
        config.choose,
        ChooseConfig::Weighted | ChooseConfig::LeastBusy | ChooseConfig::Fastest
    );
    for (index, target) in config.targets.iter().enumerate() {
        if target.weight != 1 && !weighs {
            let at = format!("{path}.targets[{index}].weight");
            let message = "weights count with `choose: weighted`, `least_busy` or `fastest`";
            found.push(Diagnostic::error(at, message));
        }
    }
    if config.ttft_goal.is_some() && config.choose != ChooseConfig::Cheapest {
        let at = format!("{path}.ttft_goal");
        found.push(Diagnostic::error(at, "counts with `choose: cheapest`"));
    }
    if let Some(hedge) = &config.hedge {
        if hedge.budget.0 <= 0.0 {
            let at = format!("{path}.hedge.budget");
            let message = "must be more than 0; to hedge nothing, leave `hedge` out";
            found.push(Diagnostic::error(at, message));
        }
        if let HedgeAfter::Fixed(after) = hedge.after
            && after >= config.timeouts.first_token
        {
            let at = format!("{path}.hedge.after");
            let message = "must be shorter than `timeouts.first_token`";
            found.push(Diagnostic::error(at, message));
        }
    }
    if config.breaker.share.0 <= 0.0 {
        let at = format!("{path}.breaker.share");
        found.push(Diagnostic::error(at, "must be more than 0"));
    }
    if config.breaker.pause.0.is_zero() {
        let at = format!("{path}.breaker.pause");
        found.push(Diagnostic::error(at, "must be longer than 0"));
    }
}
