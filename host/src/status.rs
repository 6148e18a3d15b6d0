//! The status of a pod as Kubernetes shows it, from what the host observed. Pure.

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::pod::{
    ContainerObserved, ContainerTemplate, Observed, RestartPolicy, Run, Spec, Stage, Termination, crash_delay,
    is_restarted, restart_policy,
};

/// `status` of a pod.
pub fn pod_status(spec: &Spec, observed: &Observed, host_ip: &str, now: Timestamp) -> Value {
    let mut statuses: Vec<Value> = spec
        .template
        .containers
        .iter()
        .zip(&observed.containers)
        .enumerate()
        .map(|(index, (template, container))| match spec.template.is_library(index) {
            true => library_status(spec, observed, index, template, container, now),
            false => container_status(spec, observed, index, template, container, now),
        })
        .collect();
    if let Some(index) = observed.holding_up(&spec.template) {
        statuses[index + 1..].iter_mut().for_each(wait_for_init);
    }
    let containers = statuses.split_off(spec.template.init_count);
    let mut init = statuses;
    init.iter_mut().for_each(|status| status["ready"] = (status["state"]["terminated"]["exitCode"] == 0).into());
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
    if let Some(failure) = observed.failure.as_ref().filter(|_| status["phase"] == "Failed") {
        status["reason"] = failure.reason().into();
        status["message"] = failure.message().into();
    }
    if !init.is_empty() {
        status["initContainerStatuses"] = init.into();
    }
    status
}

/// A container that has not been started yet, as others come before it.
fn wait_for_init(status: &mut Value) {
    if status["state"]["waiting"]["reason"] == "ContainerCreating" {
        status["state"] = waiting("PodInitializing", "");
    }
}

/// `Pending`, `Running`, `Succeeded` or `Failed`.
pub fn phase(spec: &Spec, observed: &Observed) -> &'static str {
    if observed.failure.is_some() && !observed.is_running(&spec.template) {
        return "Failed";
    }
    let over = |policy: RestartPolicy, container: &ContainerObserved| match &container.stage {
        Stage::Exited(exit) if !is_restarted(policy, exit) => Some(exit.exit_code),
        _ => None,
    };
    if let Some(index) = observed.holding_up(&spec.template) {
        return match over(restart_policy(spec, observed, index), &observed.containers[index]) {
            Some(_) => "Failed",
            None => "Pending",
        };
    }
    // The same for all of them.
    let policy = restart_policy(spec, observed, spec.template.init_count);
    let codes: Option<Vec<i32>> = observed.main(&spec.template).map(|container| over(policy, container)).collect();
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
    if observed.main(&spec.template).all(was_started) { "Running" } else { "Pending" }
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
        .skip(spec.template.init_count)
        .filter(|(_, container)| !container.is_ready())
        .map(|(template, _)| template.name.as_str())
        .collect();
    let (reason, message) = match phase(spec, observed) {
        "Succeeded" => ("PodCompleted", String::new()),
        "Failed" => ("PodFailed", String::new()),
        _ => ("ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" "))),
    };
    let initialized = match (observed.holding_up(&spec.template), reason) {
        (Some(index), _) => {
            let names = &spec.template.containers[index..spec.template.init_count];
            let names: Vec<&str> = names.iter().map(|template| template.name.as_str()).collect();
            let message = format!("containers with incomplete status: [{}]", names.join(" "));
            condition("Initialized", false, &start, "ContainersNotInitialized", &message)
        }
        (None, "PodCompleted") => condition("Initialized", true, &initialized_at(spec, observed), "PodCompleted", ""),
        (None, _) => condition("Initialized", true, &initialized_at(spec, observed), "", ""),
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

/// When the last of the containers that run before the others had ended.
fn initialized_at(spec: &Spec, observed: &Observed) -> String {
    let ended = observed.containers[..spec.template.init_count].iter().filter_map(|container| match &container.stage {
        Stage::Exited(exit) => Some(exit.finished_at),
        _ => None,
    });
    seconds(ended.max().unwrap_or(observed.start_time))
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

fn container_status(
    spec: &Spec,
    observed: &Observed,
    index: usize,
    template: &ContainerTemplate,
    container: &ContainerObserved,
    now: Timestamp,
) -> Value {
    let (state, last) = states(spec, restart_policy(spec, observed, index), template, container, now);
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
    index: usize,
    template: &ContainerTemplate,
    library: &ContainerObserved,
    now: Timestamp,
) -> Value {
    let mut status = container_status(spec, observed, index, template, library, now);
    let finished_at = observed.main(&spec.template).filter_map(|container| match &container.stage {
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
fn states(
    spec: &Spec,
    policy: RestartPolicy,
    template: &ContainerTemplate,
    container: &ContainerObserved,
    now: Timestamp,
) -> (Value, Value) {
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
            let delay = crash_delay(container, exit);
            if is_restarted(policy, exit) && exit.finished_at + delay > now {
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
