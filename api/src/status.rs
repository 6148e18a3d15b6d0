//! The `Status` object that answers every request that failed, with the texts Kubernetes uses.
//!
//! Clients match on `reason`, `code` and `details`, people read `message`: both are a contract.

use serde::{Deserialize, Serialize};

use crate::kind::Kind;
use crate::validation::{self, FieldError};

/// The header of a 503 that says that nothing was done, as the server neither leads nor reaches who does: another one may do it.
pub const NOT_LEADER: &str = "coracle-not-leader";
/// The same as the reason of a cause.
const NO_LEADER: &str = "NoLeader";

/// A `Status` object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// Always `Status`.
    pub kind: String,
    /// Always `v1`.
    pub api_version: String,
    /// List metadata; only an expired `continue` uses it.
    pub metadata: Metadata,
    /// `Success` or `Failure`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// For programs: `NotFound`, `Conflict`, …
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What the reason is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
    /// The HTTP status code; 0 is left out.
    #[serde(skip_serializing_if = "is_zero")]
    pub code: u16,
}

/// The list metadata of a `Status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// Where an inconsistent list may go on.
    #[serde(rename = "continue", skip_serializing_if = "String::is_empty")]
    pub continue_token: String,
}

/// What a `Status` is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Details {
    /// The object's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The object's API group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The object's resource, or its kind, depending on the reason.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The object's uid.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// One entry for each thing that is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// When to try again, in seconds.
    #[serde(skip_serializing_if = "is_zero_u32")]
    pub retry_after_seconds: u32,
}

/// One thing that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cause {
    /// For programs: `FieldValueInvalid`, …
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The field's path.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

fn is_zero(code: &u16) -> bool {
    *code == 0
}

fn is_zero_u32(seconds: &u32) -> bool {
    *seconds == 0
}

fn failure(code: u16, reason: &str, message: impl Into<String>, details: Option<Details>) -> Status {
    Status {
        kind: "Status".to_owned(),
        api_version: "v1".to_owned(),
        metadata: Metadata::default(),
        status: "Failure".to_owned(),
        message: message.into(),
        reason: reason.to_owned(),
        details,
        code,
    }
}

/// Details naming an object by its resource: `configmaps`.
fn by_resource(kind: &Kind, name: &str) -> Option<Details> {
    Some(Details {
        name: name.to_owned(),
        group: kind.group.to_owned(),
        kind: kind.plural.to_owned(),
        ..Details::default()
    })
}

/// Details naming an object by its kind: `ConfigMap`.
fn by_kind(group: &str, kind: &str, name: &str) -> Details {
    Details { name: name.to_owned(), group: group.to_owned(), kind: kind.to_owned(), ..Details::default() }
}

/// `Deployment.apps`, or `Pod` in the core group.
fn qualified(group: &str, kind: &str) -> String {
    if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") }
}

/// 404: no such object.
pub fn not_found(kind: &Kind, name: &str) -> Status {
    failure(404, "NotFound", format!("{} {name:?} not found", kind.resource()), by_resource(kind, name))
}

/// 404: no such resource or path.
pub fn unknown_resource() -> Status {
    failure(404, "NotFound", "the server could not find the requested resource", Some(Details::default()))
}

/// 409: the name is taken.
pub fn already_exists(kind: &Kind, name: &str) -> Status {
    failure(409, "AlreadyExists", format!("{} {name:?} already exists", kind.resource()), by_resource(kind, name))
}

/// 409: the object's `resourceVersion` is not the current one.
pub fn conflict(kind: &Kind, name: &str) -> Status {
    conflict_because(
        kind,
        name,
        "the object has been modified; please apply your changes to the latest version and try again",
    )
}

/// 409, with another cause than an old `resourceVersion`.
pub fn conflict_because(kind: &Kind, name: &str, cause: &str) -> Status {
    let message = format!("Operation cannot be fulfilled on {} {name:?}: {cause}", kind.resource());
    failure(409, "Conflict", message, by_resource(kind, name))
}

/// 409: other managers own fields that an applied configuration would change; one cause for each.
pub fn apply_conflict(message: &str, causes: Vec<Cause>) -> Status {
    failure(409, "Conflict", message, Some(Details { causes, ..Details::default() }))
}

