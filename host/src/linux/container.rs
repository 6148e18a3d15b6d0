//! A Linux container that runs, or a program beside its own within it: one task passes on what it prints, and waits for its end.
//!
//! Deliberately absent: handling of requests. What a container listens on, nobody reaches yet.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use rustix::process::Signal;
use tokio::io::AsyncWriteExt as _;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::Shared;
use super::cgroup::Cgroup;
use super::launch::{Launched, Process};
use crate::console::{Closed, Console};
use crate::lines::Lines;
use crate::runtime::{Container, ExecError, Exit, ExitReason, LogSink, Start, Stats, Stream};

/// Bytes taken at a time.
const READ_BYTES: usize = 16 << 10;
/// How long what was printed is waited for after the end: others may hold the pipe open.
const DRAIN_MAX: Duration = Duration::from_secs(1);
/// Programs that run within one container at a time, besides its own.
const EXECS_MAX: u32 = 8;
/// The OCI runtime writes down the id of a program a moment after it has begun: it is looked for so often.
const KILL_TRIES: u32 = 100;
const KILL_PAUSE: Duration = Duration::from_millis(10);
/// 128 and SIGKILL.
const EXIT_KILLED: i32 = 137;
/// As shells and container runtimes have it: the program could not be run.
const EXIT_NOT_RUN: i32 = 126;

/// A container.
pub(crate) struct LinuxContainer {
    shared: Arc<Shared>,
    id: Arc<str>,
    cgroup: Cgroup,
    program: Program,
    execs: Arc<AtomicU32>,
}

/// A program under supervision: a container's own, or one beside it.
struct Program {
    exit: watch::Sender<Option<Exit>>,
    /// When it is to be killed at the latest.
    stop: watch::Sender<Option<Instant>>,
    console: Arc<Console>,
}

impl Program {
    fn new(console: Arc<Console>) -> Program {
        Program { exit: watch::Sender::new(None), stop: watch::Sender::new(None), console }
    }

    fn stop(&self, grace: Duration) {
        let by = Instant::now() + grace;
        self.stop.send_if_modified(|stop| {
            let is_sooner = stop.is_none_or(|before| by < before);
            if is_sooner {
                *stop = Some(by);
            }
            is_sooner
        });
    }
}

impl LinuxContainer {
    /// Takes charge of a container that has just been started.
    pub(crate) fn supervise(
        shared: Arc<Shared>,
        id: Arc<str>,
        launched: Launched,
        stop_signal: Signal,
        console: Console,
        logs: Arc<dyn LogSink>,
    ) -> LinuxContainer {
        let cgroup = Cgroup::new(shared.containers.layout, &id);
        let program = Program::new(Arc::new(console));
        let container = LinuxContainer { shared, id, cgroup, program, execs: Arc::default() };
        let LinuxContainer { shared, id, cgroup, program, .. } = &container;
        let (shared, id, cgroup, console) = (shared.clone(), id.clone(), cgroup.clone(), program.console.clone());
        let (exit, mut stop) = (program.exit.clone(), program.stop.subscribe());
        let started_at = shared.clock.now();
        tokio::spawn(async move {
            let process = launched.process.clone();
            let kill = Kill { process: &process };
            let ended = async {
                let watched = watched(&process)?;
                tokio::select! {
                    ready = watched.readable() => drop(ready?),
                    () = end(&mut stop, |grace_is_over| process.signal(if grace_is_over { Signal::KILL } else { stop_signal })) => {}
                }
                process.reap()
            };
            let streams = Streams::new(launched, Some(logs), &console);
            let code = attend(ended, streams).await;
            let ending = ending(code, cgroup.is_oom_killed(), started_at, shared.clock.now());
            drop(kill);
            exit.send_replace(Some(ending));
            console.finish();
            let containers = shared.containers.clone();
            shared.quarters.begin(move || containers.remove(&id));
        });
        container
    }
}

/// What is readable when it has ended.
fn watched(process: &Process) -> io::Result<AsyncFd<OwnedFd>> {
    let descriptor = process.descriptor()?;
    // SAFETY: the descriptor is owned by what watches it, and closed only after it is watched no more.
    Ok(unsafe { AsyncFd::register(descriptor) }?)
}

/// Nothing runs unsupervised: with its task, the container goes.
struct Kill<'a> {
    process: &'a Process,
}

impl Drop for Kill<'_> {
    fn drop(&mut self) {
        self.process.signal(Signal::KILL);
    }
}

