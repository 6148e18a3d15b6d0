//! What the verbs that keep running share: their runtime, their sockets, and how they end.

use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::failure::{Failure, Result};

/// How long the parts get to end what they are doing.
pub(crate) const STOP_GRACE: Duration = Duration::from_secs(5);

/// Runs to the end on a runtime that uses all processors.
pub(crate) fn run(work: impl Future<Output = Result<()>>) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    let result = runtime.block_on(work);
    runtime.shutdown_timeout(Duration::from_secs(1));
    result.map(|()| ExitCode::SUCCESS)
}

/// Ctrl-C or SIGTERM.
pub(crate) async fn stop_signal() {
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be handled");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// Tells tasks to end, and waits for them.
pub(crate) async fn end(shutdown: &CancellationToken, tasks: &TaskTracker) {
    shutdown.cancel();
    tasks.close();
    if tokio::time::timeout(STOP_GRACE, tasks.wait()).await.is_err() {
        tracing::warn!("a part did not stop in time; it is cut off");
    }
}

/// Listens where a flag says.
pub(crate) fn bind(flag: &str, addr: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(addr).map_err(|error| address_failure(flag, addr, &error))
}

/// Why nothing can listen where a flag says.
pub(crate) fn address_failure(flag: &str, addr: SocketAddr, error: &std::io::Error) -> Failure {
    let failure = Failure::new(format!("{flag} {addr}: {error}"));
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            failure.hint(format!("another program listens there (`ss -ltnp` names it): stop it, or choose another port with {flag}; port 0 takes any"))
        }
        _ => failure.hint(format!("choose another address with {flag}")),
    }
}
