//! Asks the running gateway through its admin listener.

use crate::output::Failure;
use crate::serve::{ADMIN_ADDRESS, runtime};
use aplomb_config::file::ConfigFile;
use aplomb_engines::http::HttpClient;
use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;

/// Asks the running gateway; `None` if none runs.
///
/// # Errors
/// It refuses: what it says.
pub fn try_ask(
    file: &ConfigFile,
    method: &Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Option<Value>, Failure> {
    let token = file.server.data_dir.join("admin.token");
    let Ok(token) = std::fs::read_to_string(token) else {
        return Ok(None);
    };
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = http::Request::builder()
        .method(method)
        .uri(format!("http://{}{path}", address(file)))
        .header(
            http::header::AUTHORIZATION,
            format!("Bearer {}", token.trim()),
        )
        .body(Full::new(Bytes::from(body)))
        .map_err(Failure::wrong)?;
    runtime()?.block_on(async move {
        let client = HttpClient::new(Duration::from_secs(2));
        let response = match client.send(request).await {
            Ok(response) => response,
            Err(error) if error.is_connect() => return Ok(None),
            Err(_) => return Err(Failure::wrong("the running gateway did not answer")),
        };
        let good = response.status().is_success();
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(Failure::wrong)?
            .to_bytes();
        let value: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if good {
            return Ok(Some(value));
        }
        let message = value.pointer("/error/message").and_then(Value::as_str);
        Err(Failure::wrong(
            message.unwrap_or("the running gateway refused"),
        ))
    })
}

/// Asks the running gateway.
///
/// # Errors
/// None runs, or it refuses: what it says.
pub fn ask(
    file: &ConfigFile,
    method: &Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, Failure> {
    let answer = try_ask(file, method, path, body)?;
    answer.ok_or_else(|| {
        Failure::wrong(format!(
            "no gateway runs on {} ({}); start one with `aplomb serve`",
            file.server.data_dir.display(),
            address(file)
        ))
    })
}

/// Where the gateway on this data folder says it listens, else where the file says so.
fn address(file: &ConfigFile) -> SocketAddr {
    let told = std::fs::read_to_string(file.server.data_dir.join(ADMIN_ADDRESS));
    let told = told.ok().and_then(|text| text.trim().parse().ok());
    told.unwrap_or(file.server.admin)
}

/// Percent encoding of everything but letters, digits and `-._~` (RFC 3986 section 2.3).
pub fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte: u8| {
        if plain(byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(one).collect()
}
