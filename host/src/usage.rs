//! How much of the processor and of memory pods and the machine use, as `metrics.k8s.io` tells it: over the time since the look before.
//!
//! Deliberately absent: history. A container that has not run yet costs no entry.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

/// How often the host looks.
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);

/// What the host says at `/usage`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Usage {
    /// When the host last looked; before it has done so twice there is nothing to tell.
    pub(crate) timestamp: Option<Timestamp>,
    /// The time over which the processor's use is an average.
    pub(crate) window_ms: u64,
    /// The machine's, with all that runs on it.
    pub(crate) node: Amounts,
    /// Those of the pods that run.
    pub(crate) pods: Vec<PodUsage>,
}

/// One pod's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct PodUsage {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) containers: Vec<ContainerUsage>,
}

/// One container's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ContainerUsage {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) amounts: Amounts,
}

/// Of the processor, in billionths of a core; of memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Amounts {
    pub(crate) cpu_nano_cores: u64,
    pub(crate) memory_bytes: u64,
}

/// A count of processor time that grows, and how fast it grew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rate {
    seen_ns: u64,
    nano_cores: u64,
}

impl Rate {
    /// The count is `now_ns`, so long after it was last looked at. One that is smaller than before began anew.
    pub(crate) fn advance(&mut self, now_ns: u64, passed: Duration) {
        let grown = now_ns.checked_sub(self.seen_ns).unwrap_or(now_ns);
        let passed = passed.as_nanos().max(1);
        self.nano_cores = u64::try_from(u128::from(grown) * 1_000_000_000 / passed).unwrap_or(u64::MAX);
        self.seen_ns = now_ns;
    }

    /// Billionths of a core.
    pub(crate) fn nano_cores(self) -> u64 {
        self.nano_cores
    }
}

/// Processor time that this machine has used since its start, from `/proc/stat`: all but idle and waiting.
pub(crate) fn machine_cpu_ns(stat: &str) -> Option<u64> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = fields.split_whitespace().map_while(|field| field.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; guests' time is within user's.
    let busy = [0, 1, 2, 5, 6].into_iter().map(|index| ticks.get(index).copied().unwrap_or(0)).sum::<u64>();
    Some(busy.saturating_mul(NS_PER_TICK))
}

/// `USER_HZ` is 100 on every Linux.
const NS_PER_TICK: u64 = 10_000_000;

/// Memory of this machine that is in use, from `/proc/meminfo`: all but what is available to new programs.
pub(crate) fn machine_memory_bytes(meminfo: &str) -> Option<u64> {
    let kibibytes = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    Some(kibibytes("MemTotal")?.saturating_sub(kibibytes("MemAvailable")?) * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_a_count_grew_by() {
        let mut rate = Rate::default();
        let mut check = |now_ns, seconds, expected| {
            rate.advance(now_ns, Duration::from_secs(seconds));
            assert_eq!(rate.nano_cores(), expected, "{now_ns}");
        };
        check(5_000_000_000, 10, 500_000_000);
        check(5_000_000_000, 10, 0);
        check(25_000_000_000, 10, 2_000_000_000);
        // It was restarted.
        check(1_000_000_000, 10, 100_000_000);
        check(1_000_000_000, 0, 0);
    }

    #[test]
    fn the_machine_says_what_it_uses() {
        let stat = "cpu  100 20 30 9000 50 1 2 3 4 5\ncpu0 1 2 3\n";
        assert_eq!(machine_cpu_ns(stat), Some(153 * 10_000_000));
        assert_eq!(machine_cpu_ns(""), None);
        let meminfo = "MemTotal:       1000 kB\nMemFree:  10 kB\nMemAvailable:    400 kB\n";
        assert_eq!(machine_memory_bytes(meminfo), Some(600 * 1024));
        assert_eq!(machine_memory_bytes("MemTotal: 1 kB"), None);
    }
}
