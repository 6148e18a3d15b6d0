//! Joins components into one, by the types of what they import and export.
//!
//! Deliberately absent: limits. It is done by the compiling child, as what it reads comes from outside.

use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, NodeId};

use super::failure::one_line;
use crate::inspect::{Inspection, inspect};
use crate::link::{Part, Plan, Wire, plan};

/// A component by its container's name.
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// The component that all of them make; the first one is what the others are linked into.
pub(crate) fn compose(sources: Vec<Source>) -> Result<Vec<u8>, String> {
    let inspections: Result<Vec<Inspection>, _> = sources.iter().map(|source| inspect(&source.bytes)).collect();
    let inspections = inspections.map_err(|error| error.to_string())?;
    let parts = sources.iter().zip(&inspections);
    let parts: Vec<Part<'_>> = parts.map(|(source, inspection)| Part { name: &source.name, inspection }).collect();
    // Whether each is needed was looked at before this was begun.
    let plan = plan(&parts, true).map_err(|error| error.to_string())?;
    if plan.used == [0] {
        return Ok(sources.into_iter().next().expect("there is a first one, as it is used").bytes);
    }
    let names: Vec<String> = sources.iter().map(|source| source.name.clone()).collect();
    let mut graph = CompositionGraph::new();
    let mut instances: Vec<Option<NodeId>> = vec![None; names.len()];
    for (index, source) in sources.into_iter().enumerate().filter(|(index, _)| plan.used.contains(index)) {
        let unusable = |error: &dyn std::fmt::Display| format!("{:?}: {}", source.name, one_line(&error.to_string()));
        let package = Package::from_bytes(&source.name, None, source.bytes, graph.types_mut());
        let package = package.map_err(|error| unusable(&format_args!("{error:#}")))?;
        let package = graph.register_package(package).map_err(|error| unusable(&error))?;
        instances[index] = Some(graph.instantiate(package));
    }
    let instance = |index: usize| instances[index].expect("a part that is used was instantiated");
    for wire in &plan.wires {
        join(&mut graph, wire, &instance, &names)?;
    }
    export(&mut graph, &plan, &instance, &inspections)?;
    let options = EncodeOptions { define_components: true, validate: false, processor: None };
    graph.encode(options).map_err(|error| chain(&error))
}

fn join(
    graph: &mut CompositionGraph,
    wire: &Wire,
    instance: &impl Fn(usize) -> NodeId,
    names: &[String],
) -> Result<(), String> {
    let export = graph.alias_instance_export(instance(wire.exporter), &wire.export).map_err(|error| chain(&error))?;
    let joined = graph.set_instantiation_argument(instance(wire.importer), &wire.import, export);
    joined.map_err(|error| {
        let (importer, exporter) = (&names[wire.importer], &names[wire.exporter]);
        format!(
            "{importer:?} imports {}, and {} of {exporter:?} does not fit: {}",
            wire.import,
            wire.export,
            chain(&error)
        )
    })
}

/// The whole exports what its first part does, with the handler of the middleware that is in front of it.
fn export(
    graph: &mut CompositionGraph,
    plan: &Plan,
    instance: &impl Fn(usize) -> NodeId,
    inspections: &[Inspection],
) -> Result<(), String> {
    let (own, front) = (&inspections[0], &inspections[plan.front]);
    for name in &own.exports {
        let (from, name) = match front.handler_export() {
            Some(handler) if plan.front != 0 && Some(name.as_str()) == own.handler_export() => (plan.front, handler),
            _ => (0, name.as_str()),
        };
        let node = graph.alias_instance_export(instance(from), name).map_err(|error| chain(&error))?;
        graph.export(node, name).map_err(|error| chain(&error))?;
    }
    Ok(())
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    one_line(&text)
}
