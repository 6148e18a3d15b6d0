//! Programs that run to their end: what [`job`](macro@crate::job) is put on.
//!
//! ```no_run
//! use coracle_sdk::{config, info, job};
//!
//! #[job]
//! fn main(arguments: Vec<String>) -> Result<(), config::Error> {
//!     let rows: u32 = config::value("ROWS")?;
//!     for name in &arguments {
//!         info!("reported", name, rows);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! An error is logged with its causes, and the exit code is 1. WASI 0.2 knows success and failure only: there are no other codes. A function
//! of another name than `main` stays as it is beside the program, so that tests can call it.
//!
//! Deliberately absent: parsing of arguments; `clap` and its like work.

use std::error::Error;
use std::future::Future;
use std::process::ExitCode;

/// What a job may give.
pub trait Outcome {
    /// Nothing, or why it failed.
    fn into_result(self) -> Result<(), Box<dyn Error>>;
}

impl Outcome for () {
    fn into_result(self) -> Result<(), Box<dyn Error>> {
        Ok(())
    }
}

impl<E: Into<Box<dyn Error>>> Outcome for Result<(), E> {
    fn into_result(self) -> Result<(), Box<dyn Error>> {
        self.map_err(Into::into)
    }
}

/// The arguments after the program's name.
pub fn arguments() -> Vec<String> {
    std::env::args().skip(1).collect()
}

/// Runs a job and says how it ended; what the attribute writes.
#[doc(hidden)]
pub fn run<O: Outcome>(job: impl FnOnce() -> O) -> ExitCode {
    crate::log::start();
    exit_code(job())
}

/// The same of a job that waits.
#[doc(hidden)]
pub fn run_async<O: Outcome>(job: impl Future<Output = O>) -> ExitCode {
    crate::log::start();
    #[cfg(target_family = "wasm")]
    let outcome = wstd::runtime::block_on(job);
    #[cfg(not(target_family = "wasm"))]
    let outcome = pollster::block_on(job);
    exit_code(outcome)
}

fn exit_code(outcome: impl Outcome) -> ExitCode {
    match outcome.into_result() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            crate::error!("failed", error = chain(&*error));
            ExitCode::FAILURE
        }
    }
}

/// An error's own text followed by those of its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("no report")]
    struct NoReport(#[source] std::num::ParseIntError);

    #[test]
    fn a_failure_is_told_with_its_causes() {
        let error = NoReport("x".parse::<u8>().unwrap_err());
        assert_eq!(chain(&error), "no report: invalid digit found in string");
    }

    #[test]
    fn outcomes_are_exit_codes() {
        assert_eq!(exit_code(()), ExitCode::SUCCESS);
        assert_eq!(exit_code(Ok::<(), String>(())), ExitCode::SUCCESS);
        assert_eq!(exit_code(Err::<(), _>("no")), ExitCode::FAILURE);
        assert_eq!(run_async(async { Err::<(), _>(NoReport("x".parse::<u8>().unwrap_err())) }), ExitCode::FAILURE);
    }
}
