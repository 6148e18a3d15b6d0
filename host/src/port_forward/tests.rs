use std::sync::Arc;

use coracle_net::{Body, Handler, RequestBody, RequestContext};
use expect_test::{Expect, expect};
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender};
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt;

use super::*;
use crate::agent::PodHandlers;
use crate::harness::Socket;

/// Answers with what it was sent.
struct Echo;

impl Handler for Echo {
    fn handle(&self, request: Request<RequestBody>, _: RequestContext) -> BoxFuture<'static, Response<Body>> {
        Box::pin(std::future::ready(Response::new(request.into_body().map_err(Into::into).boxed_unsync())))
    }
}

/// A client of a pod that echoes on port 8080.
struct Client {
    messages: Option<UnboundedSender<Result<Message, String>>>,
    answers: UnboundedReceiver<Message>,
    encoder: Encoder,
    decoder: Decoder,
    gone: CancellationToken,
}

impl Client {
    fn new() -> Client {
        let (socket, messages, answers) = Socket::new();
        let handlers = PodHandlers::new();
        let handler: Arc<dyn Handler> = Arc::new(Echo);
        handlers.insert_handler(&"uid".into(), 0, &[8080], &handler);
        let ports = Ports { pod: "default/web".to_owned(), uid: "uid".into(), handlers };
        let gone = CancellationToken::new();
        tokio::spawn(run(socket, ports, gone.clone()));
        Client { messages: Some(messages), answers, encoder: Encoder::default(), decoder: Decoder::default(), gone }
    }

    fn send(&mut self, frame: &Frame) {
        let message = Message::Binary(self.encoder.encode(frame));
        self.say(message);
    }

    fn say(&self, message: Message) {
        self.messages.as_ref().unwrap().unbounded_send(Ok(message)).unwrap();
    }

    fn open(&mut self, stream: u32, kind: &str, port: &str, request: &str) {
        let headers = [("streamtype", kind), ("port", port), ("requestid", request)];
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.send(&Frame::SynStream { stream, headers, is_last: false });
    }

    fn data(&mut self, stream: u32, bytes: &[u8], is_last: bool) {
        self.send(&Frame::Data { stream, bytes: Bytes::copy_from_slice(bytes), is_last });
    }

    /// The next frame, or how the WebSocket ended.
    async fn next(&mut self) -> Result<Frame, String> {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Ok(frame);
            }
            match self.answers.next().await {
                Some(Message::Binary(bytes)) => self.decoder.push(&bytes),
                Some(Message::Close(Some(frame))) => return Err(format!("closed: {} {}", frame.code, frame.reason)),
                Some(_) => {}
                None => return Err("ended".to_owned()),
            }
        }
    }

    /// All that comes until both streams of a connection have ended: what is said on each.
    async fn hear_out(&mut self, data_stream: u32, error_stream: u32) -> (Vec<u8>, String) {
        let (mut data, mut error, mut open) = (Vec::new(), Vec::new(), 2);
        while open > 0 {
            match self.next().await.unwrap() {
                Frame::Data { stream, bytes, is_last } => {
                    let into = if stream == data_stream { &mut data } else { &mut error };
                    assert!(stream == data_stream || stream == error_stream);
                    into.extend_from_slice(&bytes);
                    open -= u32::from(is_last);
                }
                frame => assert!(matches!(frame, Frame::SynReply { .. }), "{frame:?}"),
            }
        }
        (data, String::from_utf8(error).unwrap())
    }
}

#[tokio::test]
async fn a_connection_is_answered_by_the_pod() {
    // The client may have said all, and wait for the answer.
    for is_last in [false, true] {
        let mut client = Client::new();
        client.open(1, "error", "8080", "0");
        client.data(1, b"", true);
        client.open(3, "data", "8080", "0");
        let request =
            b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nx-request-id: r\r\nconnection: close\r\n\r\nhello";
        let (first, rest) = request.split_at(7);
        client.data(3, first, false);
        client.data(3, rest, is_last);
        let (data, error) = client.hear_out(3, 1).await;
        let answer = String::from_utf8(data).unwrap().to_ascii_lowercase();
        assert!(answer.starts_with("http/1.1 200 ok\r\n") && answer.ends_with("\r\n\r\nhello"), "{is_last} {answer}");
        assert!(answer.contains("x-request-id: r\r\n"), "{answer}");
        assert_eq!(error, "");
    }
}

