//! `GET /v1/models` and `GET /v1/models/{id}` in both dialects.

use crate::auth::Access;
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_core::request::Dialect;
use aplomb_pipeline::policy::Policy;
use serde_json::{Value, json};

/// Names that a caller may ask for: routes, and the models that providers list.
fn names(policy: &Policy, access: &Access) -> Vec<(String, String)> {
    let routes = policy
        .file
        .routes
        .keys()
        .map(|name| (name.clone(), "aplomb".to_owned()));
    let listed = policy.file.providers.iter().flat_map(|(provider, config)| {
        let practice =
            (provider == "practice" && config.models.is_empty()).then(|| "practice".to_owned());
        let models = config.models.iter().cloned().chain(practice);
        models.map(move |model| (format!("{provider}/{model}"), provider.clone()))
    });
    routes
        .chain(listed)
        .filter(|(name, _)| access.may_use(name))
        .collect()
}

fn entry(dialect: Dialect, name: &str, owner: &str) -> Value {
    match dialect {
        // The time of creation is required by the SDKs' types and not known here.
        Dialect::OpenAi => {
            json!({ "id": name, "object": "model", "created": 0, "owned_by": owner })
        }
        Dialect::Anthropic => {
            json!({ "type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z" })
        }
    }
}

/// The list of models.
pub fn list(policy: &Policy, access: &Access, dialect: Dialect) -> Value {
    let names = names(policy, access);
    let data: Vec<Value> = names
        .iter()
        .map(|(name, owner)| entry(dialect, name, owner))
        .collect();
    match dialect {
        Dialect::OpenAi => json!({ "object": "list", "data": data }),
        Dialect::Anthropic => {
            let id = |found: Option<&(String, String)>| found.map(|(name, _)| name.clone());
            json!({ "data": data, "has_more": false, "first_id": id(names.first()), "last_id": id(names.last()) })
        }
    }
}

/// One model.
///
/// # Errors
/// `ModelNotFound`.
pub fn one(
    policy: &Policy,
    access: &Access,
    dialect: Dialect,
    wanted: &str,
) -> Result<Value, ApiError> {
    let names = names(policy, access);
    let found = names.iter().find(|(name, _)| name == wanted);
    let (name, owner) = found.ok_or_else(|| {
        let shown: String = wanted.chars().take(128).collect();
        ApiError::new(
            ErrorCode::ModelNotFound,
            format!("the model `{shown}` does not exist here"),
        )
    })?;
    Ok(entry(dialect, name, owner))
}
