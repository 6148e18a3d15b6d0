//! A `wasi:cli` command: one instance on the background threads, from start to exit; and others that run beside it on demand.
//!
//! Deliberately absent: signals. WASI has none: who imports `coracle:lifecycle` is told of a stop and has its grace, and a stop does to all
//! others what SIGTERM does to a program that handles none.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use wasmtime::Store;

use super::background::{Steering, measured};
use super::component::{CommandPre, Nowhere, Pre, PreparedComponent};
use super::cpu::Account;
use super::engine::Wasm;
use super::failure::Failure;
use super::guest::{Guest, Surroundings, new_store};
use crate::console::Console;
use crate::runtime::{Clock, Container, ExecError, Exit, ExitReason, Start, Stats};

/// 128 + SIGTERM.
const EXIT_STOPPED: i32 = 143;
/// 128 + SIGKILL.
const EXIT_KILLED: i32 = 137;

/// Programs that run beside one container at a time.
const EXECS_MAX: usize = 8;
/// Programs that run beside all containers of a host at a time.
pub(crate) const EXECS_ON_HOST_MAX: usize = 64;

/// A running or ended command.
pub(crate) struct CommandContainer {
    parts: CommandParts,
    steering: Arc<Steering>,
    exit: watch::Sender<Option<Exit>>,
    /// Bounds what runs beside it.
    execs: Arc<Semaphore>,
    /// Its own places, if it runs beside another.
    _places: Option<[OwnedSemaphorePermit; 2]>,
}

/// What a command is made of.
#[derive(Clone)]
pub(crate) struct CommandParts {
    pub(crate) background: Handle,
    pub(crate) prepared: Arc<PreparedComponent>,
    /// In memory as long as it runs.
    pub(crate) pre: Arc<Pre>,
    pub(crate) surroundings: Arc<Surroundings>,
    pub(crate) console: Arc<Console>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) account: Arc<Account>,
    /// Bounds what runs beside all containers.
    pub(crate) execs: Arc<Semaphore>,
}

impl CommandContainer {
    /// Starts the command; in these places, if it runs beside another.
    pub(crate) fn start(parts: CommandParts, places: Option<[OwnedSemaphorePermit; 2]>) -> CommandContainer {
        let container = CommandContainer {
            parts: parts.clone(),
            steering: Arc::new(Steering::default()),
            exit: watch::Sender::new(None),
            execs: Arc::new(Semaphore::new(EXECS_MAX)),
            _places: places,
        };
        container.steering.starts_in_background();
        let (exit, clock, started_at) = (container.exit.clone(), parts.clock.clone(), parts.clock.now());
        let (steering, console) = (container.steering.clone(), parts.console.clone());
        let (background, asked) = (parts.background.clone(), parts.surroundings.clone());
        background.clone().spawn(async move {
            let task = background.spawn(run(parts, steering.clone()));
            steering.goes_on_as(task.abort_handle());
            let ended = task.await.unwrap_or_else(|error| match error.is_cancelled() {
                true => Err(Failure::Interrupted),
                false => Err(Failure::Trap("the host failed while running the component".to_owned())),
            });
            let was_asked = asked.termination.is_cancelled();
            exit.send_replace(Some(exit_of(ended, was_asked, started_at, clock.now())));
            console.finish();
        });
        container
    }
}

async fn run(parts: CommandParts, steering: Arc<Steering>) -> Result<bool, Failure> {
    let CommandParts { prepared, pre, surroundings, account, .. } = parts;
    let (wasm, slots) = (&prepared.traits.wasm, prepared.traits.slots);
    let _ = wasm.slots.acquire(slots, || u32::MAX, u32::MAX).await;
    let _permit = Permit { wasm, slots };
    let mut store = new_store(&wasm.engine, surroundings, steering.clone(), None);
    let guest = std::pin::pin!(call(&pre, &mut store));
    match measured(guest, &steering, &account).await.0 {
        Ok(returned) => Ok(returned.is_ok()),
        Err(error) => Err(Failure::of(&error)),
    }
}

