//! Secrets at rest: each is encrypted with a data key of its own (AES-256-GCM), which is wrapped by a key from a file.
//!
//! What is stored still is an object, with the metadata that lists, watches and controllers go by, and the whole of it sealed
//! beside. Annotations are sealed, too: clients keep copies of what they applied there. Deliberately absent: other kinds.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use coracle_api::encode;
use coracle_api::kinds::SECRET;
use coracle_store::{Operation, Precondition, ReadError, Record, Snapshot, Store, Write, WriteError};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::MutexGuard;

mod keyring;
mod seal;

use keyring::Keyring;
pub use keyring::KeyringError;
pub(crate) use keyring::NewKey;
pub(crate) use seal::WrappingKey;

/// The record that says which key is the current one, once that was changed: whoever leads seals with it. No path of the API leads there.
const CURRENT: &str = "secretkeys.coracle.dev/current";
/// How many opened secrets are kept, so that watches and lists don't open them again.
const OPENED_MAX: usize = 4096;
/// How many secrets a rotation rewrites at once.
const BATCH_MAX: usize = 256;

/// Why a secret can't be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Its key is not in the file.
    #[error("{secret} is sealed with the key {key_id}, which {path} lacks: restore the file from a backup")]
    NoKey {
        /// The secret's storage key.
        secret: String,
        /// The key.
        key_id: String,
        /// The file.
        path: String,
    },
    /// The key, or what is stored, is not what it was.
    #[error("{secret} can't be opened with the key {key_id} of {path}: the file or the store is damaged")]
    Damaged {
        /// The secret's storage key.
        secret: String,
        /// The key.
        key_id: String,
        /// The file.
        path: String,
    },
}

/// Why the secrets can't be served.
#[derive(Debug, thiserror::Error)]
pub enum SealingError {
    /// The file of keys can't be used.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// A secret can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Why a rotation stopped; whatever it did holds, and the next one goes on there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RotationError {
    #[error(transparent)]
    Sealing(#[from] SealingError),
    #[error("the store cannot be read")]
    Read(#[from] ReadError),
    #[error("the store did not take a write")]
    Write(#[from] WriteError),
}

/// What a rotation did.
pub(crate) struct Rotation {
    /// The key everything is sealed with now.
    pub(crate) key_id: String,
    /// How many secrets were sealed anew.
    pub(crate) rewritten: usize,
}

/// Seals secrets and opens them.
pub struct Sealer {
    keyring: RwLock<Keyring>,
    /// Opened secrets by storage key.
    opened: Mutex<HashMap<Arc<str>, Arc<Record>>>,
    rotating: tokio::sync::Mutex<()>,
}

/// What the record of the current key says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Current {
    key_id: String,
}

/// The part of a stored secret that says how it's sealed.
#[derive(Deserialize)]
struct Stored {
    sealed: Option<Sealed>,
}

/// An object, encrypted.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sealed {
    /// The key that the data key is wrapped with.
    key_id: String,
    /// The data key: nonce, ciphertext and tag, in base64.
    data_key: String,
    /// The object's JSON: the same.
    value: String,
}

impl Sealer {
    /// With the keys in this folder, made when the folder has none and no secret needs one. Keys that no secret of the snapshot needs any
    /// longer are forgotten if this member `is_alone`: nothing is under way yet that could. With others, they may be at work.
    pub fn open(dir: &Path, snapshot: &Snapshot, is_alone: bool) -> Result<Sealer, SealingError> {
        let mut needed: HashMap<String, Arc<Record>> = HashMap::new();
        for record in secrets(snapshot) {
            if let Some(key_id) = key_id(record) {
                needed.entry(key_id).or_insert_with(|| Arc::clone(record));
            }
        }
        let mut keyring = Keyring::open(dir, needed.iter().next().map(|(key_id, record)| (&**key_id, &*record.key)))?;
        if is_alone {
            let current = recorded(snapshot);
            keyring.retain(|key_id| needed.contains_key(key_id) || current.as_deref() == Some(key_id))?;
        }
        let sealer =
            Sealer { keyring: RwLock::new(keyring), opened: Mutex::default(), rotating: tokio::sync::Mutex::default() };
        // One of each key: a file that holds other keys than it did is found now, not when somebody needs a secret.
        needed.values().try_for_each(|record| sealer.open_record(record).map(drop))?;
        Ok(sealer)
    }

