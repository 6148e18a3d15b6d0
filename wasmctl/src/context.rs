//! What all verbs share: the flags before and after a verb, the client they lead to, and the clock.

use std::io::Write as _;
use std::path::PathBuf;

use coracle_client::{Client, Config};
use coracle_net::identity::RotatingIdentity;
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
    /// The kubeconfig these flags lead to. One whose certificate is over is tried all the same: this machine's clock may be wrong.
    pub(crate) fn config(&self) -> Result<Config> {
        let config = Config::load(self.kubeconfig.as_deref())?;
        if let Some(until) = end_of_certificate(&config).filter(|until| *until < now()) {
            let told = "the kubeconfig in a server's data directory is renewed";
            let _ = writeln!(std::io::stderr(), "warning: the kubeconfig's certificate expired at {until}; {told}");
        }
        Ok(config)
    }

    /// A client for it.
    pub(crate) fn client(&self) -> Result<Client> {
        Ok(Client::new(self.config()?)?)
    }
}

/// Until when the certificate is good that a client shows, if it shows one that can be read.
fn end_of_certificate(config: &Config) -> Option<Timestamp> {
    let (certificate, key) = config.identity_pem.as_ref()?;
    Some(RotatingIdentity::new(certificate, key, 1.0).ok()?.validity().not_after)
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
