//! This terminal's standard streams, joined to a command in a pod: what `exec` and `attach` have in common.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use bytes::Bytes;
use coracle_api::channels::{CLOSE, ERROR, STDERR, STDIN, STDOUT, V5, read_exit};
use coracle_client::{Client, PodStreamOptions, PodStreamReader, PodStreamWriter};
use tokio::sync::mpsc;

use crate::failure::{Failure, Result};

/// A command to be joined.
pub(crate) struct Session<'a> {
    /// `exec` or `attach`.
    pub(crate) subresource: &'static str,
    /// Where.
    pub(crate) namespace: &'a str,
    pub(crate) pod: &'a str,
    pub(crate) container: Option<String>,
    /// The words of what is to be run.
    pub(crate) command: Vec<String>,
    /// Whether standard input is passed on.
    pub(crate) stdin: bool,
}

impl Session<'_> {
    /// Joins the command until it ends; its exit code becomes this process's.
    pub(crate) async fn run(self, client: &Client) -> Result<ExitCode> {
        let mut query = vec![("stdout", "true".to_owned()), ("stderr", "true".to_owned())];
        query.extend(self.stdin.then(|| ("stdin", "true".to_owned())));
        query.extend(self.container.map(|container| ("container", container)));
        query.extend(self.command.into_iter().map(|word| ("command", word)));
        let options = PodStreamOptions { subresource: self.subresource, protocol: V5, query };
        let (writer, reader) = client.pod_stream(self.namespace, self.pod, &options).await?;
        let input = async {
            match self.stdin {
                true => pass_input(writer).await,
                // The writer is kept: to drop it would be to leave.
                false => std::future::pending().await,
            }
        };
        tokio::select! {
            code = show_output(reader) => code,
            failure = input => Err(failure),
        }
    }
}

/// Passes standard input on; returns only if that fails.
async fn pass_input(mut writer: PodStreamWriter) -> Failure {
    let (chunks, mut read) = mpsc::channel::<Bytes>(1);
    // A thread, because a read of a terminal can't be given up; it ends with the process.
    std::thread::spawn(move || {
        let mut buffer = vec![0; 32 << 10];
        while let Ok(length @ 1..) = std::io::stdin().read(&mut buffer) {
            let message = [&[STDIN], &buffer[..length]].concat();
            if chunks.blocking_send(message.into()).is_err() {
                return;
            }
        }
    });
    while let Some(message) = read.recv().await {
        if let Err(error) = writer.send(message).await {
            return error.into();
        }
    }
    match writer.send(Bytes::from_static(&[CLOSE, STDIN])).await {
        Ok(()) => std::future::pending().await,
        Err(error) => error.into(),
    }
}

async fn show_output(mut reader: PodStreamReader) -> Result<ExitCode> {
    while let Some(message) = reader.next().await {
        let message = message?;
        let Some((channel, bytes)) = message.split_first() else { continue };
        let written = match *channel {
            STDOUT => std::io::stdout().write_all(bytes).and_then(|()| std::io::stdout().flush()),
            STDERR => std::io::stderr().write_all(bytes),
            ERROR if !bytes.is_empty() => {
                let code = read_exit(bytes).map_err(Failure::new)?;
                return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)));
            }
            _ => Ok(()),
        };
        if written.is_err() {
            return Ok(ExitCode::SUCCESS); // the reader went away, as in `exec | head`
        }
    }
    Err(Failure::new("the stream ended before the command did"))
}
