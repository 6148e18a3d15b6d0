//! Every kind of object the cluster knows: one file and one line in [`ALL`] each.
//!
//! Deliberately absent: kinds that users define themselves, which come and go ([`crate::custom`]).

pub mod cells;
pub mod certificate_signing_request;
pub(crate) mod check;
mod cluster_role;
mod cluster_role_binding;
mod config_map;
mod controller_revision;
mod cron_job;
pub mod custom_resource_definition;
mod daemon_set;
mod deployment;
mod endpoint_slice;
mod endpoints;
mod event;
mod horizontal_pod_autoscaler;
mod ingress;
pub mod ingress_class;
mod job;
pub mod join_token;
mod lease;
mod limit_range;
mod match_resources;
pub(crate) mod metadata;
mod namespace;
mod node;
mod persistent_volume;
mod persistent_volume_claim;
pub mod pod;
mod pod_disruption_budget;
mod pod_template;
pub mod priority_class;
mod replica_set;
mod replication_controller;
mod resource_list;
mod resource_quota;
mod role;
mod role_binding;
mod runtime_class;
mod scale;
mod sealed_data;
mod secret;
mod service;
mod service_account;
mod stateful_set;
pub mod storage;
pub mod storage_class;
pub mod validating_admission_policy;
mod validating_admission_policy_binding;
mod workload;

use crate::kind::Kind;

/// Namespaces.
pub static NAMESPACE: Kind = namespace::KIND;
/// Nodes: the hosts that run pods.
pub static NODE: Kind = node::KIND;
/// Pods.
pub static POD: Kind = pod::KIND;
/// Replica sets.
pub static REPLICA_SET: Kind = replica_set::KIND;
/// Replication controllers: what replica sets were at first.
pub static REPLICATION_CONTROLLER: Kind = replication_controller::KIND;
/// Deployments.
pub static DEPLOYMENT: Kind = deployment::KIND;
/// Services.
pub static SERVICE: Kind = service::KIND;
/// Endpoint slices: the addresses behind a service.
pub static ENDPOINT_SLICE: Kind = endpoint_slice::KIND;
/// Ingresses: HTTP routes from outside to services.
pub static INGRESS: Kind = ingress::KIND;
/// Config maps.
pub static CONFIG_MAP: Kind = config_map::KIND;
/// Secrets.
pub static SECRET: Kind = secret::KIND;
/// Service accounts.
pub static SERVICE_ACCOUNT: Kind = service_account::KIND;
/// Events.
pub static EVENT: Kind = event::KIND;
/// Leases.
pub static LEASE: Kind = lease::KIND;
/// Endpoints: the addresses behind a service, in the old form.
pub static ENDPOINTS: Kind = endpoints::KIND;
/// Limit ranges: defaults and bounds for what pods and claims ask for.
pub static LIMIT_RANGE: Kind = limit_range::KIND;
/// Persistent volumes.
pub static PERSISTENT_VOLUME: Kind = persistent_volume::KIND;
/// Claims on persistent volumes.
pub static PERSISTENT_VOLUME_CLAIM: Kind = persistent_volume_claim::KIND;
/// Resource quotas: how much a namespace may use.
pub static RESOURCE_QUOTA: Kind = resource_quota::KIND;
/// Ingress classes.
pub static INGRESS_CLASS: Kind = ingress_class::KIND;
/// Storage classes.
pub static STORAGE_CLASS: Kind = storage_class::KIND;
/// Pod templates that belong to no workload.
pub static POD_TEMPLATE: Kind = pod_template::KIND;
/// Stateful sets.
pub static STATEFUL_SET: Kind = stateful_set::KIND;
/// Daemon sets.
pub static DAEMON_SET: Kind = daemon_set::KIND;
/// Controller revisions: what stateful sets and daemon sets were.
pub static CONTROLLER_REVISION: Kind = controller_revision::KIND;
/// Jobs.
pub static JOB: Kind = job::KIND;
/// Cron jobs.
pub static CRON_JOB: Kind = cron_job::KIND;
/// Horizontal pod autoscalers.
pub static HORIZONTAL_POD_AUTOSCALER: Kind = horizontal_pod_autoscaler::KIND;
/// Pod disruption budgets.
pub static POD_DISRUPTION_BUDGET: Kind = pod_disruption_budget::KIND;
/// Priority classes.
pub static PRIORITY_CLASS: Kind = priority_class::KIND;
/// Runtime classes.
pub static RUNTIME_CLASS: Kind = runtime_class::KIND;
/// Roles.
pub static ROLE: Kind = role::KIND;
/// Role bindings.
pub static ROLE_BINDING: Kind = role_binding::KIND;
/// Cluster roles.
pub static CLUSTER_ROLE: Kind = cluster_role::KIND;
/// Cluster role bindings.
pub static CLUSTER_ROLE_BINDING: Kind = cluster_role_binding::KIND;
/// Certificate signing requests.
pub static CERTIFICATE_SIGNING_REQUEST: Kind = certificate_signing_request::KIND;
/// Validating admission policies.
pub static VALIDATING_ADMISSION_POLICY: Kind = validating_admission_policy::KIND;
/// Bindings of validating admission policies.
pub static VALIDATING_ADMISSION_POLICY_BINDING: Kind = validating_admission_policy_binding::KIND;
/// Tokens that let machines join.
pub static JOIN_TOKEN: Kind = join_token::KIND;

