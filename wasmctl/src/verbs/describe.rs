//! `wasmctl describe`: one object in full, for people, with what happened to it.

use std::fmt::Write as _;

use coracle_api::kind::Kind;
use coracle_api::{kinds, object};
use coracle_client::{Client, ListOptions};
use serde_json::Value;

use crate::context::{Global, Namespace};
use crate::failure::Result;
use crate::output;
use crate::resources::KnownKinds;

/// Show an object in full, with its events
///
/// Examples:
///   wasmctl describe pod web-7c9d4-0q2vx
///   wasmctl describe deployment/web
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// KIND NAME…, or KIND/NAME…
    #[arg(required = true, value_name = "WHAT")]
    what: Vec<String>,
    #[command(flatten)]
    namespace: Namespace,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let client = global.client()?;
    let namespace = args.namespace.or_default(client.config());
    let mut is_first = true;
    for selection in KnownKinds::new(&client).parse(&args.what).await? {
        let kind = selection.kind;
        let scope = kind.namespaced.then_some(namespace.as_str());
        let items = if selection.names.is_empty() {
            client.list(kind, scope, &ListOptions::default()).await?.items
        } else {
            let mut items = Vec::new();
            for name in &selection.names {
                items.push(client.get(kind, scope, name).await?);
            }
            items
        };
        for item in &items {
            if !std::mem::take(&mut is_first) {
                println!();
            }
            print!("{}{}", describe(item), events(&client, kind, item).await?);
        }
    }
    Ok(())
}

/// Everything an object says, one field a line; what is long or of no use to a reader is left out.
fn describe(item: &Value) -> String {
    let mut text = String::new();
    let metadata = &item["metadata"];
    field(&mut text, "Name", &metadata["name"]);
    field(&mut text, "Namespace", &metadata["namespace"]);
    field(&mut text, "Labels", &metadata["labels"]);
    let mut annotations = metadata["annotations"].clone();
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    field(&mut text, "Annotations", &annotations);
    field(&mut text, "Created", &metadata["creationTimestamp"]);
    field(&mut text, "Deleting since", &metadata["deletionTimestamp"]);
    if let Some(owner) = metadata["ownerReferences"].get(0) {
        let pair =
            format!("{}/{}", owner["kind"].as_str().unwrap_or_default(), owner["name"].as_str().unwrap_or_default());
        field(&mut text, "Controlled by", &Value::String(pair));
    }
    for (key, value) in item.as_object().into_iter().flatten() {
        if !matches!(key.as_str(), "apiVersion" | "kind" | "metadata") && !is_empty(value) {
            let is_secret = item["kind"] == "Secret" && (key == "data" || key == "stringData");
            writeln!(text, "{}:", capitalised(key)).expect("writing to a string");
            nested(&mut text, value, 1, is_secret);
        }
    }
    text
}

fn field(text: &mut String, name: &str, value: &Value) {
    if is_empty(value) {
        return;
    }
    let name = format!("{name}:");
    match value {
        Value::Object(map) => {
            for (index, (key, value)) in map.iter().enumerate() {
                let head = if index == 0 { name.as_str() } else { "" };
                writeln!(text, "{head:<16}{key}={}", plain(value)).expect("writing to a string");
            }
        }
        value => writeln!(text, "{name:<16}{}", plain(value)).expect("writing to a string"),
    }
}

fn nested(text: &mut String, value: &Value, depth: usize, is_secret: bool) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter().filter(|(_, value)| !is_empty(value)) {
                if is_secret {
                    let bytes = value.as_str().map_or(0, |text| text.trim_end_matches('=').len() * 3 / 4);
                    writeln!(text, "{indent}{key}: {bytes} bytes").expect("writing to a string");
                } else if value.is_object() || value.is_array() {
                    writeln!(text, "{indent}{key}:").expect("writing to a string");
                    nested(text, value, depth + 1, false);
                } else {
                    writeln!(text, "{indent}{key}: {}", plain(value)).expect("writing to a string");
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                if item.is_object() || item.is_array() {
                    let mut inner = String::new();
                    nested(&mut inner, item, depth + 1, false);
                    let body = inner.strip_prefix(&"  ".repeat(depth + 1)).unwrap_or(&inner);
                    write!(text, "{indent}- {body}").expect("writing to a string");
                } else {
                    writeln!(text, "{indent}- {}", plain(item)).expect("writing to a string");
                }
            }
        }
        value => writeln!(text, "{indent}{}", plain(value)).expect("writing to a string"),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

async fn events(client: &Client, kind: &Kind, item: &Value) -> Result<String> {
    let event_kind = kinds::by_any_name("events").expect("events are built in");
    let uid = item["metadata"]["uid"].as_str().unwrap_or_default();
    let options = ListOptions::fields(format!("involvedObject.kind={},involvedObject.uid={uid}", kind.kind));
    let mut events = client.list(event_kind, object::namespace(item), &options).await?.items;
    if events.is_empty() {
        return Ok("Events:         none\n".to_owned());
    }
    events.sort_by_key(super::event_order);
    let mut lines = vec![["  LAST SEEN", "TYPE", "REASON", "MESSAGE"].map(str::to_owned).to_vec()];
    for event in &events {
        let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
        let count =
            event["count"].as_i64().filter(|count| *count > 1).map_or_else(String::new, |count| format!(" (x{count})"));
        lines.push(vec![
            format!("  {}", super::last_seen(event)),
            text("type"),
            text("reason"),
            text("message") + &count,
        ]);
    }
    Ok(format!("Events:\n{}", output::align(&lines, &mut Vec::new())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use serde_json::json;

    #[test]
    fn secrets_are_sizes_and_lists_are_items() {
        let secret = json!({"kind": "Secret", "metadata": {"name": "s", "labels": {"a": "1", "b": "2"}}, "type": "Opaque", "data": {"password": "aHVudGVyMg=="}});
        expect![[r#"
            Name:           s
            Labels:         a=1
                            b=2
            Data:
              password: 7 bytes
            Type:
              Opaque
        "#]]
        .assert_eq(&describe(&secret));
        let pod = json!({"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80}]}]}});
        expect![[r#"
            Name:           p
            Spec:
              containers:
                - image: i
                  name: c
                  ports:
                    - containerPort: 80
        "#]]
        .assert_eq(&describe(&pod));
    }
}
