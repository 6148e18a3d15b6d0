//! `wasmctl get`: objects as tables, or whole.

use coracle_api::kind::Kind;
use coracle_client::{Client, ListOptions, TableInclude, WatchEvent, WatchOptions};
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::context::{Global, Namespace, now};
use crate::failure::Result;
use crate::output::{self, Format};
use crate::resources::{self, Selection};

/// List objects, or show some by name
///
/// Examples:
///   wasmctl get pods
///   wasmctl get deployment/web -o yaml
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// KIND, KIND NAME…, or KIND/NAME…
    #[arg(required = true, value_name = "WHAT")]
    what: Vec<String>,
    #[command(flatten)]
    namespace: Namespace,
    /// Every namespace
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only objects with these labels, for example `app=web,tier!=test`
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// Only objects with these fields, for example `spec.nodeName=h1`
    #[arg(long, value_name = "SELECTOR")]
    field_selector: Option<String>,
    /// Go on with each change until interrupted
    #[arg(short, long)]
    watch: bool,
    /// How to print
    #[arg(short, long)]
    output: Option<Format>,
}

impl Args {
    /// What `wasmctl get KIND -o FORMAT` means.
    pub(crate) fn of_kind(kind: &str, format: Format) -> Args {
        Args {
            what: vec![kind.to_owned()],
            namespace: Namespace::default(),
            all_namespaces: false,
            selector: None,
            field_selector: None,
            watch: false,
            output: Some(format),
        }
    }
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let client = global.client()?;
    let namespace = (!args.all_namespaces).then(|| args.namespace.or_default(client.config()));
    let selections = resources::parse(&args.what)?;
    let is_single = selections.len() == 1;
    let mut is_first = true;
    for selection in &selections {
        let shown = match args.output {
            None | Some(Format::Wide) => {
                show_table(&client, selection, namespace.as_deref(), &args, &mut is_first).await?
            }
            Some(format) => show_objects(&client, selection, namespace.as_deref(), &args, format).await?,
        };
        if shown == 0
            && is_single
            && selection.names.is_empty()
            && !args.watch
            && matches!(args.output, None | Some(Format::Wide))
        {
            match (&namespace, selection.kind.namespaced) {
                (Some(namespace), true) => eprintln!("No resources found in {namespace} namespace."),
                _ => eprintln!("No resources found."),
            }
        }
    }
    if args.watch {
        watch(&client, &selections[0], namespace.as_deref(), &args).await?;
    }
    Ok(())
}

async fn show_table(
    client: &Client,
    selection: &Selection,
    namespace: Option<&str>,
    args: &Args,
    is_first: &mut bool,
) -> Result<usize> {
    let kind = selection.kind;
    let mut tables = Vec::new();
    if selection.names.is_empty() {
        tables.push(client.list_table(kind, scope(kind, namespace), &options(args), TableInclude::Metadata).await?);
    }
    for name in &selection.names {
        tables.push(client.get_table(kind, scope(kind, namespace), name).await?);
    }
    let rows: Vec<Value> =
        tables.iter().flat_map(|table| table["rows"].as_array().cloned().unwrap_or_default()).collect();
    let count = rows.len();
    if count > 0 {
        if !std::mem::take(is_first) {
            println!();
        }
        let joined = json!({ "columnDefinitions": tables[0]["columnDefinitions"], "rows": rows });
        let is_wide = args.output == Some(Format::Wide);
        print!("{}", output::table(&joined, is_wide, namespace.is_none() && kind.namespaced, true, &mut Vec::new()));
    }
    Ok(count)
}

async fn show_objects(
    client: &Client,
    selection: &Selection,
    namespace: Option<&str>,
    args: &Args,
    format: Format,
) -> Result<usize> {
    let kind = selection.kind;
    let mut items = Vec::new();
    if selection.names.is_empty() {
        items = client.list(kind, scope(kind, namespace), &options(args)).await?.items;
    }
    for name in &selection.names {
        items.push(client.get(kind, scope(kind, namespace), name).await?);
    }
    print!("{}", output::objects(kind, &items, format, selection.names.len() == 1));
    Ok(items.len())
}

async fn watch(client: &Client, selection: &Selection, namespace: Option<&str>, args: &Args) -> Result<()> {
    let kind = selection.kind;
    let mut fields: Vec<String> = args.field_selector.iter().cloned().collect();
    fields.extend(selection.names.first().map(|name| format!("metadata.name={name}")));
    let field_selector = (!fields.is_empty()).then(|| fields.join(","));
    let list = ListOptions {
        label_selector: args.selector.clone(),
        field_selector: field_selector.clone(),
        ..ListOptions::default()
    };
    let revision = client.list(kind, scope(kind, namespace), &list).await?.revision;
    let watch = WatchOptions {
        label_selector: args.selector.clone(),
        field_selector,
        revision: Some(revision),
        ..WatchOptions::default()
    };
    let mut events = client.watch(kind, scope(kind, namespace), &watch).await?;
    let mut widths = Vec::new();
    while let Some(event) = events.next().await {
        let (WatchEvent::Added(object) | WatchEvent::Modified(object) | WatchEvent::Deleted(object)) = event? else {
            continue;
        };
        match args.output {
            None | Some(Format::Wide) => {
                let is_wide = args.output == Some(Format::Wide);
                let table = coracle_api::table::render(kind, [&object], coracle_api::table::Include::Metadata, now());
                print!(
                    "{}",
                    output::table(&table, is_wide, namespace.is_none() && kind.namespaced, false, &mut widths)
                );
            }
            Some(format) => print!("{}", output::objects(kind, &[object], format, true)),
        }
    }
    Ok(())
}

fn options(args: &Args) -> ListOptions {
    ListOptions {
        label_selector: args.selector.clone(),
        field_selector: args.field_selector.clone(),
        ..ListOptions::default()
    }
}

fn scope<'a>(kind: &Kind, namespace: Option<&'a str>) -> Option<&'a str> {
    namespace.filter(|_| kind.namespaced)
}
