//! Commands that mean ill.

use coracle_tests::eventually;
use expect_test::expect;

use crate::Cage;

#[test]
fn takes_all_memory() {
    let cage = Cage::new();
    cage.run_command(&["memory"], "");
    let described = cage.described_when("Failed");
    assert!(described.contains("OOMKilled"), "{described}");
    cage.end_unharmed();
}

#[test]
fn loops_for_ever() {
    let cage = Cage::new();
    cage.run_command(&["spin"], "");
    cage.described_when("Running");
    cage.cluster.kubectl(&["delete", "pod", "beast", "--timeout=60s"]).ok();
    cage.end_unharmed();
}

#[test]
fn prints_without_end() {
    let cage = Cage::new();
    cage.run_command(&["output"], "");
    eventually("much is printed", || {
        let printed = cage.cluster.kubectl(&["logs", "beast", "--tail=1000"]).stdout;
        (printed.lines().count() == 1_000).then_some(())
    });
    cage.cluster.kubectl(&["delete", "pod", "beast", "--timeout=60s"]).ok();
    cage.end_unharmed();
}

#[test]
fn leaves_its_folder() {
    let cage = Cage::new();
    cage.run_command(&["paths", "/data"], "");
    cage.described_when("Succeeded");
    let printed = cage.cluster.kubectl(&["logs", "beast"]).ok();
    expect![[r#"
        dots: Operation not permitted (os error 63)
        absolute: No such file or directory (os error 44)
        link: ErrorCode { code: 31, name: "not-permitted", message: "Operation not permitted, similar to `EPERM` in POSIX." }
        through the link: No such file or directory (os error 44)
        link with dots: done
        through the dots: Operation not permitted (os error 63)
        hard link: No such file or directory (os error 44)
        rename: Operation not permitted (os error 63)
        folder above: Operation not permitted (os error 63)
    "#]].assert_eq(&printed);
    cage.end_unharmed();
}

#[test]
fn opens_files_without_end() {
    let cage = Cage::new();
    cage.run_command(&["files", "/data"], "");
    let described = cage.described_when("Failed");
    assert!(described.contains("it holds as many handles as an instance may have"), "{described}");
    cage.end_unharmed();
}

#[test]
fn connects_where_it_may_not() {
    let cage = Cage::new();
    let (api, registry) = (cage.cluster.address("api").to_owned(), cage.cluster.address("registry").to_owned());
    cage.run_command(
        &["connect", "169.254.169.254:80", "127.0.0.1:1", &api, &registry],
        "coracle.dev/egress: \"*:80\"",
    );
    cage.described_when("Succeeded");
    let printed = cage.cluster.kubectl(&["logs", "beast"]).ok();
    expect![[r#"
        a connection to 169.254.169.254:80 was denied: addresses of the machine and its link are reached only where they are declared as addresses; declare "169.254.169.254" in the pod's annotation coracle.dev/egress
        169.254.169.254:80: Permission denied (os error 2)
        datagram to 169.254.169.254:80: Permission denied (os error 2)
        a connection to 127.0.0.1:1 was denied: addresses of the machine and its link are reached only where they are declared as addresses; declare "127.0.0.1" in the pod's annotation coracle.dev/egress
        127.0.0.1:1: Permission denied (os error 2)
        datagram to 127.0.0.1:1: Permission denied (os error 2)
        a connection to api was denied: addresses of the machine and its link are reached only where they are declared as addresses; declare "127.0.0.1" in the pod's annotation coracle.dev/egress
        api: Permission denied (os error 2)
        datagram to api: Permission denied (os error 2)
        a connection to registry was denied: addresses of the machine and its link are reached only where they are declared as addresses; declare "127.0.0.1" in the pod's annotation coracle.dev/egress
        registry: Permission denied (os error 2)
        datagram to registry: Permission denied (os error 2)
    "#]].assert_eq(&printed.replace(&api, "api").replace(&registry, "registry"));
    cage.end_unharmed();
}
