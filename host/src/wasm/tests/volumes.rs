//! What a guest reaches of this host's files: what is mounted, and nothing else.

use std::os::unix::fs::symlink;

use expect_test::expect;

use super::{Host, exit_of};
use crate::runtime::{Folder, Mount};

/// What `command-opens` prints for each path, in a folder with links out of it and within it.
#[tokio::test]
async fn only_what_lies_in_a_mounted_folder_is_opened() {
    let host = Host::new();
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    std::fs::create_dir_all(at("volume/inner")).unwrap();
    std::fs::write(at("outside"), "outside").unwrap();
    std::fs::write(at("volume/..2026.file"), "in a folder with the time").unwrap();
    std::fs::write(at("volume/inner/file"), "inside").unwrap();
    symlink("inner", at("volume/..data")).unwrap();
    symlink("..data/file", at("volume/file")).unwrap();
    symlink("../outside", at("volume/up")).unwrap();
    symlink(at("outside"), at("volume/absolute")).unwrap();
    symlink(at(""), at("volume/folder")).unwrap();
    symlink("/proc/self", at("volume/process")).unwrap();
    let mut lines = Vec::new();
    for (is_read_only, args) in [
        (true, vec!["file"]),
        (true, vec!["inner/../inner/file"]),
        (true, vec!["..2026.file"]),
        (true, vec!["none"]),
        (true, vec!["../outside"]),
        (true, vec!["inner/../../outside"]),
        (true, vec!["/etc/passwd"]),
        (true, vec!["up"]),
        (true, vec!["absolute"]),
        (true, vec!["folder/outside"]),
        (true, vec!["process/environ"]),
        (true, vec!["file", "changed"]),
        (true, vec!["new", "made"]),
        (false, vec!["new", "made"]),
        (false, vec!["file", "changed"]),
        (false, vec!["up", "changed"]),
        (false, vec!["../new", "made"]),
    ] {
        let mut spec = host.spec("command-opens");
        spec.args = args.iter().map(|&arg| arg.to_owned()).collect();
        let folder = Folder::new(at("volume"));
        spec.mounts = vec![Mount { path: "/data".to_owned(), folder, is_read_only }];
        let before = host.lines().len();
        let container = host.start(&spec).await.unwrap();
        let exit = exit_of(&*container).await;
        let mode = if is_read_only { "ro" } else { "rw" };
        lines.push(format!("{mode} {args:?}: {} {}", exit.code, host.lines()[before..].join(" ")));
    }
    expect![[r#"
        ro ["file"]: 0 inside
        ro ["inner/../inner/file"]: 0 inside
        ro ["..2026.file"]: 0 in a folder with the time
        ro ["none"]: 1 error 20
        ro ["../outside"]: 1 error 31
        ro ["inner/../../outside"]: 1 error 31
        ro ["/etc/passwd"]: 1 error 31
        ro ["up"]: 1 error 31
        ro ["absolute"]: 1 error 31
        ro ["folder/outside"]: 1 error 31
        ro ["process/environ"]: 1 error 31
        ro ["file", "changed"]: 1 error 31
        ro ["new", "made"]: 1 error 31
        rw ["new", "made"]: 0 made
        rw ["file", "changed"]: 0 changed
        rw ["up", "changed"]: 1 error 31
        rw ["../new", "made"]: 1 error 31"#]]
    .assert_eq(&lines.join("\n"));
    assert_eq!(std::fs::read_to_string(at("outside")).unwrap(), "outside");

    let mut spec = host.spec("command-opens");
    spec.args = vec!["file".to_owned()];
    let container = host.start(&spec).await.unwrap();
    exit_of(&*container).await;
    assert_eq!(host.lines().last().unwrap(), "no folder");
}
