//! The door of the room: a request goes in, a masked one comes out, with what is needed to restore the answer.

use crate::agreements::Agreement;
use crate::detect::Detector;
use crate::detect::entity::EntityKind;
use crate::mask::{MaskedBody, More, Refusal, Report, mask};
use crate::placeholder::{Labels, Minter};
use crate::policy::Profile;
use crate::restore::Restorer;
use crate::screen::Screen;
use crate::vault::Vault;
use aplomb_core::dialect;
use aplomb_core::error::ApiError;
use aplomb_core::masked::Masked;
use aplomb_core::request::ChatRequest;
use bytes::Bytes;
use std::sync::Arc;

/// A privacy policy, ready to be used.
pub struct Shield {
    /// Its rules.
    pub profile: Profile,
    /// What its providers must have agreed to for a request in which certain kinds are found.
    pub classes: Vec<Class>,
    /// Finds.
    pub detector: Arc<Detector>,
    /// What its placeholders look like.
    pub labels: Arc<Labels>,
    /// Secret of the installation that keys placeholders.
    pub secret: Arc<[u8]>,
}

/// A class of data, by the kinds that show it.
#[derive(Debug, Clone)]
pub struct Class {
    /// Its name, for messages.
    pub name: String,
    /// Any of these shows it.
    pub kinds: Vec<EntityKind>,
    /// What a provider must have agreed to.
    pub require: Agreement,
}

/// On whose behalf a request is made: placeholders are the same for the same user only.
#[derive(Debug, Clone, Copy)]
pub struct Who<'a> {
    /// Tenant.
    pub tenant: &'a str,
    /// End user, or what stands for them.
    pub user: &'a str,
}

/// A request that may leave.
pub struct Guarded {
    /// Without personal data.
    pub request: Masked<ChatRequest>,
    /// Puts it back.
    pub restorer: Restorer,
    /// Looks for what the model invents, before anything else sees the answer.
    pub screen: Option<Screen>,
    /// What was found.
    pub report: Report,
}

/// Masks a request by a policy; without one it passes as it is. `more`: what was found elsewhere.
///
/// CPU-bound: some 25 microseconds a kilobyte. Long requests belong on a thread that may block.
///
/// # Errors
/// What the policy refuses.
pub fn guard(
    shield: Option<&Shield>,
    who: Who<'_>,
    request: ChatRequest,
    more: &More,
) -> Result<Guarded, Refusal> {
    let Some(shield) = shield else {
        return Ok(Guarded {
            request: assume(request),
            restorer: Restorer::new(Vault::default(), false),
            screen: None,
            report: Report::default(),
        });
    };
    let minter = Minter::new(&shield.secret, who.tenant, who.user);
    let MaskedBody {
        body,
        mut vault,
        report,
    } = mask(
        &shield.detector,
        &shield.profile,
        &minter,
        more,
        &request.body,
    )?;
    vault.watch(shield.labels.clone());
    let asks_json = asks_for_json(&body);
    let request = if body == request.body {
        request
    } else {
        // Places and the head are those of the new body.
        dialect::read(request.operation, body).map_err(|error| Refusal::Unreadable(error.public))?
    };
    let screen = Screen::new(shield.profile.output, shield.detector.clone());
    Ok(Guarded {
        request: assume(request),
        restorer: Restorer::new(vault, asks_json),
        screen,
        report,
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the place that says what is masked"
)]
fn assume<T>(value: T) -> Masked<T> {
    Masked::assume(value)
}

/// The same request with one bound of its output ([`dialect::with_max_output`]): a number of it is another, and none of its text.
///
/// # Errors
/// The body is not that of the request.
pub fn with_max_output(
    request: &Masked<ChatRequest>,
    max: u64,
    absent: &'static str,
) -> Result<Masked<ChatRequest>, ApiError> {
    dialect::with_max_output(request.get(), max, absent).map(assume)
}

/// The same conversation with two turns more ([`dialect::continued`]): what the model answered, which is of the masked zone as the
/// request is, and what the gateway says to it.
///
/// # Errors
/// The body is not that of the request.
pub fn continued(
    request: &Masked<ChatRequest>,
    said: &str,
    wish: &str,
) -> Result<Option<Masked<ChatRequest>>, ApiError> {
    let longer = dialect::continued(request.get(), said, wish)?;
    Ok(longer.map(assume))
}

/// Puts an instruction of the operator before the turns of a masked request; `None` where it takes none.
///
/// # Errors
/// The body is not that of the request.
pub fn instructed(
    request: &Masked<ChatRequest>,
    instruction: &str,
) -> Result<Option<Masked<ChatRequest>>, ApiError> {
    let longer = dialect::instructed(request.get(), instruction)?;
    Ok(longer.map(assume))
}

/// Masks one text by a policy, such as a comment; without one it stays as it is.
///
/// # Errors
/// What the policy refuses.
pub fn guard_text(
    shield: Option<&Shield>,
    who: Who<'_>,
    text: &str,
) -> Result<Masked<String>, Refusal> {
    let Some(shield) = shield else {
        return Ok(assume(text.to_owned()));
    };
    let minter = Minter::new(&shield.secret, who.tenant, who.user);
    let body = serde_json::json!({ "messages": [{ "role": "user", "content": text }] }).to_string();
    let masked = mask(
        &shield.detector,
        &shield.profile,
        &minter,
        &More::default(),
        &Bytes::from(body),
    )?;
    let read: Result<serde_json::Value, _> = serde_json::from_slice(&masked.body);
    let content = read.ok().and_then(|body| {
        body.pointer("/messages/0/content")?
            .as_str()
            .map(str::to_owned)
    });
    content
        .map(assume)
        .ok_or_else(|| Refusal::Unreadable("the text could not be masked".into()))
}

/// Whether the request wants its answer as JSON.
fn asks_for_json(body: &[u8]) -> bool {
    let named = |name: &[u8]| memchr::memmem::find(body, name).is_some();
    named(b"\"response_format\"") && (named(b"json_object") || named(b"json_schema"))
}
