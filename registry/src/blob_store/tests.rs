use expect_test::{Expect, expect};
use serde_json::json;

use super::*;
use crate::manifest::{WASM_CONFIG, WASM_LAYER};

fn open(dir: &tempfile::TempDir) -> BlobStore {
    BlobStore::open(&dir.path().join("registry"), StoreLimits::default()).unwrap()
}

async fn put_blob(store: &BlobStore, repository: &str, bytes: &[u8]) -> Digest {
    let id = store.begin_upload(repository).unwrap();
    let upload = store.upload(repository, &id).unwrap();
    let mut upload = upload.lock().await;
    upload.append(bytes, store.limits().blob_bytes_max).await.unwrap();
    let digest = Digest::of(bytes);
    store.finish_upload(repository, &upload.finish(digest).await.unwrap(), digest).unwrap();
    store.cancel_upload(&id);
    digest
}

fn manifest(config: &[u8], layer: &[u8]) -> Vec<u8> {
    let descriptor =
        |media_type, bytes: &[u8]| json!({ "mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len() });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": IMAGE_MANIFEST,
        "config": descriptor(WASM_CONFIG, config), "layers": [descriptor(WASM_LAYER, layer)],
    });
    manifest.to_string().into_bytes()
}

async fn put_component(store: &BlobStore, repository: &str, layer: &[u8]) -> Digest {
    put_blob(store, repository, b"{}").await;
    put_blob(store, repository, layer).await;
    store.put_manifest(repository, None, None, &manifest(b"{}", layer)).unwrap().0
}

fn files_of(dir: &tempfile::TempDir, part: &str) -> usize {
    files_below(dir.path().join("registry").join(part))
}

/// How many files there are in a folder and the folders in it.
pub(crate) fn files_below(folder: PathBuf) -> usize {
    let mut open = vec![folder];
    let mut count = 0;
    while let Some(path) = open.pop() {
        for entry in std::fs::read_dir(path).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() { open.push(entry.path()) } else { count += 1 }
        }
    }
    count
}

#[tokio::test]
async fn what_was_stored_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let digest = put_component(&store, "shop/cart", b"component").await;
    put_component(&store, "shop", b"other").await;
    store.begin_upload("shop").unwrap();
    assert_eq!(files_of(&dir, "uploads"), 1);
    std::mem::forget(store);
    let store = open(&dir);
    assert_eq!(files_of(&dir, "uploads"), 0);
    let manifest = store.manifest("shop/cart", digest).unwrap();
    assert_eq!((manifest.digest, manifest.media_type.as_str()), (digest, IMAGE_MANIFEST));
    assert_eq!(store.blob_size("shop/cart", Digest::of(b"component")).unwrap(), 9);
    assert_eq!(store.repositories().unwrap(), ["shop", "shop/cart"]);
    assert!(store.manifests().unwrap().contains(&("shop/cart".to_owned(), digest)));
}

#[tokio::test]
async fn content_goes_with_its_last_repository() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let digest = put_blob(&store, "a", b"shared").await;
    assert!(store.mount("b/c", digest, Some("a")).unwrap());
    assert!(!store.mount("d", digest, Some("nowhere")).unwrap());
    assert!(store.mount("e", digest, None).unwrap());
    for repository in ["a", "e"] {
        store.delete_blob(repository, digest).unwrap();
        assert_eq!(files_of(&dir, "blobs"), 1);
    }
    assert!(matches!(store.blob_size("a", digest), Err(StoreError::BlobUnknown)));
    assert_eq!(store.blob_size("b/c", digest).unwrap(), 6);
    store.delete_blob("b/c", digest).unwrap();
    assert_eq!(files_of(&dir, "blobs"), 0);
}

#[tokio::test]
async fn a_deleted_manifest_leaves_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let (digest, other) = (put_component(&store, "a", b"x").await, put_component(&store, "a", b"y").await);
    store.delete_manifest("a", digest).unwrap();
    assert!(matches!(store.manifest("a", digest), Err(StoreError::ManifestUnknown)));
    assert!(matches!(store.delete_manifest("a", digest), Err(StoreError::ManifestUnknown)));
    assert!(!store.has_manifest("a", digest) && store.has_manifest("a", other));
    assert_eq!(store.manifests().unwrap(), [("a".to_owned(), other)]);
    assert!(store.has_repository("a") && !store.has_repository("nowhere"));
}

fn check(store: &BlobStore, content_type: Option<&str>, bytes: &[u8], expected: Expect) {
    let answer = store.put_manifest("a", None, content_type, bytes);
    expected.assert_eq(&answer.map_or_else(|error| error.to_string(), |(digest, _)| digest.to_string()));
}

