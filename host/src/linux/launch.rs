//! Makes, runs and removes one Linux container by way of the OCI runtime's command line. All of it waits, and works in the
//! [`Quarters`](super::quarters) of containers.
//!
//! Deliberately absent: what a container prints, and its end.

use std::fs::{self, File};
use std::io::{self, PipeReader, PipeWriter, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid};
use serde_json::Value;

use super::adopted::{self, Awaited};
use super::cgroup::{Cgroup, Layout};
use super::quarters::{mount_overlay, unmount};
use super::{PreparedImage, bundle, user};
use crate::console::Stdin;
use crate::runtime::{ContainerSpec, StartError};

/// The most of a file of an image that is looked at.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The OCI runtime, and the folder of a host's containers.
#[derive(Clone, Debug)]
pub(crate) struct Containers {
    /// The runtime's program.
    pub(crate) program: PathBuf,
    /// `containers/`: a folder for each container, by its id.
    pub(crate) dir: PathBuf,
    /// `state/`: what the runtime knows of them.
    pub(crate) state: PathBuf,
    /// How this machine's control groups are laid out.
    pub(crate) layout: Layout,
}

/// A program that runs, with this process's ends of its standard streams.
pub(crate) struct Launched {
    pub(crate) process: Arc<Process>,
    pub(crate) stdin: Option<PipeWriter>,
    pub(crate) stdout: PipeReader,
    pub(crate) stderr: PipeReader,
}

/// A child of this process, born or adopted.
pub(crate) struct Process {
    fd: OwnedFd,
    _awaited: Awaited,
}

impl Process {
    fn open(pid: i32) -> io::Result<Process> {
        let awaited = Awaited::new(pid);
        let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Process { fd: pidfd_open(pid, PidfdFlags::empty())?, _awaited: awaited })
    }

    /// Readable when it has ended.
    pub(crate) fn descriptor(&self) -> io::Result<OwnedFd> {
        self.fd.try_clone()
    }

    /// Sends it a signal; one that has ended hears nothing.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.fd, signal);
    }

    /// Its exit code, once it has ended: 128 and the signal's number where a signal ended it.
    pub(crate) fn reap(&self) -> io::Result<i32> {
        use std::os::fd::AsFd as _;
        let status = waitid(WaitId::PidFd(self.fd.as_fd()), WaitIdOptions::EXITED)?.ok_or(io::ErrorKind::WouldBlock)?;
        let signal = status.terminating_signal().map(|signal| 128 + signal);
        status.exit_status().or(signal).ok_or_else(|| io::Error::other("it ended in no known way"))
    }
}

impl Containers {
    /// Starts a container from its image.
    pub(crate) fn launch(&self, id: &str, spec: &ContainerSpec, image: &PreparedImage) -> Result<Launched, StartError> {
        let launched = self.try_launch(id, spec, image);
        if launched.is_err() {
            self.remove(id);
        }
        launched
    }

    fn try_launch(&self, id: &str, spec: &ContainerSpec, image: &PreparedImage) -> Result<Launched, StartError> {
        let host = |what: &str| {
            let what = what.to_owned();
            move |error: io::Error| StartError::Host { reason: format!("{what}: {error}") }
        };
        let folder = self.dir.join(id);
        self.write(id, &folder, spec, image).map_err(|error| match error {
            WriteError::Config(reason) => StartError::Config { reason },
            WriteError::Host(what, error) => host(what)(error),
        })?;
        let (process, streams) = {
            let (ours, theirs) = Streams::open(spec.stdin).map_err(host("pipes cannot be made"))?;
            let (pid_file, log) = (folder.join("pid"), folder.join("log"));
            let _starting = adopted::hold();
            let mut command = self.command(&log);
            command.args(["run", "--detach", "--pid-file"]).arg(&pid_file).arg("--bundle").arg(&folder).arg(id);
            let status = theirs.give(&mut command).status().map_err(host("the OCI runtime cannot be started"))?;
            drop(command);
            if !status.success() {
                return Err(StartError::NotStarted { reason: said(&log, &status.to_string()) });
            }
            let pid = fs::read_to_string(&pid_file).map_err(host("the OCI runtime left no process id"))?;
            let pid = pid.trim().parse().map_err(io::Error::other);
            // It is this process's child, and so its id stays its own until it is waited for.
            let process = pid.and_then(Process::open).map_err(host("the container's process cannot be watched"))?;
            (process, ours)
        };
        Ok(Launched {
            process: Arc::new(process),
            stdin: streams.stdin,
            stdout: streams.stdout,
            stderr: streams.stderr,
        })
    }

    /// Starts a program within a running container. Its own process id is then in `pid_file`.
    pub(crate) fn exec(
        &self,
        id: &str,
        words: &[String],
        stdin: Stdin,
        pid_file: &Path,
        log: &Path,
    ) -> io::Result<Launched> {
        let (ours, theirs) = Streams::open(stdin)?;
        let mut command = self.command(log);
        command.args(["exec", "--pid-file"]).arg(pid_file).arg(id).args(words);
        let child = theirs.give(&mut command).spawn()?;
        // Not waited for by the handle: by its descriptor, like containers.
        let process = Process::open(child.id().cast_signed())?;
        Ok(Launched { process: Arc::new(process), stdin: ours.stdin, stdout: ours.stdout, stderr: ours.stderr })
    }

