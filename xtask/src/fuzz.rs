//! `cargo xtask fuzz`: the fuzz targets of `api/tests/fuzz/`, for as long as wanted.

use anyhow::{Result, bail};

use crate::process::{any_seed, cargo, root, stage};

/// Options of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this target: a test's name in `api/tests/fuzz/targets.rs`
    target: Option<String>,
    /// How much of a processor's time each target gets
    #[arg(long, default_value_t = 5)]
    minutes: u64,
    /// Where the random inputs start: the same seed gives the same inputs
    #[arg(long)]
    seed: Option<u64>,
}

/// Runs the targets side by side. What fails prints its seed and its input.
pub(crate) fn run(args: &Args) -> Result<()> {
    let seed = args.seed.unwrap_or_else(any_seed);
    let mut command = cargo();
    command.args(["test", "--quiet", "--package", "coracle-api", "--test", "fuzz", "--", "--nocapture"]);
    if let Some(target) = &args.target {
        let source = std::fs::read_to_string(root().join("api/tests/fuzz/targets.rs"))?;
        let names: Vec<&str> = targets(&source).collect();
        if !names.contains(&target.as_str()) {
            bail!("there is no target {target}: choose one of {}", names.join(", "));
        }
        command.args(["--exact", &format!("targets::{target}")]);
    }
    command.env("CORACLE_FUZZ_MINUTES", args.minutes.to_string()).env("CORACLE_FUZZ_SEED", seed.to_string());
    stage(&format!("fuzzing from seed {seed}"), &mut command)?;
    Ok(())
}

/// The names of the tests in a source file.
fn targets(source: &str) -> impl Iterator<Item = &str> {
    source.split("#[test]\nfn ").skip(1).filter_map(|test| test.split('(').next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_the_tests() {
        let source = "fn helper() {}\n\n#[test]\nfn json() {}\n\n#[test]\nfn yaml() {}\n";
        assert_eq!(targets(source).collect::<Vec<_>>(), ["json", "yaml"]);
    }
}
