//! The cluster's CA, kept in a folder, and the certificates it issues.
//!
//! Deliberately absent: revocation. Certificates last a year and are issued anew at every start.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SerialNumber, date_time_ymd,
};
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::private_file;

const CA_CERTIFICATE: &str = "ca.crt";
const CA_KEY: &str = "ca.key";
const CA_DAYS: i64 = 3650;
const CERTIFICATE_DAYS: i64 = 365;

/// Why certificates can't be made or read.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file can't be read or written.
    #[error("{path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The certificate is there without its key.
    #[error(
        "{missing} is missing beside {found}: restore it, or remove both to make a new CA (every kubeconfig must then be fetched anew)"
    )]
    Half {
        /// What is missing.
        missing: PathBuf,
        /// What is there.
        found: PathBuf,
    },
    /// What is stored is no CA.
    #[error(
        "{path} is damaged: restore it, or remove {dir} to make a new CA (every kubeconfig must then be fetched anew)"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Its folder.
        dir: PathBuf,
        /// Why.
        source: rcgen::Error,
    },
    /// A certificate can't be made.
    #[error("a certificate cannot be issued")]
    Issue(#[from] rcgen::Error),
    /// A TLS configuration can't be made.
    #[error("the TLS configuration is refused")]
    Tls(#[from] rustls::Error),
    /// An identity is no PEM.
    #[error("the identity is damaged: {0}")]
    Identity(String),
}

/// A certificate and its key, both PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate_pem: String,
    /// The private key.
    pub key_pem: String,
}

/// The CA.
pub struct Pki {
    issuer: Issuer<'static, KeyPair>,
    ca_pem: String,
    now: Timestamp,
}

impl Pki {
    /// The CA in this folder; made when the folder has none. `now` dates what is issued.
    pub fn open_or_create(dir: &Path, now: Timestamp) -> Result<Pki, PkiError> {
        let (certificate_path, key_path) = (dir.join(CA_CERTIFICATE), dir.join(CA_KEY));
        match (certificate_path.exists(), key_path.exists()) {
            (true, true) => {}
            (false, _) => create(dir, &certificate_path, &key_path, now)?,
            (true, false) => return Err(PkiError::Half { missing: key_path, found: certificate_path }),
        }
        let damaged = |path: &Path| {
            let (path, dir) = (path.to_owned(), dir.to_owned());
            |source| PkiError::Damaged { path, dir, source }
        };
        let ca_pem = read(&certificate_path)?;
        let key = KeyPair::from_pem(&read(&key_path)?).map_err(damaged(&key_path))?;
        let issuer = Issuer::from_ca_cert_pem(&ca_pem, key).map_err(damaged(&certificate_path))?;
        Ok(Pki { issuer, ca_pem, now })
    }

    /// The CA's certificate.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// A certificate for a server that is reached under these names and addresses.
    pub fn issue_server(&self, names: &[String]) -> Result<Identity, PkiError> {
        let mut params = CertificateParams::new(names.to_vec())?;
        params.distinguished_name = distinguished_name("coracle", None);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params)
    }

    /// A certificate for a user of one group.
    pub fn issue_client(&self, user: &str, group: &str) -> Result<Identity, PkiError> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name = distinguished_name(user, Some(group));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params)
    }

    /// The administrator's certificate.
    pub fn issue_admin(&self) -> Result<Identity, PkiError> {
        self.issue_client("admin", crate::authorizer::MASTERS)
    }

    /// A host's certificate: it proves the host's name to the API server, and its addresses to those who fetch logs.
    pub fn issue_host(&self, node: &str, names: &[String]) -> Result<Identity, PkiError> {
        let mut params = CertificateParams::new(names.to_vec())?;
        let user = format!("{}{node}", crate::authorizer::NODE_PREFIX);
        params.distinguished_name = distinguished_name(&user, Some(crate::authorizer::NODES));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params)
    }

    fn issue(&self, mut params: CertificateParams) -> Result<Identity, PkiError> {
        date(&mut params, self.now, CERTIFICATE_DAYS);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(SerialNumber::from(uuid::Uuid::new_v4().into_bytes().to_vec()));
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Identity { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }

    /// A server's TLS: clients may show a certificate of this CA, and one of another CA is refused.
    pub fn server_config(&self, identity: &Identity) -> Result<ServerConfig, PkiError> {
        let provider = provider();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(self.roots()?), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .map_err(|error| PkiError::Identity(error.to_string()))?;
        let (certificates, key) = identity.parse()?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(certificates, key)?;
        Ok(config)
    }

    /// A client's TLS: it shows the identity, and trusts servers of this CA only.
    pub fn client_config(&self, identity: &Identity) -> Result<ClientConfig, PkiError> {
        let (certificates, key) = identity.parse()?;
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(self.roots()?)
            .with_client_auth_cert(certificates, key)?;
        Ok(config)
    }

    fn roots(&self) -> Result<RootCertStore, PkiError> {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_slice(self.ca_pem.as_bytes())
            .map_err(|error| PkiError::Identity(error.to_string()))?;
        roots.add(certificate)?;
        Ok(roots)
    }
}

impl Identity {
    fn parse(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), PkiError> {
        let damaged = |error: rustls_pki_types::pem::Error| PkiError::Identity(error.to_string());
        let certificates = CertificateDer::pem_slice_iter(self.certificate_pem.as_bytes()).collect::<Result<_, _>>();
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).map_err(damaged)?;
        Ok((certificates.map_err(damaged)?, key))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn create(dir: &Path, certificate_path: &Path, key_path: &Path, now: Timestamp) -> Result<(), PkiError> {
    fs::create_dir_all(dir).map_err(|source| PkiError::File { path: dir.to_owned(), source })?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = distinguished_name("coracle-ca", None);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    date(&mut params, now, CA_DAYS);
    // A key without a certificate is what a crash here leaves behind.
    let key = if key_path.exists() {
        let damaged = |source| PkiError::Damaged { path: key_path.to_owned(), dir: dir.to_owned(), source };
        KeyPair::from_pem(&read(key_path)?).map_err(damaged)?
    } else {
        KeyPair::generate()?
    };
    let certificate = params.self_signed(&key)?;
    write_private(key_path, &key.serialize_pem())?;
    write_private(certificate_path, &certificate.pem())
}

fn date(params: &mut CertificateParams, now: Timestamp, days: i64) {
    let day = |at: Timestamp| {
        let date = at.to_zoned(jiff::tz::TimeZone::UTC).date();
        date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    let after = |days: i64| now.saturating_add(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MAX);
    // A day of grace for clocks that are behind.
    params.not_before = day(after(-1));
    params.not_after = day(after(days));
}

fn distinguished_name(name: &str, organisation: Option<&str>) -> DistinguishedName {
    let mut distinguished_name = DistinguishedName::new();
    if let Some(organisation) = organisation {
        distinguished_name.push(DnType::OrganizationName, organisation);
    }
    distinguished_name.push(DnType::CommonName, name);
    distinguished_name
}

fn read(path: &Path) -> Result<String, PkiError> {
    fs::read_to_string(path).map_err(|source| PkiError::File { path: path.to_owned(), source })
}

fn write_private(path: &Path, text: &str) -> Result<(), PkiError> {
    private_file::write(path, text.as_bytes()).map_err(|source| PkiError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
