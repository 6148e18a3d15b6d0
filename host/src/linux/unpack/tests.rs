use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use expect_test::{Expect, expect};
use tar::{Builder, EntryType, Header};

use super::*;

/// What an archive is made of: `dir/`, `file=text`, `link->target`, `name=>hard link`, `|fifo`, `#device`.
fn archive(entries: &[&str]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for entry in entries {
        let mut header = Header::new_gnu();
        let (uid, gid) = rustix_ids();
        header.set_uid(uid);
        header.set_gid(gid);
        header.set_mtime(1_000_000_000);
        header.set_mode(0o644);
        let (name, kind, content, target) = if let Some((name, target)) = entry.split_once("=>") {
            (name, EntryType::Link, "", target)
        } else if let Some((name, target)) = entry.split_once("->") {
            (name, EntryType::Symlink, "", target)
        } else if let Some((name, content)) = entry.split_once('=') {
            (name, EntryType::Regular, content, "")
        } else if let Some(name) = entry.strip_prefix('|') {
            (name, EntryType::Fifo, "", "")
        } else if let Some(name) = entry.strip_prefix('#') {
            (name, EntryType::Char, "", "")
        } else {
            header.set_mode(0o750);
            (*entry, EntryType::Directory, "", "")
        };
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        // As they are, also where a builder would refuse: `..` and absolute ones.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn rustix_ids() -> (u64, u64) {
    (rustix::process::geteuid().as_raw().into(), rustix::process::getegid().as_raw().into())
}

fn pack(archive: &[u8], packing: Packing) -> Vec<u8> {
    match packing {
        Packing::None => archive.to_owned(),
        Packing::Gzip => {
            // Two members, as some tools write them.
            let (first, second) = archive.split_at(archive.len() / 2);
            let gzip = |bytes: &[u8]| {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            };
            [gzip(first), gzip(second)].concat()
        }
        Packing::Zstd => {
            let (first, second) = archive.split_at(archive.len() / 2);
            let zstd = |bytes| ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest);
            let skippable = [0x51, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
            [zstd(first), skippable.to_vec(), zstd(second), skippable.to_vec()].concat()
        }
    }
}

fn layer(dir: &Path, archive: &[u8], packing: Packing) -> Layer {
    let path = dir.join("layer");
    std::fs::write(&path, pack(archive, packing)).unwrap();
    let diff_id = format!("sha256:{}", hex::encode(Sha256::digest(archive)));
    Layer { path, packing, diff_id, chain_id: String::new() }
}

fn show(root: &Path) -> String {
    fn walk(root: &Path, dir: &Path, lines: &mut Vec<String>) {
        let mut children: Vec<_> = std::fs::read_dir(dir).unwrap().map(|child| child.unwrap().path()).collect();
        children.sort();
        for child in children {
            let name = child.strip_prefix(root).unwrap().display().to_string();
            let found = std::fs::symlink_metadata(&child).unwrap();
            let mode = found.permissions().mode() & 0o7777;
            if found.is_dir() {
                lines.push(format!("{name}/ {mode:o}"));
                walk(root, &child, lines);
            } else if found.is_symlink() {
                lines.push(format!("{name} -> {}", std::fs::read_link(&child).unwrap().display()));
            } else if found.is_file() {
                let text = std::fs::read_to_string(&child).unwrap();
                lines.push(format!("{name} {mode:o} {} link(s) at {}: {text}", found.nlink(), found.mtime()));
            } else {
                lines.push(format!("{name} special"));
            }
        }
    }
    let mut lines = Vec::new();
    walk(root, root, &mut lines);
    lines.join("\n")
}

/// Unpacks layers one upon the other; beside their folder is one that nothing may touch.
fn check(layers: &[&[&str]], expected: Expect) {
    let dir = tempfile::tempdir().unwrap();
    let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
    [&root, &outside].iter().for_each(|folder| std::fs::create_dir(folder).unwrap());
    std::fs::write(outside.join("secret"), "untouched").unwrap();
    let results: Vec<_> = layers
        .iter()
        .filter_map(|entries| unpack(&layer(dir.path(), &archive(entries), Packing::None), &root).err())
        .map(|error| format!("error: {error}"))
        .collect();
    assert_eq!(show(&outside), show_untouched(&outside));
    expected.assert_eq(&results.into_iter().chain([show(&root)]).collect::<Vec<_>>().join("\n"));
}

fn show_untouched(outside: &Path) -> String {
    let mtime = std::fs::metadata(outside.join("secret")).unwrap().mtime();
    format!("secret 644 1 link(s) at {mtime}: untouched")
}

#[test]
fn files_are_as_their_archive_has_them() {
    check(
        &[&[
            "./",
            "./bin/",
            "bin/sh=shell",
            "bin/ash=>bin/sh",
            "lib->usr/lib",
            "|run/pipe",
            "etc/os=deep",
            "#dev/null",
        ]],
        expect![[r#"
            bin/ 750
            bin/ash 644 2 link(s) at 1000000000: shell
            bin/sh 644 2 link(s) at 1000000000: shell
            etc/ 755
            etc/os 644 1 link(s) at 1000000000: deep
            lib -> usr/lib
            run/ 755
            run/pipe special"#]],
    );
}

#[test]
fn a_layer_deletes_and_replaces_what_is_below() {
    let below: &[&str] = &["a/", "a/1=one", "a/2=two", "b/", "b/x=old", "b/sub/y=old", "c=file", "d/", "d/z=old"];
    check(
        &[below, &["a/.wh.1", ".wh.c", ".wh.missing", ".wh..wh.plnk"]],
        expect![[r#"
        a/ 750
        a/2 644 1 link(s) at 1000000000: two
        b/ 750
        b/sub/ 755
        b/sub/y 644 1 link(s) at 1000000000: old
        b/x 644 1 link(s) at 1000000000: old
        d/ 750
        d/z 644 1 link(s) at 1000000000: old"#]],
    );
    check(
        &[below, &["b/", "b/new=new", "b/sub/kept=new", "b/.wh..wh..opq"]],
        expect![[r#"
        a/ 750
        a/1 644 1 link(s) at 1000000000: one
        a/2 644 1 link(s) at 1000000000: two
        b/ 750
        b/new 644 1 link(s) at 1000000000: new
        b/sub/ 755
        b/sub/kept 644 1 link(s) at 1000000000: new
        c 644 1 link(s) at 1000000000: file
        d/ 750
        d/z 644 1 link(s) at 1000000000: old"#]],
    );
    check(
        &[below, &["c/", "c/now=a folder", "d=now a file", "a=>c/now"]],
        expect![[r#"
        a 644 2 link(s) at 1000000000: a folder
        b/ 750
        b/sub/ 755
        b/sub/y 644 1 link(s) at 1000000000: old
        b/x 644 1 link(s) at 1000000000: old
        c/ 750
        c/now 644 2 link(s) at 1000000000: a folder
        d 644 1 link(s) at 1000000000: now a file"#]],
    );
}

#[test]
fn nothing_leads_out_of_the_image() {
    check(
        &[&["../outside/secret=stolen"]],
        expect![[r#"
        error: a layer has the path "../outside/secret", which leads out of the image
    "#]],
    );
    check(
        &[&["/etc/passwd=root", "link->../../outside", "link/secret=stolen"]],
        expect![[r#"
        error: unpacking link/secret: File exists (os error 17)
        etc/ 755
        etc/passwd 644 1 link(s) at 1000000000: root
        link -> ../../outside"#]],
    );
    check(
        &[&["link->/", "link/outside/secret=stolen"]],
        expect![[r#"
        link -> /
        outside/ 755
        outside/secret 644 1 link(s) at 1000000000: stolen"#]],
    );
    check(
        &[&["link->../outside", "hard=>link/secret"]],
        expect![[r#"
        error: unpacking hard: File exists (os error 17)
        link -> ../outside"#]],
    );
    check(
        &[&["hard=>../outside/secret"]],
        expect![[r#"
        error: unpacking hard: a layer has the path "../outside/secret", which leads out of the image
    "#]],
    );
    check(&[&["link->../outside", "link/.wh.secret", "link/.wh..wh..opq"]], expect!["link -> ../outside"]);
    check(
        &[&["a/.wh..."]],
        expect![[r#"
        error: a layer deletes "a/.wh...", which is no name
    "#]],
    );
    check(
        &[&["#root/disk"]],
        expect![[r#"
        error: a layer has a device at /root/disk, and devices are not unpacked
    "#]],
    );
}

#[test]
fn every_packing_is_read_and_its_digest_checked() {
    let dir = tempfile::tempdir().unwrap();
    let long = "x".repeat(100_000);
    let archive = archive(&["a/", &format!("a/long={long}"), "b=short"]);
    for packing in [Packing::None, Packing::Gzip, Packing::Zstd] {
        let root = dir.path().join(format!("{packing:?}"));
        std::fs::create_dir(&root).unwrap();
        let layer = layer(dir.path(), &archive, packing);
        unpack(&layer, &root).unwrap();
        assert_eq!(std::fs::read_to_string(root.join("a/long")).unwrap(), long, "{packing:?}");
        let other = Layer { diff_id: format!("sha256:{}", "0".repeat(64)), ..layer };
        let error = unpack(&other, &root).unwrap_err().to_string();
        assert!(error.ends_with(&format!("and its configuration says {}", other.diff_id)), "{error}");
    }
}

#[test]
fn damaged_archives_are_refused() {
    let check = |bytes: &[u8], packing, expected: Expect| {
        let dir = tempfile::tempdir().unwrap();
        let mut layer = layer(dir.path(), b"", Packing::None);
        layer.packing = packing;
        std::fs::write(&layer.path, bytes).unwrap();
        expected.assert_eq(&unpack(&layer, dir.path()).unwrap_err().to_string());
    };
    let whole = archive(&["a=something"]);
    check(&whole[..600], Packing::None, expect!["a layer cannot be unpacked: unexpected end of file"]);
    check(
        &[b'x'; 2000],
        Packing::None,
        expect![
            "a layer cannot be unpacked: numeric field was not a number: xxxxxxxx when getting cksum for xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        ],
    );
    check(b"no gzip at all", Packing::Gzip, expect!["a layer cannot be unpacked: invalid gzip header"]);
    check(b"no zstd at all", Packing::Zstd, expect!["a layer cannot be unpacked: BadMagicNumber(2048946030)"]);
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::XHeader);
    header.set_size(1 << 40);
    header.set_cksum();
    check(
        header.as_bytes(),
        Packing::None,
        expect!["a layer cannot be unpacked: a header of 1099511627776 bytes, and at most 1048576 are read"],
    );
}

#[test]
fn long_names_and_extended_attributes_are_taken_from_pax_headers() {
    let dir = tempfile::tempdir().unwrap();
    let name = format!("{}/file", "n".repeat(150));
    let mut builder = Builder::new(Vec::new());
    builder
        .append_pax_extensions([("path", name.as_bytes()), ("SCHILY.xattr.user.of", b"attribute"), ("mtime", b"5.5")])
        .unwrap();
    let mut header = Header::new_ustar();
    let (uid, gid) = rustix_ids();
    header.set_path("short").unwrap();
    header.set_uid(uid);
    header.set_gid(gid);
    header.set_mode(0o4755);
    header.set_size(2);
    header.set_mtime(0);
    header.set_cksum();
    builder.append(&header, &b"hi"[..]).unwrap();
    let layer = layer(dir.path(), &builder.into_inner().unwrap(), Packing::Gzip);
    unpack(&layer, dir.path()).unwrap();
    let found = std::fs::metadata(dir.path().join(&name)).unwrap();
    assert_eq!((found.mode() & 0o7777, found.mtime()), (0o4755, 5));
    let mut value = [0; 16];
    match rustix::fs::getxattr(dir.path().join(&name), "user.of", &mut value) {
        Ok(length) => assert_eq!(&value[..length], b"attribute"),
        Err(error) => panic!("{error}"),
    }
}