/// Asks to end when that is wanted, and again when the time for it is over; then never returns.
async fn end(stop: &mut watch::Receiver<Option<Instant>>, signal: impl Fn(bool)) {
    let mut is_asked = false;
    loop {
        let by = *stop.borrow_and_update();
        if by.is_some_and(|by| by <= Instant::now()) {
            signal(true);
            return std::future::pending().await;
        }
        if by.is_some() && !is_asked {
            is_asked = true;
            signal(false);
        }
        let timer = async {
            match by {
                Some(by) => sleep_until(by).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = timer => {}
            changed = stop.changed() => if changed.is_err() {
                // Whoever could ask is gone, and nobody wants it any more.
                signal(true);
                return std::future::pending().await;
            }
        }
    }
}

fn ending(code: io::Result<i32>, is_oom_killed: bool, started_at: Timestamp, finished_at: Timestamp) -> Exit {
    let (code, message) = match code {
        Ok(code) => (code, String::new()),
        Err(error) => (EXIT_KILLED, format!("the host lost the container: {error}")),
    };
    let reason = match code {
        0 => ExitReason::Completed,
        _ if is_oom_killed => ExitReason::OomKilled,
        _ => ExitReason::Error,
    };
    Exit { code, reason, message, started_at, finished_at }
}

/// The standard streams of a program, at this end.
struct Streams<'a> {
    outputs: [(Stream, OwnedFd); 2],
    stdin: Option<OwnedFd>,
    logs: Option<Arc<dyn LogSink>>,
    console: &'a Console,
}

