//! Pulls and compiles what was pushed to a registry of this very process, so that no pod need wait for that.
//!
//! One component after the other, and behind all that pods wait for. Nothing depends on it: what is missed here is compiled when a pod wants it.
//! Deliberately absent: what is pushed to other machines. Compiled code is trusted as its host's own seal says, so hosts don't give it to each
//! other.

use std::sync::Arc;

use coracle_registry::{ArtifactKind, Reference};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::images::Images;
use crate::pod::PullPolicy;
use crate::runtime::Runtime;

/// Takes references by digest until `shutdown`.
pub(crate) async fn run(
    images: Arc<Images>,
    runtime: Arc<dyn Runtime>,
    mut pushed: mpsc::Receiver<Reference>,
    shutdown: CancellationToken,
) {
    let work = async {
        while let Some(reference) = pushed.recv().await {
            if let Err(reason) = compile(&images, &*runtime, &reference).await {
                tracing::info!(%reference, reason, "what was pushed is not compiled before a pod wants it");
            }
        }
    };
    shutdown.run_until_cancelled(work).await;
}

async fn compile(images: &Arc<Images>, runtime: &dyn Runtime, reference: &Reference) -> Result<(), String> {
    let image = images.ensure(&reference.to_string(), PullPolicy::IfNotPresent, || ()).await;
    let (image, _, _hold) = image.map_err(|error| error.to_string())?;
    match image.kind {
        ArtifactKind::Container => Ok(()),
        ArtifactKind::Component => {
            runtime.compile_ahead(&image.path, &image.layer_digest).await.map_err(|error| error.to_string())
        }
    }
}
