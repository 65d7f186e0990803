//! Alert rules of the file, compiled.

use crate::policy::{Sources, value_of};
use aplomb_config::diagnostic::Diagnostic;
use aplomb_config::file::ConfigFile;
use aplomb_config::observe::AlertTarget;
use aplomb_config::secret::Secret;
use aplomb_observe::alerts::{Channel, Rule};
use http::Uri;

fn address(secret: &Secret, at: &str, sources: &Sources<'_>) -> Result<Uri, Diagnostic> {
    let text = value_of(secret, at, sources)?;
    let uri: Option<Uri> = text.trim().parse().ok();
    // The address itself is not shown: it may be the secret.
    uri.filter(|uri| uri.scheme().is_some() && uri.host().is_some())
        .ok_or_else(|| Diagnostic::error(at, "what this refers to is no http(s) address"))
}

/// The rules of a file; what can't be compiled is noted.
pub(crate) fn build(
    file: &ConfigFile,
    sources: &Sources<'_>,
    errors: &mut Vec<Diagnostic>,
) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (index, config) in file.observe.alerts.iter().enumerate() {
        let mut channels = Vec::new();
        for (n, target) in config.to.iter().enumerate() {
            let at = format!("observe.alerts[{index}].to[{n}]");
            let channel = match target {
                AlertTarget::Log => Ok(Channel::Log),
                AlertTarget::Webhook(secret) => address(secret, &at, sources).map(Channel::Webhook),
                AlertTarget::Slack(secret) => address(secret, &at, sources).map(Channel::Slack),
            };
            match channel {
                Ok(channel) => channels.push(channel),
                Err(error) => errors.push(error),
            }
        }
        if config.to.is_empty() {
            channels.push(Channel::Log);
        }
        rules.push(Rule {
            name: config
                .name
                .clone()
                .unwrap_or_else(|| config.when.to_string()),
            condition: config.when.clone(),
            route: config.route.clone(),
            channels,
        });
    }
    rules
}
