//! `wasmctl dev`: builds, deploys and shows the logs, and again whenever a file changes.

use std::collections::HashSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use coracle_api::{kinds, object};
use coracle_client::{Client, ListOptions, LogOptions};
use futures::StreamExt as _;
use tokio::task::JoinSet;

use super::build::say_built;
use super::deploy;
use crate::context::{Global, Namespace};
use crate::failure::{Failure, Result};
use crate::progress::{Progress, seconds};
use crate::project::{Built, Project};
use crate::sources::{Sources, changed};

/// Build a Rust project, deploy it and show its logs; again whenever a file changes, until Ctrl-C
///
/// What fails to build or to start is told, and what ran before keeps running. Nothing is removed at the end.
///
/// Examples:
///   wasmctl dev
///   wasmctl dev shop --env LOG=debug
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The folder with its Cargo.toml; changes anywhere in it count, but in `target` and what is hidden
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
    /// Of a workspace, the package to build
    #[arg(short, long, value_name = "NAME")]
    package: Option<String>,
    /// The name of the Deployment, Service and Ingress [default: the package's]
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    namespace: Namespace,
    /// An environment variable, K=V; may be repeated
    #[arg(long, value_name = "K=V")]
    env: Vec<String>,
    /// The host name that the ingress routes here [default: NAME.localhost]
    #[arg(long, value_name = "HOST")]
    route: Option<String>,
    /// The port the component answers on
    #[arg(long, default_value_t = 8080, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
}

/// What a round left in the cluster.
struct Deployed {
    name: String,
    url: Option<String>,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let project = Project::open(&args.folder, args.package.clone())?;
    let client = global.client()?;
    client.version().await?; // without a cluster there is nothing to begin with
    let namespace = args.namespace.or_default(client.config());
    let progress = Progress::new(false);
    let mut logs = Logs { client, namespace, seen: HashSet::new(), copying: JoinSet::new() };
    let mut deployed = None;
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        let mut before = Sources::of(project.folder())?;
        let round = tokio::select! {
            round = round(&project, &args, global, &progress) => round,
            _ = &mut interrupted => break,
        };
        match round {
            Ok(now) => {
                logs.follow(&now.name).await?;
                match &now.url {
                    Some(url) => progress.step("answering", "").done(url, false),
                    None => progress.step("running", "").done(&format!("deployment/{}", now.name), false),
                }
                deployed = Some(now);
            }
            Err(failure) => {
                // Told, but no end: the next change may be the remedy.
                let _ = failure.report();
            }
        }
        // Cargo writes it, where it wasn't there or no longer fitted.
        before.accept(Path::new("Cargo.lock"), &Sources::of(project.folder())?);
        progress.step("waiting", "").done("for a change; Ctrl-C ends this", false);
        let changed = tokio::select! {
            changed = changed(project.folder(), &before) => changed?,
            _ = &mut interrupted => break,
        };
        progress.step("changed", "").done(&changed.display().to_string(), false);
    }
    eprintln!("{}", farewell(deployed.as_ref(), args.namespace.namespace.as_deref()));
    Ok(())
}

/// Builds and deploys once; gives what is rolled out then.
async fn round(project: &Project, args: &Args, global: &Global, progress: &Progress) -> Result<Deployed> {
    let (built, took) = project.build(false).await?;
    let component = only_one(&built)?;
    say_built(component, &seconds(took), progress);
    let name = args.name.clone().unwrap_or_else(|| component.package.replace('_', "-"));
    let deploy = deploy::Args {
        name: Some(name.clone()),
        namespace: args.namespace.clone(),
        env: args.env.clone(),
        route: args.route.clone(),
        port: args.port,
        ..deploy::Args::of_file(&component.path)
    };
    let url = deploy::deploy_component(&deploy, global, progress).await?;
    Ok(Deployed { name, url })
}

