//! `wasmctl get`: objects as tables, or whole.

use coracle_api::kind::Kind;
use coracle_api::object;
use coracle_client::{Client, ListOptions, TableInclude, WatchEvent, WatchOptions};
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::context::{Global, Namespace};
use crate::failure::Result;
use crate::output::{self, Format};
use crate::resources::{KnownKinds, Selection};

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

/// What was shown of one selection.
struct Shown {
    count: usize,
    /// The state that was shown.
    revision: Option<u64>,
    /// The columns, where it was a table.
    columns: Value,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let client = global.client()?;
    let namespace = (!args.all_namespaces).then(|| args.namespace.or_default(client.config()));
    let selections = KnownKinds::new(&client).parse(&args.what).await?;
    let is_single = selections.len() == 1;
    let mut is_first = true;
    let mut all_shown = Vec::new();
    for selection in &selections {
        let shown = match args.output {
            None | Some(Format::Wide) => {
                show_table(&client, selection, namespace.as_deref(), &args, &mut is_first).await?
            }
            Some(format) => show_objects(&client, selection, namespace.as_deref(), &args, format).await?,
        };
        if shown.count == 0
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
        all_shown.push(shown);
    }
    if args.watch {
        watch(&client, &selections[0], namespace.as_deref(), &args, &all_shown[0]).await?;
    }
    Ok(())
}

async fn show_table(
    client: &Client,
    selection: &Selection,
    namespace: Option<&str>,
    args: &Args,
    is_first: &mut bool,
) -> Result<Shown> {
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
    let (count, columns) = (rows.len(), tables[0]["columnDefinitions"].take());
    if count > 0 {
        if !std::mem::take(is_first) {
            println!();
        }
        let joined = json!({ "columnDefinitions": columns, "rows": rows });
        let is_wide = args.output == Some(Format::Wide);
        print!("{}", output::table(&joined, is_wide, namespace.is_none() && kind.namespaced, true, &mut Vec::new()));
    }
    Ok(Shown { count, revision: object::resource_version(&tables[0]), columns })
}

async fn show_objects(
    client: &Client,
    selection: &Selection,
    namespace: Option<&str>,
    args: &Args,
    format: Format,
) -> Result<Shown> {
    let kind = selection.kind;
    let (mut items, mut revision) = (Vec::new(), None);
    if selection.names.is_empty() {
        let list = client.list(kind, scope(kind, namespace), &options(args)).await?;
        (items, revision) = (list.items, Some(list.revision));
    }
    for name in &selection.names {
        items.push(client.get(kind, scope(kind, namespace), name).await?);
    }
    print!("{}", output::objects(kind, &items, format, selection.names.len() == 1));
    let revision = revision.or_else(|| object::resource_version(items.first()?));
    Ok(Shown { count: items.len(), revision, columns: Value::Null })
}

/// Goes on with what happens after what was shown.
async fn watch(
    client: &Client,
    selection: &Selection,
    namespace: Option<&str>,
    args: &Args,
    shown: &Shown,
) -> Result<()> {
    let kind = selection.kind;
    let mut fields: Vec<String> = args.field_selector.iter().cloned().collect();
    fields.extend(selection.names.first().map(|name| format!("metadata.name={name}")));
    let field_selector = (!fields.is_empty()).then(|| fields.join(","));
    let watch = WatchOptions {
        label_selector: args.selector.clone(),
        field_selector,
        revision: shown.revision,
        as_tables: matches!(args.output, None | Some(Format::Wide)),
        ..WatchOptions::default()
    };
    let mut widths = Vec::new();
    let mut events = client.watch(kind, scope(kind, namespace), &watch).await?;
    while let Some(event) = events.next().await {
        let (WatchEvent::Added(mut object) | WatchEvent::Modified(mut object) | WatchEvent::Deleted(mut object)) =
            event?
        else {
            continue;
        };
        match args.output {
            None | Some(Format::Wide) => {
                // Of a watch, only the first frame has them.
                object["columnDefinitions"] = shown.columns.clone();
                let is_wide = args.output == Some(Format::Wide);
                let show_namespace = namespace.is_none() && kind.namespaced;
                print!("{}", output::table(&object, is_wide, show_namespace, false, &mut widths));
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
