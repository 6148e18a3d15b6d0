//! List, then watch, for ever: resumes where a watch broke, lists again where it cannot.

use std::time::Duration;

use coracle_api::kind::Kind;
use coracle_api::object;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use serde_json::Value;

use crate::backoff::Backoff;
use crate::client::Client;
use crate::error::Error;
use crate::options::{ListOptions, WatchOptions};
use crate::watch::WatchEvent;

const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// What an informer says.
#[derive(Clone, Debug)]
pub enum InformerEvent {
    /// This is everything: forget what is not in it.
    Restarted(Vec<Value>),
    /// The object is there, in this state.
    Applied(Value),
    /// The object is gone; this was its last state.
    Deleted(Value),
}

/// The objects of a kind and every change to them, in order, without end. Only the selectors of `options` are used.
///
/// Failures are logged and retried with back-off; the consumer sees only consistent states.
pub fn informer(
    client: Client,
    kind: &'static Kind,
    namespace: Option<String>,
    options: ListOptions,
) -> impl Stream<Item = InformerEvent> + Send + Unpin + 'static {
    let state = Informer {
        client,
        kind,
        namespace,
        options,
        revision: None,
        watch: None,
        backoff: Backoff::new(RETRY_FIRST, RETRY_LAST),
    };
    Box::pin(futures::stream::unfold(state, |mut state| async move {
        let event = state.next().await;
        Some((event, state))
    }))
}

impl Client {
    /// See [`informer`].
    pub fn informer(
        &self,
        kind: &'static Kind,
        namespace: Option<&str>,
        options: ListOptions,
    ) -> impl Stream<Item = InformerEvent> + Send + Unpin + 'static + use<> {
        informer(self.clone(), kind, namespace.map(str::to_owned), options)
    }
}

struct Informer {
    client: Client,
    kind: &'static Kind,
    namespace: Option<String>,
    options: ListOptions,
    /// Everything up to here was reported.
    revision: Option<u64>,
    watch: Option<BoxStream<'static, Result<WatchEvent, Error>>>,
    backoff: Backoff,
}

impl Informer {
    async fn next(&mut self) -> InformerEvent {
        loop {
            let step = match (&mut self.watch, self.revision) {
                (Some(_), _) => self.read().await,
                (None, None) => self.list().await,
                (None, Some(revision)) => self.open(revision).await.map(|()| None),
            };
            match step {
                Ok(Some(event)) => return event,
                Ok(None) => {}
                Err(error) => self.fail(error).await,
            }
        }
    }

    async fn list(&mut self) -> Result<Option<InformerEvent>, Error> {
        let list = self.client.list(self.kind, self.namespace.as_deref(), &self.options).await?;
        self.revision = Some(list.revision);
        Ok(Some(InformerEvent::Restarted(list.items)))
    }

    async fn open(&mut self, revision: u64) -> Result<(), Error> {
        let options = WatchOptions {
            label_selector: self.options.label_selector.clone(),
            field_selector: self.options.field_selector.clone(),
            revision: Some(revision),
            ..WatchOptions::default()
        };
        let watch = self.client.watch(self.kind, self.namespace.as_deref(), &options).await?;
        self.watch = Some(watch.boxed());
        Ok(())
    }

    async fn read(&mut self) -> Result<Option<InformerEvent>, Error> {
        let Some(event) = self.watch.as_mut().expect("read is called with an open watch").next().await else {
            self.watch = None;
            // A server that ends every watch at once must not be asked in a tight loop.
            tokio::time::sleep(self.backoff.next_delay()).await;
            return Ok(None);
        };
        let event = event?;
        self.backoff.reset();
        let (revision, event) = match event {
            WatchEvent::Added(value) | WatchEvent::Modified(value) => {
                (object::resource_version(&value), Some(InformerEvent::Applied(value)))
            }
            WatchEvent::Deleted(value) => (object::resource_version(&value), Some(InformerEvent::Deleted(value))),
            WatchEvent::Bookmark { revision, .. } => (Some(revision), None),
        };
        self.revision = revision.or(self.revision);
        Ok(event)
    }

    async fn fail(&mut self, error: Error) {
        self.watch = None;
        if error.is_expired() {
            self.revision = None;
            tracing::info!(kind = self.kind.kind, "the watch fell behind; listing again");
        } else {
            tracing::debug!(kind = self.kind.kind, %error, "watching failed; trying again");
        }
        tokio::time::sleep(self.backoff.next_delay()).await;
    }
}

#[cfg(test)]
mod tests;
