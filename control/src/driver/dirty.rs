//! Which keys must be looked at again after a change.

use std::collections::BTreeSet;
use std::sync::Arc;

use coracle_api::kind::Subresource;
use coracle_api::kinds;

use super::view::{Deployment, Meta, Object, View};
use super::world::{NODE_LEASES, World, is_pending};
use crate::controllers::bootstrap::{NAMESPACES, is_bootstrapped};
use crate::controllers::endpoint_slice::SERVICE_NAME;
use crate::controllers::{Key, endpoints};

/// The keys to look at again.
pub type Dirty = BTreeSet<Key>;

/// Marks what a change concerns. `world` has taken the change in already.
pub fn mark(world: &World, old: Option<&Object>, new: Option<&Object>, dirty: &mut Dirty) {
    let Some(object) = new.or(old) else { return };
    match &object.view {
        View::Pod(_) => mark_pod(world, old, new, dirty),
        View::Node(_) => mark_node(world, old, new, dirty),
        View::ReplicaSet(_) => {
            dirty.insert(Key::ReplicaSet(object.key.clone()));
            mark_deployments(world, object, dirty);
        }
        View::Deployment(_) => {
            dirty.insert(Key::Deployment(object.key.clone()));
        }
        View::Service(_) => mark_service(object.key.clone(), dirty),
        View::DisruptionBudget(_) if new.is_some() => {
            dirty.insert(Key::DisruptionBudget(object.key.clone()));
        }
        View::Lease if &*object.meta.namespace == NODE_LEASES => mark_lease(world, object, dirty),
        View::Event(_) if old.is_none() && world.events_by_age().nth(1).is_none() => {
            dirty.insert(Key::EventExpiry);
        }
        View::CustomResourceDefinition(_) => {
            dirty.insert(Key::CustomResourceNames);
            dirty.insert(Key::CustomResourceCleanup(object.key.clone()));
        }
        View::JoinToken(_) if new.is_some() => {
            dirty.insert(Key::JoinTokenExpiry(object.key.clone()));
        }
        _ if kinds::is_built_in(object.kind) => mark_other(object, old, new, dirty),
        _ => mark_custom(world, object, dirty),
    }
    mark_garbage(world, old, new, dirty);
    mark_quotas(world, old, new, dirty);
    mark_budgets(world, old, new, dirty);
    if !object.meta.namespace.is_empty() {
        let namespace = world.find(&kinds::NAMESPACE, "", &object.meta.namespace);
        if namespace.is_some_and(|namespace| namespace.meta.deleting.is_some()) {
            dirty.insert(Key::Namespace(object.meta.namespace.clone()));
        }
    }
}

/// A definition that is being deleted waits for its objects to go.
fn mark_custom(world: &World, object: &Object, dirty: &mut Dirty) {
    let definition = world.get(&kinds::CUSTOM_RESOURCE_DEFINITION.key(None, &object.kind.resource()));
    if let Some(definition) = definition.filter(|definition| definition.meta.deleting.is_some()) {
        dirty.insert(Key::CustomResourceCleanup(definition.key.clone()));
    }
}

fn mark_other(object: &Object, old: Option<&Object>, new: Option<&Object>, dirty: &mut Dirty) {
    let meta = &object.meta;
    match object.kind.kind {
        "Namespace" => {
            dirty.insert(Key::Namespace(meta.name.clone()));
            if new.is_none() && NAMESPACES.contains(&&*meta.name) {
                dirty.insert(Key::Bootstrap);
            }
        }
        "PriorityClass" if new.is_none() => {
            dirty.insert(Key::Bootstrap);
        }
        "ServiceAccount" | "ConfigMap" if matches!(&*meta.name, "default" | "kube-root-ca.crt") => {
            dirty.insert(Key::Namespace(meta.namespace.clone()));
        }
        "ResourceQuota" => {
            dirty.insert(Key::ResourceQuota(object.key.clone()));
        }
        "ClusterRole" | "ClusterRoleBinding" => {
            if object.kind.kind == "ClusterRole" {
                dirty.insert(Key::RoleAggregation);
            }
            if old.is_some_and(is_bootstrapped) {
                dirty.insert(Key::Bootstrap);
            }
        }
        "EndpointSlice" => {
            if let Some(service) = meta.labels.get(SERVICE_NAME) {
                dirty.insert(Key::EndpointSlices(kinds::SERVICE.key(Some(&meta.namespace), service).into()));
            }
        }
        "Endpoints" => {
            let service: Arc<str> = kinds::SERVICE.key(Some(&meta.namespace), &meta.name).into();
            // Those that somebody else made are left alone, and mirrored.
            if new.is_none() || endpoints::is_managed(object) {
                dirty.insert(Key::Endpoints(service.clone()));
            }
            dirty.insert(Key::EndpointSlices(service));
        }
        _ => {}
    }
}

