//! The kubeconfig file's shape: what is read of it, and what is written for a new cluster.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The name of our entry in a cluster's `extensions`, which other clients skip.
pub const EXTENSION: &str = "coracle.dev";

/// A kubeconfig file. Fields not named here are kept as they were read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Kubeconfig {
    /// `v1`.
    #[serde(rename = "apiVersion", default)]
    pub api_version: String,
    /// `Config`.
    #[serde(default)]
    pub kind: String,
    /// The context in use.
    #[serde(default)]
    pub current_context: String,
    /// Where servers are.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub clusters: Vec<NamedCluster>,
    /// Who the client is.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub users: Vec<NamedUser>,
    /// Which user speaks to which cluster.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub contexts: Vec<NamedContext>,
}

/// A cluster and its name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NamedCluster {
    /// The name that contexts use.
    pub name: String,
    /// Where it is.
    pub cluster: Cluster,
}

/// Where a server is and how to trust it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Cluster {
    /// `https://host:port`.
    pub server: String,
    /// The CA's certificate, PEM in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_authority_data: Option<String>,
    /// A file with the CA's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<String>,
    /// Fields not used by this client, refused or kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A user and its name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NamedUser {
    /// The name that contexts use.
    pub name: String,
    /// The credentials.
    #[serde(default)]
    pub user: User,
}

/// Credentials.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct User {
    /// A client certificate, PEM in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate_data: Option<String>,
    /// A file with the client certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<String>,
    /// Its key, PEM in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key_data: Option<String>,
    /// A file with its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key: Option<String>,
    /// A bearer token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// A file with a bearer token.
    #[serde(rename = "tokenFile", skip_serializing_if = "Option::is_none")]
    pub token_file: Option<String>,
    /// Fields not used by this client, refused or kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A context and its name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NamedContext {
    /// The name that `current-context` uses.
    pub name: String,
    /// What it joins.
    pub context: Context,
}

/// A user of a cluster.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Context {
    /// A cluster's name.
    #[serde(default)]
    pub cluster: String,
    /// A user's name.
    #[serde(default)]
    pub user: String,
    /// The namespace meant where none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

impl Kubeconfig {
    /// The kubeconfig of one cluster and one user, both PEM-encoded identities inside it.
    pub fn single(name: &str, server: &str, ca_pem: &[u8], certificate_pem: &[u8], key_pem: &[u8]) -> Kubeconfig {
        let user = format!("{name}-admin");
        Kubeconfig {
            api_version: "v1".to_owned(),
            kind: "Config".to_owned(),
            current_context: name.to_owned(),
            clusters: vec![NamedCluster {
                name: name.to_owned(),
                cluster: Cluster {
                    server: server.to_owned(),
                    certificate_authority_data: Some(encode(ca_pem)),
                    ..Cluster::default()
                },
            }],
            users: vec![NamedUser {
                name: user.clone(),
                user: User {
                    client_certificate_data: Some(encode(certificate_pem)),
                    client_key_data: Some(encode(key_pem)),
                    ..User::default()
                },
            }],
            contexts: vec![NamedContext {
                name: name.to_owned(),
                context: Context { cluster: name.to_owned(), user, namespace: None },
            }],
        }
    }

    /// This one in place of what `old` says of the same cluster and user; contexts and whatever else is in `old` stay. Where `old` does
    /// not know the cluster, nothing of it stays.
    pub fn replacing(self, old: Kubeconfig) -> Kubeconfig {
        let is_here = |cluster: &NamedCluster| self.clusters.iter().any(|own| own.name == cluster.name);
        if !old.clusters.iter().any(is_here) {
            return self;
        }
        let mut kept = old;
        kept.clusters.retain(|cluster| !is_here(cluster));
        kept.users.retain(|user| !self.users.iter().any(|own| own.name == user.name));
        kept.merge(self);
        kept
    }

    /// Adds what `other` has and this one lacks; the first file wins, as with kubectl.
    pub fn merge(&mut self, other: Kubeconfig) {
        if self.current_context.is_empty() {
            self.current_context = other.current_context;
        }
        for cluster in other.clusters {
            if !self.clusters.iter().any(|known| known.name == cluster.name) {
                self.clusters.push(cluster);
            }
        }
        for user in other.users {
            if !self.users.iter().any(|known| known.name == user.name) {
                self.users.push(user);
            }
        }
        for context in other.contexts {
            if !self.contexts.iter().any(|known| known.name == context.name) {
                self.contexts.push(context);
            }
        }
    }

    /// The file's text.
    pub fn to_yaml(&self) -> String {
        let value = serde_json::to_value(self).expect("a kubeconfig holds nothing that JSON cannot");
        coracle_api::yaml::to_yaml(&value)
    }
}

fn encode(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn null_as_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
}
