//! What a pod's volumes must look like, and what containers mount of them.

use std::collections::HashSet;

use serde_json::Value;

use super::container::object_field;
use crate::kinds::check::{self, Errors, is_set, text};
use crate::object;
use crate::quantity::Quantity;
use crate::validation::{self, FieldError};

/// Every source that Kubernetes knows, in the order in which it looks at them.
pub(super) const SOURCES: &[&str] = &[
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
];
const HOST_PATH_TYPES: &[&str] =
    &["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
const MOUNT_PROPAGATIONS: &[&str] = &["Bidirectional", "HostToContainer", "None"];
const RECURSIVE_READ_ONLY: &[&str] = &["Disabled", "Enabled", "IfPossible"];
/// The fields of a pod that a file may show.
const FIELD_PATHS: &[&str] =
    &["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
const RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const BYTE_DIVISORS: &str = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei";
const MODE_MAX: i64 = 0o777;
const TWO_TYPES: &str = "may not specify more than 1 volume type";
const TOKEN_SECONDS_MIN: i64 = 10 * 60;
const TOKEN_SECONDS_MAX: i64 = 1 << 32;

/// Appends what is wrong with the volumes of a spec; gives the names that containers may mount.
pub(super) fn volumes<'a>(spec: &'a Value, path: &str, errors: &mut Errors) -> HashSet<&'a str> {
    let mut names = HashSet::new();
    for (index, volume) in object::list_at(spec, &["volumes"]).iter().enumerate() {
        let path = format!("{path}[{index}]");
        let count = errors.len();
        source(volume, &path, errors);
        let (name, path) = (text(volume, "name"), format!("{path}.name"));
        check::required(errors, &path, name, validation::dns1123_label);
        if names.contains(name) {
            errors.push(FieldError::duplicate(path, name));
        } else if errors.len() == count {
            names.insert(name);
        }
    }
    names
}

fn source(volume: &Value, path: &str, errors: &mut Errors) {
    let mut found = SOURCES.iter().copied().filter(|source| is_set(volume, source));
    let Some(first) = found.next() else {
        errors.push(FieldError::required(path, "must specify a volume type"));
        return;
    };
    one_source(first, &volume[first], &format!("{path}.{first}"), errors);
    errors.extend(found.map(|other| FieldError::forbidden(format!("{path}.{other}"), TWO_TYPES)));
}

/// Only of those that this version has; the others are refused where they are admitted.
fn one_source(source: &str, value: &Value, path: &str, errors: &mut Errors) {
    match source {
        "emptyDir" => size_limit(value, path, errors),
        "hostPath" => host_path(value, path, errors),
        "configMap" => keys_of(value, "name", path, errors),
        "secret" => keys_of(value, "secretName", path, errors),
        "downwardAPI" => {
            mode(value, "defaultMode", path, errors);
            downward_items(value, path, errors);
        }
        "projected" => {
            mode(value, "defaultMode", path, errors);
            projections(value, path, errors);
        }
        _ => {}
    }
}

fn size_limit(value: &Value, path: &str, errors: &mut Errors) {
    let Some(limit) = object::get(value, &["sizeLimit"]).filter(|limit| !limit.is_null()) else { return };
    let path = format!("{path}.sizeLimit");
    match Quantity::from_value(limit) {
        Err(error) => errors.push(FieldError::invalid(path, limit.clone(), error.to_string())),
        Ok(limit) if limit.is_negative() => {
            errors.push(FieldError::forbidden(path, "SizeLimit field must be a valid resource quantity"));
        }
        Ok(_) => {}
    }
}

fn host_path(value: &Value, path: &str, errors: &mut Errors) {
    let host_path = text(value, "path");
    if host_path.is_empty() {
        errors.push(FieldError::required(format!("{path}.path"), ""));
        return;
    }
    no_steps_back(host_path, &format!("{path}.path"), errors);
    let kind = text(value, "type");
    if !HOST_PATH_TYPES.contains(&kind) {
        errors.push(FieldError::not_supported(format!("{path}.type"), kind, HOST_PATH_TYPES));
    }
}

fn keys_of(value: &Value, name: &str, path: &str, errors: &mut Errors) {
    check::required(errors, &format!("{path}.{name}"), text(value, name), check::anything);
    mode(value, "defaultMode", path, errors);
    items(value, path, errors);
}

