//! The control groups that hold Linux containers to their limits: where they are, and what they have counted.
//!
//! The OCI runtime makes and removes them. Deliberately absent: limits themselves, which [`bundle`](super::bundle) asks for.

use std::path::{Path, PathBuf};

const MOUNT: &str = "/sys/fs/cgroup";
/// Of `linux/magic.h`.
const CGROUP2_SUPER_MAGIC: i64 = 0x6367_7270;
/// Control groups of containers are in this one.
const PARENT: &str = "/coracle";

/// How this machine's control groups are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// All controllers in one tree: version 2.
    Unified,
    /// A tree for each controller: version 1, also beside a tree of version 2.
    Separate,
}

/// Where the tree of version 2 is beside those of version 1.
pub(crate) const UNIFIED_BESIDE: &str = "/sys/fs/cgroup/unified";

impl Layout {
    /// Looks at this machine.
    pub(crate) fn look() -> Layout {
        if is_unified(Path::new(MOUNT)) { Layout::Unified } else { Layout::Separate }
    }

    /// Whether memory that is swapped out counts.
    pub(crate) fn counts_swap(self) -> bool {
        self == Layout::Unified || Path::new(MOUNT).join("memory/memory.memsw.limit_in_bytes").exists()
    }
}

/// Whether a tree of version 2 is mounted there.
pub(crate) fn is_unified(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|stat| stat.f_type == CGROUP2_SUPER_MAGIC)
}

/// One container's group.
#[derive(Clone, Debug)]
pub(crate) struct Cgroup {
    layout: Layout,
    root: PathBuf,
    id: String,
}

impl Cgroup {
    pub(crate) fn new(layout: Layout, id: &str) -> Cgroup {
        Cgroup { layout, root: MOUNT.into(), id: id.to_owned() }
    }

    /// As the OCI runtime wants to hear it.
    pub(crate) fn path(&self) -> String {
        format!("{PARENT}/{}", self.id)
    }

    /// Processor time used, in nanoseconds; 0 where it isn't known.
    pub(crate) fn cpu_ns(&self) -> u64 {
        match self.layout {
            Layout::Unified => field(&self.text("", "cpu.stat"), "usage_usec").unwrap_or(0).saturating_mul(1000),
            Layout::Separate => self.text("cpuacct", "cpuacct.usage").trim().parse().unwrap_or(0),
        }
    }

    /// Memory in use, without files that can be dropped at once: what the kubelet calls the working set.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let (used, inactive) = match self.layout {
            Layout::Unified => ("memory.current", "inactive_file"),
            Layout::Separate => ("memory.usage_in_bytes", "total_inactive_file"),
        };
        let used: u64 = self.text("memory", used).trim().parse().unwrap_or(0);
        used.saturating_sub(field(&self.text("memory", "memory.stat"), inactive).unwrap_or(0))
    }

    /// Whether something in it was killed for want of memory.
    pub(crate) fn is_oom_killed(&self) -> bool {
        let name = match self.layout {
            Layout::Unified => "memory.events",
            Layout::Separate => "memory.oom_control",
        };
        field(&self.text("memory", name), "oom_kill").is_some_and(|count| count > 0)
    }

    /// A file of it; empty where it can't be read.
    fn text(&self, controller: &str, name: &str) -> String {
        let tree = match self.layout {
            Layout::Unified => self.root.clone(),
            Layout::Separate => self.root.join(controller),
        };
        std::fs::read_to_string(tree.join(PARENT.trim_start_matches('/')).join(&self.id).join(name)).unwrap_or_default()
    }
}

/// The number after a word, in a file of such lines.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(layout: Layout, files: &[(&str, &str)], expected: (u64, u64, bool)) {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let cgroup = Cgroup { root: dir.path().to_owned(), ..Cgroup::new(layout, "a") };
        assert_eq!((cgroup.cpu_ns(), cgroup.memory_bytes(), cgroup.is_oom_killed()), expected);
    }

    #[test]
    fn both_versions_say_what_was_used() {
        let unified = [
            ("coracle/a/cpu.stat", "usage_usec 1500\nuser_usec 1000\n"),
            ("coracle/a/memory.current", "9000\n"),
            ("coracle/a/memory.stat", "anon 1\ninactive_file 4000\n"),
            ("coracle/a/memory.events", "oom 2\noom_kill 1\noom_group_kill 0\n"),
        ];
        check(Layout::Unified, &unified, (1_500_000, 5000, true));
        let separate = [
            ("cpuacct/coracle/a/cpuacct.usage", "1234\n"),
            ("memory/coracle/a/memory.usage_in_bytes", "9000\n"),
            ("memory/coracle/a/memory.stat", "inactive_file 1\ntotal_inactive_file 4000\n"),
            ("memory/coracle/a/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n"),
        ];
        check(Layout::Separate, &separate, (1234, 5000, false));
        check(Layout::Unified, &[], (0, 0, false));
    }
}
