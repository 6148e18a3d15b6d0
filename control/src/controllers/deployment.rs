//! Rolls a deployment's pods over from one template to the next, by way of replica sets.
//!
//! Deliberately absent: pods. A deployment sees only replica sets and what they say of their pods.

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_api::names::{POD_TEMPLATE_HASH_LABEL, pod_template_hash};
use coracle_api::{kinds, object};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::events::{Note, Severity, record};
use super::replica_set::controller_reference;
use super::{Outcome, delete, update};
use crate::driver::view::{Deployment, Object, ReplicaSet};
use crate::driver::world::World;
use crate::objects::ObjectWrite;

pub mod rollout;
mod status;

use rollout::{Limits, Set, grow_new, scale_in_proportion, shrink_old};

/// The annotation that numbers the revisions of a deployment's template.
pub const REVISION: &str = "deployment.kubernetes.io/revision";
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const TOTAL_MAX: &str = "deployment.kubernetes.io/max-replicas";
/// Annotations that say something about the deployment itself and aren't passed on to its replica sets.
const OWN: &[&str] =
    &["kubectl.kubernetes.io/last-applied-configuration", REVISION, REVISION_HISTORY, DESIRED, TOTAL_MAX];
const COMPONENT: &str = "deployment-controller";

type Annotations = BTreeMap<String, String>;

/// A deployment and the replica sets that belong to it.
struct Rollout<'a> {
    world: &'a World,
    object: &'a Object,
    spec: &'a Deployment,
    limits: Limits,
    /// The replica set of the current template.
    new: Option<Member<'a>>,
    /// The others, oldest first.
    old: Vec<Member<'a>>,
    now: Timestamp,
}

#[derive(Clone, Copy)]
struct Member<'a> {
    object: &'a Object,
    set: &'a ReplicaSet,
}

impl Member<'_> {
    fn number(&self, annotation: &str) -> Option<i64> {
        self.set.annotations.get(annotation)?.parse().ok()
    }

    fn revision(&self) -> i64 {
        self.number(REVISION).unwrap_or(0)
    }

    fn numbers(&self) -> Set {
        let status = &self.set.status;
        let total_max = self.number(TOTAL_MAX).unwrap_or(0);
        Set { replicas: self.set.replicas, available: status.available_replicas, total_max }
    }
}

/// Brings a deployment's replica sets closer to what it asks for, and writes down how far they are.
pub fn reconcile(world: &World, key: &str, now: Timestamp) -> Outcome {
    let mut outcome = Outcome::default();
    let Some(object) = world.get(key) else { return outcome };
    let Some(spec) = object.deployment() else { return outcome };
    let rollout = Rollout::new(world, object, spec, now);
    if object.meta.deleting.is_none() {
        rollout.adopt(&mut outcome);
        rollout.progress(&mut outcome);
        rollout.number_revision(&mut outcome);
    }
    rollout.observe(&mut outcome);
    outcome
}

impl<'a> Rollout<'a> {
    fn new(world: &'a World, object: &'a Object, spec: &'a Deployment, now: Timestamp) -> Rollout<'a> {
        let owned = world.controlled(&object.meta.uid, &kinds::REPLICA_SET);
        let mut members: Vec<Member<'_>> =
            owned.filter_map(|object| Some(Member { object, set: object.replica_set()? })).collect();
        members.sort_by_key(|member| (member.object.meta.created, member.object.meta.name.clone()));
        let is_new =
            |member: &Member<'_>| member.set.template == spec.template && member.object.meta.deleting.is_none();
        let new = members.iter().position(is_new).map(|index| members.remove(index));
        let limits = if spec.recreate {
            Limits::recreate(spec.replicas)
        } else {
            Limits::rolling(spec.replicas, &spec.max_surge, &spec.max_unavailable)
        };
        Rollout { world, object, spec, limits, new, old: members, now }
    }

    fn members(&self) -> impl Iterator<Item = &Member<'a>> {
        self.new.iter().chain(&self.old)
    }

