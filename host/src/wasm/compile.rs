//! Compiles a component, or several that are joined, in a child process under limits, because compilers can be bombed.
//!
//! Deliberately absent: trust in the child. It gets no key; what it wrote is sealed by the parent.

use std::ffi::OsStr;
use std::hash::{Hash, Hasher};
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, getpriority_process, nice, setpriority_process, setrlimit};
use tokio::io::AsyncReadExt;
use wasmtime::Engine;

use super::compilations::Urgency;
use super::compose::{Source, compose};
use super::engine::compile_config;
use super::failure::one_line;
use super::limits::Bytes;
use super::merge::merge;
use super::parts::PartFile;
use crate::inspect::Wasi;
use crate::runtime::StartError;

/// What one compilation may use.
#[derive(Clone, Debug)]
pub struct CompileLimits {
    /// Bytes of the component.
    pub component_bytes_max: u64,
    /// Address space of the compiler.
    pub memory_bytes_max: u64,
    /// Processor time of the compiler, over all its threads.
    pub cpu_max: Duration,
    /// Time until the compiler is killed: on a busy machine, a multiple of its processor time.
    pub wall_max: Duration,
}

impl Default for CompileLimits {
    fn default() -> CompileLimits {
        CompileLimits {
            component_bytes_max: 64 << 20,
            memory_bytes_max: 4 << 30,
            cpu_max: Duration::from_secs(120),
            wall_max: Duration::from_secs(600),
        }
    }
}

/// The program that compiles.
#[derive(Clone, Debug)]
pub struct Compiler {
    /// Its file.
    pub exe: PathBuf,
    /// What makes it compile: `internal-compile` for `wasmctl`.
    pub leading_args: Vec<String>,
}

/// How much more willing to wait for a processor a compiler is that nobody waits for,
const AHEAD_NICENESS: i32 = 10;
/// and how many times as long it may take.
const AHEAD_WALL_FACTOR: u32 = 5;
const EXIT_COMPILE_FAILED: u8 = 10;
const EXIT_OTHER_ENGINE: u8 = 11;
const EXIT_INPUT_OUTPUT: u8 = 12;
const EXIT_NOT_LINKED: u8 = 13;
/// What a compiler says that ran out of address space: in an allocation, a mapping, or a thread's stack.
const OUT_OF_MEMORY: [&str; 3] = ["memory allocation of", "Cannot allocate memory", "Resource temporarily unavailable"];
const STDERR_BYTES_MAX: u64 = 64 << 10;

/// Names everything that compiled code depends on besides the component.
pub(crate) fn engine_hash(engine: &Engine) -> String {
    #[expect(deprecated, reason = "the one hasher whose output is the same in every process of one build")]
    let mut hasher = std::hash::SipHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Compiles what the files make into `output`; until it is urgent, behind all others.
pub(crate) async fn compile_in_child(
    compiler: &Compiler,
    limits: &CompileLimits,
    engine_hash: &str,
    files: &[PartFile],
    output: &Path,
    urgency: &Urgency,
) -> Result<(), StartError> {
    let (niceness, wall_max) = match urgency.is_cancelled() {
        true => (0, limits.wall_max),
        false => (AHEAD_NICENESS, limits.wall_max * AHEAD_WALL_FACTOR),
    };
    let mut child = tokio::process::Command::new(&compiler.exe)
        .args(&compiler.leading_args)
        .arg(engine_hash)
        .arg(limits.memory_bytes_max.to_string())
        .arg(limits.cpu_max.as_secs().max(1).to_string())
        .arg(niceness.to_string())
        .arg(output)
        .args(files.iter().flat_map(|file| [OsStr::new(&file.name), file.path.as_os_str()]))
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| host_error(format!("{} could not be started: {error}", compiler.exe.display())))?;
    // The child ends when this pipe does, and so when this process does.
    let leash = child.stdin.take();
    let mut said = Vec::new();
    let process = child.id();
    let waiting = async {
        if let Some(stderr) = child.stderr.take() {
            let _ = stderr.take(STDERR_BYTES_MAX).read_to_end(&mut said).await;
        }
        child.wait().await
    };
    let hurrying = async {
        urgency.cancelled().await;
        process.filter(|_| niceness > 0).into_iter().for_each(hurry);
        std::future::pending().await
    };
    let ended = tokio::time::timeout(wall_max, async {
        tokio::select! {
            ended = waiting => ended,
            never = hurrying => never,
        }
    })
    .await;
    drop(leash);
    match ended {
        Err(_) => Err(StartError::CompileLimit { limit: format!("{} s", wall_max.as_secs()) }),
        Ok(Err(error)) => Err(host_error(format!("the compiler could not be waited for: {error}"))),
        Ok(Ok(status)) => verdict(status, &String::from_utf8_lossy(&said), limits),
    }
}