/// Which keys become which files.
fn items(value: &Value, path: &str, errors: &mut Errors) {
    for (index, item) in object::list_at(value, &["items"]).iter().enumerate() {
        let path = format!("{path}.items[{index}]");
        check::required(errors, &format!("{path}.key"), text(item, "key"), check::anything);
        file_path(item, &path, errors);
        mode(item, "mode", &path, errors);
    }
}

fn downward_items(value: &Value, path: &str, errors: &mut Errors) {
    for item in object::list_at(value, &["items"]) {
        file_path(item, path, errors);
        match (item.get("fieldRef").filter(|field| field.is_object()), is_set(item, "resourceFieldRef")) {
            (Some(field), has_resource) => {
                object_field(field, &format!("{path}.fieldRef"), FIELD_PATHS, errors);
                if has_resource {
                    let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
                    errors.push(FieldError::invalid(path, "resource", detail));
                }
            }
            (None, true) => {
                resource_field(&item["resourceFieldRef"], true, &format!("{path}.resourceFieldRef"), errors)
            }
            (None, false) => {
                errors.push(FieldError::required(path, "one of fieldRef and resourceFieldRef is required"));
            }
        }
        mode(item, "mode", path, errors);
    }
}

/// A container's request or limit; `needs_container` where it isn't a variable of that container.
pub(super) fn resource_field(field: &Value, needs_container: bool, path: &str, errors: &mut Errors) {
    let resource = text(field, "resource");
    if needs_container && text(field, "containerName").is_empty() {
        errors.push(FieldError::required(format!("{path}.containerName"), ""));
    } else if resource.is_empty() {
        errors.push(FieldError::required(format!("{path}.resource"), ""));
    } else if !RESOURCES.contains(&resource) {
        errors.push(FieldError::not_supported(format!("{path}.resource"), resource, RESOURCES));
    }
    let divisor = text(field, "divisor");
    let path = format!("{path}.divisor");
    let allowed = match resource {
        "limits.cpu" | "requests.cpu" => ("1m and 1", "cpu"),
        "limits.memory" | "requests.memory" => (BYTE_DIVISORS, "memory"),
        _ => (BYTE_DIVISORS, "local ephemeral storage"),
    };
    let is_allowed = |divisor: &str| allowed.0.split([',', ' ']).any(|other| other != "and" && other == divisor);
    match Quantity::parse(divisor) {
        _ if divisor.is_empty() => {}
        Ok(amount) if amount.is_zero() || is_allowed(divisor) => {}
        Ok(_) => {
            let (divisors, what) = allowed;
            let detail = format!("only divisor's values {divisors} are supported with the {what} resource");
            errors.push(FieldError::invalid(path, resource, detail));
        }
        Err(error) => errors.push(FieldError::invalid(path, divisor, error.to_string())),
    }
}

fn projections(value: &Value, path: &str, errors: &mut Errors) {
    let mut paths = HashSet::new();
    for (index, projection) in object::list_at(value, &["sources"]).iter().enumerate() {
        let source_path = format!("{path}.sources[{index}]");
        let known =
            ["secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate"];
        let mut found = known.into_iter().filter(|source| is_set(projection, source));
        let Some(first) = found.next() else { continue };
        let source = &projection[first];
        let inner = format!("{source_path}.{first}");
        let mut files: Vec<&str> = object::list_at(source, &["items"]).iter().map(|item| text(item, "path")).collect();
        match first {
            "secret" | "configMap" => {
                check::required(errors, &format!("{inner}.name"), text(source, "name"), check::anything);
                items(source, &inner, errors);
            }
            "downwardAPI" => downward_items(source, &inner, errors),
            "serviceAccountToken" => {
                token(source, &inner, errors);
                files.push(text(source, "path"));
            }
            _ => {}
        }
        for file in files.into_iter().filter(|file| !file.is_empty()) {
            if !paths.insert(file) {
                let value =
                    if first == "downwardAPI" || first == "serviceAccountToken" { file } else { text(source, "name") };
                errors.push(FieldError::invalid(path, value, "conflicting duplicate paths"));
            }
        }
        errors.extend(found.map(|other| FieldError::forbidden(format!("{source_path}.{other}"), TWO_TYPES)));
    }
}

