//! What expressions may ask about users' rights, and how it is said: [`AccessCheck`], built up call by call.
//!
//! Source: Kubernetes' CEL library `authz`. Deliberately absent: field and label selectors, whose functions are undeclared.

use std::fmt;

/// Decides what expressions ask. Asked once for each `check(…)` that is evaluated.
pub trait Authorize {
    /// Whether it is allowed.
    fn allows(&self, check: &AccessCheck) -> bool;
}

/// What somebody may do, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessCheck {
    /// Namespace and name of the service account that is asked about; `None` for the user whose request it is.
    pub service_account: Option<(String, String)>,
    /// A verb of the API; for a path, one of HTTP.
    pub verb: String,
    /// To what.
    pub subject: AccessSubject,
}

/// What somebody may do something to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessSubject {
    /// A path that is no resource.
    Path(String),
    /// A resource.
    Resource {
        /// Its API group.
        group: String,
        /// Its plural.
        resource: String,
        /// Empty for the resource itself.
        subresource: String,
        /// Empty for the whole cluster.
        namespace: String,
        /// Empty for all objects.
        name: String,
    },
}

/// How far an expression got with its question.
#[derive(Clone)]
pub(super) enum Access<'a> {
    /// `authorizer`: whom to ask, about whom, and what `authorizer.requestResource` is.
    Authorizer { asked: &'a dyn Authorize, about: Option<(String, String)>, request: AccessSubject },
    /// `authorizer.group(…)`
    Group { asked: &'a dyn Authorize, about: Option<(String, String)>, group: String },
    /// Ready for its verb.
    Subject { asked: &'a dyn Authorize, about: Option<(String, String)>, subject: AccessSubject },
    /// The answer.
    Decision(bool),
}

impl<'a> Access<'a> {
    /// The name of its type, as Kubernetes has it.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Access::Authorizer { .. } => "kubernetes.authorization.Authorizer",
            Access::Group { .. } => "kubernetes.authorization.GroupCheck",
            Access::Subject { subject: AccessSubject::Path(_), .. } => "kubernetes.authorization.PathCheck",
            Access::Subject { .. } => "kubernetes.authorization.ResourceCheck",
            Access::Decision(_) => "kubernetes.authorization.Decision",
        }
    }

    /// `authorizer.requestResource`, where this is the `authorizer`.
    pub(super) fn request_resource(&self) -> Option<Access<'a>> {
        match self {
            Access::Authorizer { asked, about, request } => {
                Some(Access::Subject { asked: *asked, about: about.clone(), subject: request.clone() })
            }
            _ => None,
        }
    }
}

impl fmt::Debug for Access<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.type_name())
    }
}
