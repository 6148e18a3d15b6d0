//! What a verb's failure looks like to its user: one sentence, the facts below it, the way out, and the exit code.
//! The only place that maps errors to exit codes: 1 failed, 2 usage, 3 timed out.

use std::fmt;
use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::process::ExitCode;

use owo_colors::OwoColorize as _;

/// Which exit code a failure has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The work was tried and did not succeed.
    Failed,
    /// The command line asks for something that makes no sense.
    Usage,
    /// The work may still succeed; the time to wait for it is over.
    TimedOut,
}

/// A verb's failure.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    message: String,
    details: Vec<String>,
    hint: Option<String>,
}

/// What every verb returns.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// The work failed: `message` names the object or file, and the reason.
    pub(crate) fn new(message: impl Into<String>) -> Failure {
        Failure { kind: Kind::Failed, message: message.into(), details: Vec::new(), hint: None }
    }

    /// A file could not be read or written.
    pub(crate) fn file(path: &Path, error: &io::Error) -> Failure {
        let failure = Failure::new(format!("{}: {error}", path.display()));
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                failure.hint("free some space there, then try again")
            }
            io::ErrorKind::ReadOnlyFilesystem => {
                failure.hint("that file system is mounted read-only: mount it for writing, or name another place")
            }
            _ => failure,
        }
    }

    /// The command line is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure { kind: Kind::Usage, ..Failure::new(message) }
    }

    /// Waiting was given up.
    pub(crate) fn timed_out(message: impl Into<String>) -> Failure {
        Failure { kind: Kind::TimedOut, ..Failure::new(message) }
    }

    /// The same, of a part of something: its name comes first.
    pub(crate) fn within(mut self, whole: &str) -> Failure {
        self.message = format!("{whole}: {}", self.message);
        self
    }

    /// A line of facts below the message.
    pub(crate) fn detail(mut self, line: impl Into<String>) -> Failure {
        self.details.push(line.into());
        self
    }

    /// The way out.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// Prints the failure on standard error and gives its exit code.
    pub(crate) fn report(&self) -> ExitCode {
        if has_colour() {
            eprint!("{} {}", "error:".red().bold(), self);
        } else {
            eprint!("error: {self}");
        }
        ExitCode::from(match self.kind {
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::TimedOut => 3,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.message)?;
        for line in &self.details {
            writeln!(f, "  {line}")?;
        }
        if let Some(hint) = &self.hint {
            writeln!(f, "hint: {hint}")?;
        }
        Ok(())
    }
}

/// Whether what is said on standard error may have colours.
pub(crate) fn has_colour() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// An error's own text followed by the texts of its sources, once each.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    text
}

impl From<coracle_client::Error> for Failure {
    fn from(error: coracle_client::Error) -> Failure {
        let failure = Failure::new(chain(&error));
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<coracle_client::ConfigError> for Failure {
    fn from(error: coracle_client::ConfigError) -> Failure {
        coracle_client::Error::from(error).into()
    }
}

impl From<coracle_client::join::JoinError> for Failure {
    fn from(error: coracle_client::join::JoinError) -> Failure {
        let failure = Failure::new(format!("this machine did not join: {}", chain(&error)));
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::new(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn facts_and_the_way_out_follow_the_sentence() {
        let failure = Failure::new("shop.wasm is not a component")
            .detail("it is a core module")
            .hint("build it for wasm32-wasip2");
        expect![[r#"
            shop.wasm is not a component
              it is a core module
            hint: build it for wasm32-wasip2
        "#]]
        .assert_eq(&failure.to_string());
    }
}