/// Makes all threads of a compiler as quick as this process's. Where this process may not do that, they go on as they are.
fn hurry(process: u32) {
    let own = getpriority_process(None).unwrap_or(0);
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let ids = threads.filter_map(|thread| Pid::from_raw(thread.file_name().to_str()?.parse().ok()?));
    for id in ids {
        let _ = setpriority_process(Some(id), own);
    }
}

fn verdict(status: ExitStatus, said: &str, limits: &CompileLimits) -> Result<(), StartError> {
    if status.success() {
        if !said.is_empty() {
            tracing::warn!("the compiler says: {}", one_line(said));
        }
        return Ok(());
    }
    let memory = || StartError::CompileLimit { limit: format!("{} of memory", Bytes(limits.memory_bytes_max)) };
    let reason = one_line(said);
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    match (code, status.signal()) {
        _ if OUT_OF_MEMORY.iter().any(|sign| said.contains(sign)) => Err(memory()),
        (Some(EXIT_COMPILE_FAILED), _) => Err(StartError::CompileFailed { reason }),
        (Some(EXIT_NOT_LINKED), _) => Err(StartError::LinkFailed { reason }),
        (Some(EXIT_OTHER_ENGINE), _) => Err(host_error(
            "the compiler on disk is another version than the one that runs: restart the host".to_owned(),
        )),
        (_, Some(libc::SIGXCPU)) => {
            Err(StartError::CompileLimit { limit: format!("{} s of processor time", limits.cpu_max.as_secs()) })
        }
        (_, Some(libc::SIGKILL)) => Err(memory()),
        (Some(EXIT_INPUT_OUTPUT), _) => Err(host_error(reason)),
        (_, Some(signal)) => {
            Err(StartError::CompileFailed { reason: format!("the compiler crashed with signal {signal}") })
        }
        _ => Err(StartError::CompileFailed { reason: format!("the compiler failed: {reason}") }),
    }
}

pub(crate) fn host_error(reason: String) -> StartError {
    StartError::Host { reason }
}

/// Compiles in this process, without limits.
pub(crate) fn compile_here(
    engine: &Engine,
    files: &[PartFile],
    contents: Vec<Vec<u8>>,
) -> Result<wasmtime::component::Component, StartError> {
    let sources = files.iter().zip(contents).map(|(file, bytes)| Source { name: file.name.clone(), bytes });
    let bytes = join(sources.collect()).map_err(|reason| StartError::LinkFailed { reason })?;
    let warn = |reason: String| tracing::warn!("{reason}");
    compile(&bytes, |bytes| wasmtime::component::Component::from_binary(engine, bytes), warn)
        .map_err(|error| StartError::CompileFailed { reason: error_chain(&error) })
}

/// Compiles a component with its modules linked; as it is, where that is not to be done or turns out not to be possible.
fn compile<T>(
    component: &[u8],
    compiler: impl Fn(&[u8]) -> wasmtime::Result<T>,
    warn: impl FnOnce(String),
) -> wasmtime::Result<T> {
    let Some(merged) = merge(component) else { return compiler(component) };
    compiler(&merged).or_else(|error| {
        let compiled = compiler(component)?;
        warn(format!("the modules of a component were not linked: {}", error_chain(&error)));
        Ok(compiled)
    })
}

/// The bytes of one component, or of what several make.
fn join(mut sources: Vec<Source>) -> Result<Vec<u8>, String> {
    match &mut sources[..] {
        [only] => Ok(std::mem::take(&mut only.bytes)),
        _ => compose(sources),
    }
}

