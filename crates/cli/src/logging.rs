//! What servers say while they run: lines on the standard error, as much as `KATO_LOG` asks for.

use tracing_subscriber::EnvFilter;

/// What is said unless `KATO_LOG` says otherwise: openraft is talkative.
const DEFAULT: &str = "info,openraft=warn";

/// Starts logging. Once per process.
pub(crate) fn start() {
    let filter = EnvFilter::try_from_env("KATO_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
