//! Where the cluster's own log goes: standard error, warnings and worse unless `$RUST_LOG` says otherwise, JSON on request.

use tracing_subscriber::EnvFilter;

use crate::failure::has_colour;

/// Starts logging, once.
pub(crate) fn start(is_json: bool) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,openraft=error"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(has_colour());
    if is_json {
        log.json().init();
    } else {
        log.init();
    }
}
