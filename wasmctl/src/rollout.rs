//! Waits until a Deployment's newest revision is rolled out, or says why it will not be: the pods' own reasons, events and last lines.

use std::time::{Duration, Instant};

use coracle_api::selector::LabelSelector;
use coracle_api::{kinds, object};
use coracle_client::{Client, ListOptions, LogOptions, WatchEvent, WatchOptions};
use futures::StreamExt as _;
use serde_json::Value;

use crate::failure::{Failure, Result};
use crate::progress::Step;
use crate::verbs::event_order;

/// Log lines that a failure quotes.
const LOG_LINES: u64 = 10;
/// Reasons of a waiting container that time alone does not cure.
const HOPELESS: &[&str] = &[
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImage",
    "InvalidImageName",
    "CrashLoopBackOff",
    "CreateContainerError",
    "CreateContainerConfigError",
    "RunContainerError",
    "InvalidAnnotation",
];

/// Waits for `name`'s generation to be ready everywhere. Gives the number of ready pods.
pub(crate) async fn wait(client: &Client, namespace: &str, name: &str, step: &Step, timeout: Duration) -> Result<i64> {
    let watching = watch(client, namespace, name, step);
    match tokio::time::timeout(timeout, watching).await {
        Ok(result) => result,
        Err(_) => {
            let failure =
                Failure::timed_out(format!("deployment/{name} is not rolled out after {} s", timeout.as_secs()));
            Err(explain(client, namespace, name, failure).await)
        }
    }
}

