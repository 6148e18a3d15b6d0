//! `wasmctl apply -f`: creates or changes what manifests say.

use std::path::PathBuf;

use coracle_api::object;

use crate::context::{Global, Namespace};
use crate::failure::Result;
use crate::resources::KnownKinds;
use crate::{apply, files, output};

/// Create or change the objects of a manifest
///
/// Examples:
///   wasmctl apply -f shop.yaml
///   cat shop.yaml | wasmctl apply -f -
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// A manifest file (YAML or JSON), a folder of them, or `-` for standard input
    #[arg(short, long, value_name = "FILE", required = true)]
    filename: Vec<PathBuf>,
    #[command(flatten)]
    namespace: Namespace,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let client = global.client()?;
    let namespace = args.namespace.or_default(client.config());
    let mut manifests = Vec::new();
    for file in &args.filename {
        manifests.extend(files::read_manifests(file)?);
    }
    let kinds = KnownKinds::new(&client);
    for manifest in &manifests {
        let kind = kinds.of(&manifest.object).await.map_err(|failure| failure.within(&manifest.origin))?;
        let (applied, stored) = apply::apply(&client, kind, &namespace, manifest).await?;
        println!("{}/{} {}", output::resource(kind), object::name(&stored), applied.word());
    }
    Ok(())
}
