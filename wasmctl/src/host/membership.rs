//! What a machine keeps of having joined as a host: one private file, written as a whole, so that it has joined or has not.

use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;

use coracle_host::server::ServerIdentity;
use coracle_net::identity::RotatingIdentity;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::data_dir::DataDir;
use crate::failure::{Failure, Result};

const FILE: &str = "host.json";
const VERSION: u32 = 1;

/// Who a host is, and how it reaches its cluster.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Membership {
    /// Of the file's format.
    version: u32,
    /// The node's name.
    pub(crate) node: String,
    /// Where other machines reach the host; its certificate is for this address.
    pub(crate) address: IpAddr,
    /// Host and port of the API servers.
    pub(crate) servers: Vec<String>,
    ca_pem: String,
    certificate_pem: String,
    key_pem: String,
}

impl Membership {
    /// What joining gave, with the key that was made for it.
    pub(crate) fn new(node: String, address: IpAddr, answer: coracle_api::join::Answer, key_pem: String) -> Membership {
        Membership {
            version: VERSION,
            node,
            address,
            servers: answer.servers,
            ca_pem: answer.ca,
            certificate_pem: answer.certificate,
            key_pem,
        }
    }

    /// That of a data directory; `None` if it has not joined.
    pub(crate) fn load(data_dir: &DataDir) -> Result<Option<Membership>> {
        let path = data_dir.join(FILE);
        let damaged = |reason: String| damaged(path.display(), &reason);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(damaged(error.to_string())),
        };
        let membership: Membership =
            serde_json::from_slice(&bytes).map_err(|error| damaged(format!("not what was written there: {error}")))?;
        match membership.version {
            VERSION => Ok(Some(membership)),
            version => Err(damaged(format!("version {version} is from another release"))),
        }
    }

    /// Writes it.
    pub(crate) fn save(&self, data_dir: &DataDir) -> Result<()> {
        data_dir.write(FILE, &serde_json::to_vec_pretty(self).expect("invariant: a membership is plain data"))
    }

    /// The API servers, `https://HOST:PORT`.
    pub(crate) fn api_urls(&self) -> Vec<String> {
        self.servers.iter().map(|server| format!("https://{server}")).collect()
    }

    /// Who the host is. The certificate is to be renewed when this `share` (0 to 1) of its time is over.
    pub(crate) fn identity(&self, share: f64) -> Result<ServerIdentity> {
        let certificate = RotatingIdentity::new(self.certificate_pem.as_bytes(), self.key_pem.as_bytes(), share);
        let certificate = certificate.map_err(|error| damaged(FILE, &error.to_string()))?;
        Ok(ServerIdentity { certificate, ca_pem: self.ca_pem.clone().into_bytes() })
    }

    /// The hash by which tokens know the cluster's CA.
    pub(crate) fn ca_hash(&self) -> Result<String> {
        Ok(coracle_client::join::ca_hash(self.ca_pem.as_bytes())?)
    }

    pub(super) fn set_certificate(&mut self, certificate_pem: &str, key_pem: &str) {
        (self.certificate_pem, self.key_pem) = (certificate_pem.to_owned(), key_pem.to_owned());
    }
}

/// The membership of a host that runs, and the folder where it is kept.
pub(crate) struct MembershipFile {
    data_dir: DataDir,
    membership: Mutex<Membership>,
}

impl MembershipFile {
    /// What was loaded from the folder, or saved there.
    pub(crate) fn new(data_dir: DataDir, membership: Membership) -> MembershipFile {
        MembershipFile { data_dir, membership: Mutex::new(membership) }
    }

    /// Changes it, and keeps it so.
    pub(super) fn change(&self, change: impl FnOnce(&mut Membership)) -> Result<()> {
        let mut membership = self.membership.lock();
        change(&mut membership);
        membership.save(&self.data_dir)
    }
}

fn damaged(path: impl std::fmt::Display, reason: &str) -> Failure {
    Failure::new(format!("{path}: {reason}"))
        .hint("restore the file from a backup, or remove it and join again with a new token")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use coracle_api::join::Answer;

    use super::*;

    #[test]
    fn it_is_kept_in_private_and_a_damaged_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open(folder.path()).unwrap();
        assert!(Membership::load(&data_dir).unwrap().is_none());
        let answer = Answer { ca: "ca".to_owned(), certificate: "c".to_owned(), servers: Vec::new(), membership: None };
        Membership::new("worker-1".to_owned(), [10, 0, 0, 7].into(), answer, "key".to_owned()).save(&data_dir).unwrap();
        let again = Membership::load(&data_dir).unwrap().unwrap();
        assert_eq!((again.node.as_str(), again.key_pem.as_str()), ("worker-1", "key"));
        let file = MembershipFile::new(data_dir, again);
        file.change(|membership| membership.set_certificate("c2", "key2")).unwrap();
        let MembershipFile { data_dir, .. } = file;
        let again = Membership::load(&data_dir).unwrap().unwrap();
        assert_eq!((again.certificate_pem.as_str(), again.key_pem.as_str()), ("c2", "key2"));
        let unusable = again.identity(0.8).err().unwrap().to_string();
        assert!(unusable.contains("host.json: the certificate"), "{unusable}");
        let mode = fs::metadata(data_dir.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(data_dir.join(FILE), "{}").unwrap();
        let refused = Membership::load(&data_dir).err().unwrap().to_string();
        assert!(refused.contains("host.json: not what was written there"), "{refused}");
    }
}
