//! One version of a custom resource definition.

use serde_json::Value;

use crate::json_path::JsonPath;
use crate::kinds::check::{self, Errors, text};
use crate::object;
use crate::structural::Schema;
use crate::validation::FieldError;

const COLUMN_TYPES: &[&str] = &["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: &[&str] = &["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
const SELECTABLE_MAX: usize = 8;
const WARNING_BYTES_MAX: usize = 256;

pub(super) fn validate(version: &Value, path: &str, errors: &mut Errors) {
    let schema_path = format!("{path}.schema.openAPIV3Schema");
    let schema = match version.pointer("/schema/openAPIV3Schema").filter(|schema| schema.is_object()) {
        Some(schema) => Schema::parse(schema, &schema_path, errors),
        None => {
            errors.push(FieldError::required(schema_path, "schemas are required"));
            Schema::default()
        }
    };
    for (index, column) in object::list_at(version, &["additionalPrinterColumns"]).iter().enumerate() {
        validate_column(column, &format!("{path}.additionalPrinterColumns[{index}]"), errors);
    }
    let scale = &version["subresources"]["scale"];
    if scale.is_object() {
        validate_scale(scale, &format!("{path}.subresources.scale"), errors);
    }
    validate_selectable(version, &schema, &format!("{path}.selectableFields"), errors);
    validate_deprecation(version, &format!("{path}.deprecationWarning"), errors);
}

fn validate_column(column: &Value, path: &str, errors: &mut Errors) {
    check::required(errors, &format!("{path}.name"), text(column, "name"), check::anything);
    check::one_of(errors, &format!("{path}.type"), text(column, "type"), COLUMN_TYPES);
    if !text(column, "format").is_empty() {
        check::one_of(errors, &format!("{path}.format"), text(column, "format"), COLUMN_FORMATS);
    }
    json_path(text(column, "jsonPath"), &format!("{path}.jsonPath"), errors);
}

fn validate_scale(scale: &Value, path: &str, errors: &mut Errors) {
    for (field, parents, is_required) in [
        ("specReplicasPath", &[".spec."][..], true),
        ("statusReplicasPath", &[".status."], true),
        ("labelSelectorPath", &[".spec.", ".status."], false),
    ] {
        let (path, found) = (format!("{path}.{field}"), text(scale, field));
        if found.is_empty() && !is_required {
            continue;
        }
        let Some(parsed) = json_path(found, &path, errors) else { continue };
        let is_plain = parsed.fields().is_some_and(|fields| fields.iter().all(|field| !field.contains('.')));
        if !is_plain || !parents.iter().any(|parent| found.starts_with(parent)) {
            let parents: Vec<&str> = parents.iter().map(|parent| parent.trim_end_matches('.')).collect();
            let detail = format!("should be a json path under {}, of fields alone", parents.join(" or "));
            errors.push(FieldError::invalid(path, found, detail));
        }
    }
}

fn validate_selectable(version: &Value, schema: &Schema, path: &str, errors: &mut Errors) {
    let selectable = object::list_at(version, &["selectableFields"]);
    if selectable.len() > SELECTABLE_MAX {
        errors.push(FieldError::too_many(path, selectable.len(), SELECTABLE_MAX));
    }
    let mut seen = std::collections::HashSet::new();
    for (index, field) in selectable.iter().enumerate() {
        let (path, found) = (format!("{path}[{index}].jsonPath"), text(field, "jsonPath"));
        let Some(parsed) = json_path(found, &path, errors) else { continue };
        let is_selectable = parsed.fields().and_then(|fields| schema.at(&fields)).is_some_and(Schema::is_selectable);
        if !is_selectable || found.starts_with(".metadata.") {
            let detail = "must point to a field of type string, boolean or integer, which the schema describes";
            errors.push(FieldError::invalid(path.as_str(), found, detail));
        }
        check::unique(errors, &mut seen, &path, found);
    }
}

fn validate_deprecation(version: &Value, path: &str, errors: &mut Errors) {
    let Some(warning) = object::str_at(version, &["deprecationWarning"]) else { return };
    if object::bool_at(version, &["deprecated"]) != Some(true) {
        errors.push(FieldError::invalid(path, warning, "can only be set for deprecated versions"));
    }
    if warning.len() > WARNING_BYTES_MAX {
        errors.push(FieldError::too_long(path, WARNING_BYTES_MAX));
    }
    if warning.chars().any(char::is_control) {
        errors.push(FieldError::invalid(path, warning, "must only contain printable UTF-8 characters"));
    }
}

fn json_path(text: &str, path: &str, errors: &mut Errors) -> Option<JsonPath> {
    if text.is_empty() {
        errors.push(FieldError::required(path, ""));
        return None;
    }
    JsonPath::parse(text).map_err(|error| errors.push(FieldError::invalid(path, text, error))).ok()
}