async fn watch(client: &Client, namespace: &str, name: &str, step: &Step) -> Result<i64> {
    let deployments = kinds::by_any_name("deployments").expect("deployments are built in");
    let pods = kinds::by_any_name("pods").expect("pods are built in");
    let options = WatchOptions { field_selector: Some(format!("metadata.name={name}")), ..WatchOptions::default() };
    let deployment = client.get(deployments, Some(namespace), name).await?;
    if let Some(ready) = is_complete(&deployment, step) {
        return Ok(ready);
    }
    let selector = selector_of(&deployment);
    let revision = object::resource_version(&deployment);
    let mut changes = client.watch(deployments, Some(namespace), &WatchOptions { revision, ..options }).await?;
    let listed = client.list(pods, Some(namespace), &ListOptions::labels(&selector)).await?;
    let options =
        WatchOptions { label_selector: Some(selector), revision: Some(listed.revision), ..WatchOptions::default() };
    let mut pod_changes = client.watch(pods, Some(namespace), &options).await?;
    let started = Instant::now();
    let mut newest = newest_replica_set(client, namespace, &deployment).await?;
    for pod in &listed.items {
        give_up_on(client, namespace, name, pod, newest.as_deref()).await?;
    }
    loop {
        tokio::select! {
            change = changes.next() => match change {
                Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => {
                    if let Some(ready) = is_complete(&object, step) {
                        return Ok(ready);
                    }
                    newest = newest_replica_set(client, namespace, &object).await?;
                }
                Some(Ok(WatchEvent::Deleted(_))) => return Err(Failure::new(format!("deployment/{name} was deleted meanwhile"))),
                Some(Ok(WatchEvent::Bookmark { .. })) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Err(Failure::new(format!("the server ended the watch of deployment/{name} after {:?}", started.elapsed()))),
            },
            change = pod_changes.next() => match change {
                Some(Ok(WatchEvent::Added(pod) | WatchEvent::Modified(pod))) => {
                    give_up_on(client, namespace, name, &pod, newest.as_deref()).await?;
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Err(Failure::new(format!("the server ended the watch of deployment/{name}'s pods"))),
            },
        }
    }
}

/// The number of ready pods, if the newest generation is the only one and all of it is available (as `kubectl rollout status` says).
fn is_complete(deployment: &Value, step: &Step) -> Option<i64> {
    let status = &deployment["status"];
    let number = |field: &str| status[field].as_i64().unwrap_or(0);
    let wanted = deployment["spec"]["replicas"].as_i64().unwrap_or(1);
    let updated = number("updatedReplicas");
    step.update(&format!("{} of {wanted} ready", number("availableReplicas").min(updated)));
    let is_observed = status["observedGeneration"].as_i64().unwrap_or(0) >= object::generation(deployment);
    let is_done =
        is_observed && updated >= wanted && number("replicas") <= updated && number("availableReplicas") >= updated;
    is_done.then(|| number("readyReplicas"))
}

/// The pod-template-hash of the ReplicaSet that has the Deployment's newest revision.
async fn newest_replica_set(client: &Client, namespace: &str, deployment: &Value) -> Result<Option<String>> {
    let kind = kinds::by_any_name("replicasets").expect("replica sets are built in");
    let revision = |object: &Value| {
        object["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
            .as_str()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let sets = client.list(kind, Some(namespace), &ListOptions::labels(selector_of(deployment))).await?.items;
    let observed = deployment["status"]["observedGeneration"].as_i64().unwrap_or(0) >= object::generation(deployment);
    let newest = sets
        .iter()
        .filter(|set| set["metadata"]["ownerReferences"][0]["uid"] == deployment["metadata"]["uid"])
        .max_by_key(|set| revision(set));
    Ok(newest
        .filter(|_| observed)
        .and_then(|set| set["metadata"]["labels"]["pod-template-hash"].as_str())
        .map(str::to_owned))
}

/// Fails if `pod` belongs to the newest revision and will not become ready by waiting.
async fn give_up_on(client: &Client, namespace: &str, name: &str, pod: &Value, newest: Option<&str>) -> Result<()> {
    let hash = pod["metadata"]["labels"]["pod-template-hash"].as_str();
    if newest.is_none() || hash != newest || object::deletion_timestamp(pod).is_some() {
        return Ok(());
    }
    let Some(reason) = hopeless(pod) else { return Ok(()) };
    let failure = Failure::new(format!("deployment/{name}: {reason}"));
    Err(explain_pod(client, namespace, name, pod, failure).await)
}

/// Why a pod will not become ready by waiting.
fn hopeless(pod: &Value) -> Option<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for condition in pod["status"]["conditions"].as_array().into_iter().flatten() {
        if condition["type"] == "PodScheduled"
            && condition["status"] == "False"
            && condition["reason"] == "Unschedulable"
        {
            return Some(format!("pod cannot be placed: {}", text(&condition["message"])));
        }
    }
    for container in pod["status"]["containerStatuses"].as_array().into_iter().flatten() {
        let waiting = &container["state"]["waiting"];
        if waiting["reason"].as_str().is_some_and(|reason| HOPELESS.contains(&reason)) {
            return Some(format!(
                "container {}: {}: {}",
                text(&container["name"]),
                text(&waiting["reason"]),
                text(&waiting["message"])
            ));
        }
    }
    None
}

async fn explain(client: &Client, namespace: &str, name: &str, failure: Failure) -> Failure {
    let deployments = kinds::by_any_name("deployments").expect("deployments are built in");
    let pods = kinds::by_any_name("pods").expect("pods are built in");
    let Ok(deployment) = client.get(deployments, Some(namespace), name).await else { return failure };
    let Ok(pods) = client.list(pods, Some(namespace), &ListOptions::labels(selector_of(&deployment))).await else {
        return failure;
    };
    match pods.items.iter().find(|pod| !is_ready(pod)) {
        Some(pod) => explain_pod(client, namespace, name, pod, failure).await,
        None => failure,
    }
}

/// Adds a pod's events and last log lines, and what the Deployment still serves.
async fn explain_pod(client: &Client, namespace: &str, name: &str, pod: &Value, mut failure: Failure) -> Failure {
    let pod_name = object::name(pod);
    let events = kinds::by_any_name("events").expect("events are built in");
    let about = ListOptions::fields(format!("involvedObject.kind=Pod,involvedObject.name={pod_name}"));
    if let Ok(mut list) = client.list(events, Some(namespace), &about).await {
        list.items.sort_by_key(event_order);
        failure = failure.detail(format!("events of pod/{pod_name}"));
        for event in list.items.iter().rev().take(5).rev() {
            let text = |field: &str| event[field].as_str().unwrap_or_default();
            failure = failure.detail(format!("  {:<8} {:<18} {}", text("type"), text("reason"), text("message")));
        }
    }
    for line in last_lines(client, namespace, pod_name).await {
        failure = failure.detail(format!("  log: {line}"));
    }
    let deployments = kinds::by_any_name("deployments").expect("deployments are built in");
    if let Ok(deployment) = client.get(deployments, Some(namespace), name).await {
        let ready = deployment["status"]["readyReplicas"].as_i64().unwrap_or(0);
        if ready > 0 {
            failure = failure.detail(format!("deployment/{name} keeps serving: {ready} ready of the revision before"));
        }
    }
    failure.hint(format!(
        "`wasmctl describe pod {pod_name}` tells more; deploy again, or `wasmctl delete deployment {name}`"
    ))
}

async fn last_lines(client: &Client, namespace: &str, pod: &str) -> Vec<String> {
    let mut text = Vec::new();
    for previous in [false, true] {
        let options = LogOptions { tail_lines: Some(LOG_LINES), previous, ..LogOptions::default() };
        if let Ok(mut chunks) = client.logs(namespace, pod, &options).await {
            while let Some(Ok(chunk)) = chunks.next().await {
                text.extend_from_slice(&chunk);
            }
        }
        if !text.is_empty() {
            break;
        }
    }
    String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
}

/// Is a pod's Ready condition true?
pub(crate) fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// An owner's selector as a label selector's text; empty if it selects nothing that way.
pub(crate) fn selector_of(owner: &Value) -> String {
    LabelSelector::of_object(owner).map(|selector| selector.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_of_old_and_young_kinds() {
        let service = json!({"apiVersion": "v1", "kind": "Service", "spec": {"selector": {"app": "web"}}});
        assert_eq!(selector_of(&service), "app=web");
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"selector": {"matchLabels": {"app": "web"}}}});
        assert_eq!(selector_of(&deployment), "app=web");
        assert_eq!(selector_of(&json!({"kind": "ConfigMap"})), "");
    }
}
