use coracle_store::{Options, RealDisk};
use expect_test::{Expect, expect};
use tempfile::TempDir;

use super::*;

const KEY: &str = "secrets/default/s";

fn secret(password: &str) -> Write {
    let object = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {
            "name": "s", "namespace": "default", "uid": "u", "labels": { "app": "web" },
            "annotations": { "kubectl.kubernetes.io/last-applied-configuration": password },
        },
        "data": { "password": BASE64.encode(password) },
    });
    let encoded = encode::encode(&object);
    let operation = Operation::Put { json: encoded.json, splice_offset: encoded.splice_offset, tags: Arc::default() };
    Write { key: KEY.into(), operation, precondition: Precondition::None, frees_space: false }
}

async fn store(dir: &TempDir) -> Store {
    Store::open(Options::new(dir.path().join("store")), Arc::new(RealDisk)).await.unwrap()
}

async fn rotate(sealer: &Sealer, store: &Store) -> Rotation {
    if let Some(key) = sealer.next_key(store).await.unwrap() {
        sealer.switch(store, &key).await.unwrap();
    }
    sealer.reseal(store).await.unwrap()
}

async fn put(store: &Store, sealer: &Sealer, mut write: Write) -> Arc<Record> {
    sealer.seal(&mut write, &store.snapshot()).unwrap();
    store.write(vec![write]).await.unwrap();
    store.snapshot().get(KEY).unwrap()
}

