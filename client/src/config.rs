//! Which cluster, and as whom: found in a kubeconfig, resolved to bytes.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use serde_json::Value;

use crate::kubeconfig::{Cluster, EXTENSION, Kubeconfig, NamedCluster, User};

/// Everything needed to speak to one cluster.
#[derive(Clone)]
pub struct Config {
    /// `https://host:port`, without a final slash.
    pub server: String,
    /// Other servers of the cluster, which are asked in turn when the one before can't be reached.
    pub other_servers: Vec<String>,
    /// The cluster CA's certificates, PEM. Nothing else is trusted.
    pub ca_pem: Vec<u8>,
    /// The client's certificate chain and key, PEM.
    pub identity_pem: Option<(Vec<u8>, Vec<u8>)>,
    /// A bearer token.
    pub token: Option<String>,
    /// The namespace meant where none is given.
    pub namespace: String,
    /// The context's name, for messages.
    pub context: String,
    /// What else the kubeconfig says of the cluster, such as `extensions`.
    pub cluster: serde_json::Map<String, Value>,
}

/// Why no configuration could be had.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// None of the places searched holds a kubeconfig.
    #[error("no kubeconfig found; looked at {searched}")]
    Missing {
        /// The places.
        searched: String,
    },
    /// A file cannot be read.
    #[error("cannot read {path}: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// A file is not a kubeconfig.
    #[error("{path} is not a kubeconfig: {reason}")]
    Malformed {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// A field is missing, dangling or not supported.
    #[error("{path}: {reason}")]
    Unusable {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// A certificate or key is not what it should be.
    #[error("{what} cannot be used: {reason}")]
    Identity {
        /// Which one.
        what: &'static str,
        /// Why.
        reason: String,
    },
}

impl ConfigError {
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            ConfigError::Missing { .. } => Some(
                "start a cluster with `wasmctl up`, or name a kubeconfig with --kubeconfig or $KUBECONFIG".to_owned(),
            ),
            _ => None,
        }
    }
}

/// `$XDG_DATA_HOME/coracle`, else `~/.local/share/coracle`.
pub fn default_data_dir() -> PathBuf {
    let base = match std::env::var_os("XDG_DATA_HOME").filter(|dir| !dir.is_empty()) {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".local/share"),
    };
    base.join("coracle")
}

impl Config {
    /// The kubeconfig named, else `$KUBECONFIG` (files separated by `:`), else the default data directory's.
    pub fn load(explicit: Option<&Path>) -> Result<Config, ConfigError> {
        if let Some(path) = explicit {
            return Config::from_files(&[path.to_owned()]);
        }
        if let Some(list) = std::env::var_os("KUBECONFIG").filter(|list| !list.is_empty()) {
            let paths: Vec<PathBuf> =
                std::env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()).collect();
            let present: Vec<PathBuf> = paths.iter().filter(|path| path.exists()).cloned().collect();
            if present.is_empty() {
                return Err(ConfigError::Missing { searched: format!("$KUBECONFIG={}", list.to_string_lossy()) });
            }
            return Config::from_files(&present);
        }
        let path = default_data_dir().join("kubeconfig");
        if !path.exists() {
            return Err(ConfigError::Missing { searched: format!("$KUBECONFIG (not set) and {}", path.display()) });
        }
        Config::from_files(&[path])
    }

    /// How its servers are spoken to: trusts the cluster's CA only, and shows the client's certificate.
    pub fn tls(&self) -> Result<rustls::ClientConfig, ConfigError> {
        crate::tls::client_config(self)
    }

    /// The current context of these files, merged; the first wins.
    pub fn from_files(paths: &[PathBuf]) -> Result<Config, ConfigError> {
        let mut merged = Kubeconfig::default();
        for path in paths {
            merged.merge(read(path)?);
        }
        let name = paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(":");
        Config::from_kubeconfig(&merged, &name)
    }

    /// The current context of `kubeconfig`; `path` is its name in messages.
    pub fn from_kubeconfig(kubeconfig: &Kubeconfig, path: &str) -> Result<Config, ConfigError> {
        let unusable = |reason: String| ConfigError::Unusable { path: path.to_owned(), reason };
        let context_name = match kubeconfig.current_context.as_str() {
            "" if kubeconfig.contexts.len() == 1 => kubeconfig.contexts[0].name.as_str(),
            "" => return Err(unusable("current-context is not set".to_owned())),
            name => name,
        };
        let context = &kubeconfig
            .contexts
            .iter()
            .find(|context| context.name == context_name)
            .ok_or_else(|| unusable(format!("there is no context {context_name:?}")))?
            .context;
        let cluster = kubeconfig.clusters.iter().find(|cluster| cluster.name == context.cluster).ok_or_else(|| {
            unusable(format!("context {context_name:?} names cluster {:?}, which is not there", context.cluster))
        })?;
        refuse_unsupported(cluster).map_err(&unusable)?;
        let user = match kubeconfig.users.iter().find(|user| user.name == context.user) {
            Some(user) => &user.user,
            None if context.user.is_empty() => &User::default(),
            None => {
                return Err(unusable(format!(
                    "context {context_name:?} names user {:?}, which is not there",
                    context.user
                )));
            }
        };
        if let Some(field) =
            ["exec", "auth-provider", "username"].into_iter().find(|field| user.other.contains_key(*field))
        {
            return Err(unusable(format!(
                "user {:?} authenticates by {field}, which is not supported; use a client certificate or a token",
                context.user
            )));
        }
        let server = cluster.cluster.server.trim_end_matches('/').to_owned();
        if !server.starts_with("https://") {
            return Err(unusable(format!("server {server:?} must begin with https://")));
        }
        let file = |data: &Option<String>, file: &Option<String>, field: &str| pem(data, file, field, path);
        let cluster = &cluster.cluster;
        let ca_pem =
            file(&cluster.certificate_authority_data, &cluster.certificate_authority, "certificate-authority")?
                .ok_or_else(|| unusable("the cluster has no certificate-authority-data".to_owned()))?;
        let certificate = file(&user.client_certificate_data, &user.client_certificate, "client-certificate")?;
        let key = file(&user.client_key_data, &user.client_key, "client-key")?;
        let token = match (&user.token, &user.token_file) {
            (Some(token), _) => Some(token.clone()),
            (None, Some(file)) => Some(String::from_utf8_lossy(&read_beside(file, path)?).trim().to_owned()),
            (None, None) => None,
        };
        Ok(Config {
            other_servers: other_servers(cluster, &server),
            server,
            ca_pem,
            identity_pem: certificate.zip(key),
            token,
            namespace: context
                .namespace
                .clone()
                .filter(|namespace| !namespace.is_empty())
                .unwrap_or_else(|| "default".to_owned()),
            context: context_name.to_owned(),
            cluster: cluster.other.clone(),
        })
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Credentials stay out of logs.
        formatter
            .debug_struct("Config")
            .field("server", &self.server)
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<Kubeconfig, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError::Unreadable { path: path.display().to_string(), reason: error.to_string() })?;
    parse(&text, path)
}