/// The whole body of the compiling child: `ENGINE-HASH MEMORY-BYTES CPU-SECONDS NICENESS OUTPUT NAME INPUT…`, after the subcommand's own name.
///
/// It limits itself before it reads anything, and ends when its standard input does.
pub fn compile_child_main(args: &[String]) -> ExitCode {
    match compile_child(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, reason)) => {
            let _ = writeln!(std::io::stderr(), "{reason}");
            ExitCode::from(code)
        }
    }
}

fn compile_child(args: &[String]) -> Result<(), (u8, String)> {
    let [wanted, memory, cpu, niceness, output, inputs @ ..] = args else {
        return Err((2, "internal-compile is started by the host itself and takes seven arguments or more".to_owned()));
    };
    let (inputs, []) = inputs.as_chunks::<2>() else {
        return Err((2, "internal-compile: each input has a name".to_owned()));
    };
    let (Ok(memory), Ok(cpu), Ok(niceness)) = (memory.parse(), cpu.parse(), niceness.parse()) else {
        return Err((2, "internal-compile: limits must be numbers".to_owned()));
    };
    let failed = |code: u8, what: &str, reason: &dyn std::fmt::Display| (code, format!("{what}: {reason}"));
    limit_self(memory, cpu, niceness).map_err(|error| failed(EXIT_INPUT_OUTPUT, "limits could not be set", &error))?;
    die_with_parent().map_err(|error| failed(EXIT_INPUT_OUTPUT, "no thread could be started", &error))?;
    // One after the other: the first is nearly always the one.
    let mut engines = [Wasi::V02, Wasi::V03].into_iter().map(|wasi| Engine::new(&compile_config(wasi)));
    let is_wanted = |engine: &Result<Engine, _>| engine.as_ref().map_or(true, |engine| engine_hash(engine) == *wanted);
    let engine = engines.find(is_wanted).ok_or_else(|| (EXIT_OTHER_ENGINE, "another engine".to_owned()))?;
    let engine = engine.map_err(|error| (EXIT_INPUT_OUTPUT, error_chain(&error)))?;
    let sources: Result<Vec<Source>, _> = inputs
        .iter()
        .map(|[name, input]| {
            let bytes = std::fs::read(input).map_err(|error| failed(EXIT_INPUT_OUTPUT, input, &error))?;
            Ok(Source { name: name.clone(), bytes })
        })
        .collect();
    let bytes = join(sources?).map_err(|reason| (EXIT_NOT_LINKED, reason))?;
    let warn = |reason: String| drop(writeln!(std::io::stderr(), "{reason}"));
    let compiled = compile(&bytes, |bytes| engine.precompile_component(bytes), warn);
    let compiled = compiled.map_err(|error| (EXIT_COMPILE_FAILED, error_chain(&error)))?;
    let written = std::fs::File::create(output).and_then(|mut file| {
        file.write_all(&compiled)?;
        file.sync_all()
    });
    written.map_err(|error| failed(EXIT_INPUT_OUTPUT, output, &error))
}

/// Before there is a second thread: each has a niceness of its own, from the one that makes it.
fn limit_self(memory: u64, cpu_seconds: u64, niceness: i32) -> std::io::Result<()> {
    let both = |value| Rlimit { current: Some(value), maximum: Some(value) };
    setrlimit(Resource::Core, both(0))?;
    setrlimit(Resource::As, both(memory))?;
    setrlimit(Resource::Cpu, Rlimit { current: Some(cpu_seconds), maximum: Some(cpu_seconds + 1) })?;
    setrlimit(Resource::Fsize, both(1 << 30))?;
    setrlimit(Resource::Nofile, both(64))?;
    nice(niceness)?;
    Ok(())
}

/// The parent holds the other end of standard input for as long as it wants the result.
fn die_with_parent() -> std::io::Result<()> {
    std::thread::Builder::new().name("leash".to_owned()).spawn(|| {
        let mut byte = [0];
        while matches!(std::io::stdin().read(&mut byte), Ok(1..)) {}
        std::process::exit(i32::from(EXIT_INPUT_OUTPUT));
    })?;
    Ok(())
}

/// An error and its causes in one line.
pub(crate) fn error_chain(error: &wasmtime::Error) -> String {
    let parts: Vec<String> = error.chain().map(|cause| one_line(&cause.to_string())).collect();
    one_line(&parts.join(": "))
}