fn check(dir: &TempDir, result: Result<Sealer, SealingError>, expected: Expect) {
    let keys = std::fs::read_to_string(dir.path().join("secret-keys.json")).unwrap_or_default();
    let mut text = result.err().expect("an error").to_string().replace(&dir.path().display().to_string(), "DIR");
    let ids = keys.split('"').filter(|id| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    ids.for_each(|id| text = text.replace(id, "KEY"));
    expected.assert_eq(&text);
}

#[tokio::test]
async fn what_is_stored_tells_nothing_and_opens_to_what_was_written() {
    let dir = TempDir::new().unwrap();
    let store = store(&dir).await;
    let sealer = Sealer::open(dir.path(), &store.snapshot(), true).unwrap();
    let record = put(&store, &sealer, secret("hunter2")).await;
    let text = String::from_utf8(record.json.to_vec()).unwrap();
    assert!(!text.contains("hunter2") && !text.contains(&BASE64.encode("hunter2")), "{text}");
    let mut stored: Value = serde_json::from_str(&text).unwrap();
    stored["sealed"] = "…".into();
    expect![[r#"{"apiVersion":"v1","kind":"Secret","metadata":{"labels":{"app":"web"},"name":"s","namespace":"default","uid":"u"},"sealed":"…","type":"Opaque"}"#]].assert_eq(&stored.to_string());
    let opened = sealer.open_record(&record).unwrap();
    let Operation::Put { json, splice_offset, .. } = secret("hunter2").operation else { unreachable!("a put") };
    assert_eq!((&opened.json, opened.splice_offset, opened.revision), (&json, splice_offset, record.revision));
    assert!(Arc::ptr_eq(&opened, &sealer.open_record(&record).unwrap()), "opened once");
    let again = put(&store, &sealer, secret("hunter2")).await;
    assert_ne!(again.json, record.json, "another data key");
}

#[tokio::test]
async fn what_was_changed_or_moved_does_not_open() {
    let dir = TempDir::new().unwrap();
    let store = store(&dir).await;
    let sealer = Sealer::open(dir.path(), &store.snapshot(), true).unwrap();
    let record = put(&store, &sealer, secret("hunter2")).await;
    let moved = Arc::new(Record { key: "secrets/other/s".into(), ..(*record).clone() });
    assert!(sealer.open_record(&moved).is_err());
    let mut object: Value = serde_json::from_slice(&record.json).unwrap();
    for field in ["dataKey", "value"] {
        let mut bytes = BASE64.decode(object["sealed"][field].as_str().unwrap()).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        let kept = std::mem::replace(&mut object["sealed"][field], BASE64.encode(bytes).into());
        let changed = Record { json: object.to_string().into(), revision: record.revision + 1, ..(*record).clone() };
        assert!(sealer.open_record(&Arc::new(changed)).is_err(), "{field}");
        object["sealed"][field] = kept;
    }
}

#[tokio::test]
async fn a_lost_or_damaged_file_of_keys_is_named_at_the_start() {
    let dir = TempDir::new().unwrap();
    let store = store(&dir).await;
    let sealer = Sealer::open(dir.path(), &store.snapshot(), true).unwrap();
    put(&store, &sealer, secret("hunter2")).await;
    let path = dir.path().join("secret-keys.json");
    let keys = std::fs::read_to_string(&path).unwrap();
    let open = || Sealer::open(dir.path(), &store.snapshot(), true);
    for (text, expected) in [
        (
            "nonsense".to_owned(),
            expect![
                "DIR/secret-keys.json is damaged (expected ident at line 1 column 2): restore it from a backup; without it the cluster's Secrets can't be read"
            ],
        ),
        (
            keys.replace("\"version\": 1", "\"version\": 2"),
            expect![
                "DIR/secret-keys.json is damaged (version 2 is from another release): restore it from a backup; without it the cluster's Secrets can't be read"
            ],
        ),
    ] {
        std::fs::write(&path, text).unwrap();
        check(&dir, open(), expected);
    }
    let other = TempDir::new().unwrap();
    drop(Sealer::open(other.path(), &Snapshot::default(), true).unwrap());
    std::fs::copy(other.path().join("secret-keys.json"), &path).unwrap();
    let text = open().err().unwrap().to_string();
    assert!(
        text.contains("secrets/default/s is sealed with the key") && text.contains("secret-keys.json lacks"),
        "{text}"
    );
    std::fs::remove_file(&path).unwrap();
    let text = open().err().unwrap().to_string();
    assert!(text.contains("secret-keys.json is missing, and secrets/default/s is sealed with"), "{text}");
    assert!(!path.exists(), "no new key hides that one is lost");
    std::fs::write(&path, keys).unwrap();
    assert!(open().is_ok());
}

#[tokio::test]
async fn a_rotation_seals_everything_anew_and_goes_on_where_it_stopped() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().unwrap();
    let store = store(&dir).await;
    let sealer = Sealer::open(dir.path(), &store.snapshot(), true).unwrap();
    put(&store, &sealer, secret("hunter2")).await;
    let first = key_id(&store.snapshot().get(KEY).unwrap()).unwrap();
    let rotation = rotate(&sealer, &store).await;
    assert_eq!(rotation.rewritten, 1);
    let record = store.snapshot().get(KEY).unwrap();
    assert_eq!(key_id(&record).unwrap(), rotation.key_id);
    assert_ne!(first, rotation.key_id);
    assert!(String::from_utf8_lossy(&sealer.open_record(&record).unwrap().json).contains(&BASE64.encode("hunter2")));

    // As if the process had ended once the key was the current one.
    let key = sealer.next_key(&store).await.unwrap().unwrap();
    sealer.switch(&store, &key).await.unwrap();
    let made = key.id;
    let sealer = Sealer::open(dir.path(), &store.snapshot(), true).unwrap();
    let resumed = rotate(&sealer, &store).await;
    assert_eq!((resumed.key_id, resumed.rewritten), (made.clone(), 1));

    drop(Sealer::open(dir.path(), &store.snapshot(), true).unwrap());
    let path = dir.path().join("secret-keys.json");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(&made) && !text.contains(&first), "keys that nothing needs are forgotten at the next start");
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_key_that_is_only_given_is_not_used_and_is_kept_while_there_are_other_members() {
    let (dir, other_dir) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let store = store(&dir).await;
    let (sealer, path) = (Sealer::open(dir.path(), &store.snapshot(), true).unwrap(), "secret-keys.json");
    std::fs::copy(dir.path().join(path), other_dir.path().join(path)).unwrap();
    let other = || Sealer::open(other_dir.path(), &store.snapshot(), false).unwrap();
    let record = put(&store, &sealer, secret("hunter2")).await;
    let first = key_id(&record).unwrap();

    let next = sealer.next_key(&store).await.unwrap().unwrap();
    other().add(&next).unwrap();
    let record = put(&store, &other(), secret("hunter3")).await;
    assert_eq!(key_id(&record).unwrap(), first, "nothing says that all members have the new key");
    sealer.switch(&store, &next).await.unwrap();
    let record = put(&store, &other(), secret("hunter4")).await;
    assert_eq!(key_id(&record).unwrap(), next.id, "whoever leads seals with the key that was switched to");
    sealer.open_record(&record).unwrap();

    let another = sealer.next_key(&store).await.unwrap().unwrap();
    sealer.switch(&store, &another).await.unwrap();
    let missing = other().seal(&mut secret("hunter5"), &store.snapshot()).unwrap_err().to_string();
    assert!(missing.contains(&another.id), "{missing}");
}
