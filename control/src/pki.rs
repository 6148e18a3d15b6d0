//! The cluster's CA, kept in a folder, and the certificates it issues.
//!
//! Deliberately absent: lists of what is revoked. Certificates are short-lived, and renewed before they end (`crate::identities`); that of a host
//! that joined ends with its Node (`crate::authentication::host`).

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use coracle_net::identity::{IdentityError, RotatingIdentity};
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SerialNumber, date_time_ymd,
};
use rustls::crypto::CryptoProvider;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::authentication::UID_OID;
use crate::{Clock, private_file};

const CA_CERTIFICATE: &str = "ca.crt";
const CA_KEY: &str = "ca.key";
const CA_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 3650);
/// How long the administrator's certificate lasts, which is in files that people copy.
pub const ADMIN_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 365);
/// How long those of machines last unless a cluster wants it otherwise.
pub const CERTIFICATE_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 7);
/// How much earlier than now a certificate begins, for clocks that are behind: no more than it lasts.
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
    /// A certificate and its key can't be shown.
    #[error("the identity cannot be used")]
    Unusable(#[from] IdentityError),
}

/// A certificate and its key, both PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate, and those above it that are shown with it.
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
    clock: Arc<dyn Clock>,
    lifetime: SignedDuration,
}

impl Pki {
    /// The CA in this folder; made when the folder has none. The clock dates what is issued, and machines' certificates last for
    /// `lifetime`.
    pub fn open_or_create(dir: &Path, clock: Arc<dyn Clock>, lifetime: SignedDuration) -> Result<Pki, PkiError> {
        let (certificate_path, key_path) = (dir.join(CA_CERTIFICATE), dir.join(CA_KEY));
        match (certificate_path.exists(), key_path.exists()) {
            (true, true) => {}
            (false, _) => create(dir, &certificate_path, &key_path, clock.now())?,
            (true, false) => return Err(PkiError::Half { missing: key_path, found: certificate_path }),
        }
        let damaged = |path: &Path| {
            let (path, dir) = (path.to_owned(), dir.to_owned());
            |source| PkiError::Damaged { path, dir, source }
        };
        let ca_pem = read(&certificate_path)?;
        let key = KeyPair::from_pem(&read(&key_path)?).map_err(damaged(&key_path))?;
        let issuer = Issuer::from_ca_cert_pem(&ca_pem, key).map_err(damaged(&certificate_path))?;
        Ok(Pki { issuer, ca_pem, clock, lifetime })
    }

    /// The CA's certificate.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// A certificate for a server that is reached under these names and addresses, and the CA's, so that a machine that joins can
    /// tell by the hash in its token whose server this is.
    pub fn issue_server(&self, names: &[String]) -> Result<Identity, PkiError> {
        let mut params = CertificateParams::new(names.to_vec())?;
        params.distinguished_name = distinguished_name("coracle", None);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let mut identity = self.issue(params, self.lifetime)?;
        identity.certificate_pem.push_str(&self.ca_pem);
        Ok(identity)
    }

    /// A certificate for a user of one group.
    pub fn issue_client(&self, user: &str, group: &str) -> Result<Identity, PkiError> {
        self.issue(client_params(user, group)?, self.lifetime)
    }

    /// The administrator's certificate.
    pub fn issue_admin(&self) -> Result<Identity, PkiError> {
        self.issue(client_params("admin", crate::authorizer::MASTERS)?, ADMIN_LIFETIME)
    }

    /// A host's certificate: it proves the host's name to the API server, and its addresses to those who fetch logs. It outlasts the
    /// host's Node, so it is for processes that have the CA.
    pub fn issue_host(&self, node: &str, names: &[String]) -> Result<Identity, PkiError> {
        self.issue(host_params(node, "", names)?, self.lifetime)
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

    /// A host's certificate for the key of a request, nothing else of which is taken over. It is good as long as there is a Node of
    /// this name and uid.
    pub(crate) fn sign_host(
        &self,
        signable: Signable,
        node: &str,
        uid: &str,
        names: &[String],
    ) -> Result<String, PkiError> {
        let mut params = host_params(node, uid, names)?;
        self.date(&mut params, self.lifetime);
        self.sign(signable, params)
    }

    /// The same for the names and addresses of a certificate that the host has.
    pub(crate) fn renew_host(
        &self,
        signable: Signable,
        node: &str,
        uid: &str,
        certificate: &CertificateDer<'_>,
    ) -> Result<String, PkiError> {
        self.sign_host(signable, node, uid, &alternative_names(certificate)?)
    }

    fn sign(&self, signable: Signable, mut params: CertificateParams) -> Result<String, PkiError> {
        let mut request = signable.0;
        set_common(&mut params);
        request.params = params;
        Ok(request.signed_by(&self.issuer)?.pem())
    }

    fn issue(&self, mut params: CertificateParams, lifetime: SignedDuration) -> Result<Identity, PkiError> {
        self.date(&mut params, lifetime);
        set_common(&mut params);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Identity { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }

    fn date(&self, params: &mut CertificateParams, lifetime: SignedDuration) {
        date(params, self.clock.now(), GRACE.min(lifetime), lifetime);
    }

    /// A server's TLS: clients may show a certificate of this CA, and one of another CA is refused. No session is resumed: that would
    /// go by certificates of the past.
    pub fn server_config(&self, identity: Arc<RotatingIdentity>) -> Result<ServerConfig, PkiError> {
        let provider = provider();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(self.roots()?), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .map_err(|error| PkiError::Identity(error.to_string()))?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(identity);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    /// A client's TLS: it shows the identity, and trusts servers of this CA only.
    pub fn client_config(&self, identity: Arc<RotatingIdentity>) -> Result<ClientConfig, PkiError> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(self.roots()?)
            .with_client_cert_resolver(identity);
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
    /// Shown by connections, to be renewed when a `share` of its time is over.
    pub fn rotating(&self, share: f64) -> Result<Arc<RotatingIdentity>, PkiError> {
        let (certificate, key) = (self.certificate_pem.as_bytes(), self.key_pem.as_bytes());
        Ok(RotatingIdentity::new(certificate, key, share)?)
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

fn client_params(user: &str, group: &str) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = distinguished_name(user, Some(group));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

fn host_params(node: &str, uid: &str, names: &[String]) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::new(names.to_vec())?;
    let user = format!("{}{node}", crate::authorizer::NODE_PREFIX);
    params.distinguished_name = distinguished_name(&user, Some(crate::authorizer::NODES));
    if !uid.is_empty() {
        params.distinguished_name.push(DnType::CustomDnType(UID_OID.to_vec()), uid);
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

/// The names and addresses that a certificate of ours is for.
fn alternative_names(certificate: &CertificateDer<'_>) -> Result<Vec<String>, PkiError> {
    let damaged = |cause: &str| PkiError::Identity(cause.to_owned());
    let (_, certificate) = X509Certificate::from_der(certificate).map_err(|error| damaged(&error.to_string()))?;
    let found = certificate.subject_alternative_name().map_err(|error| damaged(&error.to_string()))?;
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Ok((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
            (Ok(bytes), _) => Ok(IpAddr::from(bytes).to_string()),
            (_, Ok(bytes)) => Ok(IpAddr::from(bytes).to_string()),
            _ => Err(damaged("it is for an address that is none")),
        },
        _ => Err(damaged("it is for something that is neither a name nor an address")),
    };
    found.into_iter().flat_map(|found| &found.value.general_names).map(name).collect()
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
