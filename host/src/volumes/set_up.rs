//! Setting up the volumes of one pod, and bringing them up to date: all that they are made from is known first, then their files are written.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;

use super::host_path::{self, HostPathError};
use super::objects::{self, Key, Watched};
use super::payload::{self, ObjectKey, Payload, TokenKey};
use super::template::{Projection, Volume, VolumeSource};
use super::token::{self, Token};
use super::{Change, SetUpError, Volumes, atomic};
use crate::pod::Template;
use crate::runtime::PodIdentity;

/// How long the start of a container waits for objects that the API doesn't answer for; then it is tried again.
const SYNC_MAX: Duration = Duration::from_secs(10);

/// The volumes of one pod.
pub(super) struct PodVolumes {
    pub(super) uid: Arc<str>,
    pub(super) wanted: Mutex<(PodIdentity, Arc<Template>)>,
    /// Held while folders are written to.
    pub(super) state: tokio::sync::Mutex<State>,
}

/// How far they are, and what they follow.
#[derive(Default)]
pub(super) struct State {
    watched: HashMap<Key, Arc<Watched>>,
    tokens: BTreeMap<TokenKey, Token>,
    /// Everything was set up once.
    pub(super) is_up: bool,
    is_released: bool,
}

/// What the files of a pod are made from, as it is now.
#[derive(Default)]
pub(super) struct Known {
    pub(super) objects: BTreeMap<ObjectKey, objects::State>,
    pub(super) tokens: BTreeMap<TokenKey, String>,
}

impl Volumes {
    /// Writes what a pod's volumes hold now; all that failed, if anything did.
    pub(super) async fn bring_up_to_date(&self, pod: &PodVolumes, state: &mut State) -> Result<(), Vec<SetUpError>> {
        if state.is_released {
            return Ok(());
        }
        let (identity, template) = pod.wanted.lock().clone();
        let mut errors = BTreeMap::new();
        self.follow_objects(&identity, &template, state);
        self.renew_tokens(pod, &identity, &template, state, &mut errors).await;
        let Ok(known) = tokio::time::timeout(SYNC_MAX, state.known()).await else {
            return Err(template.volumes.iter().filter_map(not_synced).collect());
        };
        let inputs = self.inputs(&identity, &known);
        let mut payloads = Vec::new();
        for volume in &template.volumes {
            let folder = self.folder(&pod.uid).join(&volume.name);
            match &volume.source {
                VolumeSource::EmptyDir { .. } => payloads.push((volume.name.clone(), folder, None)),
                VolumeSource::HostPath { path, kind } => {
                    if let Err(error) = host_path::find(path, *kind, &self.options.host_paths) {
                        errors.insert(volume.name.clone(), host_path_failed(&volume.name, &error));
                    }
                }
                VolumeSource::Files(_) if errors.contains_key(&volume.name) => {}
                VolumeSource::Files(projections) => match payload::payload(projections, inputs) {
                    Ok(files) => payloads.push((volume.name.clone(), folder, Some(files))),
                    Err(error) => drop(errors.insert(volume.name.clone(), mount_failed(&volume.name, error))),
                },
            }
        }
        let now = self.options.clock.now();
        match tokio::task::spawn_blocking(move || write(payloads, now)).await {
            Ok(failed) => errors.extend(failed),
            // Only a host that ends breaks this off.
            Err(error) => drop(errors.insert(String::new(), mount_failed("", error))),
        }
        state.is_up |= errors.is_empty();
        if errors.is_empty() { Ok(()) } else { Err(errors.into_values().collect()) }
    }

    fn follow_objects(&self, identity: &PodIdentity, template: &Template, state: &mut State) {
        let keys = template.volumes.iter().flat_map(sources);
        let keys: HashSet<Key> = keys.map(|(kind, name)| (identity.namespace.clone(), kind, name)).collect();
        state.watched.retain(|key, _| keys.contains(key));
        for key in keys {
            state.watched.entry(key).or_insert_with_key(|key| self.objects.follow(key));
        }
    }

