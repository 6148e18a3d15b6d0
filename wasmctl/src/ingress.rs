//! The cluster's ingress, as a verb's user reaches it: the URLs of what it routes, and whether it routes them yet.
//! Sends no request to a component: `OPTIONS *` asks the ingress itself.

use std::time::Duration;

use bytes::Bytes;
use coracle_client::Config;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};

use crate::cluster_file;
use crate::failure::Result;

/// How long an ingress may take to hear of pods that the control plane calls ready.
const NEWS_MAX: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(10);
const REASON_BYTES_MAX: usize = 4096;

/// Where an ingress listens.
pub(crate) struct Ingress {
    /// Empty where the control plane, having no host of its own, names none.
    addr: String,
}

impl Ingress {
    /// The ingress that a kubeconfig of ours names.
    pub(crate) fn find(config: &Config) -> Result<Ingress> {
        Ok(Ingress { addr: cluster_file::find(config)?.ingress })
    }

    /// What a host name answers at; with the port that hosts take where none is named.
    pub(crate) fn url(&self, host: &str) -> String {
        let port = self.addr.rsplit(':').next().filter(|port| !port.is_empty()).unwrap_or("8080");
        format!("http://{host}:{port}/")
    }

    /// Waits until requests to a host name find a pod; says why they don't if that takes too long. An ingress that can't be reached
    /// from here is not waited for: it may be reached from elsewhere.
    pub(crate) async fn wait_for(&self, host: &str) -> std::result::Result<(), String> {
        let deadline = Instant::now() + NEWS_MAX;
        let mut reason = None;
        while Instant::now() < deadline {
            match timeout_at(deadline, self.ask(host)).await {
                Ok(Some(refusal)) => reason = Some(refusal),
                Ok(None) => return Ok(()),
                Err(_) => break,
            }
            sleep(PAUSE).await;
        }
        reason.map_or(Ok(()), Err)
    }

    /// Why requests to a host name would be refused, if they would and the ingress says so.
    async fn ask(&self, host: &str) -> Option<String> {
        let stream = TcpStream::connect(&self.addr).await.ok()?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.method_mut() = Method::OPTIONS;
        *request.uri_mut() = Uri::from_static("*");
        request.headers_mut().insert(header::HOST, host.parse().ok()?);
        let response = sender.send_request(request).await.ok()?;
        if !matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::SERVICE_UNAVAILABLE) {
            return None;
        }
        let body = Limited::new(response.into_body(), REASON_BYTES_MAX).collect().await.ok()?;
        Some(String::from_utf8_lossy(&body.to_bytes()).trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// An ingress that gives these answers, a connection each; gives the requests' first lines.
    async fn answers(listener: TcpListener, answers: &[&str]) -> Vec<String> {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1024];
            let length = stream.read(&mut head).await.unwrap();
            asked.push(String::from_utf8_lossy(&head[..length]).lines().next().unwrap().to_owned());
            stream.write_all(format!("HTTP/1.1 {answer}").as_bytes()).await.unwrap();
        }
        asked
    }

    #[tokio::test]
    async fn an_ingress_is_asked_until_it_knows_a_pod() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ingress = Ingress { addr: listener.local_addr().unwrap().to_string() };
        let refused = "503 Service Unavailable\r\ncontent-length: 6\r\n\r\nno pod";
        let script = ["404 Not Found\r\ncontent-length: 0\r\n\r\n", refused, "200 OK\r\ncontent-length: 0\r\n\r\n"];
        let (waited, asked) = tokio::join!(ingress.wait_for("shop.localhost"), answers(listener, &script));
        assert_eq!(waited, Ok(()));
        assert_eq!(asked, ["OPTIONS * HTTP/1.1"; 3]);

        // Nobody listens any more.
        assert_eq!(ingress.wait_for("shop.localhost").await, Ok(()));
        assert_eq!(Ingress { addr: String::new() }.wait_for("shop.localhost").await, Ok(()));
    }

    #[tokio::test]
    async fn the_reason_is_the_ingress_s_own() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ingress = Ingress { addr: listener.local_addr().unwrap().to_string() };
        let script = ["503 Service Unavailable\r\ncontent-length: 7\r\n\r\nno pod\n"];
        let (reason, _) = tokio::join!(ingress.ask("shop.localhost"), answers(listener, &script));
        assert_eq!(reason.as_deref(), Some("no pod"));
    }

    #[test]
    fn urls_have_the_port_that_hosts_take_where_none_is_named() {
        let url = |addr: &str| Ingress { addr: addr.to_owned() }.url("shop.localhost");
        assert_eq!(url("127.0.0.1:18080"), "http://shop.localhost:18080/");
        assert_eq!(url(""), "http://shop.localhost:8080/");
    }
}
