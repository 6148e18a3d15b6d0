//! Whom to ask: the registry that a reference names, or those of the cluster one after the other until one answers, then hosts, who may
//! have what a digest names.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use reqwest::Url;

use super::{PullCause, PullError, Puller};
use crate::reference::Reference;
use crate::transport::{Session, is_loopback};

const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_API: &str = "registry-1.docker.io";

pub(super) struct Turns<'a> {
    puller: &'a Puller,
    reference: &'a Reference,
    bases: Vec<String>,
    /// So many of them, the first ones, are registries; the others are hosts.
    registries: usize,
    /// Which of the cluster's registries comes first: the one that answered last.
    first: usize,
    taken: usize,
    failure: Option<PullCause>,
}

impl<'a> Turns<'a> {
    pub(super) fn new(puller: &'a Puller, reference: &'a Reference) -> Turns<'a> {
        let options = &puller.options;
        let (mut bases, mut first) = (Vec::new(), 0);
        if reference.is_cluster() {
            bases.clone_from(&puller.servers.read().unwrap_or_else(PoisonError::into_inner));
            first = puller.current.load(Ordering::Relaxed) % bases.len().max(1);
            bases.rotate_left(first);
        } else {
            let registry = reference.registry();
            let is_plain = is_loopback(registry) || options.insecure_hosts.iter().any(|host| host == registry);
            let host = if registry == DOCKER_HUB { DOCKER_HUB_API } else { registry };
            bases.push(format!("{}://{host}", if is_plain { "http" } else { "https" }));
        }
        let registries = bases.len();
        // A host knows nothing of tags.
        if reference.is_cluster() && reference.digest().is_some() {
            bases.extend(puller.some_hosts());
        }
        Turns { puller, reference, bases, registries, first, taken: 0, failure: None }
    }

    /// The next to ask; why the others failed, if there is none.
    pub(super) fn next(&mut self) -> Result<Session<'a>, PullError> {
        if self.taken == self.bases.len() {
            let cause = self.failure.take().unwrap_or(PullCause::NoClusterRegistry);
            return Err(self.error(cause));
        }
        let base = &self.bases[self.taken];
        let base = Url::parse(base).map_err(|_| self.error(PullCause::BadAddress(base.clone())))?;
        self.taken += 1;
        let credentials = self.puller.options.credentials.get(self.reference.registry()).cloned();
        let session = Session::new(&self.puller.transport, base, self.reference.repository(), credentials, "pull");
        let cluster = self.puller.options.cluster.as_ref().filter(|_| self.reference.is_cluster());
        Ok(match cluster {
            Some(cluster) => session.in_cluster(cluster.token.as_deref()),
            None => session,
        })
    }

    /// Notes what the last one answered; an error is one that no other could do better about.
    pub(super) fn settle<T>(&mut self, answer: Result<T, PullCause>) -> Result<Option<T>, PullError> {
        let is_registry = self.taken <= self.registries;
        match answer {
            Ok(answer) => {
                if self.reference.is_cluster() && is_registry {
                    let current = (self.first + self.taken - 1) % self.registries;
                    self.puller.current.store(current, Ordering::Relaxed);
                }
                Ok(Some(answer))
            }
            Err(cause) if !is_of_one_registry(&cause) => Err(self.error(cause)),
            Err(cause) => {
                // What a registry says tells more than that another is away, or that a host doesn't have it.
                if self.failure.is_none() || is_registry && !is_absence(&cause) {
                    self.failure = Some(cause);
                }
                Ok(None)
            }
        }
    }

    fn error(&self, cause: PullCause) -> PullError {
        PullError { reference: self.reference.to_string(), cause: Box::new(cause) }
    }
}

/// Whether another registry with the same content may do better.
fn is_of_one_registry(cause: &PullCause) -> bool {
    matches!(cause, PullCause::Transport(_) | PullCause::WrongDigest { .. } | PullCause::WrongSize { .. })
}

/// Whether it only says that a registry is not there.
fn is_absence(cause: &PullCause) -> bool {
    matches!(cause, PullCause::Transport(error) if error.is_absence())
}
