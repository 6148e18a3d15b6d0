//! How soon an instance starts, with its store and all its limits: Rust, JavaScript and Python hellos, as `wasmctl inspect --measure` finds it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use coracle_tests::{example, example_of_language, wasmctl_path};
use serde_json::Value;

use crate::report::{Report, percentile};

const ROUNDS: usize = 3;

/// A component, and what is aimed at: microseconds at p50 and p99.
struct Case {
    name: &'static str,
    file: PathBuf,
    aims: [(&'static str, f64); 2],
}

pub(crate) fn measure() -> Result<Report> {
    let cases = [
        Case {
            name: "hello in Rust",
            file: example("hello_rust.wasm"),
            aims: [("us: Rust hello, p50", 12.0), ("us: Rust hello, p99", 20.0)],
        },
        Case {
            name: "hello in JavaScript",
            file: example_of_language("hello-javascript.wasm"),
            aims: [("us: JavaScript hello, p50", 20.0), ("us: JavaScript hello, p99", 30.0)],
        },
        Case {
            name: "hello in Python",
            file: example_of_language("hello-python.wasm"),
            aims: [("us: Python hello, p50", 150.0), ("us: Python hello, p99", 300.0)],
        },
    ];
    let mut report = Report::new("instantiate", &["us p50", "us p99", "s to compile", "MB"]);
    for Case { name, file, aims } in cases {
        let mut runs: [Vec<f64>; 4] = Default::default();
        for _ in 0..ROUNDS {
            let measured = inspect(&file)?;
            for (run, value) in runs.iter_mut().zip(measured) {
                run.push(value);
            }
        }
        let figures = runs.map(|mut run| percentile(&mut run, 0.5));
        report.row(name, &figures);
        for ((what, aim), figure) in aims.into_iter().zip(figures) {
            report.at_most(what, figure, aim);
        }
    }
    Ok(report)
}

fn inspect(file: &Path) -> Result<[f64; 4]> {
    let output = Command::new(wasmctl_path()).args(["inspect", "--measure", "--output", "json"]).arg(file).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let inspected: Value = serde_json::from_slice(&output.stdout)?;
    let figure = |name: &str| inspected["measured"][name].as_f64().with_context(|| format!("no {name}"));
    Ok([
        figure("instanceMicrosecondsP50")?,
        figure("instanceMicrosecondsP99")?,
        figure("compileSeconds")?,
        figure("instanceMemoryBytes")? / 1e6,
    ])
}
