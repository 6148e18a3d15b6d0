//! The ingress: one thread and one single-threaded runtime per worker, each with its own listening socket on the same port.
//!
//! A request is routed once, on an immutable table, and answered by its pod's handler on the thread it arrived at.

mod across;
mod listen;
mod remote;
mod request;
mod stall;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

pub use remote::Remote;
pub(crate) use request::unavailable;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::metrics::Metrics;
use crate::routes::RoutingTable;
use crate::transport::Transport;

/// What a client may take of the ingress.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The most bytes of a request's head.
    pub header_bytes_max: usize,
    /// The most bytes of a request's body.
    pub body_bytes_max: u64,
    /// The longest time for a request's head to arrive; also how long an idle connection is kept.
    pub header_timeout: Duration,
    /// The longest time for which a client may take nothing of an answer that waits for it.
    pub write_stall_timeout: Duration,
    /// The longest time to connect to an endpoint elsewhere.
    pub remote_connect_timeout: Duration,
    /// The longest time for an endpoint elsewhere to begin its answer.
    pub remote_answer_timeout: Duration,
    /// The most open connections of a worker; further ones wait to be accepted.
    pub connections_max: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            header_bytes_max: 64 * 1024,
            body_bytes_max: 256 * 1024 * 1024,
            header_timeout: Duration::from_secs(30),
            write_stall_timeout: Duration::from_secs(60),
            remote_connect_timeout: Duration::from_secs(2),
            remote_answer_timeout: Duration::from_secs(60),
            connections_max: 16_384,
        }
    }
}

/// How to start an ingress.
pub struct IngressOptions {
    /// Where to listen; port 0 takes a free one.
    pub addr: SocketAddr,
    /// How many workers; one per core is right.
    pub workers: usize,
    /// The routing table, swapped by its owner.
    pub routes: Arc<ArcSwap<RoutingTable>>,
    /// The way to the pods of other hosts.
    pub transport: Arc<Transport>,
    /// Where to count; made for as many workers.
    pub metrics: Arc<Metrics>,
    /// Differs between starts (the time, or random): generated request ids begin with it.
    pub seed: u32,
    /// What a client may take.
    pub limits: Limits,
}

/// Starts ingresses.
pub struct Ingress;

impl Ingress {
    /// Binds and serves. Fails if the address is taken, also by another ingress.
    pub fn start(options: IngressOptions) -> io::Result<Running> {
        let listeners = listen::bind(options.addr, options.workers.max(1))?;
        let local_addr = listeners[0].local_addr()?;
        let mut running = Running { local_addr, workers: Vec::with_capacity(listeners.len()) };
        for (index, listener) in listeners.into_iter().enumerate() {
            let (drain, draining) = watch::channel(None);
            let shared = worker::Shared {
                routes: options.routes.clone(),
                metrics: options.metrics.clone(),
                transport: options.transport.clone(),
                limits: options.limits.clone(),
                seed: options.seed,
            };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let listener = {
                let _entered = runtime.enter();
                tokio::net::TcpListener::from_std(listener)?
            };
            let serve = move || runtime.block_on(worker::run(index, listener, shared, draining));
            let thread = std::thread::Builder::new().name(format!("ingress-{index}")).spawn(serve)?;
            running.workers.push(RunningWorker { drain, thread });
        }
        Ok(running)
    }
}

/// A serving ingress. Dropping it stops it without waiting for requests.
pub struct Running {
    local_addr: SocketAddr,
    workers: Vec<RunningWorker>,
}

struct RunningWorker {
    /// Takes how long to wait for requests in flight; dropped, it ends the worker at once.
    drain: watch::Sender<Option<Duration>>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Takes no new connections, lets the requests in flight end for at most `grace`, then closes what is left.
    pub async fn shutdown(mut self, grace: Duration) {
        let workers = std::mem::take(&mut self.workers);
        for worker in &workers {
            worker.drain.send_replace(Some(grace));
        }
        let join = || workers.into_iter().map(|worker| worker.thread.join()).filter(Result::is_err).count();
        match tokio::task::spawn_blocking(join).await {
            Ok(0) => {}
            panicked => tracing::error!(?panicked, "ingress workers had panicked"),
        }
    }
}

#[cfg(test)]
mod tests;
