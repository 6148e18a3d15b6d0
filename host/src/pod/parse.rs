//! From a Pod object to what the host wants to know of it; what cannot be run as written is refused by name.

mod checks;
mod linux;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use coracle_api::kinds::pod::{CONFIG_ANNOTATION, config_errors, config_maps, libraries, library_errors};
use coracle_api::object;
use coracle_api::quantity::Quantity;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::template::{EnvEntry, PodField, Refusal, Resource, ResourceField, Source, SourceKind};
use super::{
    ContainerObserved, ContainerTemplate, Observed, PullPolicy, Qos, RestartPolicy, Spec, Stage, Template, Termination,
};
use crate::console::Stdin;
use crate::egress::{EGRESS_ANNOTATION, Egress};
use crate::runtime::PodIdentity;
use crate::volumes;
use crate::volumes::template::Volume;

/// In-flight requests of one container.
const CONCURRENCY_ANNOTATION: &str = "coracle.dev/concurrency";
const CONCURRENCY_MAX: u32 = 100_000;
/// Requests that one instance of a handler answers before it ends.
const INSTANCE_REUSE_ANNOTATION: &str = "coracle.dev/instance-reuse";
const INSTANCE_REUSE_MAX: u32 = 1_000_000_000;
/// How long a request may take, as `30s` or `1m 30s`.
const REQUEST_TIMEOUT_ANNOTATION: &str = "coracle.dev/request-timeout";
const REQUEST_TIMEOUT_MAX: SignedDuration = SignedDuration::from_hours(24);
const GRACE_DEFAULT: SignedDuration = SignedDuration::from_secs(30);

