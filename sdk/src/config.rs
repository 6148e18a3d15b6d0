//! Typed configuration: values from the environment, and from the files of mounted ConfigMaps and Secrets.
//!
//! ```
//! use coracle_sdk::config;
//!
//! # fn main() -> Result<(), config::Error> {
//! let retries: u8 = config::optional("RETRIES")?.unwrap_or(3);
//! assert_eq!(retries, 3);
//! let error = config::value::<u16>("PRICE_CENTS").unwrap_err();
//! assert_eq!(error.to_string(), "the environment variable PRICE_CENTS is not set");
//! # Ok(())
//! # }
//! ```
//!
//! No error shows a value: it may be a secret's. As a response, an error is logged and the client gets a bare 500.
//!
//! Deliberately absent: a format of configuration files; `serde` and its formats read what [`text`] gives. And `wasi:config`: as long as it is a
//! draft, a component that asks for it runs on the hosts of that draft only.

use std::any::type_name;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use axum::response::{IntoResponse, Response};
use http::StatusCode;

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nobody set it.
    #[error("the environment variable {name} is not set")]
    NotSet {
        /// The variable.
        name: String,
    },
    /// It is set to something else than what was asked for.
    #[error("{place} is not a {expected}: {reason}")]
    Malformed {
        /// The variable or file.
        place: String,
        /// The type that was asked for.
        expected: &'static str,
        /// What the type says.
        reason: String,
    },
    /// A file can't be read.
    #[error("{}: {reason}; is the volume mounted there?", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// The value of an environment variable.
///
/// # Errors
/// It is not set, or not a `T`.
pub fn value<T>(name: &str) -> Result<T, Error>
where
    T: FromStr,
    T::Err: Display,
{
    optional(name)?.ok_or_else(|| Error::NotSet { name: name.to_owned() })
}

/// The value of an environment variable that need not be set.
///
/// # Errors
/// It is set, but not a `T`.
pub fn optional<T>(name: &str) -> Result<Option<T>, Error>
where
    T: FromStr,
    T::Err: Display,
{
    let Some(text) = std::env::var_os(name) else { return Ok(None) };
    let place = || format!("the environment variable {name}");
    let text = text.into_string().map_err(|_| malformed::<T>(place(), "it is not UTF-8 text"))?;
    text.parse().map(Some).map_err(|error| malformed::<T>(place(), error))
}

/// The value in a file, without the white space around it: a key of a ConfigMap or Secret that is mounted as a volume. Read anew each time,
/// it follows what the key is changed to.
///
/// # Errors
/// The file can't be read, or does not hold a `T`.
pub fn file<T>(path: impl AsRef<Path>) -> Result<T, Error>
where
    T: FromStr,
    T::Err: Display,
{
    let path = path.as_ref();
    text(path)?.trim().parse().map_err(|error| malformed::<T>(path.display().to_string(), error))
}

/// A whole file, to the letter.
///
/// # Errors
/// The file can't be read, or is not UTF-8 text.
pub fn text(path: impl AsRef<Path>) -> Result<String, Error> {
    let path = path.as_ref();
    std::fs::read_to_string(path)
        .map_err(|error| Error::Unreadable { path: path.to_owned(), reason: error.to_string() })
}

fn malformed<T>(place: String, reason: impl Display) -> Error {
    let expected = type_name::<T>().rsplit("::").next().expect("a split gives one part at least");
    Error::Malformed { place, expected, reason: reason.to_string() }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        crate::error!("configuration", error = self.to_string());
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[track_caller]
    fn check<T: Display>(found: Result<T, Error>, expected: Expect) {
        expected.assert_eq(&found.map_or_else(|error| format!("error: {error}"), |value| value.to_string()));
    }

    #[test]
    fn files_are_read_as_what_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("price");
        std::fs::write(&path, " 17\n").unwrap();
        check(file::<u16>(&path), expect!["17"]);
        check(file::<String>(&path), expect!["17"]);
        assert_eq!(text(&path).unwrap(), " 17\n");
        let named = |error: Error| match error {
            Error::Malformed { expected, reason, .. } => {
                Error::Malformed { place: "price".to_owned(), expected, reason }
            }
            Error::Unreadable { reason, .. } => Error::Unreadable { path: "missing".into(), reason },
            error => error,
        };
        check(
            file::<bool>(&path).map_err(named),
            expect!["error: price is not a bool: provided string was not `true` or `false`"],
        );
        check(
            file::<u16>(folder.path().join("missing")).map_err(named),
            expect!["error: missing: No such file or directory (os error 2); is the volume mounted there?"],
        );
    }

    #[test]
    fn variables_are_read_as_what_was_asked_for() {
        // Cargo sets these for every test.
        check(value::<String>("CARGO_PKG_NAME"), expect!["coracle-sdk"]);
        check(
            value::<u16>("CARGO_PKG_NAME"),
            expect!["error: the environment variable CARGO_PKG_NAME is not a u16: invalid digit found in string"],
        );
        check(value::<u16>("CORACLE_NO_SUCH"), expect!["error: the environment variable CORACLE_NO_SUCH is not set"]);
        assert_eq!(optional::<u16>("CORACLE_NO_SUCH"), Ok(None));
    }
}
