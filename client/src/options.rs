//! What a caller may ask of each verb, and how it is spelled in a query string.

use serde::Serialize;

/// Query parameters as they are sent; empty values never are.
pub(crate) type Query = Vec<(&'static str, String)>;

/// Which objects a list returns.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// A label selector, such as `app=web,tier!=test`.
    pub label_selector: Option<String>,
    /// A field selector, such as `spec.nodeName=h1`.
    pub field_selector: Option<String>,
    /// At most so many objects; the rest is behind [`crate::List::continue_token`].
    pub limit: Option<u32>,
    /// Where a limited list left off.
    pub continue_token: Option<String>,
    /// The state asked for: `0` takes whatever the server's watch cache holds.
    pub revision: Option<u64>,
}

impl ListOptions {
    /// Everything whose field selector matches.
    pub fn fields(selector: impl Into<String>) -> ListOptions {
        ListOptions { field_selector: Some(selector.into()), ..ListOptions::default() }
    }

    /// Everything whose labels match.
    pub fn labels(selector: impl Into<String>) -> ListOptions {
        ListOptions { label_selector: Some(selector.into()), ..ListOptions::default() }
    }

    pub(crate) fn query(&self) -> Query {
        let mut query = Query::new();
        push(&mut query, "labelSelector", self.label_selector.as_ref());
        push(&mut query, "fieldSelector", self.field_selector.as_ref());
        push(&mut query, "limit", self.limit.as_ref());
        push(&mut query, "continue", self.continue_token.as_ref());
        push(&mut query, "resourceVersion", self.revision.as_ref());
        query
    }
}

/// Which changes a watch reports.
#[derive(Clone, Debug, Default)]
pub struct WatchOptions {
    /// A label selector.
    pub label_selector: Option<String>,
    /// A field selector.
    pub field_selector: Option<String>,
    /// Changes after this revision; without it, the present objects come first as additions.
    pub revision: Option<u64>,
    /// The server ends the watch after so many seconds.
    pub timeout_seconds: Option<u32>,
    /// Each object comes as a `meta.k8s.io/v1` Table of one row, whose columns are those of a list.
    pub as_tables: bool,
}

impl WatchOptions {
    pub(crate) fn query(&self) -> Query {
        let mut query = vec![("watch", "true".to_owned()), ("allowWatchBookmarks", "true".to_owned())];
        push(&mut query, "labelSelector", self.label_selector.as_ref());
        push(&mut query, "fieldSelector", self.field_selector.as_ref());
        push(&mut query, "resourceVersion", self.revision.as_ref());
        push(&mut query, "timeoutSeconds", self.timeout_seconds.as_ref());
        query
    }
}

/// How a create, update or patch is carried out.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// Go through everything but the store.
    pub dry_run: bool,
    /// `Ignore`, `Warn` or `Strict`: what an unknown field leads to.
    pub field_validation: Option<&'static str>,
    /// Who owns the fields written.
    pub field_manager: Option<String>,
    /// Take applied fields from those who own them.
    pub force: bool,
    /// `status` or `scale`: write this part only.
    pub subresource: Option<&'static str>,
}

impl WriteOptions {
    /// Unknown fields are errors.
    pub fn strict() -> WriteOptions {
        WriteOptions { field_validation: Some("Strict"), ..WriteOptions::default() }
    }

    pub(crate) fn query(&self) -> Query {
        let mut query = Query::new();
        if self.dry_run {
            query.push(("dryRun", "All".to_owned()));
        }
        push(&mut query, "fieldValidation", self.field_validation.as_ref());
        push(&mut query, "fieldManager", self.field_manager.as_ref());
        if self.force {
            query.push(("force", "true".to_owned()));
        }
        query
    }
}

/// What happens to the objects that a deleted one owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They are deleted after it.
    Background,
    /// They are deleted before it.
    Foreground,
    /// They stay.
    Orphan,
}

/// How a delete is carried out.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// Seconds given to a pod's containers; 0 removes the object at once.
    pub grace_period_seconds: Option<i64>,
    /// What happens to dependents.
    pub propagation: Option<Propagation>,
    /// Delete only this incarnation.
    pub uid: Option<String>,
    /// Delete only this state.
    pub revision: Option<u64>,
    /// Go through everything but the store.
    pub dry_run: bool,
}

impl Serialize for DeleteOptions {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.body().serialize(serializer)
    }
}

impl DeleteOptions {
    /// Removes the object at once, if it still is this incarnation.
    pub fn now(uid: &str) -> DeleteOptions {
        DeleteOptions { grace_period_seconds: Some(0), uid: Some(uid.to_owned()), ..DeleteOptions::default() }
    }

    pub(crate) fn body(&self) -> serde_json::Value {
        let mut body = serde_json::json!({ "apiVersion": "v1", "kind": "DeleteOptions" });
        if let Some(seconds) = self.grace_period_seconds {
            body["gracePeriodSeconds"] = seconds.into();
        }
        if let Some(propagation) = self.propagation {
            body["propagationPolicy"] = format!("{propagation:?}").into();
        }
        if let Some(uid) = &self.uid {
            body["preconditions"]["uid"] = uid.as_str().into();
        }
        if let Some(revision) = self.revision {
            body["preconditions"]["resourceVersion"] = revision.to_string().into();
        }
        if self.dry_run {
            body["dryRun"] = serde_json::json!(["All"]);
        }
        body
    }
}

/// How a patch's body is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// RFC 6902 operations.
    Json,
    /// RFC 7386 merge patch.
    Merge,
    /// Kubernetes' strategic merge patch.
    Strategic,
    /// Server-side apply.
    Apply,
}

impl PatchKind {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            PatchKind::Json => "application/json-patch+json",
            PatchKind::Merge => "application/merge-patch+json",
            PatchKind::Strategic => "application/strategic-merge-patch+json",
            PatchKind::Apply => "application/apply-patch+yaml",
        }
    }
}

/// What each row of a table carries of its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableInclude {
    /// Nothing.
    None,
    /// Its metadata.
    Metadata,
    /// All of it.
    Object,
}

pub(crate) fn push(query: &mut Query, name: &'static str, value: Option<&impl ToString>) {
    if let Some(value) = value {
        query.push((name, value.to_string()));
    }
}