    /// Seals what a write stores, where that is a secret, with the key that is the current one in a snapshot.
    pub(crate) fn seal(&self, write: &mut Write, snapshot: &Snapshot) -> Result<(), OpenError> {
        if let Operation::Put { json, splice_offset, .. } = &mut write.operation
            && is_secret(&write.key)
        {
            let object: Value = serde_json::from_slice(json).expect("invariant: only encoded objects are stored");
            let key_id = self.current(snapshot);
            let keyring = self.keyring.read();
            let Some(key) = keyring.get(&key_id) else { return Err(no_key(&keyring, &write.key, key_id)) };
            let (data_key, value) = seal::seal(key, &write.key, json);
            let sealed = Sealed { key_id, data_key: BASE64.encode(data_key), value: BASE64.encode(value) };
            let encoded = encode::encode(&shell(&object, &sealed));
            (*json, *splice_offset) = (encoded.json, encoded.splice_offset);
        }
        Ok(())
    }

    /// A record as its writer wrote it; only secrets are ever different.
    pub(crate) fn open_record(&self, record: &Arc<Record>) -> Result<Arc<Record>, OpenError> {
        if !is_secret(&record.key) {
            return Ok(Arc::clone(record));
        }
        let known = self.opened.lock().get(&record.key).filter(|known| known.revision == record.revision).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let Some(sealed) = sealed(record) else { return Ok(Arc::clone(record)) };
        let json = self.unseal(&record.key, &sealed)?;
        let object: Value = serde_json::from_slice(&json).map_err(|_| self.damaged(&record.key, &sealed.key_id))?;
        let encoded = encode::encode(&object);
        let opened =
            Arc::new(Record { json: encoded.json, splice_offset: encoded.splice_offset, ..(**record).clone() });
        let mut kept = self.opened.lock();
        if kept.len() >= OPENED_MAX {
            kept.clear();
        }
        kept.insert(Arc::clone(&record.key), Arc::clone(&opened));
        Ok(opened)
    }

    fn unseal(&self, key: &str, sealed: &Sealed) -> Result<Bytes, OpenError> {
        let keyring = self.keyring.read();
        let Some(wrapping) = keyring.get(&sealed.key_id) else {
            return Err(no_key(&keyring, key, sealed.key_id.clone()));
        };
        let opened = match (BASE64.decode(&sealed.data_key), BASE64.decode(&sealed.value)) {
            (Ok(data_key), Ok(value)) => seal::open(wrapping, key, data_key, value),
            _ => None,
        };
        drop(keyring);
        opened.map(Bytes::from).ok_or_else(|| self.damaged(key, &sealed.key_id))
    }

    fn damaged(&self, key: &str, key_id: &str) -> OpenError {
        let path = self.keyring.read().path().display().to_string();
        OpenError::Damaged { secret: key.to_owned(), key_id: key_id.to_owned(), path }
    }

    /// Waits until nobody rotates keys or gives them to a new member.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.rotating.lock().await
    }

    /// The key to rotate to, kept here: to be given to all members before it is used. None while a rotation is to go on that did not end.
    pub(crate) async fn next_key(&self, store: &Store) -> Result<Option<NewKey>, RotationError> {
        let snapshot = store.read().await?;
        let current = self.current(&snapshot);
        if secrets(&snapshot).any(|record| is_stale(record, &current)) {
            return Ok(None);
        }
        let next = NewKey::generate();
        self.add(&next).map_err(SealingError::from)?;
        Ok(Some(next))
    }

    /// Keeps a key.
    pub(crate) fn add(&self, key: &NewKey) -> Result<(), KeyringError> {
        self.keyring.write().add(key)
    }