#[tokio::test]
async fn manifests_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    put_blob(&store, "a", b"{}").await;
    put_blob(&store, "b", b"x").await;
    let whole = manifest(b"{}", b"x");
    check(&store, None, b"{", expect!["manifest invalid: EOF while parsing an object at line 1 column 1"]);
    check(&store, None, b"{}", expect!["manifest invalid: it has neither `config` nor `manifests`"]);
    check(
        &store,
        Some("text/x"),
        &whole,
        expect![
            "manifest invalid: its Content-Type is text/x and its mediaType is application/vnd.oci.image.manifest.v1+json"
        ],
    );
    let elsewhere = expect![
        "the manifest names sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881, which this repository does not have: push it first"
    ];
    check(&store, None, &whole, elsewhere);
    store.mount("a", Digest::of(b"x"), Some("b")).unwrap();
    let other = Some(Digest::of(b""));
    let answer = store.put_manifest("a", other, None, &whole);
    assert!(matches!(answer, Err(StoreError::DigestMismatch { .. })), "{answer:?}");
    assert_eq!(store.put_manifest("a", None, Some(IMAGE_MANIFEST), &whole).unwrap().0, Digest::of(&whole));
    let big = vec![b' '; store.limits().manifest_bytes_max + 1];
    check(&store, None, &big, expect!["a manifest may have at most 4194304 bytes here"]);
}

#[tokio::test]
async fn what_names_a_subject_is_found_by_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let subject = put_component(&store, "a", b"x").await;
    put_blob(&store, "a", b"signature").await;
    let descriptor = |media_type: &str, digest: Digest| json!({ "mediaType": media_type, "digest": digest, "size": 1 });
    let signature = json!({
        "mediaType": IMAGE_MANIFEST, "artifactType": "application/x-signature",
        "config": descriptor("application/x-empty", Digest::of(b"{}")), "layers": [descriptor("x", Digest::of(b"signature"))],
        "subject": descriptor(IMAGE_MANIFEST, subject), "annotations": { "by": "me" },
    })
    .to_string();
    let digest = Digest::of(signature.as_bytes());
    assert_eq!(store.put_manifest("a", Some(digest), None, signature.as_bytes()).unwrap().1, Some(subject));
    let found = store.referrers("a", subject).unwrap();
    assert_eq!((found.len(), found[0].artifact_type.as_deref()), (1, Some("application/x-signature")));
    store.delete_manifest("a", digest).unwrap();
    assert_eq!(store.referrers("a", subject).unwrap(), []);
}

#[tokio::test]
async fn a_damaged_manifest_is_not_served() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let digest = put_component(&store, "a", b"x").await;
    let path = dir.path().join("registry").join(blob_path(digest));
    std::fs::write(&path, b"damaged").unwrap();
    let error = store.manifest("a", digest).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("the registry's file {} is damaged: delete it and push its content again", path.display())
    );
    put_component(&store, "a", b"x").await;
    assert!(store.manifest("a", digest).is_ok(), "pushing again repairs it");
}

#[tokio::test]
async fn unfinished_uploads_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let limits = StoreLimits { uploads_max: 2, ..StoreLimits::default() };
    let store = BlobStore::open(dir.path(), limits).unwrap();
    let first = store.begin_upload("a").unwrap();
    store.begin_upload("a").unwrap();
    assert!(matches!(store.begin_upload("a"), Err(StoreError::TooManyUploads(2))));
    assert!(matches!(store.upload("b", &first), Err(StoreError::UploadUnknown)), "of another repository");
    store.cancel_upload(&first);
    assert!(store.begin_upload("a").is_ok());
    let store = BlobStore::open(
        dir.path(),
        StoreLimits { uploads_max: 1, upload_idle_max: Duration::ZERO, ..StoreLimits::default() },
    );
    let store = store.unwrap();
    store.begin_upload("a").unwrap();
    assert!(store.begin_upload("a").is_ok(), "the one at rest made room");
}

#[test]
fn a_disk_s_failures_say_what_to_do() {
    let check = |kind: io::ErrorKind, expected: Expect| {
        expected.assert_eq(&files::failed(Path::new("/data/x"), kind.into()).to_string());
    };
    check(io::ErrorKind::StorageFull, expect!["the registry's disk is full: free some space where /data/x is"]);
    check(io::ErrorKind::QuotaExceeded, expect!["the registry's disk is full: free some space where /data/x is"]);
    check(
        io::ErrorKind::ReadOnlyFilesystem,
        expect![
            "the registry's folder cannot be written (/data/x): check that its disk is not mounted read-only and who owns it"
        ],
    );
    check(io::ErrorKind::InvalidInput, expect!["the registry's file /data/x failed: invalid input parameter"]);
}
