//! POST of a SecretKeyRotation: `wasmctl secrets rotate`. A new key is given to every member first, then a record makes it the current
//! one, then every Secret is sealed with it.
//!
//! Whoever leads after that has the key, so what is sealed can be opened by all. Given once: `POST /coracle/secret-key`, between members.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use coracle_api::status::{self, Status};
use coracle_store::Member;
use futures::future::try_join_all;
use http::{Method, StatusCode, Uri};
use http_body_util::BodyExt as _;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{App, Call, chain};
use crate::respond;
use crate::sealing::{NewKey, WrappingKey};

const PATH: &str = "/coracle/secret-key";
/// How long a member may take to keep a key.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A key on its way.
#[derive(Serialize, Deserialize)]
struct Given {
    id: String,
    /// In base64.
    key: String,
}

pub(super) async fn run(call: &Call) -> Result<Response, Status> {
    let (sealer, store) = (call.app.objects.sealer(), call.app.objects.store());
    // Nobody joins meanwhile, whose copy of the keys would lack the new one.
    let _turn = sealer.turn().await;
    if let Some(key) = sealer.next_key(store).await.map_err(status::internal)? {
        let members = || -> BTreeSet<u64> { store.members().into_iter().map(|member| member.member.id).collect() };
        let before = members();
        give(&call.app, &key).await?;
        if members() != before {
            return Err(status::service_unavailable(
                "members came or went meanwhile, and the key is as it was: try again",
            ));
        }
        sealer.switch(store, &key).await.map_err(status::internal)?;
    }
    let rotation = sealer.reseal(store).await.map_err(status::internal)?;
    let answer = json!({
        "apiVersion": "coracle.dev/v1", "kind": "SecretKeyRotation",
        "status": { "keyId": rotation.key_id, "rewritten": rotation.rewritten },
    });
    Ok(respond::value(StatusCode::CREATED, &answer))
}

/// Gives a key to all other members, or says who did not take it.
async fn give(app: &App, key: &NewKey) -> Result<(), Status> {
    let given = Given { id: key.id.clone(), key: BASE64.encode(key.key) };
    let own = app.objects.store().member().id;
    let others =
        app.objects.store().members().into_iter().map(|member| member.member).filter(|member| member.id != own);
    try_join_all(others.map(|member| give_to(app, member, &given))).await.map(drop)
}

async fn give_to(app: &App, member: Member, given: &Given) -> Result<(), Status> {
    let url = format!("https://{}{PATH}", member.address);
    let answer = app.members.post(url).json(given).timeout(TIMEOUT).send().await;
    let cause = match answer {
        Ok(answer) if answer.status().is_success() => return Ok(()),
        Ok(answer) => format!("it answers {}", answer.status()),
        Err(error) => chain(&error),
    };
    let name = &member.name;
    Err(status::service_unavailable(format!(
        "{member} does not take the new key, which every member must have before it is used ({cause}): the key is as it was; try again when \
         that member is back, or take it out with `wasmctl member remove {name}` if it is gone for good"
    )))
}

/// Whether another member gives a key.
pub(crate) fn is_given(method: &Method, uri: &Uri) -> bool {
    method == Method::POST && uri.path() == PATH
}

/// Keeps a key that another member gives.
pub(crate) async fn take(app: &App, body: Body) -> Response {
    let kept = async {
        let body = body.collect().await.map_err(|error| status::bad_request(error.to_string()))?.to_bytes();
        let given: Given = serde_json::from_slice(&body).map_err(|error| status::bad_request(error.to_string()))?;
        let key = BASE64.decode(&given.key).ok().and_then(|key| WrappingKey::try_from(key).ok());
        let key = key.ok_or_else(|| status::bad_request("this is no key"))?;
        app.objects.sealer().add(&NewKey { id: given.id, key }).map_err(status::internal)
    };
    match kept.await {
        Ok(()) => respond::text(StatusCode::OK, "kept"),
        Err(refused) => respond::failure(&refused),
    }
}
