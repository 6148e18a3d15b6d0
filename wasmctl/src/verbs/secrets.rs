//! `wasmctl secrets`: the key that Secrets are sealed with on disk.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::context::Global;
use crate::failure::Result;

const ROTATIONS: &str = "/apis/coracle.dev/v1/secretkeyrotations";

/// Manage the key that Secrets are sealed with on disk
///
/// Examples:
///   wasmctl secrets rotate
///   wasmctl --kubeconfig ./cluster/kubeconfig secrets rotate
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a new key and seal every Secret with it; one that was interrupted goes on where it stopped
    ///
    /// Every member of the control plane must have the new key before it is used, so all of them must be there. The keys before it stay in
    /// `pki/secret-keys.json`: in a cluster of one member until its next start, else for good. A snapshot holds the keys of its time.
    ///
    /// Examples:
    ///   wasmctl secrets rotate
    ///   wasmctl --kubeconfig ./cluster/kubeconfig secrets rotate
    #[command(verbatim_doc_comment)]
    Rotate,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let Action::Rotate = args.action;
    let answer: Value = global.client()?.post(ROTATIONS, &json!({})).await?;
    println!("{}", summary(&answer));
    Ok(())
}

fn summary(answer: &Value) -> String {
    let key = answer["status"]["keyId"].as_str().unwrap_or_default();
    match answer["status"]["rewritten"].as_u64().unwrap_or(0) {
        1 => format!("1 secret sealed anew with key {key}"),
        count => format!("{count} secrets sealed anew with key {key}"),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_rotation_is_summed_up() {
        let told = [0, 1, 2].map(|count| summary(&json!({"status": {"keyId": "k2", "rewritten": count}})));
        expect![[r#"
            0 secrets sealed anew with key k2
            1 secret sealed anew with key k2
            2 secrets sealed anew with key k2"#]]
        .assert_eq(&told.join("\n"));
    }
}
