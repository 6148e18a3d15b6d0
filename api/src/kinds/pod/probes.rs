//! What the probes and lifecycle hooks of a container must look like.

use serde_json::Value;

use crate::kinds::check::{self, Errors, is_set, text};
use crate::object;
use crate::validation::{self, FieldError};

const PROBES: &[&str] = &["livenessProbe", "readinessProbe", "startupProbe"];
const HOOKS: &[&str] = &["postStart", "preStop"];
const PROBE_HANDLERS: &[&str] = &["exec", "httpGet", "tcpSocket", "grpc"];
const HOOK_HANDLERS: &[&str] = &["exec", "httpGet", "tcpSocket", "sleep"];
const SCHEMES: &[&str] = &["HTTP", "HTTPS"];
/// Numbers of a probe that may not be negative, in the order in which Kubernetes checks them.
const NUMBERS: &[&str] =
    &["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"];

/// Appends what is wrong with the probes and hooks of a container of the pod spec.
pub(super) fn validate(spec: &Value, container: &Value, path: &str, errors: &mut Errors) {
    let grace = object::i64_at(spec, &["terminationGracePeriodSeconds"]);
    for name in HOOKS {
        let Some(hook) = object::get(container, &["lifecycle", name]).filter(|hook| hook.is_object()) else { continue };
        handler(hook, HOOK_HANDLERS, grace, &format!("{path}.lifecycle.{name}"), errors);
    }
    for name in PROBES {
        let Some(given) = container.get(*name).filter(|probe| probe.is_object()) else { continue };
        probe(given, name, grace, &format!("{path}.{name}"), errors);
    }
}

fn probe(probe: &Value, name: &str, grace: Option<i64>, path: &str, errors: &mut Errors) {
    handler(probe, PROBE_HANDLERS, grace, path, errors);
    check::none_negative(errors, path, probe, NUMBERS);
    let own_grace = object::i64_at(probe, &["terminationGracePeriodSeconds"]);
    if let Some(seconds) = own_grace.filter(|seconds| *seconds <= 0) {
        let path = format!("{path}.terminationGracePeriodSeconds");
        errors.push(FieldError::invalid(path, seconds, "must be greater than 0"));
    }
    if name == "readinessProbe" {
        if let Some(seconds) = own_grace {
            let path = format!("{path}.terminationGracePeriodSeconds");
            errors.push(FieldError::invalid(path, seconds, "must not be set for readinessProbes"));
        }
        return;
    }
    let successes = object::i64_at(probe, &["successThreshold"]).unwrap_or(1);
    if successes != 1 {
        errors.push(FieldError::invalid(format!("{path}.successThreshold"), successes, "must be 1"));
    }
}

/// Exactly one of `known`.
fn handler(given: &Value, known: &[&str], grace: Option<i64>, path: &str, errors: &mut Errors) {
    let mut found = known.iter().filter(|handler| is_set(given, handler));
    let Some(first) = found.next() else {
        errors.push(FieldError::required(path, "must specify a handler type"));
        return;
    };
    action(first, &given[*first], grace, &format!("{path}.{first}"), errors);
    for other in found {
        errors.push(FieldError::forbidden(format!("{path}.{other}"), "may not specify more than 1 handler type"));
    }
}

fn action(name: &str, action: &Value, grace: Option<i64>, path: &str, errors: &mut Errors) {
    match name {
        "exec" if object::list_at(action, &["command"]).is_empty() => {
            errors.push(FieldError::required(format!("{path}.command"), ""));
        }
        "exec" => {}
        "httpGet" => http_get(action, path, errors),
        "sleep" => {
            let seconds = object::i64_at(action, &["seconds"]).unwrap_or(0);
            if let Some(grace) = grace.filter(|grace| !(0..=*grace).contains(&seconds)) {
                let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
                errors.push(FieldError::invalid(path, seconds, detail));
            }
        }
        _ => check::port_or_name(errors, &format!("{path}.port"), &action["port"]),
    }
}

fn http_get(get: &Value, path: &str, errors: &mut Errors) {
    if text(get, "path").is_empty() {
        errors.push(FieldError::required(format!("{path}.path"), ""));
    }
    check::port_or_name(errors, &format!("{path}.port"), &get["port"]);
    let scheme = text(get, "scheme");
    if !SCHEMES.contains(&scheme) {
        errors.push(FieldError::not_supported(format!("{path}.scheme"), scheme, SCHEMES));
    }
    for header in object::list_at(get, &["httpHeaders"]) {
        check::follows(errors, &format!("{path}.httpHeaders"), text(header, "name"), validation::http_header_name);
    }
}
