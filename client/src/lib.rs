//! The one typed client of the Kubernetes-compatible API: lists, watches, informers, writes, batches, logs and streams, over HTTP/2 and mutual TLS.
//!
//! Objects travel as `serde_json::Value`, so unknown fields survive. Deliberately absent: retries of single requests that may have been done (the caller
//! knows whether repeating is safe; the informer, which does know, retries), credential plug-ins, and any caching.

mod backoff;
mod batch;
mod client;
mod config;
mod error;
mod informer;
pub mod join;
mod kubeconfig;
mod lines;
mod logs;
mod options;
mod pod_stream;
mod servers;
mod tls;
mod watch;

pub use backoff::Backoff;
pub use batch::{BatchItem, BatchVerb};
pub use client::{Client, List, Reply};
pub use config::{Config, ConfigError, default_data_dir};
pub use error::Error;
pub use informer::{InformerEvent, informer};
pub use kubeconfig::{EXTENSION, Kubeconfig, NamedCluster, NamedContext, NamedUser};
pub use logs::LogOptions;
pub use options::{DeleteOptions, ListOptions, PatchKind, Propagation, TableInclude, WatchOptions, WriteOptions};
pub use pod_stream::{PodStreamOptions, PodStreamReader, PodStreamWriter};
pub use watch::WatchEvent;
