//! The operations of each kind, as far as clients read them: parameters, bodies, answers, group, version and kind.

use serde_json::{Map, Value, json};

use super::{META, REFERENCE};
use crate::apply;
use crate::kind::{Kind, Subresource};

/// Questions that are stored nowhere: group, plural, kind, and whether they are asked within a namespace. All are `v1`.
pub(super) const REVIEWS: &[(&str, &str, &str, bool)] = &[
    ("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview", false),
    ("authentication.k8s.io", "tokenreviews", "TokenReview", false),
    ("authorization.k8s.io", "localsubjectaccessreviews", "LocalSubjectAccessReview", true),
    ("authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview", false),
    ("authorization.k8s.io", "selfsubjectrulesreviews", "SelfSubjectRulesReview", false),
    ("authorization.k8s.io", "subjectaccessreviews", "SubjectAccessReview", false),
];
pub(super) const REVIEW_VERSION: &str = "v1";

const SCALE: &str = "io.k8s.api.autoscaling.v1.Scale";
const STRING: &str = "string";

fn reference(definition: &str) -> Value {
    json!({ "$ref": format!("{REFERENCE}{definition}") })
}

fn parameter(place: &str, name: &str, kind: &str, description: &str) -> Value {
    json!({
        "name": name, "in": place, "required": place == "path", "description": description,
        "schema": { "type": kind, "uniqueItems": true },
    })
}

fn query(name: &str, kind: &str, description: &str) -> Value {
    parameter("query", name, kind, description)
}

fn write_parameters() -> Vec<Value> {
    vec![
        query(
            "dryRun",
            STRING,
            "When present, indicates that modifications should not be persisted. Valid values are: All",
        ),
        query(
            "fieldManager",
            STRING,
            "fieldManager is a name associated with the actor or entity that is making these changes.",
        ),
        query(
            "fieldValidation",
            STRING,
            "fieldValidation instructs the server on how to handle unknown or duplicate fields. Valid values are: Ignore, Warn, Strict",
        ),
    ]
}

fn delete_parameters() -> Vec<Value> {
    vec![
        query(
            "dryRun",
            STRING,
            "When present, indicates that modifications should not be persisted. Valid values are: All",
        ),
        query("gracePeriodSeconds", "integer", "The duration in seconds before the object should be deleted."),
        query("propagationPolicy", STRING, "Whether and how dependents are deleted: Orphan, Background or Foreground."),
    ]
}

fn list_parameters() -> Vec<Value> {
    vec![
        query("allowWatchBookmarks", "boolean", "allowWatchBookmarks requests watch events with type BOOKMARK."),
        query("continue", STRING, "The token a list that was cut off goes on from."),
        query("fieldSelector", STRING, "A selector to restrict the list of returned objects by their fields."),
        query("labelSelector", STRING, "A selector to restrict the list of returned objects by their labels."),
        query("limit", "integer", "limit is a maximum number of responses to return for a list call."),
        query("resourceVersion", STRING, "The revision a list or watch is served from."),
        query("resourceVersionMatch", STRING, "How resourceVersion is applied to list calls: Exact or NotOlderThan."),
        query(
            "sendInitialEvents",
            "boolean",
            "Whether a watch begins with the objects there are, and a bookmark after them.",
        ),
        query("timeoutSeconds", "integer", "Timeout for the list or watch call."),
        query("watch", "boolean", "Watch for changes to the described resources."),
    ]
}

struct Operation<'a> {
    verb: &'a str,
    /// The kind the operation is about, with its group and version.
    subject: (&'a str, &'a str, &'a str),
    parameters: Vec<Value>,
    body: Option<Value>,
    answer: &'a str,
}

impl Operation<'_> {
    fn render(self) -> Value {
        let (group, version, kind) = self.subject;
        let answer = json!({ "application/json": { "schema": reference(self.answer) } });
        let mut operation = json!({
            "description": format!("{} {kind}", self.verb),
            "parameters": self.parameters,
            "responses": { "200": { "description": "OK", "content": answer }, "401": { "description": "Unauthorized" } },
            "x-kubernetes-action": self.verb,
            "x-kubernetes-group-version-kind": { "group": group, "version": version, "kind": kind },
        });
        if let Some(body) = self.body {
            operation["requestBody"] = json!({ "content": body });
        }
        operation
    }
}

