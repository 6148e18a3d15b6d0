//! POST of a TokenRequest to a service account: `kubectl create token`.

use axum::response::Response;
use bytes::Bytes;
use coracle_api::kind::Kind;
use coracle_api::kinds::{POD, SECRET, SERVICE_ACCOUNT};
use coracle_api::object;
use coracle_api::status::{self, Status};
use coracle_api::validation::FieldError;
use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Call;
use crate::admission::policies::Operation;
use crate::authentication::service_account_user;
use crate::objects::decode_record;
use crate::request::Address;
use crate::respond;
use crate::tokens::{Bound, Claims, ISSUER, Reference};

const GROUP: &str = "authentication.k8s.io";
const KIND: &str = "TokenRequest";
const DEFINITION: &str = "io.k8s.api.authentication.v1.TokenRequest";
const SECONDS_MIN: i64 = 10 * 60;
const SECONDS_DEFAULT: i64 = 60 * 60;
/// Whoever asks for longer gets this, and a warning.
const SECONDS_MAX: i64 = 24 * 60 * 60;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    audiences: Option<Vec<String>>,
    expiration_seconds: Option<i64>,
    bound_object_ref: Option<ObjectReference>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectReference {
    kind: String,
    api_version: String,
    name: String,
    uid: String,
}

pub(super) async fn request(call: &Call, address: &Address, body: &Bytes) -> Result<Response, Status> {
    let (namespace, name) = (address.namespace().unwrap_or_default(), address.name()?);
    let (mut request, options, mut warnings) = call.decode_asked(body, DEFINITION, KIND)?;
    check_names(&request, namespace, name)?;
    let spec = request.get_mut("spec").map(Value::take).unwrap_or_default();
    let spec: Option<Spec> = serde_json::from_value(spec).map_err(|error| {
        status::bad_request(format!("{KIND} in version \"v1\" cannot be handled as a {KIND}: spec: {error}"))
    })?;
    let Spec { audiences, expiration_seconds, bound_object_ref } = spec.unwrap_or_default();
    let seconds = lifetime(expiration_seconds, name, &mut warnings)?;
    let account = call.app.objects.get(&SERVICE_ACCOUNT, Some(namespace), name).await?;
    let serviceaccount = reference(&decode_record(&account));
    let (pod, secret) = bound_to(call, namespace, name, bound_object_ref.as_ref()).await?;
    if call.user.node().is_some() && pod.is_none() {
        let because = "node requested token not bound to a pod";
        return Err(status::forbidden(&SERVICE_ACCOUNT, name, because));
    }
    let now = call.app.objects.clock().now();
    let audiences = audiences.filter(|list| !list.is_empty()).unwrap_or_else(|| vec![ISSUER.to_owned()]);
    let issued = now.as_second();
    let claims = Claims {
        aud: audiences.clone(),
        exp: issued + seconds,
        iat: issued,
        iss: ISSUER.to_owned(),
        jti: call.app.objects.new_uid(),
        bound: Bound { namespace: namespace.to_owned(), pod, secret, serviceaccount },
        nbf: issued,
        sub: service_account_user(namespace, name),
    };
    let expires = Timestamp::from_second(claims.exp).unwrap_or(Timestamp::MAX);
    let bound = bound_object_ref.map(|ObjectReference { kind, api_version, name, uid }| {
        json!({ "kind": kind, "apiVersion": api_version, "name": name, "uid": uid })
    });
    let mut answer = json!({
        "kind": KIND, "apiVersion": format!("{GROUP}/v1"),
        "metadata": { "name": name, "namespace": namespace, "creationTimestamp": object::timestamp(now) },
        "spec": { "audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": bound },
    });
    let operation = Operation {
        verb: "CREATE",
        kind: address.kind,
        object_kind: [GROUP, "v1", KIND],
        namespace: Some(namespace),
        name,
        subresource: "token",
        object: &answer,
        old: &Value::Null,
        user: &call.user,
        dry_run: options.dry_run,
    };
    warnings.extend(call.app.objects.review(&operation, &call.annotations)?);
    // Who only tries gets none.
    let token = if options.dry_run { String::new() } else { call.app.tokens.issue(&claims) };
    answer["status"] = json!({ "token": token, "expirationTimestamp": object::timestamp(expires) });
    let mut response = respond::value(StatusCode::CREATED, &answer);
    respond::warn(&mut response, &warnings);
    Ok(response)
}

