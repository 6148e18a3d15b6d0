//! Whether this member was taken out of the group: nobody tells it, as nobody speaks with it any more, so it asks.
//!
//! Deliberately absent: what follows from it, which is the process's business.

use std::time::Duration;

use axum::response::Response;
use coracle_store::Store;
use http::{Method, StatusCode, Uri};
use serde_json::json;
use tokio::time::sleep;

use crate::handlers::App;
use crate::objects::read_failed;
use crate::peers::HttpPeers;
use crate::respond;

pub(crate) const PATH: &str = "/coracle/membership/";

/// Waits until another member says that this one does not belong to the group. They are asked where a read, tried once in the interval, finds
/// no quorum.
pub async fn wait(store: &Store, peers: &HttpPeers, interval: Duration) {
    let own = store.member();
    loop {
        sleep(interval).await;
        if store.read().await.is_ok() {
            continue;
        }
        for other in store.members().into_iter().map(|status| status.member).filter(|other| other.id != own.id) {
            if peers.is_member(&other, own.id).await == Some(false) {
                return;
            }
        }
    }
}

/// The number of the member that asks whether it is one.
pub(crate) fn asked(method: &Method, uri: &Uri) -> Option<u64> {
    uri.path().strip_prefix(PATH).filter(|_| method == Method::GET)?.parse().ok()
}

/// Says whether there is a member of this number. Who follows may not have heard of it before the read is confirmed.
pub(crate) async fn answer(app: &App, id: u64) -> Response {
    let store = app.objects.store();
    match store.read().await {
        Ok(_) => {
            let is_member = store.members().iter().any(|status| status.member.id == id);
            respond::value(StatusCode::OK, &json!({ "isMember": is_member }))
        }
        Err(error) => respond::failure(&read_failed(error)),
    }
}
