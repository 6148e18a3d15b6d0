//! A component's linked code: in memory while it is used, and loaded again when it is asked for anew.
//!
//! Deliberately absent: how it is loaded, and when it is looked at, which the runtime decides.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;

/// Something that can be loaded again.
pub(crate) struct Loaded<T> {
    value: ArcSwapOption<T>,
    /// Since it was last looked at.
    was_used: AtomicBool,
    /// One loads, and the others wait for it.
    loading: Mutex<()>,
}

impl<T> Loaded<T> {
    /// It is there, and was just used.
    pub(crate) fn new(value: T) -> Loaded<T> {
        Loaded { value: ArcSwapOption::from_pointee(value), was_used: AtomicBool::new(true), loading: Mutex::default() }
    }

    /// What is in memory.
    pub(crate) fn get(&self) -> Option<Arc<T>> {
        let value = self.value.load_full()?;
        // Written seldom, so that those who use it at once don't wait for each other.
        if !self.was_used.load(Relaxed) {
            self.was_used.store(true, Relaxed);
        }
        Some(value)
    }

    /// What is in memory, or comes there by `load`, of which one runs for all who ask meanwhile.
    pub(crate) async fn get_or_load<E>(&self, load: impl Future<Output = Result<T, E>>) -> Result<Arc<T>, E> {
        if let Some(value) = self.get() {
            return Ok(value);
        }
        let _turn = self.loading.lock().await;
        if let Some(value) = self.get() {
            return Ok(value);
        }
        let value = Arc::new(load.await?);
        self.value.store(Some(value.clone()));
        self.was_used.store(true, Relaxed);
        Ok(value)
    }

    pub(crate) fn is_in_memory(&self) -> bool {
        self.value.load().is_some()
    }

    /// Takes it out of memory if nobody has used it since the last look, and nobody uses it now.
    pub(crate) fn look(&self) {
        let was_used = self.was_used.swap(false, Relaxed);
        // Whoever takes it just now goes on with what it has.
        if !was_used && self.value.load().as_ref().is_some_and(|value| Arc::strong_count(value) == 1) {
            self.value.store(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_used_between_two_looks_is_loaded_again() {
        let loaded = Loaded::new(1);
        let look = || {
            loaded.look();
            loaded.is_in_memory()
        };
        assert!(look(), "it was new");
        assert_eq!(loaded.get().as_deref(), Some(&1));
        assert!(look(), "it was asked for");
        let used = loaded.get().unwrap();
        assert!(look() && look(), "it is in use");
        drop(used);
        assert!(!look());
        assert_eq!(loaded.get(), None);
        let failed = loaded.get_or_load(async { Err::<i32, _>("damaged") }).await;
        assert_eq!(failed, Err("damaged"));
        let load = || {
            loaded.get_or_load(async {
                tokio::task::yield_now().await;
                Ok::<_, ()>(2)
            })
        };
        let (one, other) = tokio::join!(load(), load());
        assert!(Arc::ptr_eq(&one.unwrap(), &other.unwrap()));
        assert_eq!(loaded.get().as_deref(), Some(&2));
    }
}
