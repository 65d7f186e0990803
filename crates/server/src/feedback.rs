//! `POST /aplomb/v1/feedback`: what a user thinks of an answer.

use crate::auth::Access;
use crate::gateway::Gateway;
use crate::names;
use crate::reply::{self, Reply};
use aplomb_core::caller::ID_BYTES_MAX;
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_core::id::RequestId;
use aplomb_observe::store::embedded::{Feedback, Late};
use aplomb_observe::writer::RecordWriter;
use aplomb_pipeline::policy::Policy;
use aplomb_privacy::room::{Shield, Who, guard_text};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Largest body.
pub(crate) const BODY_MAX: usize = 256 * 1024;
/// Longest comment and correction, in bytes.
const TEXT_MAX: usize = 64 * 1024;
/// How often, and how far apart, feedback looks for an exchange that is still on its way: half a second in all.
const LOOKS: u32 = 5;
const LOOK: Duration = Duration::from_millis(100);
/// How old an exchange may be to be waited for: longer than any answer takes.
const YOUNG_MS: u64 = 15 * 60 * 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    request_id: String,
    #[serde(default)]
    user: Option<String>,
    #[serde(default, deserialize_with = "present")]
    thumb: Option<Option<Thumb>>,
    #[serde(default)]
    score: Option<f64>,
    #[serde(default)]
    label: Option<Label>,
    #[serde(default)]
    comment: Option<String>,
    #[serde(default)]
    correction: Option<String>,
    #[serde(default)]
    event: Option<Event>,
}

/// Tells `null` (taken back) from absent.
fn present<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<Thumb>>, D::Error> {
    Option::<Thumb>::deserialize(deserializer).map(Some)
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Thumb {
    Up,
    Down,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Label {
    Accurate,
    Partly,
    Inaccurate,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Event {
    Regenerated,
    Copied,
    Edited,
    Abandoned,
}

impl Label {
    fn name(self) -> &'static str {
        match self {
            Label::Accurate => "accurate",
            Label::Partly => "partly",
            Label::Inaccurate => "inaccurate",
        }
    }
}

impl Event {
    fn name(self) -> &'static str {
        match self {
            Event::Regenerated => "regenerated",
            Event::Copied => "copied",
            Event::Edited => "edited",
            Event::Abandoned => "abandoned",
        }
    }
}

fn read(body: &[u8]) -> Result<(RequestId, Given), ApiError> {
    let given: Given =
        serde_json::from_slice(body).map_err(|error| ApiError::invalid("", error))?;
    let id = RequestId::parse(&given.request_id).ok_or_else(|| {
        ApiError::invalid("request_id", "expected the id of `x-aplomb-request-id`")
    })?;
    if given
        .score
        .is_some_and(|score| !(0.0..=1.0).contains(&score))
    {
        return Err(ApiError::invalid("score", "expected a number from 0 to 1"));
    }
    if given
        .user
        .as_ref()
        .is_some_and(|user| user.len() > ID_BYTES_MAX)
    {
        return Err(ApiError::invalid(
            "user",
            format!("expected at most {ID_BYTES_MAX} bytes"),
        ));
    }
    for (name, text) in [
        ("comment", &given.comment),
        ("correction", &given.correction),
    ] {
        if text.as_ref().is_some_and(|text| text.len() > TEXT_MAX) {
            return Err(ApiError::invalid(
                name,
                format!("expected at most {TEXT_MAX} bytes"),
            ));
        }
    }
    let says = given.thumb.is_some()
        || given.score.is_some()
        || given.label.is_some()
        || given.event.is_some()
        || given.comment.is_some()
        || given.correction.is_some();
    if !says {
        return Err(ApiError::invalid(
            "",
            "expected one of thumb, score, label, comment, correction, event",
        ));
    }
    Ok((id, given))
}

/// Takes feedback. Only who belongs to the tenant of the exchange may give it.
///
/// # Errors
/// A malformed body, an unknown exchange, text that the route's privacy policy refuses.
pub(crate) async fn give(
    gateway: &Arc<Gateway>,
    policy: &Arc<Policy>,
    (access, headers): (&Access, &HeaderMap),
    body: &[u8],
) -> Result<Reply, ApiError> {
    let (id, given) = read(body)?;
    let header = headers
        .get(&names::X_APLOMB_USER)
        .and_then(|value| value.to_str().ok());
    let own = access.user().map(str::to_owned);
    let by = own.clone().or_else(|| given.user.clone());
    let by = by.or_else(|| header.map(str::to_owned));
    let tenant = access.tenant_and_key().0.to_string();
    arrived(gateway, id, &tenant).await;
    let (gateway, policy) = (gateway.clone(), policy.clone());
    let work = move || {
        let Some(records) = &gateway.state.records else {
            return Err(ApiError::new(ErrorCode::Internal, "no records are kept"));
        };
        let record = find(records, id, &tenant)?;
        let text = |name: &str| record.get(name).and_then(Value::as_str).map(str::to_owned);
        if own.is_some() && own != text("user") {
            return Err(unknown());
        }
        let by = by
            .or_else(|| text("user"))
            .or_else(|| text("key"))
            .unwrap_or_default();
        let route =
            text("route").and_then(|route| policy.resolve(&route, &gateway.state.metrics).ok());
        let shield = route.and_then(|route| route.rules.shield.clone());
        let feedback = feedback(
            gateway.state.clock.now_ms(),
            &given,
            (&tenant, &by),
            shield.as_deref(),
        )?;
        gateway.state.metrics.feedback(&feedback);
        if feedback.thumb == Some(-1) {
            // A bad answer is not given again, whether this exchange was the first to get it or not.
            let source = text("cache_source").and_then(|id| RequestId::parse(&id));
            for id in [Some(id), source].into_iter().flatten() {
                if let Err(away) = gateway.state.caches.forget(id) {
                    tracing::warn!(%away, "other nodes may still give an answer that was found bad");
                }
            }
        }
        records
            .late(id, Late::Feedback(Box::new(feedback)))
            .map_err(|error| {
                tracing::error!(%error, "feedback could not be written");
                ApiError::new(
                    ErrorCode::Internal,
                    "the feedback could not be written; try again",
                )
            })
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(true)) => Ok(reply::json(
            StatusCode::OK,
            &json!({ "request_id": id.to_string(), "accepted": true }),
        )),
        Ok(Ok(false)) => Err(unknown()),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(ApiError::new(
            ErrorCode::Internal,
            "the feedback could not be written; try again",
        )),
    }
}