    /// Seals with a key from now on, whoever leads. All members have it.
    pub(crate) async fn switch(&self, store: &Store, key: &NewKey) -> Result<(), RotationError> {
        let record = json!({
            "apiVersion": "coracle.dev/v1", "kind": "SecretKey", "metadata": { "name": "current" }, "keyId": key.id,
        });
        let encoded = encode::encode(&record);
        let operation =
            Operation::Put { json: encoded.json, splice_offset: encoded.splice_offset, tags: Arc::default() };
        let precondition = Precondition::None;
        store.write(vec![Write { key: CURRENT.into(), operation, precondition, frees_space: false }]).await?;
        Ok(self.keyring.write().set_current(&key.id).map_err(SealingError::from)?)
    }

    /// Seals every secret with the current key that is sealed with another.
    pub(crate) async fn reseal(&self, store: &Store) -> Result<Rotation, RotationError> {
        let mut rewritten = 0;
        loop {
            let snapshot = store.read().await?;
            let current = self.current(&snapshot);
            let stale = secrets(&snapshot).filter(|record| is_stale(record, &current)).take(BATCH_MAX);
            let writes = stale.map(|record| self.resealed(record, &snapshot));
            let writes: Vec<Write> = writes.collect::<Result<_, _>>().map_err(SealingError::from)?;
            if writes.is_empty() {
                return Ok(Rotation { key_id: current, rewritten });
            }
            // One that changed meanwhile was sealed with the new key by whoever changed it.
            let outcomes = store.write(writes).await?;
            rewritten += outcomes.iter().filter(|outcome| outcome.revision().is_some()).count();
        }
    }

    fn current(&self, snapshot: &Snapshot) -> String {
        recorded(snapshot).unwrap_or_else(|| self.keyring.read().current().to_owned())
    }

    /// The write that stores a secret as it is, sealed anew.
    fn resealed(&self, record: &Arc<Record>, snapshot: &Snapshot) -> Result<Write, OpenError> {
        let opened = self.open_record(record)?;
        let (json, splice_offset) = (opened.json.clone(), opened.splice_offset);
        let operation = Operation::Put { json, splice_offset, tags: record.tags.clone() };
        let precondition = Precondition::Revision(record.revision);
        let mut write = Write { key: record.key.clone(), operation, precondition, frees_space: false };
        self.seal(&mut write, snapshot)?;
        Ok(write)
    }
}

/// The id of the current key, where one was ever switched to.
fn recorded(snapshot: &Snapshot) -> Option<String> {
    let record = snapshot.get(CURRENT)?;
    let current: Current = serde_json::from_slice(&record.json).expect("invariant: the record is written here only");
    Some(current.key_id)
}

fn no_key(keyring: &Keyring, secret: &str, key_id: String) -> OpenError {
    OpenError::NoKey { secret: secret.to_owned(), key_id, path: keyring.path().display().to_string() }
}

fn is_stale(record: &Record, current: &str) -> bool {
    key_id(record).is_none_or(|key_id| key_id != current)
}

fn is_secret(key: &str) -> bool {
    key.strip_prefix(SECRET.plural).is_some_and(|rest| rest.starts_with('/'))
}

fn secrets(snapshot: &Snapshot) -> impl Iterator<Item = &Arc<Record>> {
    snapshot.range("secrets/", None)
}

fn sealed(record: &Record) -> Option<Sealed> {
    serde_json::from_slice::<Stored>(&record.json).ok()?.sealed
}

fn key_id(record: &Record) -> Option<String> {
    sealed(record).map(|sealed| sealed.key_id)
}

/// What is stored in the clear, with what is sealed.
fn shell(object: &Value, sealed: &Sealed) -> Value {
    let mut metadata = object["metadata"].clone();
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.remove("annotations");
        metadata.remove("managedFields");
    }
    json!({
        "apiVersion": object["apiVersion"], "kind": object["kind"], "metadata": metadata, "type": object["type"],
        "sealed": sealed,
    })
}

#[cfg(test)]
mod tests;
