//! A program that works until it is asked to end, and then finishes what it has begun: one piece takes `$PIECE_MS`, or 2000.

use std::time::Duration;

use coracle_sdk::{config, info, job, termination, time};

#[job]
async fn work(_: Vec<String>) -> Result<(), config::Error> {
    let piece = Duration::from_millis(config::optional("PIECE_MS")?.unwrap_or(2_000));
    let mut pieces = 0;
    while !termination::requested() {
        info!("begun", piece = pieces + 1);
        time::sleep(piece).await;
        pieces += 1;
    }
    info!("asked to end", finished = pieces);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_nothing_when_it_is_to_end() {
        let _request = coracle_sdk::test::request_termination();
        assert_eq!(main(), std::process::ExitCode::SUCCESS);
    }
}
