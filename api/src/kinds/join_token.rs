//! A join token: lets one machine join the cluster. The first that shows it is noted in it, and nobody else can use it from then on.

use jiff::Timestamp;
use serde_json::Value;

use crate::join::Role;
use crate::kind::{Column, Kind, NameRule};
use crate::kinds::{cells, check};
use crate::object;
use crate::validation::{self, FieldError};

pub(crate) const KIND: Kind = Kind {
    group: "coracle.dev",
    version: "v1",
    kind: "JoinToken",
    plural: "jointokens",
    singular: "jointoken",
    short_names: &[],
    categories: &[],
    namespaced: false,
    definition: "dev.coracle.v1.JoinToken",
    subresources: &[],
    columns: COLUMNS,
    fields: &[],
    name_rule: NameRule::Dns1123Label,
    tags,
    awaits_controller: false,
    status_on_create: false,
    default,
    validate,
    validate_update,
};

const COLUMNS: &[Column] = &[
    cells::NAME,
    Column::string("Role", 0, "Role is what the machine that joins becomes.", role),
    Column::string("Used By", 0, "Used By is the name of the machine that used the token.", used_by),
    Column::string("Expires", 0, "Expires is how long the token is still good for.", expires),
    cells::AGE,
];

/// When the token is no longer taken.
pub fn expiration(token: &Value) -> Option<Timestamp> {
    cells::timestamp_at(token, &["spec", "expirationTimestamp"])
}

/// The machine that used it: its name, and the hash of a secret that only it knows.
pub fn joiner(token: &Value) -> Option<(&str, &str)> {
    let joiner = |field| object::str_at(token, &["spec", "joiner", field]);
    Some((joiner("name")?, joiner("secretHash").unwrap_or_default()))
}

fn used_by(object: &Value, _: Timestamp) -> Value {
    joiner(object).map_or("<none>", |(name, _)| name).into()
}

fn role(object: &Value, _: Timestamp) -> Value {
    cells::text_or(object, &["spec", "role"], cells::UNKNOWN)
}

fn expires(object: &Value, now: Timestamp) -> Value {
    match expiration(object) {
        None => cells::UNKNOWN.into(),
        Some(at) if at <= now => "expired".into(),
        Some(at) => cells::human_duration(at.as_second() - now.as_second()).into(),
    }
}

fn tags(_: &Value) -> Vec<String> {
    Vec::new()
}

fn default(_: &mut Value) {}

fn validate(object: &Value, errors: &mut Vec<FieldError>) {
    let text = |field| object::str_at(object, &["spec", field]).unwrap_or_default();
    check::one_of(errors, "spec.role", text("role"), &Role::ALL.map(Role::as_str));
    if expiration(object).is_none() {
        errors.push(FieldError::required("spec.expirationTimestamp", ""));
    }
    check::required(errors, "spec.secretHash", text("secretHash"), sha256);
    if let Some(joiner) = object::get(object, &["spec", "joiner"]) {
        check::required(errors, "spec.joiner.name", check::text(joiner, "name"), validation::dns1123_subdomain);
        check::required(errors, "spec.joiner.secretHash", check::text(joiner, "secretHash"), sha256);
    }
}

fn sha256(text: &str) -> Vec<String> {
    let is_hexadecimal = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match text.len() == 64 && is_hexadecimal {
        true => Vec::new(),
        false => vec!["must be 64 lower-case hexadecimal digits".to_owned()],
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let mut old = old.get("spec").cloned().unwrap_or_default();
    if let (Some(joiner), false) = (object::get(new, &["spec", "joiner"]), check::is_set(&old, "joiner")) {
        old["joiner"] = joiner.clone();
    }
    check::immutable(errors, "spec", new.get("spec"), Some(&old));
}