async fn call(pre: &Pre, store: &mut Store<Guest>) -> wasmtime::Result<Result<(), ()>> {
    match pre {
        Pre::Command(CommandPre::V02(pre)) => {
            let command = pre.instantiate_async(&mut *store).await?;
            command.wasi_cli_run().call_run(store).await
        }
        Pre::Command(CommandPre::V03(pre)) => {
            let command = pre.instantiate_async(&mut *store).await?;
            store.run_concurrent(async |accessor| command.wasi_cli_run().call_run(accessor).await).await?
        }
        Pre::Handler(_) => Err(wasmtime::Error::msg("the component is not a command")),
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

/// How it ended; one that was asked to end and had to be ended nevertheless was killed.
fn exit_of(ended: Result<bool, Failure>, was_asked: bool, started_at: Timestamp, finished_at: Timestamp) -> Exit {
    let (code, reason, message) = match ended {
        Ok(true) | Err(Failure::Exit(0)) => (0, ExitReason::Completed, String::new()),
        Ok(false) => (1, ExitReason::Error, String::new()),
        Err(Failure::Exit(code)) => (code, ExitReason::Error, String::new()),
        Err(failure @ Failure::Memory(_)) => (EXIT_KILLED, ExitReason::OomKilled, failure.text()),
        Err(Failure::Interrupted) if was_asked => {
            (EXIT_KILLED, ExitReason::Killed, "it had not ended when its grace was over".to_owned())
        }
        Err(Failure::Interrupted) => (EXIT_STOPPED, ExitReason::Killed, "stopped by the host".to_owned()),
        Err(failure @ Failure::Trap(_)) => (1, ExitReason::Error, failure.text()),
    };
    Exit { code, reason, message, started_at, finished_at }
}

impl Container for CommandContainer {
    fn exited(&self) -> watch::Receiver<Option<Exit>> {
        self.exit.subscribe()
    }

    /// Asks a command that hears it to end within `grace`; then, and others at once, ends it at its next await or epoch tick.
    fn stop(&self, grace: Duration) {
        if !self.parts.prepared.traits.hears_termination {
            return self.steering.cancel();
        }
        self.parts.surroundings.termination.cancel();
        let (mut exited, steering) = (self.exit.subscribe(), self.steering.clone());
        self.parts.background.spawn(async move {
            if tokio::time::timeout(grace, exited.wait_for(Option::is_some)).await.is_err() {
                steering.cancel();
            }
        });
    }

    fn handler(&self) -> Option<Arc<dyn coracle_net::Handler>> {
        None
    }

    fn console(&self) -> Option<Arc<Console>> {
        Some(self.parts.console.clone())
    }

    fn exec(&self, words: Vec<String>, console: Arc<Console>) -> Result<Start, ExecError> {
        let place = |places: &Arc<Semaphore>, what, max| {
            places.clone().try_acquire_owned().map_err(|_| ExecError::TooMany { what, max })
        };
        let places = [
            place(&self.execs, "this container", EXECS_MAX)?,
            place(&self.parts.execs, "the containers of this host", EXECS_ON_HOST_MAX)?,
        ];
        // Memory of its own, as much as the container may have: what runs beside it must not starve it.
        let own = &self.parts.surroundings;
        let (program, args) = words.split_first().map_or(("", [].as_slice()), |(first, rest)| (first.as_str(), rest));
        let nowhere = Arc::new(Nowhere);
        let mut surroundings = Surroundings::new(program, args, own.env.clone(), own.memory.bytes_max, nowhere.clone());
        surroundings.reach = own.reach.for_another(nowhere);
        surroundings.console = Some(console.clone());
        surroundings.mounts.clone_from(&own.mounts);
        surroundings.config = own.config.clone();
        let parts = CommandParts { surroundings: Arc::new(surroundings), console, ..self.parts.clone() };
        Ok(Box::new(move || Arc::new(CommandContainer::start(parts, Some(places)))))
    }

    fn stats(&self) -> Stats {
        let failed = self.exit.borrow().as_ref().is_some_and(|exit| exit.code != 0 && !exit.message.is_empty());
        Stats {
            memory_bytes: self.parts.surroundings.memory.used(),
            cpu_ns: self.parts.account.used_ns(),
            traps: u64::from(failed),
            calls: self.parts.surroundings.reach.calls_sent(),
            ..Stats::default()
        }
    }
}

impl Drop for CommandContainer {
    fn drop(&mut self) {
        self.steering.cancel();
    }
}
