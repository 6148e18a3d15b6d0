//! The ConfigMaps and Secrets that volumes are made from: one watch for each, shared by the pods that need it, and ended with the last.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use coracle_api::kind::Kind;
use coracle_api::kinds;
use coracle_client::{Client, InformerEvent, ListOptions};
use futures::StreamExt as _;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::AbortHandle;

use super::Change;
use crate::pod::template::SourceKind;

/// Objects that are watched; a connection to the API carries so many streams beside all else. Others are read again and again.
const WATCHES_MAX: usize = 512;
/// As often as the kubelet reads again what it doesn't watch.
const READ_INTERVAL: Duration = Duration::from_secs(60);
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// An object by namespace, kind and name.
pub(super) type Key = (String, SourceKind, String);

/// The object, or that there is none.
pub(super) type State = Option<Arc<Value>>;

/// All objects of this host's volumes.
pub(super) struct Objects {
    client: Client,
    watched: Mutex<HashMap<Key, Weak<Watched>>>,
    changes: mpsc::UnboundedSender<Change>,
    places: Arc<Semaphore>,
}

/// An object that is followed for as long as somebody holds on to this.
pub(super) struct Watched {
    state: watch::Receiver<Option<State>>,
    task: AbortHandle,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watched {
    /// The object as it is now, once that is known.
    pub(super) async fn known(&self) -> State {
        let mut state = self.state.clone();
        // The task ends only when nobody waits any more.
        state.wait_for(Option::is_some).await.ok().and_then(|state| state.clone().flatten())
    }
}

impl Objects {
    /// None yet; changes of those to come are told to `changes`.
    pub(super) fn new(client: Client, changes: mpsc::UnboundedSender<Change>) -> Objects {
        let places = Arc::new(Semaphore::new(WATCHES_MAX));
        Objects { client, watched: Mutex::default(), changes, places }
    }

    /// Follows an object.
    pub(super) fn follow(&self, key: &Key) -> Arc<Watched> {
        let mut watched = self.watched.lock();
        if let Some(known) = watched.get(key).and_then(Weak::upgrade) {
            return known;
        }
        watched.retain(|_, known| known.strong_count() > 0);
        let (told, state) = watch::channel(None);
        let follower = Follower { client: self.client.clone(), key: key.clone(), told, changes: self.changes.clone() };
        let place = self.places.clone().try_acquire_owned();
        let task = tokio::spawn(async move {
            match place {
                Ok(_place) => follower.watch().await,
                Err(_) => follower.read_again().await,
            }
        });
        let new = Arc::new(Watched { state, task: task.abort_handle() });
        watched.insert(key.clone(), Arc::downgrade(&new));
        new
    }
}

/// The API's word for a kind.
pub(super) fn api_kind(kind: SourceKind) -> &'static Kind {
    match kind {
        SourceKind::ConfigMap => &kinds::CONFIG_MAP,
        SourceKind::Secret => &kinds::SECRET,
    }
}

struct Follower {
    client: Client,
    key: Key,
    told: watch::Sender<Option<State>>,
    changes: mpsc::UnboundedSender<Change>,
}

impl Follower {
    async fn watch(self) {
        let (namespace, kind, name) = &self.key;
        let selector = ListOptions::fields(format!("metadata.name={name}"));
        let mut events = self.client.informer(api_kind(*kind), Some(namespace), selector);
        while let Some(event) = events.next().await {
            self.tell(match event {
                InformerEvent::Restarted(objects) => objects.into_iter().next(),
                InformerEvent::Applied(object) => Some(object),
                InformerEvent::Deleted(_) => None,
            });
        }
    }

    async fn read_again(self) {
        let (namespace, kind, name) = &self.key;
        loop {
            let pause = match self.client.get(api_kind(*kind), Some(namespace), name).await {
                Ok(object) => {
                    self.tell(Some(object));
                    READ_INTERVAL
                }
                Err(error) if error.is_not_found() => {
                    self.tell(None);
                    // Pods may be waiting for it.
                    RETRY_INTERVAL
                }
                Err(error) => {
                    tracing::debug!(kind = ?kind, namespace, name, %error, "an object of volumes cannot be read; trying again");
                    RETRY_INTERVAL
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// The first state is waited for; of others, the volumes are told.
    fn tell(&self, object: Option<Value>) {
        let state = object.map(Arc::new);
        let mut is_first = false;
        let is_new = self.told.send_if_modified(|told| {
            is_first = told.is_none();
            let is_new = told.as_ref() != Some(&state);
            if is_new {
                *told = Some(state);
            }
            is_new
        });
        if is_new && !is_first {
            // Whoever would hear it is gone only when the host ends.
            let _ = self.changes.send(Change::Object(self.key.clone()));
        }
    }
}
