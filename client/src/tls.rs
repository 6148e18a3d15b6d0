//! The client's TLS: trusts the cluster's CA only, shows the client's certificate.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::{Config, ConfigError};

pub(crate) fn client_config(config: &Config) -> Result<rustls::ClientConfig, ConfigError> {
    let mut roots = RootCertStore::empty();
    // Without a CA no server is trusted: then only plain HTTP (a test's, on loopback) works.
    let authorities = match config.ca_pem.as_slice() {
        [] => Vec::new(),
        pem => certificates(pem, "the cluster's CA certificate")?,
    };
    for certificate in authorities {
        roots.add(certificate).map_err(|error| ConfigError::Identity {
            what: "the cluster's CA certificate",
            reason: error.to_string(),
        })?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the ring provider supports the default protocol versions")
        .with_root_certificates(roots);
    Ok(match &config.identity_pem {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let what = "the client certificate's key";
            let key = PrivateKeyDer::from_pem_slice(key)
                .map_err(|error| ConfigError::Identity { what, reason: error.to_string() })?;
            builder
                .with_client_auth_cert(certificates(certificate, "the client certificate")?, key)
                .map_err(|error| ConfigError::Identity { what: "the client certificate", reason: error.to_string() })?
        }
    })
}

fn certificates(pem: &[u8], what: &'static str) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| ConfigError::Identity { what, reason: error.to_string() })?;
    if found.is_empty() {
        return Err(ConfigError::Identity { what, reason: "it holds no PEM certificate".to_owned() });
    }
    Ok(found)
}
