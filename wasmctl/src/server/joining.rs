//! How a machine becomes a member of a control plane: it shows a token, and keeps what the cluster is made of beside its own number.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;

use coracle_api::join::Role;
use coracle_client::join::{self, Applicant, Invitation};
use serde::{Deserialize, Serialize};

use crate::context::now;
use crate::daemon::{Advertised, machine_name};
use crate::data_dir::{self, DataDir};
use crate::failure::{Failure, Result};
use crate::joiner;

const FILE: &str = "member.json";
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
}

impl MemberIdentity {
    /// What the folder says; a folder that says nothing is a cluster's first.
    pub(crate) fn load(data_dir: &DataDir, cluster: &str) -> Result<MemberIdentity> {
        let path = data_dir.join(FILE);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(MemberIdentity { version: VERSION, id: FOUNDER, name: format!("{cluster}-1") });
            }
            Err(error) => return Err(Failure::file(&path, &error)),
        };
        let damaged = |reason: String| {
            Failure::new(format!("{}: {reason}", path.display())).hint(
                "remove the member with `wasmctl member remove`, and let this machine join anew in an empty folder",
            )
        };
        let member: MemberIdentity =
            serde_json::from_slice(&bytes).map_err(|error| damaged(format!("not what was written there: {error}")))?;
        if !data_dir.join("cluster.json").exists() {
            return Err(damaged("this machine was interrupted as it joined".to_owned()));
        }
        match member.version {
            VERSION => Ok(member),
            version => Err(damaged(format!("version {version} is from another release"))),
        }
    }

    /// Whether it begins a group of its own when its store is new.
    pub(crate) fn is_founder(&self) -> bool {
        self.id == FOUNDER
    }
}

/// Joins as a server whose API listens at this port, and keeps what comes of it; what makes the folder a member's is written last.
pub(crate) async fn join(
    data_dir: &DataDir,
    invitation: &Invitation,
    name: Option<String>,
    advertised: &Advertised,
    port: u16,
) -> Result<()> {
    let path = data_dir.path().display();
    if data_dir.join("cluster.json").exists() {
        return Err(Failure::new(format!("{path} is a cluster's data directory already"))
            .hint("start without --join; to join another cluster, name an empty folder with --data-dir"));
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
    let answer = join::join(invitation, applicant).await?;
    let Some(membership) = answer.membership else {
        return Err(Failure::new("the server answered as if this machine were to be a host"));
    };
    for wanted in data_dir::IDENTITY_FILES {
        if !membership.files.contains_key(*wanted) {
            return Err(Failure::new(format!("the server did not send {wanted}: it may be of another release")));
        }
    }
    let member = MemberIdentity { version: VERSION, id: membership.member, name };
    data_dir.write(FILE, &serde_json::to_vec_pretty(&member).expect("a member's identity is plain data"))?;
    data_dir.make_store()?;
    // The cluster's own file comes last: with it the folder is whole.
    for wanted in data_dir::IDENTITY_FILES.iter().rev() {
        data_dir.write(wanted, membership.files[*wanted].as_bytes())?;
    }
    joiner::forget(data_dir)
}
