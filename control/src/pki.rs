//! The cluster's CA, kept in a folder, and the certificates it issues.
//!
//! Deliberately absent: revocation. Certificates last a year and are issued anew at every start.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SerialNumber, date_time_ymd,
};
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::private_file;

const CA_CERTIFICATE: &str = "ca.crt";
const CA_KEY: &str = "ca.key";
const CA_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 3650);
const CERTIFICATE_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 365);
/// How much earlier than now a certificate begins, for clocks that are behind.
const GRACE: SignedDuration = SignedDuration::from_hours(24);
/// The same for one that a client asked for, which renews it after a part of its time.
const SIGNING_GRACE: SignedDuration = SignedDuration::from_mins(5);

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

/// A request for a certificate, its signature checked.
pub(crate) struct Signable(CertificateSigningRequestParams);

impl Signable {
    pub(crate) fn from_pem(pem: &str) -> Result<Signable, PkiError> {
        Ok(Signable(CertificateSigningRequestParams::from_pem(pem)?))
    }

    /// The common name and the organisations it asks for.
    pub(crate) fn subject(&self) -> (Option<String>, Vec<String>) {
        let text = |value: &DnValue| match value {
            DnValue::Utf8String(text) => text.clone(),
            DnValue::PrintableString(text) => text.as_str().to_owned(),
            other => format!("{other:?}"),
        };
        let subject = &self.0.params.distinguished_name;
        let organisations = subject.iter().filter(|(kind, _)| **kind == DnType::OrganizationName);
        (subject.get(&DnType::CommonName).map(text), organisations.map(|(_, value)| text(value)).collect())
    }

    pub(crate) fn has_alternative_names(&self) -> bool {
        !self.0.params.subject_alt_names.is_empty()
    }
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
        self.issue(host_params(node, names)?)
    }

    /// A client's certificate for the key and subject of a request, nothing else of which is taken over.
    pub(crate) fn sign_client(
        &self,
        signable: Signable,
        lifetime: SignedDuration,
        now: Timestamp,
    ) -> Result<String, PkiError> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name = signable.0.params.distinguished_name.clone();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        date(&mut params, now, SIGNING_GRACE, lifetime);
        self.sign(signable, params)
    }

    /// A host's certificate, as [`Pki::issue_host`] makes them, for the key of a request, nothing else of which is taken over.
    pub(crate) fn sign_host(
        &self,
        signable: Signable,
        node: &str,
        names: &[String],
        now: Timestamp,
    ) -> Result<String, PkiError> {
        let mut params = host_params(node, names)?;
        date(&mut params, now, SIGNING_GRACE, CERTIFICATE_LIFETIME);
        self.sign(signable, params)
    }

    fn sign(&self, signable: Signable, mut params: CertificateParams) -> Result<String, PkiError> {
        let mut request = signable.0;
        set_common(&mut params);
        request.params = params;
        Ok(request.signed_by(&self.issuer)?.pem())
    }

    fn issue(&self, mut params: CertificateParams) -> Result<Identity, PkiError> {
        date(&mut params, self.now, GRACE, CERTIFICATE_LIFETIME);
        set_common(&mut params);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Identity { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }

    /// A server's TLS: clients may show a certificate of this CA, and one of another CA is refused. The server shows the CA's
    /// certificate as well, so that a machine that joins can tell by the hash in its token whose server this is.
    pub fn server_config(&self, identity: &Identity) -> Result<ServerConfig, PkiError> {
        let provider = provider();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(self.roots()?), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .map_err(|error| PkiError::Identity(error.to_string()))?;
        let (mut certificates, key) = identity.parse()?;
        certificates.push(self.ca()?);
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
        roots.add(self.ca()?)?;
        Ok(roots)
    }

    fn ca(&self) -> Result<CertificateDer<'static>, PkiError> {
        CertificateDer::from_pem_slice(self.ca_pem.as_bytes()).map_err(|error| PkiError::Identity(error.to_string()))
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
    date(&mut params, now, GRACE, CA_LIFETIME);
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

fn host_params(node: &str, names: &[String]) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::new(names.to_vec())?;
    let user = format!("{}{node}", crate::authorizer::NODE_PREFIX);
    params.distinguished_name = distinguished_name(&user, Some(crate::authorizer::NODES));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

/// What all certificates but the CA's have in common.
fn set_common(params: &mut CertificateParams) {
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(SerialNumber::from(uuid::Uuid::new_v4().into_bytes().to_vec()));
}

/// Says from when and until when a certificate is good, to the second.
fn date(params: &mut CertificateParams, now: Timestamp, grace: SignedDuration, lifetime: SignedDuration) {
    let moment = |after: SignedDuration| {
        let at = now.saturating_add(after).unwrap_or(Timestamp::MAX).to_zoned(jiff::tz::TimeZone::UTC);
        let seconds = 60 * (60 * i64::from(at.hour()) + i64::from(at.minute())) + i64::from(at.second());
        date_time_ymd(at.year().into(), at.month().unsigned_abs(), at.day().unsigned_abs())
            + Duration::from_secs(seconds.unsigned_abs())
    };
    params.not_before = moment(-grace);
    params.not_after = moment(lifetime);
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