/// The replicas of objects of other kinds; not one of [`ALL`].
pub static SCALE: Kind = scale::KIND;

/// The definitions of kinds by users.
pub static CUSTOM_RESOURCE_DEFINITION: Kind = custom_resource_definition::KIND;

/// All kinds, in the order in which discovery lists them within a group.
pub static ALL: &[&Kind] = &[
    &CONFIG_MAP,
    &ENDPOINTS,
    &EVENT,
    &LIMIT_RANGE,
    &NAMESPACE,
    &NODE,
    &PERSISTENT_VOLUME_CLAIM,
    &PERSISTENT_VOLUME,
    &POD,
    &POD_TEMPLATE,
    &REPLICATION_CONTROLLER,
    &RESOURCE_QUOTA,
    &SECRET,
    &SERVICE_ACCOUNT,
    &SERVICE,
    &VALIDATING_ADMISSION_POLICY,
    &VALIDATING_ADMISSION_POLICY_BINDING,
    &CONTROLLER_REVISION,
    &DAEMON_SET,
    &DEPLOYMENT,
    &REPLICA_SET,
    &STATEFUL_SET,
    &HORIZONTAL_POD_AUTOSCALER,
    &CRON_JOB,
    &JOB,
    &CERTIFICATE_SIGNING_REQUEST,
    &LEASE,
    &ENDPOINT_SLICE,
    &INGRESS_CLASS,
    &INGRESS,
    &RUNTIME_CLASS,
    &POD_DISRUPTION_BUDGET,
    &PRIORITY_CLASS,
    &CLUSTER_ROLE_BINDING,
    &CLUSTER_ROLE,
    &ROLE_BINDING,
    &ROLE,
    &STORAGE_CLASS,
    &CUSTOM_RESOURCE_DEFINITION,
    &JOIN_TOKEN,
];

/// Whether the kind is one of those in [`ALL`].
pub fn is_built_in(kind: &Kind) -> bool {
    ALL.iter().any(|known| std::ptr::eq(*known, kind))
}

/// The kind served under `/api/VERSION/PLURAL` (empty group) or `/apis/GROUP/VERSION/PLURAL`.
pub fn by_resource(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    ALL.iter().copied().find(|kind| kind.plural == plural && kind.group == group && kind.version == version)
}

/// The kind that a manifest's `apiVersion` and `kind` name.
pub fn by_api_version(api_version: &str, kind: &str) -> Option<&'static Kind> {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    by_kind(Some(group), kind).filter(|kind| kind.version == version)
}

/// The kind of that name, in one group or in any.
pub fn by_kind(group: Option<&str>, name: &str) -> Option<&'static Kind> {
    ALL.iter().copied().find(|kind| kind.kind == name && group.is_none_or(|group| kind.group == group))
}

/// The kind that a person calls so.
pub fn by_any_name(name: &str) -> Option<&'static Kind> {
    ALL.iter().copied().find(|kind| kind.is_called(name))
}
