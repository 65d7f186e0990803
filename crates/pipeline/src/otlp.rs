//! Where spans and metrics are exported to, from the file.

use crate::policy::{Sources, further_headers};
use aplomb_config::diagnostic::Diagnostic;
use aplomb_config::file::ConfigFile;
use aplomb_config::telemetry::OtlpConfig;
use aplomb_observe::otel::export::Settings;
use aplomb_observe::otel::proto::Resource;

const AT: &str = "observe.otlp";

/// Compiles the section; errors go to `errors`. None where there is no section, or it has errors.
pub(crate) fn settings(
    file: &ConfigFile,
    sources: &Sources<'_>,
    errors: &mut Vec<Diagnostic>,
) -> Option<Settings> {
    let config = file.observe.otlp.as_ref()?;
    let mut settings = match Settings::to(&config.endpoint) {
        Ok(settings) => settings,
        Err(message) => {
            errors.push(Diagnostic::error(format!("{AT}.endpoint"), message));
            return None;
        }
    };
    let at = format!("{AT}.headers");
    if let Err(error) = further_headers(&config.headers, &at, sources, &mut settings.headers) {
        errors.push(error);
        return None;
    }
    settings.traces = config.traces;
    settings.metrics = config.metrics;
    settings.sample = config.sample;
    settings.content = config.content;
    settings.interval = config.interval.0;
    settings.timeout = config.timeout.0;
    settings.gzip = config.gzip;
    settings.queue_bytes = config.queue.0;
    settings.resource = resource(file, config);
    Some(settings)
}

fn resource(file: &ConfigFile, config: &OtlpConfig) -> Resource {
    let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut attributes = vec![
        own("service.name", &config.service),
        own("service.version", env!("CARGO_PKG_VERSION")),
    ];
    let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    if let Some(node) = file.records.node.clone().or_else(host) {
        attributes.push(own("service.instance.id", node.trim()));
    }
    for (name, value) in &config.attributes {
        attributes.retain(|(known, _)| known != name);
        attributes.push(own(name, value));
    }
    Resource { attributes }
}
