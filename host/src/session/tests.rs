use std::sync::atomic::{AtomicBool, Ordering};

use expect_test::{Expect, expect};
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::*;
use crate::console::Stdin;
use crate::harness::Socket;
use crate::runtime::{ExecError, ExitReason, Start, Stats};

/// A command that does only what the test says.
struct Puppet {
    console: Arc<Console>,
    exit: watch::Sender<Option<Exit>>,
    is_stopped: AtomicBool,
}

impl Puppet {
    fn end(&self, code: i32, message: &str) {
        let now = Timestamp::UNIX_EPOCH;
        let (reason, message) = (ExitReason::Error, message.to_owned());
        self.exit.send_replace(Some(Exit { code, reason, message, started_at: now, finished_at: now }));
        self.console.finish();
    }
}

impl Container for Puppet {
    fn exited(&self) -> watch::Receiver<Option<Exit>> {
        self.exit.subscribe()
    }

    fn stop(&self, _: Duration) {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.end(143, "stopped by the host");
    }

    fn handler(&self) -> Option<Arc<dyn coracle_net::Handler>> {
        None
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }

    fn console(&self) -> Option<Arc<Console>> {
        Some(self.console.clone())
    }

    fn exec(&self, _: Vec<String>, _: Arc<Console>) -> Result<Start, ExecError> {
        Err(ExecError::NotACommand)
    }
}

const ALL: Wanted = Wanted { stdin: true, stdout: true, stderr: true, tty: false };

struct Client {
    messages: UnboundedSender<Result<Message, String>>,
    answers: UnboundedReceiver<Message>,
    puppet: Arc<Puppet>,
    session: JoinHandle<()>,
}

impl Client {
    fn new(wanted: Wanted, is_own: bool) -> Client {
        let console = Arc::new(Console::new(Stdin::Once));
        let exit = watch::Sender::new(None);
        let puppet = Arc::new(Puppet { console: console.clone(), exit, is_stopped: AtomicBool::new(false) });
        let (socket, messages, answers) = Socket::new();
        let output = console.read();
        let session = Session { wanted, console, output, container: puppet.clone(), is_own };
        Client { messages, answers, puppet, session: tokio::spawn(session.run(socket)) }
    }

    fn send(&self, channel: u8, text: &str) {
        let message = [&[channel], text.as_bytes()].concat();
        self.messages.unbounded_send(Ok(Message::Binary(message.into()))).unwrap();
    }

    fn print(&self, stream: Output, text: &str) {
        self.puppet.console.write(stream, text.as_bytes());
    }

    /// What the command reads next.
    async fn read(&self) -> String {
        self.puppet.console.readable().await;
        let read = self.puppet.console.take_input(usize::MAX);
        read.map_or("closed".to_owned(), |bytes| String::from_utf8(bytes.to_vec()).unwrap())
    }

    async fn next(&mut self) -> Option<String> {
        Some(match self.answers.next().await? {
            Message::Binary(bytes) => format!("{} {:?}", bytes[0], String::from_utf8_lossy(&bytes[1..])),
            Message::Close(frame) => format!("close {}", frame.unwrap().code),
            other => format!("{other:?}"),
        })
    }

    /// All that the client hears from now on.
    async fn check(mut self, expected: Expect) {
        let mut heard = String::new();
        while let Some(message) = self.next().await {
            heard += &format!("{message}\n");
        }
        expected.assert_eq(&heard);
        self.session.await.unwrap();
    }
}

#[tokio::test]
async fn streams_have_their_channels_and_the_exit_comes_last() {
    let client = Client::new(ALL, true);
    client.send(STDIN, "typed");
    assert_eq!(client.read().await, "typed");
    client.send(RESIZE, "{\"Width\":80,\"Height\":24}");
    client.send(CLOSE, "\0");
    assert_eq!(client.read().await, "closed");
    client.print(Output::Stdout, "out");
    client.print(Output::Stderr, "err");
    client.puppet.end(3, "");
    client
        .check(expect![[r#"
            1 ""
            1 "out"
            2 "err"
            3 "{\"details\":{\"causes\":[{\"message\":\"3\",\"reason\":\"ExitCode\"}]},\"message\":\"command terminated with non-zero exit code: 3\",\"metadata\":{},\"reason\":\"NonZeroExitCode\",\"status\":\"Failure\"}"
            close 1000
        "#]])
        .await;
}

#[tokio::test]
async fn only_what_is_wanted_is_sent_and_an_attached_client_has_succeeded() {
    let client = Client::new(Wanted { stderr: true, ..Wanted::default() }, false);
    client.print(Output::Stdout, "out");
    client.print(Output::Stderr, "err");
    client.puppet.end(3, "");
    client
        .check(expect![[r#"
            3 ""
            2 "err"
            3 "{\"metadata\":{},\"status\":\"Success\"}"
            close 1000
        "#]])
        .await;
}

#[tokio::test]
async fn a_terminal_gets_lines() {
    let mut client = Client::new(Wanted { tty: true, ..ALL }, true);
    client.send(STDIN, "hx\x7fi\r");
    assert_eq!(client.read().await, "hi\n");
    client.print(Output::Stderr, "one\ntwo\n");
    for expected in [r#"1 """#, r#"1 "hx\u{8} \u{8}i\r\n""#, r#"1 "one\r\ntwo\r\n""#] {
        assert_eq!(client.next().await.unwrap(), expected);
    }
    client.send(STDIN, "\x03");
    assert_eq!(client.read().await, "closed");
    assert!(client.puppet.is_stopped.load(Ordering::Relaxed));
    client
        .check(expect![[r#"
            1 "^C\r\n"
            1 "stopped by the host\r\n"
            3 "{\"details\":{\"causes\":[{\"message\":\"143\",\"reason\":\"ExitCode\"}]},\"message\":\"command terminated with non-zero exit code: 143\",\"metadata\":{},\"reason\":\"NonZeroExitCode\",\"status\":\"Failure\"}"
            close 1000
        "#]])
        .await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_only_what_is_its_own() {
    for is_own in [true, false] {
        let Client { messages, puppet, session, .. } = Client::new(ALL, is_own);
        drop(messages);
        session.await.unwrap();
        assert_eq!(puppet.is_stopped.load(Ordering::Relaxed), is_own);
        assert!(puppet.console.type_in(b"x").await.is_err());
    }
}

#[tokio::test]
async fn what_breaks_the_protocol_is_said_and_ends_the_session() {
    let check = async |wanted: Wanted, message: Message, expected: Expect| {
        let mut client = Client::new(wanted, true);
        client.messages.unbounded_send(Ok(message)).unwrap();
        client.next().await;
        client.check(expected).await;
    };
    let (unknown, text) = (Message::Binary(vec![7, 1].into()), Message::Text("hi".into()));
    check(ALL, unknown, expect![[r#"
        3 "{\"code\":500,\"message\":\"nothing can be sent on channel 7\",\"metadata\":{},\"reason\":\"InternalError\",\"status\":\"Failure\"}"
        close 1002
    "#]]).await;
    check(ALL, text, expect![[r#"
        3 "{\"code\":500,\"message\":\"channels are spoken in binary messages\",\"metadata\":{},\"reason\":\"InternalError\",\"status\":\"Failure\"}"
        close 1002
    "#]]).await;
    let typed = Message::Binary(vec![0, 1].into());
    check(Wanted { stdin: false, ..ALL }, typed, expect![[r#"
        3 "{\"code\":500,\"message\":\"standard input was not asked for\",\"metadata\":{},\"reason\":\"InternalError\",\"status\":\"Failure\"}"
        close 1002
    "#]]).await;
}
