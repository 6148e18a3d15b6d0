//! A pod's row as `kubectl get pods` shows it.

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::Column;
use crate::kinds::cells;
use crate::object;

pub(crate) const COLUMNS: &[Column] = &[
    cells::NAME,
    Column::string("Ready", 0, "The aggregate readiness state of this pod for accepting traffic.", ready),
    Column::string("Status", 0, "The aggregate status of the containers in this pod.", status),
    Column::integer("Restarts", 0, "The number of times the containers in this pod have been restarted.", restarts),
    cells::AGE,
    Column::string(
        "IP",
        1,
        "IP address allocated to the pod. Routable at least within the cluster. Empty if not yet allocated.",
        ip,
    ),
    Column::string(
        "Node",
        1,
        "NodeName is a request to schedule this pod onto a specific node. If it is non-empty, the scheduler simply \
        schedules this pod onto that node, assuming that it fits resource requirements.",
        node,
    ),
    Column::string(
        "Nominated Node",
        1,
        "nominatedNodeName is set only when this pod preempts other pods on the node, but it cannot be scheduled \
        right away as preemption victims receive their graceful termination periods. This field does not guarantee \
        that the pod will be scheduled on this node. Scheduler may decide to place the pod elsewhere if other nodes \
        become available sooner. Scheduler may also decide to give the resources on this node to a higher priority \
        pod that is created after preemption. As a result, this field may be different than PodSpec.nodeName when \
        the pod is scheduled.",
        nominated_node,
    ),
    Column::string(
        "Readiness Gates",
        1,
        "If specified, all readiness gates will be evaluated for pod readiness. A pod is ready when all its \
        containers are ready AND all conditions specified in the readiness gates have status equal to \"True\" More \
        info: https://git.k8s.io/enhancements/keps/sig-network/0007-pod-ready%2B%2B.md",
        readiness_gates,
    ),
];

fn ready(object: &Value, _: Timestamp) -> Value {
    let summary = Summary::of(object);
    format!("{}/{}", summary.ready, summary.total).into()
}

fn status(object: &Value, _: Timestamp) -> Value {
    Summary::of(object).reason.into()
}

fn restarts(object: &Value, now: Timestamp) -> Value {
    let summary = Summary::of(object);
    match summary.restarted_at {
        Some(then) if summary.restarts > 0 => {
            format!("{} ({} ago)", summary.restarts, cells::since(Some(then), now)).into()
        }
        _ => summary.restarts.into(),
    }
}

fn ip(object: &Value, _: Timestamp) -> Value {
    match object::list_at(object, &["status", "podIPs"]).first() {
        Some(first) => cells::text_or(first, &["ip"], cells::NONE),
        None => cells::text_or(object, &["status", "podIP"], cells::NONE),
    }
}

fn node(object: &Value, _: Timestamp) -> Value {
    cells::text_or(object, &["spec", "nodeName"], cells::NONE)
}

fn nominated_node(object: &Value, _: Timestamp) -> Value {
    cells::text_or(object, &["status", "nominatedNodeName"], cells::NONE)
}

fn readiness_gates(object: &Value, _: Timestamp) -> Value {
    let gates = object::list_at(object, &["spec", "readinessGates"]);
    if gates.is_empty() {
        return cells::NONE.into();
    }
    let open = gates.iter().filter(|gate| {
        object::str_at(gate, &["conditionType"]).is_some_and(|condition| has_true_condition(object, condition))
    });
    format!("{}/{}", open.count(), gates.len()).into()
}

fn has_true_condition(object: &Value, condition_type: &str) -> bool {
    object::list_at(object, &["status", "conditions"]).iter().any(|condition| {
        object::str_at(condition, &["type"]) == Some(condition_type)
            && object::str_at(condition, &["status"]) == Some("True")
    })
}

/// What the containers' statuses come to.
struct Summary {
    ready: usize,
    total: usize,
    restarts: i64,
    restarted_at: Option<Timestamp>,
    reason: String,
}