    /// Kills a program that was started within a container; false if it isn't there yet.
    pub(crate) fn kill_exec(&self, id: &str, pid_file: &Path) -> bool {
        let pid = fs::read_to_string(pid_file).ok().and_then(|pid| pid.trim().parse::<i32>().ok());
        let Some((pid, process)) = pid.and_then(|pid| Some((pid, Process::open(pid).ok()?))) else { return false };
        // By now it could be another's id: what is in the container's group is the container's.
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let is_its_own = groups.lines().any(|line| line.ends_with(&Cgroup::new(self.layout, id).path()));
        if is_its_own {
            process.signal(Signal::KILL);
        }
        is_its_own
    }

    /// Removes what there is of a container; one that still runs is killed.
    pub(crate) fn remove(&self, id: &str) {
        let folder = self.dir.join(id);
        if self.state.join(id).exists() {
            let deleted =
                self.command(&folder.join("log")).args(["delete", "--force", id]).stdin(Stdio::null()).output();
            match deleted {
                Ok(output) if output.status.success() => {}
                Ok(output) => tracing::warn!(id, status = %output.status, "the OCI runtime did not remove a container"),
                Err(error) => tracing::warn!(id, %error, "the OCI runtime could not be started"),
            }
        }
        // Not mounted where it never got so far.
        let _ = unmount(&folder.join("rootfs"));
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(id, %error, "a container's files could not be removed");
            }
            _ => {}
        }
    }

    fn command(&self, log: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(&self.state).arg("--log").arg(log).args(["--log-format", "json"]);
        command
    }

    /// Writes what the runtime reads: the root file system, and the files that are the container's own.
    fn write(&self, id: &str, folder: &Path, spec: &ContainerSpec, image: &PreparedImage) -> Result<(), WriteError> {
        let host = |what| move |error| WriteError::Host(what, error);
        let config = |reason: String| WriteError::Config(reason);
        let linux = spec.linux.as_ref().ok_or_else(|| config("it is no Linux container".to_owned()))?;
        if bundle::words(linux, &image.config).is_empty() {
            return Err(config(format!(
                "container {:?}: neither command nor the image says what to run; set command",
                spec.name
            )));
        }
        for part in ["rootfs", "upper", "work"] {
            fs::create_dir_all(folder.join(part)).map_err(host("its folder cannot be made"))?;
        }
        let rootfs = folder.join("rootfs");
        let layers: Vec<&str> = image.layers.iter().map(String::as_str).collect();
        let [upper, work] = ["upper", "work"].map(|part| format!("../containers/{id}/{part}"));
        mount_overlay(&layers, &upper, &work, &rootfs, "").map_err(host("an overlay cannot be mounted"))?;
        let [passwd, group] = ["etc/passwd", "etc/group"].map(|path| text_in(&rootfs, path));
        let user = user::resolve(&image.config.user, &linux.security, &passwd, &group);
        let user = user.map_err(|why| config(format!("container {:?}: {why}", spec.name)))?;
        let cgroup = Cgroup::new(self.layout, id);
        let counts_swap = self.layout.counts_swap();
        let parts =
            bundle::Parts { spec, linux, image: &image.config, user: &user, cgroup: &cgroup, counts_swap, folder };
        let hosts =
            format!("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.0.1\t{}\n", linux.hostname);
        let files = [
            ("config.json", bundle::config(&parts).to_string()),
            ("hosts", hosts),
            ("hostname", format!("{}\n", linux.hostname)),
        ];
        files
            .iter()
            .try_for_each(|(name, text)| fs::write(folder.join(name), text))
            .map_err(host("its files cannot be written"))
    }
}

enum WriteError {
    Config(String),
    Host(&'static str, io::Error),
}

/// This process's ends of a program's standard streams.
struct Streams {
    stdin: Option<PipeWriter>,
    stdout: PipeReader,
    stderr: PipeReader,
}

/// The program's ends.
struct Theirs {
    stdin: Option<PipeReader>,
    stdout: PipeWriter,
    stderr: PipeWriter,
}

impl Streams {
    fn open(stdin: Stdin) -> io::Result<(Streams, Theirs)> {
        let (stdout, their_stdout) = io::pipe()?;
        let (stderr, their_stderr) = io::pipe()?;
        let (their_stdin, stdin) = match stdin {
            Stdin::Closed => (None, None),
            Stdin::Once | Stdin::Kept => {
                let (theirs, ours) = io::pipe()?;
                (Some(theirs), Some(ours))
            }
        };
        Ok((
            Streams { stdin, stdout, stderr },
            Theirs { stdin: their_stdin, stdout: their_stdout, stderr: their_stderr },
        ))
    }
}

impl Theirs {
    fn give(self, command: &mut Command) -> &mut Command {
        command.stdin(self.stdin.map_or_else(Stdio::null, Stdio::from)).stdout(self.stdout).stderr(self.stderr)
    }
}

/// A text file of an image; empty where there is none. Links in it lead nowhere else.
fn text_in(root: &Path, path: &str) -> String {
    let read = || -> io::Result<String> {
        let root = openat(CWD, root, OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat2(
            &root,
            path,
            flags,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        )?);
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default()
}

/// What the runtime wrote into its log: its last words, or else how it ended.
fn said(log: &Path, otherwise: &str) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let message = text.lines().rev().find_map(|line| {
        let entry: Value = serde_json::from_str(line).ok()?;
        Some(entry["msg"].as_str()?.trim().to_owned())
    });
    message.unwrap_or_else(|| otherwise.to_owned())
}