    async fn renew_tokens(
        &self,
        pod: &PodVolumes,
        identity: &PodIdentity,
        template: &Template,
        state: &mut State,
        errors: &mut BTreeMap<String, SetUpError>,
    ) {
        let now = self.options.clock.now();
        let wanted: Vec<(&str, TokenKey)> = template.volumes.iter().flat_map(tokens).collect();
        for (volume, key) in &wanted {
            if state.tokens.get(key).is_some_and(|token| !token.is_due(now)) {
                continue;
            }
            match token::request(&self.options.client, identity, key, now).await {
                Ok(token) => drop(state.tokens.insert(key.clone(), token)),
                Err(error) => {
                    let is_kept = state.tokens.get_mut(key).is_some_and(|token| token.keep(now));
                    if !is_kept {
                        let cause = format!("failed to fetch token: {error}");
                        errors.insert((*volume).to_owned(), mount_failed(volume, cause));
                    }
                }
            }
        }
        let next = state.tokens.values().map(|token| token.renew_at).min();
        if let Some(next) = next {
            let mut renewals = self.renewals.lock();
            renewals.retain(|(_, uid)| *uid != pod.uid);
            renewals.insert((next, pod.uid.clone()));
            let _ = self.changes.send(Change::Renewals);
        }
    }
}

impl State {
    /// Follows nothing any more, and writes nothing any more.
    pub(super) fn release(&mut self) {
        *self = State { is_released: true, ..State::default() };
    }

    /// What the pod's files are made from, once all of it is known.
    pub(super) async fn known(&self) -> Known {
        let mut known = Known::default();
        for ((_, kind, name), watched) in &self.watched {
            known.objects.insert((*kind, name.clone()), watched.known().await);
        }
        known.tokens = self.tokens.iter().map(|(key, token)| (key.clone(), token.text.clone())).collect();
        known
    }
}

/// The objects that a volume is made from.
pub(super) fn sources(volume: &Volume) -> impl Iterator<Item = ObjectKey> + '_ {
    projections(volume).filter_map(|projection| match projection {
        Projection::Keys { source, .. } => Some((source.kind, source.name.clone())),
        Projection::Downward(_) | Projection::Token(_) => None,
    })
}

fn tokens(volume: &Volume) -> impl Iterator<Item = (&str, TokenKey)> {
    projections(volume).filter_map(|projection| match projection {
        Projection::Token(token) => {
            Some((volume.name.as_str(), (token.account.clone(), token.audience.clone(), token.ttl_s)))
        }
        Projection::Keys { .. } | Projection::Downward(_) => None,
    })
}

fn projections(volume: &Volume) -> impl Iterator<Item = &Projection> {
    match &volume.source {
        VolumeSource::Files(projections) => projections.as_slice(),
        VolumeSource::EmptyDir { .. } | VolumeSource::HostPath { .. } => &[],
    }
    .iter()
}

/// What to say of a volume whose objects the API doesn't answer for; the text is Kubernetes'.
fn not_synced(volume: &Volume) -> Option<SetUpError> {
    let kind = objects::api_kind(sources(volume).next()?.0).singular;
    Some(mount_failed(&volume.name, format!("failed to sync {kind} cache: timed out waiting for the condition")))
}

/// Kubernetes' words.
fn mount_failed(volume: &str, cause: impl std::fmt::Display) -> SetUpError {
    let message = format!("MountVolume.SetUp failed for volume {volume:?} : {cause}");
    SetUpError { message, is_transient: true }
}

fn host_path_failed(volume: &str, error: &HostPathError) -> SetUpError {
    match error {
        HostPathError::NotAllowed { .. } => {
            SetUpError { message: format!("volume {volume:?}: {error}"), is_transient: false }
        }
        error => mount_failed(volume, error),
    }
}

fn write(volumes: Vec<(String, PathBuf, Option<Payload>)>, now: Timestamp) -> BTreeMap<String, SetUpError> {
    let failed = |(name, folder, files): (String, PathBuf, Option<Payload>)| {
        let result = match files {
            None => atomic::make_folder(&folder),
            Some(files) => atomic::write(&folder, &files, now).map(drop),
        };
        result.err().map(|error| (name.clone(), mount_failed(&name, error)))
    };
    volumes.into_iter().filter_map(failed).collect()
}
