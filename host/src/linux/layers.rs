//! Unpacked layers on this host's disk, each once however many images have it: `layers/` and the first digits of its chain id.
//!
//! A layer is unpacked upon an overlay of those below it, so that what it deletes and links to is found there, and what it changed is kept.
//! Beside each is a file that says how many bytes it takes. Deliberately absent: choice of what goes when there is want of room.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use super::image::{Image, Layer};
use super::quarters::{mount_overlay, unmount};
use super::unpack::{UnpackError, unpack};
use crate::disk_quota::{DiskQuota, Hold, Keeper, Key, Kind, Part, used_at};

/// Digits of a layer's name: as few as tell layers apart, since one mount names up to 127 in 4,096 bytes.
const NAME_DIGITS: usize = 24;
/// Before the name of what is being unpacked or removed.
const NEW: &str = ".new-";
/// Of the file beside a layer.
const BYTES: &str = "bytes";
/// `st_blocks` counts these.
const BLOCK_BYTES: u64 = 512;

/// The layers in a folder.
pub(crate) struct Layers {
    dir: PathBuf,
    quota: Arc<DiskQuota>,
    removals: AtomicU64,
}

impl Layers {
    /// Those in `dir`, which need not be there.
    pub(crate) fn open(dir: PathBuf, quota: Arc<DiskQuota>) -> Arc<Layers> {
        let layers = Arc::new(Layers { dir, quota, removals: AtomicU64::new(0) });
        if let Err(error) = layers.take_stock() {
            tracing::warn!(dir = %layers.dir.display(), %error, "unpacked layers could not be counted");
        }
        let keeper: Weak<Layers> = Arc::downgrade(&layers);
        layers.quota.join(Kind::Layer, keeper);
        layers
    }

    fn take_stock(&self) -> io::Result<()> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            if name.starts_with(NEW) || !entry.file_type()?.is_dir() {
                continue;
            }
            let file = bytes_file(&self.dir, &name);
            let known = fs::read_to_string(&file).ok().and_then(|text| text.parse().ok());
            let bytes = match known {
                Some(bytes) => bytes,
                None => {
                    let bytes = disk_bytes(&entry.path())?;
                    fs::write(&file, bytes.to_string())?;
                    bytes
                }
            };
            self.quota.put(key(&name), vec![Part { name, bytes }], Some(used_at(&file)));
        }
        Ok(())
    }

    /// The names of an image's layers, the uppermost first, which stay as long as they are held; those that aren't here yet are unpacked.
    /// Works in the folder of layers, and one at a time.
    pub(crate) fn ensure(&self, image: &Image) -> Result<(Vec<String>, Vec<Hold>), UnpackError> {
        let name = |chain_id: &str| chain_id[..NAME_DIGITS].to_owned();
        // Before anybody looks which are there.
        let held = image.layers.iter().map(|layer| self.quota.hold(key(&name(&layer.chain_id)))).collect();
        let mut names: Vec<String> = Vec::new();
        for layer in &image.layers {
            let name = name(&layer.chain_id);
            if !Path::new(&name).exists() {
                self.unpack(layer, &name, &names)?;
            }
            names.insert(0, name);
        }
        Ok((names, held))
    }

    /// Unpacks a layer upon those below it, the uppermost first, if there is room for what it turns out to take.
    fn unpack(&self, layer: &Layer, name: &str, below: &[String]) -> Result<(), UnpackError> {
        let new = format!("{NEW}{name}");
        let host = |cause| UnpackError::Host { what: format!("unpacking into {name}"), cause };
        let unpack_and_keep = || {
            unpack_into(&new, layer, below)?;
            let bytes = disk_bytes(&Path::new(&new).join("fs")).map_err(host)?;
            let room = self.quota.reserve(bytes);
            let _room = room.map_err(|error| UnpackError::Host {
                what: "there is no room for an unpacked layer".to_owned(),
                cause: io::Error::other(error),
            })?;
            keep(&new, name, bytes).map_err(host)?;
            self.quota.put(key(name), vec![Part { name: name.to_owned(), bytes }], None);
            Ok(())
        };
        // What can't be removed is when it is unpacked again, or with the next start.
        unpack_and_keep().inspect_err(|_| drop(fs::remove_dir_all(&new)))
    }
}

impl Keeper for Layers {
    /// At once for all who look; what is in it goes in the background.
    fn remove(&self, name: &str) -> io::Result<()> {
        let count = self.removals.fetch_add(1, Ordering::Relaxed);
        let gone = self.dir.join(format!("{NEW}gone-{}-{count}", std::process::id()));
        match fs::rename(self.dir.join(name), &gone) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let _ = fs::remove_file(bytes_file(&self.dir, name));
        let removal = move || {
            if let Err(error) = fs::remove_dir_all(&gone) {
                tracing::warn!(folder = %gone.display(), %error, "an evicted layer is removed with the next start");
            }
        };
        std::thread::Builder::new().name("layer".to_owned()).spawn(removal).map(drop)
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        Some(bytes_file(&self.dir, name))
    }
}

fn key(name: &str) -> Key {
    Key::new(Kind::Layer, name)
}

fn bytes_file(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.{BYTES}"))
}

/// What a folder takes on disk, each file counted once.
fn disk_bytes(folder: &Path) -> io::Result<u64> {
    let (mut bytes, mut open, mut linked) = (0, vec![folder.to_owned()], HashSet::new());
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let found = entry.metadata()?;
            if found.is_dir() {
                open.push(entry.path());
            } else if found.nlink() > 1 && !linked.insert(found.ino()) {
                continue;
            }
            bytes += found.blocks() * BLOCK_BYTES;
        }
    }
    Ok(bytes)
}

fn unpack_into(new: &str, layer: &Layer, below: &[String]) -> Result<(), UnpackError> {
    let host = |cause| UnpackError::Host { what: format!("unpacking into {new}"), cause };
    let below: Vec<&str> = below.iter().map(String::as_str).collect();
    start_over(new).map_err(host)?;
    let fs_path = format!("{new}/fs");
    if below.is_empty() {
        return unpack(layer, Path::new(&fs_path));
    }
    let merged = format!("{new}/merged");
    let (merged, work) = (Path::new(&merged), format!("{new}/work"));
    // Each layer is whole by itself, whatever this kernel's defaults are.
    let mounted = mount_overlay(&below, &fs_path, &work, merged, ",metacopy=off,redirect_dir=off");
    mounted.map_err(|cause| UnpackError::Host { what: "mounting an overlay of layers".to_owned(), cause })?;
    let unpacked = unpack(layer, merged);
    unmount(merged).map_err(host)?;
    unpacked
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
fn keep(new: &str, name: &str, bytes: u64) -> io::Result<()> {
    let fs_path = Path::new(new).join("fs");
    rustix::fs::syncfs(File::open(&fs_path)?)?;
    fs::write(bytes_file(Path::new("."), name), bytes.to_string())?;
    fs::rename(fs_path, name)?;
    File::open(".")?.sync_all()?;
    fs::remove_dir_all(new)
}
