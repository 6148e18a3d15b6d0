//! What a pull leaves in a folder: layers, each streamed to a file beside its place, verified, made durable, moved there; and the manifests
//! that led to it.

use std::io;
use std::path::{Path, PathBuf};

use http::{HeaderMap, Method};
use tokio::fs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::PullCause;
use crate::digest::{Digest, Hasher};
use crate::manifest::{Descriptor, Manifest};
use crate::transport::{Ask, Session};

const READ_BYTES: usize = 256 * 1024;

/// What a pull into a folder left there under this digest, a component, a manifest or a part of a Linux image; `None` if none did. Verified when it was written.
pub async fn open_pulled(folder: &Path, digest: Digest) -> io::Result<Option<fs::File>> {
    for path in [component_path(folder, digest), manifest_path(folder, digest), blob_path(folder, digest)] {
        match fs::File::open(path).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened.map(Some),
        }
    }
    Ok(None)
}

/// Fetches a layer to its place, unless it is there and intact.
pub(super) async fn layer(session: &Session<'_>, layer: &Descriptor, path: PathBuf) -> Result<PathBuf, PullCause> {
    let into = path.parent().expect("invariant: its place is in a folder");
    let disk = |cause: io::Error| PullCause::Disk { path: path.clone(), cause };
    if is_intact(&path, layer).await.map_err(disk)? {
        return Ok(path);
    }
    fs::create_dir_all(into).await.map_err(disk)?;
    let (partial, mut file) = Partial::create(into, layer.digest).await.map_err(disk)?;
    receive(session, layer, &mut file, disk).await?;
    partial.become_whole(file, &path).await.map_err(disk)?;
    Ok(path)
}

/// Writes down a manifest, which is verified, unless it is there: it was moved there as a whole.
pub(super) async fn keep(manifest: &Manifest, into: &Path) -> Result<(), PullCause> {
    let path = manifest_path(into, manifest.digest);
    let write = async {
        if fs::try_exists(&path).await? {
            return Ok(());
        }
        let (partial, mut file) = Partial::create(into, manifest.digest).await?;
        file.write_all(&manifest.bytes).await?;
        partial.become_whole(file, &path).await
    };
    write.await.map_err(|cause| PullCause::Disk { path: path.clone(), cause })
}

pub(super) fn component_path(folder: &Path, digest: Digest) -> PathBuf {
    folder.join(format!("{}.wasm", digest.hex()))
}

pub(super) fn manifest_path(folder: &Path, digest: Digest) -> PathBuf {
    folder.join(format!("{}.json", digest.hex()))
}

pub(super) fn blob_path(folder: &Path, digest: Digest) -> PathBuf {
    folder.join(format!("{}.blob", digest.hex()))
}

async fn receive(
    session: &Session<'_>,
    layer: &Descriptor,
    file: &mut fs::File,
    disk: impl Fn(io::Error) -> PullCause,
) -> Result<(), PullCause> {
    let what = format!("layer {}", layer.digest);
    let url = session.url(&format!("blobs/{}", layer.digest));
    let ask = Ask { method: Method::GET, url, headers: HeaderMap::new(), body: None, what: &what };
    let mut response = session.send(ask).await.map_err(PullCause::Transport)?;
    let url = response.url().clone();
    let wrong_size = |found| PullCause::WrongSize { registry: session.registry(), expected: layer.size, found };
    let (mut hasher, mut received) = (Hasher::default(), 0);
    while let Some(chunk) =
        response.chunk().await.map_err(|error| PullCause::Transport(session.failure(&url, &error)))?
    {
        received += chunk.len() as u64;
        if received > layer.size {
            return Err(wrong_size(received));
        }
        hasher.update(&chunk);
        file.write_all(&chunk).await.map_err(&disk)?;
    }
    if received != layer.size {
        return Err(wrong_size(received));
    }
    let found = hasher.finish();
    if found != layer.digest {
        let registry = session.registry();
        return Err(PullCause::WrongDigest { what: "layer", registry, expected: layer.digest, found });
    }
    Ok(())
}

async fn is_intact(path: &Path, layer: &Descriptor) -> io::Result<bool> {
    let mut file = match fs::File::open(path).await {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if file.metadata().await?.len() != layer.size {
        return Ok(false);
    }
    let (mut hasher, mut buffer) = (Hasher::default(), vec![0; READ_BYTES]);
    loop {
        match file.read(&mut buffer).await? {
            0 => return Ok(hasher.finish() == layer.digest),
            count => hasher.update(&buffer[..count]),
        }
    }
}

/// A file that is removed unless it was moved away.
struct Partial(PathBuf);

impl Partial {
    async fn create(folder: &Path, digest: Digest) -> io::Result<(Partial, fs::File)> {
        let name = format!(".{}.{}.partial", digest.hex(), uuid::Uuid::new_v4().simple());
        let partial = Partial(folder.join(name));
        let file = fs::File::options().write(true).create_new(true).open(&partial.0).await?;
        Ok((partial, file))
    }

    /// Moves it to its place, to stay there.
    async fn become_whole(self, mut file: fs::File, path: &Path) -> io::Result<()> {
        file.flush().await?;
        file.sync_all().await?;
        fs::rename(&self.0, path).await?;
        let folder = path.parent().expect("invariant: it is in a folder");
        fs::File::open(folder).await?.sync_all().await
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Gone already if it was moved; what cannot be removed is removed by whoever cleans the folder.
        drop(std::fs::remove_file(&self.0));
    }
}
