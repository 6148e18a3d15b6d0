//! `wasmctl snapshot restore`: into a folder beside the data directory, which becomes it once all is there.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use coracle_store::archive::Entry;
use coracle_store::{Options, RealDisk, Record};
use tempfile::TempDir;

use super::contents::Contents;
use super::inspect;
use crate::context::default_data_dir;
use crate::data_dir::STORE;
use crate::failure::{Failure, Result, chain};

/// Make a data directory of a snapshot, for `wasmctl up` or `wasmctl server` to go on with
///
/// Stop the cluster that the snapshot is of before you start the restored one: the two have the same name and keys.
///
/// Examples:
///   wasmctl snapshot restore monday.coracle --data-dir ./restored
///   wasmctl snapshot restore monday.coracle
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// A file that `wasmctl snapshot save` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The data directory to make; it must be empty if it is there [default: $XDG_DATA_HOME/coracle]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

pub(super) async fn run(args: Args) -> Result<()> {
    let (path, data_dir) = (args.file, args.data_dir.unwrap_or_else(default_data_dir));
    let file = inspect::open(&path)?;
    check_is_free(&data_dir)?;
    // Where a link leads to, and absolute, for `./new` and `new/` have parents that are not where they seem.
    let data_dir = fs::canonicalize(&data_dir)
        .or_else(|_| std::path::absolute(&data_dir))
        .map_err(|error| failed(&data_dir, &error))?;
    let is_interrupted = Arc::new(AtomicBool::new(false));
    tokio::spawn(note_interrupt(Arc::clone(&is_interrupted)));
    let restored = tokio::task::spawn_blocking(move || {
        restore(&file, &path, &data_dir, &is_interrupted).map(|contents| (contents, data_dir))
    });
    let (contents, data_dir) = restored.await.expect("invariant: a restore does not panic")?;
    let (cluster, taken, data_dir) = (&contents.cluster, &contents.taken, data_dir.display());
    println!("restored {cluster} as of {taken} to {data_dir}: {}", contents.summary());
    println!("start it:   wasmctl up --data-dir {data_dir}");
    Ok(())
}

/// From here on Ctrl-C does not end the process, which would leave half a folder behind.
async fn note_interrupt(is_interrupted: Arc<AtomicBool>) {
    if tokio::signal::ctrl_c().await.is_ok() {
        is_interrupted.store(true, Ordering::Relaxed);
    }
}

fn restore(file: &File, path: &Path, data_dir: &Path, is_interrupted: &AtomicBool) -> Result<Contents> {
    let parent = data_dir.parent().ok_or_else(|| Failure::usage("the root folder can't be a data directory"))?;
    DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(|error| failed(parent, &error))?;
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    if device(data_dir).is_some_and(|own| Some(own) != device(parent)) {
        return Err(mounted(data_dir, &io::ErrorKind::ResourceBusy.into()));
    }
    let partial = tempfile::Builder::new()
        .prefix(".coracle-restore-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(parent)
        .map_err(|error| failed(parent, &error))?;
    let mut unpacked = Unpacked { dir: partial.path(), file: None, records: Vec::new() };
    let contents = Contents::read(file, path, |entry| {
        if is_interrupted.load(Ordering::Relaxed) {
            return Err(Failure::new("interrupted: nothing was restored"));
        }
        unpacked.add(entry)
    })?;
    let options = Options::new(partial.path().join(STORE));
    coracle_store::restore(&options, Arc::new(RealDisk), unpacked.records, contents.revision)
        .map_err(|error| Failure::new(chain(&error)))?;
    put_in_place(partial, data_dir, parent)?;
    Ok(contents)
}

/// What has been read: the files in `dir`, the records in memory.
struct Unpacked<'a> {
    dir: &'a Path,
    /// The file whose content comes now.
    file: Option<(File, PathBuf)>,
    records: Vec<Record>,
}

impl Unpacked<'_> {
    fn add(&mut self, entry: Entry) -> Result<()> {
        match entry {
            Entry::Record(record) => self.records.push(record),
            Entry::File(name) => {
                let path = self.dir.join(name);
                self.file = Some((create(&path).map_err(|error| failed(&path, &error))?, path));
            }
            Entry::Content(piece) => {
                let (file, path) = self.file.as_mut().expect("invariant: content follows its file's path");
                file.write_all(&piece).map_err(|error| failed(path, &error))?;
            }
        }
        Ok(())
    }
}

fn create(path: &Path) -> io::Result<File> {
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)
}

/// Makes the folder the data directory, at once and for good.
fn put_in_place(partial: TempDir, data_dir: &Path, parent: &Path) -> Result<()> {
    let sync = |path: &Path| File::open(path).and_then(|folder| Ok(rustix::fs::syncfs(folder)?));
    sync(partial.path()).map_err(|error| failed(partial.path(), &error))?;
    fs::rename(partial.path(), data_dir).map_err(|error| match error.kind() {
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => occupied(data_dir),
        io::ErrorKind::ResourceBusy => mounted(data_dir, &error),
        _ => failed(data_dir, &error),
    })?;
    // What it would remove has another name now.
    let _ = partial.keep();
    sync(parent).map_err(|error| failed(parent, &error))
}

/// Refuses a folder that holds anything.
fn check_is_free(data_dir: &Path) -> Result<()> {
    match fs::read_dir(data_dir) {
        Ok(mut entries) => {
            if entries.next().is_none() {
                Ok(())
            } else {
                Err(occupied(data_dir))
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(data_dir, &error)),
    }
}

fn occupied(data_dir: &Path) -> Failure {
    let what = if data_dir.join("cluster.json").exists() { "holds a cluster already" } else { "is not empty" };
    Failure::new(format!("data directory {} {what}", data_dir.display()))
        .hint("name a new folder with --data-dir, or move this one away (its cluster, if it runs, stopped before)")
}

fn mounted(data_dir: &Path, error: &io::Error) -> Failure {
    failed(data_dir, error)
        .hint("a disk is mounted there, which can't be replaced: name a folder in it that does not exist yet")
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::file(path, error)
}
