//! What a benchmark found: a table for people, a file for programs.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde::Serialize;
use tokio::task::JoinHandle;

/// A benchmark's results.
#[derive(Serialize)]
pub(crate) struct Report {
    name: &'static str,
    columns: Vec<&'static str>,
    rows: Vec<Row>,
    targets: Vec<Target>,
}

#[derive(Serialize)]
struct Row {
    what: String,
    values: Vec<f64>,
}

/// A measured figure beside the one that was promised.
#[derive(Serialize)]
struct Target {
    what: &'static str,
    measured: f64,
    limit: f64,
    is_met: bool,
}

impl Report {
    pub(crate) fn new(name: &'static str, columns: &[&'static str]) -> Report {
        Report { name, columns: columns.to_vec(), rows: Vec::new(), targets: Vec::new() }
    }

    pub(crate) fn row(&mut self, what: impl Into<String>, values: &[f64]) {
        assert_eq!(values.len(), self.columns.len(), "a row has a value for each column");
        self.rows.push(Row { what: what.into(), values: values.to_vec() });
    }

    pub(crate) fn at_least(&mut self, what: &'static str, measured: f64, limit: f64) {
        self.targets.push(Target { what, measured, limit, is_met: measured >= limit });
    }

    pub(crate) fn at_most(&mut self, what: &'static str, measured: f64, limit: f64) {
        self.targets.push(Target { what, measured, limit, is_met: measured <= limit });
    }

    /// Prints the table, and writes `NAME.json` into [`results_dir`].
    pub(crate) fn publish(&self) -> Result<()> {
        println!("{}", self.table());
        let dir =
            PathBuf::from(std::env::var_os("CORACLE_BENCH_RESULTS").context("run this with `cargo xtask bench`")?);
        std::fs::create_dir_all(&dir)?;
        let file = dir.join(format!("{}.json", self.name));
        let json = serde_json::to_vec_pretty(self)?;
        std::fs::write(&file, json).with_context(|| format!("cannot write {}", file.display()))?;
        println!("written to {}", file.display());
        Ok(())
    }

    fn table(&self) -> String {
        let width = self.rows.iter().map(|row| row.what.len()).chain([self.name.len()]).max().unwrap_or(0);
        let mut text = format!("\n{:width$}", self.name);
        for column in &self.columns {
            write!(text, "  {column:>14}").expect("writing to a string succeeds");
        }
        for row in &self.rows {
            write!(text, "\n{:width$}", row.what).expect("writing to a string succeeds");
            for value in &row.values {
                write!(text, "  {:>14}", figure(*value)).expect("writing to a string succeeds");
            }
        }
        text.push('\n');
        for target in &self.targets {
            let verdict = if target.is_met { "met   " } else { "MISSED" };
            let (measured, limit) = (figure(target.measured), figure(target.limit));
            write!(text, "\n{verdict}  {}: {measured} (target {limit})", target.what)
                .expect("writing to a string succeeds");
        }
        text
    }
}

/// Three significant digits, or all of those before the point; a dash where there is nothing to say.
fn figure(value: f64) -> String {
    match value.abs() {
        size if size.is_nan() => "-".to_owned(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Where results go, and what a benchmark needs on a real disk: the folder that `$CORACLE_BENCH_RESULTS` names.
pub(crate) fn results_dir() -> Result<PathBuf> {
    let dir = PathBuf::from(std::env::var_os("CORACLE_BENCH_RESULTS").context("run this with `cargo xtask bench`")?);
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}

/// What clients measured that began together, each the milliseconds of its requests: requests/s, p50 and p99.
pub(crate) async fn summary(tasks: Vec<JoinHandle<Result<Vec<f64>>>>, began: Instant) -> Result<[f64; 3]> {
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    let rate = times.len() as f64 / began.elapsed().as_secs_f64();
    Ok([rate, percentile(&mut times, 0.5), percentile(&mut times, 0.99)])
}

/// The value that a share of `values` does not exceed.
pub(crate) fn percentile(values: &mut [f64], share: f64) -> f64 {
    assert!(!values.is_empty(), "there is something to take a percentile of");
    values.sort_by(f64::total_cmp);
    let rank = (share * values.len() as f64).ceil() as usize;
    values[rank.clamp(1, values.len()) - 1]
}

/// Memory that a process has, as the kernel counts it.
pub(crate) fn resident_mb(process_id: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process_id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("the kernel says VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024.0 / 1e6)
}

/// The time that processors spent on a process so far, in microseconds.
pub(crate) fn processor_us(process_id: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process_id}/stat"))?;
    // The second field is a name that may hold anything; user and system time are the 12th and 13th behind it, in hundredths of a second.
    let (_, fields) = stat.rsplit_once(')').context("the kernel names the process")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? * 1e4)
}
