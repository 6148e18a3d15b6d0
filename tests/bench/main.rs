//! The benchmarks: promises of SPECIFICATION.md, each measured beside a peer or a limit in one run. `cargo xtask bench NAME` installs the peers, then
//! runs this.
//!
//! Deliberately absent: assertions about time. A missed target is printed, with by how much.

mod load;
mod native;
mod pod_start;
mod report;
mod serve;
mod up;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    // `cargo bench` adds `--bench`.
    let names: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    for name in &names {
        let report = match name.as_str() {
            "serve" => serve::measure()?,
            "pod-start" => pod_start::measure()?,
            "up" => up::measure()?,
            name => bail!("no benchmark is called `{name}`; there are serve, pod-start and up"),
        };
        report.publish()?;
    }
    Ok(())
}