fn parse(text: &str, path: &Path) -> Result<Kubeconfig, ConfigError> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| ConfigError::Malformed { path: path.display().to_string(), reason: error.to_string() })
}

/// The other servers that a cluster's entry names in our extension.
fn other_servers(cluster: &Cluster, server: &str) -> Vec<String> {
    let extensions = cluster.other.get("extensions").and_then(Value::as_array);
    let ours = extensions.into_iter().flatten().filter(|entry| entry["name"] == EXTENSION);
    let servers = ours.filter_map(|entry| entry["extension"]["servers"].as_array()).flatten().filter_map(Value::as_str);
    servers.filter(|other| other.starts_with("https://") && *other != server).map(str::to_owned).collect()
}

fn refuse_unsupported(cluster: &NamedCluster) -> Result<(), String> {
    for field in ["insecure-skip-tls-verify", "tls-server-name", "proxy-url"] {
        match cluster.cluster.other.get(field) {
            None | Some(Value::Bool(false) | Value::Null) => {}
            Some(_) => return Err(format!("cluster {:?} sets {field}, which is not supported", cluster.name)),
        }
    }
    Ok(())
}

fn pem(data: &Option<String>, file: &Option<String>, field: &str, path: &str) -> Result<Option<Vec<u8>>, ConfigError> {
    match (data, file) {
        (Some(data), _) => base64::engine::general_purpose::STANDARD.decode(data.trim()).map(Some).map_err(|error| {
            ConfigError::Unusable { path: path.to_owned(), reason: format!("{field}-data is not base64: {error}") }
        }),
        (None, Some(file)) => read_beside(file, path).map(Some),
        (None, None) => Ok(None),
    }
}

