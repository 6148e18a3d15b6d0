//! What a token says, and whether it is still true.

use std::collections::BTreeMap;

use coracle_api::kind::Kind;
use coracle_api::kinds::{POD, SECRET, SERVICE_ACCOUNT};
use coracle_store::Snapshot;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::TokenError;
use crate::authentication::{User, service_account_user};

/// For how long an object that is being deleted still vouches for a token.
const DELETION_GRACE: SignedDuration = SignedDuration::from_secs(60);
const EXTRA: &str = "authentication.kubernetes.io";

/// The claims of a token, as in Kubernetes'.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// Whom it is for.
    pub(crate) aud: Vec<String>,
    /// When it ends, in seconds since 1970.
    pub(crate) exp: i64,
    /// When it was made.
    pub(crate) iat: i64,
    /// Who made it.
    pub(crate) iss: String,
    /// Its own id.
    pub(crate) jti: String,
    #[serde(rename = "kubernetes.io")]
    pub(crate) bound: Bound,
    /// When it begins.
    pub(crate) nbf: i64,
    /// Who it stands for: `system:serviceaccount:NAMESPACE:NAME`.
    pub(crate) sub: String,
}

/// The objects that must still be there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bound {
    pub(crate) namespace: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pod: Option<Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<Reference>,
    pub(crate) serviceaccount: Reference,
}

/// One object, and no later one of its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reference {
    pub(crate) name: String,
    pub(crate) uid: String,
}

/// The metadata that says whether an object is the one meant.
#[derive(Deserialize)]
struct Identified {
    metadata: Identity,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Identity {
    uid: String,
    deletion_timestamp: Option<Timestamp>,
}

impl Claims {
    /// Whether it is time, and the account and what else it is bound to are there.
    pub(super) fn check(&self, snapshot: &Snapshot, now: Timestamp) -> Result<(), TokenError> {
        let seconds = now.as_second();
        if seconds >= self.exp || seconds < self.nbf {
            return Err(TokenError::Expired);
        }
        let Bound { namespace, pod, secret, serviceaccount } = &self.bound;
        if service_account_user(namespace, &serviceaccount.name) != self.sub {
            return Err(TokenError::Invalid);
        }
        let bound = [(&SERVICE_ACCOUNT, Some(serviceaccount)), (&POD, pod.as_ref()), (&SECRET, secret.as_ref())];
        for (kind, reference) in bound {
            if let Some(reference) = reference {
                reference.check(kind, namespace, snapshot, now)?;
            }
        }
        Ok(())
    }

    /// The service account as a user.
    pub(super) fn user(&self) -> User {
        let namespace = &self.bound.namespace;
        let mut extra = BTreeMap::from([(format!("{EXTRA}/credential-id"), vec![format!("JTI={}", self.jti)])]);
        if let Some(pod) = &self.bound.pod {
            extra.insert(format!("{EXTRA}/pod-name"), vec![pod.name.clone()]);
            extra.insert(format!("{EXTRA}/pod-uid"), vec![pod.uid.clone()]);
        }
        let uid = self.bound.serviceaccount.uid.clone();
        User { uid, extra, ..User::service_account(namespace, &self.bound.serviceaccount.name) }
    }
}

impl Reference {
    fn check(
        &self,
        kind: &'static Kind,
        namespace: &str,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Result<(), TokenError> {
        let gone = |how: &str| Err(TokenError::Gone(format!("{} {:?} {how}", kind.singular, self.name)));
        let Some(record) = snapshot.get(&kind.key(Some(namespace), &self.name)) else { return gone("is gone") };
        let found = serde_json::from_slice::<Identified>(&record.json).map(|found| found.metadata).unwrap_or_default();
        if found.uid != self.uid {
            return gone("is another one");
        }
        match found.deletion_timestamp {
            Some(at) if now.duration_since(at) > DELETION_GRACE => gone("has been deleted"),
            _ => Ok(()),
        }
    }
}
