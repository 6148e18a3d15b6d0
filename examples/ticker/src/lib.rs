//! A command of WASI 0.3: prints as many lines as its first argument says, with as many milliseconds between them as its second says.

use wasip3::cli::{environment::get_arguments, stdout::write_via_stream};
use wasip3::clocks::monotonic_clock::wait_for;
use wasip3::wit_stream;

struct Ticker;

impl wasip3::exports::cli::run::Guest for Ticker {
    async fn run() -> Result<(), ()> {
        let mut numbers = get_arguments().into_iter().skip(1).map(|text| text.parse::<u64>());
        let (Some(Ok(lines)), Some(Ok(milliseconds))) = (numbers.next(), numbers.next()) else { return Err(()) };
        let (mut output, lines_out) = wit_stream::new();
        let printed = write_via_stream(lines_out);
        for line in 1..=lines {
            output.write_all(format!("tick {line}\n").into_bytes()).await;
            wait_for(milliseconds * 1_000_000).await;
        }
        drop(output);
        printed.await.map_err(|_| ())
    }
}

wasip3::cli::command::export!(Ticker);
