//! `wasmctl deploy`: a component file, an image or manifests, from the command line to an answering URL.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use coracle_api::kinds::DEPLOYMENT;
use coracle_api::validation::{dns1123_label, ingress_host};
use coracle_api::{object, quantity::Quantity};
use coracle_client::Client;
use coracle_host::inspect::Inspection;
use serde_json::{Value, json};

use crate::apply;
use crate::context::{Global, Namespace};
use crate::failure::{Failure, Result};
use crate::files::{self, Manifest};
use crate::ingress::Ingress;
use crate::progress::{Progress, seconds};
use crate::resources::KnownKinds;
use crate::{images, output, rollout};

/// The label that ties a Deployment, its pods, its Service and its Ingress together.
const APP: &str = "app";

/// Deploy a component, an image or manifests, and wait until it answers
///
/// Examples:
///   wasmctl deploy shop.wasm --replicas 3 --env LOG=info
///   wasmctl deploy shop.yaml
#[derive(Debug, Clone, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// A `.wasm` or `.wat` file, an OCI reference, or a manifest file or folder
    #[arg(value_name = "WHAT")]
    pub(crate) what: String,
    /// The name of the Deployment, Service and Ingress [default: the file's stem]
    #[arg(long)]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) namespace: Namespace,
    /// How many pods [default: as now, else 1]
    #[arg(long)]
    pub(crate) replicas: Option<u32>,
    /// An environment variable, K=V; may be repeated
    #[arg(long, value_name = "K=V")]
    pub(crate) env: Vec<String>,
    /// The host name that the ingress routes here [default: NAME.localhost]
    #[arg(long, value_name = "HOST")]
    pub(crate) route: Option<String>,
    /// CPU of each pod, for example 250m
    #[arg(long, value_name = "QUANTITY")]
    pub(crate) cpu: Option<String>,
    /// Memory of each pod, for example 64Mi
    #[arg(long, value_name = "QUANTITY")]
    pub(crate) memory: Option<String>,
    /// The port the component answers on
    #[arg(long, default_value_t = 8080, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: u16,
    /// Do not wait until the pods are ready
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Give up waiting after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub(crate) timeout: u64,
    /// Print the result as JSON, and no progress
    #[arg(short, long, value_parser = ["json"])]
    pub(crate) output: Option<String>,
}

/// Selects the pods of what was deployed under a name.
pub(super) fn selector(name: &str) -> String {
    format!("{APP}={name}")
}

impl Args {
    /// What `wasmctl deploy FILE` means.
    pub(crate) fn of_file(file: &Path) -> Args {
        Args {
            what: file.display().to_string(),
            name: None,
            namespace: Namespace::default(),
            replicas: None,
            env: Vec::new(),
            route: None,
            cpu: None,
            memory: None,
            port: 8080,
            no_wait: false,
            timeout: 120,
            output: None,
        }
    }
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let progress = Progress::new(args.output.is_some());
    let path = PathBuf::from(&args.what);
    if files::is_manifest(&path) {
        return deploy_manifests(&path, &args, global, &progress).await;
    }
    let url = deploy_component(&args, global, &progress).await?;
    match (&args.output, url) {
        (Some(_), url) => println!("{}", json!({ "url": url })),
        (None, Some(url)) => println!("{url}"),
        (None, None) => {}
    }
    Ok(())
}

/// Deploys a component file or an image; gives the URL it answers at, if it is a handler.
pub(crate) async fn deploy_component(args: &Args, global: &Global, progress: &Progress) -> Result<Option<String>> {
    let path = Path::new(&args.what);
    let (bytes, stem) = if files::is_component(path) {
        (
            Some(files::read_component(path)?),
            path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned(),
        )
    } else if path.exists() {
        return Err(Failure::usage(format!("{}: not a .wasm, .wat, .yaml or .json file", path.display())));
    } else {
        (None, images::stem(&args.what))
    };
    let name = args.name.clone().unwrap_or_else(|| stem.clone());
    check_arguments(args, &name)?;
    let (image, inspection) = match bytes {
        Some(bytes) => push_file(args, &stem, bytes, global, progress).await?,
        None => resolve_image(args, global, progress).await?,
    };
    let client = global.client()?;
    let namespace = args.namespace.or_default(client.config());
    let is_handler = inspection.kind.is_handler();
    let replicas = match args.replicas {
        Some(replicas) => Some(replicas.into()),
        None => replicas_now(&client, &namespace, &name).await?,
    };
    let manifests: Vec<Manifest> = manifests(args, &name, &image, replicas, is_handler)
        .into_iter()
        .map(|object| Manifest { origin: args.what.clone(), object })
        .collect();
    let ready = apply_all(&client, &namespace, &manifests, args, progress).await?;
    let ingress = Ingress::find(client.config())?;
    let host = args.route.clone().unwrap_or_else(|| format!("{name}.localhost"));
    if !is_handler {
        return Ok(None);
    }
    wait_for_ingress(&ingress, &host, ready).await;
    Ok(Some(ingress.url(&host)))
}

