//! The log of the process, on standard error.

use aplomb_config::file::{LogConfig, LogFormat, LogLevel};
use tracing::level_filters::LevelFilter;

/// Starts logging. Called once.
pub fn start(config: &LogConfig) {
    let level = match config.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // Libraries may write what they carry at their lowest levels; only our own crates go below `info`.
    let others = level.min(LevelFilter::INFO);
    let filter = tracing_subscriber::EnvFilter::builder().parse_lossy(format!(
        "{others},aplomb={level},aplomb_server={level},aplomb_pipeline={level},aplomb_providers={level},aplomb_observe={level},aplomb_control={level}"
    ));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match config.format {
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .init(),
        LogFormat::Text => builder.with_ansi(false).with_target(false).init(),
    }
}
