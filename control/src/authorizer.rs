//! Whether a user may do something: the seam, and the rules: roles and bindings, and what hosts need.

use std::sync::Arc;

use coracle_api::kind::Kind;
use coracle_api::selector::FieldSelector;
use coracle_api::status::{self, Status};
use coracle_store::Snapshot;
use parking_lot::RwLock;

use crate::authentication::User;
use index::Index;

pub(crate) mod escalation;
mod index;
mod node;
pub(crate) mod node_restriction;
mod rule;
pub(crate) mod signing;

pub use rule::PolicyRule;

/// Everything is allowed to this group.
pub const MASTERS: &str = "system:masters";
/// The group of the hosts.
pub const NODES: &str = "system:nodes";
/// What a host's user name starts with.
pub const NODE_PREFIX: &str = "system:node:";

/// What anybody may get, as Kubernetes' role `system:public-info-viewer` says.
const PUBLIC: &[&str] = &["/healthz", "/livez", "/readyz", "/version", "/version/"];

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

    /// The rules that hold for a user everywhere, and those in a namespace. What follows from who owns what isn't among them.
    fn rules(&self, user: &User, namespace: Option<&str>, snapshot: &Snapshot) -> Vec<PolicyRule>;

    /// The rules of a role, where it exists: a `Role` in a namespace, or a `ClusterRole`.
    fn rules_of_role(&self, kind: &str, namespace: &str, name: &str, snapshot: &Snapshot) -> Option<Vec<PolicyRule>>;
}

/// The built-in rules: masters may do everything, hosts what they need, anyone may ask for health and version, and roles and
/// their bindings say the rest.
///
/// What it knows of roles is made of the snapshot alone, and kept until a role or a binding changes.
#[derive(Debug, Default)]
pub struct Rbac {
    index: RwLock<Arc<Index>>,
    references: node::References,
}

impl Rbac {
    fn index(&self, snapshot: &Snapshot) -> Arc<Index> {
        let stamp = Index::stamp(snapshot);
        let known = Arc::clone(&self.index.read());
        if known.is_of(stamp) {
            return known;
        }
        let index = Arc::new(Index::build(snapshot, &known));
        *self.index.write() = Arc::clone(&index);
        index
    }
}

impl Authorizer for Rbac {
    fn allows(&self, attributes: &Attributes<'_>, snapshot: &Snapshot) -> bool {
        let user = attributes.user;
        if user.is_in(MASTERS) || is_public(attributes) {
            return true;
        }
        if let Some(node) = user.node()
            && node::allows(node, attributes, snapshot, &self.references)
        {
            return true;
        }
        let namespace = match attributes.subject {
            Subject::Resource { namespace, .. } => namespace,
            Subject::Path(_) => None,
        };
        self.index(snapshot).rules(user, namespace).any(|rule| rule.allows(attributes))
    }

    fn rules(&self, user: &User, namespace: Option<&str>, snapshot: &Snapshot) -> Vec<PolicyRule> {
        if user.is_in(MASTERS) {
            return PolicyRule::everything().into();
        }
        self.index(snapshot).rules(user, namespace).cloned().collect()
    }

    fn rules_of_role(&self, kind: &str, namespace: &str, name: &str, snapshot: &Snapshot) -> Option<Vec<PolicyRule>> {
        self.index(snapshot).rules_of_role(kind, namespace, name).map(<[PolicyRule]>::to_vec)
    }
}

/// What is answered before there are any roles, and whoever asks.
fn is_public(attributes: &Attributes<'_>) -> bool {
    let Subject::Path(path) = attributes.subject else { return false };
    attributes.verb == "get" && PUBLIC.contains(&path)
}

/// The 403 that says what was not allowed, in Kubernetes' words.
pub(crate) fn refusal(attributes: &Attributes<'_>, kind: Option<&Kind>) -> Status {
    let (user, verb) = (&attributes.user.name, attributes.verb);
    match &attributes.subject {
        Subject::Path(path) => status::forbidden_path(&format!("User {user:?} cannot {verb} path {path:?}")),
        Subject::Resource { group, resource, subresource, namespace, name, .. } => {
            let named = (*resource).to_owned();
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
                None => status::forbidden_resource(group, &named, name.unwrap_or_default(), &because),
            }
        }
    }
}
