//! Which part of the API an address is.

use super::error::Refusal;
use crate::blob_store::Key;
use crate::copies::LIST_PATH;
use crate::digest::Digest;
use crate::reference::is_repository;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    Base,
    Catalog,
    /// Of all manifests, for other members.
    List,
    Tags {
        repository: String,
    },
    Manifest {
        repository: String,
        key: Key,
    },
    Blob {
        repository: String,
        digest: Digest,
    },
    Uploads {
        repository: String,
    },
    Upload {
        repository: String,
        id: String,
    },
    Referrers {
        repository: String,
        digest: Digest,
    },
}

impl Route {
    /// Reads an address from its end: a name may have slashes, and even a part called `blobs`.
    pub(super) fn parse(path: &str) -> Result<Route, Refusal> {
        let rest = match path.strip_prefix("/v2") {
            Some("" | "/") => return Ok(Route::Base),
            Some("/_catalog") => return Ok(Route::Catalog),
            Some(_) if path == LIST_PATH => return Ok(Route::List),
            Some(rest) => rest.strip_prefix('/').ok_or_else(Refusal::no_route)?,
            None => return Err(Refusal::no_route()),
        };
        let name = |repository: &str| {
            if is_repository(repository) { Ok(repository.to_owned()) } else { Err(Refusal::name_invalid(repository)) }
        };
        if let Some(repository) = rest.strip_suffix("/tags/list") {
            return Ok(Route::Tags { repository: name(repository)? });
        }
        if let Some(repository) = rest.strip_suffix("/blobs/uploads/").or_else(|| rest.strip_suffix("/blobs/uploads")) {
            return Ok(Route::Uploads { repository: name(repository)? });
        }
        let (front, last) = rest.rsplit_once('/').ok_or_else(Refusal::no_route)?;
        if let Some(repository) = front.strip_suffix("/blobs/uploads") {
            return Ok(Route::Upload { repository: name(repository)?, id: last.to_owned() });
        }
        if let Some(repository) = front.strip_suffix("/blobs") {
            return Ok(Route::Blob { repository: name(repository)?, digest: digest(last)? });
        }
        if let Some(repository) = front.strip_suffix("/manifests") {
            let key = last.parse().map_err(Refusal::from)?;
            return Ok(Route::Manifest { repository: name(repository)?, key });
        }
        if let Some(repository) = front.strip_suffix("/referrers") {
            return Ok(Route::Referrers { repository: name(repository)?, digest: digest(last)? });
        }
        Err(Refusal::no_route())
    }
}

fn digest(text: &str) -> Result<Digest, Refusal> {
    text.parse().map_err(|error| Refusal::from(crate::blob_store::StoreError::DigestInvalid(error)))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(path: &str, expected: Expect) {
        expected.assert_eq(&match Route::parse(path) {
            Ok(route) => format!("{route:?}"),
            Err(refusal) => refusal.to_string(),
        });
    }

    #[test]
    fn addresses_are_read_from_their_end() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        check("/v2", expect!["Base"]);
        check("/v2/", expect!["Base"]);
        check("/v2/_catalog", expect!["Catalog"]);
        check("/v2/a/b/tags/list", expect![[r#"Tags { repository: "a/b" }"#]]);
        check("/v2/a/blobs/uploads/", expect![[r#"Uploads { repository: "a" }"#]]);
        check("/v2/a/blobs/uploads/x-1", expect![[r#"Upload { repository: "a", id: "x-1" }"#]]);
        check("/v2/a/manifests/1.2", expect![[r#"Manifest { repository: "a", key: Tag("1.2") }"#]]);
        check(
            "/v2/blobs/manifests/manifests/x",
            expect![[r#"Manifest { repository: "blobs/manifests", key: Tag("x") }"#]],
        );
        check(
            &format!("/v2/a/blobs/{empty}"),
            expect![[
                r#"Blob { repository: "a", digest: sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 }"#
            ]],
        );
        check(
            "/v2/a/blobs/sha256:12",
            expect![
                "400 DIGEST_INVALID `sha256:12` is not a digest: it should be `sha256:` and 64 lower-case hexadecimal digits"
            ],
        );
        check("/v2/A/manifests/x", expect!["400 NAME_INVALID `A` is no name of a repository"]);
        check("/v2/../../etc/manifests/x", expect!["400 NAME_INVALID `../../etc` is no name of a repository"]);
        check("/v2/a/manifests/..", expect!["404 MANIFEST_UNKNOWN manifest unknown"]);
        check("/v1/a", expect!["404 UNSUPPORTED no such address: the registry's begin with /v2/"]);
        check("/v2x", expect!["404 UNSUPPORTED no such address: the registry's begin with /v2/"]);
        check("/v2/a", expect!["404 UNSUPPORTED no such address: the registry's begin with /v2/"]);
    }
}