/// The pod as the host sees it.
pub fn spec(pod: &Value) -> Spec {
    let deletion = object::is_deleting(pod).then(|| {
        let seconds = pod["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
        seconds_of(seconds)
    });
    Spec {
        identity: PodIdentity {
            namespace: object::namespace(pod).unwrap_or("default").to_owned(),
            name: object::name(pod).to_owned(),
            uid: object::uid(pod).to_owned(),
            ip: String::new(),
        },
        template: Arc::new(template(pod)),
        deletion,
        active_max: pod["spec"]["activeDeadlineSeconds"].as_i64().map(seconds_of),
    }
}

fn template(pod: &Value) -> Template {
    let spec = &pod["spec"];
    let mut pod_refusal = refuse_pod(pod);
    let volumes = volumes::parse::volumes(pod).unwrap_or_else(|refused| {
        pod_refusal.get_or_insert(refused);
        Vec::new()
    });
    let init = list(&spec["initContainers"]);
    let containers: Vec<ContainerTemplate> = init
        .iter()
        .chain(list(&spec["containers"]))
        .map(|item| container(pod, item, &volumes, pod_refusal.as_ref()))
        .collect();
    let restart_policy = match spec["restartPolicy"].as_str() {
        Some("OnFailure") => RestartPolicy::OnFailure,
        Some("Never") => RestartPolicy::Never,
        _ => RestartPolicy::Always,
    };
    let grace = spec["terminationGracePeriodSeconds"].as_i64().map_or(GRACE_DEFAULT, seconds_of);
    let place = |name: &&str| containers.iter().position(|container| container.name == *name);
    let libraries = libraries(pod).iter().filter_map(place).collect();
    Template { containers, init_count: init.len(), libraries, volumes, restart_policy, grace, qos: qos(spec) }
}

/// Not negative, and no longer than times can be counted in: 68 years.
fn seconds_of(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds.clamp(0, i64::from(i32::MAX)))
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn refusal(reason: &'static str, message: String) -> Option<Refusal> {
    Some(Refusal { reason, message })
}

/// What concerns the pod as a whole.
fn refuse_pod(pod: &Value) -> Option<Refusal> {
    let spec = &pod["spec"];
    let init = list(&spec["initContainers"]);
    if let Some(sidecar) = init.iter().find(|container| text(container, "restartPolicy") == "Always") {
        let message = format!(
            "spec.initContainers: {:?}: restartPolicy Always is not supported by this host; make it one of spec.containers",
            text(sidecar, "name")
        );
        return refusal("CreateContainerConfigError", message);
    }
    if spec["hostNetwork"].as_bool() == Some(true) {
        let message = "spec.hostNetwork: pods have no network of the host; leave it out".to_owned();
        return refusal("CreateContainerConfigError", message);
    }
    if let Some(error) = library_errors(pod, "spec").into_iter().chain(config_errors(pod, "spec")).next() {
        return refusal("CreateContainerConfigError", error.to_string());
    }
    match spec["runtimeClassName"].as_str() {
        None | Some("" | "wasm") => None,
        Some(other) => {
            let message = format!(
                "spec.runtimeClassName: {other:?}: this host runs WebAssembly components only; use \"wasm\" or leave it out"
            );
            refusal("CreateContainerConfigError", message)
        }
    }
}

fn container(pod: &Value, item: &Value, volumes: &[Volume], pod_refusal: Option<&Refusal>) -> ContainerTemplate {
    let name = text(item, "name").to_owned();
    let mut refusals: Vec<Option<Refusal>> = vec![pod_refusal.cloned(), refuse_container(item, &name)];
    let mut annotated = |annotation, max| {
        whole_number(pod, annotation, max).unwrap_or_else(|refused| {
            refusals.push(Some(refused));
            None
        })
    };
    let concurrency = annotated(CONCURRENCY_ANNOTATION, CONCURRENCY_MAX);
    let instance_reuse = annotated(INSTANCE_REUSE_ANNOTATION, INSTANCE_REUSE_MAX);
    let request_timeout = request_timeout(pod).unwrap_or_else(|refused| {
        refusals.push(Some(refused));
        None
    });
    let egress = egress(pod).unwrap_or_else(|refused| {
        refusals.push(Some(refused));
        Egress::default()
    });
    let env = environment(pod, item).unwrap_or_else(|refused| {
        refusals.push(Some(refused));
        Vec::new()
    });
    let mounts = volumes::parse::mounts(item, volumes).unwrap_or_else(|refused| {
        refusals.push(Some(refused));
        Vec::new()
    });
    let checks = checks::checks(item).unwrap_or_else(|refused| {
        refusals.push(Some(refused));
        None
    });
    let image = text(item, "image").to_owned();
    let resources = &item["resources"];
    let linux = linux::linux(pod, item, checks.as_deref());
    ContainerTemplate {
        name,
        pull_policy: pull_policy(item, &image),
        image,
        args: [&item["command"], &item["args"]]
            .into_iter()
            .flat_map(|words| list(words).iter().filter_map(Value::as_str).map(str::to_owned))
            .collect(),
        env,
        config: config_maps(pod).into_iter().map(config_map).collect(),
        ports: ports(item),
        memory_bytes_max: quantity(&resources["limits"]["memory"]).and_then(|value| u64::try_from(value.units()).ok()),
        cpu_millis: millis(&resources["requests"]["cpu"]).or_else(|| millis(&resources["limits"]["cpu"])),
        cpu_millis_max: millis(&resources["limits"]["cpu"]).filter(|millis| *millis > 0),
        concurrency,
        instance_reuse,
        request_timeout,
        egress,
        stdin: match (item["stdin"].as_bool(), item["stdinOnce"].as_bool()) {
            (Some(true), Some(true)) => Stdin::Once,
            (Some(true), _) => Stdin::Kept,
            _ => Stdin::Closed,
        },
        mounts,
        checks,
        linux,
        refusal: refusals.into_iter().flatten().next(),
    }
}

fn refuse_container(item: &Value, name: &str) -> Option<Refusal> {
    if !list(&item["volumeDevices"]).is_empty() {
        let message =
            format!("container {name:?}: volumeDevices is not supported by this host; mount a volume with files");
        return refusal("CreateContainerConfigError", message);
    }
    None
}

fn whole_number(pod: &Value, annotation: &str, max: u32) -> Result<Option<u32>, Refusal> {
    let Some(given) = object::annotation(pod, annotation) else { return Ok(None) };
    match given.parse::<u32>() {
        Ok(number) if (1..=max).contains(&number) => Ok(Some(number)),
        _ => Err(Refusal {
            reason: "InvalidAnnotation",
            message: format!("metadata.annotations[{annotation}]: {given:?} is not a whole number from 1 to {max}"),
        }),
    }
}

fn request_timeout(pod: &Value) -> Result<Option<Duration>, Refusal> {
    let Some(given) = object::annotation(pod, REQUEST_TIMEOUT_ANNOTATION) else { return Ok(None) };
    let timeout = given.parse::<SignedDuration>().ok().filter(|timeout| *timeout <= REQUEST_TIMEOUT_MAX);
    let timeout = timeout.and_then(|timeout| Duration::try_from(timeout).ok()).filter(|timeout| !timeout.is_zero());
    timeout.map(Some).ok_or_else(|| Refusal {
        reason: "InvalidAnnotation",
        message: format!(
            "metadata.annotations[{REQUEST_TIMEOUT_ANNOTATION}]: {given:?} is not a time up to 24h, for example \"500ms\" or \"1m 30s\""
        ),
    })
}

fn egress(pod: &Value) -> Result<Egress, Refusal> {
    let given = object::annotation(pod, EGRESS_ANNOTATION).unwrap_or_default();
    given.parse().map_err(|error| Refusal {
        reason: "InvalidAnnotation",
        message: format!("metadata.annotations[{EGRESS_ANNOTATION}]: {error}"),
    })
}

fn pull_policy(item: &Value, image: &str) -> PullPolicy {
    match item["imagePullPolicy"].as_str() {
        Some("Always") => PullPolicy::Always,
        Some("Never") => PullPolicy::Never,
        Some(_) => PullPolicy::IfNotPresent,
        None if image.contains('@') => PullPolicy::IfNotPresent,
        None => match image.rsplit('/').next().and_then(|last| last.split_once(':')) {
            None | Some((_, "latest")) => PullPolicy::Always,
            Some(_) => PullPolicy::IfNotPresent,
        },
    }
}

fn ports(item: &Value) -> Vec<u16> {
    list(&item["ports"])
        .iter()
        .filter(|port| port["protocol"].as_str().is_none_or(|protocol| protocol == "TCP"))
        .filter_map(|port| port["containerPort"].as_u64().and_then(|port| u16::try_from(port).ok()))
        .collect()
}

fn environment(pod: &Value, item: &Value) -> Result<Vec<EnvEntry>, Refusal> {
    let mut entries = Vec::new();
    for from in list(&item["envFrom"]) {
        let prefix = text(from, "prefix").to_owned();
        for (field, kind) in [("configMapRef", SourceKind::ConfigMap), ("secretRef", SourceKind::Secret)] {
            if let Some(reference) = from.get(field) {
                entries.push(EnvEntry::All { source: source(kind, reference), prefix: prefix.clone() });
            }
        }
    }
    for variable in list(&item["env"]) {
        entries.push(env_entry(pod, item, variable)?);
    }
    Ok(entries)
}

fn env_entry(pod: &Value, item: &Value, variable: &Value) -> Result<EnvEntry, Refusal> {
    let name = text(variable, "name").to_owned();
    let from = &variable["valueFrom"];
    if from.is_null() {
        return Ok(EnvEntry::Value { name, value: text(variable, "value").to_owned() });
    }
    for (field, kind) in [("configMapKeyRef", SourceKind::ConfigMap), ("secretKeyRef", SourceKind::Secret)] {
        if let Some(reference) = from.get(field) {
            let key = text(reference, "key").to_owned();
            return Ok(EnvEntry::Key { name, source: source(kind, reference), key });
        }
    }
    if let Some(reference) = from.get("resourceFieldRef").filter(|reference| reference.is_object()) {
        let container = text(reference, "containerName");
        let own = Some(item).filter(|_| container.is_empty() || container == text(item, "name"));
        let other = || list(&pod["spec"]["containers"]).iter().find(|other| text(other, "name") == container);
        let field = own.or_else(other).and_then(|container| resource_field(container, reference));
        let resource = text(reference, "resource");
        return match field {
            Some(field) => Ok(EnvEntry::Field { name, field }),
            None => {
                Err(unsupported_env(&name, &format!("resourceFieldRef {resource:?} is not supported by this host")))
            }
        };
    }
    let path = from["fieldRef"]["fieldPath"].as_str().unwrap_or_default();
    match pod_field(pod, path) {
        Some(field) => Ok(EnvEntry::Field { name, field }),
        None if path.is_empty() => {
            let known = "only configMapKeyRef, secretKeyRef, fieldRef and resourceFieldRef are supported by this host";
            Err(unsupported_env(&name, known))
        }
        None => Err(unsupported_env(&name, &format!("fieldRef.fieldPath {path:?} is not supported by this host"))),
    }
}

fn unsupported_env(name: &str, why: &str) -> Refusal {
    Refusal { reason: "CreateContainerConfigError", message: format!("env {name:?}: valueFrom: {why}") }
}

/// A field of the pod that variables and files may show.
pub(crate) fn pod_field(pod: &Value, path: &str) -> Option<PodField> {
    match path {
        "metadata.name" => Some(PodField::Name),
        "metadata.namespace" => Some(PodField::Namespace),
        "metadata.uid" => Some(PodField::Uid),
        "status.podIP" | "status.podIPs" => Some(PodField::PodIp),
        "status.hostIP" | "status.hostIPs" => Some(PodField::HostIp),
        "spec.nodeName" => Some(PodField::NodeName),
        "spec.serviceAccountName" => {
            let account = pod["spec"]["serviceAccountName"].as_str().unwrap_or("default");
            Some(PodField::ServiceAccountName(account.to_owned()))
        }
        _ => {
            let (map, key) = path.strip_suffix("']")?.split_once("['")?;
            let map = match map {
                "metadata.labels" => &pod["metadata"]["labels"],
                "metadata.annotations" => &pod["metadata"]["annotations"],
                _ => return None,
            };
            Some(PodField::Text(text(map, key).to_owned()))
        }
    }
}

/// A container's request or limit, as a reference to it says.
pub(crate) fn resource_field(container: &Value, reference: &Value) -> Option<PodField> {
    let (list, name) = text(reference, "resource").split_once('.')?;
    let resource = match name {
        "cpu" => Resource::Cpu,
        "memory" => Resource::Memory,
        "ephemeral-storage" => Resource::EphemeralStorage,
        _ => return None,
    };
    let whole = |value: Quantity| if resource == Resource::Cpu { value.milli() } else { value.units() };
    let amount = quantity(&container["resources"][list][name]).filter(|amount| !amount.is_zero()).map(whole);
    let amount = match list {
        "limits" => amount,
        "requests" => Some(amount.unwrap_or(0)),
        _ => return None,
    };
    let divisor = quantity(&reference["divisor"]).filter(|divisor| !divisor.is_zero());
    Some(PodField::Resource(ResourceField {
        resource,
        amount,
        divisor: whole(divisor.unwrap_or(Quantity::from_units(1))),
    }))
}

fn config_map(name: &str) -> Source {
    Source { kind: SourceKind::ConfigMap, name: name.to_owned(), is_optional: false }
}

pub(crate) fn source(kind: SourceKind, reference: &Value) -> Source {
    let is_optional = reference["optional"].as_bool().unwrap_or(false);
    Source { kind, name: text(reference, "name").to_owned(), is_optional }
}

pub(crate) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn quantity(value: &Value) -> Option<Quantity> {
    if value.is_null() { None } else { Quantity::from_value(value).ok() }
}

/// Thousandths.
fn millis(value: &Value) -> Option<u64> {
    quantity(value).and_then(|value| u64::try_from(value.milli()).ok())
}

/// Kubernetes' rule for `status.qosClass`.
fn qos(spec: &Value) -> Qos {
    let mut is_any = false;
    let mut is_guaranteed = true;
    for container in list(&spec["containers"]).iter().chain(list(&spec["initContainers"])) {
        for resource in ["cpu", "memory"] {
            let limit = quantity(&container["resources"]["limits"][resource]).filter(|value| !value.is_zero());
            let request = quantity(&container["resources"]["requests"][resource]).filter(|value| !value.is_zero());
            is_any |= limit.is_some() || request.is_some();
            is_guaranteed &= limit.is_some() && request.is_none_or(|request| Some(request) == limit);
        }
    }
    match (is_any, is_guaranteed) {
        (true, true) => Qos::Guaranteed,
        (true, false) => Qos::Burstable,
        (false, _) => Qos::BestEffort,
    }
}

/// What a host that was started anew makes of a status that its predecessor wrote: counts and ends are kept, what ran is started again.
pub fn adopt(pod: &Value, spec: &Spec, now: Timestamp) -> Observed {
    let status = &pod["status"];
    let start_time = time(&status["startTime"]).unwrap_or(now);
    let mut observed = Observed::new(&spec.template, start_time);
    observed.ip = status["podIP"].as_str().and_then(|ip| ip.parse::<Ipv4Addr>().ok());
    for condition in list(&status["conditions"]) {
        let Some(at) = time(&condition["lastTransitionTime"]) else { continue };
        match text(condition, "type") {
            "PodScheduled" => observed.scheduled_at = at,
            "Ready" => observed.ready = (text(condition, "status") == "True", at),
            _ => {}
        }
    }
    for container in list(&status["initContainerStatuses"]).iter().chain(list(&status["containerStatuses"])) {
        let Some(index) = spec.template.containers.iter().position(|known| known.name == text(container, "name"))
        else {
            continue;
        };
        // A library is fetched again, whatever became of the others.
        if !spec.template.is_library(index) {
            adopt_container(container, &mut observed.containers[index], spec.template.restart_policy, now);
        }
    }
    observed
}

fn adopt_container(status: &Value, container: &mut ContainerObserved, policy: RestartPolicy, now: Timestamp) {
    container.restarts = status["restartCount"].as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
    container.image_id = text(status, "imageID").to_owned();
    container.last_exit = termination(&status["lastState"]["terminated"], now);
    if matches!(container.stage, Stage::Failed(_)) {
        return;
    }
    if let Some(exit) = termination(&status["state"]["terminated"], now) {
        container.stage = Stage::Exited(exit);
    } else if policy == RestartPolicy::Never && status["state"]["running"].is_object() {
        let started_at = time(&status["state"]["running"]["startedAt"]).unwrap_or(now);
        container.stage = Stage::Exited(Termination {
            exit_code: 137,
            reason: "ContainerStatusUnknown".to_owned(),
            message: "the host that ran the container stopped before the container ended; restartPolicy Never forbids starting it again"
                .to_owned(),
            started_at,
            finished_at: now,
            container_id: text(status, "containerID").to_owned(),
        });
    }
}

fn termination(state: &Value, now: Timestamp) -> Option<Termination> {
    let exit_code = i32::try_from(state["exitCode"].as_i64()?).unwrap_or(1);
    Some(Termination {
        exit_code,
        reason: text(state, "reason").to_owned(),
        message: text(state, "message").to_owned(),
        started_at: time(&state["startedAt"]).unwrap_or(now),
        finished_at: time(&state["finishedAt"]).unwrap_or(now),
        container_id: text(state, "containerID").to_owned(),
    })
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// The pod is over and stays so.
pub fn is_over(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}
