//! What a request asks for, read off its method, path and query: pure, before anything is looked up.

use std::borrow::Cow;
use std::sync::Arc;

use coracle_api::custom::{CustomKind, ScalePaths};
use coracle_api::kind::{Kind, Subresource};
use coracle_api::kinds;
use coracle_api::status::{self, Status};
use http::{Method, Uri};
use percent_encoding::percent_decode_str;

use crate::custom_kinds::Index;
use crate::handlers::usage;

mod query;

pub(crate) use query::{Query, propagation};

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// `/`: the list of paths.
    Root,
    /// `/version`
    Version,
    /// `/healthz`, `/livez`, `/readyz`
    Health,
    /// `/metrics`
    Metrics,
    /// The control plane's members, or one of them.
    Members(Option<String>),
    /// `/join`
    Join,
    /// `/coracle/certificate`
    Certificate,
    /// `/api`
    CoreVersions,
    /// `/apis`
    Groups,
    /// `/apis/GROUP`
    Group(String),
    /// `/api/v1`, `/apis/GROUP/VERSION`
    Resources { group: String, version: String },
    /// `/openapi/v2`
    OpenApiSecond,
    /// `/openapi/v3`
    OpenApiIndex,
    /// `/openapi/v3/…`
    OpenApi { group: String, version: String },
    /// `/openid/v1/jwks`
    TokenKeys,
    /// `/.well-known/openid-configuration`
    TokenIssuer,
    /// A question or an order that is stored nowhere.
    Virtual { found: Virtual, namespace: Option<String> },
    /// `/api/v1/nodes/NAME/proxy/…`: what a host serves itself.
    NodeProxy { node: String, path: String },
    /// What pods or nodes use of processor and memory.
    Usage(Usage),
    /// Stored objects.
    Objects(Address),
    /// None of these.
    Unknown,
}

/// One pod or node of `metrics.k8s.io`, or a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Pods or nodes.
    pub(crate) kind: &'static Kind,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
}

/// Resources that only take a POST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Virtual {
    /// Many writes in one request.
    Batch,
    /// A new key for the secrets.
    SecretKeyRotation,
    /// All there is, to keep elsewhere.
    ClusterSnapshot,
    /// "Who is this?"
    TokenReview,
    /// "Who am I?"
    SelfSubjectReview,
    /// "May they, here?"
    LocalSubjectAccessReview,
    /// "May I?"
    SelfSubjectAccessReview,
    /// "What may I?"
    SelfSubjectRulesReview,
    /// "May they?"
    SubjectAccessReview,
}

impl Virtual {
    pub(crate) const ALL: &[Virtual] = &[
        Virtual::Batch,
        Virtual::SecretKeyRotation,
        Virtual::ClusterSnapshot,
        Virtual::SelfSubjectReview,
        Virtual::TokenReview,
        Virtual::LocalSubjectAccessReview,
        Virtual::SelfSubjectAccessReview,
        Virtual::SelfSubjectRulesReview,
        Virtual::SubjectAccessReview,
    ];

    /// Group, version, plural, kind.
    pub(crate) fn names(self) -> (&'static str, &'static str, &'static str, &'static str) {
        let (authentication, authorization) = ("authentication.k8s.io", "authorization.k8s.io");
        match self {
            Virtual::Batch => ("coracle.dev", "v1", "batches", "Batch"),
            Virtual::SecretKeyRotation => ("coracle.dev", "v1", "secretkeyrotations", "SecretKeyRotation"),
            Virtual::ClusterSnapshot => ("coracle.dev", "v1", "clustersnapshots", "ClusterSnapshot"),
            Virtual::TokenReview => (authentication, "v1", "tokenreviews", "TokenReview"),
            Virtual::SelfSubjectReview => (authentication, "v1", "selfsubjectreviews", "SelfSubjectReview"),
            Virtual::LocalSubjectAccessReview => {
                (authorization, "v1", "localsubjectaccessreviews", "LocalSubjectAccessReview")
            }
            Virtual::SelfSubjectAccessReview => {
                (authorization, "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview")
            }
            Virtual::SelfSubjectRulesReview => {
                (authorization, "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview")
            }
            Virtual::SubjectAccessReview => (authorization, "v1", "subjectaccessreviews", "SubjectAccessReview"),
        }
    }

