//! Asks models on behalf of judges and evaluations, over the same providers, privacy rules and agreements as requests.
//!
//! It opens no exchange, so that a question leaves no record and is never sampled itself.

use crate::attempt::{self, attempt};
use crate::guard;
use crate::policy::{Policy, Route, Rules, Target, Timeouts};
use crate::state::State;
use crate::target::Manner;
use crate::turn::own_turn;
use crate::validated::Checking;
use aplomb_core::ask::{Ask, AskError, AskFault, Asking, Question, Told};
use aplomb_core::dialect;
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_core::event::ChatEvent;
use aplomb_core::masked::Masked;
use aplomb_core::money::NanoUsd;
use aplomb_core::request::{ChatRequest, Operation};
use aplomb_core::usage::{Usage, UsageSource};
use aplomb_observe::transcript::Transcript;
use aplomb_privacy::agreements::Agreement;
use aplomb_privacy::mask::More;
use aplomb_privacy::room::{Who, guard as mask};
use aplomb_providers::call::{CallContext, Kind};
use aplomb_providers::fault::{FaultKind, UpstreamFault};
use aplomb_providers::openai::quirks::MaxTokensField;
use bytes::Bytes;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Output tokens that an answer is counted with, for its turn. Chosen: a long answer.
const OUTPUT: u64 = 1000;

/// On whose behalf texts of questions are masked.
const WHO: Who<'static> = Who {
    tenant: "aplomb",
    user: "evaluation",
};

/// Where the policy in force comes from.
pub type PolicySource = Box<dyn Fn() -> Arc<Policy> + Send + Sync>;

/// Implements [`Ask`] over the routes and providers of the policy in force.
pub struct Asker {
    policy: PolicySource,
    state: Arc<State>,
}

/// Who may be asked, by which rules.
struct Way {
    route: Arc<Route>,
    /// Rules of the route that the text comes from.
    origin: Rules,
}

/// A question ready to be sent.
struct Ready {
    request: Masked<ChatRequest>,
    require: Agreement,
}

fn error(fault: AskFault, message: impl Into<String>) -> AskError {
    AskError {
        fault,
        message: message.into(),
        cost: NanoUsd::ZERO,
    }
}

fn refused(refusal: &ApiError) -> AskError {
    let fault = match refusal.code {
        ErrorCode::PrivacyRefused | ErrorCode::NotAllowed => AskFault::Refused,
        ErrorCode::ModelNotFound => AskFault::Unknown,
        _ => AskFault::Failed,
    };
    error(fault, refusal.public.clone())
}

impl Asker {
    /// Asks by the policy that `policy` gives at each question.
    pub fn new(policy: PolicySource, state: Arc<State>) -> Self {
        Asker { policy, state }
    }

    fn way(&self, policy: &Policy, question: &Question) -> Result<Way, AskError> {
        let metrics = &self.state.metrics;
        let origin = match &question.rules_of {
            None => Rules::default(),
            Some(name) => {
                let route = policy.resolve(name, metrics);
                route.map_err(|found| refused(&found))?.rules.clone()
            }
        };
        let route = match question.model.split_once('/') {
            // Where the text comes from decides; rules for models without a route are for clients.
            Some((provider, model))
                if question.rules_of.is_some() && !policy.routes.contains_key(&question.model) =>
            {
                let listed = policy.providers.get(provider);
                let listed = listed.ok_or_else(|| {
                    error(
                        AskFault::Unknown,
                        format!("there is no provider `{provider}`"),
                    )
                })?;
                let targets = listed.offers(0, 1);
                Arc::new(Route {
                    name: None,
                    targets: targets
                        .map(|offer| policy.target(&offer, model, metrics))
                        .collect(),
                    timeouts: crate::policy::default_timeouts(),
                    manner: Manner::default(),
                    rules: Rules::default(),
                    record: crate::policy::Recording::default(),
                    checking: Checking::default(),
                    cache: None,
                    sharing: policy.sharing.clone(),
                    metrics: metrics.route(aplomb_observe::metrics::DIRECT),
                })
            }
            _ => policy
                .resolve(&question.model, metrics)
                .map_err(|found| refused(&found))?,
        };
        Ok(Way { route, origin })
    }

