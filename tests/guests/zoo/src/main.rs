//! A command that misbehaves as its argument says, and prints what came of it.

use std::fs;
use std::net::{TcpStream, UdpSocket};

use wasip2::filesystem::preopens::get_directories;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("paths") => paths(&words[1]),
        Some("connect") => words[1..].iter().for_each(|address| connect(address)),
        Some("spin") => loop {
            std::hint::black_box(());
        },
        Some("memory") => {
            let mut taken = Vec::new();
            loop {
                taken.push(std::hint::black_box(vec![1_u8; 1 << 20]));
            }
        }
        Some("output") => loop {
            println!("{}", "x".repeat(1_000));
        },
        Some("files") => {
            let open: Vec<_> = (0..100_000).map_while(|number| fs::File::create(format!("{}/{number}", words[1])).ok()).collect();
            println!("{} files, then no more", open.len());
        }
        _ => println!("tame"),
    }
}

fn say(what: &str, result: std::io::Result<impl Sized>) {
    match result {
        Ok(_) => println!("{what}: done"),
        Err(error) => println!("{what}: {error}"),
    }
}

/// Tries to leave a folder.
fn paths(folder: &str) {
    say("dots", fs::read(format!("{folder}/../../../../etc/passwd")));
    say("absolute", fs::read("/etc/passwd"));
    say("link", link(folder, "/etc/passwd", "link"));
    say("through the link", fs::read(format!("{folder}/link")));
    say("link with dots", link(folder, "../../../../../../../../etc", "dots"));
    say("through the dots", fs::read(format!("{folder}/dots/passwd")));
    say("hard link", fs::hard_link("/etc/passwd", format!("{folder}/hard")));
    say("rename", fs::write(format!("{folder}/own"), "x").and_then(|()| fs::rename(format!("{folder}/own"), format!("{folder}/../own"))));
    say("folder above", fs::create_dir(format!("{folder}/../made")));
}

/// A symbolic link in a folder, which std can't make here.
fn link(folder: &str, target: &str, name: &str) -> std::io::Result<()> {
    let folders = get_directories();
    let (folder, _) = folders.iter().find(|(_, path)| path == folder).expect("it is mounted");
    folder.symlink_at(target, name).map_err(|error| std::io::Error::other(format!("{error:?}")))
}

fn connect(address: &str) {
    say(address, TcpStream::connect(address));
    say(&format!("datagram to {address}"), UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.send_to(b"x", address)));
}
