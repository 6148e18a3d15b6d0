//! `cargo xtask`: what developers and CI run. One file a task; set-up is done by the task that needs it, once, and cached.
//! Deliberately absent: anything a user of Coracle needs.

mod bench;
mod chaos;
mod ci;
mod fuzz;
mod guests;
mod languages;
mod peers;
mod process;
mod simulate;
mod soak;
mod test;
mod tidy;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Development tasks of Coracle")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Set up what the tests need, build the example components, run every test
    Test(test::Args),
    /// Build the example components (and, where missing, the toolchain for them)
    Guests,
    /// Measure one promise of SPECIFICATION.md beside its peer
    Bench(bench::Args),
    /// Kill, stop and cut off members of a control plane, and check what its clients see
    Chaos(chaos::Args),
    /// Give random inputs to everything that reads what clients send
    Fuzz(fuzz::Args),
    /// Live through many seeds of the store's simulation
    Simulate(simulate::Args),
    /// Let pods come and go for long, and check that nothing grows
    Soak(soak::Args),
    /// Check the house rules: dependency direction, file sizes, an example's test, lint inheritance
    Tidy,
    /// What CI runs: formatting, clippy, licences, then `test`
    Ci,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().task {
        Task::Test(args) => test::run(&args),
        Task::Guests => guests::build().map(drop),
        Task::Bench(args) => bench::run(&args),
        Task::Chaos(args) => chaos::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::Simulate(args) => simulate::run(&args),
        Task::Soak(args) => soak::run(&args),
        Task::Tidy => tidy::run(),
        Task::Ci => ci::run(),
    }
}
