//! A command that runs to completion: it prints its arguments and `$GREETING_NAME`, and fails if its first argument is a number other than 0.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    println!("arguments: {}", arguments.join(" "));
    println!("name: {}", std::env::var("GREETING_NAME").unwrap_or_else(|_| "nobody".to_owned()));
    eprintln!("done");
    ExitCode::from(arguments.first().and_then(|code| code.parse().ok()).unwrap_or(0))
}
