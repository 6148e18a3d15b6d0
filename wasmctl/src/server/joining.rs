//! How a machine becomes a member of a control plane: it shows a token, and keeps what the cluster is made of beside its own number.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;

use coracle_api::join::Role;
use coracle_client::join::{self, Applicant, Invitation};
use serde::{Deserialize, Serialize};

use crate::context::now;
use crate::daemon::{Advertised, machine_name};
use crate::data_dir::{self, DataDir};
use crate::failure::{Failure, Result};
use crate::joiner;

pub(super) const FILE: &str = "member.json";
const VERSION: u32 = 1;
/// The number of the member that a cluster begins with.
const FOUNDER: u64 = 1;

/// Which member this machine is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MemberIdentity {
    /// Of the file's format.
    version: u32,
    /// The number in the group.
    pub(crate) id: u64,
    /// What people call it.
    pub(crate) name: String,
    /// Its store was there: a member without it is not who it was.
    #[serde(default = "yes")]
    has_store: bool,
    /// Nobody wrote down that it is this one.
    #[serde(skip)]
    pub(crate) is_guessed: bool,
}

fn yes() -> bool {
    true
}

impl MemberIdentity {
    /// What the folder says; one that says nothing is that of a cluster's first, called `name`, if its store agrees.
    pub(crate) fn load(data_dir: &DataDir, cluster: &str, name: Option<&str>) -> Result<MemberIdentity> {
        let path = data_dir.join(FILE);
        let damaged = |reason: String| Failure::new(format!("{}: {reason}", path.display())).hint(data_dir::START_OVER);
        let member = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice::<MemberIdentity>(&bytes)
                .map_err(|error| damaged(format!("not what was written there: {error}")))?,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let name = name.map_or_else(|| format!("{cluster}-1"), str::to_owned);
                MemberIdentity { version: VERSION, id: FOUNDER, name, has_store: false, is_guessed: true }
            }
            Err(error) => return Err(Failure::file(&path, &error)),
        };
        if member.version != VERSION {
            return Err(damaged(format!("version {} is from another release", member.version)));
        }
        if let Some(name) = name.filter(|name| *name != member.name) {
            let message = format!("--name {name}: this member is called {}, and keeps that name", member.name);
            return Err(Failure::usage(message).hint("leave --name out"));
        }
        if member.has_store && !data_dir.has_store()? {
            return Err(data_dir.lost_store());
        }
        Ok(member)
    }

    fn save(&self, data_dir: &DataDir) -> Result<()> {
        data_dir.write(FILE, &serde_json::to_vec_pretty(self).expect("a member's identity is plain data"))
    }

    /// Notes that its store is there, before the store tells anybody anything.
    pub(crate) fn note_store(&mut self, data_dir: &DataDir) -> Result<()> {
        if self.has_store {
            return Ok(());
        }
        self.has_store = true;
        self.save(data_dir)
    }

    /// Whether it begins a group of its own when its store is new.
    pub(crate) fn is_founder(&self) -> bool {
        self.id == FOUNDER
    }
}

/// Joins as a server whose API listens at this port, and keeps what comes of it; what makes the folder a member's is written last. A machine
/// that has joined the token's cluster already stays what it is; one that was not ready so far asks again first, if it is answered, so that it
/// may say another address.
pub(crate) async fn join(
    data_dir: &DataDir,
    invitation: &Invitation,
    name: Option<String>,
    advertised: &Advertised,
    port: u16,
) -> Result<()> {
    let path = data_dir.path().display();
    let has_joined = data_dir.join("cluster.json").exists();
    if has_joined {
        let ca_file = data_dir.join("pki/ca.crt");
        let ca = std::fs::read(&ca_file).map_err(|error| Failure::file(&ca_file, &error))?;
        if join::ca_hash(&ca)? != invitation.token.ca_hash {
            return Err(Failure::new(format!("{path} is the data directory of another cluster than the token's"))
                .hint("start without --join; to join another cluster, name an empty folder with --data-dir"));
        }
        if !joiner::is_joining(data_dir) {
            return Ok(());
        }
    }
    let name = name.unwrap_or_else(machine_name);
    let applicant = Applicant {
        role: Role::Server,
        secret: joiner::secret(data_dir)?,
        name: name.clone(),
        address: advertised.ip,
        port: Some(port),
        signing_request: String::new(),
        time: now(),
    };
    // Before the token is used up.
    let pki = data_dir.join("pki");
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&pki);
    made.map_err(|error| Failure::new(format!("{}: {error}", pki.display())))?;
    let answer = match join::join(invitation, applicant).await {
        Err(error) if has_joined => {
            tracing::warn!(%error, "this machine has joined, and goes on as it is");
            return Ok(());
        }
        answer => answer?,
    };
    let Some(membership) = answer.membership else {
        return Err(Failure::new("the server answered as if this machine were to be a host"));
    };
    for wanted in data_dir::IDENTITY_FILES {
        if !membership.files.contains_key(*wanted) {
            return Err(Failure::new(format!("the server did not send {wanted}: it may be of another release")));
        }
    }
    if has_joined && MemberIdentity::load(data_dir, "", None)?.id == membership.member {
        return Ok(());
    }
    let id = membership.member;
    MemberIdentity { version: VERSION, id, name, has_store: false, is_guessed: false }.save(data_dir)?;
    // The cluster's own file comes last: with it the folder is whole.
    for wanted in data_dir::IDENTITY_FILES.iter().rev() {
        data_dir.write(wanted, membership.files[*wanted].as_bytes())?;
    }
    Ok(())
}
