//! Another run of a command's program: 0 is success, anything else a failure that says what it printed.

use std::sync::Arc;

use super::{ANSWER_BYTES_MAX, Outcome, Target};
use crate::console::{Console, Stdin};

pub(super) async fn run(words: &[String], target: &Target) -> Outcome {
    let console = Arc::new(Console::new(Stdin::Closed));
    let mut output = console.read();
    let start = match target.container.exec(words.to_vec(), console) {
        Ok(start) => start,
        Err(error) => return Outcome::Unknown(error.to_string()),
    };
    // Dropped, it ends.
    let program = start();
    let mut printed = Vec::new();
    while let Some((_, bytes)) = output.recv().await {
        let room = ANSWER_BYTES_MAX - printed.len();
        printed.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
    let mut exited = program.exited();
    let exit = exited.wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone());
    match exit {
        None => Outcome::Unknown("the runtime lost the program".to_owned()),
        Some(exit) if exit.code == 0 => Outcome::Success,
        Some(exit) => {
            let said = [String::from_utf8_lossy(&printed).trim_end().to_owned(), exit.message];
            let said = said.iter().find(|text| !text.is_empty());
            Outcome::Failure(said.cloned().unwrap_or_else(|| format!("command exited with code {}", exit.code)))
        }
    }
}