    async fn ready(
        &self,
        way: &Way,
        question: &Question,
        target: &Target,
    ) -> Result<Ready, AskError> {
        let request = read(question, Some(target))?;
        let (own, origin) = (&way.route.rules, &way.origin);
        let rules = if own.shield.is_some() { own } else { origin };
        let more = match &rules.analyzer {
            None => More::default(),
            Some(analyzer) => guard::ask(rules, analyzer, &request)
                .await
                .map_err(|found| refused(&found))?,
        };
        let guarded = mask(rules.shield.as_deref(), WHO, request, &more)
            .map_err(|refusal| error(AskFault::Refused, refusal.to_string()))?;
        let mut require = own.require.and(&origin.require);
        let shields = own.shield.iter().chain(&origin.shield);
        for class in shields.flat_map(|shield| &shield.classes) {
            let found = class.kinds.iter().any(|kind| {
                let reported = guarded
                    .report
                    .counts
                    .keys()
                    .any(|(name, _)| name == kind.name());
                reported || question.kinds.iter().any(|name| name == kind.name())
            });
            if found {
                require = class.require.and(&require);
            }
        }
        Ok(Ready {
            request: guarded.request,
            require,
        })
    }

    async fn answer(&self, question: Question) -> Result<Told, AskError> {
        let begun = Instant::now();
        let policy = (self.policy)();
        let way = self.way(&policy, &question)?;
        let deadline = begun + question.timeout;
        let mut lost = Some(NanoUsd::ZERO);
        let mut last = error(AskFault::Unknown, "the route has no target");
        for target in &way.route.targets {
            let ready = self.ready(&way, &question, target).await?;
            if let Some(lacks) = ready.require.lacking(&target.agreement) {
                last = error(
                    AskFault::Refused,
                    format!("may not see this text: {} {lacks}", target.provider.name),
                );
                continue;
            }
            match self.call(target, &ready.request, deadline).await {
                Ok(mut told) => {
                    told.took = begun.elapsed();
                    let cost = self.cost(&policy, target, &told.usage);
                    told.cost = lost.and_then(|lost| Some(lost.saturating_add(cost?)));
                    return Ok(told);
                }
                Err(fault) => {
                    if may_be_billed(fault.kind) {
                        let most = most_usage(&ready.request);
                        let most = self.cost(&policy, target, &most);
                        lost = lost.and_then(|lost| Some(lost.saturating_add(most?)));
                    }
                    last = failed(&fault);
                }
            }
        }
        last.cost = lost.unwrap_or_default();
        Err(last)
    }

    async fn call(
        &self,
        target: &Target,
        request: &Masked<ChatRequest>,
        deadline: Instant,
    ) -> Result<Told, UpstreamFault> {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeouts = Timeouts {
            first_token: left,
            idle: left,
            total: left,
        };
        let context = CallContext {
            now_ms: self.state.clock.now_ms(),
            ..CallContext::default()
        };
        let ask = attempt::Ask {
            request,
            context: &context,
            timeouts: &timeouts,
            deadline,
            filtered: attempt::Filtered::Answer,
        };
        let cost = usage_bound(request.get()).output.min(OUTPUT);
        let _permit = own_turn(target, cost, deadline).await?;
        match attempt(target, &ask).await {
            Ok(begun) => {
                let told = told(target, request, begun.held.iter());
                target.metrics.answered.add(1);
                target.metrics.input_tokens.add(told.usage.input_total());
                target.metrics.output_tokens.add(told.usage.output);
                Ok(told)
            }
            Err(fault) => {
                target.metrics.failed.add(1);
                Err(fault)
            }
        }
    }

    /// What a call costs; `None` where the price is not known.
    fn cost(&self, policy: &Policy, target: &Target, usage: &Usage) -> Option<NanoUsd> {
        if matches!(target.provider.kind, Kind::Practice(_)) {
            return Some(NanoUsd::ZERO);
        }
        let now_ms = self.state.clock.now_ms();
        let price = policy
            .prices
            .price(&target.provider.name, &target.model, now_ms)?;
        Some(price.cost(usage))
    }
}

