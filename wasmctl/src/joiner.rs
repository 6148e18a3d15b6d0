//! What `--join` says, and the secret that a machine shows beside its token. The token is bound to it, so the machine may show the token again
//! when an answer was lost on the way, and nobody else may.

use coracle_client::join::{Invitation, InvitationError};

use crate::data_dir::DataDir;
use crate::failure::{Failure, Result};

const FILE: &str = "joiner";

/// What `--join` says. An error does not repeat it: the token is as good as a password.
pub(crate) fn invitation(text: Option<&str>) -> Result<Option<Invitation>> {
    let read = text.map(str::parse).transpose();
    read.map_err(|error: InvitationError| Failure::usage(format!("--join: {error}")))
}

/// Whether this machine has shown a token and was not ready since.
pub(crate) fn is_joining(data_dir: &DataDir) -> bool {
    data_dir.join(FILE).exists()
}

/// The secret of the machine that has this folder: made when it is first asked for, and kept until it has joined.
pub(crate) fn secret(data_dir: &DataDir) -> Result<String> {
    let path = data_dir.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(secret) => Ok(secret),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let secret = format!("{:032x}", rand::random::<u128>());
            data_dir.write(FILE, secret.as_bytes())?;
            Ok(secret)
        }
        Err(error) => Err(Failure::file(&path, &error)),
    }
}

/// The machine has joined: nobody can use the token any more.
pub(crate) fn forget(data_dir: &DataDir) -> Result<()> {
    let path = data_dir.join(FILE);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::file(&path, &error)),
        _ => Ok(()),
    }
}
