//! The file of keys that secrets are sealed with: one for new ones, and those before it for as long as any secret needs them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::seal::{KEY_BYTES, WrappingKey, random};
use crate::private_file;

const FILE: &str = "secret-keys.json";
const VERSION: u32 = 1;

/// Why the file of keys can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// It can't be read or written.
    #[error("{path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what was written there.
    #[error("{path} is damaged ({cause}): restore it from a backup; without it the cluster's Secrets can't be read")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// It isn't there, and there are secrets.
    #[error("{path} is missing, and {secret} is sealed with its key {key_id}: restore the file from a backup")]
    Missing {
        /// The file.
        path: PathBuf,
        /// The storage key of a secret.
        secret: String,
        /// Its key.
        key_id: String,
    },
}

/// A key that nothing is sealed with so far.
pub(crate) struct NewKey {
    pub(crate) id: String,
    pub(crate) key: WrappingKey,
}

impl NewKey {
    pub(super) fn generate() -> NewKey {
        let id: [u8; 8] = random();
        NewKey { id: format!("{:016x}", u64::from_be_bytes(id)), key: random() }
    }
}

/// The keys.
pub(super) struct Keyring {
    path: PathBuf,
    current: String,
    keys: BTreeMap<String, WrappingKey>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    current: String,
    keys: BTreeMap<String, String>,
}

impl Keyring {
    /// The keys in this folder. `needed` is a key and a secret that needs it: only without any is a missing file made.
    pub(super) fn open(dir: &Path, needed: Option<(&str, &str)>) -> Result<Keyring, KeyringError> {
        let path = dir.join(FILE);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some((key_id, secret)) = needed {
                    let (secret, key_id) = (secret.to_owned(), key_id.to_owned());
                    return Err(KeyringError::Missing { path, secret, key_id });
                }
                std::fs::create_dir_all(dir).map_err(|source| KeyringError::File { path: dir.to_owned(), source })?;
                let mut keyring = Keyring { path, current: String::new(), keys: BTreeMap::new() };
                let first = NewKey::generate();
                keyring.replace(first.id.clone(), [(first.id, first.key)].into())?;
                return Ok(keyring);
            }
            Err(source) => return Err(KeyringError::File { path, source }),
        };
        match parse(&text) {
            Ok((current, keys)) => Ok(Keyring { path, current, keys }),
            Err(cause) => Err(KeyringError::Damaged { path, cause }),
        }
    }

    /// The id of the key for new secrets, as far as the file knows.
    pub(super) fn current(&self) -> &str {
        &self.current
    }

    pub(super) fn get(&self, key_id: &str) -> Option<&WrappingKey> {
        self.keys.get(key_id)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps another key, on disk first.
    pub(super) fn add(&mut self, key: &NewKey) -> Result<(), KeyringError> {
        let mut keys = self.keys.clone();
        keys.insert(key.id.clone(), key.key);
        self.replace(self.current.clone(), keys)
    }

    /// Makes a key that is here the one for new secrets, on disk first.
    pub(super) fn set_current(&mut self, id: &str) -> Result<(), KeyringError> {
        self.replace(id.to_owned(), self.keys.clone())
    }

    /// Forgets the keys that are neither current nor needed.
    pub(super) fn retain(&mut self, is_needed: impl Fn(&str) -> bool) -> Result<(), KeyringError> {
        let mut keys = self.keys.clone();
        keys.retain(|id, _| *id == self.current || is_needed(id));
        if keys.len() == self.keys.len() { Ok(()) } else { self.replace(self.current.clone(), keys) }
    }

    fn replace(&mut self, current: String, keys: BTreeMap<String, WrappingKey>) -> Result<(), KeyringError> {
        let encoded = keys.iter().map(|(id, key)| (id.clone(), BASE64.encode(key))).collect();
        let stored = Stored { version: VERSION, current: current.clone(), keys: encoded };
        let text = serde_json::to_vec_pretty(&stored).expect("invariant: keys are plain data");
        private_file::write(&self.path, &text)
            .map_err(|source| KeyringError::File { path: self.path.clone(), source })?;
        (self.current, self.keys) = (current, keys);
        Ok(())
    }
}

fn parse(text: &[u8]) -> Result<(String, BTreeMap<String, WrappingKey>), String> {
    let stored: Stored = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if stored.version != VERSION {
        return Err(format!("version {} is from another release", stored.version));
    }
    let decode = |(id, key): (String, String)| {
        let key = BASE64.decode(key).ok().and_then(|key| WrappingKey::try_from(key).ok());
        key.map(|key| (id.clone(), key)).ok_or_else(|| format!("the key {id} is not {KEY_BYTES} bytes in base64"))
    };
    let keys: BTreeMap<_, _> = stored.keys.into_iter().map(decode).collect::<Result<_, _>>()?;
    if !keys.contains_key(&stored.current) {
        return Err(format!("the current key {:?} is not among the keys", stored.current));
    }
    Ok((stored.current, keys))
}
