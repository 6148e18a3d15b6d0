//! A command that follows a file: prints what is in it whenever that changes, and keeps count of its own starts in another.

use std::time::Duration;
use std::{env, fs, thread};

const INTERVAL: Duration = Duration::from_millis(100);

fn main() {
    let mut arguments = env::args().skip(1);
    let (Some(settings), Some(count)) = (arguments.next(), arguments.next()) else {
        panic!("give a file to follow and one to count starts in");
    };
    let starts = fs::read_to_string(&count).ok().and_then(|text| text.parse().ok()).unwrap_or(0) + 1;
    fs::write(&count, starts.to_string()).expect("the count can be written");
    println!("start {starts}");
    let mut last = None;
    loop {
        let text = fs::read_to_string(&settings).expect("the settings can be read");
        if text.trim() == "stop" {
            return;
        }
        if last.as_ref() != Some(&text) {
            println!("settings: {}", text.trim());
            last = Some(text);
        }
        thread::sleep(INTERVAL);
    }
}
