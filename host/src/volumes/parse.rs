//! From a Pod object to its volumes and mounts; what cannot be had as written is refused by name. Pure.

use coracle_api::quantity::Quantity;
use serde_json::Value;

use super::template::{
    FieldFile, HostPathKind, KeyFile, Part, Projection, SizeLimit, TokenFile, Volume, VolumeMount, VolumeSource,
};
use crate::pod::parse::{list, pod_field, resource_field, source, text};
use crate::pod::template::{PodField, Refusal, SourceKind};

const FILE_MODE: u32 = 0o644;
const TOKEN_TTL_S: i64 = 60 * 60;

/// The pod's volumes, in order.
pub(crate) fn volumes(pod: &Value) -> Result<Vec<Volume>, Refusal> {
    list(&pod["spec"]["volumes"])
        .iter()
        .map(|item| {
            let name = text(item, "name");
            Ok(Volume { name: name.to_owned(), source: volume(pod, item).map_err(|why| refused(name, &why))? })
        })
        .collect()
}

fn refused(name: &str, why: &str) -> Refusal {
    Refusal { reason: "CreateContainerConfigError", message: format!("spec.volumes: {name:?}: {why}") }
}

fn volume(pod: &Value, item: &Value) -> Result<VolumeSource, String> {
    if let Some(dir) = item.get("emptyDir").filter(|dir| dir.is_object()) {
        return empty_dir(dir);
    }
    if let Some(path) = item.get("hostPath").filter(|path| path.is_object()) {
        return host_path(path);
    }
    for (field, kind, name) in
        [("configMap", SourceKind::ConfigMap, "name"), ("secret", SourceKind::Secret, "secretName")]
    {
        if let Some(keys) = item.get(field).filter(|keys| keys.is_object()) {
            let mode = mode(keys, "defaultMode").unwrap_or(FILE_MODE);
            return Ok(VolumeSource::Files(vec![keys_of(keys, kind, name, mode)]));
        }
    }
    if let Some(downward) = item.get("downwardAPI").filter(|downward| downward.is_object()) {
        let mode = mode(downward, "defaultMode").unwrap_or(FILE_MODE);
        return Ok(VolumeSource::Files(vec![fields_of(pod, downward, mode)?]));
    }
    if let Some(projected) = item.get("projected").filter(|projected| projected.is_object()) {
        let mode = mode(projected, "defaultMode").unwrap_or(FILE_MODE);
        let sources = list(&projected["sources"]).iter();
        return sources.map(|source| projection(pod, source, mode)).collect::<Result<_, _>>().map(VolumeSource::Files);
    }
    let other = item.as_object().into_iter().flatten().find(|(field, value)| *field != "name" && !value.is_null());
    let other = other.map_or("a volume without a source", |(field, _)| field);
    Err(format!(
        "{other} is not supported by this host; use emptyDir for what may go with the pod, or hostPath where the host's owner allows it"
    ))
}

fn empty_dir(dir: &Value) -> Result<VolumeSource, String> {
    let medium = text(dir, "medium");
    if !medium.is_empty() {
        return Err(format!("emptyDir.medium {medium:?} is not supported by this host; leave it out"));
    }
    // As with Kubernetes, a limit of nothing is none.
    let limit = dir.get("sizeLimit").and_then(|limit| {
        let bytes_max = u64::try_from(Quantity::from_value(limit).ok()?.units()).ok().filter(|bytes| *bytes > 0)?;
        Some(SizeLimit { bytes_max, text: limit.as_str().map_or_else(|| limit.to_string(), str::to_owned) })
    });
    Ok(VolumeSource::EmptyDir { limit })
}

fn host_path(path: &Value) -> Result<VolumeSource, String> {
    let kind = match text(path, "type") {
        "" => HostPathKind::Any,
        "Directory" => HostPathKind::Directory,
        "DirectoryOrCreate" => HostPathKind::DirectoryOrCreate,
        "File" => HostPathKind::File,
        "FileOrCreate" => HostPathKind::FileOrCreate,
        "Socket" => HostPathKind::Socket,
        "CharDevice" => HostPathKind::CharDevice,
        "BlockDevice" => HostPathKind::BlockDevice,
        other => return Err(format!("hostPath.type {other:?} is not known; use Directory or DirectoryOrCreate")),
    };
    match absolute(text(path, "path")) {
        Some(path) => Ok(VolumeSource::HostPath { path, kind }),
        None => Err("hostPath.path must not contain '..'".to_owned()),
    }
}

fn projection(pod: &Value, item: &Value, mode: u32) -> Result<Projection, String> {
    for (field, kind) in [("configMap", SourceKind::ConfigMap), ("secret", SourceKind::Secret)] {
        if let Some(keys) = item.get(field).filter(|keys| keys.is_object()) {
            return Ok(keys_of(keys, kind, "name", mode));
        }
    }
    if let Some(downward) = item.get("downwardAPI").filter(|downward| downward.is_object()) {
        return fields_of(pod, downward, mode);
    }
    if let Some(token) = item.get("serviceAccountToken").filter(|token| token.is_object()) {
        return Ok(Projection::Token(TokenFile {
            account: pod["spec"]["serviceAccountName"].as_str().unwrap_or("default").to_owned(),
            audience: text(token, "audience").to_owned(),
            ttl_s: token["expirationSeconds"].as_i64().unwrap_or(TOKEN_TTL_S),
            path: text(token, "path").to_owned(),
            mode,
        }));
    }
    Err("projected.sources: only configMap, secret, downwardAPI and serviceAccountToken are supported by this host"
        .to_owned())
}

