//! The secret that a machine shows beside a join token. The token is bound to it, so the machine may show the token again when an answer was
//! lost on the way, and nobody else may.

use crate::data_dir::DataDir;
use crate::failure::{Failure, Result};

const FILE: &str = "joiner";

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
    std::fs::remove_file(&path).map_err(|error| Failure::file(&path, &error))
}