    /// What describes its fields; `None` where it has none of its own.
    pub(crate) fn definition(self) -> Option<String> {
        let (group, version, _, kind) = self.names();
        let group = group.strip_suffix(".k8s.io")?;
        Some(format!("io.k8s.api.{group}.{version}.{kind}"))
    }

    /// Whether it is asked within a namespace.
    pub(crate) fn is_namespaced(self) -> bool {
        self == Virtual::LocalSubjectAccessReview
    }
}

/// One object, one part of one, or a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) kind: &'static Kind,
    /// What else is known of the kind, where users defined it.
    pub(crate) custom: Option<Arc<CustomKind>>,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
}

impl Address {
    /// The object's name; a request that needs one and has none names no resource.
    pub(crate) fn name(&self) -> Result<&str, Status> {
        self.name.as_deref().ok_or_else(status::unknown_resource)
    }

    pub(crate) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// What the kind is called in lists.
    pub(crate) fn list_kind(&self) -> String {
        self.custom.as_ref().map_or_else(|| format!("{}List", self.kind.kind), |custom| custom.list_kind.clone())
    }

    /// Where the kind keeps what a Scale shows.
    pub(crate) fn scale_paths(&self) -> &ScalePaths {
        let stated = self.custom.as_ref().and_then(|custom| custom.scale.as_ref());
        stated.unwrap_or_else(|| ScalePaths::built_in())
    }

    /// Whether the path ends in this subresource, and the kind serves it.
    pub(crate) fn is_at(&self, subresource: Subresource) -> bool {
        self.subresource.as_deref() == Some(subresource.as_str()) && self.kind.has(subresource)
    }

    /// Whether the request, if it is granted, becomes a stream into a pod.
    pub(crate) fn is_stream(&self) -> bool {
        [Subresource::Attach, Subresource::Exec, Subresource::PortForward].into_iter().any(|part| self.is_at(part))
    }
}

/// Reads a path. Besides the built-in kinds it may name those that users define.
pub(crate) fn parse_path(path: &str, custom_kinds: &Index) -> Target {
    let decoded = path.trim_matches('/').split('/').map(|segment| percent_decode_str(segment).decode_utf8());
    let Ok(segments) = decoded.collect::<Result<Vec<Cow<'_, str>>, _>>() else { return Target::Unknown };
    let segments: Vec<&str> = segments.iter().map(|segment| &**segment).collect();
    match segments.as_slice() {
        [""] => Target::Root,
        ["version"] => Target::Version,
        ["healthz" | "livez" | "readyz", ..] => Target::Health,
        ["metrics"] => Target::Metrics,
        ["coracle", "members"] => Target::Members(None),
        ["coracle", "members", name] => Target::Members(Some((*name).to_owned())),
        ["join"] => Target::Join,
        ["coracle", "certificate"] => Target::Certificate,
        ["api"] => Target::CoreVersions,
        ["apis"] => Target::Groups,
        ["apis", group] => Target::Group((*group).to_owned()),
        ["api", version] => Target::Resources { group: String::new(), version: (*version).to_owned() },
        ["apis", group, version] => Target::Resources { group: (*group).to_owned(), version: (*version).to_owned() },
        ["openid", "v1", "jwks"] => Target::TokenKeys,
        [".well-known", "openid-configuration"] => Target::TokenIssuer,
        ["openapi", "v2"] => Target::OpenApiSecond,
        ["openapi", "v3"] => Target::OpenApiIndex,
        ["openapi", "v3", "api", version] => Target::OpenApi { group: String::new(), version: (*version).to_owned() },
        ["openapi", "v3", "apis", group, version] => {
            Target::OpenApi { group: (*group).to_owned(), version: (*version).to_owned() }
        }
        ["api", "v1", "nodes", node, "proxy", path @ ..] => {
            Target::NodeProxy { node: (*node).to_owned(), path: path.join("/") }
        }
        ["apis", usage::GROUP, usage::VERSION, rest @ ..] => parse_usage(rest),
        ["api", version, rest @ ..] => parse_resource("", version, rest, custom_kinds),
        ["apis", group, version, rest @ ..] => parse_resource(group, version, rest, custom_kinds),
        _ => Target::Unknown,
    }
}

