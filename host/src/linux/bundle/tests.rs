use std::path::PathBuf;

use expect_test::{Expect, expect};

use super::*;
use crate::linux::cgroup::Layout;
use crate::runtime::{PodIdentity, Security};

fn check_words(command: &[&str], args: &[&str], expected: &str) {
    let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let linux = LinuxSpec { command: own(command), args: own(args), ..LinuxSpec::default() };
    let image = Config { entrypoint: own(&["entry", "-e"]), cmd: own(&["cmd"]), ..Config::default() };
    assert_eq!(words(&linux, &image).join(" "), expected);
}

/// The table of Kubernetes' documentation, "Define a Command and Arguments for a Container".
#[test]
fn command_and_args_are_combined_as_kubernetes_does() {
    check_words(&[], &[], "entry -e cmd");
    check_words(&["run"], &[], "run");
    check_words(&[], &["a", "b"], "entry -e a b");
    check_words(&["run"], &["a"], "run a");
}

/// What the pod asks for changes the document at these pointers.
fn check(change: impl FnOnce(&mut ContainerSpec, &mut LinuxSpec), pointers: &[&str], expected: Expect) {
    let mut spec = ContainerSpec::new(PodIdentity::default(), "c", PathBuf::new(), "d");
    let mut linux = LinuxSpec { hostname: "web-1".to_owned(), ..LinuxSpec::default() };
    change(&mut spec, &mut linux);
    let image = Config {
        cmd: vec!["sh".to_owned()],
        env: vec!["PATH=/bin".to_owned(), "A=image".to_owned()],
        working_dir: "/srv".to_owned(),
        ..Config::default()
    };
    let user = User { uid: 7, gid: 8, groups: vec![9], home: "/home".to_owned() };
    let cgroup = Cgroup::new(Layout::Unified, "u-c-0");
    let folder = Path::new("/data/u-c-0");
    let parts =
        Parts { spec: &spec, linux: &linux, image: &image, user: &user, cgroup: &cgroup, counts_swap: true, folder };
    let config = config(&parts);
    let shown: Vec<_> =
        pointers.iter().map(|pointer| config.pointer(pointer).unwrap_or(&Value::Null).to_string()).collect();
    expected.assert_eq(&shown.join("\n"));
}

#[test]
fn a_container_is_what_its_image_and_its_pod_say() {
    let pointers =
        ["/process/args", "/process/env", "/process/cwd", "/process/user", "/hostname", "/linux/cgroupsPath"];
    check(
        |_, _| {},
        &pointers,
        expect![[r#"
        ["sh"]
        ["PATH=/bin","HOSTNAME=web-1","HOME=/home","A=image"]
        "/srv"
        {"additionalGids":[9],"gid":8,"uid":7}
        "web-1"
        "/coracle/u-c-0""#]],
    );
    check(
        |spec, linux| {
            spec.env = vec![("A".to_owned(), "pod".to_owned()), ("HOME".to_owned(), "/h".to_owned())];
            linux.working_dir = Some("/work".to_owned());
        },
        &pointers[1..3],
        expect![[r#"
            ["PATH=/bin","HOSTNAME=web-1","HOME=/h","A=pod"]
            "/work""#]],
    );
}

#[test]
fn limits_are_the_kernels() {
    let pointers = ["/linux/resources"];
    check(
        |_, _| {},
        &pointers,
        expect![[r#"{"cpu":{"shares":2},"devices":[{"access":"rwm","allow":false}],"pids":{"limit":4096}}"#]],
    );
    check(
        |spec, linux| {
            (spec.cpu_millis, spec.cpu_millis_max) = (500, Some(750));
            linux.memory_bytes_max = Some(64 << 20);
        },
        &pointers,
        expect![[
            r#"{"cpu":{"period":100000,"quota":75000,"shares":512},"devices":[{"access":"rwm","allow":false}],"memory":{"limit":67108864,"swap":67108864},"pids":{"limit":4096}}"#
        ]],
    );
    check(
        |spec, _| spec.cpu_millis_max = Some(1),
        &pointers,
        expect![[
            r#"{"cpu":{"period":100000,"quota":1000,"shares":2},"devices":[{"access":"rwm","allow":false}],"pids":{"limit":4096}}"#
        ]],
    );
}

#[test]
fn nothing_is_gained_that_was_not_given() {
    let pointers = ["/process/noNewPrivileges", "/process/capabilities/bounding", "/root/readonly"];
    check(
        |_, _| {},
        &pointers,
        expect![[r#"
        true
        ["CAP_CHOWN","CAP_DAC_OVERRIDE","CAP_FSETID","CAP_FOWNER","CAP_MKNOD","CAP_NET_RAW","CAP_SETGID","CAP_SETUID","CAP_SETFCAP","CAP_SETPCAP","CAP_NET_BIND_SERVICE","CAP_SYS_CHROOT","CAP_KILL","CAP_AUDIT_WRITE"]
        false"#]],
    );
    let security = |security: Security| move |_: &mut ContainerSpec, linux: &mut LinuxSpec| linux.security = security;
    let dropped = vec!["CAP_NET_RAW".to_owned(), "CAP_MKNOD".to_owned()];
    check(
        security(Security { dropped, may_gain_privileges: true, is_root_read_only: true, ..Security::default() }),
        &pointers,
        expect![[r#"
            false
            ["CAP_CHOWN","CAP_DAC_OVERRIDE","CAP_FSETID","CAP_FOWNER","CAP_SETGID","CAP_SETUID","CAP_SETFCAP","CAP_SETPCAP","CAP_NET_BIND_SERVICE","CAP_SYS_CHROOT","CAP_KILL","CAP_AUDIT_WRITE"]
            true"#]],
    );
    check(
        security(Security { dropped: vec!["ALL".to_owned()], ..Security::default() }),
        &pointers[1..2],
        expect!["[]"],
    );
}
