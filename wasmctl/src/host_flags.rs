//! What the owner of a machine lets pods do with it, as `up` and `host` are told.

use std::path::PathBuf;

use coracle_api::quantity::Quantity;

/// What pods may have of this machine.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct HostFlags {
    /// Let pods mount this folder of the machine, and what is below it, as hostPath volumes; may be repeated [default: none]
    #[arg(long = "allow-host-path", value_name = "PREFIX", value_parser = absolute)]
    pub(crate) host_paths: Vec<PathBuf>,
    /// What images and compiled code may take on disk together; what was not used for longest goes first, and nothing that pods use [default: a quarter of the disk]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) image_disk_quota: Option<u64>,
}

/// As Kubernetes writes sizes.
fn size(text: &str) -> Result<u64, String> {
    let bytes = Quantity::parse(text).ok().and_then(|size| u64::try_from(size.units()).ok());
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| "give bytes, or for example 500Mi or 20Gi".to_owned())
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err("is not an absolute path".to_owned()) }
}
