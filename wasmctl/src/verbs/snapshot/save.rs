//! `wasmctl snapshot save`.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use futures::TryStreamExt as _;
use serde_json::json;
use tempfile::NamedTempFile;

use super::contents::Contents;
use crate::context::Global;
use crate::failure::{Failure, Result};

const SNAPSHOTS: &str = "/apis/coracle.dev/v1/clustersnapshots";

/// Save the whole cluster, at one moment, to a file
///
/// The file holds all objects and artifacts, and the keys of the cluster: keep it as secret as the cluster itself.
///
/// Examples:
///   wasmctl snapshot save monday.coracle
///   wasmctl --kubeconfig ./cluster/kubeconfig snapshot save /backups/cluster.coracle --force
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The file to write
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace the file if there is one
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(args: Args, global: &Global) -> Result<()> {
    let path = &args.file;
    if path.exists() && !path.is_file() {
        return Err(Failure::usage(format!("{}: not a regular file", path.display())).hint("name a new file"));
    }
    if path.exists() && !args.force {
        return Err(taken(path));
    }
    let contents = tokio::select! {
        contents = save(path, args.force, global) => contents?,
        _ = tokio::signal::ctrl_c() => return Err(Failure::new("interrupted: nothing was saved")),
    };
    println!("saved {} at revision {} to {}", contents.cluster, contents.revision, path.display());
    println!("{}; it holds the cluster's keys: keep it as secret as the cluster", contents.summary());
    Ok(())
}

/// Writes a file beside the one named, reads it back, and only then puts it in its place.
async fn save(path: &Path, force: bool, global: &Global) -> Result<Contents> {
    let failed = |error: io::Error| Failure::file(path, &error);
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(Failure::new(format!("{}: there is no such folder", folder.display())).hint("make it first"));
    }
    let mut file = tempfile::Builder::new()
        .prefix(".coracle-snapshot-")
        .tempfile_in(folder)
        .map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
    let mut pieces = global.client()?.post_stream(SNAPSHOTS, &json!({})).await.map_err(refused)?;
    while let Some(piece) = pieces.try_next().await.map_err(cut_off)? {
        // The file itself, for the errors of what wraps it name the wrong one.
        file.as_file_mut().write_all(&piece).map_err(failed)?;
    }
    file.as_file().sync_all().map_err(failed)?;
    let contents = Contents::read(&File::open(file.path()).map_err(failed)?, path, |_| Ok(()))?;
    put_in_place(file, path, force)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(contents)
}

fn put_in_place(file: NamedTempFile, path: &Path, force: bool) -> Result<()> {
    let persisted = if force { file.persist(path) } else { file.persist_noclobber(path) };
    persisted.map(drop).map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => taken(path),
        _ => Failure::new(format!("{}: {}", path.display(), error.error)),
    })
}

fn taken(path: &Path) -> Failure {
    Failure::new(format!("{}: there is such a file already", path.display()))
        .hint("name another file, or replace this one with --force")
}

fn refused(error: coracle_client::Error) -> Failure {
    let is_forbidden = error.code() == Some(403);
    let failure = Failure::from(error);
    if !is_forbidden {
        return failure;
    }
    failure.hint("a snapshot holds every key: use an administrator's kubeconfig, as the one that `wasmctl up` writes")
}

fn cut_off(error: coracle_client::Error) -> Failure {
    let failure = Failure::from(error);
    failure
        .detail("the snapshot was cut off; nothing was saved")
        .hint("the cluster's log says why if it gave up; then try again")
}