impl<'a> Streams<'a> {
    fn new(launched: Launched, logs: Option<Arc<dyn LogSink>>, console: &'a Console) -> Streams<'a> {
        let outputs = [(Stream::Stdout, launched.stdout.into()), (Stream::Stderr, launched.stderr.into())];
        Streams { outputs, stdin: launched.stdin.map(OwnedFd::from), logs, console }
    }
}

/// Passes on what a program prints and is given until it has ended and all is said.
async fn attend(ended: impl Future<Output = io::Result<i32>>, streams: Streams<'_>) -> io::Result<i32> {
    let Streams { outputs, stdin, logs, console } = streams;
    let [stdout, stderr] = outputs.map(|(stream, fd)| pass_on(stream, fd, logs.clone(), console));
    let printed = async { tokio::join!(stdout, stderr) };
    let input = feed(stdin, console);
    tokio::pin!(ended, printed, input);
    let (mut is_printed, mut is_fed) = (false, false);
    let code = loop {
        tokio::select! {
            code = &mut ended => break code,
            _ = &mut printed, if !is_printed => is_printed = true,
            () = &mut input, if !is_fed => is_fed = true,
        }
    };
    if !is_printed {
        let _ = tokio::time::timeout(DRAIN_MAX, printed).await;
    }
    code
}

/// One output stream, into the log and to whoever is attached.
async fn pass_on(stream: Stream, fd: OwnedFd, logs: Option<Arc<dyn LogSink>>, console: &Console) {
    let mut lines = logs.map(|logs| Lines::new(logs, stream));
    let Ok(mut pipe) = set_nonblocking(&fd).and_then(|()| pipe::Receiver::from_owned_fd_unchecked(fd)) else { return };
    while pipe.readable().await.is_ok() {
        console.writable().await;
        match take(&mut pipe, stream, lines.as_mut(), console) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// Takes what is there, by way of the stack: a container that prints nothing holds no buffer.
fn take(pipe: &mut pipe::Receiver, stream: Stream, lines: Option<&mut Lines>, console: &Console) -> io::Result<usize> {
    let mut buffer = [0; READ_BYTES];
    let count = pipe.try_read(&mut buffer)?;
    if let Some(lines) = lines {
        lines.append(&buffer[..count]);
    }
    if count > 0 {
        console.write(stream, &buffer[..count]);
    }
    Ok(count)
}

/// The input, from whoever is attached; closed when no more will come.
async fn feed(stdin: Option<OwnedFd>, console: &Console) {
    let Some(fd) = stdin else { return };
    let Ok(mut pipe) = set_nonblocking(&fd).and_then(|()| pipe::Sender::from_owned_fd_unchecked(fd)) else { return };
    loop {
        console.readable().await;
        match console.take_input(READ_BYTES) {
            Ok(bytes) if bytes.is_empty() => {}
            Ok(bytes) => {
                if pipe.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Err(Closed) => return,
        }
    }
}

fn set_nonblocking(fd: &OwnedFd) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(fd, true)?)
}

impl Container for LinuxContainer {
    fn exited(&self) -> watch::Receiver<Option<Exit>> {
        self.program.exit.subscribe()
    }

    fn stop(&self, grace: Duration) {
        self.program.stop(grace);
    }

    fn handler(&self) -> Option<Arc<dyn coracle_net::Handler>> {
        None
    }

    fn stats(&self) -> Stats {
        if self.program.exit.borrow().is_some() {
            return Stats::default();
        }
        Stats { cpu_ns: self.cgroup.cpu_ns(), memory_bytes: self.cgroup.memory_bytes(), ..Stats::default() }
    }

    fn console(&self) -> Option<Arc<Console>> {
        Some(self.program.console.clone())
    }

    fn exec(&self, words: Vec<String>, console: Arc<Console>) -> Result<Start, ExecError> {
        let place = Place::take(&self.execs)?;
        let (shared, id) = (self.shared.clone(), self.id.clone());
        Ok(Box::new(move || Arc::new(LinuxExec::start(shared, id, words, console, place))))
    }
}

/// One of a container's places for programs beside its own.
struct Place(Arc<AtomicU32>);

impl Place {
    fn take(places: &Arc<AtomicU32>) -> Result<Place, ExecError> {
        let more = |count| (count < EXECS_MAX).then_some(count + 1);
        let taken = places.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.map_err(|_| ExecError::TooMany { what: "this container", max: EXECS_MAX as usize })?;
        Ok(Place(places.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A program within a container, besides its own.
struct LinuxExec {
    program: Program,
}

impl LinuxExec {
    fn start(shared: Arc<Shared>, id: Arc<str>, words: Vec<String>, console: Arc<Console>, place: Place) -> LinuxExec {
        let exec = LinuxExec { program: Program::new(console.clone()) };
        let (exit, mut stop) = (exec.program.exit.clone(), exec.program.stop.subscribe());
        tokio::spawn(async move {
            let started_at = shared.clock.now();
            let (code, message) = run(&shared, &id, words, &console, &mut stop).await;
            let ended = Exit { message, ..ending(Ok(code), false, started_at, shared.clock.now()) };
            exit.send_replace(Some(ended));
            console.finish();
            drop(place);
        });
        exec
    }
}

/// Runs a program to its end; its exit code, and why where the host is at fault.
async fn run(
    shared: &Arc<Shared>,
    id: &Arc<str>,
    words: Vec<String>,
    console: &Console,
    stop: &mut watch::Receiver<Option<Instant>>,
) -> (i32, String) {
    let name = shared.next_name("exec");
    let [pid_file, log] =
        [".pid", ".log"].map(|suffix| shared.containers.dir.join(&**id).join(format!("{name}{suffix}")));
    let launched = {
        let (containers, id, stdin) = (shared.containers.clone(), id.clone(), console.stdin());
        let (pid_file, log) = (pid_file.clone(), log.clone());
        shared.quarters.run(move || containers.exec(&id, &words, stdin, &pid_file, &log)).await
    };
    let launched = match launched.flatten() {
        Ok(launched) => launched,
        Err(error) => return (EXIT_NOT_RUN, format!("the OCI runtime cannot be started: {error}")),
    };
    let process = launched.process.clone();
    let kill = ExecKill { shared, id, pid_file: &pid_file, process: &process };
    let ended = async {
        let watched = watched(&process)?;
        tokio::select! {
            ready = watched.readable() => drop(ready?),
            () = kill.when_wanted(stop) => {}
        }
        process.reap()
    };
    let code = attend(ended, Streams::new(launched, None, console)).await;
    for path in [&pid_file, &log] {
        // Gone with the container otherwise.
        let _ = std::fs::remove_file(path);
    }
    match code {
        // What the OCI runtime has to say, it prints.
        Ok(code) => (code, String::new()),
        Err(error) => (EXIT_KILLED, format!("the host lost the program: {error}")),
    }
}

/// Ends a program within a container; the OCI runtime's own process ends with it.
struct ExecKill<'a> {
    shared: &'a Shared,
    id: &'a str,
    pid_file: &'a PathBuf,
    process: &'a Process,
}

impl ExecKill<'_> {
    /// Kills it as soon as that is wanted; never returns.
    async fn when_wanted(&self, stop: &mut watch::Receiver<Option<Instant>>) {
        // Who could ask and is gone wants it no more.
        drop(stop.wait_for(Option::is_some).await);
        for _ in 0..KILL_TRIES {
            if self.shared.containers.kill_exec(self.id, self.pid_file) {
                return std::future::pending().await;
            }
            tokio::time::sleep(KILL_PAUSE).await;
        }
        self.process.signal(Signal::TERM);
        std::future::pending().await
    }
}

impl Container for LinuxExec {
    fn exited(&self) -> watch::Receiver<Option<Exit>> {
        self.program.exit.subscribe()
    }

    fn stop(&self, grace: Duration) {
        self.program.stop(grace);
    }

    fn handler(&self) -> Option<Arc<dyn coracle_net::Handler>> {
        None
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }

    fn console(&self) -> Option<Arc<Console>> {
        Some(self.program.console.clone())
    }

    fn exec(&self, _: Vec<String>, _: Arc<Console>) -> Result<Start, ExecError> {
        Err(ExecError::NotACommand)
    }
}
