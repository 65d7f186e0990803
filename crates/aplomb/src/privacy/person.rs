//! One person's data: erased with a receipt, or handed over; by the running gateway, else from the files.

use crate::admin::{encoded, try_ask};
use crate::cli::ConfigArgs;
use crate::keys::{hasher, store};
use crate::load::Origin;
use crate::output::{Failure, error_line, line};
use crate::records::{clickhouse, codec};
use aplomb_config::file::ConfigFile;
use aplomb_control::store::{Act, ControlStore};
use aplomb_core::clock::{Clock, SystemClock};
use aplomb_core::erase::{Erase, Subject};
use aplomb_observe::store::clickhouse::ClickHouse;
use aplomb_observe::writer::RecordFolder;
use aplomb_privacy::erase::{Receipt, Signer};
use http::Method;
use std::io::Read;
use std::path::Path;

/// `aplomb privacy erase`.
pub(super) fn erase(
    file: &ConfigFile,
    config: &ConfigArgs,
    subject: &Subject,
) -> Result<(), Failure> {
    if let Some(answer) = try_ask(file, &Method::DELETE, &path(subject), None)? {
        line(&answer.to_string());
        return Ok(());
    }
    error_line("no gateway runs here: working on the files");
    let key = receipts_key(file, config)?;
    let base_dir = Origin::of(config).base_dir();
    let records = RecordFolder::new(&file.server.data_dir, codec(file, &base_dir)?);
    let now_ms = SystemClock.now_ms();
    let shared = shared(file, &base_dir)?;
    let stores = stores(&records, shared.as_ref());
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
pub(super) fn export(
    file: &ConfigFile,
    config: &ConfigArgs,
    subject: &Subject,
) -> Result<(), Failure> {
    if let Some(answer) = try_ask(file, &Method::GET, &path(subject), None)? {
        line(&answer.to_string());
        return Ok(());
    }
    let base_dir = Origin::of(config).base_dir();
    let records = RecordFolder::new(&file.server.data_dir, codec(file, &base_dir)?);
    let shared = shared(file, &base_dir)?;
    let stores = stores(&records, shared.as_ref());
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

/// The ClickHouse of the configuration.
fn shared(file: &ConfigFile, base_dir: &Path) -> Result<Option<ClickHouse>, Failure> {
    let settings = clickhouse(file, base_dir)?;
    settings
        .map(ClickHouse::new)
        .transpose()
        .map_err(Failure::wrong)
}

/// Every store that keeps something of a person, the data folder first: what is to be shipped from there is gone then.
fn stores<'s>(records: &'s RecordFolder, shared: Option<&'s ClickHouse>) -> Vec<&'s dyn Erase> {
    let mut all: Vec<&dyn Erase> = vec![records];
    all.extend(shared.map(|shared| shared as &dyn Erase));
    all
}

fn receipts_key(file: &ConfigFile, config: &ConfigArgs) -> Result<[u8; 32], Failure> {
    let base_dir = Origin::of(config).base_dir();
    let hasher = hasher(&file.server, &base_dir).map_err(Failure::wrong)?;
    Ok(hasher.derive("receipts"))
}

/// Path of a person on the admin listener.
fn path(subject: &Subject) -> String {
    let tenant = subject.tenant.iter();
    let query: String = tenant.map(|t| format!("?tenant={}", encoded(t))).collect();
    format!("/admin/v1/privacy/users/{}{query}", encoded(&subject.user))
}