fn mark_pod(world: &World, old: Option<&Object>, new: Option<&Object>, dirty: &mut Dirty) {
    for object in old.into_iter().chain(new) {
        mark_owner(world, object, dirty);
    }
    if let Some(new) = new.filter(|new| new.meta.controller().is_none() && new.meta.deleting.is_none()) {
        mark_adopters(world, new, dirty);
    }
    let gone = (new.is_none()).then_some(old).flatten();
    if let Some(set) = gone.and_then(|gone| world.by_uid(&gone.meta.controller()?.uid)) {
        // A deployment that replaces all pods at once waits for the last old one to be gone.
        mark_deployments(world, set, dirty);
    }
    mark_endpoints(world, old, new, dirty);
    let seat =
        |object: Option<&Object>| object.and_then(|object| object.pod()?.node.clone().filter(|_| !is_over(object)));
    if new.is_some_and(is_pending) && !old.is_some_and(is_pending) {
        dirty.insert(Key::Scheduling);
    }
    if let Some(node) = seat(old)
        && seat(new).as_ref() != Some(&node)
        && world.has_pending()
    {
        dirty.insert(Key::Scheduling);
    }
    if let Some(node) = seat(new)
        && world.drives_out(&node)
    {
        dirty.insert(Key::Node(node));
    }
}

fn is_over(object: &Object) -> bool {
    object.pod().is_some_and(|pod| pod.is_over())
}

fn mark_owner(world: &World, object: &Object, dirty: &mut Dirty) {
    let owner = object.meta.controller().and_then(|owner| world.by_uid(&owner.uid));
    if let Some(owner) = owner.filter(|owner| owner.replica_set().is_some()) {
        dirty.insert(Key::ReplicaSet(owner.key.clone()));
    }
}

/// Replica sets, and replication controllers, that a pod without a controller would suit.
fn mark_adopters(world: &World, pod: &Object, dirty: &mut Dirty) {
    for kind in [&kinds::REPLICA_SET, &kinds::REPLICATION_CONTROLLER] {
        for set in world.range(&kind.prefix(Some(&pod.meta.namespace))) {
            if set.replica_set().is_some_and(|view| pod.matches(&view.selector)) {
                dirty.insert(Key::ReplicaSet(set.key.clone()));
            }
        }
    }
}

/// The deployment that a replica set belongs to, or those it would suit.
fn mark_deployments(world: &World, set: &Object, dirty: &mut Dirty) {
    if let Some(owner) = set.meta.controller() {
        if let Some(owner) = world.by_uid(&owner.uid).filter(|owner| owner.deployment().is_some()) {
            dirty.insert(Key::Deployment(owner.key.clone()));
        }
        return;
    }
    for deployment in world.range(&kinds::DEPLOYMENT.prefix(Some(&set.meta.namespace))) {
        let suits = |view: &Deployment| set.matches(&view.selector);
        if deployment.deployment().is_some_and(suits) {
            dirty.insert(Key::Deployment(deployment.key.clone()));
        }
    }
}

fn mark_service(key: Arc<str>, dirty: &mut Dirty) {
    dirty.extend([Key::EndpointSlices(key.clone()), Key::Endpoints(key)]);
}

/// Services whose endpoints the change concerns.
fn mark_endpoints(world: &World, old: Option<&Object>, new: Option<&Object>, dirty: &mut Dirty) {
    let facts = |object: &Object| {
        let pod = object.pod()?;
        pod.ip.as_ref()?;
        let (meta, ready) = (&object.meta, world.is_ready(object));
        Some((
            pod.ip.clone(),
            ready,
            pod.is_over(),
            pod.node.clone(),
            meta.deleting.is_some(),
            meta.labels.clone(),
            meta.uid.clone(),
        ))
    };
    if old.and_then(facts) == new.and_then(facts) {
        return;
    }
    for object in old.into_iter().chain(new) {
        world.services_selecting(object).into_iter().for_each(|service| mark_service(service, dirty));
    }
}

fn mark_node(world: &World, old: Option<&Object>, new: Option<&Object>, dirty: &mut Dirty) {
    let Some(name) = new.or(old).map(|object| object.meta.name.clone()) else { return };
    dirty.insert(Key::Node(name.clone()));
    let range = |object: Option<&Object>| object.and_then(|object| Some(object.node()?.pod_cidr.clone()));
    if range(old) != range(new) {
        dirty.insert(Key::NodeIpam);
    }
    let (before, after) = (old.and_then(Object::node), new.and_then(Object::node));
    let info = |node: Option<&super::view::Node>| node.map(|node| node.info.clone());
    if info(before) != info(after) && world.has_pending() {
        dirty.insert(Key::Scheduling);
    }
    let is_lost = |node: Option<&super::view::Node>| node.is_none_or(|node| node.ready == "Unknown");
    if is_lost(before) != is_lost(after) {
        for pod in world.seats(&name).into_iter().flat_map(|seats| seats.pods.values()) {
            mark_owner(world, pod, dirty);
            world.services_selecting(pod).into_iter().for_each(|service| mark_service(service, dirty));
            dirty.extend(budgets_selecting(world, pod));
        }
    }
}

