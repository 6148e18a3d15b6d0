//! From the probes and hooks of a container to what the host does about them; what it can't do is refused by name.
//!
//! Deliberately absent: what depends on whether the component is a handler or a command, which is known once it is here.

use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue};
use serde_json::Value;

use super::{list, seconds_of, text};
use crate::pod::action::{Action, HttpGet};
use crate::pod::probe::{Checks, Probe, ProbeKind, SharedChecks};
use crate::pod::template::Refusal;

/// A field and what is wrong with it.
type Fault = (String, String);

/// The probes and hooks of a container.
pub(super) fn checks(container: &Value) -> Result<SharedChecks, Refusal> {
    match read(container) {
        Ok(checks) => Ok((checks != Checks::default()).then(|| Arc::new(checks))),
        Err((field, why)) => {
            let message = format!("container {:?}: {field}: {why}", text(container, "name"));
            Err(Refusal { reason: "CreateContainerConfigError", message })
        }
    }
}

fn read(container: &Value) -> Result<Checks, Fault> {
    let mut checks = Checks::default();
    for kind in ProbeKind::ALL {
        if let Some(given) = container.get(kind.field()).filter(|given| given.is_object()) {
            checks.probes[kind.index()] = Some(probe(container, given, kind.field())?);
        }
    }
    let lifecycle = &container["lifecycle"];
    if lifecycle.get("stopSignal").is_some_and(|signal| !signal.is_null()) {
        return Err(fault("lifecycle.stopSignal", "components take no signals; leave it out"));
    }
    let hook = |name: &str| {
        let given = lifecycle.get(name).filter(|given| given.is_object());
        given.map(|given| action(container, given, &format!("lifecycle.{name}"))).transpose()
    };
    (checks.post_start, checks.pre_stop) = (hook("postStart")?, hook("preStop")?);
    let is_no_hook = |hook: &Option<Action>| matches!(hook, Some(Action::TcpSocket { .. } | Action::Grpc { .. }));
    if is_no_hook(&checks.post_start) || is_no_hook(&checks.pre_stop) {
        return Err(fault(
            "lifecycle",
            "a hook is an httpGet, an exec or a sleep, as with Kubernetes; use one of them",
        ));
    }
    Ok(checks)
}

fn fault(field: impl Into<String>, why: impl Into<String>) -> Fault {
    (field.into(), why.into())
}

fn probe(container: &Value, given: &Value, field: &str) -> Result<Probe, Fault> {
    let number = |name: &str, default: i64| given[name].as_i64().filter(|number| *number > 0).unwrap_or(default);
    let threshold = |name: &str, default| u32::try_from(number(name, default)).unwrap_or(u32::MAX);
    Ok(Probe {
        action: action(container, given, field)?,
        initial_delay: seconds_of(number("initialDelaySeconds", 0)),
        period: seconds_of(number("periodSeconds", 10)),
        timeout: seconds_of(number("timeoutSeconds", 1)),
        success_threshold: threshold("successThreshold", 1),
        failure_threshold: threshold("failureThreshold", 3),
        grace: given["terminationGracePeriodSeconds"].as_i64().map(seconds_of),
    })
}

fn action(container: &Value, given: &Value, field: &str) -> Result<Action, Fault> {
    let part = |name: &str| given.get(name).filter(|part| part.is_object());
    if let Some(get) = part("httpGet") {
        return http_get(container, get, &format!("{field}.httpGet")).map(Action::HttpGet);
    }
    if let Some(socket) = part("tcpSocket") {
        let field = format!("{field}.tcpSocket");
        refuse_host(socket, &field)?;
        return Ok(Action::TcpSocket { port: port(container, socket, &field)? });
    }
    if let Some(grpc) = part("grpc") {
        let port = port(container, grpc, &format!("{field}.grpc"))?;
        return Ok(Action::Grpc { port, service: text(grpc, "service").to_owned() });
    }
    if let Some(exec) = part("exec") {
        let words: Vec<String> = list(&exec["command"]).iter().filter_map(Value::as_str).map(str::to_owned).collect();
        return match words.is_empty() {
            true => Err(fault(format!("{field}.exec.command"), "it is empty; name a program")),
            false => Ok(Action::Exec { words }),
        };
    }
    if let Some(sleep) = part("sleep") {
        return Ok(Action::Sleep(seconds_of(sleep["seconds"].as_i64().unwrap_or(0))));
    }
    Err(fault(field, "this host knows httpGet, tcpSocket, grpc, exec and, for hooks, sleep; use one of them"))
}

fn http_get(container: &Value, get: &Value, field: &str) -> Result<HttpGet, Fault> {
    refuse_host(get, field)?;
    let scheme = text(get, "scheme");
    if !scheme.is_empty() && scheme != "HTTP" {
        let why = format!("{scheme:?}: components answer plain HTTP, in process; use HTTP");
        return Err(fault(format!("{field}.scheme"), why));
    }
    let path = match text(get, "path") {
        path if path.starts_with('/') => path.to_owned(),
        path => format!("/{path}"),
    };
    if PathAndQuery::try_from(path.as_str()).is_err() {
        return Err(fault(format!("{field}.path"), format!("{path:?} is no path of a URL; escape what is not plain")));
    }
    let mut headers = Vec::new();
    for header in list(&get["httpHeaders"]) {
        let (name, value) = (text(header, "name"), text(header, "value"));
        if HeaderName::try_from(name).is_err() || HeaderValue::try_from(value).is_err() {
            return Err(fault(format!("{field}.httpHeaders"), format!("{name:?} can't be sent as a header")));
        }
        headers.push((name.to_owned(), value.to_owned()));
    }
    Ok(HttpGet { port: port(container, get, field)?, path, headers })
}

/// A host would let whoever writes a pod send requests from this host to anywhere.
fn refuse_host(part: &Value, field: &str) -> Result<(), Fault> {
    match text(part, "host") {
        "" => Ok(()),
        host => {
            let why = format!(
                "{host:?}: only the pod itself is asked, not other hosts; leave it out, and name a virtual host by a Host header in httpHeaders"
            );
            Err(fault(format!("{field}.host"), why))
        }
    }
}

/// A port by number, or by its name among the container's.
fn port(container: &Value, part: &Value, field: &str) -> Result<u16, Fault> {
    let found = match &part["port"] {
        Value::String(name) => {
            let named = list(&container["ports"]).iter().find(|port| text(port, "name") == name);
            named.and_then(|port| port["containerPort"].as_u64())
        }
        number => number.as_u64(),
    };
    found.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0).ok_or_else(|| {
        let why = format!("{} is neither a port nor the name of one of the container's ports", part["port"]);
        fault(format!("{field}.port"), why)
    })
}

#[cfg(test)]
mod tests;
