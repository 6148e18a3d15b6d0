//! The `config.json` of a Linux container, as OCI's runtime specification 1.0 has it: from its image and its pod, and nothing else.
//!
//! Namespaces of its own for everything but users; Docker's default capabilities; what of `/proc` and `/sys` tells of the host is masked.
//! Deliberately absent: a network beyond its own loopback, volumes, terminals, and a system-call filter.

use std::path::Path;

use serde_json::{Value, json};

use super::cgroup::Cgroup;
use super::image::Config;
use super::user::User;
use crate::runtime::{ContainerSpec, LinuxSpec};

/// What Docker leaves to a container's root: `oci/caps/defaults.go` of moby.
const CAPABILITIES: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];
/// Docker's, too: `oci/defaults.go` of moby.
const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
const READ_ONLY: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Processes and threads of one container: a bomb of them must not be the host's end.
const PIDS_MAX: i64 = 4096;
/// Containers are killed before their host where the machine's memory ends.
const OOM_SCORE: i32 = 900;
/// The time over which `limits.cpu` holds, as with the kubelet.
const CPU_PERIOD_US: u64 = 100_000;
/// The least that the kernel takes.
const CPU_QUOTA_US_MIN: u64 = 1_000;
const CPU_SHARES_MIN: u64 = 2;

/// What a container is made from.
pub(crate) struct Parts<'a> {
    pub(crate) spec: &'a ContainerSpec,
    pub(crate) linux: &'a LinuxSpec,
    pub(crate) image: &'a Config,
    pub(crate) user: &'a User,
    pub(crate) cgroup: &'a Cgroup,
    /// Whether control groups count memory that is swapped out.
    pub(crate) counts_swap: bool,
    /// The folder with the container's `rootfs`, `hosts` and `hostname`.
    pub(crate) folder: &'a Path,
}

/// The program and its arguments, as Kubernetes combines what pod and image say; empty if neither says anything.
pub(crate) fn words(linux: &LinuxSpec, image: &Config) -> Vec<String> {
    let (program, args) = match (linux.command.is_empty(), linux.args.is_empty()) {
        (false, _) => (&linux.command, &linux.args),
        (true, false) => (&image.entrypoint, &linux.args),
        (true, true) => (&image.entrypoint, &image.cmd),
    };
    program.iter().chain(args).cloned().collect()
}

/// The document.
pub(crate) fn config(parts: &Parts<'_>) -> Value {
    let Parts { linux, image, user, folder, .. } = parts;
    let security = &linux.security;
    let capabilities: Vec<&str> = match security.dropped.iter().any(|dropped| dropped == "ALL") {
        true => Vec::new(),
        false => CAPABILITIES
            .iter()
            .copied()
            .filter(|name| !security.dropped.iter().any(|dropped| dropped == name))
            .collect(),
    };
    let namespaces = ["pid", "ipc", "uts", "mount", "network", "cgroup"].map(|kind| json!({ "type": kind }));
    let working_dir = linux.working_dir.as_ref().unwrap_or(&image.working_dir);
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": { "uid": user.uid, "gid": user.gid, "additionalGids": user.groups },
            "args": words(linux, image),
            "env": environment(parts),
            "cwd": if working_dir.is_empty() { "/" } else { working_dir },
            "capabilities": { "bounding": capabilities, "effective": capabilities, "permitted": capabilities },
            "noNewPrivileges": !security.may_gain_privileges,
            "oomScoreAdj": OOM_SCORE,
        },
        "root": { "path": folder.join("rootfs"), "readonly": security.is_root_read_only },
        "hostname": linux.hostname,
        "mounts": mounts(folder),
        "linux": {
            "cgroupsPath": parts.cgroup.path(),
            "namespaces": namespaces,
            "resources": resources(parts),
            "maskedPaths": MASKED,
            "readonlyPaths": READ_ONLY,
        },
    })
}

/// The image's variables, then the pod's in place of those of the same name.
fn environment(parts: &Parts<'_>) -> Vec<String> {
    let own = [("PATH", PATH_DEFAULT), ("HOSTNAME", &parts.linux.hostname), ("HOME", &parts.user.home)];
    let of_image = parts.image.env.iter().map(|variable| variable.split_once('=').unwrap_or((variable, "")));
    let of_pod = parts.spec.env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut list: Vec<(&str, &str)> = Vec::new();
    for (name, value) in own.into_iter().chain(of_image).chain(of_pod) {
        match list.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => known.1 = value,
            None => list.push((name, value)),
        }
    }
    list.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn mounts(folder: &Path) -> Value {
    let own = |name: &str| {
        let source = folder.join(name);
        json!({ "destination": format!("/etc/{name}"), "type": "bind", "source": source, "options": ["rbind", "rprivate", "rw"] })
    };
    json!([
        { "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"] },
        { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] },
        { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
          "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"] },
        { "destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"] },
        { "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"] },
        { "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"] },
        { "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "relatime", "ro"] },
        own("hosts"),
        own("hostname"),
    ])
}

fn resources(parts: &Parts<'_>) -> Value {
    let Parts { spec, linux, .. } = parts;
    let mut cpu = json!({ "shares": (spec.cpu_millis * 1024 / 1000).max(CPU_SHARES_MIN) });
    if let Some(millis) = spec.cpu_millis_max {
        cpu["period"] = CPU_PERIOD_US.into();
        cpu["quota"] = (millis * CPU_PERIOD_US / 1000).max(CPU_QUOTA_US_MIN).into();
    }
    let mut resources = json!({
        "devices": [{ "allow": false, "access": "rwm" }],
        "pids": { "limit": PIDS_MAX },
        "cpu": cpu,
    });
    if let Some(bytes) = linux.memory_bytes_max {
        resources["memory"] = json!({ "limit": bytes });
        // No swap on top, where that is counted.
        if parts.counts_swap {
            resources["memory"]["swap"] = bytes.into();
        }
    }
    resources
}

#[cfg(test)]
mod tests;
