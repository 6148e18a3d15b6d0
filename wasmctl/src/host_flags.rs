//! What the owner of a machine lets pods do with it, as `up` and `host` are told.

use std::path::PathBuf;

/// What pods may have of this machine.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct HostFlags {
    /// Let pods mount this folder of the machine, and what is below it, as hostPath volumes; may be repeated [default: none]
    #[arg(long = "allow-host-path", value_name = "PREFIX", value_parser = absolute)]
    pub(crate) host_paths: Vec<PathBuf>,
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err("is not an absolute path".to_owned()) }
}