/// 409: the uid asked for is not the stored object's.
pub fn conflict_uid(kind: &Kind, name: &str, expected: &str, found: &str) -> Status {
    let message = format!(
        "Operation cannot be fulfilled on {} {name:?}: the UID in the precondition ({expected}) does not match the UID \
         in record ({found}). The object might have been deleted and then recreated",
        qualified(kind.group, kind.kind)
    );
    failure(409, "Conflict", message, Some(by_kind(kind.group, kind.kind, name)))
}

/// 422: validation refused the object; one cause for each error.
pub fn invalid(kind: &Kind, name: &str, errors: &[FieldError]) -> Status {
    invalid_options(kind.group, kind.kind, name, errors)
}

/// 422 for something that is no stored kind: `PatchOptions` in `meta.k8s.io`, or nothing at all for a patch.
pub fn invalid_options(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Status {
    let message = format!("{} {name:?} is invalid: {}", qualified(group, kind), validation::aggregate(errors));
    let mut details = by_kind(group, kind, name);
    details.causes = errors
        .iter()
        .map(|error| Cause {
            reason: error.reason.cause().to_owned(),
            message: error.body(),
            field: error.path.clone(),
        })
        .collect();
    failure(422, "Invalid", message, Some(details))
}

/// 422: a well-formed patch that does not fit the object.
pub fn unprocessable(message: &str) -> Status {
    let text = format!("the server rejected our request due to an error in our request: {message}");
    failure(422, "Invalid", text, Some(Details::default()))
}

/// 400.
pub fn bad_request(message: impl Into<String>) -> Status {
    failure(400, "BadRequest", message, None)
}

/// 401.
pub fn unauthorized() -> Status {
    failure(401, "Unauthorized", "Unauthorized", None)
}

/// 401 for credentials that are none; `because` says why.
pub fn unauthorized_because(because: impl Into<String>) -> Status {
    failure(401, "Unauthorized", because, None)
}

/// 403: `because` says who may not do what; `name` is empty where no single object is meant.
pub fn forbidden(kind: &Kind, name: &str, because: &str) -> Status {
    let resource = kind.resource();
    let message = if name.is_empty() {
        format!("{resource} is forbidden: {because}")
    } else {
        format!("{resource} {name:?} is forbidden: {because}")
    };
    failure(403, "Forbidden", message, by_resource(kind, name))
}

/// 403 for a resource that no kind is stored as: users, or reviews of what they may do.
pub fn forbidden_resource(group: &str, resource: &str, name: &str, because: &str) -> Status {
    let whole = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
    let message = match name {
        "" => format!("{whole} is forbidden: {because}"),
        name => format!("{whole} {name:?} is forbidden: {because}"),
    };
    let (name, group, kind) = (name.to_owned(), group.to_owned(), resource.to_owned());
    failure(403, "Forbidden", message, Some(Details { name, group, kind, ..Details::default() }))
}

/// 403 for a path that is no resource.
pub fn forbidden_path(because: &str) -> Status {
    failure(403, "Forbidden", format!("forbidden: {because}"), Some(Details::default()))
}

/// 405.
pub fn method_not_allowed() -> Status {
    let message = "the server does not allow this method on the requested resource";
    failure(405, "MethodNotAllowed", message, Some(Details::default()))
}

/// 405 for a creation of objects whose kind is being deleted.
pub fn kind_is_terminating() -> Status {
    let message = "create not allowed while custom resource definition is terminating";
    failure(405, "MethodNotAllowed", message, Some(Details::default()))
}

/// 406.
pub fn not_acceptable() -> Status {
    failure(406, "NotAcceptable", "406: Not Acceptable", Some(Details::default()))
}

/// 410: a watch or list asks for a revision that history no longer reaches.
pub fn expired(message: impl Into<String>) -> Status {
    failure(410, "Expired", message, None)
}

/// 410: the snapshot a `continue` token names is gone; `token` starts an inconsistent rest of the list.
pub fn expired_continue(token: &str) -> Status {
    let mut status = expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list \
         without the continue parameter, or use the continue token in this response to retrieve the remainder of the \
         results. Continuing with the provided token results in an inconsistent list - objects that were created, \
         modified, or deleted between the time the first chunk was returned and now may show up in the list.",
    );
    token.clone_into(&mut status.metadata.continue_token);
    status
}