    /// How many pods all replica sets together are asked to have.
    fn total(&self) -> i64 {
        self.members().map(|member| member.set.replicas).sum()
    }

    /// Takes over matching replica sets that nothing manages.
    fn adopt(&self, outcome: &mut Outcome) {
        let prefix = kinds::REPLICA_SET.prefix(Some(&self.object.meta.namespace));
        for orphan in self.world.orphans(&prefix) {
            if orphan.meta.deleting.is_none() && orphan.matches(&self.spec.selector) {
                let mut new = orphan.decode();
                let mut owners = object::list_at(&new, &["metadata", "ownerReferences"]).to_vec();
                owners.push(controller_reference(self.object));
                object::set_owner_references(&mut new, owners);
                outcome.write(update(orphan, new));
            }
        }
    }

    fn progress(&self, outcome: &mut Outcome) {
        let is_scaled = self.members().any(|member| {
            member.set.replicas > 0 && member.number(DESIRED).is_some_and(|desired| desired != self.spec.replicas)
        });
        match &self.new {
            _ if self.spec.paused || is_scaled => self.scale(outcome),
            None if self.spec.recreate => self.recreate(outcome),
            None => self.create(outcome),
            Some(new) if self.spec.recreate => {
                if !self.stop_old(outcome) {
                    self.resize(new, self.spec.replicas, outcome);
                }
            }
            Some(new) => self.roll(new, outcome),
        }
        if !self.spec.paused && status::is_complete(self.spec, self.object, &self.observed()) {
            self.forget_old(outcome);
        }
    }