/// Relative files are relative to the kubeconfig.
fn read_beside(file: &str, kubeconfig: &str) -> Result<Vec<u8>, ConfigError> {
    let path = Path::new(kubeconfig).parent().unwrap_or(Path::new("")).join(file);
    std::fs::read(&path)
        .map_err(|error| ConfigError::Unreadable { path: path.display().to_string(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(yaml: &str, expected: Expect) {
        let kubeconfig: Kubeconfig = serde_saphyr::from_str(yaml).unwrap();
        let text = match Config::from_kubeconfig(&kubeconfig, "kc") {
            Ok(config) => format!(
                "{} ns={} ca={:?} identity={:?} token={:?}",
                config.server,
                config.namespace,
                String::from_utf8_lossy(&config.ca_pem),
                config.identity_pem.map(|(certificate, key)| (String::from_utf8(certificate).unwrap(), key.len())),
                config.token
            ),
            Err(error) => format!("error: {error}"),
        };
        expected.assert_eq(&text);
    }

    #[test]
    fn contexts_resolve_or_say_what_is_missing() {
        let cluster = "clusters: [{name: c, cluster: {server: 'https://h:1/', certificate-authority-data: Y2E=}}]\n";
        let users = "users: [{name: u, user: {client-certificate-data: Y2VydA==, client-key-data: a2V5}}]\n";
        let context = "current-context: x\ncontexts: [{name: x, context: {cluster: c, user: u, namespace: team}}]\n";
        check(
            &format!("{cluster}{users}{context}"),
            expect![[r#"https://h:1 ns=team ca="ca" identity=Some(("cert", 3)) token=None"#]],
        );
        check(
            &format!("{cluster}{context}users: null"),
            expect![[r#"error: kc: context "x" names user "u", which is not there"#]],
        );
        check(
            &format!("{users}{context}"),
            expect![[r#"error: kc: context "x" names cluster "c", which is not there"#]],
        );
        check(cluster, expect!["error: kc: current-context is not set"]);
        check(&format!("{cluster}current-context: y"), expect![[r#"error: kc: there is no context "y""#]]);
        let exec = "users: [{name: u, user: {exec: {command: aws}}}]\n";
        check(
            &format!("{cluster}{exec}{context}"),
            expect![[
                r#"error: kc: user "u" authenticates by exec, which is not supported; use a client certificate or a token"#
            ]],
        );
        let insecure = "clusters: [{name: c, cluster: {server: 'https://h:1', insecure-skip-tls-verify: true}}]\n";
        check(
            &format!("{insecure}{users}{context}"),
            expect![[r#"error: kc: cluster "c" sets insecure-skip-tls-verify, which is not supported"#]],
        );
        let plain = "clusters: [{name: c, cluster: {server: 'http://h:1'}}]\n";
        check(
            &format!("{plain}{users}{context}"),
            expect![[r#"error: kc: server "http://h:1" must begin with https://"#]],
        );
    }

    #[test]
    fn other_servers_are_in_our_extension_and_what_is_written_anew_keeps_contexts() {
        let named = |server: &str, others: &[&str]| {
            let mut kubeconfig = Kubeconfig::single("otter", server, b"ca", b"cert", b"key");
            let extension = serde_json::json!([
                { "name": "someone.else", "extension": { "servers": ["https://other:1"] } },
                { "name": EXTENSION, "extension": { "servers": others } },
            ]);
            kubeconfig.clusters[0].cluster.other.insert("extensions".to_owned(), extension);
            kubeconfig
        };
        let mut first = named("https://a:1", &["https://a:1", "https://b:1", "b:2"]);
        let config = Config::from_kubeconfig(&first, "kc").unwrap();
        assert_eq!((config.server.as_str(), config.other_servers), ("https://a:1", vec!["https://b:1".to_owned()]));
        first.merge(Kubeconfig::single("crane", "https://c:1", b"ca", b"cert", b"key"));
        first.contexts[0].context.namespace = Some("team".to_owned());
        first.current_context = "crane".to_owned();
        let again = named("https://a:2", &["https://d:1"]).replacing(first);
        assert_eq!((again.current_context.as_str(), again.contexts.len()), ("crane", 2));
        let config =
            Config::from_kubeconfig(&Kubeconfig { current_context: "otter".to_owned(), ..again }, "kc").unwrap();
        expect![[r#"https://a:2 ["https://d:1"] team"#]]
            .assert_eq(&format!("{} {:?} {}", config.server, config.other_servers, config.namespace));
    }

    #[test]
    fn a_written_kubeconfig_reads_back() {
        let yaml = Kubeconfig::single("quiet-otter", "https://127.0.0.1:6443", b"ca", b"cert", b"key").to_yaml();
        check(&yaml, expect![[r#"https://127.0.0.1:6443 ns=default ca="ca" identity=Some(("cert", 3)) token=None"#]]);
    }

    #[test]
    fn what_is_not_a_kubeconfig_is_said_in_a_line() {
        let check = |text: &str, expected: Expect| {
            expected.assert_eq(&parse(text, Path::new("kc")).err().unwrap().to_string());
        };
        check("a: [b", expect!["kc is not a kubeconfig: unclosed bracket '[' at line 1, column 4"]);
        check("clusters: 3", expect!["kc is not a kubeconfig: expected sequence start at line 1, column 11"]);
    }
}
