//! Whether a host is still one. Its certificate names the Node that it was made for by its uid; once that Node is deleted, the certificate is
//! good for nothing, also where another machine has joined under the name.
//!
//! Not asked about are hosts whose certificates name no uid: those in processes that have the CA.

use std::borrow::Cow;
use std::time::Duration;

use coracle_api::join::NODE_DELETED;
use coracle_api::kinds::NODE;
use coracle_api::status::{self, Status};
use coracle_store::Record;
use serde::Deserialize;

use super::User;
use crate::objects::Objects;

/// How often the hosts are looked at whose connections are open.
const INTERVAL: Duration = Duration::from_secs(2);

/// Ends some seconds after the Node of a host was deleted; never for others. What the host still hears by then, as of a watch, it is to
/// hear no longer.
pub(crate) async fn until_deleted(objects: &Objects, user: &User) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        if check(objects, user).await.is_err_and(|refused| refused.reason == NODE_DELETED) {
            return;
        }
    }
}

/// Refuses a host whose Node was deleted. Others pass.
pub(crate) async fn check(objects: &Objects, user: &User) -> Result<(), Status> {
    let Some(node) = user.node().filter(|_| !user.uid.is_empty()) else { return Ok(()) };
    if objects.store().snapshot().get(&NODE.key(None, node)).is_some_and(|record| uid(&record) == user.uid) {
        return Ok(());
    }
    // The machine may have joined a moment ago, and this member be behind.
    match objects.get(&NODE, None, node).await {
        Ok(record) if uid(&record) == user.uid => Ok(()),
        Err(refused) if refused.code != 404 => Err(refused),
        _ => {
            let message = format!(
                "the Node {node} that this host joined as was deleted: it is no part of the cluster any more, unless it joins again"
            );
            Err(Status { reason: NODE_DELETED.to_owned(), ..status::unauthorized_because(message) })
        }
    }
}

/// The uid of a stored object; nothing else of it is looked at.
pub(crate) fn uid(record: &Record) -> Cow<'_, str> {
    #[derive(Deserialize)]
    struct Object<'a> {
        #[serde(borrow)]
        metadata: Metadata<'a>,
    }
    #[derive(Deserialize)]
    struct Metadata<'a> {
        #[serde(borrow)]
        uid: Cow<'a, str>,
    }
    let object: Object<'_> = serde_json::from_slice(&record.json).expect("invariant: stored objects have a uid");
    object.metadata.uid
}