    /// Makes the replica set of the current template.
    fn create(&self, outcome: &mut Outcome) {
        let whole = self.object.decode();
        let mut template = whole["spec"]["template"].clone();
        let (namespace, prefix) = (&*self.object.meta.namespace, format!("{}-", self.object.meta.name));
        // A name that is taken belongs to something else with, by chance, the same hash, or to a set on its way out.
        let is_free =
            |hash: &String| self.world.find(&kinds::REPLICA_SET, namespace, &format!("{prefix}{hash}")).is_none();
        let hashes = std::iter::once(pod_template_hash(&template))
            .chain((1..).map(|attempt| pod_template_hash(&json!([template, attempt]))));
        let hash = hashes.into_iter().find(is_free).expect("invariant: attempts don't end");
        object::set_label(&mut template, POD_TEMPLATE_HASH_LABEL, hash.as_str());
        let mut selector = whole["spec"]["selector"].clone();
        object::child_mut(&mut selector, "matchLabels")
            .insert(POD_TEMPLATE_HASH_LABEL.to_owned(), hash.as_str().into());
        let replicas = grow_new(&self.limits, 0, self.total());
        let mut annotations = self.passed_on();
        annotations.insert(REVISION.to_owned(), self.next_revision().to_string());
        self.write_down_size(&mut annotations);
        let name = format!("{prefix}{hash}");
        let labels = template["metadata"]["labels"].clone();
        let object = json!({
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": labels,
                "annotations": annotations,
                "ownerReferences": [controller_reference(self.object)],
            },
            "spec": {
                "replicas": replicas,
                "minReadySeconds": self.spec.min_ready_seconds,
                "selector": selector,
                "template": template,
            },
        });
        outcome.write(ObjectWrite::Create { kind: &kinds::REPLICA_SET, object });
        if replicas > 0 {
            self.note(&format!("Scaled up replica set {name} from 0 to {replicas}"), outcome);
        }
    }

    /// Makes the new replica set once the pods of the old ones are gone.
    fn recreate(&self, outcome: &mut Outcome) {
        if !self.stop_old(outcome) {
            self.create(outcome);
        }
    }

    /// Scales the old replica sets to nothing; says whether any of their pods may still run.
    fn stop_old(&self, outcome: &mut Outcome) -> bool {
        for member in &self.old {
            self.resize(member, 0, outcome);
        }
        self.old.iter().any(|member| {
            let pods = self.world.controlled(&member.object.meta.uid, &kinds::POD);
            member.set.replicas > 0 || pods.filter_map(|pod| pod.pod()).any(|pod| !pod.is_over())
        })
    }

    fn roll(&self, new: &Member<'a>, outcome: &mut Outcome) {
        let grown = grow_new(&self.limits, new.set.replicas, self.total());
        self.resize(new, grown, outcome);
        if grown > new.set.replicas {
            return;
        }
        let numbers = Set { replicas: grown, ..new.numbers() };
        let old: Vec<Set> = self.old.iter().map(Member::numbers).collect();
        let kept = shrink_old(&self.limits, numbers, &old);
        for (member, replicas) in self.old.iter().zip(kept) {
            if member.set.replicas != replicas {
                self.resize(member, replicas, outcome);
            }
        }
    }

    /// Follows a change of `spec.replicas`, without moving pods between templates.
    fn scale(&self, outcome: &mut Outcome) {
        let active: Vec<&Member<'_>> = self.members().filter(|member| member.set.replicas > 0).collect();
        if let [] | [_] = active.as_slice() {
            if let Some(only) = active.first().copied().or(self.new.as_ref()).or(self.old.last()) {
                self.resize(only, self.spec.replicas, outcome);
            }
            return;
        }
        if let Some(new) = self.new.as_ref().filter(|new| self.is_saturated(new)) {
            self.old.iter().for_each(|member| self.resize(member, 0, outcome));
            return self.resize(new, self.spec.replicas, outcome);
        }
        if self.spec.recreate {
            return;
        }
        // Larger sets get what rounding leaves over; among equals the newest when growing, the oldest when shrinking.
        let mut active = active;
        active.sort_by_key(|member| member.object.meta.created);
        if self.limits.total_max() > self.total() {
            active.reverse();
        }
        active.sort_by_key(|member| std::cmp::Reverse(member.set.replicas));
        let fallback = self.spec.status.replicas;
        let numbers: Vec<Set> = active
            .iter()
            .map(|member| {
                let numbers = member.numbers();
                Set { total_max: if numbers.total_max > 0 { numbers.total_max } else { fallback }, ..numbers }
            })
            .collect();
        for (member, replicas) in active.into_iter().zip(scale_in_proportion(&self.limits, &numbers)) {
            self.resize(member, replicas, outcome);
        }
    }

    fn is_saturated(&self, new: &Member<'_>) -> bool {
        let wanted = self.spec.replicas;
        new.set.replicas == wanted && new.number(DESIRED) == Some(wanted) && new.set.status.available_replicas == wanted
    }

    /// Deletes replica sets that are beyond the history that is kept, the oldest revisions first.
    fn forget_old(&self, outcome: &mut Outcome) {
        let mut old: Vec<&Member<'_>> =
            self.old.iter().filter(|member| member.object.meta.deleting.is_none()).collect();
        let surplus = old.len().saturating_sub(usize::try_from(self.spec.revision_history_limit).unwrap_or(0));
        old.sort_by_key(|member| member.revision());
        for member in old.into_iter().take(surplus) {
            let status = &member.set.status;
            let is_idle = member.set.replicas == 0 && status.replicas == 0;
            if is_idle && member.object.meta.generation <= status.observed_generation {
                outcome.write(delete(member.object));
            }
        }
    }

    /// Writes a replica set whose size or annotations change.
    fn resize(&self, member: &Member<'_>, replicas: i64, outcome: &mut Outcome) {
        let is_new = self.new.as_ref().is_some_and(|new| new.object.key == member.object.key);
        let mut annotations = if is_new { self.renewed(member) } else { member.set.annotations.clone() };
        // An idle old set is left alone, whatever its annotations say.
        if is_new || replicas > 0 || member.set.replicas > 0 {
            self.write_down_size(&mut annotations);
        }
        let is_min_ready_stale = is_new && member.set.min_ready_seconds != self.spec.min_ready_seconds;
        if replicas == member.set.replicas && annotations == member.set.annotations && !is_min_ready_stale {
            return;
        }
        let mut new = member.object.decode();
        new["spec"]["replicas"] = replicas.into();
        if is_min_ready_stale {
            new["spec"]["minReadySeconds"] = self.spec.min_ready_seconds.into();
        }
        let annotations: Map<String, Value> = annotations.into_iter().map(|(key, value)| (key, value.into())).collect();
        object::metadata_mut(&mut new).insert("annotations".to_owned(), annotations.into());
        outcome.write(update(member.object, new));
        let (name, before) = (&member.object.meta.name, member.set.replicas);
        if replicas != before {
            let direction = if replicas > before { "up" } else { "down" };
            self.note(&format!("Scaled {direction} replica set {name} from {before} to {replicas}"), outcome);
        }
    }

    fn note(&self, message: &str, outcome: &mut Outcome) {
        let note = Note { component: COMPONENT, severity: Severity::Normal, reason: "ScalingReplicaSet", message };
        outcome.events.push(record(self.world, self.object, note, self.now));
    }

    /// The annotations of the new replica set: the deployment's own, and the number of its revision.
    fn renewed(&self, member: &Member<'_>) -> Annotations {
        let mut annotations = member.set.annotations.clone();
        annotations.extend(self.passed_on());
        let (found, next) = (member.revision(), self.next_revision());
        if found < next {
            if found > 0 {
                let history = annotations.entry(REVISION_HISTORY.to_owned()).or_default();
                let separator = if history.is_empty() { "" } else { "," };
                history.push_str(&format!("{separator}{found}"));
            }
            annotations.insert(REVISION.to_owned(), next.to_string());
        }
        annotations
    }

    fn passed_on(&self) -> Annotations {
        let annotations = self.spec.annotations.iter().filter(|(key, _)| !OWN.contains(&key.as_str()));
        annotations.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    fn write_down_size(&self, annotations: &mut Annotations) {
        annotations.insert(DESIRED.to_owned(), self.spec.replicas.to_string());
        annotations.insert(TOTAL_MAX.to_owned(), self.limits.total_max().to_string());
    }

    /// One more than that of every old replica set.
    fn next_revision(&self) -> i64 {
        self.old.iter().map(Member::revision).max().unwrap_or(0) + 1
    }

    /// Writes the revision of the new replica set on the deployment.
    fn number_revision(&self, outcome: &mut Outcome) {
        let Some(new) = &self.new else { return };
        let revision = new.revision().max(self.next_revision()).to_string();
        if self.spec.annotations.get(REVISION) != Some(&revision) {
            let mut deployment = self.object.decode();
            object::set_annotation(&mut deployment, REVISION, revision);
            outcome.write(update(self.object, deployment));
        }
    }

    /// The name and the replica sets as [`status`] wants them.
    fn observed(&self) -> status::Observed {
        status::Observed::new(
            self.new.map(|new| (Arc::clone(&new.object.meta.name), new.set)),
            self.old.iter().map(|old| old.set),
        )
    }

    /// Writes the status, unless the deployment itself is written in this turn.
    fn observe(&self, outcome: &mut Outcome) {
        let is_written = outcome
            .writes
            .iter()
            .any(|write| matches!(&write.write, ObjectWrite::Update { kind, .. } if *kind == self.object.kind));
        let created = outcome.writes.iter().find_map(|write| match &write.write {
            ObjectWrite::Create { object, .. } => Some(object::name(object).to_owned()),
            _ => None,
        });
        let refusal = self.world.refusal(&super::Key::Deployment(self.object.key.clone()));
        let next =
            status::next(self.spec, self.object, &self.limits, &self.observed(), created.as_deref(), refusal, self.now);
        if let Some(at) = next.wake_at {
            outcome.wake(at);
        }
        if !is_written && next.status != self.spec.status {
            let status = serde_json::to_value(&next.status).expect("invariant: a status is plain data");
            outcome.write(super::update_status(self.object, status));
        }
    }
}

#[cfg(test)]
mod tests;
