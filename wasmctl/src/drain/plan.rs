//! Which pods of a node a drain evicts, which it leaves, and which stand in its way: the rules of `kubectl drain`.
//! Deliberately absent: an exception for mirror pods. Hosts run nothing that is not in the API, so one marked so is like any other.

use std::fmt;

use coracle_api::object;
use serde_json::Value;

/// What the user allows a drain to do.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Permissions {
    /// Leave the pods of DaemonSets where they are
    #[arg(long)]
    pub(crate) ignore_daemonsets: bool,
    /// Also evict pods without a controller, which nothing replaces
    #[arg(long)]
    pub(crate) force: bool,
    /// Also evict pods with emptyDir volumes, whose contents are lost
    #[arg(long)]
    pub(crate) delete_emptydir_data: bool,
}

/// Why a pod may not be evicted, each undone by a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// Its DaemonSet would put it back, on a cordoned node too.
    DaemonSet,
    /// No controller makes another one.
    Uncontrolled,
    /// It has an emptyDir volume.
    LocalData,
}

/// What is to become of a node's pods.
#[derive(Debug, Default)]
pub(crate) struct Plan<'a> {
    /// These are evicted.
    pub(crate) evicted: Vec<&'a Value>,
    /// These stay: they belong to DaemonSets.
    pub(crate) left: Vec<&'a Value>,
    /// These are in the way of all others, each for at least one reason.
    pub(crate) blocked: Vec<(&'a Value, Vec<Obstacle>)>,
}

impl Obstacle {
    /// The flag that takes it away.
    pub(crate) fn flag(self) -> &'static str {
        match self {
            Obstacle::DaemonSet => "--ignore-daemonsets",
            Obstacle::Uncontrolled => "--force",
            Obstacle::LocalData => "--delete-emptydir-data",
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self {
            Obstacle::DaemonSet => "belongs to a DaemonSet, which would put it back",
            Obstacle::Uncontrolled => "has no controller that would replace it",
            Obstacle::LocalData => "has data in emptyDir volumes that would be lost",
        };
        write!(f, "{reason} ({})", self.flag())
    }
}

/// Decides on every pod of a node.
pub(crate) fn plan<'a>(pods: &'a [Value], permissions: &Permissions) -> Plan<'a> {
    let mut plan = Plan::default();
    for pod in pods {
        let obstacles = obstacles(pod);
        if obstacles == [Obstacle::DaemonSet] && permissions.ignore_daemonsets {
            plan.left.push(pod);
            continue;
        }
        let standing: Vec<Obstacle> = obstacles.into_iter().filter(|one| !permissions.allow(*one)).collect();
        match standing.is_empty() {
            true => plan.evicted.push(pod),
            false => plan.blocked.push((pod, standing)),
        }
    }
    plan
}

impl Permissions {
    fn allow(&self, obstacle: Obstacle) -> bool {
        match obstacle {
            Obstacle::DaemonSet => self.ignore_daemonsets,
            Obstacle::Uncontrolled => self.force,
            Obstacle::LocalData => self.delete_emptydir_data,
        }
    }
}

