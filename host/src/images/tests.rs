use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const DIGEST: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
const BY_TAG: &str = "registry.coracle.internal/hello:1";

/// A registry with one image, which counts what it is asked.
#[derive(Default)]
struct Fake {
    resolved: AtomicUsize,
    pulled: AtomicUsize,
    is_down: bool,
}

#[async_trait]
impl Source for Fake {
    async fn resolve(&self, _: &Reference) -> Result<String, ImageError> {
        self.resolved.fetch_add(1, Ordering::Relaxed);
        match self.is_down {
            true => {
                Err(ImageError { reason: "ErrImagePull".to_owned(), message: "down".to_owned(), is_transient: true })
            }
            false => Ok(DIGEST.to_owned()),
        }
    }

    async fn pull(&self, _: &Reference, folder: &Path) -> Result<Pulled, ImageError> {
        self.pulled.fetch_add(1, Ordering::Relaxed);
        // Others ask meanwhile.
        tokio::task::yield_now().await;
        let path = folder.join("hello.wasm");
        std::fs::write(&path, b"wasm").unwrap();
        Ok(Pulled { digest: DIGEST.to_owned(), layer_digest: "sha256:22".to_owned(), size: 4, path, files: Vec::new() })
    }
}

fn open(dir: &tempfile::TempDir, source: Fake) -> (Arc<Images>, Arc<Fake>) {
    let source = Arc::new(source);
    (Images::open(dir.path().join("images"), source.clone()).unwrap(), source)
}

#[tokio::test]
async fn one_pull_serves_all_who_wait_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let (images, source) = open(&dir, Fake::default());
    let image = format!("registry.coracle.internal/hello@{DIGEST}");
    let all = (0..20).map(|_| images.ensure(&image, PullPolicy::IfNotPresent, || ()));
    let all = futures::future::join_all(all).await;
    assert!(all.iter().all(|result| result.as_ref().unwrap().0.id == image));
    assert_eq!((source.resolved.load(Ordering::Relaxed), source.pulled.load(Ordering::Relaxed)), (0, 1));
}

#[tokio::test]
async fn policies_say_when_the_registry_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let (images, source) = open(&dir, Fake::default());
    let error = images.ensure(BY_TAG, PullPolicy::Never, || ()).await.unwrap_err();
    assert_eq!(error.reason, "ErrImageNeverPull");
    assert_eq!(error.message, format!("Container image {BY_TAG:?} is not present with pull policy of Never"));
    for (policy, resolved, pulled) in [
        (PullPolicy::IfNotPresent, 1, 1),
        (PullPolicy::IfNotPresent, 1, 1),
        (PullPolicy::Always, 2, 1),
        (PullPolicy::Never, 2, 1),
    ] {
        images.ensure(BY_TAG, policy, || ()).await.unwrap();
        assert_eq!(
            (source.resolved.load(Ordering::Relaxed), source.pulled.load(Ordering::Relaxed)),
            (resolved, pulled)
        );
    }
}

#[tokio::test]
async fn images_are_remembered_across_restarts_unless_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let (images, _) = open(&dir, Fake::default());
    let (image, arrival) = images.ensure(BY_TAG, PullPolicy::IfNotPresent, || ()).await.unwrap();
    assert!(matches!(arrival, Arrival::Pulled(_)));
    let (images, _) = open(&dir, Fake { is_down: true, ..Fake::default() });
    assert_eq!(images.present(BY_TAG, PullPolicy::IfNotPresent), Some(image.clone()));
    std::fs::write(&image.path, b"torn off").unwrap();
    let (images, _) = open(&dir, Fake { is_down: true, ..Fake::default() });
    assert_eq!(images.present(BY_TAG, PullPolicy::IfNotPresent), None);
    let error = images.ensure(BY_TAG, PullPolicy::IfNotPresent, || ()).await.unwrap_err();
    assert_eq!(error.reason, "ErrImagePull");
}

#[tokio::test]
async fn a_name_that_is_none_is_refused_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let (images, _) = open(&dir, Fake::default());
    let error = images.ensure("UPPER CASE", PullPolicy::IfNotPresent, || ()).await.unwrap_err();
    assert_eq!((error.reason.as_str(), error.is_transient), ("InvalidImageName", false));
}