fn object_body(definition: &str) -> Option<Value> {
    let schema = json!({ "schema": reference(definition) });
    Some(json!({ "application/json": schema, "application/yaml": schema }))
}

fn patch_body(patches: &[&str]) -> Option<Value> {
    let schema = json!({ "schema": reference(&format!("{META}Patch")) });
    Some(
        patches
            .iter()
            .chain([&apply::MEDIA_TYPE])
            .map(|media_type| ((*media_type).to_owned(), schema.clone()))
            .collect::<Map<_, _>>()
            .into(),
    )
}

fn path_parameters(namespaced: bool, name: Option<&str>) -> Value {
    let namespace =
        parameter("path", "namespace", STRING, "object name and auth scope, such as for teams and projects");
    let name = name.map(|kind| parameter("path", "name", STRING, &format!("name of the {kind}")));
    namespaced.then_some(namespace).into_iter().chain(name).collect()
}

/// Adds the paths of a kind that takes patches of these media types, and those of its subresources.
pub(super) fn add_kind(paths: &mut Map<String, Value>, kind: &Kind, patches: &[&str]) {
    let base = format!("/{}", super::path_of(kind.group, kind.version));
    let collection = if kind.namespaced {
        format!("{base}/namespaces/{{namespace}}/{}", kind.plural)
    } else {
        format!("{base}/{}", kind.plural)
    };
    if kind.namespaced {
        paths.insert(format!("{base}/{}", kind.plural), json!({ "get": list(kind) }));
    }
    paths.insert(collection.clone(), collection_item(kind));
    let object = format!("{collection}/{{name}}");
    let mut item = object_item(kind, kind.definition, (kind.group, kind.version, kind.kind), patches);
    item["delete"] = Operation {
        verb: "delete",
        subject: (kind.group, kind.version, kind.kind),
        parameters: delete_parameters(),
        body: object_body(&format!("{META}DeleteOptions")),
        answer: &format!("{META}Status"),
    }
    .render();
    paths.insert(object.clone(), item);
    for subresource in kind.subresources {
        paths.insert(format!("{object}/{}", subresource.as_str()), subresource_item(kind, *subresource, patches));
    }
}

fn list(kind: &Kind) -> Value {
    Operation {
        verb: "list",
        subject: (kind.group, kind.version, kind.kind),
        parameters: list_parameters(),
        body: None,
        answer: &format!("{}List", kind.definition),
    }
    .render()
}

fn collection_item(kind: &Kind) -> Value {
    let subject = (kind.group, kind.version, kind.kind);
    let body = object_body(kind.definition);
    let post = Operation { verb: "post", subject, parameters: write_parameters(), body, answer: kind.definition };
    let status = format!("{META}Status");
    let delete = Operation {
        verb: "deletecollection",
        subject,
        parameters: delete_parameters().into_iter().chain(list_parameters()).collect(),
        body: object_body(&format!("{META}DeleteOptions")),
        answer: &status,
    };
    json!({
        "get": list(kind), "post": post.render(), "delete": delete.render(),
        "parameters": path_parameters(kind.namespaced, None),
    })
}

fn object_item(kind: &Kind, definition: &str, subject: (&str, &str, &str), patches: &[&str]) -> Value {
    let get = Operation { verb: "get", subject, parameters: Vec::new(), body: None, answer: definition };
    let body = object_body(definition);
    let put = Operation { verb: "put", subject, parameters: write_parameters(), body, answer: definition };
    let force = query("force", "boolean", "Force is going to force Apply requests.");
    let parameters = write_parameters().into_iter().chain([force]).collect();
    let patch = Operation { verb: "patch", subject, parameters, body: patch_body(patches), answer: definition };
    json!({
        "get": get.render(), "put": put.render(), "patch": patch.render(),
        "parameters": path_parameters(kind.namespaced, Some(kind.kind)),
    })
}

