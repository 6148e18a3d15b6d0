//! Amounts of what nodes offer and pods ask for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// One thing that nodes have a limited amount of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// Processor time, in thousandths of a CPU.
    Cpu,
    /// Memory, in bytes.
    Memory,
    /// Places for pods.
    Pods,
    /// Anything else a node advertises, such as `nvidia.com/gpu`.
    Extended(Arc<str>),
}

impl Resource {
    /// The name in `resources.requests`.
    pub fn name(&self) -> &str {
        match self {
            Resource::Cpu => "cpu",
            Resource::Memory => "memory",
            Resource::Pods => "pods",
            Resource::Extended(name) => name,
        }
    }

    /// An amount of this resource as people write it: `1500m`, `2`, `21.9Gi`.
    pub fn format(&self, amount: i64) -> String {
        match self {
            Resource::Cpu if amount % 1000 == 0 => (amount / 1000).to_string(),
            Resource::Cpu => format!("{amount}m"),
            Resource::Memory => format_bytes(amount),
            Resource::Pods | Resource::Extended(_) => amount.to_string(),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

fn format_bytes(amount: i64) -> String {
    const UNITS: [(&str, i64); 5] =
        [("Pi", 1 << 50), ("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
    let Some((unit, size)) = UNITS.iter().find(|(_, size)| amount.abs() >= *size) else { return amount.to_string() };
    // Rounded down: what is said to be free must fit.
    let tenths = i128::from(amount) * 10 / i128::from(*size);
    match tenths % 10 {
        0 => format!("{}{unit}", tenths / 10),
        tenth => format!("{}.{}{unit}", tenths / 10, tenth.abs()),
    }
}

/// How much of each resource: offered by a node, asked for by a pod, or taken by the pods of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Amounts {
    /// Thousandths of a CPU.
    pub cpu_millis: i64,
    /// Bytes of memory.
    pub memory_bytes: i64,
    /// Pods.
    pub pods: i64,
    /// Everything else, by resource name. A resource that isn't named is absent: 0.
    pub extended: BTreeMap<Arc<str>, i64>,
}

impl Amounts {
    /// The amount of one resource.
    pub fn get(&self, resource: &Resource) -> i64 {
        match resource {
            Resource::Cpu => self.cpu_millis,
            Resource::Memory => self.memory_bytes,
            Resource::Pods => self.pods,
            Resource::Extended(name) => self.extended.get(name).copied().unwrap_or(0),
        }
    }

    /// Adds every amount of `other`.
    pub fn add(&mut self, other: &Amounts) {
        self.cpu_millis = self.cpu_millis.saturating_add(other.cpu_millis);
        self.memory_bytes = self.memory_bytes.saturating_add(other.memory_bytes);
        self.pods = self.pods.saturating_add(other.pods);
        for (name, amount) in &other.extended {
            let sum = self.extended.entry(name.clone()).or_default();
            *sum = sum.saturating_add(*amount);
        }
    }

    /// Takes every amount of `other` away; resources that reach 0 are forgotten.
    pub fn subtract(&mut self, other: &Amounts) {
        self.cpu_millis = self.cpu_millis.saturating_sub(other.cpu_millis);
        self.memory_bytes = self.memory_bytes.saturating_sub(other.memory_bytes);
        self.pods = self.pods.saturating_sub(other.pods);
        for (name, amount) in &other.extended {
            if let Some(sum) = self.extended.get_mut(name) {
                *sum = sum.saturating_sub(*amount);
                if *sum == 0 {
                    self.extended.remove(name);
                }
            }
        }
    }

    /// The greater of both, resource by resource.
    pub fn raise_to(&mut self, other: &Amounts) {
        self.cpu_millis = self.cpu_millis.max(other.cpu_millis);
        self.memory_bytes = self.memory_bytes.max(other.memory_bytes);
        self.pods = self.pods.max(other.pods);
        for (name, amount) in &other.extended {
            let most = self.extended.entry(name.clone()).or_default();
            *most = (*most).max(*amount);
        }
    }

    /// The resources of which there is more than none, in the order messages name them.
    pub fn positive(&self) -> impl Iterator<Item = (Resource, i64)> + '_ {
        let fixed =
            [(Resource::Cpu, self.cpu_millis), (Resource::Memory, self.memory_bytes), (Resource::Pods, self.pods)];
        let extended = self.extended.iter().map(|(name, amount)| (Resource::Extended(name.clone()), *amount));
        fixed.into_iter().chain(extended).filter(|(_, amount)| *amount > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn amounts_print_as_people_write_them() {
        let gi = 1 << 30;
        let rows = [
            Resource::Cpu.format(2000),
            Resource::Cpu.format(1500),
            Resource::Memory.format(900 * gi),
            Resource::Memory.format(23 * gi + gi / 2 - 1),
            Resource::Memory.format(512),
            Resource::Memory.format(0),
            Resource::Pods.format(110),
        ];
        expect!["2 1500m 900Gi 23.4Gi 512 0 110"].assert_eq(&rows.join(" "));
    }

    #[test]
    fn subtracting_undoes_adding() {
        let gpu = Amounts { cpu_millis: 5, extended: BTreeMap::from([("gpu".into(), 2)]), ..Amounts::default() };
        let mut sum = Amounts::default();
        sum.add(&gpu);
        sum.add(&gpu);
        assert_eq!(sum.get(&Resource::Extended("gpu".into())), 4);
        sum.subtract(&gpu);
        sum.subtract(&gpu);
        assert_eq!(sum, Amounts::default());
    }
}
