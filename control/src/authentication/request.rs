//! Who a request speaks for: whoever the connection's certificate or a bearer token names, or whom they may impersonate.

use coracle_api::kinds::SERVICE_ACCOUNT;
use coracle_api::status::{self, Status};
use coracle_store::Snapshot;
use http::{HeaderMap, header};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;

use super::{ANONYMOUS, SERVICE_ACCOUNTS, UNAUTHENTICATED, User, service_account_user};
use crate::authorizer::{Attributes, Authorizer, Subject, refusal};
use crate::tokens::{ISSUER, Tokens};

const USER: &str = "impersonate-user";
const UID: &str = "impersonate-uid";
const GROUP: &str = "impersonate-group";
const EXTRA: &str = "impersonate-extra-";

/// The user of a connection, or of the bearer token where the connection names nobody. A token that isn't good is refused, and
/// never taken for no token.
pub(crate) fn authenticate(
    connected: User,
    headers: &HeaderMap,
    tokens: &Tokens,
    snapshot: &Snapshot,
    now: Timestamp,
) -> Result<User, Status> {
    let Some(credentials) = headers.get(header::AUTHORIZATION).filter(|_| connected.name == ANONYMOUS) else {
        return Ok(connected);
    };
    let credentials = credentials.to_str().unwrap_or_default();
    let token = credentials.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let Some((_, token)) = token else { return Err(status::unauthorized()) };
    let found = tokens.authenticate(token.trim(), &[ISSUER.to_owned()], snapshot, now);
    found.map(|found| found.user).map_err(|error| {
        tracing::debug!(%error, "a bearer token is refused");
        status::unauthorized()
    })
}

/// Whom the request's headers impersonate, where they do and the user may.
pub(crate) fn impersonate(
    user: &User,
    headers: &HeaderMap,
    authorizer: &dyn Authorizer,
    snapshot: &Snapshot,
) -> Result<Option<User>, Status> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let is_asked =
        headers.keys().any(|name| [USER, UID, GROUP].contains(&name.as_str()) || name.as_str().starts_with(EXTRA));
    if !is_asked {
        return Ok(None);
    }
    let mut wanted = User { name: text(USER), uid: text(UID), ..User::default() };
    if wanted.name.is_empty() {
        return Err(status::bad_request("impersonation headers must name a user: Impersonate-User"));
    }
    let groups = headers.get_all(GROUP).iter().filter_map(|value| value.to_str().ok());
    wanted.groups = groups.map(str::to_owned).collect();
    for (name, value) in headers {
        let key = name.as_str().strip_prefix(EXTRA).map(|key| percent_decode_str(key).decode_utf8_lossy().into_owned());
        if let (Some(key), Ok(value)) = (key, value.to_str()) {
            wanted.extra.entry(key).or_default().push(value.to_owned());
        }
    }
    check(user, &wanted, authorizer, snapshot)?;
    complete(&mut wanted);
    Ok(Some(wanted))
}

/// Each part of what is impersonated must be allowed by itself.
fn check(user: &User, wanted: &User, authorizer: &dyn Authorizer, snapshot: &Snapshot) -> Result<(), Status> {
    let may = |group, resource, subresource, namespace, name: &str| {
        let subject = Subject::Resource { group, resource, subresource, namespace, name: Some(name), fields: None };
        let attributes = Attributes { user, verb: "impersonate", subject };
        if authorizer.allows(&attributes, snapshot) {
            return Ok(());
        }
        Err(refusal(&attributes, None))
    };
    match service_account(&wanted.name) {
        Some((namespace, name)) => may("", SERVICE_ACCOUNT.plural, None, Some(namespace), name)?,
        None => may("", "users", None, None, &wanted.name)?,
    }
    if !wanted.uid.is_empty() {
        may("authentication.k8s.io", "uids", None, None, &wanted.uid)?;
    }
    wanted.groups.iter().try_for_each(|group| may("", "groups", None, None, group))?;
    wanted.extra.iter().try_for_each(|(key, values)| {
        values.iter().try_for_each(|value| may("authentication.k8s.io", "userextras", Some(key.as_str()), None, value))
    })
}

/// Adds the groups that follow from the name.
fn complete(user: &mut User) {
    if user.name == ANONYMOUS {
        if !user.is_in(UNAUTHENTICATED) {
            user.groups.push(UNAUTHENTICATED.to_owned());
        }
        return;
    }
    let accounts = service_account(&user.name).filter(|_| user.groups.is_empty());
    let accounts =
        accounts.map(|(namespace, _)| [SERVICE_ACCOUNTS.to_owned(), format!("{SERVICE_ACCOUNTS}:{namespace}")]);
    user.groups.extend(accounts.into_iter().flatten());
    if !user.is_in(super::AUTHENTICATED) {
        user.groups.push(super::AUTHENTICATED.to_owned());
    }
}

/// Namespace and name of the service account that a user name stands for.
fn service_account(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    (service_account_user(namespace, name) == user && !namespace.is_empty() && !name.is_empty() && !name.contains(':'))
        .then_some((namespace, name))
}
