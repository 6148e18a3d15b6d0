//! Volumes as a pod asks for them, and what its containers mount of them.

use crate::pod::template::{PodField, Source};

/// One volume.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Volume {
    /// Its name within the pod: a DNS label.
    pub name: String,
    /// Where its content comes from.
    pub source: VolumeSource,
}

/// Where a volume's content comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum VolumeSource {
    /// Nowhere: it is empty at first, and goes with the pod.
    EmptyDir {
        /// A pod that keeps more in it is evicted.
        limit: Option<SizeLimit>,
    },
    /// From this host.
    HostPath {
        /// Absolute.
        path: String,
        /// What is to be there.
        kind: HostPathKind,
    },
    /// `configMap`, `secret`, `downwardAPI` and `projected`: files that are written here and follow what they come from.
    Files(Vec<Projection>),
}

/// How large an `emptyDir` may become.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SizeLimit {
    /// More than none.
    pub bytes_max: u64,
    /// As it is written.
    pub text: String,
}

/// What must be at a path of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostPathKind {
    /// Whatever is there.
    Any,
    /// A folder.
    Directory,
    /// A folder, made if it is missing.
    DirectoryOrCreate,
    /// A file.
    File,
    /// A file, made if it is missing.
    FileOrCreate,
    /// A Unix socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

/// Files of one source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Projection {
    /// Of the keys of a ConfigMap or Secret.
    Keys {
        /// Which object.
        source: Source,
        /// Which keys; all of them, under their own names, if it is empty.
        items: Vec<KeyFile>,
        /// The permissions of files that have none of their own.
        mode: u32,
    },
    /// Of fields of the pod.
    Downward(Vec<FieldFile>),
    /// The token of the pod's service account.
    Token(TokenFile),
}

/// A file of one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyFile {
    /// The key.
    pub key: String,
    /// The file, relative to the volume.
    pub path: String,
    /// Its permissions, if it has any of its own.
    pub mode: Option<u32>,
}

/// A file of one field of the pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldFile {
    /// The field.
    pub field: PodField,
    /// The file, relative to the volume.
    pub path: String,
    /// Its permissions.
    pub mode: u32,
}

/// A file with a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenFile {
    /// Whose token.
    pub account: String,
    /// For whom it is; empty is the API server.
    pub audience: String,
    /// How long it lasts.
    pub ttl_s: i64,
    /// The file, relative to the volume.
    pub path: String,
    /// Its permissions.
    pub mode: u32,
}

/// Where a container sees a volume.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VolumeMount {
    /// Which of the pod's volumes.
    pub volume: String,
    /// Where: absolute, and without steps that lead nowhere.
    pub path: String,
    /// Which part of it.
    pub part: Part,
    /// The container may not change it.
    pub is_read_only: bool,
}

/// Which part of a volume a container sees.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// All of it.
    Whole,
    /// `subPath`, relative to the volume.
    Below(String),
    /// `subPathExpr`: the same once the container's variables are known.
    Expression(String),
}
