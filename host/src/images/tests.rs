use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use expect_test::{Expect, expect};

use super::*;
use crate::runtime::SystemClock;

const DIGEST: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
const BY_TAG: &str = "registry.coracle.internal/hello:1";

/// A registry with one image under each digest, which counts what it is asked.
#[derive(Default)]
struct Fake {
    resolved: AtomicUsize,
    pulled: AtomicUsize,
    is_down: bool,
}

fn fails(message: &str) -> ImageError {
    ImageError {
        reason: "ErrImagePull".to_owned(),
        message: message.to_owned(),
        is_transient: true,
        is_disk_full: message == "full",
    }
}

/// The digest that begins with these digits.
fn digest(digits: &str) -> String {
    format!("sha256:{digits}{}", "0".repeat(64 - digits.len()))
}

#[async_trait]
impl Source for Fake {
    async fn resolve(&self, _: &Reference) -> Result<String, ImageError> {
        self.resolved.fetch_add(1, Ordering::Relaxed);
        if self.is_down { Err(fails("down")) } else { Ok(DIGEST.to_owned()) }
    }

    /// A component of 4 bytes; a Linux image of 10 whose first digit is `a`, of which 6 are the same for all; a full disk for `f`.
    async fn pull(&self, reference: &Reference, folder: &Path, room: &dyn Room) -> Result<Pulled, ImageError> {
        self.pulled.fetch_add(1, Ordering::Relaxed);
        // Others ask meanwhile.
        tokio::task::yield_now().await;
        let digest = reference.digest().unwrap().to_string();
        let digits = &digest[7..];
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            (path, text.len() as u64)
        };
        let layer_digest = digest.clone();
        if digits.starts_with('a') {
            room.make(10).await.map_err(|error| fails(&error))?;
            let files = vec![write(&format!("{digits}.json"), "own!"), write("base.blob", "shared")];
            let (path, manifests) = (files[0].0.clone(), vec![files[0].clone()]);
            return Ok(Pulled { digest, layer_digest, size: 10, path, files, manifests });
        }
        room.make(4).await.map_err(|error| fails(&error))?;
        if digits.starts_with('f') {
            return Err(fails("full"));
        }
        let (path, size) = write(&format!("{digits}.wasm"), "wasm");
        Ok(Pulled { digest, layer_digest, size, path, files: Vec::new(), manifests: Vec::new() })
    }
}

fn open_within(dir: &tempfile::TempDir, source: Fake, bytes_max: u64) -> (Arc<Images>, Arc<Fake>) {
    let source = Arc::new(source);
    let quota = DiskQuota::new(bytes_max, Arc::new(SystemClock));
    (Images::open(dir.path().join("images"), source.clone(), quota).unwrap(), source)
}

fn open(dir: &tempfile::TempDir, source: Fake) -> (Arc<Images>, Arc<Fake>) {
    open_within(dir, source, u64::MAX)
}

async fn ensure(images: &Arc<Images>, digits: &str) -> Result<Hold, ImageError> {
    let image = format!("registry.coracle.internal/hello@{}", digest(digits));
    images.ensure(&image, PullPolicy::IfNotPresent, || ()).await.map(|(_, _, hold)| hold)
}

/// The names of the files, without the zeros at their ends, and what a pull said that was refused.
fn check(dir: &tempfile::TempDir, refused: Option<ImageError>, expected: Expect) {
    let files = std::fs::read_dir(dir.path().join("images")).unwrap();
    let names: BTreeSet<String> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "index.json")
        .map(|name| {
            name.split_once('.').map(|(digits, rest)| format!("{}.{rest}", digits.trim_end_matches('0'))).unwrap()
        })
        .collect();
    let refused = refused.map_or(String::new(), |error| format!("; {error}"));
    expected.assert_eq(&format!("{}{refused}", names.into_iter().collect::<Vec<_>>().join(" ")));
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
    let (image, arrival, _) = images.ensure(BY_TAG, PullPolicy::IfNotPresent, || ()).await.unwrap();
    assert!(matches!(arrival, Arrival::Pulled(_)));
    let (images, _) = open(&dir, Fake { is_down: true, ..Fake::default() });
    assert_eq!(images.present(BY_TAG, PullPolicy::IfNotPresent).unwrap().0, image);
    std::fs::write(&image.path, b"torn off").unwrap();
    let (images, _) = open(&dir, Fake { is_down: true, ..Fake::default() });
    assert!(images.present(BY_TAG, PullPolicy::IfNotPresent).is_none());
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

