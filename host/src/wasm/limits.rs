//! What one instance may have: memory over all its linear memories and tables, table elements, instances.
//!
//! Deliberately absent: time, which epochs limit.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use wasmtime::ResourceLimiter;

/// Table elements of one instance, over all tables.
const TABLE_ELEMENTS_MAX: usize = 256 << 10;
const INSTANCES_MAX: usize = 256;
const TABLES_MAX: usize = 64;
const MEMORIES_MAX: usize = 16;

/// The memory of one container, over all its instances.
#[derive(Debug)]
pub(crate) struct MemoryAccount {
    pub(crate) bytes_max: u64,
    used: AtomicU64,
    instance_peak: AtomicU64,
}

impl MemoryAccount {
    pub(crate) fn new(bytes_max: u64) -> Arc<MemoryAccount> {
        Arc::new(MemoryAccount { bytes_max, used: AtomicU64::new(0), instance_peak: AtomicU64::new(0) })
    }

    /// Memory of the live instances.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// The most that one instance has had.
    pub(crate) fn instance_peak(&self) -> u64 {
        self.instance_peak.load(Relaxed)
    }

    fn grow(&self, by: u64) -> bool {
        let before = self.used.fetch_add(by, Relaxed);
        if before + by > self.bytes_max {
            self.used.fetch_sub(by, Relaxed);
            return false;
        }
        true
    }
}

/// The error that ends an instance which asks for more than its limit.
#[derive(Debug)]
pub(crate) enum LimitError {
    Memory { bytes_max: u64 },
    TableElements,
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LimitError::Memory { bytes_max } => write!(f, "memory limit of {} exceeded", Bytes(*bytes_max)),
            LimitError::TableElements => write!(f, "limit of {TABLE_ELEMENTS_MAX} table elements exceeded"),
        }
    }
}

impl std::error::Error for LimitError {}

/// Bytes as Kubernetes writes them.
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes > 0 && bytes % (1 << 30) == 0 => write!(f, "{}Gi", bytes >> 30),
            bytes if bytes > 0 && bytes % (1 << 20) == 0 => write!(f, "{}Mi", bytes >> 20),
            bytes if bytes > 0 && bytes % (1 << 10) == 0 => write!(f, "{}Ki", bytes >> 10),
            bytes => write!(f, "{bytes} bytes"),
        }
    }
}

/// The limits of one store, set before any guest code runs. Gives its memory back to the account when dropped.
pub(crate) struct Limits {
    account: Arc<MemoryAccount>,
    memory_bytes: u64,
    table_elements: usize,
}

impl Limits {
    pub(crate) fn new(account: Arc<MemoryAccount>) -> Limits {
        Limits { account, memory_bytes: 0, table_elements: 0 }
    }

    fn take(&mut self, bytes: u64) -> wasmtime::Result<bool> {
        if !self.account.grow(bytes) {
            return Err(LimitError::Memory { bytes_max: self.account.bytes_max }.into());
        }
        self.memory_bytes += bytes;
        Ok(true)
    }
}

impl Drop for Limits {
    fn drop(&mut self) {
        self.account.used.fetch_sub(self.memory_bytes, Relaxed);
        if self.memory_bytes > self.account.instance_peak() {
            self.account.instance_peak.fetch_max(self.memory_bytes, Relaxed);
        }
    }
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.take(desired.saturating_sub(current) as u64)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let by = desired.saturating_sub(current);
        self.table_elements += by;
        if self.table_elements > TABLE_ELEMENTS_MAX {
            return Err(LimitError::TableElements.into());
        }
        self.take((by * size_of::<usize>()) as u64)
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_are_summed_and_given_back() {
        let account = MemoryAccount::new(4 << 20);
        let mut first = Limits::new(account.clone());
        let mut second = Limits::new(account.clone());
        assert!(first.memory_growing(0, 1 << 20, None).unwrap());
        assert!(first.memory_growing(0, 1 << 20, None).unwrap());
        assert!(second.memory_growing(0, 2 << 20, None).unwrap());
        let error = second.memory_growing(2 << 20, 3 << 20, None).unwrap_err();
        assert_eq!(error.to_string(), "memory limit of 4Mi exceeded");
        drop(first);
        assert_eq!(account.used(), 2 << 20);
        assert!(second.table_growing(0, 1 << 10, None).unwrap());
        assert_eq!(account.used(), (2 << 20) + (8 << 10));
        assert!(second.memory_growing(2 << 20, 3 << 20, None).unwrap());
        drop(second);
        assert_eq!((account.used(), account.instance_peak()), (0, (3 << 20) + (8 << 10)));
    }
}