/// 413: the body is longer than `limit` bytes.
pub fn too_large(limit: usize) -> Status {
    request_entity_too_large(&format!("limit is {limit}"))
}

/// 413, for another limit than the body's length.
pub fn request_entity_too_large(message: &str) -> Status {
    failure(413, "RequestEntityTooLarge", format!("Request entity too large: {message}"), None)
}

/// 415 for a body; `accepted` are the media types that would do.
pub fn unsupported_media_type(accepted: &[&str]) -> Status {
    let message = format!(
        "the body of the request was in an unknown format - accepted media types include: {}",
        accepted.join(", ")
    );
    failure(415, "UnsupportedMediaType", message, None)
}

/// 415 for a patch's body.
pub fn unsupported_patch_type() -> Status {
    failure(415, "UnsupportedMediaType", "415: Unsupported Media Type", Some(Details::default()))
}

/// 429.
pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Status {
    failure(429, "TooManyRequests", message, Some(Details { retry_after_seconds, ..Details::default() }))
}

/// 429: an eviction that a disruption budget does not allow; `because` says which and why.
pub fn disruption_budget(because: impl Into<String>, retry_after_seconds: u32) -> Status {
    let message = "Cannot evict pod as it would violate the pod's disruption budget.";
    let mut status = too_many_requests(message, retry_after_seconds);
    let cause = Cause { reason: "DisruptionBudget".to_owned(), message: because.into(), ..Cause::default() };
    status.details.get_or_insert_default().causes.push(cause);
    status
}

/// 500.
pub fn internal(error: impl std::fmt::Display) -> Status {
    let cause = Cause { message: error.to_string(), ..Cause::default() };
    let details = Details { causes: vec![cause], ..Details::default() };
    failure(500, "InternalError", format!("Internal error occurred: {error}"), Some(details))
}

/// 503.
pub fn service_unavailable(message: impl Into<String>) -> Status {
    failure(503, "ServiceUnavailable", message, None)
}

/// 503: this server neither leads nor reaches who does, and did nothing. Without `retryAfterSeconds`, for which `kubectl` would ask ten times
/// before it says why.
pub fn no_leader(message: impl Into<String>) -> Status {
    let cause = Cause {
        reason: NO_LEADER.to_owned(),
        message: "nothing was done, and another server may do it".to_owned(),
        ..Cause::default()
    };
    let details = Details { causes: vec![cause], ..Details::default() };
    Status { details: Some(details), ..service_unavailable(message) }
}

/// 507.
pub fn insufficient_storage(message: impl Into<String>) -> Status {
    failure(507, "InsufficientStorage", message, None)
}

/// 504.
pub fn timeout(message: impl std::fmt::Display) -> Status {
    failure(504, "Timeout", format!("Timeout: {message}"), Some(Details::default()))
}

/// 504: the request asks for a revision that does not exist so far.
pub fn too_large_resource_version(asked: u64, current: u64) -> Status {
    let mut status = timeout(format_args!("Too large resource version: {asked}, current: {current}"));
    let cause = Cause {
        reason: "ResourceVersionTooLarge".to_owned(),
        message: "Too large resource version".to_owned(),
        ..Cause::default()
    };
    status.details = Some(Details { causes: vec![cause], retry_after_seconds: 1, ..Details::default() });
    status
}

/// 200: the answer to a deletion that is complete.
pub fn deleted(kind: &Kind, name: &str, uid: &str) -> Status {
    let mut details = by_resource(kind, name);
    if let Some(details) = &mut details {
        uid.clone_into(&mut details.uid);
    }
    let mut status = failure(0, "", "", details);
    "Success".clone_into(&mut status.status);
    status
}

impl Status {
    /// Whether it is certain that nothing was done, and that another server may do it.
    pub fn lacks_leader(&self) -> bool {
        let causes = self.details.as_ref().map_or(&[][..], |details| &details.causes);
        causes.iter().any(|cause| cause.reason == NO_LEADER)
    }

    /// Whether this is the failure with the given reason, `NotFound` say.
    pub fn is(&self, reason: &str) -> bool {
        self.reason == reason
    }

    /// The compact JSON body.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("invariant: a Status always serialises")
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

#[cfg(test)]
mod tests;