fn keys_of(keys: &Value, kind: SourceKind, name: &str, mode_default: u32) -> Projection {
    let mut source = source(kind, keys);
    text(keys, name).clone_into(&mut source.name);
    let items = list(&keys["items"]).iter().map(|item| KeyFile {
        key: text(item, "key").to_owned(),
        path: text(item, "path").to_owned(),
        mode: mode(item, "mode"),
    });
    Projection::Keys { source, items: items.collect(), mode: mode_default }
}

fn fields_of(pod: &Value, downward: &Value, mode_default: u32) -> Result<Projection, String> {
    let files = list(&downward["items"]).iter().map(|item| {
        let field = shown_field(pod, item).ok_or_else(|| {
            let path = item["fieldRef"]["fieldPath"].as_str().or(item["resourceFieldRef"]["resource"].as_str());
            format!("downwardAPI: {:?} is not supported by this host", path.unwrap_or_default())
        })?;
        let path = text(item, "path").to_owned();
        Ok(FieldFile { field, path, mode: mode(item, "mode").unwrap_or(mode_default) })
    });
    files.collect::<Result<_, String>>().map(Projection::Downward)
}

fn shown_field(pod: &Value, item: &Value) -> Option<PodField> {
    if let Some(reference) = item.get("resourceFieldRef").filter(|reference| reference.is_object()) {
        let containers = list(&pod["spec"]["containers"]);
        let container = containers.iter().find(|container| text(container, "name") == text(reference, "containerName"));
        return resource_field(container?, reference);
    }
    match item["fieldRef"]["fieldPath"].as_str().unwrap_or_default() {
        "metadata.labels" => Some(PodField::Text(map_text(&pod["metadata"]["labels"]))),
        "metadata.annotations" => Some(PodField::Text(map_text(&pod["metadata"]["annotations"]))),
        path => pod_field(pod, path),
    }
}

/// A map as Kubernetes shows it in a file: `key="value"`, a line each, in order, quoted as Go quotes.
fn map_text(map: &Value) -> String {
    let entries = map.as_object().into_iter().flatten();
    let mut lines: Vec<String> =
        entries.filter_map(|(key, value)| value.as_str().map(|value| format!("{key}={}", quoted(value)))).collect();
    lines.sort_unstable();
    lines.join("\n")
}

fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1f}' | '\u{7f}' => out.push_str(&format!("\\x{:02x}", u32::from(character))),
            character if character.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(character))),
            character => out.push(character),
        }
    }
    out.push('"');
    out
}

fn mode(value: &Value, field: &str) -> Option<u32> {
    value[field].as_u64().and_then(|mode| u32::try_from(mode).ok()).map(|mode| mode & 0o777)
}

/// What a container mounts, in order. Files that are written here are never the container's to change.
pub(crate) fn mounts(item: &Value, volumes: &[Volume]) -> Result<Vec<VolumeMount>, Refusal> {
    let name = text(item, "name");
    let refused = |mount_path: &str, why: String| Refusal {
        reason: "CreateContainerConfigError",
        message: format!("container {name:?}: volumeMounts: {mount_path:?}: {why}"),
    };
    list(&item["volumeMounts"])
        .iter()
        .map(|mount| {
            let (volume_name, mount_path) = (text(mount, "name"), text(mount, "mountPath"));
            let volume = volumes.iter().find(|volume| volume.name == volume_name);
            let volume = volume.ok_or_else(|| refused(mount_path, format!("there is no volume {volume_name:?}")))?;
            if !matches!(text(mount, "mountPropagation"), "" | "None") {
                let why = "mountPropagation is not supported by this host; leave it out".to_owned();
                return Err(refused(mount_path, why));
            }
            let path =
                absolute(mount_path).ok_or_else(|| refused(mount_path, "it must not contain '..'".to_owned()))?;
            let part = match (text(mount, "subPath"), text(mount, "subPathExpr")) {
                ("", "") => Part::Whole,
                ("", expression) => Part::Expression(expression.to_owned()),
                (below, _) => Part::Below(below.to_owned()),
            };
            let is_written_here = matches!(volume.source, VolumeSource::Files(_));
            let is_read_only = is_written_here || mount["readOnly"].as_bool() == Some(true);
            Ok(VolumeMount { volume: volume_name.to_owned(), path, part, is_read_only })
        })
        .collect()
}

/// A path from the root on, without empty steps; `None` where a step leads back.
fn absolute(path: &str) -> Option<String> {
    let steps: Vec<&str> = path.split('/').filter(|step| !matches!(*step, "" | ".")).collect();
    (!steps.contains(&"..")).then(|| format!("/{}", steps.join("/")))
}