/// A page that its user leaves cuts its answer and says so in the same moment: where the exchange is young and not
/// recorded yet, feedback waits for it, [`LOOKS`] times [`LOOK`] at most.
async fn arrived(gateway: &Arc<Gateway>, id: RequestId, tenant: &str) {
    let now = gateway.state.clock.now_ms();
    if id.at_ms().abs_diff(now) > YOUNG_MS {
        return;
    }
    for _ in 0..LOOKS {
        let (gateway, tenant) = (gateway.clone(), tenant.to_owned());
        let known = tokio::task::spawn_blocking(move || {
            let records = gateway.state.records.as_ref();
            // What can't be read is told by the look that counts.
            records.is_none_or(|records| !matches!(find(records, id, &tenant), Err(error) if error.code == ErrorCode::NotFound))
        });
        if known.await.unwrap_or(true) {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn unknown() -> ApiError {
    ApiError::new(
        ErrorCode::NotFound,
        "there is no record of this request_id; it may be too old, or erased",
    )
}

/// The exchange, which may still be on its way to the disk.
fn find(records: &RecordWriter, id: RequestId, tenant: &str) -> Result<Value, ApiError> {
    let failed = |error: String| {
        tracing::error!(error, "records could not be read");
        ApiError::new(
            ErrorCode::Internal,
            "the records could not be read; try again",
        )
    };
    let reader = records.reader();
    let mut found = reader
        .one(id, Some(tenant))
        .map_err(|error| failed(error.to_string()))?;
    if found.is_none() {
        records.flush().map_err(|error| failed(error.to_string()))?;
        found = reader
            .one(id, Some(tenant))
            .map_err(|error| failed(error.to_string()))?;
    }
    found.ok_or_else(unknown)
}

fn feedback(
    at_ms: u64,
    given: &Given,
    (tenant, by): (&str, &str),
    shield: Option<&Shield>,
) -> Result<Feedback, ApiError> {
    let who = Who { tenant, user: by };
    let masked = |text: &Option<String>| {
        let Some(text) = text else { return Ok(None) };
        guard_text(shield, who, text)
            .map(|masked| Some(masked.get().clone()))
            .map_err(|refusal| ApiError::new(ErrorCode::PrivacyRefused, refusal.to_string()))
    };
    Ok(Feedback {
        at_ms,
        by: by.to_owned(),
        source: "user",
        thumb: given.thumb.map(|thumb| match thumb {
            Some(Thumb::Up) => 1,
            Some(Thumb::Down) => -1,
            None => 0,
        }),
        score: given.score,
        label: given.label.map(|label| label.name().to_owned()),
        comment: masked(&given.comment)?,
        correction: masked(&given.correction)?,
        event: given.event.map(|event| event.name().to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_feedback_is_named() {
        let id = RequestId::new(1).to_string();
        let refused = |body: String| read(body.as_bytes()).map(|_| ()).unwrap_err().public;
        assert_eq!(
            refused(format!(r#"{{"request_id":"{id}"}}"#)),
            "expected one of thumb, score, label, comment, correction, event"
        );
        assert_eq!(
            refused(r#"{"request_id":"x","thumb":"up"}"#.into()),
            "request_id: expected the id of `x-aplomb-request-id`"
        );
        assert_eq!(
            refused(format!(r#"{{"request_id":"{id}","score":2}}"#)),
            "score: expected a number from 0 to 1"
        );
        assert!(
            refused(format!(r#"{{"request_id":"{id}","thumb":"sideways"}}"#))
                .contains("unknown variant `sideways`")
        );
        assert!(
            refused(format!(r#"{{"request_id":"{id}","thumbs":"up"}}"#))
                .contains("unknown field `thumbs`")
        );
        assert!(read(format!(r#"{{"request_id":"{id}","thumb":null}}"#).as_bytes()).is_ok());
    }
}
