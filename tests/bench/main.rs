//! The benchmarks: promises of SPECIFICATION.md, each measured beside a peer or a limit in one run. `cargo xtask bench NAME` installs the peers, then
//! runs this.
//!
//! Deliberately absent: assertions about time. A missed target is printed, with by how much.

mod api;
mod cluster;
mod cold;
mod container_start;
mod density;
mod fairness;
mod http2;
mod instantiate;
mod load;
mod native;
mod nodes;
mod pod_start;
mod report;
mod restart;
mod serve;
mod store;
mod up;

use anyhow::{Result, bail};
use tikv_jemallocator::Jemalloc;

/// As in `wasmctl`: the store is measured within this program.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> Result<()> {
    // `cargo bench` adds `--bench`.
    let names: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if let [verb, words @ ..] = names.as_slice()
        && verb == store::VERB
    {
        return store::serve(words);
    }
    for name in &names {
        let report = match name.as_str() {
            "serve" => serve::measure()?,
            "pod-start" => pod_start::measure()?,
            "api" => api::measure()?,
            "cluster" => cluster::measure()?,
            "cold" => cold::measure()?,
            "container-start" => container_start::measure()?,
            "density" => density::measure()?,
            "instantiate" => instantiate::measure()?,
            "nodes" => nodes::measure()?,
            "restart" => restart::measure()?,
            "store" => store::measure()?,
            "fairness" => fairness::measure()?,
            "up" => up::measure()?,
            name => bail!("no benchmark is called `{name}`"),
        };
        report.publish()?;
    }
    Ok(())
}
