//! What all verbs share: the flags before and after a verb, the client they lead to, and the clock.

use std::path::PathBuf;

use coracle_client::{Client, Config};
use jiff::Timestamp;

use crate::failure::{Failure, Result};

/// Flags that every verb takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Global {
    /// The kubeconfig to use [default: $KUBECONFIG, then the one in the default data directory]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Write logs as JSON
    #[arg(long, global = true)]
    pub(crate) log_json: bool,
}

impl Global {
    /// The kubeconfig these flags lead to.
    pub(crate) fn config(&self) -> Result<Config> {
        Ok(Config::load(self.kubeconfig.as_deref())?)
    }

    /// A client for it.
    pub(crate) fn client(&self) -> Result<Client> {
        Ok(Client::new(self.config()?)?)
    }
}

/// Which namespace a verb works in.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Namespace {
    /// The namespace to work in [default: the kubeconfig's, then `default`]
    #[arg(short, long, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,
}

impl Namespace {
    /// The namespace given, else the kubeconfig's.
    pub(crate) fn or_default(&self, config: &Config) -> String {
        self.namespace.clone().unwrap_or_else(|| config.namespace.clone())
    }
}

/// The wall clock, read only here.
#[expect(clippy::disallowed_methods, reason = "the edge of the command line: every verb gets its time from here")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// The data directory that is used when none is named: `$XDG_DATA_HOME/coracle`.
pub(crate) fn default_data_dir() -> PathBuf {
    coracle_client::default_data_dir()
}

/// Runs a verb's future on a runtime of its own.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start: {error}")))?
        .block_on(future)
}
