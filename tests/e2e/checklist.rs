//! Everything that kubectl asks of the API, with the oldest and with the newest kubectl that is supported: `transcripts/` says what is
//! typed, and what must be printed; `kubectl.txt` for the kinds that are built in, `custom.txt` for those that users define.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use coracle_tests::{Cluster, Printed, eventually, peer, root, run_with};

/// A command of the transcript.
#[derive(Default)]
struct Step {
    /// How it must end: `$` well, `!` badly, `~` well, sooner or later.
    ending: char,
    command: String,
    input: String,
    expected: Vec<String>,
}

/// `$`, `!` and `~` begin a command, `<` a line of its input, `#` a comment; any other line must be printed.
fn steps(transcript: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in transcript.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let step = steps.last_mut();
        match (line.split_at(1), step) {
            ((ending @ ("$" | "!" | "~"), command), _) => {
                let ending = ending.chars().next().expect("it has one character");
                steps.push(Step { ending, command: command.trim().to_owned(), ..Step::default() });
            }
            (("<", input), Some(step)) => step.input += &format!("{}\n", input.strip_prefix(' ').unwrap_or(input)),
            (_, Some(step)) => step.expected.push(spaced(line)),
            (_, None) => panic!("the transcript does not begin with a command: {line}"),
        }
    }
    steps
}

/// The words of a line, which columns of any width divide.
fn spaced(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The words of a command; quotes keep spaces.
fn words(command: &str) -> Vec<String> {
    let parts = command.split('\'').enumerate();
    let mut words: Vec<String> = vec![String::new()];
    for (index, part) in parts {
        if index % 2 == 1 {
            words.last_mut().expect("there is one").push_str(part);
            continue;
        }
        let mut pieces = part.split(' ');
        words.last_mut().expect("there is one").push_str(pieces.next().unwrap_or_default());
        words.extend(pieces.map(str::to_owned));
    }
    words.retain(|word| !word.is_empty());
    words
}

impl Step {
    fn run(&self, kubectl: impl Fn() -> Command) {
        let command = &self.command;
        let attempt = || -> Result<(), (Printed, String)> {
            let printed = run_with(kubectl().args(words(command)), &self.input);
            let all = spaced(&format!("{} {}", printed.stdout, printed.stderr));
            let missing = self.expected.iter().find(|expected| !all.contains(*expected));
            match missing {
                None if (printed.code == 0) == (self.ending != '!') => Ok(()),
                missing => Err((printed, missing.cloned().unwrap_or_default())),
            }
        };
        if self.ending == '~' {
            return eventually(command, || attempt().ok());
        }
        if let Err((Printed { code, stdout, stderr }, missing)) = attempt() {
            panic!("kubectl {command}\nended with {code}, expected {missing:?} in\n{stdout}{stderr}");
        }
    }
}

fn check(kubectl: &str) {
    let cluster = Cluster::start();
    let file = root().join("examples/hello/hello.wat");
    for tag in ["hello:1", "hello:2"] {
        cluster.wasmctl(&["push", file.to_str().unwrap(), tag]).ok();
    }
    let command = || {
        let mut command = cluster.client(peer(kubectl));
        command.env("KUBE_EDITOR", r"sed -i s/color:.blue/color:\ green/");
        command
    };
    let watching = watch(command);
    let node = cluster.wasmctl(&["get", "nodes", "-o", "name"]).ok();
    let node = node.trim().trim_start_matches("node/");
    steps(&include_str!("transcripts/kubectl.txt").replace("{node}", node)).iter().for_each(|step| step.run(command));
    let seen = watching.join().expect("kubectl get --watch ends when it has seen enough");
    assert_eq!(seen, ["ADDED before 1", "ADDED watched 1", "MODIFIED watched 2", "DELETED watched 2"]);
}

fn check_custom_kinds(kubectl: &str) {
    let cluster = Cluster::start();
    let charts = root().join("tests/charts");
    let transcript = include_str!("transcripts/custom.txt").replace("{charts}", charts.to_str().unwrap());
    steps(&transcript).iter().for_each(|step| step.run(|| cluster.client(peer(kubectl))));
}

/// `kubectl get --watch` in the background, until it has told of a deletion: the event, the name and the number of keys, a line each.
fn watch(kubectl: impl Fn() -> Command) -> std::thread::JoinHandle<Vec<String>> {
    let before = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: before, labels: {part: watch}}\ndata: {a: b}\n";
    run_with(kubectl().args(["create", "-f", "-"]), before).ok();
    let arguments = ["get", "configmaps", "-l", "part=watch", "--watch", "--output-watch-events"];
    let mut process = kubectl().args(arguments).stdout(Stdio::piped()).spawn().expect("kubectl starts");
    let mut lines = BufReader::new(process.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
    let first: Vec<String> = lines.by_ref().take(2).collect();
    std::thread::spawn(move || {
        let mut seen = Vec::new();
        for line in first.into_iter().chain(lines).skip(1) {
            let cells: Vec<&str> = line.split_whitespace().collect();
            seen.push(cells[..3].join(" "));
            if line.starts_with("DELETED") {
                break;
            }
        }
        let _ = process.kill();
        let _ = process.wait();
        seen
    })
}

#[test]
fn kubectl_1_33() {
    check("KUBECTL_1_33");
}

#[test]
fn kubectl_1_37() {
    check("KUBECTL");
}

#[test]
fn custom_kinds_with_kubectl_1_33() {
    check_custom_kinds("KUBECTL_1_33");
}

#[test]
fn custom_kinds_with_kubectl_1_37() {
    check_custom_kinds("KUBECTL");
}
