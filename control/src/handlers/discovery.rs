//! What is served, in the old form (a document for each group version) and the aggregated one.

use axum::response::Response;
use coracle_api::custom::precedence;
use coracle_api::discovery::AGGREGATED;
use coracle_api::kind::{Kind, Subresource};
use coracle_api::kinds::{self, NAMESPACE, NODE, POD};
use coracle_api::status::{self, Status};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::usage;
use crate::custom_kinds::Index;
use crate::request::Virtual;
use crate::respond;

/// A resource, as both forms describe it.
struct Resource {
    plural: &'static str,
    singular: &'static str,
    kind: &'static str,
    namespaced: bool,
    verbs: &'static [&'static str],
    short_names: &'static [&'static str],
    categories: &'static [&'static str],
    subresources: Vec<Sub>,
}

struct Sub {
    name: &'static str,
    /// Group and version, where they are others than the resource's.
    group_version: Option<(&'static str, &'static str)>,
    kind: &'static str,
    verbs: &'static [&'static str],
}

const VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const NAMESPACE_VERBS: &[&str] = &["create", "delete", "get", "list", "patch", "update", "watch"];
const PART_VERBS: &[&str] = &["get", "patch", "update"];

/// A group and its versions, the preferred one first.
type Group = (&'static str, Vec<&'static str>);

/// The groups served, the core group first and those that users define last.
fn groups_of(custom_kinds: &Index) -> Vec<Group> {
    let stored = kinds::ALL.iter().map(|kind| (kind.group, kind.version));
    let virtuals = Virtual::ALL.iter().map(|found| (found.names().0, found.names().1));
    let usage = [(usage::GROUP, usage::VERSION)];
    let custom = custom_kinds.served().iter().map(|custom| (custom.kind.group, custom.kind.version));
    let mut groups: Vec<Group> = Vec::new();
    for (group, version) in stored.chain(virtuals).chain(usage).chain(custom) {
        match groups.iter_mut().find(|(known, _)| *known == group) {
            Some((_, versions)) if versions.contains(&version) => {}
            Some((_, versions)) => versions.push(version),
            None => groups.push((group, vec![version])),
        }
    }
    groups.iter_mut().for_each(|(_, versions)| versions.sort_by_key(|version| precedence(version)));
    groups
}

fn resources_of(group: &str, version: &str, custom_kinds: &Index) -> Vec<Resource> {
    let custom = custom_kinds.served().iter().map(|custom| custom.kind);
    let is_here = |kind: &&'static Kind| (kind.group, kind.version) == (group, version);
    let stored = kinds::ALL.iter().copied().chain(custom).filter(is_here).map(of_kind);
    let virtuals = Virtual::ALL.iter().filter_map(|found| {
        let (its_group, its_version, plural, kind) = found.names();
        ((its_group, its_version) == (group, version)).then(|| Resource {
            plural,
            singular: "",
            kind,
            namespaced: found.is_namespaced(),
            verbs: &["create"],
            short_names: &[],
            categories: &[],
            subresources: Vec::new(),
        })
    });
    let usage = [&NODE, &POD].into_iter().filter(|_| (group, version) == (usage::GROUP, usage::VERSION));
    stored.chain(virtuals).chain(usage.map(of_usage)).collect()
}

/// What pods or nodes use.
fn of_usage(kind: &'static Kind) -> Resource {
    Resource {
        plural: kind.plural,
        singular: "",
        kind: if kind.namespaced { "PodMetrics" } else { "NodeMetrics" },
        namespaced: kind.namespaced,
        verbs: &["get", "list"],
        short_names: &[],
        categories: &[],
        subresources: Vec::new(),
    }
}

fn of_kind(kind: &'static Kind) -> Resource {
    let sub = |subresource: &Subresource| {
        let name = subresource.as_str();
        match subresource {
            Subresource::Status | Subresource::Approval => {
                Sub { name, group_version: None, kind: kind.kind, verbs: PART_VERBS }
            }
            Subresource::Scale => {
                Sub { name, group_version: Some(("autoscaling", "v1")), kind: "Scale", verbs: PART_VERBS }
            }
            Subresource::Log => Sub { name, group_version: None, kind: kind.kind, verbs: &["get"] },
            Subresource::Binding => Sub { name, group_version: None, kind: "Binding", verbs: &["create"] },
            Subresource::Eviction => {
                Sub { name, group_version: Some(("policy", "v1")), kind: "Eviction", verbs: &["create"] }
            }
            Subresource::Attach => connect(name, "PodAttachOptions"),
            Subresource::Exec => connect(name, "PodExecOptions"),
            Subresource::PortForward => connect(name, "PodPortForwardOptions"),
            Subresource::Token => {
                let group_version = Some(("authentication.k8s.io", "v1"));
                Sub { name, group_version, kind: "TokenRequest", verbs: &["create"] }
            }
        }
    };
    let mut subresources: Vec<Sub> = kind.subresources.iter().map(sub).collect();
    let is_namespace = *kind == NAMESPACE;
    if is_namespace {
        subresources.push(Sub { name: "finalize", group_version: None, kind: kind.kind, verbs: &["update"] });
    }
    subresources.sort_by_key(|sub| sub.name);
    Resource {
        plural: kind.plural,
        singular: kind.singular,
        kind: kind.kind,
        namespaced: kind.namespaced,
        verbs: if is_namespace { NAMESPACE_VERBS } else { VERBS },
        short_names: kind.short_names,
        categories: kind.categories,
        subresources,
    }
}

/// A subresource that is upgraded to a stream.
fn connect(name: &'static str, kind: &'static str) -> Sub {
    Sub { name, group_version: None, kind, verbs: &["create", "get"] }
}

