//! `wasmctl apply -f`: creates or changes what manifests say.

use std::path::PathBuf;

use coracle_api::object;

use crate::context::{Global, Namespace};
use crate::failure::Result;
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
    for manifest in &manifests {
        let (applied, _) = apply::apply(&client, &namespace, manifest).await?;
        let object = &manifest.object;
        println!("{}/{} {}", output::resource(apply::kind_of(object)?), object::name(object), applied.word());
    }
    Ok(())
}
