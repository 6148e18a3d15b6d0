//! What users may do: `authorizer.group("apps").resource("deployments").namespace("shop").check("create").allowed()`.
//!
//! Source: Kubernetes' CEL library `authz`.

use std::rc::Rc;

use super::{Context, Function, member, mismatch};
use crate::cel::EvaluationError;
use crate::cel::access::{Access, AccessCheck, AccessSubject};
use crate::cel::check::Type;
use crate::cel::value::{Evaluated, Value};
use crate::validation;

/// What a check costs: a few of them are what one evaluation may ask.
const CHECK_COST: u64 = 350_000;

pub(super) const FUNCTIONS: &[Function] = &[
    member("path", 2..=2, Type::PathCheck, path),
    member("group", 2..=2, Type::GroupCheck, group),
    member("serviceAccount", 3..=3, Type::Authorizer, service_account),
    member("resource", 2..=2, Type::ResourceCheck, resource),
    member("subresource", 2..=2, Type::ResourceCheck, |_, arguments| narrowed("subresource", arguments)),
    member("namespace", 2..=2, Type::ResourceCheck, |_, arguments| narrowed("namespace", arguments)),
    member("name", 2..=2, Type::ResourceCheck, |_, arguments| narrowed("name", arguments)),
    member("check", 2..=2, Type::Decision, check),
    member("allowed", 1..=1, Type::Bool, |_, arguments| decided("allowed", arguments, Value::Bool)),
    // Whoever decides says yes or no, without a reason, and doesn't fail.
    member("reason", 1..=1, Type::String, |_, arguments| decided("reason", arguments, |_| Value::text(""))),
    member("errored", 1..=1, Type::Bool, |_, arguments| decided("errored", arguments, |_| Value::Bool(false))),
    member("error", 1..=1, Type::String, |_, arguments| decided("error", arguments, |_| Value::text(""))),
];

fn value(access: Access<'_>) -> Value<'_> {
    Value::Access(Rc::new(access))
}

fn path<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Evaluated<'a> {
    match (access(arguments), text(arguments, 1)) {
        (Some(Access::Authorizer { .. }), Some(path)) if path.trim().is_empty() => {
            Err(EvaluationError::failed("path must not be empty"))
        }
        (Some(Access::Authorizer { asked, about, .. }), Some(path)) => {
            Ok(value(Access::Subject { asked: *asked, about: about.clone(), subject: AccessSubject::Path(path) }))
        }
        _ => Err(mismatch("path", arguments)),
    }
}

fn group<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Evaluated<'a> {
    match (access(arguments), text(arguments, 1)) {
        (Some(Access::Authorizer { asked, about, .. }), Some(group)) => {
            Ok(value(Access::Group { asked: *asked, about: about.clone(), group }))
        }
        _ => Err(mismatch("group", arguments)),
    }
}

fn service_account<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Evaluated<'a> {
    let (Some(Access::Authorizer { asked, request, .. }), Some(namespace), Some(name)) =
        (access(arguments), text(arguments, 1), text(arguments, 2))
    else {
        return Err(mismatch("serviceAccount", arguments));
    };
    if !validation::dns1123_label(&namespace).is_empty() {
        return Err(EvaluationError::failed("Invalid service account namespace"));
    }
    if !validation::dns1123_subdomain(&name).is_empty() {
        return Err(EvaluationError::failed("Invalid service account name"));
    }
    Ok(value(Access::Authorizer { asked: *asked, about: Some((namespace, name)), request: request.clone() }))
}

fn resource<'a>(_: &Context<'_>, arguments: &[Value<'a>]) -> Evaluated<'a> {
    match (access(arguments), text(arguments, 1)) {
        (Some(Access::Group { asked, about, group }), Some(resource)) => {
            let [subresource, namespace, name] = [const { String::new() }; 3];
            let subject = AccessSubject::Resource { group: group.clone(), resource, subresource, namespace, name };
            Ok(value(Access::Subject { asked: *asked, about: about.clone(), subject }))
        }
        _ => Err(mismatch("resource", arguments)),
    }
}

/// Says more of which objects are meant.
fn narrowed<'a>(part: &str, arguments: &[Value<'a>]) -> Evaluated<'a> {
    let (Some(Access::Subject { asked, about, subject }), Some(wanted)) = (access(arguments), text(arguments, 1))
    else {
        return Err(mismatch(part, arguments));
    };
    let mut subject = subject.clone();
    let AccessSubject::Resource { subresource, namespace, name, .. } = &mut subject else {
        return Err(mismatch(part, arguments));
    };
    *match part {
        "subresource" => subresource,
        "namespace" => namespace,
        _ => name,
    } = wanted;
    Ok(value(Access::Subject { asked: *asked, about: about.clone(), subject }))
}

fn check<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Evaluated<'a> {
    let (Some(Access::Subject { asked, about, subject }), Some(verb)) = (access(arguments), text(arguments, 1)) else {
        return Err(mismatch("check", arguments));
    };
    context.meter.charge(CHECK_COST)?;
    let check = AccessCheck { service_account: about.clone(), verb, subject: subject.clone() };
    Ok(value(Access::Decision(asked.allows(&check))))
}

fn decided<'a>(name: &str, arguments: &[Value<'a>], answer: fn(bool) -> Value<'a>) -> Evaluated<'a> {
    match access(arguments) {
        Some(Access::Decision(is_allowed)) => Ok(answer(*is_allowed)),
        _ => Err(mismatch(name, arguments)),
    }
}

/// The receiver.
fn access<'v, 'a>(arguments: &'v [Value<'a>]) -> Option<&'v Access<'a>> {
    match &arguments[0] {
        Value::Access(access) => Some(access),
        _ => None,
    }
}

fn text(arguments: &[Value<'_>], index: usize) -> Option<String> {
    match &arguments[index] {
        Value::String(text) => Some(text.to_string()),
        _ => None,
    }
}
