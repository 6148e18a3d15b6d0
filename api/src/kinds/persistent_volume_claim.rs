//! A claim on storage, to be bound to a persistent volume.
//!
//! Deliberately absent: the binding. Without somebody who provisions storage, a claim stays pending.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::kind::{Column, Kind, NameRule, Subresource};
use crate::kinds::pod::default;
use crate::kinds::{cells, check, resource_list, storage};
use crate::object;
use crate::quantity::Quantity;
use crate::validation::{self, FieldError};

pub(crate) const KIND: Kind = Kind {
    group: "",
    version: "v1",
    kind: "PersistentVolumeClaim",
    plural: "persistentvolumeclaims",
    singular: "persistentvolumeclaim",
    short_names: &["pvc"],
    categories: &[],
    namespaced: true,
    definition: "io.k8s.api.core.v1.PersistentVolumeClaim",
    subresources: &[Subresource::Status],
    columns: COLUMNS,
    fields: &[],
    name_rule: NameRule::Dns1123Subdomain,
    tags,
    awaits_controller: true,
    status_on_create: false,
    default,
    validate,
    validate_update,
};

const COLUMNS: &[Column] = &[
    cells::NAME,
    Column::string("Status", 0, "Phase represents the current phase of PersistentVolumeClaim.", |object, _| {
        storage::phase(object)
    }),
    Column::string(
        "Volume",
        0,
        "VolumeName is the binding reference to the PersistentVolume backing this claim.",
        |object, _| cells::text_or(object, &["spec", "volumeName"], ""),
    ),
    Column::string("Capacity", 0, "Represents the actual resources of the underlying volume.", capacity),
    Column::string(
        "Access Modes",
        0,
        "AccessModes contains the actual access modes the volume backing the PVC has. More info: \
        https://kubernetes.io/docs/concepts/storage/persistent-volumes#access-modes-1",
        access_modes,
    ),
    Column::string("StorageClass", 0, "StorageClass of the pvc", |object, _| storage::class(object)),
    cells::AGE,
    Column::string(
        "VolumeMode",
        1,
        "volumeMode defines what type of volume is required by the claim. Value of Filesystem is implied when not \
        included in claim spec.",
        |object, _| storage::volume_mode(object),
    ),
];

fn is_bound(object: &Value) -> bool {
    object::str_at(object, &["spec", "volumeName"]).is_some_and(|name| !name.is_empty())
}

fn capacity(object: &Value, _: Timestamp) -> Value {
    if is_bound(object) { resource_list::text(object, &["status", "capacity", "storage"]).into() } else { "".into() }
}

fn access_modes(object: &Value, _: Timestamp) -> Value {
    let modes = if is_bound(object) { object::list_at(object, &["status", "accessModes"]) } else { &[] };
    storage::access_modes(modes).into()
}

fn tags(_: &Value) -> Vec<String> {
    Vec::new()
}

fn default(object: &mut Value) {
    let spec = object::child_mut(object, "spec");
    default::set_text(spec, "volumeMode", "Filesystem");
    if let Some(resources) = default::child(spec, "resources") {
        for list in ["requests", "limits"] {
            resource_list::canonicalise(default::child(resources, list));
        }
    }
    mirror_data_source(spec);
    default::set_text(object::child_mut(object, "status"), "phase", "Pending");
}

/// The data source has an old field and a new one, which can name other namespaces; where it doesn't, they say the same.
fn mirror_data_source(spec: &mut Map<String, Value>) {
    let (old, new) = (spec.get("dataSource").cloned(), spec.get("dataSourceRef").cloned());
    match (old.filter(|value| !value.is_null()), new.filter(|value| !value.is_null())) {
        (Some(old), None) => default::set(spec, "dataSourceRef", old),
        (None, Some(new)) if check::text(&new, "namespace").is_empty() => default::set(spec, "dataSource", new),
        _ => {}
    }
}

fn validate(object: &Value, errors: &mut Vec<FieldError>) {
    const STORAGE: &str = "spec.resources[storage]";
    let spec = &object["spec"];
    storage::validate_access_modes(spec, "at least 1 access mode is required", errors);
    if check::is_set(spec, "selector") {
        check::label_selector(errors, "spec.selector", &spec["selector"]);
    }
    match object::get(spec, &["resources", "requests", "storage"]).map(|value| (value, Quantity::from_value(value))) {
        None => errors.push(FieldError::required(STORAGE, "")),
        Some((value, Err(error))) => errors.push(FieldError::invalid(STORAGE, value.clone(), error.to_string())),
        Some((_, Ok(quantity))) => resource_list::positive(quantity, STORAGE, errors),
    }
    storage::validate_class(spec, errors);
    storage::validate_volume_mode(spec, errors);
    data_sources(spec, errors);
    let class = check::text(spec, "volumeAttributesClassName");
    check::optional(errors, "spec.volumeAttributesClassName", class, validation::dns1123_subdomain);
}

