//! `wrk` as the load: one thread, so that it leaves a core to the server.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// Connections of each run.
pub(crate) const CONNECTIONS: u32 = 32;

/// What one run found.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Load {
    pub(crate) requests_per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

const SCRIPT: &str = r#"
done = function(summary, latency, requests)
  local errors = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status + summary.errors.timeout
  io.write(string.format('RESULT {"requests_per_second":%f,"p50_ms":%f,"p99_ms":%f,"errors":%d}\n',
    summary.requests * 1e6 / summary.duration, latency:percentile(50) / 1000, latency:percentile(99) / 1000, errors))
end
"#;

/// Asks for `http://HOST/` at `addr`, again and again, for some seconds. Any error fails the benchmark.
pub(crate) fn run(addr: SocketAddr, host: &str, seconds: u32) -> Result<Load> {
    let dir = tempfile::tempdir()?;
    let script = dir.path().join("report.lua");
    std::fs::write(&script, SCRIPT)?;
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}s"), "-H", &format!("Host: {host}"), "-s"])
        .arg(&script)
        .arg(format!("http://{addr}/"))
        .output()
        .context("wrk cannot be run")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let Some(result) = text.lines().find_map(|line| line.strip_prefix("RESULT ")) else {
        bail!("wrk failed: {text}{}", String::from_utf8_lossy(&output.stderr));
    };
    let value: serde_json::Value = serde_json::from_str(result)?;
    if value["errors"] != 0 {
        bail!("{} requests to {host} at {addr} failed", value["errors"]);
    }
    Ok(serde_json::from_value(value)?)
}
