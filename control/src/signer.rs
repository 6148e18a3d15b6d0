//! Signs the certificates that somebody asked for and somebody approved of: an effect beside the controllers, which hold no keys.
//!
//! Deliberately absent: approving by itself, and signers of other names, whose requests are left to them.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use coracle_api::kinds::CERTIFICATE_SIGNING_REQUEST;
use coracle_api::kinds::certificate_signing_request::has_condition;
use coracle_api::object;
use coracle_store::{Change, Record, WatchError, WatchRequest};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::Objects;
use crate::authorizer::signing::CLIENT_SIGNER;
use crate::authorizer::{NODE_PREFIX, NODES};
use crate::leading::while_leading;
use crate::objects::{ObjectWrite, decode_record};
use crate::pki::{Pki, Signable};

const HOST_SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// What certificates last at most, and unless the request says less.
const DURATION: SignedDuration = SignedDuration::from_hours(24 * 365);
const CLIENT_USAGES: &[&str] = &["client auth", "digital signature", "key encipherment"];

/// Signs what is approved until `shutdown`, whenever this member leads.
pub async fn run(objects: Objects, pki: Arc<Pki>, shutdown: CancellationToken) {
    while_leading("the signer", objects.store(), &shutdown, || follow(&objects, &pki)).await;
}

async fn follow(objects: &Objects, pki: &Pki) -> WatchError {
    let snapshot = objects.store().snapshot();
    let prefix = CERTIFICATE_SIGNING_REQUEST.prefix(None);
    let request = WatchRequest { prefix: prefix.clone(), tag: None, after: snapshot.revision() };
    let Ok(mut watch) = objects.store().watch(request) else { return WatchError::TooSlow };
    for record in snapshot.range(&prefix, None) {
        look_at(objects, pki, record).await;
    }
    loop {
        match watch.next().await {
            Ok(event) if event.change == Change::Put => look_at(objects, pki, &event.record).await,
            Ok(_) => {}
            Err(ended) => return ended,
        }
    }
}

/// Signs a request if it's due, or notes why not.
async fn look_at(objects: &Objects, pki: &Pki, record: &Record) {
    let request = decode_record(record);
    if !is_due(&request) {
        return;
    }
    let now = objects.clock().now();
    let signed = sign(pki, &request, objects);
    let mut object = request.clone();
    match signed {
        Ok(certificate) => object["status"]["certificate"] = BASE64.encode(certificate).into(),
        Err(cause) => {
            let time = object::timestamp(now);
            let failed = json!({
                "type": "Failed", "status": "True", "reason": "SignerValidationFailure", "message": cause,
                "lastUpdateTime": time, "lastTransitionTime": time,
            });
            let mut conditions = object::list_at(&request, &["status", "conditions"]).to_vec();
            conditions.push(failed);
            object["status"]["conditions"] = Value::Array(conditions);
        }
    }
    let write =
        ObjectWrite::UpdateStatus { kind: &CERTIFICATE_SIGNING_REQUEST, object, revision: Some(record.revision) };
    // A request that changed meanwhile comes by again.
    match objects.write_all(vec![write]).await.map(|mut results| results.remove(0)) {
        Ok(Err(status)) | Err(status) if !matches!(status.code, 404 | 409) => {
            tracing::warn!(request = object::name(&request), message = %status.message, "a certificate could not be stored");
        }
        _ => {}
    }
}

/// Whether a certificate is wanted, approved of, and ours to sign.
fn is_due(request: &Value) -> bool {
    let text = |path: &[&str]| object::str_at(request, path).unwrap_or_default();
    [CLIENT_SIGNER, HOST_SIGNER].contains(&text(&["spec", "signerName"]))
        && has_condition(request, "Approved")
        && !has_condition(request, "Denied")
        && !has_condition(request, "Failed")
        && text(&["status", "certificate"]).is_empty()
}

/// The certificate as PEM, or why there is none.
fn sign(pki: &Pki, request: &Value, objects: &Objects) -> Result<String, String> {
    let text = |field: &str| object::str_at(request, &["spec", field]).unwrap_or_default();
    let pem = BASE64.decode(text("request")).map_err(|error| error.to_string())?;
    let signable = Signable::from_pem(&String::from_utf8_lossy(&pem)).map_err(|error| error.to_string())?;
    let usages: BTreeSet<&str> =
        object::list_at(request, &["spec", "usages"]).iter().filter_map(Value::as_str).collect();
    check(text("signerName"), &signable, &usages)?;
    let asked = object::i64_at(request, &["spec", "expirationSeconds"]).map_or(DURATION, SignedDuration::from_secs);
    let now = objects.clock().now();
    pki.sign_client(signable, asked.min(DURATION), now).map_err(|error| error.to_string())
}

/// What each signer signs, as Kubernetes' own do.
fn check(signer: &str, signable: &Signable, usages: &BTreeSet<&str>) -> Result<(), String> {
    if !usages.contains("client auth") || !usages.iter().all(|usage| CLIENT_USAGES.contains(usage)) {
        let allowed = CLIENT_USAGES.join("\", \"");
        return Err(format!("usages must include \"client auth\" and be among \"{allowed}\""));
    }
    if signer != HOST_SIGNER {
        return Ok(());
    }
    let (name, groups) = signable.subject();
    if groups != [NODES] {
        return Err(format!("subject organization is not {NODES}"));
    }
    if !name.is_some_and(|name| name.starts_with(NODE_PREFIX) && name.len() > NODE_PREFIX.len()) {
        return Err(format!("subject common name does not begin with {NODE_PREFIX}"));
    }
    if signable.has_alternative_names() {
        return Err("subject alternative names are not allowed".to_owned());
    }
    Ok(())
}
