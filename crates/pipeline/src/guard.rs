//! Privacy in a request's way: masked before any provider is chosen, and only where providers may see it.

use crate::analyzer::Analyzer;
use crate::plan::Plan;
use crate::policy::{Route, Rules};
use crate::settle::Exchange;
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_core::masked::Masked;
use aplomb_core::request::ChatRequest;
use aplomb_privacy::agreements::Agreement;
use aplomb_privacy::mask::{More, Report};
use aplomb_privacy::policy::OnError;
use aplomb_privacy::room::{Guarded, Who, guard, guard_text};

/// Longest body that is masked on the spot. Chosen: some milliseconds; longer ones go to a thread that may block.
const ON_THE_SPOT_BYTES: usize = 128 * 1024;

/// Masks a request by its route's rules.
///
/// # Errors
/// What the policy refuses, in words for the client.
pub(crate) async fn mask(
    rules: &Rules,
    request: ChatRequest,
    exchange: &Exchange,
) -> Result<Guarded, ApiError> {
    let record = exchange.record();
    let (tenant, user) = (record.tenant.clone(), record.user.clone());
    let user = user.unwrap_or_else(|| record.key_id.to_string());
    let more = match &rules.analyzer {
        None => More::default(),
        Some(analyzer) => ask(rules, analyzer, &request).await?,
    };
    let shield = rules.shield.clone();
    let long = request.body.len() > ON_THE_SPOT_BYTES && shield.is_some();
    let work = move || {
        let who = Who {
            tenant: &tenant,
            user: &user,
        };
        guard(shield.as_deref(), who, request, &more)
    };
    let guarded = if long {
        tokio::task::spawn_blocking(work).await.map_err(|_| {
            ApiError::new(
                ErrorCode::PrivacyRefused,
                "the request could not be checked for personal data",
            )
        })?
    } else {
        work()
    };
    guarded.map_err(|refusal| ApiError::new(ErrorCode::PrivacyRefused, refusal.to_string()))
}

/// Masks what a caller gives beside a request, with the same placeholders as the request.
///
/// # Errors
/// What the policy refuses.
pub(crate) fn mask_given(
    rules: &Rules,
    text: &str,
    exchange: &Exchange,
) -> Result<Masked<String>, ApiError> {
    let record = exchange.record();
    let user = record.user.as_deref().unwrap_or(&record.key_id);
    let who = Who {
        tenant: &record.tenant,
        user,
    };
    let masked = guard_text(rules.shield.as_deref(), who, text);
    masked.map_err(|refusal| ApiError::new(ErrorCode::PrivacyRefused, refusal.to_string()))
}

/// What the analyzer finds. If it fails, the policy decides.
pub(crate) async fn ask(
    rules: &Rules,
    analyzer: &Analyzer,
    request: &ChatRequest,
) -> Result<More, ApiError> {
    let refuses = rules
        .shield
        .as_ref()
        .is_none_or(|shield| shield.profile.on_error == OnError::Refuse);
    match analyzer.ask(&request.body).await {
        Ok(more) => Ok(more),
        Err(why) if refuses => Err(ApiError::new(
            ErrorCode::PrivacyRefused,
            format!("{why}, and this route refuses what is not checked"),
        )),
        Err(why) => {
            tracing::warn!(why, "the analyzer was passed over");
            Ok(More::default())
        }
    }
}

/// What providers must have agreed to, to see this request, and in words why it is more than the route says.
pub(crate) fn required(route: &Route, report: &Report) -> (Agreement, String) {
    let mut require = route.rules.require.clone();
    let mut because = String::new();
    let classes = route.rules.shield.iter().flat_map(|shield| &shield.classes);
    for class in classes {
        let found = class
            .kinds
            .iter()
            .any(|kind| report.counts.keys().any(|(name, _)| name == kind.name()));
        if found {
            require = class.require.and(&require);
            because = format!(" with data of the class `{}`", class.name);
        }
    }
    (require, because)
}

/// Takes the targets out of a plan that may not see this request.
///
/// # Errors
/// None is left: why, for each.
pub(crate) fn agree(route: &Route, report: &Report, plan: &mut Plan) -> Result<(), ApiError> {
    let (require, because) = required(route, report);
    if require.is_empty() {
        return Ok(());
    }
    let mut lacking = Vec::new();
    for (index, target) in route.targets.iter().enumerate() {
        if let Some(lacks) = require.lacking(&target.agreement) {
            plan.refuse(index);
            lacking.push(format!("{} {lacks}", target.provider.name));
        }
    }
    if lacking.len() < route.targets.len() {
        return Ok(());
    }
    let message = format!(
        "no provider of this route may see a request{because}: {}",
        lacking.join("; ")
    );
    Err(ApiError::new(ErrorCode::PrivacyRefused, message))
}
