//! A runtime that is tokio, or, on a thread that runs a simulation, the simulation: one order of events for each seed, and a clock that
//! jumps to the next one.
//!
//! Deliberately absent: processors that take time. In a simulation only the disk does, the network that a test lays, and timers.

use std::convert::Infallible;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::TryFutureExt as _;
use futures::future::{Either, MapErr};
use openraft::async_runtime::{AsyncRuntime, instant};
use openraft_rt_sim::{SimInstant, SimJoinHandle, SimRuntime, SimSleep, SimTimeout, SimWatch};
use openraft_rt_tokio::{TokioMpsc, TokioMutex, TokioOneshot};
use rand_core::{Rng as _, TryRng};

use super::Random;

/// The longest that a simulated disk takes for what waits.
const DISK_DELAY_US_MAX: u64 = 4_000;
/// An instant may have others well before it.
const AGE: Duration = Duration::from_secs(86_400);

/// Tokio, or the simulation that this thread runs.
#[derive(Debug)]
pub struct Runtime;

fn is_simulated() -> bool {
    SimInstant::try_now().is_some()
}

/// A point on the clock of the machine, or of the simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(Duration);

impl instant::Instant for Instant {
    fn now() -> Instant {
        static BEGIN: OnceLock<tokio::time::Instant> = OnceLock::new();
        let since = match SimInstant::try_now() {
            Some(now) => now.elapsed_since_start(),
            None => BEGIN.get_or_init(tokio::time::Instant::now).elapsed(),
        };
        Instant(AGE + since)
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, duration: Duration) -> Instant {
        Instant(self.0 + duration)
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        self.0 += duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;

    fn sub(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_sub(duration))
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;

    fn sub(self, earlier: Instant) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Why a future that was waited for has no value.
#[derive(Debug)]
pub struct Failed {
    reason: String,
    is_panic: bool,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Failed {}

impl Failed {
    fn of_tokio_task(error: tokio::task::JoinError) -> Failed {
        Failed { reason: error.to_string(), is_panic: error.is_panic() }
    }

    fn of_simulated_task(error: openraft_rt_sim::SimJoinError) -> Failed {
        Failed { reason: error.to_string(), is_panic: SimRuntime::is_panic(&error) }
    }

    fn in_time(error: impl fmt::Display) -> Failed {
        Failed { reason: error.to_string(), is_panic: false }
    }
}

/// Numbers from the simulation's seed, or by chance.
#[derive(Debug)]
pub struct ThreadRandom(Random);

impl ThreadRandom {
    fn new() -> ThreadRandom {
        let seed = if is_simulated() { SimRuntime::thread_rng().next_u64() } else { RandomState::new().hash_one(()) };
        ThreadRandom(Random::new(seed))
    }
}

impl TryRng for ThreadRandom {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::try_from(self.0.below(1 << 32)).expect("it is below 2^32"))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.number())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill_with(|| self.0.number().to_le_bytes()[0]);
        Ok(())
    }
}

type Mapped<F, E> = MapErr<F, fn(E) -> Failed>;

impl AsyncRuntime for Runtime {
    type JoinError = Failed;
    type JoinHandle<T: Send + 'static> = Either<
        Mapped<tokio::task::JoinHandle<T>, tokio::task::JoinError>,
        Mapped<SimJoinHandle<T>, openraft_rt_sim::SimJoinError>,
    >;
    type Sleep = Either<tokio::time::Sleep, SimSleep>;
    type Instant = Instant;
    type TimeoutError = Failed;
    type Timeout<R, T: Future<Output = R> + Send> = Either<
        Mapped<tokio::time::Timeout<T>, tokio::time::error::Elapsed>,
        Mapped<SimTimeout<T>, openraft_rt_sim::Elapsed>,
    >;
    type ThreadLocalRng = ThreadRandom;
    type Mpsc = TokioMpsc;
    type Watch = SimWatch;
    type Oneshot = TokioOneshot;
    type Mutex<T: Send + 'static> = TokioMutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + Send + 'static,
        T::Output: Send + 'static,
    {
        if is_simulated() {
            return Either::Right(SimRuntime::spawn(future).map_err(Failed::of_simulated_task));
        }
        Either::Left(tokio::spawn(future).map_err(Failed::of_tokio_task))
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        if is_simulated() {
            return Either::Right(SimRuntime::sleep(duration));
        }
        Either::Left(tokio::time::sleep(duration))
    }

    fn sleep_until(deadline: Instant) -> Self::Sleep {
        Self::sleep(deadline - <Instant as instant::Instant>::now())
    }

    fn timeout<R, F: Future<Output = R> + Send>(duration: Duration, future: F) -> Self::Timeout<R, F> {
        if is_simulated() {
            return Either::Right(SimRuntime::timeout(duration, future).map_err(Failed::in_time));
        }
        Either::Left(tokio::time::timeout(duration, future).map_err(Failed::in_time))
    }

    fn timeout_at<R, F: Future<Output = R> + Send>(deadline: Instant, future: F) -> Self::Timeout<R, F> {
        Self::timeout(deadline - <Instant as instant::Instant>::now(), future)
    }

    fn is_panic(error: &Failed) -> bool {
        error.is_panic
    }

    fn thread_rng() -> ThreadRandom {
        ThreadRandom::new()
    }

    fn new(_threads: usize) -> Runtime {
        Runtime
    }

    fn block_on<F: Future<Output = T>, T>(&mut self, future: F) -> T {
        SimRuntime::with_seed(0).block_on(future)
    }

    fn spawn_blocking<F, T>(work: F) -> impl Future<Output = Result<T, io::Error>> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        if is_simulated() {
            let done = SimRuntime::spawn(async {
                SimRuntime::sleep(disk_delay()).await;
                work()
            });
            return Either::Right(done.map_err(io::Error::other));
        }
        Either::Left(tokio::task::spawn_blocking(work).map_err(io::Error::other))
    }
}

/// Does work that blocks: on a thread of its own; in a simulation as a task that is late whenever it is woken, as a disk would make it.
pub(crate) fn start_thread(name: &str, work: impl Future<Output = ()> + Send + 'static) {
    if is_simulated() {
        drop(SimRuntime::spawn(Late { work: Box::pin(work), delay: None }));
        return;
    }
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(|| futures::executor::block_on(work))
        .expect("the system starts a thread");
}

fn disk_delay() -> Duration {
    Duration::from_micros(ThreadRandom::new().0.below(DISK_DELAY_US_MAX))
}

struct Late<F> {
    work: Pin<Box<F>>,
    delay: Option<Pin<Box<SimSleep>>>,
}

impl<F: Future<Output = ()>> Future for Late<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let delay = self.delay.get_or_insert_with(|| Box::pin(SimRuntime::sleep(disk_delay())));
        ready!(delay.as_mut().poll(context));
        self.delay = None;
        self.work.as_mut().poll(context)
    }
}