/// Pods may be ready some milliseconds before the ingress hears of it; whoever sends a request next should not be refused.
async fn wait_for_ingress(ingress: &Ingress, host: &str, ready: i64) {
    if ready > 0
        && let Err(reason) = ingress.wait_for(host).await
    {
        eprintln!("warning: {} does not answer yet: {reason}", ingress.url(host));
    }
}

async fn push_file(
    args: &Args,
    stem: &str,
    bytes: Vec<u8>,
    global: &Global,
    progress: &Progress,
) -> Result<(String, Inspection)> {
    let inspection = super::inspect::inspect(&args.what, &bytes)?;
    refuse_unusable(&args.what, &inspection)?;
    let step = progress.step("pushed", "pushing");
    let size = images::size(bytes.len() as u64);
    let image = images::push(stem, bytes, &inspection, global).await?;
    step.done(&format!("{}  {size}", images::short(&image)), false);
    say_inspected(&inspection, progress);
    Ok((image, inspection))
}

async fn resolve_image(args: &Args, global: &Global, progress: &Progress) -> Result<(String, Inspection)> {
    let step = progress.step("resolved", "asking the registry");
    let (bytes, digest) = images::pull(&args.what, global).await?;
    let image = images::pinned(&args.what, &digest);
    step.done(&images::short(&image), true);
    let inspection = super::inspect::inspect(&args.what, &bytes)?;
    refuse_unusable(&args.what, &inspection)?;
    say_inspected(&inspection, progress);
    Ok((image, inspection))
}

/// Says in one line what a component is and needs.
pub(super) fn say_inspected(inspection: &Inspection, progress: &Progress) {
    let mut packages: Vec<&str> =
        inspection.imports.iter().map(|import| import.split('/').next().unwrap_or(import)).collect();
    packages.sort_unstable();
    packages.dedup();
    let needs = if packages.is_empty() { "nothing".to_owned() } else { packages.join(", ") };
    progress
        .step("inspected", "")
        .done(&format!("{}; needs {needs}", super::inspect::describe(inspection.kind)), false);
}

/// Refuses, before anything is written, what no host could run.
fn refuse_unusable(what: &str, inspection: &Inspection) -> Result<()> {
    if let Some(import) = inspection.unknown.first() {
        let mut failure = Failure::new(format!("component \"{what}\" imports {import}, which nothing here provides"));
        for import in &inspection.unknown {
            let why = if import.starts_with("wasi:") {
                "not an interface or version that this host links"
            } else {
                "not a WASI interface"
            };
            failure = failure.detail(format!("{import}    {why}"));
        }
        return Err(failure
            .detail("nothing was changed")
            .hint("a component that exports it can be linked to it: name its container in coracle.dev/libraries of a manifest's pod"));
    }
    match inspection.kind {
        kind if kind.is_handler() || kind.is_command() => Ok(()),
        kind => Err(Failure::new(format!(
            "component \"{what}\" cannot run by itself: it is a {}",
            super::inspect::describe(kind)
        ))
        .detail("expected an export of wasi:http/incoming-handler@0.2, wasi:http/handler@0.3 or wasi:cli/run")
        .detail("nothing was changed")),
    }
}

/// Refuses bad arguments by their flag, before anything is pushed.
fn check_arguments(args: &Args, name: &str) -> Result<()> {
    if let Some(reason) = dns1123_label(name).into_iter().next() {
        return Err(Failure::usage(format!("`{name}` cannot be a name: {reason}")).hint("choose one with --name"));
    }
    if let Some(route) = &args.route
        && let Some(reason) = ingress_host(route).into_iter().next()
    {
        return Err(Failure::usage(format!("--route {route}: not a host name: {reason}")));
    }
    for (flag, text) in [("--cpu", &args.cpu), ("--memory", &args.memory)] {
        if let Some(text) = text
            && Quantity::parse(text).is_err()
        {
            return Err(Failure::usage(format!("{flag} {text}: not a quantity, for example 250m or 64Mi")));
        }
    }
    match args.env.iter().find(|pair| pair.split_once('=').is_none_or(|(key, _)| key.is_empty())) {
        Some(pair) => Err(Failure::usage(format!("--env {pair}: not K=V"))),
        None => Ok(()),
    }
}

