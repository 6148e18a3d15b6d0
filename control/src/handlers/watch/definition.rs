//! The definition of a kind that users define, watched beside its objects: a watch ends when they look different, or go.

use std::sync::Arc;

use coracle_api::custom::CustomKind;
use coracle_api::kinds::CUSTOM_RESOURCE_DEFINITION;
use coracle_api::status::{self, Status};
use coracle_store::{Watch, WatchRequest};

use crate::handlers::App;

pub(super) struct Definition {
    custom: Arc<CustomKind>,
    watch: Watch,
}

impl Definition {
    pub(super) fn watch(app: &App, custom: &Arc<CustomKind>) -> Result<Definition, Status> {
        let store = app.objects.store();
        let prefix = CUSTOM_RESOURCE_DEFINITION.key(None, &custom.kind.resource());
        let request = WatchRequest { prefix, tag: None, after: store.snapshot().revision() };
        let watch = store.watch(request).map_err(|error| status::expired(error.to_string()))?;
        let definition = Definition { custom: Arc::clone(custom), watch };
        if definition.is_current(app) { Ok(definition) } else { Err(status::unknown_resource()) }
    }

    /// Waits until objects of the kind look different, or are no more; for ever without a definition.
    pub(super) async fn changed(definition: Option<&mut Definition>, app: &App) {
        let Some(definition) = definition else { return std::future::pending().await };
        while definition.watch.next().await.is_ok() {
            if !definition.is_current(app) {
                return;
            }
        }
    }

    fn is_current(&self, app: &App) -> bool {
        app.custom_kinds().of(self.custom.kind).is_some_and(|current| *current == self.custom)
    }
}
