//! The name of an artifact: registry, repository, tag and digest, written as Docker writes them.

use std::fmt;
use std::str::FromStr;

use crate::digest::{Digest, DigestError};

/// The registry inside the cluster; hosts know which member serves it.
pub const CLUSTER_REGISTRY: &str = "registry.coracle.internal";

const DEFAULT_REGISTRY: &str = "docker.io";
const DEFAULT_TAG: &str = "latest";
const REPOSITORY_LENGTH_MAX: usize = 255;
const TAG_LENGTH_MAX: usize = 128;

/// A reference such as `ghcr.io/shop/cart:1.2`, `registry.coracle.internal/cart@sha256:…` or `cart` (of Docker Hub).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// A text that is no reference.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing there.
    #[error("the reference is empty: write REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:…")]
    Empty,
    /// The part before the first slash is no host.
    #[error("`{reference}` names no registry that could exist: `{registry}` is not HOST or HOST:PORT")]
    Registry {
        /// What was given.
        reference: String,
        /// Its registry.
        registry: String,
    },
    /// The name has characters or a shape that registries refuse.
    #[error(
        "`{reference}` has an invalid name `{repository}`: lower-case letters, digits and single `.`, `_`, `-` between them, \
         in parts separated by `/`, at most 255 in all"
    )]
    Repository {
        /// What was given.
        reference: String,
        /// Its repository.
        repository: String,
    },
    /// The tag has characters or a length that registries refuse.
    #[error(
        "`{reference}` has an invalid tag `{tag}`: letters, digits, `_`, `.` and `-`, at most 128, not beginning with `.` or `-`"
    )]
    Tag {
        /// What was given.
        reference: String,
        /// Its tag.
        tag: String,
    },
    /// What follows `@` is no digest.
    #[error("in `{reference}`, {cause}")]
    Digest {
        /// What was given.
        reference: String,
        /// Why.
        cause: DigestError,
    },
}

