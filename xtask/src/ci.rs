//! What CI runs, with the minutes of each stage.

use std::process::Command;

use anyhow::Result;

use crate::process::{cargo, root, stage};
use crate::{peers, test};

/// Formatting, clippy, licences, then every test.
pub(crate) fn run() -> Result<()> {
    // Which the allocator is built with.
    peers::debian(&[("make", "make")])?;
    stage("formatting", cargo().args(["fmt", "--all", "--check"]))?;
    let deny = peers::cargo_tool("cargo-deny", "", "cargo-deny", &[])?;
    stage(
        "licences, bans and sources",
        Command::new(deny).current_dir(root()).args(["check", "bans", "licenses", "sources"]),
    )?;
    stage("clippy", cargo().args(["clippy", "--quiet", "--workspace", "--all-targets", "--", "--deny", "warnings"]))?;
    test::run(&test::Args::default())
}