fn parse_usage(rest: &[&str]) -> Target {
    let usage = |kind, namespace: Option<&str>, name: Option<&str>| {
        Target::Usage(Usage { kind, namespace: namespace.map(str::to_owned), name: name.map(str::to_owned) })
    };
    match rest {
        ["nodes"] => usage(&kinds::NODE, None, None),
        ["nodes", name] => usage(&kinds::NODE, None, Some(name)),
        ["pods"] => usage(&kinds::POD, None, None),
        ["namespaces", namespace, "pods"] => usage(&kinds::POD, Some(namespace), None),
        ["namespaces", namespace, "pods", name] => usage(&kinds::POD, Some(namespace), Some(name)),
        _ => Target::Unknown,
    }
}

fn parse_resource(group: &str, version: &str, rest: &[&str], custom_kinds: &Index) -> Target {
    let (namespace, rest) = match rest {
        ["namespaces", namespace, plural, rest @ ..]
            if !(group.is_empty() && matches!(*plural, "status" | "finalize")) =>
        {
            (Some(*namespace), [&[*plural], rest].concat())
        }
        rest => (None, rest.to_vec()),
    };
    let (plural, name, subresource) = match rest.as_slice() {
        [plural] => (*plural, None, None),
        [plural, name] => (*plural, Some(*name), None),
        [plural, name, subresource] => (*plural, Some(*name), Some(*subresource)),
        _ => return Target::Unknown,
    };
    if let Some(found) = Virtual::ALL.iter().find(|found| {
        let (its_group, its_version, its_plural, _) = found.names();
        (its_group, its_version, its_plural) == (group, version, plural)
    }) {
        let is_placed = name.is_none() && namespace.is_some() == found.is_namespaced();
        let namespace = namespace.map(str::to_owned);
        return if is_placed { Target::Virtual { found: *found, namespace } } else { Target::Unknown };
    }
    let built_in = kinds::by_resource(group, version, plural);
    let custom = custom_kinds.by_resource(group, version, plural).filter(|_| built_in.is_none()).cloned();
    let Some(kind) = built_in.or(custom.as_ref().map(|custom| custom.kind)) else { return Target::Unknown };
    let is_misplaced = if kind.namespaced { namespace.is_none() && name.is_some() } else { namespace.is_some() };
    if is_misplaced || name == Some("") || namespace == Some("") {
        return Target::Unknown;
    }
    Target::Objects(Address {
        kind,
        custom,
        namespace: namespace.map(str::to_owned),
        name: name.map(str::to_owned),
        subresource: subresource.map(str::to_owned),
    })
}

/// The verb of a request for a path that is no object's.
pub(crate) fn path_verb(method: &Method) -> String {
    match *method {
        Method::GET | Method::HEAD => "get".to_owned(),
        ref other => other.as_str().to_ascii_lowercase(),
    }
}

/// The verb, in the words authorizers and metrics use; `None` for a method that has none.
pub(crate) fn verb(method: &Method, address: &Address, query: &Query) -> Option<&'static str> {
    Some(match (method, &address.name) {
        (&Method::GET | &Method::HEAD, Some(_)) if !query.is_watch() => "get",
        (&Method::GET | &Method::HEAD, _) if query.is_watch() => "watch",
        (&Method::GET | &Method::HEAD, _) => "list",
        (&Method::POST, _) => "create",
        (&Method::PUT, Some(_)) => "update",
        (&Method::PATCH, Some(_)) => "patch",
        (&Method::DELETE, Some(_)) => "delete",
        (&Method::DELETE, None) => "deletecollection",
        _ => return None,
    })
}

/// The verb of a request for what can only be created.
pub(crate) fn virtual_verb(method: &Method) -> &'static str {
    match *method {
        Method::GET | Method::HEAD => "list",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "deletecollection",
        _ => "create",
    }
}

/// The query of a URI; one that can't be read has no parameters.
pub(crate) fn query(uri: &Uri) -> Query {
    Query::parse(uri)
}

#[cfg(test)]
mod tests;
