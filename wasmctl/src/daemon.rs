//! What the verbs that keep running share: their runtime, their sockets, and how they end.

use std::fmt::Display;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::failure::{Failure, Result};

/// Says a line on standard output. Whoever read it may have gone, which is no reason to end.
macro_rules! say {
    ($($line:tt)*) => {{
        use ::std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($line)*);
    }};
}
pub(crate) use say;

/// How long the parts get to end what they are doing.
pub(crate) const STOP_GRACE: Duration = Duration::from_secs(5);

/// How long to wait before the others are asked again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

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

/// Asks until the answer is that all is well, however long it takes, and says on standard error what it waits for.
pub(crate) async fn until_ready<News: Display>(whom: &str, ask: impl AsyncFn() -> std::result::Result<(), News>) {
    let mut told = String::new();
    while let Err(news) = ask().await {
        let news = news.to_string();
        if news != told {
            let _ = writeln!(std::io::stderr(), "waiting for {whom}: {}", news.trim_end());
            told = news;
        }
        tokio::time::sleep(RETRY_DELAY).await;
    }
}

/// The machine's name, as names of objects are written.
pub(crate) fn machine_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase()
}

/// Tells tasks to end, and waits for them.
pub(crate) async fn end(shutdown: &CancellationToken, tasks: &TaskTracker) {
    shutdown.cancel();
    tasks.close();
    if tokio::time::timeout(STOP_GRACE, tasks.wait()).await.is_err() {
        tracing::warn!("a part did not stop in time; it is cut off");
    }
}

/// The share of its time after which one of this process's certificates is renewed: drawn, so that machines that started together don't
/// ask together.
pub(crate) fn renewal_share() -> f64 {
    rand::random_range(0.7..0.9)
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

/// The address of this machine that others use.
#[derive(Clone, Debug)]
pub(crate) struct Advertised {
    /// As it was given: a name or an address.
    pub(crate) name: String,
    /// What it stands for.
    pub(crate) ip: IpAddr,
}

impl Advertised {
    /// Looks a name up, once.
    pub(crate) fn look_up(name: &str) -> Result<Advertised> {
        let failure = |reason: String| {
            Failure::usage(format!("--advertise {name}: {reason}"))
                .hint("give an address of this machine, or a name that stands for one, without a port")
        };
        if name.parse::<IpAddr>().is_err() && name.contains(['[', ']', '/', ':']) {
            return Err(failure("it is no plain address or name".to_owned()));
        }
        let ip = match name.parse() {
            Ok(ip) => Some(ip),
            Err(_) => {
                let found = (name, 0).to_socket_addrs().map_err(|error| failure(error.to_string()))?;
                found.map(|found| found.ip()).next()
            }
        };
        match ip {
            Some(ip) if !ip.is_unspecified() && !ip.is_multicast() && ip != Ipv4Addr::BROADCAST => {
                Ok(Advertised { name: name.to_owned(), ip })
            }
            _ => Err(failure("it is no address that others could use".to_owned())),
        }
    }

    /// Host and port, as others write them.
    pub(crate) fn with_port(&self, port: u16) -> String {
        match self.name.parse::<Ipv6Addr>() {
            Ok(ip) => format!("[{ip}]:{port}"),
            Err(_) => format!("{}:{port}", self.name),
        }
    }
}

/// Where to listen so that an address can be used: everywhere, if others are to use it.
pub(crate) fn listening(ip: IpAddr) -> IpAddr {
    match ip {
        ip if ip.is_loopback() => ip,
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// How this machine itself reaches what listens here.
pub(crate) fn from_here(addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, addr.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, addr.port()).into(),
        _ => addr,
    }
}

/// Lets this process have as many open files as the system allows it: pods' connections are among them.
pub(crate) fn raise_open_files_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Where it stays as it was, fewer connections fit.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn who_advertises_gives_an_address_without_a_port() {
        let read = ["10.0.0.1", "fd00::1", "10.0.0.1:6443", "[fd00::1]", "https://10.0.0.1", "0.0.0.0"];
        let told = read.map(|name| match Advertised::look_up(name) {
            Ok(advertised) => format!("{}\n", advertised.with_port(6443)),
            Err(failure) => format!("{failure}\n"),
        });
        expect![[r#"
            10.0.0.1:6443
            [fd00::1]:6443
            --advertise 10.0.0.1:6443: it is no plain address or name
            hint: give an address of this machine, or a name that stands for one, without a port

            --advertise [fd00::1]: it is no plain address or name
            hint: give an address of this machine, or a name that stands for one, without a port

            --advertise https://10.0.0.1: it is no plain address or name
            hint: give an address of this machine, or a name that stands for one, without a port

            --advertise 0.0.0.0: it is no address that others could use
            hint: give an address of this machine, or a name that stands for one, without a port

        "#]]
        .assert_eq(&told.concat());
    }
}
