//! The status of a pod as Kubernetes shows it, from what the host observed. Pure.

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::pod::{
    ContainerObserved, ContainerTemplate, Observed, Run, Spec, Stage, Termination, crash_delay, is_restarted,
};

/// `status` of a pod.
pub fn pod_status(spec: &Spec, observed: &Observed, host_ip: &str, now: Timestamp) -> Value {
    let containers: Vec<Value> = spec
        .template
        .containers
        .iter()
        .zip(&observed.containers)
        .enumerate()
        .map(|(index, (template, container))| match spec.template.is_library(index) {
            true => library_status(spec, observed, template, container, now),
            false => container_status(spec, template, container, now),
        })
        .collect();
    let mut status = json!({
        "phase": phase(spec, observed),
        "conditions": conditions(spec, observed),
        "containerStatuses": containers,
        "hostIP": host_ip,
        "hostIPs": [{ "ip": host_ip }],
        "qosClass": spec.template.qos.as_str(),
        "startTime": seconds(observed.start_time),
    });
    if let Some(ip) = observed.ip {
        let ip = ip.to_string();
        status["podIPs"] = json!([{ "ip": ip }]);
        status["podIP"] = ip.into();
    }
    status
}

/// `Pending`, `Running`, `Succeeded` or `Failed`.
pub fn phase(spec: &Spec, observed: &Observed) -> &'static str {
    let policy = spec.template.restart_policy;
    let over = |container: &ContainerObserved| match &container.stage {
        Stage::Exited(exit) if spec.deletion.is_some() || !is_restarted(policy, exit) => Some(exit.exit_code),
        _ => None,
    };
    let codes: Option<Vec<i32>> = observed.running(&spec.template).map(over).collect();
    match codes {
        Some(codes) if codes.iter().all(|code| *code == 0) => return "Succeeded",
        Some(_) => return "Failed",
        None => {}
    }
    let was_started = |container: &ContainerObserved| {
        container.run().is_some_and(Run::is_settled)
            || matches!(container.stage, Stage::Exited(_))
            || container.restarts > 0
            || container.last_exit.is_some()
    };
    if observed.running(&spec.template).all(was_started) { "Running" } else { "Pending" }
}

/// The pod has ended and will not be started again.
pub fn is_over(spec: &Spec, observed: &Observed) -> bool {
    matches!(phase(spec, observed), "Succeeded" | "Failed")
}