impl Reference {
    /// Reads a reference. Without a registry it is Docker Hub's; without tag and digest the tag is `latest`.
    pub fn parse(reference: &str) -> Result<Reference, ReferenceError> {
        let text = reference.trim();
        let text = text.strip_prefix("oci://").or_else(|| text.strip_prefix("docker://")).unwrap_or(text);
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        let owned = || reference.to_owned();
        let (name, digest) = match text.split_once('@') {
            None => (text, None),
            Some((name, digest)) => {
                let digest = digest.parse().map_err(|cause| ReferenceError::Digest { reference: owned(), cause })?;
                (name, Some(digest))
            }
        };
        let (registry, rest) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
            _ => (DEFAULT_REGISTRY, name),
        };
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
            _ => (rest, None),
        };
        if !is_registry(registry) {
            return Err(ReferenceError::Registry { reference: owned(), registry: registry.to_owned() });
        }
        if !is_repository(repository) {
            return Err(ReferenceError::Repository { reference: owned(), repository: repository.to_owned() });
        }
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(ReferenceError::Tag { reference: owned(), tag: tag.to_owned() });
        }
        let tag = tag.or(digest.is_none().then_some(DEFAULT_TAG)).map(str::to_owned);
        let is_official = registry == DEFAULT_REGISTRY && !repository.contains('/');
        let repository = if is_official { format!("library/{repository}") } else { repository.to_owned() };
        Ok(Reference { registry: registry.to_ascii_lowercase(), repository, tag, digest })
    }

    /// The registry's host, with its port if one is given.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The name in the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if one is given or implied.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one is given.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The same artifact, pinned: with this digest and without a tag.
    pub fn at(&self, digest: Digest) -> Reference {
        Reference { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// Whether it is the cluster's own registry's.
    pub fn is_cluster(&self) -> bool {
        self.registry == CLUSTER_REGISTRY
    }

    /// What a registry looks the manifest up by: the digest, else the tag.
    pub(crate) fn manifest_key(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.as_deref().unwrap_or(DEFAULT_TAG).to_owned(),
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Reference, ReferenceError> {
        Reference::parse(text)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let is_host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let is_label = |label: &str| {
                !label.is_empty()
                    && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                    && !label.starts_with('-')
                    && !label.ends_with('-')
            };
            host.len() <= 253 && host.split('.').all(is_label)
        }
    };
    is_host && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// Whether registries accept it as a repository's name.
pub(crate) fn is_repository(text: &str) -> bool {
    text.len() <= REPOSITORY_LENGTH_MAX && text.split('/').all(is_repository_part)
}

/// Runs of letters and digits, joined by one `.`, one or two `_`, or any number of `-`.
fn is_repository_part(part: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut rest = part.as_bytes();
    loop {
        let word = rest.iter().take_while(|byte| is_word(**byte)).count();
        if word == 0 {
            return false;
        }
        rest = &rest[word..];
        if rest.is_empty() {
            return true;
        }
        let gap = rest.iter().take_while(|byte| !is_word(**byte)).count();
        let (separator, behind) = rest.split_at(gap);
        if !(matches!(separator, b"." | b"_" | b"__") || separator.iter().all(|byte| *byte == b'-')) {
            return false;
        }
        rest = behind;
    }
}

/// Whether registries accept it as a tag.
pub(crate) fn is_tag(text: &str) -> bool {
    let is_tag_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=TAG_LENGTH_MAX).contains(&text.len()) && text.bytes().all(is_tag_byte) && !text.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(text: &str, expected: Expect) {
        expected.assert_eq(&match Reference::parse(text) {
            Ok(reference) => reference.to_string(),
            Err(error) => format!("error: {error}"),
        });
    }

    #[test]
    fn references_get_docker_s_defaults() {
        check("cart", expect!["docker.io/library/cart:latest"]);
        check("shop/cart:1.2", expect!["docker.io/shop/cart:1.2"]);
        check("ghcr.io/shop/cart", expect!["ghcr.io/shop/cart:latest"]);
        check("oci://ghcr.io/shop/cart:V1", expect!["ghcr.io/shop/cart:V1"]);
        check("localhost/cart", expect!["localhost/cart:latest"]);
        check("LOCALHOST:5000/cart", expect!["localhost:5000/cart:latest"]);
        check("[::1]:5000/cart", expect!["[::1]:5000/cart:latest"]);
        check("127.0.0.1:5000/a/b/c:x", expect!["127.0.0.1:5000/a/b/c:x"]);
        check("registry.coracle.internal/cart", expect!["registry.coracle.internal/cart:latest"]);
        check("registry.coracle.internal/a__b/c--d.e", expect!["registry.coracle.internal/a__b/c--d.e:latest"]);
        let digest = Digest::of(b"");
        check(
            &format!("registry.coracle.internal/cart@{digest}"),
            expect![
                "registry.coracle.internal/cart@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
            ],
        );
        check(
            &format!("cart:1@{digest}"),
            expect!["docker.io/library/cart:1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
        );
    }

    #[test]
    fn what_is_no_reference_is_refused_with_the_reason() {
        check("", expect!["error: the reference is empty: write REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:…"]);
        check(
            "a.b:x/c",
            expect!["error: `a.b:x/c` names no registry that could exist: `a.b:x` is not HOST or HOST:PORT"],
        );
        check(
            "-x.io/c",
            expect!["error: `-x.io/c` names no registry that could exist: `-x.io` is not HOST or HOST:PORT"],
        );
        for (text, repository) in [
            ("Cart", "Cart"),
            ("ghcr.io/", ""),
            ("ghcr.io/a//b", "a//b"),
            ("ghcr.io/a___b", "a___b"),
            ("ghcr.io/a/../b", "a/../b"),
            ("ghcr.io/_a", "_a"),
            ("a b", "a b"),
        ] {
            let error = ReferenceError::Repository { reference: text.into(), repository: repository.into() };
            assert_eq!(Reference::parse(text), Err(error));
        }
        check(
            "cart:.x",
            expect![
                "error: `cart:.x` has an invalid tag `.x`: letters, digits, `_`, `.` and `-`, at most 128, not beginning with `.` or `-`"
            ],
        );
        check(
            "cart@sha512:12",
            expect![
                "error: in `cart@sha512:12`, `sha512:12` is not a digest: it should be `sha256:` and 64 lower-case hexadecimal digits"
            ],
        );
    }
}