/// What speaks against evicting a pod; nothing if it has ended. A DaemonSet's pod is not evicted in any case, so nothing else counts.
fn obstacles(pod: &Value) -> Vec<Obstacle> {
    if matches!(object::str_at(pod, &["status", "phase"]), Some("Succeeded" | "Failed")) {
        return Vec::new();
    }
    let controller = object::controller_of(pod);
    if controller.as_ref().is_some_and(|owner| owner.kind == "DaemonSet") {
        return vec![Obstacle::DaemonSet];
    }
    let has_local_data = object::list_at(pod, &["spec", "volumes"]).iter().any(|volume| volume["emptyDir"].is_object());
    let uncontrolled = controller.is_none().then_some(Obstacle::Uncontrolled);
    uncontrolled.into_iter().chain(has_local_data.then_some(Obstacle::LocalData)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use serde_json::json;

    fn pod(name: &str, phase: &str, controller: Option<&str>, volume: Value) -> Value {
        let owners: Vec<Value> = controller
            .map(|kind| json!({"apiVersion": "apps/v1", "kind": kind, "name": "o", "uid": "u", "controller": true}))
            .into_iter()
            .collect();
        json!({
            "metadata": {"name": name, "namespace": "default", "ownerReferences": owners},
            "spec": {"volumes": [volume]},
            "status": {"phase": phase},
        })
    }

    /// One pod of each sort that the rules know.
    fn pods() -> Vec<Value> {
        let secret = || json!({"name": "s", "secret": {"secretName": "s"}});
        let scratch = || json!({"name": "s", "emptyDir": {}});
        let mut adopted = pod("owned-but-not-controlled", "Running", Some("ReplicaSet"), secret());
        adopted["metadata"]["ownerReferences"][0]["controller"] = false.into();
        let mut marked = pod("marked-as-mirror", "Running", None, secret());
        marked["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "hash"});
        vec![
            pod("replicated", "Running", Some("ReplicaSet"), secret()),
            pod("replicated-scratch", "Running", Some("StatefulSet"), scratch()),
            pod("bare", "Running", None, secret()),
            pod("bare-scratch", "Pending", None, scratch()),
            adopted,
            marked,
            pod("daemon", "Running", Some("DaemonSet"), scratch()),
            pod("daemon-failed", "Failed", Some("DaemonSet"), scratch()),
            pod("bare-succeeded", "Succeeded", None, scratch()),
        ]
    }

    fn check(permissions: &Permissions, expected: Expect) {
        let pods = pods();
        let plan = plan(&pods, permissions);
        let mut lines: Vec<String> = plan.evicted.iter().map(|pod| format!("evict {}", object::name(pod))).collect();
        lines.extend(plan.left.iter().map(|pod| format!("leave {}", object::name(pod))));
        for (pod, obstacles) in &plan.blocked {
            lines.extend(obstacles.iter().map(|obstacle| format!("{} {obstacle}", object::name(pod))));
        }
        expected.assert_eq(&(lines.join("\n") + "\n"));
    }

    #[test]
    fn each_obstacle_has_its_flag() {
        check(
            &Permissions::default(),
            expect![[r#"
                evict replicated
                evict daemon-failed
                evict bare-succeeded
                replicated-scratch has data in emptyDir volumes that would be lost (--delete-emptydir-data)
                bare has no controller that would replace it (--force)
                bare-scratch has no controller that would replace it (--force)
                bare-scratch has data in emptyDir volumes that would be lost (--delete-emptydir-data)
                owned-but-not-controlled has no controller that would replace it (--force)
                marked-as-mirror has no controller that would replace it (--force)
                daemon belongs to a DaemonSet, which would put it back (--ignore-daemonsets)
            "#]],
        );
        check(
            &Permissions { ignore_daemonsets: true, ..Permissions::default() },
            expect![[r#"
                evict replicated
                evict daemon-failed
                evict bare-succeeded
                leave daemon
                replicated-scratch has data in emptyDir volumes that would be lost (--delete-emptydir-data)
                bare has no controller that would replace it (--force)
                bare-scratch has no controller that would replace it (--force)
                bare-scratch has data in emptyDir volumes that would be lost (--delete-emptydir-data)
                owned-but-not-controlled has no controller that would replace it (--force)
                marked-as-mirror has no controller that would replace it (--force)
            "#]],
        );
        check(
            &Permissions { force: true, ..Permissions::default() },
            expect![[r#"
                evict replicated
                evict bare
                evict owned-but-not-controlled
                evict marked-as-mirror
                evict daemon-failed
                evict bare-succeeded
                replicated-scratch has data in emptyDir volumes that would be lost (--delete-emptydir-data)
                bare-scratch has data in emptyDir volumes that would be lost (--delete-emptydir-data)
                daemon belongs to a DaemonSet, which would put it back (--ignore-daemonsets)
            "#]],
        );
        check(
            &Permissions { delete_emptydir_data: true, ..Permissions::default() },
            expect![[r#"
                evict replicated
                evict replicated-scratch
                evict daemon-failed
                evict bare-succeeded
                bare has no controller that would replace it (--force)
                bare-scratch has no controller that would replace it (--force)
                owned-but-not-controlled has no controller that would replace it (--force)
                marked-as-mirror has no controller that would replace it (--force)
                daemon belongs to a DaemonSet, which would put it back (--ignore-daemonsets)
            "#]],
        );
    }

    #[test]
    fn with_every_flag_only_the_pods_of_daemonsets_stay() {
        check(
            &Permissions { ignore_daemonsets: true, force: true, delete_emptydir_data: true },
            expect![[r#"
                evict replicated
                evict replicated-scratch
                evict bare
                evict bare-scratch
                evict owned-but-not-controlled
                evict marked-as-mirror
                evict daemon-failed
                evict bare-succeeded
                leave daemon
            "#]],
        );
    }
}