fn subresource_item(kind: &Kind, subresource: Subresource, patches: &[&str]) -> Value {
    let post = |subject, definition: &str| {
        let body = object_body(definition);
        let post =
            Operation { verb: "post", subject, parameters: write_parameters(), body, answer: &format!("{META}Status") };
        json!({ "post": post.render(), "parameters": path_parameters(kind.namespaced, Some(kind.kind)) })
    };
    match subresource {
        Subresource::Status | Subresource::Approval => {
            object_item(kind, kind.definition, (kind.group, kind.version, kind.kind), patches)
        }
        Subresource::Scale => object_item(kind, SCALE, ("autoscaling", "v1", "Scale"), patches),
        Subresource::Binding => post(("", "v1", "Binding"), "io.k8s.api.core.v1.Binding"),
        Subresource::Eviction => post(("policy", "v1", "Eviction"), "io.k8s.api.policy.v1.Eviction"),
        Subresource::Token => {
            post(("authentication.k8s.io", "v1", "TokenRequest"), "io.k8s.api.authentication.v1.TokenRequest")
        }
        Subresource::Attach => connect_item(kind, "PodAttachOptions", stream_parameters()),
        Subresource::Exec => {
            let command = query("command", STRING, "The program's name and arguments, one parameter each.");
            connect_item(kind, "PodExecOptions", stream_parameters().into_iter().chain([command]).collect())
        }
        Subresource::PortForward => {
            let ports = query("ports", "integer", "The ports to forward, where the protocol does not name them.");
            connect_item(kind, "PodPortForwardOptions", vec![ports])
        }
        Subresource::Log => json!({
            "get": {
                "description": "read log of the specified Pod",
                "parameters": log_parameters(),
                "responses": { "200": { "description": "OK", "content": { "text/plain": { "schema": { "type": STRING } } } } },
                "x-kubernetes-action": "get",
                "x-kubernetes-group-version-kind": { "group": kind.group, "version": kind.version, "kind": kind.kind },
            },
            "parameters": path_parameters(kind.namespaced, Some(kind.kind)),
        }),
    }
}

/// A path that is upgraded to a WebSocket.
fn connect_item(kind: &Kind, options: &str, parameters: Vec<Value>) -> Value {
    let connect = json!({
        "description": format!("connect requests to {} of {}", options, kind.kind),
        "parameters": parameters,
        "responses": { "200": { "description": "OK", "content": { "*/*": { "schema": { "type": STRING } } } } },
        "x-kubernetes-action": "connect",
        "x-kubernetes-group-version-kind": { "group": kind.group, "version": kind.version, "kind": options },
    });
    json!({ "get": connect, "post": connect, "parameters": path_parameters(kind.namespaced, Some(kind.kind)) })
}

fn stream_parameters() -> Vec<Value> {
    vec![
        query("container", STRING, "The container; may be left out if there is only one."),
        query("stderr", "boolean", "Whether its standard error is wanted."),
        query("stdin", "boolean", "Whether its standard input is written to."),
        query("stdout", "boolean", "Whether its standard output is wanted."),
        query("tty", "boolean", "Whether a terminal is wanted."),
    ]
}

fn log_parameters() -> Vec<Value> {
    vec![
        query("container", STRING, "The container for which to stream logs."),
        query("follow", "boolean", "Follow the log stream of the pod."),
        query(
            "limitBytes",
            "integer",
            "The number of bytes to read from the server before terminating the log output.",
        ),
        query("previous", "boolean", "Return previous terminated container logs."),
        query("sinceSeconds", "integer", "A relative time in seconds before the current time from which to show logs."),
        query("tailLines", "integer", "The number of lines from the end of the logs to show."),
        query("timestamps", "boolean", "Add a timestamp at the beginning of every line of log output."),
    ]
}

/// Adds the paths of a group's questions, such as the one behind `kubectl auth can-i`.
pub(super) fn add_reviews(paths: &mut Map<String, Value>, group: &str) {
    for (_, plural, kind, is_namespaced) in REVIEWS.iter().filter(|review| review.0 == group) {
        let area = group.trim_end_matches(".k8s.io");
        let definition = format!("io.k8s.api.{area}.{REVIEW_VERSION}.{kind}");
        let post = Operation {
            verb: "post",
            subject: (group, REVIEW_VERSION, kind),
            parameters: write_parameters(),
            body: object_body(&definition),
            answer: &definition,
        };
        let scope = if *is_namespaced { "namespaces/{namespace}/" } else { "" };
        let path = format!("/{}/{scope}{plural}", super::path_of(group, REVIEW_VERSION));
        paths.insert(path, json!({ "post": post.render(), "parameters": path_parameters(*is_namespaced, None) }));
    }
}
