//! A cluster role binding: who has a role everywhere.

use serde_json::Value;

use crate::kind::{Column, Kind};
use crate::kinds::{cells, role_binding};
use crate::validation::FieldError;

pub(crate) const KIND: Kind = Kind {
    kind: "ClusterRoleBinding",
    plural: "clusterrolebindings",
    singular: "clusterrolebinding",
    namespaced: false,
    definition: "io.k8s.api.rbac.v1.ClusterRoleBinding",
    columns: COLUMNS,
    validate,
    ..role_binding::KIND
};

const COLUMNS: &[Column] = &[
    cells::NAME,
    Column::string(
        "Role",
        0,
        "RoleRef can only reference a ClusterRole in the global namespace. If the RoleRef cannot be resolved, the \
        Authorizer must return an error.",
        role_binding::role,
    ),
    cells::AGE,
    Column::string("Users", 1, "Users in the clusterRoleBinding", role_binding::users),
    Column::string("Groups", 1, "Groups in the clusterRoleBinding", role_binding::groups),
    Column::string("ServiceAccounts", 1, "ServiceAccounts in the clusterRoleBinding", role_binding::service_accounts),
];

fn validate(object: &Value, errors: &mut Vec<FieldError>) {
    role_binding::validate_binding(object, &["ClusterRole"], false, errors);
}
