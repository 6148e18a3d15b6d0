//! Who may have certificates signed, approve of that, and sign: checks beyond the right to write signing requests.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use coracle_api::kind::Kind;
use coracle_api::kinds::CERTIFICATE_SIGNING_REQUEST;
use coracle_api::kinds::certificate_signing_request::{has_condition, validate_conditions};
use coracle_api::object;
use coracle_api::status::{self, Status};
use coracle_api::validation::{BadValue, FieldError};
use coracle_store::Snapshot;
use jiff::Timestamp;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, X509CertificationRequest};

use super::{Attributes, Authorizer, MASTERS, Subject};
use crate::authentication::User;
use crate::objects::Part;
use crate::peers::MEMBERS;

/// Signs certificates for the API's clients.
pub(crate) const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";

const APPROVAL: &[&str] = &["Approved", "Denied"];
const PATH: &str = "status.conditions";

/// Notes on a new signing request who asks, and refuses one that can't be read or asks for too much. Other kinds pass.
pub(crate) fn admit(kind: &Kind, user: &User, new: &mut Value) -> Result<(), Status> {
    if *kind != CERTIFICATE_SIGNING_REQUEST {
        return Ok(());
    }
    let spec = object::child_mut(new, "spec");
    for field in ["username", "uid", "groups", "extra"] {
        spec.remove(field);
    }
    spec.insert("username".to_owned(), user.name.as_str().into());
    spec.insert("groups".to_owned(), json!(user.groups));
    if !user.uid.is_empty() {
        spec.insert("uid".to_owned(), user.uid.as_str().into());
    }
    if !user.extra.is_empty() {
        spec.insert("extra".to_owned(), json!(user.extra));
    }
    let text = |field: &str| object::str_at(new, &["spec", field]).unwrap_or_default();
    let (name, request) = (object::name(new), text("request"));
    let organisations =
        organisations(request).map_err(|cause| status::invalid(kind, name, &[refused_request(cause)]))?;
    // Who is in one of these is asked no further: masters may do everything, and members speak for anybody.
    let reserved = organisations.iter().find(|group| [MASTERS, MEMBERS].contains(&group.as_str()));
    if let Some(group) = reserved.filter(|_| text("signerName") == CLIENT_SIGNER) {
        let because = format!("use of {CLIENT_SIGNER} signer with {group} group is not allowed");
        return Err(status::forbidden(kind, name, &because));
    }
    Ok(())
}

/// What was sent is not shown: it might be a private key.
fn refused_request(cause: String) -> FieldError {
    FieldError::invalid("spec.request", BadValue::Printed("<not shown>".to_owned()), cause)
}

/// The organisations of the subject of a request, whose signature must be good.
fn organisations(request: &str) -> Result<Vec<String>, String> {
    const BLOCK: &str = "CERTIFICATE REQUEST";
    let pem = BASE64.decode(request).ok().and_then(|pem| Some(x509_parser::pem::parse_x509_pem(&pem).ok()?.1));
    let pem = pem.filter(|pem| pem.label == BLOCK).ok_or_else(|| format!("PEM block type must be {BLOCK}"))?;
    let (_, request) = X509CertificationRequest::from_der(&pem.contents)
        .map_err(|_| "what is in the PEM block is no certificate request of PKCS #10".to_owned())?;
    request.verify_signature().map_err(|error| error.to_string())?;
    let subject = &request.certification_request_info.subject;
    Ok(subject.iter_organization().filter_map(|name| name.as_str().ok()).map(str::to_owned).collect())
}

/// Dates the conditions that an approval adds.
pub(crate) fn date_conditions(new: &mut Value, old: &Value, now: Timestamp) {
    let known = object::list_at(old, &["status", "conditions"]).to_vec();
    for condition in new.pointer_mut("/status/conditions").and_then(Value::as_array_mut).into_iter().flatten() {
        let before = known.iter().find(|other| other["type"] == condition["type"]);
        if condition["lastTransitionTime"].is_null() {
            let same = before.filter(|other| other["status"] == condition["status"]);
            let time = same.map(|other| other["lastTransitionTime"].clone()).filter(|time| !time.is_null());
            condition["lastTransitionTime"] = time.unwrap_or_else(|| object::timestamp(now).into());
        }
        if condition["lastUpdateTime"].is_null() {
            condition["lastUpdateTime"] = object::timestamp(now).into();
        }
    }
}

/// Refuses approvals and certificates of those who may not approve or sign for the signer asked, and conditions that can't be.
pub(crate) fn check(
    (user, authorizer): (&User, &dyn Authorizer),
    kind: &Kind,
    part: Part,
    new: &Value,
    old: &Value,
    snapshot: &Snapshot,
) -> Result<(), Status> {
    let status_of = |object: &Value| object.get("status").cloned();
    if *kind != CERTIFICATE_SIGNING_REQUEST || status_of(new) == status_of(old) {
        return Ok(());
    }
    let name = object::name(old);
    let verb = if part == Part::Approval { "approve" } else { "sign" };
    let signer = object::str_at(old, &["spec", "signerName"]).unwrap_or_default();
    if !may(user, authorizer, verb, signer, snapshot) {
        let because = format!("user not permitted to {verb} requests with signerName {signer:?}");
        return Err(status::forbidden(kind, name, &because));
    }
    let mut errors = Vec::new();
    validate_conditions(new, old, &mut errors);
    let conditions = object::list_at(new, &["status", "conditions"]).iter();
    for condition in conditions.filter_map(|condition| object::str_at(condition, &["type"])) {
        if !has_condition(old, condition) && APPROVAL.contains(&condition) != (part == Part::Approval) {
            errors.push(FieldError::forbidden(PATH, format!("updates may not add a condition of type {condition:?}")));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(status::invalid(kind, name, &errors)) }
}

/// Whether the user has the verb on the signer, or on all of its domain.
fn may(user: &User, authorizer: &dyn Authorizer, verb: &str, signer: &str, snapshot: &Snapshot) -> bool {
    let all_of_domain = format!("{}/*", signer.split('/').next().unwrap_or_default());
    [signer, all_of_domain.as_str()].into_iter().any(|name| {
        let subject = Subject::Resource {
            group: CERTIFICATE_SIGNING_REQUEST.group,
            resource: "signers",
            subresource: None,
            namespace: None,
            name: Some(name),
            fields: None,
        };
        authorizer.allows(&Attributes { user, verb, subject }, snapshot)
    })
}
