//! One copy of what many objects say alike: names of nodes and namespaces, labels, ports, pod shapes.

use std::collections::{BTreeMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use coracle_scheduler::Shape;

use super::view::ContainerPort;

/// The labels of an object.
pub type Labels = Arc<BTreeMap<Arc<str>, Arc<str>>>;

/// The pool of shared values. What nobody else holds any longer is dropped as the pool doubles.
#[derive(Default)]
pub struct Interner {
    strings: Pool<str>,
    labels: Pool<BTreeMap<Arc<str>, Arc<str>>>,
    shapes: Pool<Shape>,
    ports: Pool<[ContainerPort]>,
}

impl Interner {
    /// The shared copy of a string.
    pub fn string(&mut self, text: &str) -> Arc<str> {
        self.strings.find(text).unwrap_or_else(|| self.strings.insert(Arc::from(text)))
    }

    /// The shared copy of a set of labels.
    pub fn labels(&mut self, labels: &BTreeMap<String, String>) -> Labels {
        let labels = labels.iter().map(|(key, value)| (self.string(key), self.string(value))).collect();
        self.labels.find(&labels).unwrap_or_else(|| self.labels.insert(Arc::new(labels)))
    }

    /// The shared copy of a shape.
    pub fn shape(&mut self, shape: Shape) -> Arc<Shape> {
        self.shapes.find(&shape).unwrap_or_else(|| self.shapes.insert(Arc::new(shape)))
    }

    /// The shared copy of a pod's ports.
    pub fn ports(&mut self, ports: Vec<ContainerPort>) -> Arc<[ContainerPort]> {
        self.ports.find(&ports).unwrap_or_else(|| self.ports.insert(Arc::from(ports)))
    }
}

struct Pool<T: ?Sized> {
    values: HashSet<Arc<T>>,
    sweep_at: usize,
}

impl<T: ?Sized> Default for Pool<T> {
    fn default() -> Pool<T> {
        Pool { values: HashSet::new(), sweep_at: 1024 }
    }
}

impl<T: ?Sized + Hash + Eq> Pool<T> {
    fn find(&self, value: &T) -> Option<Arc<T>> {
        self.values.get(value).cloned()
    }

    fn insert(&mut self, value: Arc<T>) -> Arc<T> {
        if self.values.len() >= self.sweep_at {
            self.values.retain(|value| Arc::strong_count(value) > 1);
            self.sweep_at = (self.values.len() * 2).max(1024);
        }
        self.values.insert(value.clone());
        value
    }
}