impl Summary {
    fn of(object: &Value) -> Summary {
        let text = |path: &[&str]| object::str_at(object, path).unwrap_or_default();
        let phase = text(&["status", "phase"]);
        let mut reason = match text(&["status", "reason"]) {
            "" => phase.to_owned(),
            reason => reason.to_owned(),
        };
        let gated = object::list_at(object, &["status", "conditions"]).iter().any(|condition| {
            object::str_at(condition, &["type"]) == Some("PodScheduled")
                && object::str_at(condition, &["reason"]) == Some("SchedulingGated")
        });
        if gated {
            reason = "SchedulingGated".to_owned();
        }
        let mut summary = Summary {
            ready: 0,
            total: object::list_at(object, &["spec", "containers"]).len(),
            restarts: 0,
            restarted_at: None,
            reason,
        };
        let (sidecars, initializing) = summary.add_init_containers(object);
        if !initializing || has_true_condition(object, "Initialized") {
            (summary.restarts, summary.restarted_at) = sidecars;
            summary.add_containers(object);
        }
        if object::is_deleting(object) {
            if text(&["status", "reason"]) == "NodeLost" {
                summary.reason = "Unknown".to_owned();
            } else if !matches!(phase, "Succeeded" | "Failed") {
                summary.reason = "Terminating".to_owned();
            }
        }
        summary
    }

    /// Counts the init containers up to the first that holds the others up; returns the restarts of those that keep
    /// running beside the containers, and whether one holds up.
    fn add_init_containers(&mut self, object: &Value) -> ((i64, Option<Timestamp>), bool) {
        let specs = object::list_at(object, &["spec", "initContainers"]);
        let keeps_running = |name: Option<&str>| {
            specs.iter().any(|spec| {
                object::str_at(spec, &["name"]) == name && object::str_at(spec, &["restartPolicy"]) == Some("Always")
            })
        };
        self.total += specs.iter().filter(|spec| object::str_at(spec, &["restartPolicy"]) == Some("Always")).count();
        let mut sidecars = (0, None);
        for (index, status) in object::list_at(object, &["status", "initContainerStatuses"]).iter().enumerate() {
            let sidecar = keeps_running(object::str_at(status, &["name"]));
            let (count, last) = restarts_of(status);
            self.restarts += count;
            self.restarted_at = self.restarted_at.max(last);
            if sidecar {
                sidecars = (sidecars.0 + count, sidecars.1.max(last));
            }
            let terminated = state(status, "terminated");
            if terminated.is_some_and(|terminated| exit_code(terminated) == 0) {
                continue;
            }
            if sidecar && object::bool_at(status, &["started"]) == Some(true) {
                self.ready += usize::from(object::bool_at(status, &["ready"]) == Some(true));
                continue;
            }
            let waiting = state(status, "waiting").and_then(reason_of).filter(|reason| *reason != "PodInitializing");
            self.reason = match (terminated, waiting) {
                (Some(terminated), _) => format!("Init:{}", termination(terminated)),
                (None, Some(reason)) => format!("Init:{reason}"),
                (None, None) => format!("Init:{index}/{}", specs.len()),
            };
            return (sidecars, true);
        }
        (sidecars, false)
    }

    fn add_containers(&mut self, object: &Value) {
        let mut has_running = false;
        for status in object::list_at(object, &["status", "containerStatuses"]).iter().rev() {
            let (count, last) = restarts_of(status);
            self.restarts += count;
            self.restarted_at = self.restarted_at.max(last);
            if let Some(reason) = state(status, "waiting").and_then(reason_of) {
                self.reason = reason.to_owned();
            } else if let Some(terminated) = state(status, "terminated") {
                self.reason = termination(terminated);
            } else if object::bool_at(status, &["ready"]) == Some(true) && state(status, "running").is_some() {
                has_running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" && has_running {
            let reason = if has_true_condition(object, "Ready") { "Running" } else { "NotReady" };
            self.reason = reason.to_owned();
        }
    }
}

fn restarts_of(status: &Value) -> (i64, Option<Timestamp>) {
    let count = object::i64_at(status, &["restartCount"]).unwrap_or(0);
    (count, cells::timestamp_at(status, &["lastState", "terminated", "finishedAt"]))
}

fn state<'a>(status: &'a Value, name: &str) -> Option<&'a Value> {
    object::get(status, &["state", name]).filter(|state| state.is_object())
}

fn reason_of(state: &Value) -> Option<&str> {
    object::str_at(state, &["reason"]).filter(|reason| !reason.is_empty())
}

fn exit_code(terminated: &Value) -> i64 {
    object::i64_at(terminated, &["exitCode"]).unwrap_or(0)
}

fn termination(terminated: &Value) -> String {
    match (reason_of(terminated), object::i64_at(terminated, &["signal"]).unwrap_or(0)) {
        (Some(reason), _) => reason.to_owned(),
        (None, 0) => format!("ExitCode:{}", exit_code(terminated)),
        (None, signal) => format!("Signal:{signal}"),
    }
}
