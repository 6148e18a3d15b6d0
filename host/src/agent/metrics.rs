//! What the host counts, as Prometheus reads it.

use std::fmt::Write as _;

use crate::runtime::Stats;

/// Sums over this host's pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Pods by phase: pending, running, succeeded, failed.
    pub pods: [u64; 4],
    /// Containers running now.
    pub containers: u64,
    /// Components compiled since the host started.
    pub compilations: u64,
    /// Components whose code is in memory.
    pub components_in_memory: u64,
    /// What they used; of containers that ended nothing is counted.
    pub stats: Stats,
}

impl Totals {
    /// The phases in the order of `pods`.
    pub const PHASES: [&'static str; 4] = ["Pending", "Running", "Succeeded", "Failed"];

    /// Adds one container's.
    pub fn add(&mut self, stats: Stats) {
        self.containers += 1;
        self.stats.requests += stats.requests;
        self.stats.requests_active += stats.requests_active;
        self.stats.requests_refused += stats.requests_refused;
        self.stats.timeouts += stats.timeouts;
        self.stats.traps += stats.traps;
        self.stats.memory_bytes += stats.memory_bytes;
        self.stats.cpu_ns += stats.cpu_ns;
        self.stats.calls += stats.calls;
    }

    /// The Prometheus text format.
    pub fn to_text(&self) -> String {
        let mut text =
            String::from("# HELP coracle_host_pods Pods bound to this host.\n# TYPE coracle_host_pods gauge\n");
        for (phase, count) in Totals::PHASES.iter().zip(self.pods) {
            writeln!(text, "coracle_host_pods{{phase=\"{phase}\"}} {count}").expect("writing to a string succeeds");
        }
        let name = "coracle_host_compilations_total";
        writeln!(
            text,
            "# HELP {name} Compilations of components.\n# TYPE {name} counter\n{name} {}",
            self.compilations
        )
        .expect("writing to a string succeeds");
        let stats = &self.stats;
        let cpu_seconds = stats.cpu_ns as f64 / 1e9;
        for (name, help, value) in [
            ("containers", "Containers running now.", self.containers as f64),
            ("components_in_memory", "Components whose code is in memory.", self.components_in_memory as f64),
            ("requests_answered", "Requests answered by the containers running now.", stats.requests as f64),
            ("requests_active", "Requests in flight.", stats.requests_active as f64),
            (
                "requests_refused",
                "Requests turned away by full queues of the containers running now.",
                stats.requests_refused as f64,
            ),
            (
                "request_timeouts",
                "Requests that ran into their time limit, in the containers running now.",
                stats.timeouts as f64,
            ),
            ("traps", "Traps in the containers running now.", stats.traps as f64),
            ("calls", "Requests sent by the containers running now.", stats.calls as f64),
            ("memory_bytes", "Memory of live instances.", stats.memory_bytes as f64),
            ("cpu_seconds", "CPU time spent in the containers running now.", cpu_seconds),
        ] {
            write!(
                text,
                "# HELP coracle_host_{name} {help}\n# TYPE coracle_host_{name} gauge\ncoracle_host_{name} {value}\n"
            )
            .expect("writing to a string succeeds");
        }
        text
    }
}
