//! `cargo xtask test`: the README's second command. Does its own set-up, then runs every test there is.

use anyhow::Result;

use crate::process::{cargo, is_on_path, stage, wasmctl_for_tests};
use crate::{guests, languages, peers, tidy};

/// Options of `cargo xtask test`.
#[derive(Default, clap::Args)]
pub(crate) struct Args {
    /// Only tests whose name contains this
    filter: Option<String>,
    /// Also build and test the examples in JavaScript and Python; needs node 20.19 and Python 3.10, and fetches 450 MB once
    #[arg(long)]
    languages: bool,
}

/// Sets up, builds, tests.
pub(crate) fn run(args: &Args) -> Result<()> {
    let filter = args.filter.as_deref();
    let in_languages = if args.languages { languages::tests(filter)? } else { Vec::new() };
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
    let components = languages::build(&in_languages)?;
    if args.filter.is_none() {
        guests::test()?;
    }
    let wasmctl = wasmctl_for_tests()?;
    let rustc = guests::rustc()?;
    let run = |name: &str, own: &[&str]| {
        let mut command = cargo();
        if is_on_path("cargo-nextest") {
            command.args(["nextest", "run"]);
        } else {
            command.arg("test");
        }
        command.args(["--workspace", "--features", "coracle-store/test-disk", "--no-fail-fast"]).args(own);
        command
            .envs(rustc.as_ref().map(|rustc| ("CORACLE_TEST_GUEST_RUSTC", rustc)))
            .envs(peers.iter().map(|(name, path)| (name, path)))
            .env("CORACLE_TEST_GUESTS", &guests)
            .env("CORACLE_TEST_LANGUAGES", &components)
            .env("CORACLE_TEST_WASMCTL", &wasmctl)
            .env("RUST_BACKTRACE", "0");
        stage(name, &mut command)
    };
    run("tests", &filter.into_iter().collect::<Vec<_>>())?;
    if args.languages {
        // Ignored tests are named, as some are measurements.
        run("tests of other languages", &[&["--", "--ignored"], &*in_languages].concat())?;
    }
    if args.filter.is_none() {
        let documentation = ["test", "--quiet", "--doc", "--package", "coracle-sdk"];
        stage("examples in the SDK's documentation", cargo().args(documentation))?;
    }
    Ok(())
}
