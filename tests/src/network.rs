//! Machines on a network of their own: network namespaces joined by a bridge. Needs root and `ip`.
//!
//! Nothing here has a name on the machine that runs it: a namespace lives as long as the process that holds it, which dies with the
//! harness, however that ends. So runs don't meet, and nothing is left behind.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{run, wasmctl_path};

/// A bridge, and the machines that are plugged into it. The thread that makes it is on the bridge from then on, and so are the threads
/// and processes that it starts; all of them are started from that thread, which they don't outlive.
pub struct Network {
    /// Where the thread was before.
    outside: File,
    _bridge: Namespace,
    machines: u8,
}

/// One machine: processes started on it have its address, and no other network.
pub struct Machine {
    namespace: Namespace,
    address: Ipv4Addr,
    /// Where it is plugged in.
    port: String,
    /// A folder that is a disk of its own.
    disk: Option<PathBuf>,
    /// A file that says how far the clock is off.
    clock: Option<PathBuf>,
}

/// Gives programs another time than the machine has; part of Debian's `faketime`.
const CLOCK_LIBRARY: &str = "/usr/$LIB/faketime/libfaketimeMT.so.1";

/// A network and a mount namespace, held by a process that sleeps.
struct Namespace(Child);

impl Network {
    /// A network without machines.
    pub fn start() -> Network {
        let outside = File::open("/proc/thread-self/ns/net").expect("the kernel has network namespaces");
        let bridge = Namespace::start();
        bridge.enter();
        // With an address of its own, which does not change when a machine is plugged in.
        ip(&["link", "add", "bridge", "address", "02:00:00:00:00:01", "type", "bridge"]);
        ip(&["addr", "add", &format!("{}/24", address(1)), "dev", "bridge"]);
        ip(&["link", "set", "bridge", "up"]);
        Network { outside, _bridge: bridge, machines: 0 }
    }

