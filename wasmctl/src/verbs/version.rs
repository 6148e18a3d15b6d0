//! `wasmctl version`: this binary's version, and the server's if one answers.

use crate::context::Global;
use crate::failure::Result;
use crate::output::Format;

/// Print the versions of this program and of the server
///
/// Examples:
///   wasmctl version
///   wasmctl version --client
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Do not ask the server
    #[arg(long)]
    client: bool,
    /// Print as JSON or YAML
    #[arg(short, long)]
    output: Option<Format>,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let own = env!("CARGO_PKG_VERSION");
    let server = if args.client { None } else { Some(global.client()?.version().await?) };
    match args.output {
        Some(Format::Json | Format::Yaml) => {
            let both = serde_json::json!({ "client": own, "server": server });
            match args.output {
                Some(Format::Yaml) => print!("{}", coracle_api::yaml::to_yaml(&both)),
                _ => println!("{both:#}"),
            }
        }
        _ => {
            println!("wasmctl   {own}");
            if let Some(server) = server {
                println!("server    {}", server["gitVersion"].as_str().unwrap_or("unknown"));
            }
        }
    }
    Ok(())
}
