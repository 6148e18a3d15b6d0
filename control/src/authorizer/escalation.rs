//! Nobody grants what they don't hold: checks on roles and bindings, beyond the right to write them.

use coracle_api::kind::Kind;
use coracle_api::object;
use coracle_api::status::{self, Status};
use coracle_store::Snapshot;
use serde_json::Value;

use super::rule::print_list;
use super::{Attributes, Authorizer, MASTERS, PolicyRule, Subject};
use crate::authentication::User;

const GROUP: &str = "rbac.authorization.k8s.io";

/// Refuses a new or changed role or binding that grants more than its author holds. Other kinds pass.
pub(crate) fn check(
    (user, authorizer): (&User, &dyn Authorizer),
    kind: &Kind,
    new: &Value,
    old: Option<&Value>,
    snapshot: &Snapshot,
) -> Result<(), Status> {
    if kind.group != GROUP || user.is_in(MASTERS) || old.is_some_and(|old| is_only_bookkeeping(new, old)) {
        return Ok(());
    }
    let review =
        Review { user, authorizer, kind, snapshot, namespace: object::namespace(new), name: object::name(new) };
    match kind.kind {
        "Role" | "ClusterRole" => review.role(new, old),
        _ => review.binding(new),
    }
}

/// Whether only what the garbage collector needs changes.
fn is_only_bookkeeping(new: &Value, old: &Value) -> bool {
    let rest = |object: &Value| {
        let mut object = object.clone();
        for field in ["ownerReferences", "finalizers", "resourceVersion", "managedFields"] {
            object::metadata_mut(&mut object).remove(field);
        }
        object
    };
    rest(new) == rest(old)
}

struct Review<'a> {
    user: &'a User,
    authorizer: &'a dyn Authorizer,
    kind: &'a Kind,
    snapshot: &'a Snapshot,
    namespace: Option<&'a str>,
    name: &'a str,
}

impl Review<'_> {
    fn role(&self, new: &Value, old: Option<&Value>) -> Result<(), Status> {
        if self.may("escalate", self.kind.plural, self.name) {
            return Ok(());
        }
        self.confirm(&PolicyRule::list(object::list_at(new, &["rules"])))?;
        let aggregates = |object: &Value| object.get("aggregationRule").is_some_and(|rule| !rule.is_null());
        if (aggregates(new) || old.is_some_and(aggregates)) && self.confirm(&PolicyRule::everything()).is_err() {
            let because = "must have cluster-admin privileges to use the aggregationRule";
            return Err(status::forbidden(self.kind, self.name, because));
        }
        Ok(())
    }

    fn binding(&self, new: &Value) -> Result<(), Status> {
        let reference = |field: &str| object::str_at(new, &["roleRef", field]).unwrap_or_default();
        let (kind, name) = (reference("kind"), reference("name"));
        let referred = if kind == "Role" { &coracle_api::kinds::ROLE } else { &coracle_api::kinds::CLUSTER_ROLE };
        if self.may("bind", referred.plural, name) {
            return Ok(());
        }
        let rules = self.authorizer.rules_of_role(kind, self.namespace.unwrap_or_default(), name, self.snapshot);
        self.confirm(&rules.ok_or_else(|| status::not_found(referred, name))?)
    }

    fn may(&self, verb: &str, resource: &str, name: &str) -> bool {
        let subject = Subject::Resource {
            group: GROUP,
            resource,
            subresource: None,
            namespace: self.namespace,
            name: Some(name),
            fields: None,
        };
        self.authorizer.allows(&Attributes { user: self.user, verb, subject }, self.snapshot)
    }

    fn confirm(&self, wanted: &[PolicyRule]) -> Result<(), Status> {
        let held = self.authorizer.rules(self.user, self.namespace, self.snapshot);
        let missing = PolicyRule::uncovered(&held, wanted);
        if missing.is_empty() {
            return Ok(());
        }
        let missing: Vec<String> = PolicyRule::describe(missing).into_iter().collect();
        let because = format!(
            "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
            self.user.name,
            print_list(&self.user.groups),
            missing.join("\n")
        );
        Err(status::forbidden(self.kind, self.name, &because))
    }
}
