//! `wasmctl member`: the servers that make up the control plane.

use clap::Subcommand;
use serde_json::Value;

use crate::context::Global;
use crate::failure::Result;
use crate::output::align;

pub(crate) const MEMBERS: &str = "/coracle/members";

/// List the control plane's members, and remove those that are gone for good
///
/// Examples:
///   wasmctl member list
///   wasmctl member remove server-2
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the members: who leads, who votes, and how far each is behind
    ///
    /// Examples:
    ///   wasmctl member list
    ///   wasmctl member list --output json
    #[command(verbatim_doc_comment)]
    List {
        /// Print as JSON
        #[arg(short, long, value_parser = ["json"])]
        output: Option<String>,
    },
    /// Take a member out of the control plane; one that comes back has to join anew
    ///
    /// Examples:
    ///   wasmctl member remove server-2
    ///   wasmctl --kubeconfig ./cluster/kubeconfig member remove server-2
    #[command(verbatim_doc_comment)]
    Remove {
        /// The member's name
        #[arg(value_parser = super::server::name)]
        name: String,
    },
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let client = global.client()?;
    match args.action {
        Action::List { output } => {
            let list: Value = client.fetch(MEMBERS).await?;
            match output {
                Some(_) => println!("{list:#}"),
                None => {
                    print!("{}", table(&list));
                    if !is_led(&list) {
                        eprintln!("nobody leads, as far as the member knows that answered: too few reach each other");
                    }
                }
            }
        }
        Action::Remove { name } => {
            let gone: Value = client.remove(&format!("{MEMBERS}/{name}")).await?;
            println!("member {} removed ({})", name, gone["address"].as_str().unwrap_or_default());
        }
    }
    Ok(())
}

fn is_led(list: &Value) -> bool {
    list["items"].as_array().into_iter().flatten().any(|member| member["role"] == "leader")
}

/// Who leads knows how far the others are behind; of itself there is nothing to say.
fn table(list: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines = vec![["NAME", "ADDRESS", "ROLE", "LAG", "LAST HEARD"].map(str::to_owned).to_vec()];
    for member in list["items"].as_array().into_iter().flatten() {
        let leads = member["role"] == "leader";
        let lag = match member["lag"].as_u64().filter(|_| !leads) {
            Some(entries) => format!("{entries} entries"),
            None => "-".to_owned(),
        };
        let heard = match member["silenceMs"].as_u64().filter(|_| !leads) {
            Some(milliseconds) => format!("{:.1} s ago", milliseconds as f64 / 1e3),
            None => "-".to_owned(),
        };
        lines.push(vec![text(&member["name"]), text(&member["address"]), text(&member["role"]), lag, heard]);
    }
    align(&lines, &mut Vec::new())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_shown_as_the_leader_sees_them() {
        let member = |name: &str, role: &str, lag: Value, silence: Value| json!({ "name": name, "address": "10.0.0.1:6443", "role": role, "lag": lag, "silenceMs": silence });
        let list = json!({ "items": [
            member("calm-otter-1", "leader", json!(0), Value::Null),
            member("server-2", "voter", json!(3), json!(120)),
            member("server-3", "learner", Value::Null, Value::Null),
        ] });
        expect![[r#"
            NAME           ADDRESS         ROLE      LAG         LAST HEARD
            calm-otter-1   10.0.0.1:6443   leader    -           -
            server-2       10.0.0.1:6443   voter     3 entries   0.1 s ago
            server-3       10.0.0.1:6443   learner   -           -
        "#]]
        .assert_eq(&table(&list));
    }
}
