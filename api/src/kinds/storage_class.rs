//! A storage class: how volumes for claims are provisioned.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Cell, Column, Kind, NameRule};
use crate::kinds::pod::default;
use crate::kinds::{cells, check};
use crate::object;
use crate::validation::{self, FieldError};

const PARAMETERS_MAX: usize = 512;
const PARAMETERS_BYTES_MAX: usize = 256 * 1024;
/// The annotations that make a class the one for claims that name none.
const DEFAULT_ANNOTATIONS: &[&str] =
    &["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

pub(crate) const KIND: Kind = Kind {
    group: "storage.k8s.io",
    version: "v1",
    kind: "StorageClass",
    plural: "storageclasses",
    singular: "storageclass",
    short_names: &["sc"],
    categories: &[],
    namespaced: false,
    definition: "io.k8s.api.storage.v1.StorageClass",
    subresources: &[],
    columns: COLUMNS,
    fields: &[],
    name_rule: NameRule::Dns1123Subdomain,
    tags,
    awaits_controller: false,
    status_on_create: false,
    default,
    validate,
    validate_update,
};

const COLUMNS: &[Column] = &[
    Column { cell: Cell::Computed(name), ..cells::NAME },
    Column::string("Provisioner", 0, "Provisioner indicates the type of the provisioner.", |object, _| {
        cells::text_or(object, &["provisioner"], "")
    }),
    Column::string(
        "ReclaimPolicy",
        0,
        "Dynamically provisioned PersistentVolumes of this storage class are created with this reclaimPolicy. \
        Defaults to Delete.",
        |object, _| cells::text_or(object, &["reclaimPolicy"], "Delete"),
    ),
    Column::string(
        "VolumeBindingMode",
        0,
        "VolumeBindingMode indicates how PersistentVolumeClaims should be provisioned and bound.  When unset, \
        VolumeBindingImmediate is used. This field is only honored by servers that enable the VolumeScheduling \
        feature.",
        |object, _| cells::text_or(object, &["volumeBindingMode"], "Immediate"),
    ),
    Column::string(
        "AllowVolumeExpansion",
        0,
        "AllowVolumeExpansion shows whether the storage class allow volume expand",
        |object, _| object::bool_at(object, &["allowVolumeExpansion"]).unwrap_or(false).into(),
    ),
    cells::AGE,
];

fn name(object: &Value, _: Timestamp) -> Value {
    let mark = if is_default(object) { " (default)" } else { "" };
    format!("{}{mark}", object::name(object)).into()
}

/// Whether claims that name no class get this one.
pub fn is_default(object: &Value) -> bool {
    DEFAULT_ANNOTATIONS.iter().any(|annotation| object::annotation(object, annotation) == Some("true"))
}

fn tags(_: &Value) -> Vec<String> {
    Vec::new()
}

fn default(object: &mut Value) {
    let Some(class) = object.as_object_mut() else { return };
    default::set_text(class, "reclaimPolicy", "Delete");
    default::set_text(class, "volumeBindingMode", "Immediate");
}

fn validate(object: &Value, errors: &mut Vec<FieldError>) {
    let provisioner = check::text(object, "provisioner");
    if provisioner.is_empty() {
        errors.push(FieldError::required("provisioner", ""));
    } else {
        let messages = validation::qualified_name(&provisioner.to_lowercase()).into_iter();
        errors.extend(messages.map(|message| FieldError::invalid("provisioner", provisioner, message)));
    }
    parameters(object, errors);
    check::one_of(errors, "reclaimPolicy", check::text(object, "reclaimPolicy"), &["Delete", "Retain"]);
    let mode = check::text(object, "volumeBindingMode");
    check::one_of(errors, "volumeBindingMode", mode, &["Immediate", "WaitForFirstConsumer"]);
    for (index, term) in object::list_at(object, &["allowedTopologies"]).iter().enumerate() {
        topology(term, &format!("allowedTopologies[{index}].matchLabelExpressions"), errors);
    }
}

fn parameters(object: &Value, errors: &mut Vec<FieldError>) {
    if check::entries(object, &["parameters"]).count() > PARAMETERS_MAX {
        errors.push(FieldError::too_long("parameters", PARAMETERS_MAX));
        return;
    }
    let mut bytes = 0;
    for (key, value) in check::entries(object, &["parameters"]) {
        if key.is_empty() {
            errors.push(FieldError::invalid("parameters", key, "field can not be empty."));
        }
        bytes += key.len() + value.as_str().map_or(0, str::len);
    }
    if bytes > PARAMETERS_BYTES_MAX {
        errors.push(FieldError::too_long("parameters", PARAMETERS_BYTES_MAX));
    }
}

fn topology(term: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let mut keys = HashSet::new();
    for (index, expression) in object::list_at(term, &["matchLabelExpressions"]).iter().enumerate() {
        let (key, path) = (check::text(expression, "key"), format!("{path}[{index}]"));
        let listed = object::list_at(expression, &["values"]);
        if listed.is_empty() {
            errors.push(FieldError::required(format!("{path}.values"), ""));
        }
        let mut values = HashSet::new();
        for (index, value) in listed.iter().filter_map(Value::as_str).enumerate() {
            check::unique(errors, &mut values, &format!("{path}.values[{index}]"), value);
        }
        check::follows(errors, &format!("{path}.key"), key, validation::qualified_name);
        check::unique(errors, &mut keys, &format!("{path}.key"), key);
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    for field in ["parameters", "provisioner", "reclaimPolicy"] {
        let value = |object: &Value| object.get(field).cloned().unwrap_or_default();
        if value(new) != value(old) {
            errors.push(FieldError::forbidden(field, format!("updates to {field} are forbidden.")));
        }
    }
    check::immutable(errors, "volumeBindingMode", new.get("volumeBindingMode"), old.get("volumeBindingMode"));
}
