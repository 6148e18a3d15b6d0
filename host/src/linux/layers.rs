//! Unpacked layers on this host's disk, each once however many images have it: `layers/` and the first digits of its chain id.
//!
//! A layer is unpacked upon an overlay of those below it, so that what it deletes and links to is found there, and what it changed is kept.
//! Deliberately absent: deleting layers that no image has any more.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::image::Image;
use super::quarters::{mount_overlay, unmount};
use super::unpack::{UnpackError, unpack};

/// Digits of a layer's name: as few as tell layers apart, since one mount names up to 127 in 4,096 bytes.
const NAME_DIGITS: usize = 24;
/// Before the name of what is being unpacked.
const NEW: &str = ".new-";

/// The names of an image's layers, the uppermost first; those that aren't here yet are unpacked. Works in the folder of layers, and one
/// at a time.
pub(crate) fn ensure(image: &Image) -> Result<Vec<String>, UnpackError> {
    let mut names: Vec<String> = Vec::new();
    for layer in &image.layers {
        let name = layer.chain_id[..NAME_DIGITS].to_owned();
        if !Path::new(&name).exists() {
            let below: Vec<&str> = names.iter().map(String::as_str).collect();
            let new = format!("{NEW}{name}");
            let host = |cause| UnpackError::Host { what: format!("unpacking into {name}"), cause };
            start_over(&new).map_err(host)?;
            let fs_path = format!("{new}/fs");
            match below.is_empty() {
                true => unpack(layer, Path::new(&fs_path))?,
                false => {
                    let merged = format!("{new}/merged");
                    let (merged, work) = (Path::new(&merged), format!("{new}/work"));
                    // Each layer is whole by itself, whatever this kernel's defaults are.
                    let mounted = mount_overlay(&below, &fs_path, &work, merged, ",metacopy=off,redirect_dir=off");
                    mounted.map_err(|cause| UnpackError::Host {
                        what: "mounting an overlay of layers".to_owned(),
                        cause,
                    })?;
                    let unpacked = unpack(layer, merged);
                    unmount(merged).map_err(host)?;
                    unpacked?;
                }
            }
            keep(&new, &name).map_err(host)?;
        }
        names.insert(0, name);
    }
    Ok(names)
}

/// Removes what was being unpacked when the host ended.
pub(crate) fn sweep(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(NEW.as_bytes()) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn start_over(new: &str) -> io::Result<()> {
    match fs::remove_dir_all(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    ["fs", "work", "merged"].iter().try_for_each(|part| fs::create_dir_all(Path::new(new).join(part)))
}

/// Moves it to its place once the disk has it: what has its name is whole.
fn keep(new: &str, name: &str) -> io::Result<()> {
    let fs_path = Path::new(new).join("fs");
    rustix::fs::syncfs(File::open(&fs_path)?)?;
    fs::rename(fs_path, name)?;
    File::open(".")?.sync_all()?;
    fs::remove_dir_all(new)
}
