//! `cargo xtask simulate`: the simulation of `store/tests/store/simulation.rs`, with as many seeds as wanted.

use anyhow::Result;

use crate::process::{any_seed, cargo, stage};

/// Seeds that begin by chance are below this: short enough to be told.
const SEED_MAX: u64 = 1_000_000_000;

/// Options of `cargo xtask simulate`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many seeds to try
    #[arg(long, default_value_t = 20_000)]
    seeds: u64,
    /// The first one: the same seed gives the same events, to the bit
    #[arg(long)]
    seed: Option<u64>,
}

/// Tries the seeds on all processors. The first that fails prints the end of its events and how to run it again.
pub(crate) fn run(args: &Args) -> Result<()> {
    let seed = args.seed.unwrap_or_else(|| any_seed() % SEED_MAX);
    let mut command = cargo();
    // As fast as a release, and with all assertions.
    command.args(["test", "--quiet", "--profile", "simulation"]);
    command.args(["--package", "coracle-store", "--features", "test-disk", "--test", "store"]);
    command.args(["--", "--exact", "simulation::all_seeds_are_safe_and_heal", "--nocapture"]);
    command.env("CORACLE_SEED", seed.to_string()).env("CORACLE_SEEDS", args.seeds.to_string());
    stage(&format!("simulating {} seeds from {seed}", args.seeds), &mut command)?;
    Ok(())
}