/// The pod, or the Secret, that a token is to be bound to.
async fn bound_to(
    call: &Call,
    namespace: &str,
    account: &str,
    wanted: Option<&ObjectReference>,
) -> Result<(Option<Reference>, Option<Reference>), Status> {
    let Some(wanted) = wanted else { return Ok((None, None)) };
    match (wanted.api_version.as_str(), wanted.kind.as_str()) {
        ("v1", "Pod") => Ok((Some(bound_pod(call, namespace, account, wanted).await?), None)),
        ("v1", "Secret") => Ok((None, Some(bound_object(call, &SECRET, namespace, wanted).await?.1))),
        (api_version, kind) => {
            let message = format!("cannot bind token to object of type {api_version}, Kind={kind}");
            Err(status::bad_request(message))
        }
    }
}

/// A body may repeat what its path says, and say nothing else.
fn check_names(request: &Value, namespace: &str, name: &str) -> Result<(), Status> {
    if object::namespace(request).is_some_and(|found| found != namespace) {
        return Err(status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    let found = object::name(request);
    if !found.is_empty() && found != name {
        let message = format!("the name of the object ({found}) does not match the name on the URL ({name})");
        return Err(status::bad_request(message));
    }
    Ok(())
}

fn lifetime(asked: Option<i64>, name: &str, warnings: &mut Vec<String>) -> Result<i64, Status> {
    let refused = |seconds: i64, detail: &str| {
        let error = FieldError::invalid("spec.expirationSeconds", seconds, detail);
        Err(status::invalid_options(GROUP, KIND, name, &[error]))
    };
    match asked.unwrap_or(SECONDS_DEFAULT) {
        seconds if seconds < SECONDS_MIN => refused(seconds, "may not specify a duration less than 10 minutes"),
        seconds if seconds > 1 << 32 => refused(seconds, "may not specify a duration larger than 2^32 seconds"),
        seconds if seconds > SECONDS_MAX => {
            warnings.push(format!("requested expiration of {seconds} seconds shortened to {SECONDS_MAX} seconds"));
            Ok(SECONDS_MAX)
        }
        seconds => Ok(seconds),
    }
}

/// The pod a token is bound to, which must run as the account. A host gets tokens for its own pods only.
async fn bound_pod(call: &Call, namespace: &str, account: &str, wanted: &ObjectReference) -> Result<Reference, Status> {
    if call.user.node().is_some() {
        let (namespace, name) = (Some(namespace.to_owned()), Some(wanted.name.clone()));
        let pod = Address { kind: &POD, custom: None, namespace, name, subresource: None };
        call.app.authorize_address(&call.user, "get", &pod, None)?;
    }
    let (pod, reference) = bound_object(call, &POD, namespace, wanted).await?;
    if object::str_at(&pod, &["spec", "serviceAccountName"]) != Some(account) {
        let message = format!(
            "cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name."
        );
        return Err(status::bad_request(message));
    }
    Ok(reference)
}

async fn bound_object(
    call: &Call,
    kind: &'static Kind,
    namespace: &str,
    wanted: &ObjectReference,
) -> Result<(Value, Reference), Status> {
    let found = decode_record(&*call.app.objects.get(kind, Some(namespace), &wanted.name).await?);
    let reference = reference(&found);
    if !wanted.uid.is_empty() && wanted.uid != reference.uid {
        let cause = format!(
            "the UID in the bound object reference ({}) does not match the UID in record. The object might have been \
             deleted and then recreated",
            wanted.uid
        );
        return Err(status::conflict_because(kind, &wanted.name, &cause));
    }
    Ok((found, reference))
}

fn reference(object: &Value) -> Reference {
    Reference { name: object::name(object).to_owned(), uid: object::uid(object).to_owned() }
}
