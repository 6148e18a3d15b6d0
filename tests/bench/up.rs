//! `wasmctl up` on an existing data directory: seconds until ready, memory with no pods, size of the binary. The limits are the promises themselves.

use std::time::Instant;

use anyhow::Result;
use coracle_tests::{Cluster, wasmctl_path};

use crate::report::{Report, percentile, resident_mb};

const STARTS: usize = 10;
const MB: f64 = 1e6;

/// Starts, looks, stops; several times over.
pub(crate) fn measure() -> Result<Report> {
    let dir = tempfile::tempdir()?;
    let mut fresh = Vec::new();
    let mut ready = Vec::new();
    let mut resident = Vec::new();
    for start in 0..=STARTS {
        let began = Instant::now();
        let mut cluster = Cluster::start_in(dir.path());
        let took = began.elapsed().as_secs_f64();
        if start == 0 { &mut fresh } else { &mut ready }.push(took);
        resident.push(resident_mb(cluster.process_id())?);
        cluster.terminate();
    }
    let binary_mb = std::fs::metadata(wasmctl_path())?.len() as f64 / MB;
    let mut report = Report::new("up", &["p50", "worst"]);
    report.row("ready on a fresh data directory, s", &[fresh[0], fresh[0]]);
    report.row("ready on an existing data directory, s", &[percentile(&mut ready, 0.5), percentile(&mut ready, 1.0)]);
    report.row("resident with no pods, MB", &[percentile(&mut resident, 0.5), percentile(&mut resident, 1.0)]);
    report.row("stripped binary, MB", &[binary_mb, binary_mb]);
    report.at_most("seconds until ready, worst of 10", percentile(&mut ready, 1.0), 1.0);
    report.at_most("resident MB, worst of 11", percentile(&mut resident, 1.0), 80.0);
    report.at_most("binary MB", binary_mb, 70.0);
    Ok(report)
}
