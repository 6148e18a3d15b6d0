//! A certificate signing request: asks a signer for a certificate, once somebody approved of it.
//!
//! Deliberately absent: reading the request itself (X.509), which the API server does when one is made.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Column, Kind, NameRule, Subresource};
use crate::kinds::{cells, check};
use crate::object;
use crate::validation::{self, FieldError};

const SECONDS_MIN: i64 = 600;
/// Conditions that are said once, and never unsaid.
const LASTING: &[&str] = &["Approved", "Denied", "Failed"];
const USAGES: &[&str] = &[
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

pub(crate) const KIND: Kind = Kind {
    group: "certificates.k8s.io",
    version: "v1",
    kind: "CertificateSigningRequest",
    plural: "certificatesigningrequests",
    singular: "certificatesigningrequest",
    short_names: &["csr"],
    categories: &[],
    namespaced: false,
    definition: "io.k8s.api.certificates.v1.CertificateSigningRequest",
    subresources: &[Subresource::Status, Subresource::Approval],
    columns: COLUMNS,
    fields: &["spec.signerName"],
    name_rule: NameRule::PathSegment,
    tags,
    status_on_create: false,
    awaits_controller: false,
    default,
    validate,
    validate_update,
};

const COLUMNS: &[Column] = &[
    cells::NAME,
    cells::AGE,
    Column::string("SignerName", 0, "signerName indicates the requested signer, and is a qualified name.", signer),
    Column::string(
        "Requestor",
        0,
        "username contains the name of the user that created the CertificateSigningRequest.",
        requestor,
    ),
    Column::string(
        "RequestedDuration",
        0,
        "expirationSeconds is the requested duration of validity of the issued certificate.",
        duration,
    ),
    Column::string("Condition", 0, "conditions applied to the request.", condition),
];

fn signer(object: &Value, _: Timestamp) -> Value {
    cells::text_or(object, &["spec", "signerName"], cells::NONE)
}

fn requestor(object: &Value, _: Timestamp) -> Value {
    cells::text_or(object, &["spec", "username"], "")
}

fn duration(object: &Value, _: Timestamp) -> Value {
    let seconds = object::i64_at(object, &["spec", "expirationSeconds"]);
    seconds.map_or_else(|| cells::NONE.to_owned(), cells::human_duration).into()
}

fn condition(object: &Value, _: Timestamp) -> Value {
    let mut text = match (has_condition(object, "Denied"), has_condition(object, "Approved")) {
        (true, _) => "Denied".to_owned(),
        (false, true) => "Approved".to_owned(),
        (false, false) => "Pending".to_owned(),
    };
    if has_condition(object, "Failed") {
        text.push_str(",Failed");
    }
    if object::str_at(object, &["status", "certificate"]).is_some_and(|certificate| !certificate.is_empty()) {
        text.push_str(",Issued");
    }
    text.into()
}

/// Whether the request has a condition, `Approved` say.
pub fn has_condition(object: &Value, condition: &str) -> bool {
    object::list_at(object, &["status", "conditions"]).iter().any(|found| check::text(found, "type") == condition)
}

fn tags(_: &Value) -> Vec<String> {
    Vec::new()
}

fn default(_: &mut Value) {}

fn validate(object: &Value, errors: &mut Vec<FieldError>) {
    let text = |field: &str| object::str_at(object, &["spec", field]).unwrap_or_default();
    let request = BASE64.decode(text("request")).unwrap_or_default();
    if !String::from_utf8_lossy(&request).contains("-----BEGIN CERTIFICATE REQUEST-----") {
        let detail = "PEM block type must be CERTIFICATE REQUEST";
        errors.push(FieldError::invalid("spec.request", text("request"), detail));
    }
    let usages = object::list_at(object, &["spec", "usages"]);
    if usages.is_empty() {
        errors.push(FieldError::required("spec.usages", "usages must be provided"));
    }
    for (index, usage) in usages.iter().enumerate() {
        let path = format!("spec.usages[{index}]");
        if usage.as_str().is_none_or(|usage| !USAGES.contains(&usage)) {
            errors.push(FieldError::not_supported(path, usage.clone(), USAGES));
        } else if usages[..index].contains(usage) {
            errors.push(FieldError::duplicate(path, usage.clone()));
        }
    }
    validate_signer_name(text("signerName"), errors);
    let seconds = object::i64_at(object, &["spec", "expirationSeconds"]);
    if let Some(seconds) = seconds.filter(|seconds| *seconds < SECONDS_MIN) {
        let detail = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.push(FieldError::invalid("spec.expirationSeconds", seconds, detail));
    }
}

/// `example.com/signer-name`.
fn validate_signer_name(name: &str, errors: &mut Vec<FieldError>) {
    const PATH: &str = "spec.signerName";
    if name.is_empty() {
        return errors.push(FieldError::required(PATH, ""));
    }
    let Some((domain, path)) = name.split_once('/').filter(|(_, path)| !path.is_empty() && !path.contains('/')) else {
        let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        return errors.push(FieldError::invalid(PATH, name, detail));
    };
    if name == "kubernetes.io/legacy-unknown" {
        let detail = "the legacy signerName is not allowed via this API version";
        return errors.push(FieldError::invalid(PATH, name, detail));
    }
    check::follows(errors, PATH, domain, validation::dns1123_subdomain);
    if !domain.contains('.') {
        let detail = "should be a domain with at least two segments separated by dots";
        errors.push(FieldError::invalid(PATH, domain, detail));
    }
    check::follows(errors, PATH, path, validation::dns1123_subdomain);
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    check::immutable(errors, "spec", new.get("spec"), old.get("spec"));
}

/// Appends what is wrong with new conditions: whether they are an approval's, and what may not be taken back.
pub fn validate_conditions(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    const PATH: &str = "status.conditions";
    let conditions = object::list_at(new, &["status", "conditions"]);
    for (index, condition) in conditions.iter().enumerate() {
        let (kind, status) = (check::text(condition, "type"), check::text(condition, "status"));
        if kind.is_empty() {
            errors.push(FieldError::required(format!("{PATH}[{index}].type"), ""));
        }
        if LASTING.contains(&kind) {
            check::one_of(errors, &format!("{PATH}[{index}].status"), status, &["True"]);
        } else {
            check::one_of(errors, &format!("{PATH}[{index}].status"), status, &["False", "True", "Unknown"]);
        }
        if conditions[..index].iter().any(|other| check::text(other, "type") == kind) {
            errors.push(FieldError::duplicate(format!("{PATH}[{index}].type"), kind));
        }
    }
    if has_condition(new, "Approved") && has_condition(new, "Denied") {
        let detail = "Approved and Denied conditions are mutually exclusive";
        errors.push(FieldError::invalid(PATH, "Denied", detail));
    }
    for kind in LASTING.iter().filter(|kind| has_condition(old, kind) && !has_condition(new, kind)) {
        let detail = format!("updates may not remove a condition of type {kind:?}");
        errors.push(FieldError::forbidden(PATH, detail));
    }
    let certificate = |object| object::str_at(object, &["status", "certificate"]).unwrap_or_default();
    if !certificate(old).is_empty() && certificate(new) != certificate(old) {
        let detail = "updates may not set certificate content if existing certificate content is set";
        errors.push(FieldError::forbidden("status.certificate", detail));
    }
}