#[tokio::test]
async fn what_was_not_used_for_longest_makes_room_and_what_is_used_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (images, source) = open_within(&dir, Fake::default(), 85);
    for index in 0..21 {
        ensure(&images, &format!("{index:02}")).await.unwrap();
    }
    let held = ensure(&images, "01").await.unwrap();
    // 84 of 85 bytes are taken; evicted is down to 80, so that the next one needs nothing to go.
    ensure(&images, "21").await.unwrap();
    ensure(&images, "22").await.unwrap_or_else(|error| panic!("{error}"));
    check(
        &dir,
        None,
        expect![
            "01.wasm 03.wasm 04.wasm 05.wasm 06.wasm 07.wasm 08.wasm 09.wasm 1.wasm 11.wasm 12.wasm 13.wasm 14.wasm 15.wasm 16.wasm 17.wasm 18.wasm 19.wasm 2.wasm 21.wasm 22.wasm"
        ],
    );
    drop(held);
    // It is pulled anew, and only then.
    let pulled = source.pulled.load(Ordering::Relaxed);
    ensure(&images, "22").await.unwrap();
    ensure(&images, "02").await.unwrap();
    assert_eq!(source.pulled.load(Ordering::Relaxed), pulled + 1);
}

#[tokio::test]
async fn where_pods_use_all_there_is_a_pull_is_refused_for_now() {
    let dir = tempfile::tempdir().unwrap();
    let (images, _) = open_within(&dir, Fake::default(), 11);
    let held = (ensure(&images, "1").await.unwrap(), ensure(&images, "2").await.unwrap());
    let refused = ensure(&images, "3").await.unwrap_err();
    assert_eq!((refused.reason.as_str(), refused.is_transient), ("ErrImagePull", true));
    check(
        &dir,
        Some(refused),
        expect![
            "1.wasm 2.wasm; it takes 4 bytes, and of the 11 bytes that --image-disk-quota allows for images and compiled code this host's pods and pulls use 8: delete pods, or start this host with a larger one"
        ],
    );
    drop(held);
    ensure(&images, "3").await.unwrap();
    check(&dir, None, expect!["2.wasm 3.wasm"]);
    let (images, _) = open_within(&dir, Fake::default(), 3);
    let refused = ensure(&images, "4").await.unwrap_err();
    check(
        &dir,
        Some(refused),
        expect![
            "2.wasm 3.wasm; it takes 4 bytes, and --image-disk-quota allows 3 bytes for all images and compiled code together: start this host with a larger one"
        ],
    );
}

#[tokio::test]
async fn what_images_share_goes_with_the_last_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let (images, _) = open_within(&dir, Fake::default(), 18);
    let first = ensure(&images, "a1").await.unwrap();
    // Room is made for all of it, whatever of it is there.
    let refused = ensure(&images, "a2").await.unwrap_err();
    assert!(refused.message.contains("pods and pulls use 10"), "{refused}");
    drop(first);
    ensure(&images, "a2").await.unwrap();
    let (images, _) = open_within(&dir, Fake::default(), 24);
    let held = ensure(&images, "a1").await.unwrap();
    check(&dir, None, expect!["a1.json a2.json base.blob"]);
    ensure(&images, "1").await.unwrap();
    ensure(&images, "2").await.unwrap();
    ensure(&images, "3").await.unwrap();
    check(&dir, None, expect!["1.wasm 2.wasm 3.wasm a1.json base.blob"]);
    drop(held);
}

#[tokio::test]
async fn what_was_used_last_is_known_after_a_restart_and_what_broke_off_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (images, _) = open(&dir, Fake::default());
    for digits in ["1", "2", "3"] {
        ensure(&images, digits).await.unwrap();
    }
    ensure(&images, "1").await.unwrap();
    let folder = dir.path().join("images");
    // As a host leaves them that is killed while it pulls, and while it evicts.
    std::fs::write(folder.join(".77.partial"), "half").unwrap();
    std::fs::write(folder.join("77.wasm"), "never written down").unwrap();
    std::fs::remove_file(folder.join(format!("{}.wasm", &digest("3")[7..]))).unwrap();
    let (images, _) = open_within(&dir, Fake::default(), 9);
    check(&dir, None, expect!["1.wasm 2.wasm"]);
    ensure(&images, "4").await.unwrap();
    check(&dir, None, expect!["1.wasm 4.wasm"]);
}

#[tokio::test]
async fn a_full_disk_costs_what_no_pod_uses() {
    let dir = tempfile::tempdir().unwrap();
    let (images, _) = open(&dir, Fake::default());
    ensure(&images, "1").await.unwrap();
    let _held = ensure(&images, "2").await.unwrap();
    let refused = ensure(&images, "f").await.unwrap_err();
    check(&dir, Some(refused), expect!["2.wasm; full"]);
}
