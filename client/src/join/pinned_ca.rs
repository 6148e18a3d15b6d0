//! Verifies servers by the hash of their cluster's CA, which they show with their own certificate.

use std::sync::Arc;

use coracle_api::join::hash;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// Trusts what the CA of one hash has signed, as any client would that has the CA.
#[derive(Debug)]
pub(super) struct PinnedCa {
    hash: String,
    provider: Arc<CryptoProvider>,
}

/// The CA is not among the certificates that the server shows.
#[derive(Debug, thiserror::Error)]
#[error("the server does not show the expected CA")]
pub(super) struct ForeignCa;

impl PinnedCa {
    pub(super) fn new(hash: String) -> PinnedCa {
        PinnedCa { hash, provider: Arc::new(rustls::crypto::ring::default_provider()) }
    }
}

/// TLS that trusts this CA, and shows no certificate.
pub(super) fn client_config(ca: PinnedCa) -> ClientConfig {
    let provider = Arc::clone(&ca.provider);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the ring provider supports the default protocol versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(ca))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

impl ServerCertVerifier for PinnedCa {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let ca = intermediates.iter().find(|certificate| hash(certificate) == self.hash);
        let ca = ca.ok_or_else(|| CertificateError::Other(OtherError(Arc::new(ForeignCa))))?;
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider)).build();
        let verifier = verifier.map_err(|error| rustls::Error::General(error.to_string()))?;
        verifier.verify_server_cert(end_entity, &[], server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use expect_test::{Expect, expect};
    use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

    use super::*;
    use crate::join::JoinError;

    fn ca() -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn server(ca: &CertifiedIssuer<'static, KeyPair>) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["10.0.0.1".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2026, 11, 20), date_time_ymd(2027, 11, 20));
        params.signed_by(&KeyPair::generate().unwrap(), ca).unwrap().der().clone()
    }

    /// What a machine says that trusts one CA, reaches a server under a name on a day, and is shown a certificate and a CA's.
    fn check(
        ca: &CertificateDer<'_>,
        shown: [&CertificateDer<'_>; 2],
        name: &str,
        day: (i32, u8, u8),
        expected: Expect,
    ) {
        let midnight = date_time_ymd(day.0, day.1, day.2).unix_timestamp().unsigned_abs();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(midnight));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let [certificate, shown] = shown.map(Clone::clone);
        let result = PinnedCa::new(hash(ca)).verify_server_cert(&certificate, &[shown], &name, &[], now);
        let text = match result {
            Ok(_) => "trusted".to_owned(),
            Err(rustls::Error::InvalidCertificate(cause)) => {
                JoinError::of_certificate("SERVER", &cause).unwrap().to_string()
            }
            Err(other) => other.to_string(),
        };
        expected.assert_eq(&text);
    }

    #[test]
    fn a_server_is_trusted_under_the_ca_that_the_token_names_alone() {
        let (own, foreign) = (ca(), ca());
        let (ours, theirs) = (server(&own), server(&foreign));
        let (own, foreign, day) = (own.der(), foreign.der(), (2026, 11, 21));
        check(own, [&ours, own], "10.0.0.1", day, expect!["trusted"]);
        check(
            own,
            [&theirs, foreign],
            "10.0.0.1",
            day,
            expect![
                "the server at SERVER belongs to another cluster than the token: its certificate is not of the CA that the token names"
            ],
        );
        check(
            own,
            [&theirs, own],
            "10.0.0.1",
            day,
            expect![
                "the server at SERVER belongs to another cluster than the token: its certificate is not of the CA that the token names"
            ],
        );
        check(
            own,
            [&ours, own],
            "10.0.0.2",
            day,
            expect![[
                r#"the server at SERVER is not known by that address: certificate not valid for name "10.0.0.2"; certificate is only valid for IpAddress(10.0.0.1)"#
            ]],
        );
        check(
            own,
            [&ours, own],
            "10.0.0.1",
            (2026, 11, 1),
            expect!["by the clock of this machine, the certificate of the server at SERVER is not valid yet"],
        );
        check(
            own,
            [&ours, own],
            "10.0.0.1",
            (2028, 11, 1),
            expect!["by the clock of this machine, the certificate of the server at SERVER has expired"],
        );
    }
}
