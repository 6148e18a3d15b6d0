//! `cargo xtask soak`: the soak test of `tests/soak/`, for as long as wanted.

use anyhow::Result;

use crate::process::{cargo, stage, wasmctl_for_tests};
use crate::{guests, peers};

/// Options of `cargo xtask soak`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long the cluster is under load
    #[arg(long, default_value_t = 30)]
    minutes: u64,
}

/// Runs it, and prints how large the process was.
pub(crate) fn run(args: &Args) -> Result<()> {
    let (guests, kubectl, wasmctl) = (guests::build()?, peers::kubectl(37)?, wasmctl_for_tests()?);
    let mut command = cargo();
    command.args(["test", "--quiet", "--package", "coracle-tests", "--test", "soak", "--", "--nocapture"]);
    command
        .env("CORACLE_TEST_GUESTS", guests)
        .env("CORACLE_TEST_KUBECTL", kubectl)
        .env("CORACLE_TEST_WASMCTL", wasmctl)
        .env("CORACLE_SOAK_SECONDS", (60 * args.minutes).to_string())
        .env("RUST_BACKTRACE", "0");
    stage(&format!("{} minutes of load", args.minutes), &mut command)?;
    Ok(())
}
