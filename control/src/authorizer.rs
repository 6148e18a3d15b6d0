//! Whether a user may do something: the seam, and the rules built in.
//!
//! Deliberately absent: roles that users define; whoever wants other rules passes another [`Authorizer`].

use coracle_api::kind::Kind;
use coracle_api::selector::FieldSelector;
use coracle_api::status::{self, Status};
use coracle_store::Snapshot;

use crate::authentication::{AUTHENTICATED, User};

mod node;

/// Everything is allowed to this group.
pub const MASTERS: &str = "system:masters";
/// The group of the hosts.
pub const NODES: &str = "system:nodes";
/// What a host's user name starts with.
pub const NODE_PREFIX: &str = "system:node:";

/// What someone wants to do.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    /// Who.
    pub user: &'a User,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; the method for a path.
    pub verb: &'a str,
    /// To what.
    pub subject: Subject<'a>,
}

/// What someone wants to do it to.
#[derive(Clone, Debug)]
pub enum Subject<'a> {
    /// A path that is no resource.
    Path(&'a str),
    /// A resource.
    Resource {
        /// The API group.
        group: &'a str,
        /// The resource, `pods`.
        resource: &'a str,
        /// The subresource, where there is one.
        subresource: Option<&'a str>,
        /// The namespace, where there is one.
        namespace: Option<&'a str>,
        /// The object; `None` for collections, and for a creation whose body is not read yet.
        name: Option<&'a str>,
        /// The field selector of a list or watch.
        fields: Option<&'a FieldSelector>,
    },
}

/// Decides whether users may do what they want to do.
pub trait Authorizer: Send + Sync + 'static {
    /// Whether it's allowed, given the objects there are.
    ///
    /// A creation is asked about twice: first without a name, then, its body read, with it.
    fn allows(&self, attributes: &Attributes<'_>, snapshot: &Snapshot) -> bool;
}

/// The built-in rules: masters may do everything, hosts what they need, and anyone may ask for health and version.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuiltIn;

impl Authorizer for BuiltIn {
    fn allows(&self, attributes: &Attributes<'_>, snapshot: &Snapshot) -> bool {
        let user = attributes.user;
        if user.is_in(MASTERS) || is_public(attributes) {
            return true;
        }
        if user.is_in(AUTHENTICATED) && is_for_everyone_known(attributes) {
            return true;
        }
        match user.name.strip_prefix(NODE_PREFIX) {
            Some(node) if user.is_in(NODES) => node::allows(node, attributes, snapshot),
            _ => false,
        }
    }
}

fn is_public(attributes: &Attributes<'_>) -> bool {
    let Subject::Path(path) = attributes.subject else { return false };
    let is_health = ["/healthz", "/livez", "/readyz"]
        .iter()
        .any(|prefix| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
    attributes.verb == "get" && (is_health || path == "/version" || path == "/version/")
}

/// Discovery, and questions about oneself.
fn is_for_everyone_known(attributes: &Attributes<'_>) -> bool {
    match attributes.subject {
        Subject::Path(path) => {
            let is_discovery = ["/api", "/apis", "/openapi"]
                .iter()
                .any(|prefix| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
            attributes.verb == "get" && (is_discovery || path == "/")
        }
        Subject::Resource { group: "authorization.k8s.io", resource, .. } => {
            attributes.verb == "create" && resource.starts_with("selfsubject")
        }
        Subject::Resource { .. } => false,
    }
}

/// The 403 that says what was not allowed, in Kubernetes' words.
pub(crate) fn refusal(attributes: &Attributes<'_>, kind: Option<&Kind>) -> Status {
    let (user, verb) = (&attributes.user.name, attributes.verb);
    match &attributes.subject {
        Subject::Path(path) => status::forbidden_path(&format!("User {user:?} cannot {verb} path {path:?}")),
        Subject::Resource { group, resource, subresource, namespace, name, .. } => {
            let resource = match subresource {
                Some(subresource) => format!("{resource}/{subresource}"),
                None => (*resource).to_owned(),
            };
            let place = match namespace {
                Some(namespace) => format!("in the namespace {namespace:?}"),
                None => "at the cluster scope".to_owned(),
            };
            let because = format!("User {user:?} cannot {verb} resource {resource:?} in API group {group:?} {place}");
            match kind {
                Some(kind) => status::forbidden(kind, name.unwrap_or_default(), &because),
                None => status::forbidden_path(&because),
            }
        }
    }
}
