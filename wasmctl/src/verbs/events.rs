//! `wasmctl events`: what happened lately, oldest first.

use coracle_api::kinds;
use coracle_client::{ListOptions, TableInclude};
use serde_json::json;

use crate::context::{Global, Namespace};
use crate::failure::Result;
use crate::output;
use crate::resources::KnownKinds;

/// Show what happened lately, oldest first
///
/// Examples:
///   wasmctl events
///   wasmctl events --for pod/web-1
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(flatten)]
    namespace: Namespace,
    /// Every namespace
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only what concerns this object
    #[arg(long = "for", value_name = "KIND/NAME")]
    about: Option<String>,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let client = global.client()?;
    let namespace = (!args.all_namespaces).then(|| args.namespace.or_default(client.config()));
    let kind = kinds::by_any_name("events").expect("events are built in");
    let mut options = ListOptions::default();
    if let Some(about) = &args.about {
        let selection = KnownKinds::new(&client).parse_pair(about).await?;
        options.field_selector =
            Some(format!("involvedObject.kind={},involvedObject.name={}", selection.kind.kind, selection.names[0]));
    }
    let table = client.list_table(kind, namespace.as_deref(), &options, TableInclude::Object).await?;
    let mut rows = table["rows"].as_array().cloned().unwrap_or_default();
    rows.sort_by_key(|row| order(&row["object"]));
    if rows.is_empty() {
        eprintln!("No events found.");
        return Ok(());
    }
    let sorted = json!({ "columnDefinitions": table["columnDefinitions"], "rows": rows });
    print!("{}", output::table(&sorted, false, namespace.is_none(), true, &mut Vec::new()));
    Ok(())
}

/// What puts events in the order in which they happened. Their times are in seconds; those of one second go as they were written.
pub(crate) fn order(event: &serde_json::Value) -> (String, u64) {
    let revision = event["metadata"]["resourceVersion"].as_str().and_then(|revision| revision.parse().ok());
    (last_seen(event), revision.unwrap_or_default())
}

/// When an event was last seen, as sortable text.
pub(crate) fn last_seen(event: &serde_json::Value) -> String {
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    text(&event["lastTimestamp"])
        .or_else(|| text(&event["eventTime"]))
        .or_else(|| text(&event["metadata"]["creationTimestamp"]))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_of_one_second_are_in_the_order_of_their_revisions() {
        let event = |time: &str, revision: &str, reason: &str| json!({"lastTimestamp": time, "metadata": {"resourceVersion": revision}, "reason": reason});
        let mut events = [
            event("2026-11-22T02:31:36Z", "999", "Killing"),
            event("2026-11-22T02:31:35Z", "1000", "Pulling"),
            event("2026-11-22T02:31:35Z", "998", "Scheduled"),
        ];
        events.sort_by_key(order);
        assert_eq!(events.map(|event| event["reason"].clone()), ["Scheduled", "Pulling", "Killing"]);
    }
}
