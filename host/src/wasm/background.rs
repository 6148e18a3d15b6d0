//! Low-priority threads for guests that take long: commands, and requests that used up their first slice.
//!
//! Who has the next turn on them, `cpu.rs` says.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::AbortHandle;

use super::cpu::{Account, Turn};
use super::failure::Failure;

/// A guest's whole execution, owning its store.
pub(crate) type Execution = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The low-priority threads.
pub(crate) struct Background {
    runtime: Option<Runtime>,
}

/// How many there are: one for each core.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

impl Background {
    /// Starts the threads, which run when no one else wants the processor.
    pub(crate) fn new() -> std::io::Result<Background> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads())
            .thread_name("guest")
            .on_thread_start(lower_priority)
            // A guest holds its thread for a whole epoch tick, so look for input and newcomers after each.
            .event_interval(1)
            .global_queue_interval(2)
            .enable_all()
            .build()?;
        Ok(Background { runtime: Some(runtime) })
    }

    /// Where to spawn.
    pub(crate) fn handle(&self) -> &Handle {
        self.runtime.as_ref().expect("invariant: taken only when dropped").handle()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// `SCHED_IDLE`, or nice 19 where that is refused.
fn lower_priority() {
    // SAFETY: `sched_param` is plain data; both calls change only the calling thread's own priority.
    unsafe {
        let mut parameters: libc::sched_param = std::mem::zeroed();
        parameters.sched_priority = 0;
        if libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) != 0 {
            libc::setpriority(libc::PRIO_PROCESS, 0, 19);
        }
    }
}

/// Steers one execution from outside: moves it to the background threads, or ends it.
#[derive(Default)]
pub(crate) struct Steering {
    wants_background: AtomicBool,
    in_background: AtomicBool,
    cancelled: AtomicBool,
    abort: Mutex<Option<AbortHandle>>,
    failure: OnceLock<Failure>,
    /// The guest stopped at an epoch check, and wants to go on.
    yielded: AtomicBool,
    /// When the poll under way began, as `measured` has it.
    poll_began_ns: AtomicU64,
    longest_poll_ns: AtomicU64,
}

impl Steering {
    /// Asks for the move at the next yield. Returns whether that is news.
    pub(crate) fn ask_for_background(&self) -> bool {
        !self.in_background.load(Relaxed) && !self.wants_background.swap(true, Relaxed)
    }

    /// Marks an execution that starts on the background threads.
    pub(crate) fn starts_in_background(&self) {
        self.in_background.store(true, Relaxed);
    }

    /// Whether it was moved, or started there.
    pub(crate) fn is_in_background(&self) -> bool {
        self.in_background.load(Relaxed)
    }

    /// Whether the guest must stop at its next epoch check.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Relaxed)
    }

    /// How long the guest has run since it last waited for something, or yielded.
    pub(crate) fn polled_for(&self) -> Duration {
        Duration::from_nanos(now_ns().saturating_sub(self.poll_began_ns.load(Relaxed)))
    }

    /// The longest that the guest ran without waiting, since this was last asked.
    pub(crate) fn take_longest_poll(&self) -> Duration {
        Duration::from_nanos(self.longest_poll_ns.swap(0, Relaxed))
    }

    /// Ends the execution: at its next await or its next epoch tick.
    pub(crate) fn cancel(&self) {
        let abort = self.abort.lock();
        self.cancelled.store(true, Relaxed);
        if let Some(abort) = abort.as_ref() {
            abort.abort();
        }
    }

    /// Leaves word of how the guest failed, before its store is dropped.
    pub(crate) fn failed(&self, failure: Failure) {
        let _ = self.failure.set(failure);
    }

    /// How the guest failed, if it did.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.failure.get()
    }

    /// Remembers the task that the execution starts in, unless it has moved on already.
    pub(crate) fn starts_as(&self, task: AbortHandle) {
        let abort = self.abort.lock();
        if !self.is_in_background() {
            self.remember(abort, task);
        }
    }

    /// Remembers the task on the background threads.
    pub(crate) fn goes_on_as(&self, task: AbortHandle) {
        self.remember(self.abort.lock(), task);
    }

    fn remember(&self, mut abort: MutexGuard<'_, Option<AbortHandle>>, task: AbortHandle) {
        if self.is_cancelled() {
            task.abort();
        }
        *abort = Some(task);
    }
}

/// Runs an execution on the current runtime until it asks to be moved.
pub(crate) struct Movable {
    pub(crate) execution: Option<Execution>,
    pub(crate) steering: Arc<Steering>,
    pub(crate) background: Handle,
}

impl Future for Movable {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(execution) = self.execution.as_mut() else { return Poll::Ready(()) };
        if execution.as_mut().poll(context).is_ready() {
            self.execution = None;
            return Poll::Ready(());
        }
        if !self.steering.wants_background.load(Relaxed) {
            return Poll::Pending;
        }
        self.steering.in_background.store(true, Relaxed);
        if let Some(execution) = self.execution.take() {
            let task = self.background.spawn(execution);
            self.steering.goes_on_as(task.abort_handle());
        }
        Poll::Ready(())
    }
}

/// What a guest does at an epoch yield: the first poll hands control back, the second goes on.
pub(crate) struct Yield {
    steering: Arc<Steering>,
    yielded: bool,
}

impl Yield {
    pub(crate) fn of(steering: Arc<Steering>) -> Yield {
        Yield { steering, yielded: false }
    }
}

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.yielded, true) {
            return Poll::Ready(());
        }
        self.steering.yielded.store(true, Relaxed);
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Runs a guest to its end, and says how much processor time it took; its container is charged after each poll. On the background
/// threads each poll waits for its turn.
///
/// On the serving threads that is the time of the polls; on the background threads, which others interrupt, the thread's own.
pub(crate) async fn measured<F: Future>(
    mut guest: Pin<&mut F>,
    steering: &Steering,
    account: &Account,
) -> (F::Output, Duration) {
    let (mut ns, mut turn) = (0, Turn::of(account));
    let output = std::future::poll_fn(|context| {
        let is_in_background = steering.is_in_background();
        if is_in_background {
            std::task::ready!(turn.poll(context));
        }
        let cpu = if is_in_background { thread_cpu_ns() } else { 0 };
        let began = now_ns();
        steering.poll_began_ns.store(began, Relaxed);
        let polled = guest.as_mut().poll(context);
        let took = match is_in_background {
            true => thread_cpu_ns().saturating_sub(cpu),
            false => now_ns().saturating_sub(began),
        };
        ns += took;
        if took > steering.longest_poll_ns.load(Relaxed) {
            steering.longest_poll_ns.store(took, Relaxed);
        }
        let (took, yielded) = (Duration::from_nanos(took), steering.yielded.swap(false, Relaxed));
        match (is_in_background, yielded) {
            (true, true) => turn.go_on(took, context),
            (true, false) => turn.end(took),
            (false, _) => account.charge(took),
        }
        polled
    })
    .await;
    (output, Duration::from_nanos(ns))
}

/// Time since the first question for it.
fn now_ns() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

fn thread_cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes to the timespec it is given and nothing else.
    if unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) } != 0 {
        return 0;
    }
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}
