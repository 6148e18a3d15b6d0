//! `wasmctl inspect`: what a component is, needs and offers.

use std::path::Path;
use std::time::Duration;

use coracle_host::inspect::{Capability, Inspection, Kind, capabilities};
use coracle_host::wasm::{InstanceTimes, measure_instances};
use serde_json::json;

use crate::context::Global;
use crate::failure::{Failure, Result, chain};
use crate::{files, images};

/// Say what a component is, what it needs and what it offers
///
/// Examples:
///   wasmctl inspect shop.wasm
///   wasmctl inspect shop.wasm --measure
///   wasmctl inspect registry.example.com/shop:1.2 --output json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// A component file, or an OCI reference
    #[arg(value_name = "FILE|REFERENCE")]
    what: String,
    /// Also compile it here, and see how soon its instances start
    #[arg(long)]
    measure: bool,
    /// Print as JSON
    #[arg(short, long, value_parser = ["json"])]
    output: Option<String>,
}

/// Instances that are made one after the other to measure them.
const INSTANCES: usize = 1_000;

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let path = Path::new(&args.what);
    let bytes = if files::is_component(path) || path.exists() {
        files::read_component(path)?
    } else {
        images::pull(&args.what, global).await?.0
    };
    let inspection = inspect(&args.what, &bytes)?;
    let needs = capabilities(&inspection.imports);
    let times = if args.measure { Some(measure(&args.what, &bytes).await?) } else { None };
    if args.output.is_some() {
        let mut value = serde_json::to_value(&inspection).expect("an inspection is plain data");
        value["capabilities"] = serde_json::to_value(&needs).expect("capabilities are plain data");
        if let Some(times) = times {
            value["measured"] = json!({
                "compileSeconds": times.compile.as_secs_f64(),
                "instances": times.instances.len(),
                "instanceMicrosecondsP50": micros(percentile(&times.instances, 50)),
                "instanceMicrosecondsP99": micros(percentile(&times.instances, 99)),
                "instanceMemoryBytes": times.memory_bytes,
            });
        }
        println!("{value:#}");
        return Ok(());
    }
    println!("{}  {}, {}", args.what, describe(inspection.kind), images::size(bytes.len() as u64));
    print!("{}", report(&inspection, &needs));
    if let Some(times) = times {
        print!("{}", measured(&times));
    }
    Ok(())
}

/// Compiles a component in this process, and makes instances of it.
async fn measure(what: &str, bytes: &[u8]) -> Result<InstanceTimes> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("component.wasm");
    std::fs::write(&file, bytes)?;
    let times = measure_instances(file, INSTANCES).await;
    times.map_err(|error| Failure::new(format!("{what}: cannot be measured: {}", chain(&error))))
}

fn measured(times: &InstanceTimes) -> String {
    let of = |percent| micros(percentile(&times.instances, percent));
    let mut text = "measured here\n".to_owned();
    for (name, value) in [
        ("compiling", format!("{:.2} s", times.compile.as_secs_f64())),
        ("an instance", format!("{:.1} us at p50, {:.1} us at p99, of {}", of(50), of(99), times.instances.len())),
        ("its memory", images::size(times.memory_bytes)),
    ] {
        text.push_str(&format!("  {name:<15} {value}\n"));
    }
    text
}

/// Of times in their order.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

fn micros(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e3
}

/// What it offers and what it asks its host for, in words; then the names of all imports.
fn report(inspection: &Inspection, needs: &[Capability]) -> String {
    let mut text = String::new();
    let mut list = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            text.push_str(&format!("{title}\n  {}\n", lines.join("\n  ")));
        }
    };
    list("exports", inspection.exports.clone());
    let need = |need: &Capability| format!("{:<15} {:<12} {}", need.name, need.grant.as_str(), need.what);
    list("asks for", needs.iter().map(need).collect());
    list("imports", inspection.imports.clone());
    list("missing here", inspection.unknown.clone());
    text
}

/// Inspects, with `what` named in the error.
pub(crate) fn inspect(what: &str, bytes: &[u8]) -> Result<Inspection> {
    coracle_host::inspect::inspect(bytes).map_err(|error| Failure::new(format!("{what}: {error}")))
}

/// A component's kind in words.
pub(crate) fn describe(kind: Kind) -> &'static str {
    match kind {
        Kind::Library => "library: it has no entry point of its own",
        kind => kind.describe(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_report_is_for_people() {
        let inspection = Inspection {
            kind: Kind::HttpHandler02,
            imports: ["wasi:http/outgoing-handler@0.2.3", "wasi:clocks/wall-clock@0.2.3", "acme:billing/ledger@1.2.0"]
                .map(str::to_owned)
                .to_vec(),
            exports: vec!["wasi:http/incoming-handler@0.2.3".to_owned()],
            unknown: vec!["acme:billing/ledger@1.2.0".to_owned()],
        };
        expect![[r#"
            exports
              wasi:http/incoming-handler@0.2.3
            asks for
              not of WASI     missing      another component that exports it can: a container of the pod, named in its annotation coracle.dev/libraries
              outgoing HTTP   as declared  Services and pods always, the outside as the pod's annotation coracle.dev/egress says
              clocks          given        the time, and waiting
            imports
              wasi:http/outgoing-handler@0.2.3
              wasi:clocks/wall-clock@0.2.3
              acme:billing/ledger@1.2.0
            missing here
              acme:billing/ledger@1.2.0
        "#]].assert_eq(&report(&inspection, &capabilities(&inspection.imports)));
    }

    #[test]
    fn times_are_in_words() {
        let times = InstanceTimes {
            compile: Duration::from_millis(1_240),
            instances: (1..=200).map(Duration::from_micros).collect(),
            memory_bytes: 1_114_112,
        };
        expect![[r#"
            measured here
              compiling       1.24 s
              an instance     101.0 us at p50, 199.0 us at p99, of 200
              its memory      1.1 MB
        "#]]
        .assert_eq(&measured(&times));
    }
}
