//! The demo of `wasmctl up --demo`: the component of `examples/hello`, deployed as any user would deploy it.

use std::path::{Path, PathBuf};

use crate::context::Global;
use crate::failure::Result;
use crate::progress::Progress;
use crate::verbs::deploy;

/// The component's text, so that the demo needs no file beside the binary.
const HELLO: &str = include_str!("../../examples/hello/hello.wat");

/// Deploys the demo into the cluster whose kubeconfig is in `data_dir`; gives the URL.
pub(crate) async fn deploy(data_dir: &Path) -> Result<Option<String>> {
    let folder = tempfile::tempdir()?;
    let file: PathBuf = folder.path().join("hello.wat");
    std::fs::write(&file, HELLO)?;
    let global = Global { kubeconfig: Some(data_dir.join("kubeconfig")), log_json: false };
    let args = deploy::Args::of_file(&file);
    deploy::deploy_component(&args, &global, &Progress::new(true)).await
}