fn conditions(spec: &Spec, observed: &Observed) -> Value {
    let start = seconds(observed.start_time);
    let (is_ready, since) = observed.ready;
    let since = seconds(since);
    let unready: Vec<&str> = spec
        .template
        .containers
        .iter()
        .zip(&observed.containers)
        .filter(|(_, container)| !container.is_ready())
        .map(|(template, _)| template.name.as_str())
        .collect();
    let (reason, message) = match phase(spec, observed) {
        "Succeeded" => ("PodCompleted", String::new()),
        "Failed" => ("PodFailed", String::new()),
        _ => ("ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" "))),
    };
    let initialized = match reason {
        "PodCompleted" => condition("Initialized", true, &start, "PodCompleted", ""),
        _ => condition("Initialized", true, &start, "", ""),
    };
    let readiness = |kind: &str| match is_ready {
        true => condition(kind, true, &since, "", ""),
        false => condition(kind, false, &since, reason, &message),
    };
    json!([
        initialized,
        readiness("Ready"),
        readiness("ContainersReady"),
        condition("PodScheduled", true, &seconds(observed.scheduled_at), "", ""),
    ])
}

fn condition(kind: &str, is_true: bool, since: &str, reason: &str, message: &str) -> Value {
    let mut condition = json!({
        "type": kind,
        "status": if is_true { "True" } else { "False" },
        "lastProbeTime": null,
        "lastTransitionTime": since,
    });
    for (field, text) in [("reason", reason), ("message", message)] {
        if !text.is_empty() {
            condition[field] = text.into();
        }
    }
    condition
}

fn container_status(spec: &Spec, template: &ContainerTemplate, container: &ContainerObserved, now: Timestamp) -> Value {
    let (state, last) = states(spec, template, container, now);
    let is_started = container.run().is_some_and(|run| run.is_settled() && run.health.is_started);
    let mut status = json!({
        "name": template.name,
        "image": template.image,
        "imageID": container.image_id,
        "ready": container.is_ready(),
        "started": is_started,
        "restartCount": container.restarts,
        "state": state,
        "lastState": last,
    });
    match &container.stage {
        Stage::Running(_) => {
            status["containerID"] = container_id(&spec.identity.uid, &template.name, container.restarts).into();
        }
        Stage::Exited(exit) => status["containerID"] = exit.container_id.as_str().into(),
        _ => {}
    }
    status
}

/// A library runs within the other containers of its pod, and has ended when all of them have.
fn library_status(
    spec: &Spec,
    observed: &Observed,
    template: &ContainerTemplate,
    library: &ContainerObserved,
    now: Timestamp,
) -> Value {
    let mut status = container_status(spec, template, library, now);
    let finished_at = observed.running(&spec.template).filter_map(|container| match &container.stage {
        Stage::Exited(exit) => Some(exit.finished_at),
        _ => None,
    });
    if let (true, Some(run), Some(finished_at)) = (is_over(spec, observed), library.run(), finished_at.max()) {
        status["state"] = terminated(&Termination {
            exit_code: 0,
            reason: "Completed".to_owned(),
            message: String::new(),
            started_at: run.since,
            finished_at,
            container_id: container_id(&spec.identity.uid, &template.name, library.restarts),
        });
        status["ready"] = false.into();
        status["started"] = false.into();
    }
    status
}

/// `state` and `lastState`.
fn states(spec: &Spec, template: &ContainerTemplate, container: &ContainerObserved, now: Timestamp) -> (Value, Value) {
    let last = container.last_exit.as_ref().map_or_else(|| json!({}), terminated);
    match &container.stage {
        Stage::New | Stage::Starting => (waiting("ContainerCreating", ""), last),
        // As with Kubernetes: until its postStart hook is over.
        Stage::Running(run) if !run.is_settled() => (waiting("ContainerCreating", ""), last),
        Stage::Running(run) => (json!({ "running": { "startedAt": seconds(run.since) } }), last),
        Stage::Failed(failure) => match failure.reason.as_str() {
            "ErrImagePull" if container.failures > 1 => {
                let message = format!("Back-off pulling image {:?}: ErrImagePull: {}", template.image, failure.message);
                (waiting("ImagePullBackOff", &message), last)
            }
            reason => (waiting(reason, &failure.message), last),
        },
        Stage::Exited(exit) => {
            let is_waiting = spec.deletion.is_none() && is_restarted(spec.template.restart_policy, exit);
            let delay = crash_delay(container, exit);
            if is_waiting && exit.finished_at + delay > now {
                (waiting("CrashLoopBackOff", &back_off_message(spec, template, delay)), terminated(exit))
            } else {
                (terminated(exit), last)
            }
        }
    }
}

/// Kubernetes' words for a container that is not started again yet.
pub fn back_off_message(spec: &Spec, template: &ContainerTemplate, delay: jiff::SignedDuration) -> String {
    let seconds = delay.as_secs();
    let delay = match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    };
    let identity = &spec.identity;
    format!(
        "back-off {delay} restarting failed container={} pod={}_{}({})",
        template.name, identity.name, identity.namespace, identity.uid
    )
}

fn waiting(reason: &str, message: &str) -> Value {
    match message {
        "" => json!({ "waiting": { "reason": reason } }),
        _ => json!({ "waiting": { "reason": reason, "message": message } }),
    }
}

fn terminated(exit: &Termination) -> Value {
    let mut state = json!({
        "exitCode": exit.exit_code,
        "reason": exit.reason,
        "startedAt": seconds(exit.started_at),
        "finishedAt": seconds(exit.finished_at),
        "containerID": exit.container_id,
    });
    if !exit.message.is_empty() {
        state["message"] = exit.message.as_str().into();
    }
    json!({ "terminated": state })
}

/// Names one incarnation of one container.
pub fn container_id(uid: &str, container: &str, restarts: u32) -> String {
    let mut hash = Sha256::new();
    for part in [uid, container, &restarts.to_string()] {
        hash.update(part);
        hash.update([0]);
    }
    format!("wasmtime://{}", hex::encode(hash.finalize()))
}

/// Kubernetes' time format: whole seconds, UTC.
pub fn seconds(at: Timestamp) -> String {
    coracle_api::object::timestamp(at)
}

#[cfg(test)]
mod tests;
