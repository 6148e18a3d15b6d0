//! `wasmctl snapshot inspect`.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::contents::Contents;
use crate::failure::{Failure, Result};
use crate::{images, output};

/// Verify a snapshot, and say what it holds
///
/// Examples:
///   wasmctl snapshot inspect monday.coracle
///   wasmctl snapshot inspect monday.coracle --output json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// A file that `wasmctl snapshot save` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print as JSON
    #[arg(short, long, value_parser = ["json"])]
    output: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let contents = Contents::read(&open(&args.file)?, &args.file, |_| Ok(()))?;
    match args.output {
        Some(_) => {
            println!("{:#}", serde_json::to_value(&contents).expect("invariant: numbers and names are plain data"))
        }
        None => print!("{}", show(&contents)),
    }
    Ok(())
}

/// The file, if it is one.
pub(super) fn open(path: &Path) -> Result<File> {
    let failed = |error: std::io::Error| Failure::file(path, &error);
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(Failure::new(format!("{}: a folder, not a snapshot", path.display())));
    }
    Ok(file)
}

fn show(contents: &Contents) -> String {
    let line = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
    let facts = [
        line(["cluster", &contents.cluster]),
        line(["taken", &contents.taken]),
        line(["revision", &contents.revision.to_string()]),
        line(["size", &images::size(contents.size_bytes)]),
        line(["files", &format!("{}, {}", contents.files, images::size(contents.file_bytes))]),
        line(["checksum", &format!("{}, verified", contents.checksum)]),
    ];
    let header = line(["RESOURCE", "OBJECTS"]);
    let objects = contents.objects.iter().map(|(resource, count)| line([resource, &count.to_string()]));
    let objects: Vec<Vec<String>> = std::iter::once(header).chain(objects).collect();
    format!("{}\n{}", output::align(&facts, &mut Vec::new()), output::align(&objects, &mut Vec::new()))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn what_a_snapshot_holds_is_shown() {
        let contents = Contents {
            cluster: "calm-otter".to_owned(),
            revision: 1_048_613,
            taken: "2026-11-21T10:00:00Z".to_owned(),
            size_bytes: 12_345,
            checksum: "sha256:ab12".to_owned(),
            objects: [("configmaps".to_owned(), 3), ("deployments.apps".to_owned(), 1)].into(),
            files: 9,
            file_bytes: 4_096,
        };
        expect![[r#"
            cluster    calm-otter
            taken      2026-11-21T10:00:00Z
            revision   1048613
            size       12 KB
            files      9, 4 KB
            checksum   sha256:ab12, verified

            RESOURCE           OBJECTS
            configmaps         3
            deployments.apps   1
        "#]]
        .assert_eq(&show(&contents));
    }
}
