//! People who ask pods all the time, through one ingress, and note what failed.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

const CONNECTIONS: usize = 4;
/// Pause of each connection between an answer and the next request.
const PAUSE: Duration = Duration::from_millis(10);
/// An answer that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(5);

/// One kill: when it began, and after how many milliseconds all was well again.
#[derive(Clone, Copy)]
pub(super) struct Kill {
    pub(super) began: Instant,
    pub(super) felt_ms: f64,
}

/// Asks until it is dropped.
pub(super) struct Requests {
    counts: Arc<Counts>,
    began: Instant,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Counts {
    answered: AtomicU64,
    /// When each that failed had failed.
    failed: Mutex<Vec<Instant>>,
    is_over: AtomicBool,
}

impl Requests {
    /// Begins to ask for `http://HOST/`; what fails before the first answer doesn't count.
    pub(super) fn start(ingress: SocketAddr, host: &'static str) -> Requests {
        let counts = Arc::new(Counts::default());
        let shared = counts.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime can be made");
            let all = (0..CONNECTIONS).map(|_| ask(ingress, host, &shared));
            runtime.block_on(futures::future::join_all(all));
        });
        Requests { counts, began: Instant::now(), thread: Some(thread) }
    }

    pub(super) fn answered(&self) -> u64 {
        self.counts.answered.load(Ordering::Relaxed)
    }

    /// How many have failed since something was first killed.
    pub(super) fn failed(&self, kills: &[Kill]) -> usize {
        let failed = self.counts.failed.lock().expect("nobody panics with it");
        let first = kills.first().map(|kill| kill.began);
        failed.iter().filter(|failed| first.is_some_and(|first| **failed > first)).count()
    }

    pub(super) fn per_second(&self) -> f64 {
        self.answered() as f64 / self.began.elapsed().as_secs_f64()
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        self.counts.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn ask(ingress: SocketAddr, host: &str, counts: &Counts) {
    let mut connection = None;
    while !counts.is_over.load(Ordering::Relaxed) {
        let answer = tokio::time::timeout(PATIENCE, ask_once(&mut connection, ingress, host)).await;
        match answer.map_err(anyhow::Error::from).flatten() {
            Ok(()) => drop(counts.answered.fetch_add(1, Ordering::Relaxed)),
            Err(error) => {
                connection = None;
                if counts.answered.load(Ordering::Relaxed) > 0 {
                    eprintln!("a request failed: {error:#}");
                    counts.failed.lock().expect("nobody panics with it").push(Instant::now());
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn ask_once(connection: &mut Option<SendRequest<Empty<Bytes>>>, ingress: SocketAddr, host: &str) -> Result<()> {
    if connection.is_none() {
        let stream = TokioIo::new(TcpStream::connect(ingress).await.context("the ingress takes no connection")?);
        let (sender, task) = http1::handshake(stream).await?;
        tokio::spawn(task);
        *connection = Some(sender);
    }
    let sender = connection.as_mut().context("it has just been opened")?;
    sender.ready().await?;
    let request = http::Request::get("/").header(http::header::HOST, host).body(Empty::new())?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    ensure!(status == 200, "{status}: {}", String::from_utf8_lossy(&body));
    Ok(())
}
