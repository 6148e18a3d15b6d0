//! `wasmctl inspect`: what a component is, needs and offers.

use std::path::Path;

use coracle_host::inspect::{Capability, Inspection, Kind, capabilities};

use crate::context::Global;
use crate::failure::{Failure, Result};
use crate::{files, images};

/// Say what a component is, what it needs and what it offers
///
/// Examples:
///   wasmctl inspect shop.wasm
///   wasmctl inspect registry.example.com/shop:1.2 --output json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// A component file, or an OCI reference
    #[arg(value_name = "FILE|REFERENCE")]
    what: String,
    /// Print as JSON
    #[arg(short, long, value_parser = ["json"])]
    output: Option<String>,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let path = Path::new(&args.what);
    let bytes = if files::is_component(path) || path.exists() {
        files::read_component(path)?
    } else {
        images::pull(&args.what, global).await?.0
    };
    let inspection = inspect(&args.what, &bytes)?;
    let needs = capabilities(&inspection.imports);
    if args.output.is_some() {
        let mut value = serde_json::to_value(&inspection).expect("an inspection is plain data");
        value["capabilities"] = serde_json::to_value(&needs).expect("capabilities are plain data");
        println!("{value:#}");
        return Ok(());
    }
    println!("{}  {}, {}", args.what, describe(inspection.kind), images::size(bytes.len() as u64));
    print!("{}", report(&inspection, &needs));
    Ok(())
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
}