/// How many pods a Deployment asks for, whoever said so; `None` where there is no Deployment yet.
async fn replicas_now(client: &Client, namespace: &str, name: &str) -> Result<Option<i64>> {
    match client.get(&DEPLOYMENT, Some(namespace), name).await {
        Ok(deployment) => Ok(deployment["spec"]["replicas"].as_i64()),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The Deployment, and for a handler the Service and Ingress, that an image gets.
fn manifests(args: &Args, name: &str, image: &str, replicas: Option<i64>, is_handler: bool) -> Vec<Value> {
    let labels = json!({ APP: name });
    let env: Vec<Value> = args
        .env
        .iter()
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| json!({ "name": key, "value": value }))
        .collect();
    let mut container = json!({ "name": name, "image": image });
    if !env.is_empty() {
        container["env"] = json!(env);
    }
    if is_handler {
        container["ports"] = json!([{ "name": "http", "containerPort": args.port }]);
    }
    for (resource, quantity) in [("cpu", &args.cpu), ("memory", &args.memory)] {
        if let Some(quantity) = quantity {
            container["resources"]["requests"][resource] = json!(quantity);
            container["resources"]["limits"][resource] = json!(quantity);
        }
    }
    let mut deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": name, "labels": labels },
        "spec": {
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": { "containers": [container] } },
        },
    });
    if let Some(replicas) = replicas {
        deployment["spec"]["replicas"] = json!(replicas);
    }
    if !is_handler {
        return vec![deployment];
    }
    let host = args.route.clone().unwrap_or_else(|| format!("{name}.localhost"));
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": name, "labels": labels },
        "spec": { "selector": labels, "ports": [{ "name": "http", "port": 80, "targetPort": args.port }] },
    });
    let backend = json!({ "service": { "name": name, "port": { "number": 80 } } });
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": { "name": name, "labels": labels },
        "spec": { "rules": [{ "host": host, "http": { "paths": [{ "path": "/", "pathType": "Prefix", "backend": backend }] } }] },
    });
    vec![deployment, service, ingress]
}

async fn deploy_manifests(path: &Path, args: &Args, global: &Global, progress: &Progress) -> Result<()> {
    let unused = [
        ("--name", args.name.is_some()),
        ("--replicas", args.replicas.is_some()),
        ("--env", !args.env.is_empty()),
        ("--route", args.route.is_some()),
        ("--cpu", args.cpu.is_some()),
        ("--memory", args.memory.is_some()),
    ];
    if let Some((flag, _)) = unused.iter().find(|(_, is_given)| *is_given) {
        return Err(Failure::usage(format!(
            "{flag} goes with a component, not with a manifest: {} says it",
            path.display()
        )));
    }
    let client = global.client()?;
    let namespace = args.namespace.or_default(client.config());
    let manifests = files::read_manifests(path)?;
    let ready = apply_all(&client, &namespace, &manifests, args, progress).await?;
    let Ok(ingress) = Ingress::find(client.config()) else { return Ok(()) };
    let objects = manifests.iter().map(|manifest| &manifest.object);
    for object in objects.filter(|object| object["kind"] == "Ingress") {
        for host in object["spec"]["rules"].as_array().into_iter().flatten().filter_map(|rule| rule["host"].as_str()) {
            wait_for_ingress(&ingress, host, ready).await;
            println!("{}", ingress.url(host));
        }
    }
    Ok(())
}

/// Applies manifests in order, then waits for the Deployments among them. Gives the number of their pods that are ready, as far as
/// it was waited for.
async fn apply_all(
    client: &Client,
    namespace: &str,
    manifests: &[Manifest],
    args: &Args,
    progress: &Progress,
) -> Result<i64> {
    let known = KnownKinds::new(client);
    let mut kinds = Vec::new();
    for manifest in manifests {
        kinds.push(known.of(&manifest.object).await.map_err(|failure| failure.within(&manifest.origin))?);
    }
    let mut deployments = Vec::new();
    for (manifest, kind) in manifests.iter().zip(kinds) {
        let (applied, stored) = apply::apply(client, kind, namespace, manifest).await?;
        let what = format!("{}/{} {}", output::resource(kind), object::name(&manifest.object), applied.word());
        progress.step("applied", "").done(&what, false);
        if kind.kind == "Deployment" {
            deployments.push(stored);
        }
    }
    if args.no_wait {
        return Ok(0);
    }
    let mut ready_count = 0;
    for deployment in &deployments {
        let name = object::name(deployment);
        let namespace = object::namespace(deployment).unwrap_or(namespace);
        let before = deployment["status"]["readyReplicas"].as_i64().unwrap_or(0);
        let started = Instant::now();
        let step = progress.step("rolled", &format!("deployment/{name}: starting"));
        let ready = rollout::wait(client, namespace, name, &step, Duration::from_secs(args.timeout)).await?;
        step.done(&format!("deployment/{name}  {before} → {ready} ready  {}", seconds(started.elapsed())), false);
        ready_count += ready;
    }
    Ok(ready_count)
}
