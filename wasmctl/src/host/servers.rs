//! Keeps a host's list of API servers true: asks for the control plane's members now and then, and keeps what it learns.

use std::sync::Arc;
use std::time::Duration;

use coracle_client::Client;
use coracle_registry::Puller;
use serde_json::Value;

use super::MembershipFile;
use crate::verbs::MEMBERS;

const INTERVAL: Duration = Duration::from_secs(10);

/// Learns of members that come and go, for ever. `always` is a server that is asked whoever else there is: that of this process.
pub(super) async fn keep(
    client: Client,
    puller: Arc<Puller>,
    always: Option<String>,
    file: Option<Arc<MembershipFile>>,
) {
    let mut known = Vec::new();
    loop {
        // Without an answer, what is known has to do.
        if let Ok(list) = client.fetch::<Value>(MEMBERS).await
            && let addresses = voters(&list)
            && !addresses.is_empty()
            && addresses != known
        {
            let servers = addresses.iter().map(|address| format!("https://{address}"));
            let servers: Vec<String> = always.iter().cloned().chain(servers).collect();
            client.set_servers(&servers);
            puller.set_servers(servers);
            tracing::info!(?addresses, "the control plane's members");
            let kept =
                file.as_ref().map_or(Ok(()), |file| file.change(|membership| membership.servers = addresses.clone()));
            match kept {
                Ok(()) => known = addresses,
                Err(failure) => tracing::warn!(%failure, "the addresses of the API servers could not be kept"),
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Host and port of the members that have all there is.
fn voters(list: &Value) -> Vec<String> {
    let members = list["items"].as_array().into_iter().flatten();
    let voters = members.filter(|member| member["role"] != "learner");
    voters.filter_map(|member| member["address"].as_str()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn learners_are_not_asked() {
        let member = |address: &str, role: &str| json!({ "address": address, "role": role });
        let list = json!({ "items": [member("a:1", "leader"), member("b:1", "voter"), member("c:1", "learner")] });
        assert_eq!(voters(&list), ["a:1", "b:1"]);
        assert!(voters(&json!({})).is_empty());
    }
}
