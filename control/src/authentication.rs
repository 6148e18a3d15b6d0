//! Who is asking: the identity in a client certificate that the cluster's CA signed, or in a service account's token.
//!
//! Deliberately absent: passwords, and identities that others issue.

use std::collections::BTreeMap;

use rustls_pki_types::CertificateDer;
use serde::Serialize;
use x509_parser::der_parser::Oid;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::authorizer::{NODE_PREFIX, NODES};

pub(crate) mod host;
pub(crate) mod request;

/// The group of everyone who is known.
pub const AUTHENTICATED: &str = "system:authenticated";
/// The group of everyone who isn't.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The user without a certificate.
pub const ANONYMOUS: &str = "system:anonymous";

/// The group of all service accounts.
pub const SERVICE_ACCOUNTS: &str = "system:serviceaccounts";

/// The name a service account has as a user.
pub fn service_account_user(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

/// The part of a certificate's subject that says its user's uid, as Kubernetes has it.
pub(crate) const UID_OID: &[u64] = &[1, 3, 6, 1, 4, 1, 57683, 2];

/// Someone who sends requests; as JSON, a `UserInfo` of `authentication.k8s.io/v1`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct User {
    /// The name.
    #[serde(rename = "username")]
    pub name: String,
    /// The uid; empty for users who have none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The groups, `system:authenticated` or `system:unauthenticated` among them.
    pub groups: Vec<String>,
    /// What else is known of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// A user that proved its name.
    pub fn authenticated(name: impl Into<String>, groups: impl IntoIterator<Item = String>) -> User {
        let groups = groups.into_iter().chain([AUTHENTICATED.to_owned()]).collect();
        User { name: name.into(), groups, ..User::default() }
    }

    /// A service account, as who its tokens are for.
    pub fn service_account(namespace: &str, name: &str) -> User {
        let groups = [SERVICE_ACCOUNTS.to_owned(), format!("{SERVICE_ACCOUNTS}:{namespace}")];
        User::authenticated(service_account_user(namespace, name), groups)
    }

    /// Whoever shows neither a certificate nor a token.
    pub fn anonymous() -> User {
        User { name: ANONYMOUS.to_owned(), groups: vec![UNAUTHENTICATED.to_owned()], ..User::default() }
    }

    /// The node's name, where the user is a host.
    pub fn node(&self) -> Option<&str> {
        self.name.strip_prefix(NODE_PREFIX).filter(|_| self.is_in(NODES))
    }

    /// Whether the user is in a group.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }

    /// The user a verified certificate names: its common name, with its organisations as groups, and a uid where it has one. One
    /// without a common name is nobody.
    pub fn from_certificate(certificate: &CertificateDer<'_>) -> User {
        let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return User::anonymous() };
        let subject = certificate.subject();
        let Some(name) = subject.iter_common_name().next().and_then(|name| name.as_str().ok()) else {
            return User::anonymous();
        };
        let groups = subject.iter_organization().filter_map(|group| group.as_str().ok()).map(str::to_owned);
        let oid = Oid::from(UID_OID).expect("invariant: it is an object identifier");
        let uid = subject.iter_by_oid(&oid).next().and_then(|uid| uid.as_str().ok()).unwrap_or_default();
        User { uid: uid.to_owned(), ..User::authenticated(name, groups) }
    }
}
