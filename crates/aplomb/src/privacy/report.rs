//! `aplomb privacy report`: which data goes where, as the configuration says it.

use crate::output::line;
use aplomb_config::file::{ConfigFile, RouteConfig};
use aplomb_config::privacy::{AgreementConfig, DpaConfig};
use std::collections::BTreeSet;

/// For the record of processing activities.
pub(super) fn record(file: &ConfigFile) {
    line("# What goes where\n");
    line("| provider | data-processing agreement | region | keeps data | trains on it |");
    line("|---|---|---|---|---|");
    let none = AgreementConfig::default();
    for (name, config) in &file.providers {
        let agreement = config.agreement.as_ref().unwrap_or(&none);
        line(&format!(
            "| {name} | {} | {} | {} | {} |",
            match agreement.dpa {
                DpaConfig::None => "none stated",
                DpaConfig::Signed => "signed",
                DpaConfig::Own => "the operator's own",
            },
            agreement.region.as_deref().unwrap_or("not stated"),
            keeps(agreement),
            yes_no(agreement.trains),
        ));
    }
    line("\n| route | may go to | personal data |");
    line("|---|---|---|");
    for (name, route) in &file.routes {
        line(&format!(
            "| {name} | {} | {} |",
            providers(route).into_iter().collect::<Vec<_>>().join(", "),
            treated(file, route)
        ));
    }
    line(&format!(
        "\nRecords of exchanges stand in `{}/records`: facts (who, when, which model, tokens, times, kinds of personal data \
         found), no text of prompts or answers. Values behind placeholders live in memory for the time of one request.",
        file.server.data_dir.display()
    ));
}

fn keeps(agreement: &AgreementConfig) -> String {
    if agreement.zdr == Some(true) {
        return "nothing".to_owned();
    }
    agreement
        .retention
        .map_or_else(|| "not stated".to_owned(), |span| span.to_string())
}

fn yes_no(stated: Option<bool>) -> &'static str {
    match stated {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not stated",
    }
}

fn providers(route: &RouteConfig) -> BTreeSet<&str> {
    let names = route.targets.iter();
    names
        .filter_map(|target| target.split_once('/').map(|(provider, _)| provider))
        .collect()
}

fn treated(file: &ConfigFile, route: &RouteConfig) -> String {
    let name = route.privacy.as_deref().unwrap_or("default");
    let Some(policy) = file.privacy.get(name) else {
        return "travels as it is".to_owned();
    };
    let named: Vec<String> = policy
        .kinds
        .iter()
        .map(|(kind, action)| format!("{kind}: {}", format!("{action:?}").to_lowercase()))
        .collect();
    let others = if policy.kinds.contains_key("*") {
        ""
    } else {
        ", all others: mask"
    };
    format!("policy `{name}` ({}{others})", named.join(", "))
}

/// A paragraph for a privacy policy.
pub(super) fn public(file: &ConfigFile) {
    let masked = !file.privacy.is_empty();
    let regions: BTreeSet<&str> = file
        .providers
        .values()
        .filter_map(|config| config.agreement.as_ref()?.region.as_deref())
        .collect();
    let trains = file.providers.values().any(|config| {
        config
            .agreement
            .as_ref()
            .and_then(|agreement| agreement.trains)
            != Some(false)
    });
    let signed = file.providers.values().all(|config| {
        let dpa = config.agreement.as_ref().map(|agreement| agreement.dpa);
        dpa.is_some_and(|dpa| dpa != DpaConfig::None)
    });
    line("We use artificial-intelligence services to answer your requests. ");
    if masked {
        line(
            "Before a request leaves our systems, personal data that we recognise in it, such as names, e-mail addresses, \
             telephone and account numbers, is replaced by placeholders; it is put back only in the answer that you see.",
        );
    }
    if signed {
        line(
            "The providers act for us under data-processing agreements (Art. 28 GDPR; as service providers under the CCPA).",
        );
    }
    if !regions.is_empty() {
        let regions: Vec<&str> = regions.into_iter().collect();
        line(&format!("They process data in: {}.", regions.join(", ")));
    }
    if !trains {
        line("They do not use your data to train models. We do not sell or share it (CCPA).");
    }
    line(
        "You may ask for access to your data, for its correction and its deletion (Art. 15 to 17 GDPR; CCPA sections \
         1798.105 and 1798.110).",
    );
}
