//! `cargo xtask test`: the README's second command. Does its own set-up, then runs every test there is.

use anyhow::Result;

use crate::process::{cargo, is_on_path, stage, wasmctl_for_tests};
use crate::{guests, peers, tidy};

/// Options of `cargo xtask test`.
#[derive(Default, clap::Args)]
pub(crate) struct Args {
    /// Only tests whose name contains this
    filter: Option<String>,
}

/// Sets up, builds, tests.
pub(crate) fn run(args: &Args) -> Result<()> {
    tidy::run()?;
    let own_name = ["docker-registry", "faketime", "strace"].map(|program| (program, program));
    peers::debian(&own_name)?;
    peers::debian(&[("ip", "iproute2"), ("crun", "crun"), ("busybox", "busybox-static")])?;
    let peers = [
        ("CORACLE_TEST_KUBECTL", peers::kubectl(37)?),
        ("CORACLE_TEST_KUBECTL_1_33", peers::kubectl(33)?),
        ("CORACLE_TEST_HELM", peers::helm()?),
        ("CORACLE_TEST_PYTHON_CLIENT", peers::python_client()?),
    ];
    let guests = guests::build()?;
    if args.filter.is_none() {
        guests::test()?;
    }
    let wasmctl = wasmctl_for_tests()?;
    let mut command = cargo();
    if is_on_path("cargo-nextest") {
        command.args(["nextest", "run", "--workspace", "--features", "coracle-store/test-disk", "--no-fail-fast"]);
    } else {
        command.args(["test", "--workspace", "--features", "coracle-store/test-disk", "--no-fail-fast"]);
    }
    command.args(args.filter.as_deref());
    command.envs(guests::rustc()?.map(|rustc| ("CORACLE_TEST_GUEST_RUSTC", rustc)));
    command
        .envs(peers)
        .env("CORACLE_TEST_GUESTS", guests)
        .env("CORACLE_TEST_WASMCTL", wasmctl)
        .env("RUST_BACKTRACE", "0");
    stage("tests", &mut command)?;
    if args.filter.is_none() {
        let documentation = ["test", "--quiet", "--doc", "--package", "coracle-sdk"];
        stage("examples in the SDK's documentation", cargo().args(documentation))?;
    }
    Ok(())
}