#[tokio::test]
async fn connections_carry_much_and_do_not_mix() {
    let mut client = Client::new();
    let body = |request: u32| vec![b'a' + request as u8; 3_000_000];
    for request in 0..3 {
        let stream = 1 + 4 * request;
        client.open(stream, "error", "8080", &request.to_string());
        client.open(stream + 2, "data", "8080", &request.to_string());
        let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3000000\r\nconnection: close\r\n\r\n";
        client.data(stream + 2, head.as_bytes(), false);
    }
    for chunk in 0..30 {
        for request in 0..3 {
            client.data(3 + 4 * request, &body(request)[chunk * 100_000..][..100_000], false);
        }
    }
    let mut received: HashMap<u32, Vec<u8>> = HashMap::new();
    let mut open = 6;
    while open > 0 {
        if let Frame::Data { stream, bytes, is_last } = client.next().await.unwrap() {
            received.entry(stream).or_default().extend_from_slice(&bytes);
            open -= u32::from(is_last);
        }
    }
    for request in 0..3 {
        assert!(received[&(3 + 4 * request)].ends_with(&body(request)));
    }
}

#[tokio::test]
async fn what_nobody_listens_on_is_refused() {
    let mut client = Client::new();
    client.open(1, "error", "81", "0");
    client.open(3, "data", "81", "0");
    expect!["connection refused: nothing in pod default/web listens on port 81, only on 8080"]
        .assert_eq(&client.hear_out(3, 1).await.1);
    // Others go on.
    client.send(&Frame::Ping { id: 7 });
    assert_eq!(client.next().await, Ok(Frame::Ping { id: 7 }));
}

#[tokio::test]
async fn everything_ends_with_the_pod_and_with_the_client() {
    let mut client = Client::new();
    client.open(1, "error", "8080", "0");
    client.gone.cancel();
    while client.next().await.is_ok() {}
    let mut client = Client::new();
    client.messages = None;
    assert_eq!(client.next().await, Err("closed: 1000 ".to_owned()));
    let mut client = Client::new();
    client.gone.cancel();
    assert_eq!(client.next().await, Err("closed: 1001 the pod is gone".to_owned()));
}

/// How the connection ends after these messages.
async fn check(send: impl FnOnce(&mut Client), expected: &Expect) {
    let mut client = Client::new();
    send(&mut client);
    let end = loop {
        if let Err(end) = client.next().await {
            break end;
        }
    };
    expected.assert_eq(&end);
}

#[tokio::test]
async fn what_breaks_the_protocol_ends_the_connection() {
    check(
        |client| client.say(Message::Binary("GET / HTTP/1.1\r\n\r\n".into())),
        &expect!["closed: 1002 a SPDY frame of 2115668 bytes came, where 1048576 are the most"],
    )
    .await;
    check(
        |client| client.say(Message::Text("hi".into())),
        &expect!["closed: 1002 SPDY frames come in binary messages"],
    )
    .await;
    let headers = expect!["closed: 1002 a stream needs the headers streamType (error or data), port and requestID"];
    check(|client| client.open(1, "stdin", "8080", "0"), &headers).await;
    check(|client| client.open(1, "data", "0", "0"), &headers).await;
    check(|client| client.open(1, "data", "65536", "0"), &headers).await;
    let twice = |client: &mut Client| (0..2).for_each(|request| client.open(1, "data", "80", &request.to_string()));
    check(twice, &expect!["closed: 1002 stream 1 was opened twice"]).await;
    let no_pair = expect!["closed: 1002 the streams of request 0 are no pair of error and data for one port"];
    check(|client| [1, 3].iter().for_each(|id| client.open(*id, "data", "80", "0")), &no_pair).await;
    let ports = |client: &mut Client| {
        client.open(1, "error", "80", "0");
        client.open(3, "data", "8080", "0");
    };
    check(ports, &no_pair).await;
}

#[tokio::test]
async fn streams_have_a_limit() {
    let mut client = Client::new();
    for index in 0..=STREAMS_MAX as u32 {
        client.open(2 * index + 1, "error", "8080", &index.to_string());
    }
    let refused = 2 * STREAMS_MAX as u32 + 1;
    while let Ok(frame) = client.next().await {
        if matches!(frame, Frame::Reset { .. }) {
            assert_eq!(frame, Frame::Reset { stream: refused, status: spdy::REFUSED_STREAM });
            return;
        }
    }
    panic!("no stream was refused");
}