/// A sign of life is news only from a node that was silent; otherwise the timer that is set finds it in time.
fn mark_lease(world: &World, lease: &Object, dirty: &mut Dirty) {
    if world.is_lost(&lease.meta.name) {
        dirty.insert(Key::Node(lease.meta.name.clone()));
    }
}

fn mark_garbage(world: &World, old: Option<&Object>, new: Option<&Object>, dirty: &mut Dirty) {
    let dependents = |object: &Object| {
        let members = world.dependents(&object.meta.uid).map(|dependents| dependents.members.clone());
        members.into_iter().flatten().map(|(key, _)| Key::Garbage(key)).collect::<Vec<Key>>()
    };
    match new {
        Some(new) if new.meta.deleting.is_some() && !new.meta.finalizers.is_empty() => {
            dirty.insert(Key::Garbage(new.key.clone()));
        }
        Some(new)
            if new.meta.deleting.is_none()
                && !new.meta.owners.is_empty()
                && old.is_none_or(|old| old.meta.owners != new.meta.owners) =>
        {
            dirty.insert(Key::Garbage(new.key.clone()));
        }
        _ => {}
    }
    if let Some(old) = old.filter(|old| new.is_none_or(|new| new.meta.uid != old.meta.uid)) {
        dirty.extend(dependents(old));
    }
    // Owners that wait for the object to go, or to stop being theirs.
    let owners: Vec<&Arc<str>> =
        old.into_iter().flat_map(|old| old.meta.owners.iter().map(|owner| &owner.uid)).collect();
    if new.is_none_or(|new| old.is_some_and(|old| old.meta.owners != new.meta.owners)) {
        for owner in owners.into_iter().filter_map(|uid| world.by_uid(uid)) {
            if owner.meta.deleting.is_some() {
                dirty.insert(Key::Garbage(owner.key.clone()));
            }
        }
    }
}

/// The quotas of a namespace, where something begins, ceases or changes to count.
fn mark_quotas(world: &World, old: Option<&Object>, new: Option<&Object>, dirty: &mut Dirty) {
    let Some(object) = new.or(old).filter(|object| object.kind.namespaced) else { return };
    let prefix = kinds::RESOURCE_QUOTA.prefix(Some(&object.meta.namespace));
    let mut quotas = world.range(&prefix).peekable();
    if quotas.peek().is_some() && old.map(Object::usage) != new.map(Object::usage) {
        dirty.extend(quotas.map(|quota| Key::ResourceQuota(quota.key.clone())));
    }
}

/// The disruption budgets whose pods, or whose pods' number, the change concerns.
fn mark_budgets(world: &World, old: Option<&Object>, new: Option<&Object>, dirty: &mut Dirty) {
    let Some(object) = new.or(old).filter(|object| object.kind.namespaced) else { return };
    let prefix = kinds::POD_DISRUPTION_BUDGET.prefix(Some(&object.meta.namespace));
    if world.range(&prefix).next().is_none() {
        return;
    }
    if object.pod().is_some() {
        let facts = |pod: &Object| {
            let Meta { labels, deleting, owners, .. } = &pod.meta;
            (world.is_ready(pod), labels.clone(), deleting.is_some(), owners.clone())
        };
        if old.map(facts) != new.map(facts) {
            old.into_iter().chain(new).for_each(|pod| dirty.extend(budgets_selecting(world, pod)));
        }
    } else if object.kind.has(Subresource::Scale)
        && old.map(|old| old.meta.generation) != new.map(|new| new.meta.generation)
    {
        dirty.extend(world.range(&prefix).map(|budget| Key::DisruptionBudget(budget.key.clone())));
    }
}

fn budgets_selecting(world: &World, pod: &Object) -> Vec<Key> {
    let prefix = kinds::POD_DISRUPTION_BUDGET.prefix(Some(&pod.meta.namespace));
    let selects = |budget: &&Arc<Object>| budget.disruption_budget().is_some_and(|view| pod.matches(&view.selector));
    world.range(&prefix).filter(selects).map(|budget| Key::DisruptionBudget(budget.key.clone())).collect()
}

/// Everything there is to look at, after a start.
pub fn mark_all(world: &World, dirty: &mut Dirty) {
    dirty.extend([Key::Bootstrap, Key::Scheduling, Key::EventExpiry]);
    for object in world.range("") {
        mark(world, None, Some(object), dirty);
        if let Some(node) = object.pod().and_then(|pod| pod.node.clone()).filter(|node| world.is_lost(node)) {
            dirty.insert(Key::Node(node));
        }
    }
}
