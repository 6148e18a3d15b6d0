//! What a kubeconfig of ours says beyond Kubernetes: where the cluster's other servers and its ingress are, and a member's registry for the
//! tools of others.
//! Kept in the kubeconfig's `extensions`, which other clients skip, so that one file is all that a user needs.

use coracle_client::{Config, EXTENSION, Kubeconfig};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::failure::{Failure, Result};

/// The cluster's own endpoints as its users reach them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Endpoints {
    /// The other members' API servers, `https://HOST:PORT`, as the client reads them.
    #[serde(default)]
    pub(crate) servers: Vec<String>,
    /// Host and port of the member's registry (plain HTTP).
    pub(crate) registry: String,
    /// User for pushing.
    pub(crate) registry_user: String,
    /// Password for pushing.
    pub(crate) registry_password: String,
    /// Host and port of the ingress.
    pub(crate) ingress: String,
}

/// Adds `endpoints` to every cluster of a kubeconfig.
pub(crate) fn add(kubeconfig: &mut Kubeconfig, endpoints: &Endpoints) {
    let extensions = json!([{ "name": EXTENSION, "extension": endpoints }]);
    for cluster in &mut kubeconfig.clusters {
        cluster.cluster.other.insert("extensions".to_owned(), extensions.clone());
    }
}

/// Finds them again, in the current context's cluster.
pub(crate) fn find(config: &Config) -> Result<Endpoints> {
    let extension = config
        .cluster
        .get("extensions")
        .and_then(Value::as_array)
        .and_then(|extensions| extensions.iter().find(|entry| entry["name"] == EXTENSION));
    let Some(extension) = extension else {
        return Err(Failure::new("this kubeconfig does not say where the cluster's ingress is")
            .hint("use a kubeconfig that `wasmctl up` or `wasmctl server` wrote"));
    };
    serde_json::from_value(extension["extension"].clone())
        .map_err(|error| Failure::new(format!("kubeconfig: the extension {EXTENSION} does not parse: {error}")))
}
