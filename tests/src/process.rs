//! A child process that does not outlive its owner.

use std::process::{Child, Command};

/// A field of a process's status as the kernel tells it, such as `RssAnon`, which is in KiB.
pub fn status_field(process_id: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process_id}/status")).expect("the process lives");
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("Linux tells");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// A running program. Dropping it kills it.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    /// Kills it as nothing else does, and waits for its end.
    pub(crate) fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// Asks it to stop, and waits; gives its exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        self.signal("TERM");
        self.0.wait().expect("it ends").code()
    }

    /// Waits until it ends by itself; gives its exit code.
    pub(crate) fn end(&mut self) -> Option<i32> {
        crate::eventually("the process ends", || self.0.try_wait().expect("it is a child")).code()
    }

    /// Sends it a signal, as `kill` names them.
    pub(crate) fn signal(&self, name: &str) {
        crate::run(Command::new("kill").args([&format!("-{name}"), &self.id().to_string()])).ok();
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
