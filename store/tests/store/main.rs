//! The store as its users see it: on a real disk, and on one that loses what was not synced.

mod basics;
mod crashes;
mod faults;
mod members;
mod oracle;
mod restoring;
mod simulation;
mod speed;
mod watches;

use std::sync::Arc;

use coracle_store::{EphemeralKeys, Operation, Options, Outcome, Precondition, RealDisk, Store, Tag, Write};

/// A put of a small object.
fn put(key: &str, value: &str, precondition: Precondition) -> Write {
    let json = format!(r#"{{"metadata":{{"name":"{value}"}}}}"#).into();
    Write {
        key: key.into(),
        operation: Operation::Put { json, splice_offset: 13, tags: [Tag::new(value)].into() },
        precondition,
        frees_space: false,
    }
}

fn delete(key: &str, precondition: Precondition) -> Write {
    Write { key: key.into(), operation: Operation::Delete, precondition, frees_space: false }
}

fn options(dir: &std::path::Path) -> Options {
    Options { ephemeral: EphemeralKeys::under("leases/"), segment_bytes: 1 << 20, ..Options::new(dir) }
}

async fn open(dir: &std::path::Path) -> Store {
    Store::open(options(dir), Arc::new(RealDisk)).await.expect("the store opens")
}

async fn write(store: &Store, write: Write) -> Outcome {
    store.write(vec![write]).await.expect("the write is acknowledged").remove(0)
}
