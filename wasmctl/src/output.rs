//! Prints what the server sent: its Tables as kubectl prints them, and objects as JSON, YAML or names.

use std::fmt::Write as _;

use clap::ValueEnum;
use coracle_api::kind::Kind;
use serde_json::Value;

/// The forms of `-o`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// As JSON
    Json,
    /// As YAML
    Yaml,
    /// As KIND/NAME, one a line
    Name,
    /// The table with all its columns
    Wide,
}

/// A meta.k8s.io/v1 Table as text; columns of a priority over 0 appear only if `is_wide`. `widths` keeps columns aligned over
/// several calls, as a watch needs.
pub(crate) fn table(
    table: &Value,
    is_wide: bool,
    show_namespace: bool,
    show_header: bool,
    widths: &mut Vec<usize>,
) -> String {
    let columns: Vec<(usize, &str)> = table["columnDefinitions"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
        .filter(|(_, column)| is_wide || column["priority"].as_i64().unwrap_or(0) == 0)
        .map(|(index, column)| (index, column["name"].as_str().unwrap_or_default()))
        .collect();
    let mut lines: Vec<Vec<String>> = Vec::new();
    if show_header {
        let header = show_namespace.then(|| "NAMESPACE".to_owned());
        lines.push(header.into_iter().chain(columns.iter().map(|(_, name)| name.to_uppercase())).collect());
    }
    for row in table["rows"].as_array().into_iter().flatten() {
        let namespace = show_namespace.then(|| cell(&row["object"]["metadata"]["namespace"]));
        lines.push(namespace.into_iter().chain(columns.iter().map(|(index, _)| cell(&row["cells"][index]))).collect());
    }
    align(&lines, widths)
}

/// Lines of cells as a table with three spaces between columns.
pub(crate) fn align(lines: &[Vec<String>], widths: &mut Vec<usize>) -> String {
    for line in lines {
        widths.resize(widths.len().max(line.len()), 0);
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in lines {
        let mut row = String::new();
        for (cell, width) in line.iter().zip(widths.iter()) {
            write!(row, "{cell:<width$}   ").expect("writing to a string");
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

/// Objects in one of the machine-readable forms; who owns which of their fields is left out, as kubectl does.
pub(crate) fn objects(kind: &Kind, items: &[Value], format: Format, is_single: bool) -> String {
    let items: Vec<Value> = items.iter().map(without_owners).collect();
    match format {
        Format::Name => {
            items.iter().map(|item| format!("{}/{}\n", resource(kind), cell(&item["metadata"]["name"]))).collect()
        }
        Format::Yaml if is_single => coracle_api::yaml::to_yaml(&items[0]),
        Format::Yaml => coracle_api::yaml::to_yaml(&list(&items)),
        Format::Json | Format::Wide => {
            let value = if is_single { items[0].clone() } else { list(&items) };
            format!("{value:#}\n")
        }
    }
}

fn without_owners(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    object
}

/// `pod`, `deployment.apps`: a kind as kubectl names it in results.
pub(crate) fn resource(kind: &Kind) -> String {
    if kind.group.is_empty() { kind.singular.to_owned() } else { format!("{}.{}", kind.singular, kind.group) }
}

fn list(items: &[Value]) -> Value {
    serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": items, "metadata": { "resourceVersion": "" } })
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "<none>".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use serde_json::json;

    #[test]
    fn a_table_is_printed_as_kubectl_prints_it() {
        let pods = json!({
            "columnDefinitions": [{"name": "Name", "priority": 0}, {"name": "Ready", "priority": 0}, {"name": "IP", "priority": 1}],
            "rows": [{"cells": ["web-1", "1/1", "127.64.0.1"], "object": {"metadata": {"namespace": "default"}}},
                     {"cells": ["a-longer-name", "0/1", null], "object": {"metadata": {"namespace": "shop"}}}],
        });
        expect![[r#"
            NAME            READY
            web-1           1/1
            a-longer-name   0/1
        "#]]
        .assert_eq(&table(&pods, false, false, true, &mut Vec::new()));
        expect![[r#"
            NAMESPACE   NAME            READY   IP
            default     web-1           1/1     127.64.0.1
            shop        a-longer-name   0/1     <none>
        "#]]
        .assert_eq(&table(&pods, true, true, true, &mut Vec::new()));
    }
}
