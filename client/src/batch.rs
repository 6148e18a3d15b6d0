//! Many writes in one request, decided one by one and answered in order.

use coracle_api::status::{self, Status};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::Client;
use crate::error::Error;
use crate::options::DeleteOptions;

/// What a batch item does with its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum BatchVerb {
    /// Creates it; fails where it exists.
    Create,
    /// Replaces it; `metadata.resourceVersion`, where given, must match.
    Update,
    /// Replaces its status; without `metadata.resourceVersion` the last writer wins, with `metadata.uid` only that incarnation is touched.
    UpdateStatus,
    /// Deletes it; `metadata.uid` and `metadata.resourceVersion`, where given, must match.
    Delete,
}

/// One write of a batch.
#[derive(Clone, Debug, Serialize)]
pub struct BatchItem {
    /// What to do.
    pub verb: BatchVerb,
    /// The object, with `apiVersion`, `kind` and `metadata`.
    pub object: Value,
    /// How to delete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<DeleteOptions>,
}

impl BatchItem {
    /// A create.
    pub fn create(object: Value) -> BatchItem {
        BatchItem { verb: BatchVerb::Create, object, options: None }
    }

    /// An update.
    pub fn update(object: Value) -> BatchItem {
        BatchItem { verb: BatchVerb::Update, object, options: None }
    }

    /// A status update.
    pub fn update_status(object: Value) -> BatchItem {
        BatchItem { verb: BatchVerb::UpdateStatus, object, options: None }
    }

    /// A delete.
    pub fn delete(object: Value, options: DeleteOptions) -> BatchItem {
        BatchItem { verb: BatchVerb::Delete, object, options: Some(options) }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Batch<'a> {
    api_version: &'static str,
    kind: &'static str,
    items: &'a [BatchItem],
}

#[derive(Deserialize)]
struct BatchAnswer {
    items: Vec<ItemAnswer>,
}

#[derive(Deserialize)]
struct ItemAnswer {
    code: u16,
    #[serde(default)]
    object: Value,
    status: Option<Status>,
}

impl Client {
    /// Carries out all of `items` in one request. The outer error means that nothing is known about any of them; the inner ones are each item's own.
    pub async fn batch(&self, items: Vec<BatchItem>) -> Result<Vec<Result<Value, Box<Status>>>, Error> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let path = "/apis/coracle.dev/v1/batches";
        let body = Batch { api_version: "coracle.dev/v1", kind: "Batch", items: &items };
        let answer: BatchAnswer = self.post(path, &body).await?;
        if answer.items.len() != items.len() {
            let reason = format!("{} items were sent, {} answered", items.len(), answer.items.len());
            return Err(Error::Answer { request: format!("POST {path}"), reason });
        }
        Ok(answer.items.into_iter().map(ItemAnswer::into_result).collect())
    }
}

impl ItemAnswer {
    fn into_result(self) -> Result<Value, Box<Status>> {
        match self.status {
            Some(status) if self.code >= 400 => Err(Box::new(status)),
            None if self.code >= 400 => {
                Err(Box::new(status::internal(format!("the item failed with code {}", self.code))))
            }
            _ => Ok(self.object),
        }
    }
}
