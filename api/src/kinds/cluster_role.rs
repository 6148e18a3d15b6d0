//! A cluster role: what may be done everywhere, or in those namespaces where a RoleBinding grants it.

use serde_json::Value;

use crate::kind::Kind;
use crate::kinds::role;
use crate::validation::FieldError;

pub(crate) const KIND: Kind = Kind {
    kind: "ClusterRole",
    plural: "clusterroles",
    singular: "clusterrole",
    namespaced: false,
    definition: "io.k8s.api.rbac.v1.ClusterRole",
    validate,
    ..role::KIND
};

fn validate(object: &Value, errors: &mut Vec<FieldError>) {
    role::validate_rules(object, false, errors);
    role::validate_aggregation(object, errors);
}
