//! Components in registries, as the command line names them: the cluster's own registry, as whoever the kubeconfig says, and any other.

use coracle_client::Config;
use coracle_host::inspect::Inspection;
use coracle_registry::{
    CLUSTER_REGISTRY, ComponentConfig, Endpoints, PullOptions, Puller, PushTarget, Reference, push_component,
};

use crate::context::Global;
use crate::failure::{Failure, Result};

/// Pushes a component to the cluster's registry as `name[:tag]`; gives the reference by digest that every host understands.
pub(crate) async fn push(name: &str, bytes: Vec<u8>, inspection: &Inspection, global: &Global) -> Result<String> {
    let name = name.strip_prefix(CLUSTER_REGISTRY).map_or(name, |rest| rest.trim_start_matches('/'));
    if let Some((registry, _)) = name.split_once('/')
        && (registry.contains('.') || registry.contains(':') || registry == "localhost")
    {
        return Err(Failure::usage(format!("{name}: pushing goes to the cluster's own registry, not to {registry}"))
            .hint("push there with `wkg oci push` or `oras push`, then `wasmctl deploy` the reference"));
    }
    let (repository, tag) = name.split_once(':').unwrap_or((name, "latest"));
    let target = PushTarget {
        registry: endpoints(&global.config()?)?,
        credentials: None,
        repository: repository.to_owned(),
        tag: Some(tag.to_owned()),
    };
    let config = ComponentConfig {
        imports: inspection.imports.clone(),
        exports: inspection.exports.clone(),
        ..ComponentConfig::default()
    };
    let pushed =
        push_component(&target, bytes.into(), &config).await.map_err(|error| Failure::new(error.to_string()))?;
    Ok(format!("{CLUSTER_REGISTRY}/{repository}@{}", pushed.digest))
}

/// Pulls a component; gives its bytes and the digest that the reference means now.
pub(crate) async fn pull(reference: &str, global: &Global) -> Result<(Vec<u8>, String)> {
    let parsed = Reference::parse(reference).map_err(|error| Failure::usage(format!("{reference}: {error}")))?;
    let mut options = PullOptions::default();
    if parsed.is_cluster() {
        options.cluster = Some(endpoints(&global.config()?)?);
    }
    let puller = Puller::new(options);
    let dir = tempfile::tempdir()?;
    let pulled = puller
        .pull_component(&parsed, &dir.path().join("component.wasm"))
        .await
        .map_err(|error| Failure::new(error.to_string()))?;
    Ok((std::fs::read(&pulled.path)?, pulled.digest.to_string()))
}

/// The cluster's registry: each of its API servers answers for it.
fn endpoints(config: &Config) -> Result<Endpoints> {
    let servers = std::iter::once(&config.server).chain(&config.other_servers).cloned().collect();
    let tls = config.tls().map_err(|error| Failure::new(error.to_string()))?;
    Ok(Endpoints { servers, tls: Some(tls), token: config.token.clone() })
}

/// A reference with its tag replaced by the digest it meant when it was resolved.
pub(crate) fn pinned(reference: &str, digest: &str) -> String {
    let name = reference.split('@').next().unwrap_or(reference);
    let name = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    };
    format!("{name}@{digest}")
}

/// The last word of a reference's repository.
pub(crate) fn stem(reference: &str) -> String {
    let name = pinned(reference, "");
    name.trim_end_matches('@').rsplit('/').next().unwrap_or_default().to_owned()
}

/// A reference for people: the digest's first digits only.
pub(crate) fn short(image: &str) -> String {
    match image.split_once("@sha256:") {
        Some((name, digest)) => format!("{name}@sha256:{}…", &digest[..digest.len().min(8)]),
        None => image.to_owned(),
    }
}

/// A size for people: `81 KB`.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.0} KB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_pinned_and_shortened() {
        assert_eq!(pinned("127.0.0.1:5001/shop:1.2", "sha256:ab"), "127.0.0.1:5001/shop@sha256:ab");
        assert_eq!(pinned("127.0.0.1:5001/shop", "sha256:ab"), "127.0.0.1:5001/shop@sha256:ab");
        assert_eq!(pinned("example.com/a/shop:1@sha256:cd", "sha256:ab"), "example.com/a/shop@sha256:ab");
        assert_eq!(stem("example.com/a/shop:1"), "shop");
        assert_eq!(short("r/shop@sha256:0123456789"), "r/shop@sha256:01234567…");
    }
}
