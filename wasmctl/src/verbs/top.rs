//! `wasmctl top`: what pods and nodes use of processor and memory.

use clap::{Subcommand, ValueEnum};
use coracle_api::object;
use coracle_api::quantity::Quantity;
use serde_json::Value;

use crate::context::{Global, Namespace};
use crate::failure::Result;
use crate::output;

/// Show what pods and nodes use of processor and memory
///
/// Hosts look every 10 seconds; a pod that has just started uses nothing until then.
///
/// Examples:
///   wasmctl top pods -A
///   wasmctl top nodes
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// What pods use
    #[command(visible_alias = "pod")]
    Pods {
        #[command(flatten)]
        namespace: Namespace,
        /// Every namespace
        #[arg(short = 'A', long)]
        all_namespaces: bool,
        /// What uses most of this comes first
        #[arg(long, value_name = "WHAT")]
        sort_by: Option<Order>,
    },
    /// What nodes use, with all that runs on them
    #[command(visible_alias = "node")]
    Nodes {
        /// What uses most of this comes first
        #[arg(long, value_name = "WHAT")]
        sort_by: Option<Order>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Order {
    Cpu,
    Memory,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let client = global.client()?;
    let group = "/apis/metrics.k8s.io/v1beta1";
    let lines = match args.what {
        What::Pods { namespace, all_namespaces, sort_by } => {
            let namespace = (!all_namespaces).then(|| namespace.or_default(client.config()));
            let path = match &namespace {
                Some(namespace) => format!("{group}/namespaces/{namespace}/pods"),
                None => format!("{group}/pods"),
            };
            pods(&client.fetch(&path).await?, namespace.is_none(), sort_by)
        }
        What::Nodes { sort_by } => {
            let nodes: Value = client.fetch("/api/v1/nodes").await?;
            nodes_of(&client.fetch(&format!("{group}/nodes")).await?, &nodes, sort_by)
        }
    };
    if lines.len() == 1 {
        eprintln!("Nothing runs, or no host has looked twice yet: that takes 10 seconds.");
        return Ok(());
    }
    print!("{}", output::align(&lines, &mut Vec::new()));
    Ok(())
}

/// Processor in thousandths of a core, and memory in bytes.
#[derive(Clone, Copy, Default)]
struct Used {
    cpu_millis: i64,
    memory_bytes: i64,
}

impl Used {
    fn of(usage: &Value) -> Used {
        let read = |name: &str| Quantity::from_value(&usage[name]).ok();
        Used {
            cpu_millis: read("cpu").map_or(0, Quantity::milli),
            memory_bytes: read("memory").map_or(0, Quantity::units),
        }
    }

    fn cells(self) -> [String; 2] {
        [format!("{}m", self.cpu_millis), format!("{}Mi", self.memory_bytes >> 20)]
    }
}

fn pods(list: &Value, show_namespace: bool, order: Option<Order>) -> Vec<Vec<String>> {
    let rows = object::list_at(list, &["items"]).iter().map(|pod| {
        let used = object::list_at(pod, &["containers"]).iter().map(|container| Used::of(&container["usage"]));
        let sum = |sum: Used, used: Used| Used {
            cpu_millis: sum.cpu_millis + used.cpu_millis,
            memory_bytes: sum.memory_bytes + used.memory_bytes,
        };
        let namespace = show_namespace.then(|| object::namespace(pod).unwrap_or_default().to_owned());
        (used.fold(Used::default(), sum), namespace.into_iter().chain([object::name(pod).to_owned()]).collect())
    });
    let header = if show_namespace { &["NAMESPACE", "NAME"][..] } else { &["NAME"] };
    table(header, rows.collect(), order, |used, _| used.cells().into())
}

fn nodes_of(list: &Value, nodes: &Value, order: Option<Order>) -> Vec<Vec<String>> {
    let items = object::list_at(list, &["items"]).iter();
    let rows = items.map(|node| (Used::of(&node["usage"]), vec![object::name(node).to_owned()])).collect();
    let mut lines = table(&["NAME"], rows, order, |used, name| {
        let known = object::list_at(nodes, &["items"]).iter().find(|node| object::name(node) == name);
        let has = known.map_or_else(Used::default, |node| Used::of(&node["status"]["allocatable"]));
        let percent = |used: i64, has: i64| {
            (used * 100).checked_div(has).map_or_else(|| "<unknown>".to_owned(), |part| format!("{part}%"))
        };
        let [cpu, memory] = used.cells();
        vec![cpu, percent(used.cpu_millis, has.cpu_millis), memory, percent(used.memory_bytes, has.memory_bytes)]
    });
    lines[0] = ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"].map(str::to_owned).into();
    lines
}

fn table(
    header: &[&str],
    mut rows: Vec<(Used, Vec<String>)>,
    order: Option<Order>,
    cells: impl Fn(Used, &str) -> Vec<String>,
) -> Vec<Vec<String>> {
    match order {
        None => rows.sort_by(|one, two| one.1.cmp(&two.1)),
        Some(Order::Cpu) => rows.sort_by_key(|(used, _)| std::cmp::Reverse(used.cpu_millis)),
        Some(Order::Memory) => rows.sort_by_key(|(used, _)| std::cmp::Reverse(used.memory_bytes)),
    }
    let header = header.iter().chain(&["CPU(cores)", "MEMORY(bytes)"]).map(|name| (*name).to_owned()).collect();
    let rows = rows.into_iter().map(|(used, names)| {
        let cells = cells(used, names.last().map_or("", String::as_str));
        names.into_iter().chain(cells).collect()
    });
    std::iter::once(header).chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    fn pod(namespace: &str, name: &str, used: &[(&str, &str)]) -> Value {
        let containers: Vec<_> =
            used.iter().map(|(cpu, memory)| json!({"usage": {"cpu": cpu, "memory": memory}})).collect();
        json!({"metadata": {"namespace": namespace, "name": name}, "containers": containers})
    }

    #[test]
    fn pods_are_sums_of_their_containers() {
        let list = json!({"items": [
            pod("shop", "b", &[("1500000n", "2048Ki"), ("250m", "1Mi")]),
            pod("default", "a", &[("0n", "0Ki")]),
        ]});
        let text = |order, show_namespace| output::align(&pods(&list, show_namespace, order), &mut Vec::new());
        expect![[r#"
            NAMESPACE   NAME   CPU(cores)   MEMORY(bytes)
            default     a      0m           0Mi
            shop        b      252m         3Mi
        "#]]
        .assert_eq(&text(None, true));
        expect![[r#"
            NAME   CPU(cores)   MEMORY(bytes)
            b      252m         3Mi
            a      0m           0Mi
        "#]]
        .assert_eq(&text(Some(Order::Cpu), false));
    }

    #[test]
    fn nodes_say_how_much_of_them_is_used() {
        let list = json!({"items": [{"metadata": {"name": "n"}, "usage": {"cpu": "500000000n", "memory": "1Gi"}}]});
        let nodes =
            json!({"items": [{"metadata": {"name": "n"}, "status": {"allocatable": {"cpu": "2", "memory": "4Gi"}}}]});
        expect![[r#"
            NAME   CPU(cores)   CPU(%)   MEMORY(bytes)   MEMORY(%)
            n      500m         25%      1024Mi          25%
        "#]]
        .assert_eq(&output::align(&nodes_of(&list, &nodes, None), &mut Vec::new()));
    }
}
