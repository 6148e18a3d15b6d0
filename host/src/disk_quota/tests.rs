use std::sync::atomic::{AtomicI64, Ordering};

use expect_test::{Expect, expect};

use super::*;

/// A clock that goes on by a second whenever it is looked at.
struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.fetch_add(1, Ordering::Relaxed)).unwrap()
    }
}

/// Keeps files of 10 bytes, but can't remove those whose name begins with `stuck`.
struct Folder(tempfile::TempDir);

impl Keeper for Folder {
    fn remove(&self, name: &str) -> io::Result<()> {
        match name.starts_with("stuck") {
            true => Err(io::Error::other("stuck")),
            false => std::fs::remove_file(self.0.path().join(name)),
        }
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        Some(self.0.path().join(name))
    }
}

struct Host {
    quota: Arc<DiskQuota>,
    folder: Arc<Folder>,
}

impl Host {
    fn new(bytes_max: u64, names: &[&str]) -> Host {
        let quota = DiskQuota::new(bytes_max, Arc::new(Ticking(AtomicI64::new(1_000_000))));
        let folder = Arc::new(Folder(tempfile::tempdir().unwrap()));
        let keeper: Weak<Folder> = Arc::downgrade(&folder);
        quota.join(Kind::Code, keeper);
        let host = Host { quota, folder };
        names.iter().for_each(|name| host.put(name));
        host
    }

    fn put(&self, name: &str) {
        std::fs::write(self.folder.0.path().join(name), "0123456789").unwrap();
        self.quota.put(key(name), vec![Part { name: name.to_owned(), bytes: 10 }], None);
    }

    fn check(&self, reserved: &Result<Reservation, NoRoom>, expected: Expect) {
        let mut names: Vec<String> = std::fs::read_dir(self.folder.0.path())
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let said = reserved.as_ref().err().map_or(String::new(), |error| format!("; {error}"));
        expected.assert_eq(&format!("{}{said}", names.join(" ")));
    }
}

fn key(name: &str) -> Key {
    Key::new(Kind::Code, name)
}

#[test]
fn what_is_on_its_way_has_its_room() {
    let host = Host::new(31, &["a", "b"]);
    let first = host.quota.reserve(10);
    host.check(&first, expect!["a b"]);
    // Before the first one is there, its room is nobody's else.
    let second = host.quota.reserve(10);
    host.check(&second, expect![[""]]);
    let third = host.quota.reserve(12);
    host.check(&third, expect!["; it takes 12 bytes, and of the 31 bytes that --image-disk-quota allows for images and compiled code this host's pods and pulls use 20: delete pods, or start this host with a larger one"]);
    drop(second);
    host.check(&host.quota.reserve(12), expect![[""]]);
}

#[test]
fn all_who_use_a_thing_share_one_hold_and_the_end_of_the_last_use_counts() {
    let host = Host::new(30, &["a", "b", "c"]);
    let (first, second) = (host.quota.hold(key("a")), host.quota.hold(key("a")));
    assert!(Arc::ptr_eq(&first, &second));
    drop(first);
    host.check(&host.quota.reserve(9), expect!["a"]);
    host.put("b");
    drop(second);
    // `a` was used after `b` came.
    host.check(&host.quota.reserve(18), expect!["a"]);
    let modified = std::fs::metadata(host.folder.0.path().join("a")).unwrap().modified().unwrap();
    let used_at = host.quota.state.lock().kept[&key("a")].used_at;
    assert_eq!(Timestamp::try_from(modified).unwrap(), used_at);
}

#[test]
fn something_that_comes_while_it_is_held_stays() {
    let host = Host::new(20, &["a"]);
    let held = host.quota.hold(key("b"));
    host.put("b");
    host.check(&host.quota.reserve(10), expect!["b"]);
    drop(held);
    host.check(&host.quota.reserve(20), expect![[""]]);
}

#[test]
fn what_cannot_be_removed_keeps_its_room() {
    let host = Host::new(30, &["stuck", "b", "c"]);
    let reserved = host.quota.reserve(25);
    host.check(&reserved, expect!["stuck; it takes 25 bytes, and of the 30 bytes that --image-disk-quota allows for images and compiled code this host's pods and pulls use 10: delete pods, or start this host with a larger one"]);
    host.quota.evict_unused();
    let mut text = String::new();
    host.quota.render(&mut text);
    expect![[r#"
        # HELP coracle_host_image_disk_bytes Images on disk, unpacked layers and compiled code included.
        # TYPE coracle_host_image_disk_bytes gauge
        coracle_host_image_disk_bytes 10
        # HELP coracle_host_image_disk_quota_bytes What they may have.
        # TYPE coracle_host_image_disk_quota_bytes gauge
        coracle_host_image_disk_quota_bytes 30
        # HELP coracle_host_image_evictions_total Evictions, by what went.
        # TYPE coracle_host_image_evictions_total counter
        coracle_host_image_evictions_total{kind="image"} 0
        coracle_host_image_evictions_total{kind="code"} 2
        coracle_host_image_evictions_total{kind="layer"} 0
    "#]]
    .assert_eq(&text);
}
