//! Which files a volume of Kubernetes' own sources holds, with what in them. Pure: objects and tokens are handed in.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::template::Projection;
use super::{downward, keys};
use crate::pod::environment::Surroundings;
use crate::pod::template::SourceKind;

/// The files of a volume by path, relative to it.
pub(crate) type Payload = BTreeMap<String, File>;

/// One file.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// What is in it.
    pub(crate) bytes: Vec<u8>,
    /// Its permissions.
    pub(crate) mode: u32,
}

/// Secrets are never printed.
impl std::fmt::Debug for File {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} bytes, mode {:04o}", self.bytes.len(), self.mode)
    }
}

/// A ConfigMap's or Secret's key in the map of known objects.
pub(crate) type ObjectKey = (SourceKind, String);

/// What a volume is made from.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    /// The pod and its node.
    pub(crate) around: Surroundings<'a>,
    /// ConfigMaps and Secrets of the pod's namespace; `None` is known to be missing.
    pub(crate) objects: &'a BTreeMap<ObjectKey, Option<Arc<Value>>>,
    /// Tokens, by account, audience and time to live.
    pub(crate) tokens: &'a BTreeMap<TokenKey, String>,
}

/// Which token of a pod: account, audience, time to live.
pub(crate) type TokenKey = (String, String, i64);

/// Why a volume cannot be set up; the texts are Kubernetes'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PayloadError {
    /// The object does not exist.
    #[error("{kind} {name:?} not found")]
    NotFound {
        /// `configmap` or `secret`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The ConfigMap has no such key.
    #[error("configmap references non-existent config key: {0}")]
    NoConfigKey(String),
    /// The Secret has no such key.
    #[error("references non-existent secret key: {0}")]
    NoSecretKey(String),
    /// Two files would lie in each other's way.
    #[error("the files {0:?} and {1:?} cannot both be there")]
    Conflict(String, String),
    /// No token was had.
    #[error("failed to fetch token: none was given for service account {0:?}")]
    NoToken(String),
}

/// The files of a volume; of two with the same path, the later source's wins.
pub(crate) fn payload(projections: &[Projection], inputs: Inputs<'_>) -> Result<Payload, PayloadError> {
    let mut files = Payload::new();
    for projection in projections {
        match projection {
            Projection::Keys { source, items, mode } => keys::add(source, items, *mode, inputs.objects, &mut files)?,
            Projection::Downward(shown) => downward::add(shown, inputs.around, &mut files),
            Projection::Token(token) => {
                let key = (token.account.clone(), token.audience.clone(), token.ttl_s);
                let text = inputs.tokens.get(&key).ok_or_else(|| PayloadError::NoToken(token.account.clone()))?;
                let bytes = text.clone().into_bytes();
                files.insert(token.path.clone(), File { bytes, mode: owner_only(token.mode) });
            }
        }
    }
    let files: Payload = files.into_iter().map(|(path, file)| (tidied(&path), file)).collect();
    for path in files.keys() {
        let folder = format!("{path}/");
        let after = files.range(folder.clone()..).next();
        if let Some((inner, _)) = after.filter(|(other, _)| other.starts_with(&folder)) {
            return Err(PayloadError::Conflict(path.clone(), inner.clone()));
        }
    }
    Ok(files)
}

/// Secrets are for nobody else on this host, whatever they are asked to be.
pub(super) fn owner_only(mode: u32) -> u32 {
    mode & 0o700
}

fn tidied(path: &str) -> String {
    let steps: Vec<&str> = path.split('/').filter(|step| !matches!(*step, "" | ".")).collect();
    steps.join("/")
}

/// A part of a volume that a container mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PayloadPart {
    /// One file.
    File(File),
    /// The files below a folder, by path relative to it.
    Folder(Payload),
}

/// What is at a path of a volume, if anything is.
pub(crate) fn part(files: &Payload, path: &str) -> Option<PayloadPart> {
    let path = tidied(path);
    if let Some(file) = files.get(&path) {
        return Some(PayloadPart::File(file.clone()));
    }
    let folder = format!("{path}/");
    let below = files.iter().filter_map(|(path, file)| Some((path.strip_prefix(&folder)?.to_owned(), file.clone())));
    let below: Payload = below.collect();
    (!below.is_empty()).then_some(PayloadPart::Folder(below))
}
