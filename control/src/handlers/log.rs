//! GET of a pod's log: passed through from the host that runs it.

use axum::body::Body;
use axum::response::Response;
use coracle_api::object;
use coracle_api::status::{self, Status};
use coracle_api::validation::FieldError;
use futures::StreamExt;
use http::StatusCode;
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{Call, host};
use crate::objects::decode_record;
use crate::request::Address;
use crate::respond;

/// The parameters that concern the host.
const PASSED: &[&str] = &["follow", "tailLines", "sinceSeconds", "sinceTime", "timestamps", "previous", "limitBytes"];

pub(super) async fn log(call: &Call, address: &Address) -> Result<Response, Status> {
    let name = address.name()?;
    check_options(call, name)?;
    let record = call.app.objects.get(address.kind, address.namespace(), name).await?;
    let pod = decode_record(&record);
    let container = container(call, &pod, name)?;
    let node = object::str_at(&pod, &["spec", "nodeName"]).filter(|node| !node.is_empty());
    let node = node.ok_or_else(|| status::bad_request(format!("pod {name} does not have a host assigned")))?;
    let encode = |segment: &str| utf8_percent_encode(segment, NON_ALPHANUMERIC).to_string();
    let namespace = address.namespace().unwrap_or_default();
    let query: Vec<String> = call.query.only(PASSED).map(|(key, value)| format!("{key}={}", encode(value))).collect();
    let path = format!("{}/{}/{}", encode(namespace), encode(name), encode(&container));
    let answer = host::get(call, node, &format!("logs/{path}?{}", query.join("&"))).await?;
    if answer.status() == StatusCode::OK {
        // A log that is followed ends with the server.
        let lines = answer.bytes_stream().take_until(call.app.shutdown.clone().cancelled_owned());
        return Ok(respond::respond(StatusCode::OK, "text/plain", Body::from_stream(lines)));
    }
    Err(host::complaint(node, answer).await)
}

/// What a log may be asked for, as Kubernetes' `ValidatePodLogOptions` has it.
fn check_options(call: &Call, name: &str) -> Result<(), Status> {
    let query = &call.query;
    let mut errors = Vec::new();
    let bounds = [
        ("tailLines", 0, "must be greater than or equal to 0"),
        ("limitBytes", 1, "must be greater than 0"),
        ("sinceSeconds", 1, "must be greater than 0"),
    ];
    for (option, min, detail) in bounds {
        if let Some(number) = query.number(option)?.filter(|number| *number < min) {
            errors.push(FieldError::invalid(option, number, detail));
        }
    }
    if let Some(time) = query.get("sinceTime") {
        if query.get("sinceSeconds").is_some() {
            let detail = "at most one of `sinceTime` or `sinceSeconds` may be specified";
            errors.push(FieldError::forbidden("", detail));
        }
        if time.parse::<Timestamp>().is_err() {
            let detail = "must be of the form \"2006-01-02T15:04:05Z07:00\"";
            errors.push(FieldError::invalid("sinceTime", time, detail));
        }
    }
    if let Some(stream) = query.get("stream").filter(|stream| *stream != "All") {
        errors.push(FieldError::not_supported("stream", stream, &["All"]));
    }
    if errors.is_empty() { Ok(()) } else { Err(status::invalid_options("", "PodLogOptions", name, &errors)) }
}

/// The container that is meant; with several, the request must say.
pub(super) fn container(call: &Call, pod: &Value, name: &str) -> Result<String, Status> {
    let named = |list: &str| -> Vec<&str> {
        let containers = object::list_at(pod, &["spec", list]).iter();
        containers.filter_map(|container| object::str_at(container, &["name"])).collect()
    };
    let (names, init) = (named("containers"), named("initContainers"));
    match (call.query.get("container"), names.as_slice()) {
        (Some(asked), names) if names.contains(&asked) || init.contains(&asked) => Ok(asked.to_owned()),
        (Some(asked), _) => Err(status::bad_request(format!("container {asked} is not valid for pod {name}"))),
        (None, [only]) => Ok((*only).to_owned()),
        (None, names) => {
            let names = names.join(" ");
            let mut message = format!("a container name must be specified for pod {name}, choose one of: [{names}]");
            if !init.is_empty() {
                message += &format!(" or one of the init containers: [{}]", init.join(" "));
            }
            Err(status::bad_request(message))
        }
    }
}
