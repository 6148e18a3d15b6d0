//! Objects within objects (`x-kubernetes-embedded-resource`): what their type and their metadata must be like, as of whole ones.

use serde_json::{Map, Value};

use super::join;
use crate::kinds::{check, metadata};
use crate::object;
use crate::schema;
use crate::validation::{self, FieldError};

/// Takes out the fields that metadata can't have.
pub(super) fn prune(path: &str, value: &mut Value, removed: &mut Vec<String>) {
    let Value::Object(fields) = value else { return };
    fields.retain(|name, _| {
        let is_known = definition().field(name).is_some();
        if !is_known {
            removed.push(join(path, name));
        }
        is_known
    });
}

/// Appends what is wrong with the type of an object at a path, and with its metadata.
pub(super) fn validate(path: &str, fields: &Map<String, Value>, errors: &mut Vec<FieldError>) {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    match text("apiVersion") {
        "" => errors.push(FieldError::required(join(path, "apiVersion"), "must not be empty")),
        version if version.matches('/').count() > 1 => {
            let detail = format!("unexpected GroupVersion string: {version}");
            errors.push(FieldError::invalid(join(path, "apiVersion"), version, detail));
        }
        _ => {}
    }
    match text("kind") {
        "" => errors.push(FieldError::required(join(path, "kind"), "must not be empty")),
        kind => {
            let messages = validation::dns1035_label(&kind.to_lowercase()).into_iter();
            let detail = |message| format!("may have mixed case, but should otherwise match: {message}");
            errors.extend(messages.map(|message| FieldError::invalid(join(path, "kind"), kind, detail(message))));
        }
    }
    let Some(found) = fields.get("metadata") else { return };
    let path = join(path, "metadata");
    let wrong = schema::check(definition(), found).into_iter().find(schema::Problem::is_refused);
    if let Some(mut wrong) = wrong {
        wrong.path = format!("{path}.{}", wrong.path).trim_end_matches('.').to_owned();
        errors.push(FieldError::invalid(path, found.clone(), wrong.to_string()));
        return;
    }
    let mut of_object = Vec::new();
    let name = object::str_at(found, &["name"]).unwrap_or_default();
    if !name.is_empty() {
        check::follows(&mut of_object, "metadata.name", name, validation::dns1123_subdomain);
    }
    metadata::validate_parts(&Value::from_iter([("metadata", found.clone())]), true, &mut of_object);
    errors.extend(of_object.into_iter().map(|mut error| {
        error.path = error.path.replacen("metadata", &path, 1);
        error
    }));
}

fn definition() -> &'static schema::Definition {
    schema::definition(schema::OBJECT_META).expect("invariant: the table has the metadata of all kinds")
}