fn data_sources(spec: &Value, errors: &mut Vec<FieldError>) {
    for field in ["dataSource", "dataSourceRef"].into_iter().filter(|field| check::is_set(spec, field)) {
        let (source, path) = (&spec[field], format!("spec.{field}"));
        let [name, kind, group, namespace] =
            ["name", "kind", "apiGroup", "namespace"].map(|field| check::text(source, field));
        check::required(errors, &format!("{path}.name"), name, check::anything);
        check::required(errors, &format!("{path}.kind"), kind, check::anything);
        if group.is_empty() && kind != "PersistentVolumeClaim" {
            let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
            errors.push(FieldError::invalid(path.as_str(), kind, detail));
        }
        check::optional(errors, &format!("{path}.apiGroup"), group, validation::dns1123_subdomain);
        check::optional(errors, &format!("{path}.namespace"), namespace, validation::dns1123_label);
    }
    if check::is_set(spec, "dataSource") && check::is_set(spec, "dataSourceRef") {
        let (old, new) = (&spec["dataSource"], &spec["dataSourceRef"]);
        if !check::text(new, "namespace").is_empty() {
            let detail = "may not be specified when dataSourceRef.namespace is specified";
            errors.push(FieldError::invalid("spec", "spec.dataSource", detail));
        } else if ["apiGroup", "kind", "name"].iter().any(|field| check::text(old, field) != check::text(new, field)) {
            errors.push(FieldError::invalid("spec", "spec.dataSource", "must match dataSourceRef"));
        }
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    const REQUEST: &[&str] = &["resources", "requests", "storage"];
    let is_bound = object::str_at(new, &["status", "phase"]) == Some("Bound");
    let capacity = object::get(old, &["status", "capacity"]).map(|list| resource_list::quantity(list, "storage"));
    let (new, old) = (&new["spec"], &old["spec"]);
    let changed = changed_fields(new, old, is_bound);
    if !changed.is_empty() {
        let detail = format!(
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound \
             claims\nchanged: {}",
            changed.join(", ")
        );
        errors.push(FieldError::forbidden("spec", detail));
    }
    let size = |spec| object::get(spec, REQUEST).and_then(|value| Quantity::from_value(value).ok());
    if let (Some(size), Some(before)) = (size(new), size(old))
        && size < before
        && size <= capacity.flatten().unwrap_or(Quantity::ZERO)
    {
        let detail = "field can not be less than status.capacity";
        errors.push(FieldError::forbidden("spec.resources.requests.storage", detail));
    }
    check::immutable(errors, "volumeMode", new.get("volumeMode"), old.get("volumeMode"));
    if check::is_set(old, "volumeAttributesClassName") && check::text(new, "volumeAttributesClassName").is_empty() {
        let what = if check::is_set(new, "volumeAttributesClassName") { "an empty string" } else { "nil" };
        let detail = format!("update from non-nil value to {what} is forbidden");
        errors.push(FieldError::forbidden("spec.volumeAttributesClassName", detail));
    }
}

/// The fields of the spec that differ and may not. A volume's name and a class are given once; a bound claim may grow.
fn changed_fields(new: &Value, old: &Value, is_bound: bool) -> Vec<String> {
    let mut wanted = new.clone();
    if is_bound && let Some(requests) = wanted.pointer_mut("/resources/requests").and_then(Value::as_object_mut) {
        let before = object::get(old, &["resources", "requests", "storage"]).cloned();
        requests.insert("storage".to_owned(), before.unwrap_or_default());
    }
    let null = json!(null);
    let value = |spec: &Value, field: &str| spec.get(field).filter(|value| !value.is_null()).cloned();
    let mut fields: Vec<&str> =
        check::entries(&wanted, &[]).chain(check::entries(old, &[])).map(|(key, _)| key).collect();
    fields.sort_unstable();
    fields.dedup();
    let differ = |field: &&str| match *field {
        "volumeAttributesClassName" => false,
        "volumeName" if check::text(old, "volumeName").is_empty() => false,
        "storageClassName" if value(old, field).is_none() => false,
        field => value(&wanted, field).unwrap_or(null.clone()) != value(old, field).unwrap_or(null.clone()),
    };
    fields.into_iter().filter(differ).map(|field| format!("spec.{field}")).collect()
}