impl Ask for Asker {
    fn ask(&self, question: Question) -> Asking<'_> {
        Box::pin(self.answer(question))
    }

    fn most(&self, question: &Question) -> Result<NanoUsd, AskError> {
        let policy = (self.policy)();
        let way = self.way(&policy, question)?;
        let usage = usage_bound(&read(question, None)?);
        let mut sum = NanoUsd::ZERO;
        for target in &way.route.targets {
            let cost = self.cost(&policy, target, &usage).ok_or_else(|| {
                let message = format!(
                    "the price of `{}` is not known: add it under `prices`",
                    target.name
                );
                error(AskFault::Unknown, message)
            })?;
            sum = sum.saturating_add(cost);
        }
        Ok(sum)
    }
}

/// Both names of OpenAI's bound on output tokens.
const BOUNDS: [&str; 2] = ["max_tokens", "max_completion_tokens"];

/// The request of a question: whole, for the model asked, its bound under the name that the target knows.
fn read(question: &Question, target: Option<&Target>) -> Result<ChatRequest, AskError> {
    let mut body = question.body.clone();
    for own in ["stream", "stream_options", "n"] {
        body.remove(own);
    }
    if question.operation == Operation::ChatCompletions
        && let Some(Kind::OpenAi(quirks)) = target.map(|target| &target.provider.kind)
        && let Some(bound) = BOUNDS.iter().find_map(|name| body.remove(*name))
    {
        let name = match quirks.max_tokens_field {
            MaxTokensField::MaxTokens => "max_tokens",
            MaxTokensField::MaxCompletionTokens => "max_completion_tokens",
        };
        body.insert(name.into(), bound);
    }
    body.insert("model".into(), question.model.as_str().into());
    let bytes = Bytes::from(Value::Object(body).to_string());
    dialect::read(question.operation, bytes).map_err(|found| error(AskFault::Failed, found.public))
}

/// No tokenizer makes more tokens than bytes; output is bounded by the request.
fn usage_bound(request: &ChatRequest) -> Usage {
    Usage {
        input: u64::try_from(request.body.len()).unwrap_or(u64::MAX),
        output: request.max_output_tokens.unwrap_or(u64::from(u32::MAX)),
        ..Usage::default()
    }
}

fn most_usage(request: &Masked<ChatRequest>) -> Usage {
    usage_bound(request.get())
}

/// Whether a provider may charge for a call that failed like this.
fn may_be_billed(kind: FaultKind) -> bool {
    match kind {
        FaultKind::Reset
        | FaultKind::Cut
        | FaultKind::Malformed
        | FaultKind::TooLarge
        | FaultKind::FirstToken
        | FaultKind::Idle
        | FaultKind::Total => true,
        FaultKind::Connect
        | FaultKind::Server
        | FaultKind::RateLimited
        | FaultKind::Quota
        | FaultKind::Busy
        | FaultKind::Credentials
        | FaultKind::NotFound
        | FaultKind::ContextLength
        | FaultKind::ContentFilter
        | FaultKind::Request => false,
    }
}

fn failed(fault: &UpstreamFault) -> AskError {
    let class = match fault.kind {
        FaultKind::FirstToken | FaultKind::Idle | FaultKind::Total => AskFault::Timeout,
        _ => AskFault::Failed,
    };
    // What a provider says of an error may hold the question.
    error(class, format!("the provider failed: {}", fault.kind.name()))
}

fn told<'a>(
    target: &Target,
    request: &Masked<ChatRequest>,
    events: impl Iterator<Item = &'a ChatEvent>,
) -> Told {
    let mut said = Transcript::default();
    let (mut usage, mut finish) = (None, None);
    for event in events {
        said.on_event(event);
        if let ChatEvent::Usage(found) = event {
            usage = Some(*found);
        }
        if let Some(reason) = event.finish() {
            finish = Some(reason.to_openai());
        }
    }
    let tokens = |bytes: usize| u64::try_from(bytes.div_ceil(4)).unwrap_or(u64::MAX);
    Told {
        text: said.texts.values().next().cloned().unwrap_or_default(),
        calls: said
            .calls
            .values()
            .map(|call| format!("{}({})", call.name, call.arguments))
            .collect(),
        target: target.name.to_string(),
        usage: usage.unwrap_or_else(|| Usage {
            input: tokens(request.get().body.len()),
            output: tokens(said.len()),
            source: UsageSource::Estimated,
            ..Usage::default()
        }),
        cost: None,
        finish,
        took: Duration::ZERO,
    }
}
