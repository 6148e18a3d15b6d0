//! Keeps a host's certificate good: makes a new key, asks an API server for a certificate for it, and keeps both before they are shown.

use std::sync::Arc;

use coracle_api::renewal::{Answer, PATH, Request};
use coracle_client::Client;
use coracle_net::identity::{RotatingIdentity, keep_renewed};
use rcgen::{CertificateParams, KeyPair};

use super::{JOIN_AGAIN, MembershipFile};
use crate::context::now;
use crate::failure::{Failure, Result};

/// A new key, and the request that a server signs a certificate for it. What the certificate says is the server's business.
pub(super) struct KeyRequest {
    pub(super) key_pem: String,
    pub(super) signing_request: String,
}

impl KeyRequest {
    pub(super) fn new() -> Result<KeyRequest> {
        let make = || -> std::result::Result<KeyRequest, rcgen::Error> {
            let key = KeyPair::generate()?;
            let signing_request = CertificateParams::new(Vec::new())?.serialize_request(&key)?.pem()?;
            Ok(KeyRequest { key_pem: key.serialize_pem(), signing_request })
        };
        make().map_err(|error| Failure::new(format!("no key can be made: {error}")))
    }
}

/// Renews the certificate before it ends, for ever. It is kept in the file, if there is one.
pub(super) async fn keep(client: Client, certificate: Arc<RotatingIdentity>, file: Option<Arc<MembershipFile>>) {
    let renew = || renew(client.clone(), certificate.clone(), file.clone());
    keep_renewed("host", certificate.clone(), now, renew).await;
}

async fn renew(client: Client, certificate: Arc<RotatingIdentity>, file: Option<Arc<MembershipFile>>) -> Result<()> {
    let KeyRequest { key_pem, signing_request } = KeyRequest::new()?;
    let until = certificate.validity().not_after;
    let answer: Answer = match client.post(PATH, &Request { signing_request }).await {
        Ok(answer) => answer,
        // No server talks with this host any more, whatever it says about that.
        Err(_) if file.is_some() && until < now() => {
            return Err(Failure::new(format!("this host was away for too long: its certificate expired at {until}"))
                .hint(JOIN_AGAIN));
        }
        Err(error) => return Err(error.into()),
    };
    let unusable = |error| Failure::new(format!("the new certificate: {error}"));
    // What can't be shown is not kept.
    RotatingIdentity::new(answer.certificate.as_bytes(), key_pem.as_bytes(), 1.0).map_err(unusable)?;
    if let Some(file) = file {
        file.change(|membership| membership.set_certificate(&answer.certificate, &key_pem))?;
    }
    certificate.replace(answer.certificate.as_bytes(), key_pem.as_bytes()).map_err(unusable)
}
