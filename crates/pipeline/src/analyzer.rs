//! A Presidio-compatible analyzer beside the built-in detection: asked for each text of a request, within one deadline.
//!
//! It sees what the policy is there to protect: it belongs on the operator's own network, or behind an agreement.

use aplomb_engines::http::HttpClient;
use aplomb_privacy::detect::entity::{Entity, EntityKind, Strength};
use aplomb_privacy::mask::{More, texts};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use http::{HeaderMap, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;

/// Questions to it at a time. Chosen: a Presidio server has few workers.
const AT_A_TIME: usize = 4;
/// Largest answer. Chosen: thousands of findings.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The analyzer of a policy.
pub struct Analyzer {
    /// `.../analyze`.
    pub url: Uri,
    /// Credentials.
    pub headers: HeaderMap,
    /// Language that is told to it.
    pub language: String,
    /// For all texts of a request.
    pub timeout: Duration,
    /// Least score that counts.
    pub score_min: f64,
    /// Its connections.
    pub client: HttpClient,
}

#[derive(Deserialize)]
struct Finding {
    entity_type: String,
    start: usize,
    end: usize,
    score: f64,
}

impl Analyzer {
    /// What it finds in the texts of a body.
    ///
    /// # Errors
    /// It does not answer in time, or not with findings; in words for the client.
    pub async fn ask(&self, body: &Bytes) -> Result<More, &'static str> {
        let texts = texts(body).map_err(|_| "the request can't be checked for personal data")?;
        let questions = stream::iter(texts.into_iter().map(|text| self.one(text)));
        let answers = questions
            .buffer_unordered(AT_A_TIME)
            .try_collect::<Vec<_>>();
        let answers = tokio::time::timeout(self.timeout, answers)
            .await
            .map_err(|_| "the analyzer did not answer in time")??;
        let mut more = More::default();
        for (text, found) in answers {
            more.add(&text, found);
        }
        Ok(more)
    }

    async fn one(&self, text: String) -> Result<(String, Vec<Entity>), &'static str> {
        const FAILED: &str = "the analyzer failed";
        let question = json!({
            "text": text, "language": self.language, "score_threshold": self.score_min,
        });
        let mut request = http::Request::post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(question.to_string())))
            .map_err(|_| FAILED)?;
        request.headers_mut().extend(self.headers.clone());
        let response = self.client.send(request).await.map_err(|_| FAILED)?;
        if !response.status().is_success() {
            return Err(FAILED);
        }
        let answer = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
        let answer = answer.collect().await.map_err(|_| FAILED)?.to_bytes();
        let found: Vec<Finding> = serde_json::from_slice(&answer).map_err(|_| FAILED)?;
        let found = self.entities(&text, &found);
        Ok((text, found))
    }

    fn entities(&self, text: &str, found: &[Finding]) -> Vec<Entity> {
        let byte = |point: usize| {
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.into_iter().nth(point)
        };
        let entity = |finding: &Finding| {
            let range = byte(finding.start)?..byte(finding.end)?;
            let entity = Entity::new(range, kind(&finding.entity_type), Strength::Name, 0.5);
            (finding.score >= self.score_min).then(|| entity.because("analyzer", None))
        };
        found.iter().filter_map(entity).collect()
    }
}

/// Presidio's names in ours.
fn kind(name: &str) -> EntityKind {
    match name {
        "EMAIL_ADDRESS" => EntityKind::Email,
        "PHONE_NUMBER" => EntityKind::Phone,
        "IBAN_CODE" => EntityKind::Iban,
        "US_DRIVER_LICENSE" | "IT_DRIVER_LICENSE" => EntityKind::DriverLicense,
        "US_PASSPORT" | "UK_PASSPORT" | "DE_PASSPORT" | "IN_PASSPORT" => EntityKind::Passport,
        other => EntityKind::parse(other).unwrap_or_else(|| EntityKind::custom(other)),
    }
}