pub(super) fn root(custom_kinds: &Index) -> Response {
    let groups = groups_of(custom_kinds).into_iter().flat_map(|(group, versions)| {
        let path = move |version| match group {
            "" => format!("/api/{version}"),
            group => format!("/apis/{group}/{version}"),
        };
        versions.into_iter().map(path)
    });
    let fixed = [
        "/.well-known/openid-configuration",
        "/api",
        "/apis",
        "/healthz",
        "/livez",
        "/metrics",
        "/openapi/v2",
        "/openapi/v3",
        "/openid/v1/jwks",
        "/readyz",
        "/version",
    ];
    let mut paths: Vec<String> = fixed.iter().map(|path| (*path).to_owned()).chain(groups).collect();
    paths.sort();
    respond::value(StatusCode::OK, &json!({ "paths": paths }))
}

pub(super) fn core_versions(headers: &HeaderMap) -> Result<Response, Status> {
    if wants_aggregated(headers) {
        return Ok(aggregated(&Index::default(), |group| group.is_empty()));
    }
    respond::negotiate(headers)?;
    let body = json!({ "kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [] });
    Ok(respond::value(StatusCode::OK, &body))
}

pub(super) fn groups(headers: &HeaderMap, custom_kinds: &Index) -> Result<Response, Status> {
    if wants_aggregated(headers) {
        return Ok(aggregated(custom_kinds, |group| !group.is_empty()));
    }
    respond::negotiate(headers)?;
    let groups: Vec<Value> =
        groups_of(custom_kinds).iter().filter(|(group, _)| !group.is_empty()).map(of_group).collect();
    Ok(respond::value(StatusCode::OK, &json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })))
}

pub(super) fn group(group: &str, custom_kinds: &Index) -> Result<Response, Status> {
    let found = groups_of(custom_kinds).into_iter().find(|(name, _)| *name == group && !name.is_empty());
    let mut body = of_group(&found.ok_or_else(status::unknown_resource)?);
    body["kind"] = "APIGroup".into();
    body["apiVersion"] = "v1".into();
    Ok(respond::value(StatusCode::OK, &body))
}

fn of_group((group, versions): &Group) -> Value {
    let version = |version| json!({ "groupVersion": format!("{group}/{version}"), "version": version });
    let versions: Vec<Value> = versions.iter().map(version).collect();
    json!({ "name": group, "versions": versions, "preferredVersion": versions[0] })
}

pub(super) fn resources(group: &str, version: &str, custom_kinds: &Index) -> Result<Response, Status> {
    let resources = resources_of(group, version, custom_kinds);
    if resources.is_empty() {
        return Err(status::unknown_resource());
    }
    let mut listed = Vec::new();
    for resource in &resources {
        let mut entry = json!({
            "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
            "kind": resource.kind, "verbs": resource.verbs,
        });
        set_names(&mut entry, resource);
        listed.push(entry);
        for sub in &resource.subresources {
            let mut entry = json!({
                "name": format!("{}/{}", resource.plural, sub.name), "singularName": "",
                "namespaced": resource.namespaced, "kind": sub.kind, "verbs": sub.verbs,
            });
            if let Some((group, version)) = sub.group_version {
                entry["group"] = group.into();
                entry["version"] = version.into();
            }
            listed.push(entry);
        }
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let mut body = json!({ "kind": "APIResourceList", "groupVersion": group_version, "resources": listed });
    if !group.is_empty() {
        body["apiVersion"] = "v1".into();
    }
    Ok(respond::value(StatusCode::OK, &body))
}

fn set_names(entry: &mut Value, resource: &Resource) {
    if !resource.short_names.is_empty() {
        entry["shortNames"] = resource.short_names.into();
    }
    if !resource.categories.is_empty() {
        entry["categories"] = resource.categories.into();
    }
}

fn wants_aggregated(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.split(',').any(|clause| {
        let parts: Vec<&str> = clause.split(';').map(str::trim).collect();
        parts[0] == "application/json"
            && ["g=apidiscovery.k8s.io", "v=v2", "as=APIGroupDiscoveryList"].iter().all(|wanted| parts.contains(wanted))
    })
}

fn aggregated(custom_kinds: &Index, is_included: fn(&str) -> bool) -> Response {
    let of_version = |group: &str, version: &str| {
        let resources = resources_of(group, version, custom_kinds);
        let resources: Vec<Value> =
            resources.iter().map(|resource| aggregated_resource(group, version, resource)).collect();
        json!({ "version": version, "resources": resources, "freshness": "Current" })
    };
    let groups = groups_of(custom_kinds).into_iter().filter(|(group, _)| is_included(group));
    let items: Vec<Value> = groups
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions.iter().map(|version| of_version(group, version)).collect();
            json!({ "metadata": { "name": group, "creationTimestamp": null }, "versions": versions })
        })
        .collect();
    let body = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    });
    let mut response = respond::value(StatusCode::OK, &body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(AGGREGATED));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}

fn aggregated_resource(group: &str, version: &str, resource: &Resource) -> Value {
    let kind = |group: &str, version: &str, kind: &str| json!({ "group": group, "version": version, "kind": kind });
    let subresources: Vec<Value> = resource
        .subresources
        .iter()
        .map(|sub| {
            let (group, version) = sub.group_version.unwrap_or((group, version));
            json!({ "subresource": sub.name, "responseKind": kind(group, version, sub.kind), "verbs": sub.verbs })
        })
        .collect();
    let mut entry = json!({
        "resource": resource.plural,
        "responseKind": kind(group, version, resource.kind),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": resource.verbs,
    });
    set_names(&mut entry, resource);
    if !subresources.is_empty() {
        entry["subresources"] = subresources.into();
    }
    entry
}