    /// One more machine.
    pub fn machine(&mut self) -> Machine {
        self.machines += 1;
        let (namespace, address) = (Namespace::start(), address(10 + self.machines));
        let port = format!("port{}", self.machines);
        let peer = namespace.0.id().to_string();
        ip(&["link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &peer]);
        ip(&["link", "set", &port, "master", "bridge", "up"]);
        let machine = Machine { namespace, address, port, disk: None, clock: None };
        run(machine.command("ip").args(["addr", "add", &format!("{address}/24"), "dev", "eth0"])).ok();
        run(machine.command("ip").args(["link", "set", "eth0", "up"])).ok();
        machine
    }

    /// One more address of the bridge's own, where something can stand between machines.
    pub fn own_address(&self, number: u8) -> Ipv4Addr {
        let address = address(100 + number);
        ip(&["addr", "add", &format!("{address}/24"), "dev", "bridge"]);
        address
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = move_into_link_name_space(self.outside.as_fd(), Some(LinkNameSpaceType::Network));
    }
}

impl Machine {
    /// Where others reach it.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// A program on this machine, in the root folder. It dies with the thread that starts it.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--net", "--mount", "--target", &self.namespace.0.id().to_string()]);
        command.args(["setpriv", "--pdeathsig", "KILL", "--"]).env("RUST_BACKTRACE", "0");
        if let Some(clock) = &self.clock {
            command.args(["env", &format!("LD_PRELOAD={CLOCK_LIBRARY}")]).env("FAKETIME_TIMESTAMP_FILE", clock);
            // Timers go on as if nothing were; and the file is read each second.
            command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("FAKETIME_CACHE_DURATION", "1");
        }
        command.arg(program);
        command
    }

    /// Makes a folder a small disk of its own, which lasts as long as the machine.
    pub fn set_disk(&mut self, dir: &Path, megabytes: u32) {
        std::fs::create_dir_all(dir).expect("a folder can be made");
        let size = format!("size={megabytes}m");
        run(self.command("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(dir)).ok();
        self.disk = Some(dir.to_owned());
    }

    /// The folder that is a disk of its own.
    pub fn disk(&self) -> Option<&Path> {
        self.disk.as_deref()
    }

    /// Where others see what this machine has at a path.
    pub fn seen(&self, path: &Path) -> PathBuf {
        match &self.disk {
            Some(disk) if path.starts_with(disk) => {
                format!("/proc/{}/root{}", self.namespace.0.id(), path.display()).into()
            }
            _ => path.to_owned(),
        }
    }

    /// Leaves no space on the machine's own disk, or lets it have that again.
    pub fn set_disk_full(&self, is_full: bool) {
        let ballast = self.seen(&self.disk.as_ref().expect("it has a disk").join("ballast"));
        if !is_full {
            return std::fs::remove_file(ballast).expect("the disk was filled");
        }
        let mut file = File::create(ballast).expect("a file can be made");
        let filled = std::io::copy(&mut std::io::repeat(0), &mut file);
        assert_eq!(filled.map_err(|error| error.kind()), Err(std::io::ErrorKind::StorageFull));
    }

    /// Gives programs that are started from now on a clock that can be set, of which this file says how it is.
    pub fn set_clock(&mut self, file: &Path) {
        // What the library leaves there of a program that is killed is gone with the machine.
        run(self.command("mount").args(["-t", "tmpfs", "none", "/dev/shm"])).ok();
        self.clock = Some(file.to_owned());
        self.shift_clock(0);
    }

    /// Sets the clock so many hours ahead; its programs notice within a second or two.
    pub fn shift_clock(&self, hours: i64) {
        let clock = self.clock.as_ref().expect("it has a clock");
        let next = clock.with_extension("next");
        // As a whole: a program may read it at any time.
        std::fs::write(&next, format!("{hours:+}h")).expect("it can be written");
        std::fs::rename(&next, clock).expect("it can be replaced");
    }

    /// The command that starts a member of a control plane here, reached by others at `advertised`.
    pub fn server(&self, dir: &Path, advertised: Ipv4Addr) -> Command {
        let mut command = self.command(wasmctl_path());
        command.args(["server", "--advertise", &advertised.to_string(), "--data-dir"]).arg(dir);
        command.args(["--api-addr", &format!("{}:6443", self.address)]);
        command.args(["--registry-addr", &format!("{}:5000", self.address)]);
        command
    }

    /// The command that starts a worker here.
    pub fn host(&self, dir: &Path) -> Command {
        let mut command = self.command(wasmctl_path());
        command.args(["host", "--ingress-addr", &format!("{}:8080", self.address), "--data-dir"]).arg(dir);
        command
    }

    /// Loses everything that this machine sends to another one from now on, or lets it go again; what that one sends arrives.
    pub fn set_silent_to(&self, other: Ipv4Addr, is_silent: bool) {
        let verb = if is_silent { "add" } else { "del" };
        run(self.command("ip").args(["route", verb, "blackhole", &other.to_string()])).ok();
    }

    /// Pulls the plug, or puts it in again.
    pub fn set_plugged(&self, is_plugged: bool) {
        ip(&["link", "set", &self.port, if is_plugged { "up" } else { "down" }]);
    }
}

impl Namespace {
    fn start() -> Namespace {
        let mut holder = Command::new("setpriv");
        holder.args(["--pdeathsig", "KILL", "--", "unshare", "--net", "--mount", "--"]);
        holder.args(["sh", "-c", "ip link set lo up && echo up && exec sleep infinity"]);
        let mut holder = holder.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("setpriv is there");
        let mut line = String::new();
        let stdout = holder.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it is text");
        assert_eq!(line, "up\n", "no network namespace: this takes root, and `ip` of iproute2");
        Namespace(holder)
    }

    fn enter(&self) {
        let namespace = File::open(format!("/proc/{}/ns/net", self.0.id())).expect("its holder lives");
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("root may enter it");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, last)
}

fn ip(arguments: &[&str]) {
    run(Command::new("ip").args(arguments)).ok();
}
