//! A `wasi:cli` command: one instance on the background threads, from start to exit.
//!
//! Deliberately absent: signals. WASI 0.2 has none, so a stop does what SIGTERM does to a program that ignores nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::watch;
use wasmtime_wasi::p2::bindings::CommandPre;

use super::background::{Steering, measured};
use super::engine::Wasm;
use super::failure::Failure;
use super::guest::{Guest, Surroundings, new_store};
use crate::runtime::{Clock, Container, Exit, ExitReason, Stats};

/// 128 + SIGTERM.
const EXIT_STOPPED: i32 = 143;
/// 128 + SIGKILL.
const EXIT_KILLED: i32 = 137;

/// A running or ended command.
pub(crate) struct CommandContainer {
    surroundings: Arc<Surroundings>,
    steering: Arc<Steering>,
    cpu_ns: Arc<AtomicU64>,
    exit: watch::Sender<Option<Exit>>,
}

/// What a command is made of.
pub(crate) struct CommandParts {
    pub(crate) wasm: Arc<Wasm>,
    pub(crate) background: Handle,
    pub(crate) slots: u32,
    pub(crate) pre: CommandPre<Guest>,
    pub(crate) surroundings: Arc<Surroundings>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl CommandContainer {
    /// Starts the command.
    pub(crate) fn start(parts: CommandParts) -> CommandContainer {
        let container = CommandContainer {
            surroundings: parts.surroundings.clone(),
            steering: Arc::new(Steering::default()),
            cpu_ns: Arc::default(),
            exit: watch::Sender::new(None),
        };
        container.steering.starts_in_background();
        let (exit, clock, started_at) = (container.exit.clone(), parts.clock.clone(), parts.clock.now());
        let (steering, cpu_ns) = (container.steering.clone(), container.cpu_ns.clone());
        let background = parts.background.clone();
        background.clone().spawn(async move {
            let task = background.spawn(run(parts, steering.clone(), cpu_ns));
            steering.goes_on_as(task.abort_handle());
            let ended = task.await.unwrap_or_else(|error| match error.is_cancelled() {
                true => Err(Failure::Interrupted),
                false => Err(Failure::Trap("the host failed while running the component".to_owned())),
            });
            exit.send_replace(Some(exit_of(ended, started_at, clock.now())));
        });
        container
    }
}

async fn run(parts: CommandParts, steering: Arc<Steering>, cpu_ns: Arc<AtomicU64>) -> Result<bool, Failure> {
    let CommandParts { wasm, slots, pre, surroundings, .. } = parts;
    let _ = wasm.slots.acquire(slots, || u32::MAX, u32::MAX).await;
    let _permit = Permit { wasm: &wasm, slots };
    let mut store = new_store(&wasm.engine, surroundings, steering.clone(), None);
    let guest = std::pin::pin!(async {
        let command = pre.instantiate_async(&mut store).await?;
        command.wasi_cli_run().call_run(&mut store).await
    });
    match measured(guest, &steering, &cpu_ns).await.0 {
        Ok(returned) => Ok(returned.is_ok()),
        Err(error) => Err(Failure::of(&error)),
    }
}

struct Permit<'a> {
    wasm: &'a Wasm,
    slots: u32,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.wasm.slots.release(self.slots);
    }
}

fn exit_of(ended: Result<bool, Failure>, started_at: Timestamp, finished_at: Timestamp) -> Exit {
    let (code, reason, message) = match ended {
        Ok(true) | Err(Failure::Exit(0)) => (0, ExitReason::Completed, String::new()),
        Ok(false) => (1, ExitReason::Error, String::new()),
        Err(Failure::Exit(code)) => (code, ExitReason::Error, String::new()),
        Err(failure @ Failure::Memory(_)) => (EXIT_KILLED, ExitReason::OomKilled, failure.text()),
        Err(Failure::Interrupted) => (EXIT_STOPPED, ExitReason::Killed, "stopped by the host".to_owned()),
        Err(failure @ Failure::Trap(_)) => (1, ExitReason::Error, failure.text()),
    };
    Exit { code, reason, message, started_at, finished_at }
}

impl Container for CommandContainer {
    fn exited(&self) -> watch::Receiver<Option<Exit>> {
        self.exit.subscribe()
    }

    /// Ends the command at its next await or epoch tick; a guest cannot be told to, so there is nothing to wait for.
    fn stop(&self, _grace: Duration) {
        self.steering.cancel();
    }

    fn handler(&self) -> Option<Arc<dyn coracle_net::Handler>> {
        None
    }

    fn stats(&self) -> Stats {
        let failed = self.exit.borrow().as_ref().is_some_and(|exit| exit.code != 0 && !exit.message.is_empty());
        Stats {
            memory_bytes: self.surroundings.memory.used(),
            cpu_ns: self.cpu_ns.load(Relaxed),
            traps: u64::from(failed),
            ..Stats::default()
        }
    }
}

impl Drop for CommandContainer {
    fn drop(&mut self) {
        self.steering.cancel();
    }
}
