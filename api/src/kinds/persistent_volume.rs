//! A persistent volume: storage that outlives pods, made by an administrator or a provisioner.
//!
//! Deliberately absent: binding it to a claim. Whoever provisions storage does both.

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Column, Kind, NameRule, Subresource};
use crate::kinds::pod::default;
use crate::kinds::{cells, check, resource_list, storage};
use crate::object;
use crate::validation::{self, FieldError, IMMUTABLE};

const RECLAIM_POLICIES: &[&str] = &["Delete", "Recycle", "Retain"];
const HOST_PATH_TYPES: &[&str] =
    &["BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
/// The fields of the spec that say what the volume is, and what each must hold.
const SOURCES: &[(&str, &[&str])] = &[
    ("hostPath", &["path"]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("glusterfs", &["endpoints", "path"]),
    ("flocker", &[]),
    ("nfs", &["server", "path"]),
    ("rbd", &["image"]),
    ("quobyte", &["registry", "volume"]),
    ("cephfs", &[]),
    ("iscsi", &["targetPortal", "iqn"]),
    ("cinder", &["volumeID"]),
    ("fc", &[]),
    ("flexVolume", &["driver"]),
    ("azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("local", &["path"]),
    ("storageos", &[]),
    ("csi", &["driver", "volumeHandle"]),
];

pub(crate) const KIND: Kind = Kind {
    group: "",
    version: "v1",
    kind: "PersistentVolume",
    plural: "persistentvolumes",
    singular: "persistentvolume",
    short_names: &["pv"],
    categories: &[],
    namespaced: false,
    definition: "io.k8s.api.core.v1.PersistentVolume",
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
    Column::string(
        "Capacity",
        0,
        "A description of the persistent volume's resources and capacity. More info: \
        https://kubernetes.io/docs/concepts/storage/persistent-volumes#capacity",
        |object, _| resource_list::text(object, &["spec", "capacity", "storage"]).into(),
    ),
    Column::string(
        "Access Modes",
        0,
        "AccessModes contains all ways the volume can be mounted. More info: \
        https://kubernetes.io/docs/concepts/storage/persistent-volumes#access-modes",
        |object, _| storage::access_modes(object::list_at(object, &["spec", "accessModes"])).into(),
    ),
    Column::string(
        "Reclaim Policy",
        0,
        "What happens to a persistent volume when released from its claim. Valid options are Retain (default for \
        manually created PersistentVolumes), Delete (default for dynamically provisioned PersistentVolumes), and \
        Recycle (deprecated). Recycle must be supported by the volume plugin underlying this PersistentVolume. \
        More info: https://kubernetes.io/docs/concepts/storage/persistent-volumes#reclaiming",
        |object, _| cells::text_or(object, &["spec", "persistentVolumeReclaimPolicy"], ""),
    ),
    Column::string(
        "Status",
        0,
        "Phase indicates if a volume is available, bound to a claim, or released by a claim. More info: \
        https://kubernetes.io/docs/concepts/storage/persistent-volumes#phase",
        |object, _| storage::phase(object),
    ),
    Column::string(
        "Claim",
        0,
        "ClaimRef is part of a bi-directional binding between PersistentVolume and PersistentVolumeClaim. \
        Expected to be non-nil when bound. claim.VolumeName is the authoritative bind between PV and PVC. More \
        info: https://kubernetes.io/docs/concepts/storage/persistent-volumes#binding",
        claim,
    ),
    Column::string("StorageClass", 0, "StorageClass of the pv", |object, _| storage::class(object)),
    Column::string(
        "Reason",
        0,
        "Reason is a brief CamelCase string that describes any failure and is meant for machine parsing and tidy \
        display in the CLI.",
        |object, _| cells::text_or(object, &["status", "reason"], ""),
    ),
    cells::AGE,
    Column::string(
        "VolumeMode",
        1,
        "volumeMode defines if a volume is intended to be used with a formatted filesystem or to remain in raw \
        block state. Value of Filesystem is implied when not included in spec.",
        |object, _| storage::volume_mode(object),
    ),
];

fn claim(object: &Value, _: Timestamp) -> Value {
    let text = |field| object::str_at(object, &["spec", "claimRef", field]).unwrap_or_default();
    match (text("namespace"), text("name")) {
        ("", "") => "".into(),
        (namespace, name) => format!("{namespace}/{name}").into(),
    }
}

fn tags(_: &Value) -> Vec<String> {
    Vec::new()
}

fn default(object: &mut Value) {
    let spec = object::child_mut(object, "spec");
    default::set_text(spec, "persistentVolumeReclaimPolicy", "Retain");
    default::set_text(spec, "volumeMode", "Filesystem");
    resource_list::canonicalise(default::child(spec, "capacity"));
    if let Some(path) = default::child(spec, "hostPath") {
        default::set(path, "type", "");
    }
    default::set_text(object::child_mut(object, "status"), "phase", "Pending");
}

fn validate(object: &Value, errors: &mut Vec<FieldError>) {
    let spec = &object["spec"];
    storage::validate_access_modes(spec, "", errors);
    capacity(spec, errors);
    let policy = check::text(spec, "persistentVolumeReclaimPolicy");
    check::one_of(errors, "spec.persistentVolumeReclaimPolicy", policy, RECLAIM_POLICIES);
    node_affinity(spec, errors);
    sources(spec, errors);
    if policy == "Recycle" && object::str_at(spec, &["hostPath", "path"]).is_some_and(is_root) {
        let detail = "may not be 'recycle' for a hostPath mount of '/'";
        errors.push(FieldError::forbidden("spec.persistentVolumeReclaimPolicy", detail));
    }
    storage::validate_class(spec, errors);
    storage::validate_volume_mode(spec, errors);
    if let Some(class) = object::str_at(spec, &["volumeAttributesClassName"]) {
        const PATH: &str = "spec.volumeAttributesClassName";
        if class.is_empty() {
            errors.push(FieldError::required(PATH, "an empty string is disallowed"));
        }
        check::optional(errors, PATH, class, validation::dns1123_subdomain);
        if !check::is_set(spec, "csi") {
            errors.push(FieldError::required("spec.csi", "has to be specified when using volumeAttributesClassName"));
        }
    }
}

fn is_root(path: &str) -> bool {
    path.split('/').all(|step| matches!(step, "" | "."))
}

fn capacity(spec: &Value, errors: &mut Vec<FieldError>) {
    const PATH: &str = "spec.capacity";
    let count = check::entries(spec, &["capacity"]).count();
    if count == 0 {
        errors.push(FieldError::required(PATH, ""));
    }
    if count != 1 || object::get(spec, &["capacity", "storage"]).is_none() {
        let value = spec.get("capacity").cloned().unwrap_or_default();
        errors.push(FieldError::not_supported(PATH, value, &["storage"]));
    }
    for (resource, quantity) in resource_list::readable(spec, "capacity", "spec", errors) {
        resource_list::positive(quantity, &format!("{PATH}[{resource}]"), errors);
    }
}

fn node_affinity(spec: &Value, errors: &mut Vec<FieldError>) {
    const PATH: &str = "spec.nodeAffinity.required";
    let Some(affinity) = spec.get("nodeAffinity").filter(|affinity| !affinity.is_null()) else { return };
    if !check::is_set(affinity, "required") {
        errors.push(FieldError::required(PATH, "must specify required node constraints"));
    } else if object::list_at(affinity, &["required", "nodeSelectorTerms"]).is_empty() {
        let detail = "must have at least one node selector term";
        errors.push(FieldError::required(format!("{PATH}.nodeSelectorTerms"), detail));
    }
}

/// Exactly one source, with what it can't do without.
fn sources(spec: &Value, errors: &mut Vec<FieldError>) {
    let mut found = SOURCES.iter().filter(|(source, _)| check::is_set(spec, source));
    let Some((source, fields)) = found.next() else {
        errors.push(FieldError::required("spec", "must specify a volume type"));
        return;
    };
    for (other, _) in found {
        errors.push(FieldError::forbidden(format!("spec.{other}"), "may not specify more than 1 volume type"));
    }
    let value = &spec[*source];
    for field in *fields {
        check::required(errors, &format!("spec.{source}.{field}"), check::text(value, field), check::anything);
    }
    let path = check::text(value, "path");
    match *source {
        "hostPath" | "local" if path.split('/').any(|step| step == "..") => {
            errors.push(FieldError::invalid(format!("spec.{source}.path"), path, "must not contain '..'"));
        }
        "nfs" if !path.is_empty() && !path.starts_with('/') => {
            errors.push(FieldError::invalid("spec.nfs.path", path, "must be an absolute path"));
        }
        _ => {}
    }
    let host_path_type = check::text(value, "type");
    if *source == "hostPath" && !host_path_type.is_empty() {
        check::one_of(errors, "spec.hostPath.type", host_path_type, HOST_PATH_TYPES);
    }
    if *source == "local" && !check::is_set(spec, "nodeAffinity") {
        errors.push(FieldError::required("spec.nodeAffinity", "Local volume requires node affinity"));
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let (new, old) = (&new["spec"], &old["spec"]);
    let changed: Vec<String> = SOURCES
        .iter()
        .filter(|(source, _)| source_value(new, old, source) != old.get(*source).cloned().unwrap_or_default())
        .map(|(source, _)| format!("spec.{source}"))
        .collect();
    if !changed.is_empty() {
        let detail =
            format!("spec.persistentvolumesource is immutable after creation\nchanged: {}", changed.join(", "));
        errors.push(FieldError::forbidden("spec.persistentvolumesource", detail));
    }
    check::immutable(errors, "volumeMode", new.get("volumeMode"), old.get("volumeMode"));
    let affinity = |spec: &Value| spec.get("nodeAffinity").cloned().unwrap_or_default();
    if !affinity(old).is_null() && affinity(new) != affinity(old) {
        let detail = format!("{IMMUTABLE}, except for updating from beta label to GA");
        errors.push(FieldError::invalid("nodeAffinity", affinity(new), detail));
    }
    if check::is_set(old, "volumeAttributesClassName") && !check::is_set(new, "volumeAttributesClassName") {
        let detail = "update from non-nil value to nil is forbidden";
        errors.push(FieldError::forbidden("spec.volumeAttributesClassName", detail));
    }
}

/// The source as it counts for a comparison: a CSI volume may be given a secret for its expansion later on.
fn source_value(new: &Value, old: &Value, source: &str) -> Value {
    let mut value = new.get(source).cloned().unwrap_or_default();
    if source == "csi"
        && !check::is_set(&old["csi"], "controllerExpandSecretRef")
        && let Some(fields) = value.as_object_mut()
    {
        fields.remove("controllerExpandSecretRef");
    }
    value
}
