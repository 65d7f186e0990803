//! One person's data: erased with a receipt, or handed over; by the running gateway, else from the files.

use crate::cli::ConfigArgs;
use crate::keys::{hasher, store};
use crate::load::Origin;
use crate::output::{Failure, error_line, line};
use crate::serve::{ADMIN_ADDRESS, runtime};
use aplomb_config::file::ConfigFile;
use aplomb_control::store::{Act, ControlStore};
use aplomb_core::clock::{Clock, SystemClock};
use aplomb_core::erase::{Erase, Subject};
use aplomb_engines::http::HttpClient;
use aplomb_observe::erase::RecordFolder;
use aplomb_privacy::erase::{Receipt, Signer};
use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt, Full};
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// `aplomb privacy erase`.
pub(super) fn erase(
    file: &ConfigFile,
    config: &ConfigArgs,
    subject: &Subject,
) -> Result<(), Failure> {
    if let Some(answer) = ask(file, &Method::DELETE, subject)? {
        line(&answer);
        return Ok(());
    }
    error_line("no gateway runs here: working on the files");
    let key = receipts_key(file, config)?;
    let records = RecordFolder::new(&file.server.data_dir);
    let now_ms = SystemClock.now_ms();
    let stores: [&dyn Erase; 1] = [&records];
    let receipt = aplomb_privacy::erase::erase(&stores, subject, &Signer(&key), now_ms)
        .map_err(Failure::wrong)?;
    let act = Act {
        actor: "cli",
        at_ms: now_ms,
    };
    let control = store(&file.server).map_err(Failure::wrong)?;
    control
        .note("privacy.erase", &receipt.id, &act)
        .map_err(Failure::wrong)?;
    line(&serde_json::json!(receipt).to_string());
    Ok(())
}

/// `aplomb privacy export`.
pub(super) fn export(file: &ConfigFile, subject: &Subject) -> Result<(), Failure> {
    if let Some(answer) = ask(file, &Method::GET, subject)? {
        line(&answer);
        return Ok(());
    }
    let records = RecordFolder::new(&file.server.data_dir);
    let stores: [&dyn Erase; 1] = [&records];
    let found = aplomb_privacy::erase::export(&stores, subject).map_err(Failure::wrong)?;
    line(&found.to_string());
    Ok(())
}

/// `aplomb privacy verify`.
pub(super) fn verify(file: &ConfigFile, config: &ConfigArgs, from: &Path) -> Result<(), Failure> {
    let mut text = String::new();
    let read = if from == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)
    } else {
        std::fs::File::open(from).and_then(|mut opened| opened.read_to_string(&mut text))
    };
    read.map_err(|error| Failure::wrong(format!("{}: {error}", from.display())))?;
    let receipt: Receipt = serde_json::from_str(&text)
        .map_err(|error| Failure::wrong(format!("this is no receipt: {error}")))?;
    if !Signer(&receipts_key(file, config)?).verifies(&receipt) {
        return Err(Failure::wrong(
            "this receipt was changed, or made by another installation",
        ));
    }
    line("the receipt is genuine");
    Ok(())
}

fn receipts_key(file: &ConfigFile, config: &ConfigArgs) -> Result<[u8; 32], Failure> {
    let base_dir = Origin::of(config).base_dir();
    let hasher = hasher(&file.server, &base_dir).map_err(Failure::wrong)?;
    Ok(hasher.derive("receipts"))
}

/// Asks the running gateway; `None` if none runs.
fn ask(file: &ConfigFile, method: &Method, subject: &Subject) -> Result<Option<String>, Failure> {
    let token = file.server.data_dir.join("admin.token");
    let Ok(token) = std::fs::read_to_string(token) else {
        return Ok(None);
    };
    let tenant = subject.tenant.iter();
    let query: String = tenant.map(|t| format!("?tenant={}", encoded(t))).collect();
    let url = format!(
        "http://{}/admin/v1/privacy/users/{}{query}",
        admin_address(file),
        encoded(&subject.user)
    );
    let request = http::Request::builder()
        .method(method)
        .uri(url)
        .header(
            http::header::AUTHORIZATION,
            format!("Bearer {}", token.trim()),
        )
        .body(Full::new(Bytes::new()))
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
            .map_err(Failure::wrong)?;
        let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        if good {
            Ok(Some(text))
        } else {
            Err(Failure::wrong(format!(
                "the running gateway refused: {text}"
            )))
        }
    })
}

/// Where the gateway on this data folder says it listens, else where the file says so.
fn admin_address(file: &ConfigFile) -> SocketAddr {
    let told = std::fs::read_to_string(file.server.data_dir.join(ADMIN_ADDRESS));
    let told = told.ok().and_then(|text| text.trim().parse().ok());
    told.unwrap_or(file.server.admin)
}

/// Percent encoding of everything but letters, digits and `-._~` (RFC 3986 section 2.3).
fn encoded(text: &str) -> String {
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
