//! Who is asking: the identity in a client certificate that the cluster's CA signed.
//!
//! Deliberately absent: tokens and passwords.

use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The group of everyone who is known.
pub const AUTHENTICATED: &str = "system:authenticated";
/// The group of everyone who isn't.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The user without a certificate.
pub const ANONYMOUS: &str = "system:anonymous";

/// Someone who sends requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The groups, `system:authenticated` or `system:unauthenticated` among them.
    pub groups: Vec<String>,
}

impl User {
    /// A user that proved its name.
    pub fn authenticated(name: impl Into<String>, groups: impl IntoIterator<Item = String>) -> User {
        let groups = groups.into_iter().chain([AUTHENTICATED.to_owned()]).collect();
        User { name: name.into(), groups }
    }

    /// Whoever sends no certificate.
    pub fn anonymous() -> User {
        User { name: ANONYMOUS.to_owned(), groups: vec![UNAUTHENTICATED.to_owned()] }
    }

    /// Whether the user is in a group.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }

    /// The user a verified certificate names: its common name, with its organisations as groups. One without a common name is
    /// nobody.
    pub fn from_certificate(certificate: &CertificateDer<'_>) -> User {
        let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return User::anonymous() };
        let subject = certificate.subject();
        let Some(name) = subject.iter_common_name().next().and_then(|name| name.as_str().ok()) else {
            return User::anonymous();
        };
        let groups = subject.iter_organization().filter_map(|group| group.as_str().ok()).map(str::to_owned);
        User::authenticated(name, groups)
    }
}