fn only_one(built: &[Built]) -> Result<&Built> {
    match built {
        [component] => Ok(component),
        several => {
            let mut failure =
                Failure::new(format!("the project builds {} components, and one is deployed", several.len()));
            for component in several {
                failure = failure.detail(format!("{}  of package {}", component.path.display(), component.package));
            }
            Err(failure.hint(
                "name its package with --package; of one package's components, deploy each with `wasmctl deploy FILE`",
            ))
        }
    }
}

/// What stays, and how it goes.
fn farewell(deployed: Option<&Deployed>, namespace: Option<&str>) -> String {
    let Some(Deployed { name, url }) = deployed else { return "stopped; nothing was deployed".to_owned() };
    let (at, kinds) = match url {
        Some(url) => (format!(", at {url}"), "deployment,service,ingress"),
        None => (String::new(), "deployment"),
    };
    let namespace = namespace.map(|namespace| format!(" --namespace {namespace}")).unwrap_or_default();
    format!("stopped; deployment/{name} stays{at}\n`wasmctl delete {kinds} {name}{namespace}` removes it")
}

/// Copies what pods print to standard output, each pod's from its beginning.
struct Logs {
    client: Client,
    namespace: String,
    seen: HashSet<String>,
    copying: JoinSet<()>,
}

impl Logs {
    /// Goes on with the pods of a Deployment of `wasmctl deploy` that are new.
    async fn follow(&mut self, name: &str) -> Result<()> {
        let pods = kinds::by_any_name("pods").expect("pods are built in");
        let listed =
            self.client.list(pods, Some(&self.namespace), &ListOptions::labels(deploy::selector(name))).await?;
        for pod in listed.items.iter().filter(|pod| object::deletion_timestamp(pod).is_none()) {
            let pod = object::name(pod).to_owned();
            if self.seen.insert(pod.clone()) {
                self.copying.spawn(copy(self.client.clone(), self.namespace.clone(), pod));
            }
        }
        Ok(())
    }
}

/// Copies a pod's log until its container ends.
async fn copy(client: Client, namespace: String, pod: String) {
    let options = LogOptions { follow: true, ..LogOptions::default() };
    let why = match client.logs(&namespace, &pod, &options).await {
        Ok(mut chunks) => loop {
            match chunks.next().await {
                Some(Ok(chunk)) => {
                    let mut stdout = std::io::stdout();
                    if stdout.write_all(&chunk).and_then(|()| stdout.flush()).is_err() {
                        return; // nobody reads
                    }
                }
                Some(Err(error)) => break error.to_string(),
                None => break "its container ended".to_owned(),
            }
        },
        Err(error) => error.to_string(),
    };
    // A pod that was replaced ends as it should.
    let kind = kinds::by_any_name("pods").expect("pods are built in");
    let stays =
        client.get(kind, Some(&namespace), &pod).await.is_ok_and(|pod| object::deletion_timestamp(&pod).is_none());
    if stays {
        eprintln!("  log of pod/{pod} ends here: {why}; `wasmctl logs {pod} -f` goes on");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[track_caller]
    fn check(deployed: Option<Deployed>, namespace: Option<&str>, expected: Expect) {
        expected.assert_eq(&farewell(deployed.as_ref(), namespace));
    }

    #[test]
    fn the_end_says_what_stays_and_how_it_goes() {
        let shop = |url: Option<&str>| Some(Deployed { name: "shop".to_owned(), url: url.map(str::to_owned) });
        check(None, None, expect!["stopped; nothing was deployed"]);
        check(
            shop(Some("http://shop.localhost:8080/")),
            None,
            expect![[r#"
            stopped; deployment/shop stays, at http://shop.localhost:8080/
            `wasmctl delete deployment,service,ingress shop` removes it"#]],
        );
        check(
            shop(None),
            Some("team-a"),
            expect![[r#"
            stopped; deployment/shop stays
            `wasmctl delete deployment shop --namespace team-a` removes it"#]],
        );
    }
}
