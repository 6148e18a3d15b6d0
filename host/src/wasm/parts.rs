//! The files that one component is made of: its own, and those of the libraries that are linked into it.
//!
//! Deliberately absent: how they are joined, which [`link::plan`] decides and `compose` does.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::compile::host_error;
use crate::inspect::{Inspection, Kind, Wasi, inspect};
use crate::link::{self, LinkError, Part};
use crate::runtime::{ContainerSpec, StartError};

/// Names the files, and the component that they make.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    /// The digest of a component of one file; of several a digest of all their digests, in order.
    pub(crate) digest: String,
    /// At least one; the first is the container's own.
    pub(crate) files: Vec<PartFile>,
    may_be_unused: bool,
}

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct PartFile {
    /// The container's name.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    digest: String,
}

impl Parts {
    pub(crate) fn of(spec: &ContainerSpec) -> Parts {
        let file = |name: &str, path: &Path, digest: &str| PartFile {
            name: name.to_owned(),
            path: path.to_owned(),
            digest: digest.to_owned(),
        };
        let libraries = spec.libraries.iter().map(|library| file(&library.name, &library.artifact, &library.digest));
        let files: Vec<PartFile> =
            std::iter::once(file(&spec.name, &spec.artifact, &spec.digest)).chain(libraries).collect();
        let may_be_unused = spec.libraries.iter().any(|library| library.is_shared);
        Parts { digest: digest_of(&files), files, may_be_unused }
    }

    /// Refuses what no compiler need see: other files, core modules, imports that nobody satisfies, too much. Gives the bytes of each
    /// file, and what they are to be compiled for.
    pub(crate) fn read(&self, bytes_max: u64) -> Result<(Vec<Vec<u8>>, Wasi), StartError> {
        let mut bytes_left = bytes_max;
        let mut contents = Vec::new();
        let mut inspections = Vec::new();
        for file in &self.files {
            let (bytes, inspection) = file.read(&mut bytes_left, bytes_max)?;
            contents.push(bytes);
            inspections.push(inspection);
        }
        if let [inspection] = &inspections[..] {
            if !inspection.unknown.is_empty() {
                return Err(StartError::UnknownImport { imports: inspection.unknown.clone() });
            }
            return Ok((contents, inspection.wasi()));
        }
        let parts = self.files.iter().zip(&inspections);
        let parts: Vec<Part<'_>> = parts.map(|(file, inspection)| Part { name: &file.name, inspection }).collect();
        let plan = link::plan(&parts, self.may_be_unused).map_err(refused)?;
        let is_03 = plan.used.iter().any(|part| inspections[*part].wasi() == Wasi::V03);
        Ok((contents, if is_03 { Wasi::V03 } else { Wasi::V02 }))
    }

    /// What a component of one file is to be compiled for, if it runs by itself: others are compiled as a part of those that they are
    /// linked into.
    pub(crate) fn wasi_by_itself(&self, bytes_max: u64) -> Result<Option<Wasi>, StartError> {
        let [file] = &self.files[..] else { return Ok(None) };
        let (_, inspection) = file.read(&mut { bytes_max }, bytes_max)?;
        let runs = match inspection.kind {
            Kind::HttpHandler02 | Kind::HttpHandler03 | Kind::Command02 | Kind::Command03 => true,
            Kind::Library | Kind::Other | Kind::Middleware02 | Kind::Middleware03 => false,
        };
        Ok((runs && inspection.unknown.is_empty()).then(|| inspection.wasi()))
    }
}

/// Why components can't be joined, as the user sees it.
fn refused(error: LinkError) -> StartError {
    match error {
        LinkError::Unknown { imports } => StartError::UnknownImport { imports },
        error => StartError::LinkFailed { reason: error.to_string() },
    }
}

/// Of several parts: each part's digest has its place, so that no two lists have one digest.
fn digest_of(files: &[PartFile]) -> String {
    if let [file] = files {
        return file.digest.clone();
    }
    let mut hash = Sha256::new_with_prefix("coracle linked component 1\n");
    for file in files {
        hash.update(&file.digest);
        hash.update("\n");
    }
    format!("linked:{}", hex::encode(hash.finalize()))
}

impl PartFile {
    fn read(&self, bytes_left: &mut u64, bytes_max: u64) -> Result<(Vec<u8>, Inspection), StartError> {
        let unreadable = |error: std::io::Error| host_error(format!("{} cannot be read: {error}", self.path.display()));
        let length = std::fs::metadata(&self.path).map_err(unreadable)?.len();
        let Some(left) = bytes_left.checked_sub(length) else {
            return Err(StartError::TooLarge { bytes: bytes_max - *bytes_left + length, bytes_max });
        };
        *bytes_left = left;
        let bytes = std::fs::read(&self.path).map_err(unreadable)?;
        if let Some(wanted) = self.digest.strip_prefix("sha256:") {
            let found = hex::encode(Sha256::digest(&bytes));
            if found != wanted {
                let (file, digest) = (self.path.display(), &self.digest);
                return Err(host_error(format!("{file} is damaged: its digest is sha256:{found}, not {digest}")));
            }
        }
        let inspection = inspect(&bytes).map_err(StartError::Unusable)?;
        Ok((bytes, inspection))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_a_linked_component_is_of_its_parts_and_their_order() {
        let parts = |digests: &[&str]| {
            let mut spec = ContainerSpec::new(Default::default(), "web", PathBuf::from("/web"), digests[0]);
            spec.libraries = digests[1..]
                .iter()
                .map(|digest| crate::runtime::Library {
                    name: "x".to_owned(),
                    artifact: PathBuf::from("/x"),
                    digest: (*digest).to_owned(),
                    is_shared: false,
                })
                .collect();
            Parts::of(&spec).digest
        };
        assert_eq!(parts(&["sha256:1"]), "sha256:1");
        let all = [
            &["sha256:1", "sha256:2", "sha256:3"][..],
            &["sha256:1", "sha256:3", "sha256:2"],
            &["sha256:1", "sha256:2"],
        ];
        let digests: std::collections::BTreeSet<String> = all.iter().map(|digests| parts(digests)).collect();
        assert_eq!(digests.len(), 3);
        assert!(digests.iter().all(|digest| digest.starts_with("linked:")), "{digests:?}");
    }
}
