//! `cargo xtask chaos`: the chaos test of `tests/chaos/`, for as long as wanted. Needs root.

use anyhow::Result;

use crate::peers;
use crate::process::{any_seed, cargo, stage, wasmctl_for_tests};

/// Options of `cargo xtask chaos`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long faults happen
    #[arg(long, default_value_t = 5)]
    minutes: u64,
    /// What the schedule of faults is made from: the same seed gives the same schedule
    #[arg(long)]
    seed: Option<u64>,
}

/// Runs it; what it finds is printed with the seed.
pub(crate) fn run(args: &Args) -> Result<()> {
    let seed = args.seed.unwrap_or_else(any_seed);
    peers::debian(&[("ip", "iproute2"), ("faketime", "faketime"), ("strace", "strace")])?;
    let wasmctl = wasmctl_for_tests()?;
    let mut command = cargo();
    command.args(["test", "--quiet", "--package", "coracle-tests", "--test", "chaos", "--", "--nocapture"]);
    command.args(["--exact", "whatever_fails_nothing_acknowledged_is_lost_and_all_see_the_same"]);
    command
        .env("CORACLE_TEST_WASMCTL", wasmctl)
        .env("CORACLE_CHAOS_SECONDS", (60 * args.minutes).to_string())
        .env("CORACLE_CHAOS_SEED", seed.to_string())
        .env("RUST_BACKTRACE", "0");
    stage(&format!("chaos from seed {seed}"), &mut command)?;
    Ok(())
}