fn token(token: &Value, path: &str, errors: &mut Errors) {
    let seconds = object::i64_at(token, &["expirationSeconds"]).unwrap_or(TOKEN_SECONDS_MIN);
    let detail = match seconds {
        ..TOKEN_SECONDS_MIN => Some("may not specify a duration less than 10 minutes"),
        _ if seconds > TOKEN_SECONDS_MAX => Some("may not specify a duration larger than 2^32 seconds"),
        _ => None,
    };
    errors.extend(detail.map(|detail| FieldError::invalid(format!("{path}.expirationSeconds"), seconds, detail)));
    file_path(token, path, errors);
}

/// The `path` of a file within its volume.
fn file_path(item: &Value, path: &str, errors: &mut Errors) {
    let (file, path) = (text(item, "path"), format!("{path}.path"));
    if file.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    descending(file, &path, errors);
    // Reserved for how a volume is updated.
    if file.starts_with("..") && !file.split('/').any(|step| step == "..") {
        errors.push(FieldError::invalid(path, file, "must not start with '..'"));
    }
}

fn descending(file: &str, path: &str, errors: &mut Errors) {
    if file.starts_with('/') {
        errors.push(FieldError::invalid(path, file, "must be a relative path"));
    }
    no_steps_back(file, path, errors);
}

fn no_steps_back(file: &str, path: &str, errors: &mut Errors) {
    if file.split('/').any(|step| step == "..") {
        errors.push(FieldError::invalid(path, file, "must not contain '..'"));
    }
}

fn mode(value: &Value, field: &str, path: &str, errors: &mut Errors) {
    if let Some(mode) = object::i64_at(value, &[field]).filter(|mode| !(0..=MODE_MAX).contains(mode)) {
        let detail = "must be a number between 0 and 0777 (octal), both inclusive";
        errors.push(FieldError::invalid(format!("{path}.{field}"), mode, detail));
    }
}

/// Appends what is wrong with the mounts of a container, whose list lies at `list`.
pub(super) fn mounts(container: &Value, list: &str, volumes: &HashSet<&str>, errors: &mut Errors) {
    let mut mount_paths = HashSet::new();
    for (index, mount) in object::list_at(container, &["volumeMounts"]).iter().enumerate() {
        let path = |field: &str| format!("{list}[{index}].{field}");
        let name = text(mount, "name");
        if name.is_empty() {
            errors.push(FieldError::required(path("name"), ""));
        } else if !volumes.contains(name) {
            errors.push(FieldError::not_found(path("name"), name));
        }
        let mount_path = text(mount, "mountPath");
        if mount_path.is_empty() {
            errors.push(FieldError::required(path("mountPath"), ""));
        } else if !mount_paths.insert(mount_path) {
            errors.push(FieldError::invalid(path("mountPath"), mount_path, "must be unique"));
        }
        let (below, expression) = (text(mount, "subPath"), text(mount, "subPathExpr"));
        // Kubernetes names these two without the mount's index.
        descending(below, &format!("{list}.subPath"), errors);
        if !expression.is_empty() && !below.is_empty() {
            let detail = "subPathExpr and subPath are mutually exclusive";
            errors.push(FieldError::invalid(path("subPathExpr"), expression, detail));
        }
        descending(expression, &format!("{list}.subPathExpr"), errors);
        if let Some(propagation) = object::str_at(mount, &["mountPropagation"]) {
            check::one_of(errors, &path("mountPropagation"), propagation, MOUNT_PROPAGATIONS);
        }
        recursive_read_only(mount, &path("recursiveReadOnly"), errors);
    }
}

fn recursive_read_only(mount: &Value, path: &str, errors: &mut Errors) {
    let Some(wanted) = object::str_at(mount, &["recursiveReadOnly"]) else { return };
    if !RECURSIVE_READ_ONLY.contains(&wanted) {
        errors.push(FieldError::not_supported(path, wanted, RECURSIVE_READ_ONLY));
    } else if wanted != "Disabled" && object::bool_at(mount, &["readOnly"]) != Some(true) {
        let detail = "may only be specified when readOnly is true";
        errors.push(FieldError::forbidden(path, detail));
    }
}
