//! Looks at what pods and the machine use, and tells it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Pods;
use crate::usage::{Amounts, ContainerUsage, PodUsage, Rate, Usage, machine_cpu_ns, machine_memory_bytes};

/// The machine as last looked at.
#[derive(Default)]
pub(super) struct MachineUse {
    looked_at: Option<Timestamp>,
    window: Duration,
    rate: Rate,
    memory_bytes: u64,
    looks: u32,
}

impl Pods {
    /// Advances all rates.
    pub(in crate::agent) fn look_at_usage(&mut self) {
        let now = self.now();
        // Pods change, and go while their containers are being started.
        self.templates.retain(|template, _| Arc::strong_count(template) > 1);
        let passed = self.machine.looked_at.map(|before| now.duration_since(before).unsigned_abs());
        let passed = passed.unwrap_or(Duration::ZERO);
        for pod in self.pods.values_mut() {
            for (index, container) in pod.running.iter().enumerate() {
                let Some(container) = container else { continue };
                let cpu_ns = container.stats().cpu_ns;
                if cpu_ns > 0 && pod.rates.is_empty() {
                    pod.rates.resize(pod.running.len(), Rate::default());
                }
                if let Some(rate) = pod.rates.get_mut(index) {
                    rate.advance(cpu_ns, passed);
                }
            }
        }
        // What can't be read on this machine counts as nothing.
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let machine = &mut self.machine;
        machine.rate.advance(machine_cpu_ns(&text("/proc/stat")).unwrap_or(0), passed);
        machine.memory_bytes = machine_memory_bytes(&text("/proc/meminfo")).unwrap_or(0);
        machine.looked_at = Some(now);
        machine.window = passed;
        machine.looks = machine.looks.saturating_add(1);
    }

    /// What the looks so far say.
    pub(super) fn usage(&self) -> Usage {
        let machine = &self.machine;
        let Some(timestamp) = machine.looked_at.filter(|_| machine.looks > 1) else { return Usage::default() };
        let pods = self.pods.values().filter(|pod| pod.running.iter().any(Option::is_some)).map(|pod| {
            let containers = pod.spec.template.containers.iter().zip(&pod.running).enumerate();
            let containers = containers.filter_map(|(index, (template, running))| {
                let rate = pod.rates.get(index).copied().unwrap_or_default();
                let memory_bytes = running.as_ref().map(|running| running.stats().memory_bytes)?;
                let amounts = Amounts { cpu_nano_cores: rate.nano_cores(), memory_bytes };
                Some(ContainerUsage { name: template.name.clone(), amounts })
            });
            let identity = &pod.spec.identity;
            PodUsage {
                namespace: identity.namespace.clone(),
                name: identity.name.clone(),
                containers: containers.collect(),
            }
        });
        Usage {
            timestamp: Some(timestamp),
            window_ms: u64::try_from(machine.window.as_millis()).unwrap_or(u64::MAX),
            node: Amounts { cpu_nano_cores: machine.rate.nano_cores(), memory_bytes: machine.memory_bytes },
            pods: pods.collect(),
        }
    }
}
