//! A certificate and its key that are replaced while they are in use: connections made from then on show the new one.
//!
//! Deliberately absent: where certificates come from, and whom to trust.

mod renewal;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

pub use renewal::keep_renewed;

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// One of them is no PEM.
    #[error("the certificate or its key is no PEM: {0}")]
    Pem(rustls_pki_types::pem::Error),
    /// They don't belong together, or the key is of no kind that is known.
    #[error("the certificate and its key cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// It does not say from when to when it is good.
    #[error("the certificate cannot be read")]
    Unreadable,
}

/// From when to when a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Not before that.
    pub not_before: Timestamp,
    /// Not after that.
    pub not_after: Timestamp,
}

impl Validity {
    /// What the certificate says; `None` if it cannot be read.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Validity> {
        let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
        let validity = certificate.validity();
        Some(Validity {
            not_before: Timestamp::from_second(validity.not_before.timestamp()).ok()?,
            not_after: Timestamp::from_second(validity.not_after.timestamp()).ok()?,
        })
    }

    /// How long that is from now; zero if it is over.
    fn left(&self, now: Timestamp) -> Duration {
        self.not_after.duration_since(now).try_into().unwrap_or(Duration::ZERO)
    }

    /// When this share (0 to 1) of its time is over.
    fn after_share(&self, share: f64) -> Timestamp {
        let whole = self.not_after.duration_since(self.not_before);
        self.not_before.saturating_add(whole.mul_f64(share)).unwrap_or(self.not_after)
    }
}

/// Waits until a certificate is over; for ever where there is none.
pub async fn until_expired(certificate: Option<&CertificateDer<'_>>, now: Timestamp) {
    match certificate.and_then(Validity::of) {
        Some(validity) => tokio::time::sleep(validity.left(now)).await,
        None => std::future::pending().await,
    }
}

/// A certificate and its key, both for servers and for clients. Connections keep the one that they were made with.
#[derive(Debug)]
pub struct RotatingIdentity {
    current: ArcSwap<Current>,
    share: f64,
}

#[derive(Debug)]
struct Current {
    key: Arc<CertifiedKey>,
    validity: Validity,
}

impl Current {
    fn from_pem(certificates_pem: &[u8], key_pem: &[u8]) -> Result<Current, IdentityError> {
        let certificates: Vec<_> =
            CertificateDer::pem_slice_iter(certificates_pem).collect::<Result<_, _>>().map_err(IdentityError::Pem)?;
        let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(IdentityError::Pem)?;
        let validity = certificates.first().and_then(Validity::of).ok_or(IdentityError::Unreadable)?;
        let key = CertifiedKey::from_der(certificates, key, &rustls::crypto::ring::default_provider())?;
        Ok(Current { key: Arc::new(key), validity })
    }
}

impl RotatingIdentity {
    /// A certificate chain, its own certificate first, and the key. It should be renewed when this `share` (0 to 1) of its time is over:
    /// chosen at random, so that not everybody asks at once.
    pub fn new(certificates_pem: &[u8], key_pem: &[u8], share: f64) -> Result<Arc<RotatingIdentity>, IdentityError> {
        let current = ArcSwap::from_pointee(Current::from_pem(certificates_pem, key_pem)?);
        Ok(Arc::new(RotatingIdentity { current, share }))
    }

    /// Puts another in its place, or leaves it as it is.
    pub fn replace(&self, certificates_pem: &[u8], key_pem: &[u8]) -> Result<(), IdentityError> {
        self.current.store(Arc::new(Current::from_pem(certificates_pem, key_pem)?));
        Ok(())
    }

    /// From when to when it is good.
    pub fn validity(&self) -> Validity {
        self.current.load().validity
    }

    /// When it should be renewed.
    pub fn renewal(&self) -> Timestamp {
        self.validity().after_share(self.share)
    }

    /// Its figures for `/metrics`, in Prometheus' text form, under this name.
    pub fn render(&self, name: &str, text: &mut String) {
        let figures = [
            ("coracle_certificate_expiration_seconds", self.validity().not_after),
            ("coracle_certificate_renewal_seconds", self.renewal()),
        ];
        for (figure, time) in figures {
            let seconds = time.as_second();
            text.push_str(&format!("# TYPE {figure} gauge\n{figure}{{certificate=\"{name}\"}} {seconds}\n"));
        }
    }
}

impl ResolvesServerCert for RotatingIdentity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load().key.clone())
    }
}

impl ResolvesClientCert for RotatingIdentity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load().key.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
