//! `wasmctl port-forward`: a port of this machine that leads to a pod's, one stream into the pod for each connection.

use bytes::{Bytes, BytesMut};
use coracle_api::kinds;
use coracle_api::spdy::{Decoder, Encoder, Frame};
use coracle_client::{Client, PodStreamOptions, PodStreamReader};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::context::{Global, Namespace};
use crate::failure::{Failure, Result};

const PROTOCOL: &str = "SPDY/3.1+portforward.k8s.io";
/// The streams of a connection: what went wrong, and its bytes.
const ERROR_STREAM: u32 = 1;
const DATA_STREAM: u32 = 3;
/// Bytes in a frame.
const CHUNK_BYTES: usize = 32 << 10;

/// Forward a port of this machine to a pod's, until Ctrl-C
///
/// Examples:
///   wasmctl port-forward deployment/shop 9000:8080
///   wasmctl port-forward shop-7c9d4-0q2vx :8080
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// POD, or KIND/NAME for its first pod
    #[arg(value_name = "POD")]
    what: String,
    /// LOCAL:POD, or one for both; no LOCAL takes any free port
    #[arg(required = true, value_name = "PORT")]
    ports: Vec<String>,
    #[command(flatten)]
    namespace: Namespace,
    /// Where to listen
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    address: std::net::IpAddr,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let client = global.client()?;
    let namespace = args.namespace.or_default(client.config());
    let ports = args.ports.iter().map(|text| parse(text)).collect::<Result<Vec<(u16, u16)>>>()?;
    let pod = super::logs::first_pod(&client, &namespace, &args.what).await?;
    client.get(&kinds::POD, Some(&namespace), &pod).await?;
    for (local, port) in ports {
        let listener = TcpListener::bind((args.address, local))
            .await
            .map_err(|error| Failure::new(format!("cannot listen on {}:{local}: {error}", args.address)))?;
        println!("Forwarding from {} -> {port}", listener.local_addr()?);
        tokio::spawn(accept(listener, client.clone(), namespace.clone(), pod.clone(), port));
    }
    Ok(tokio::signal::ctrl_c().await?)
}

/// The port here and the pod's.
fn parse(text: &str) -> Result<(u16, u16)> {
    let number = |part: &str| part.parse::<u16>().ok();
    let ports = match text.split_once(':') {
        None => number(text).map(|port| (port, port)),
        Some(("", port)) => number(port).map(|port| (0, port)),
        Some((local, port)) => number(local).zip(number(port)),
    };
    let ports = ports.filter(|(_, port)| *port > 0);
    ports.ok_or_else(|| Failure::usage(format!("{text}: not a port, LOCAL:POD or :POD")))
}

async fn accept(listener: TcpListener, client: Client, namespace: String, pod: String, port: u16) {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                let (client, namespace, pod) = (client.clone(), namespace.clone(), pod.clone());
                tokio::spawn(async move {
                    if let Err(error) = forward(socket, &client, &namespace, &pod, port).await {
                        eprintln!("a connection to port {port} of {pod} failed: {error}");
                    }
                });
            }
            Err(error) => {
                eprintln!("a connection could not be accepted: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

/// Forwards one connection to its end.
async fn forward(socket: TcpStream, client: &Client, namespace: &str, pod: &str, port: u16) -> Result<()> {
    let options = PodStreamOptions { subresource: "portforward", protocol: PROTOCOL, query: Vec::new() };
    let (mut writer, reader) = client.pod_stream(namespace, pod, &options).await?;
    let (mut from_socket, to_socket) = socket.into_split();
    let (frames, mut queue) = mpsc::channel(4);
    let sending = async {
        let mut encoder = Encoder::default();
        for (stream, kind) in [(ERROR_STREAM, "error"), (DATA_STREAM, "data")] {
            let headers = [("streamtype", kind), ("port", &*port.to_string()), ("requestid", "0")];
            let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
            writer.send(encoder.encode(&Frame::SynStream { stream, headers, is_last: kind == "error" })).await?;
        }
        while let Some(frame) = queue.recv().await {
            writer.send(encoder.encode(&frame)).await?;
        }
        std::future::pending::<Result<()>>().await
    };
    let reading = async {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(CHUNK_BYTES);
            let length = from_socket.read_buf(&mut buffer).await.unwrap_or(0);
            let bytes = buffer.split().freeze();
            let frame = Frame::Data { stream: DATA_STREAM, bytes, is_last: length == 0 };
            if frames.send(frame).await.is_err() || length == 0 {
                return std::future::pending::<Result<()>>().await;
            }
        }
    };
    let result = tokio::select! {
        result = sending => result,
        result = reading => result,
        result = receive(reader, to_socket) => result,
    };
    writer.close().await;
    result
}

/// Passes on what the pod says, until both streams have ended.
async fn receive(mut reader: PodStreamReader, mut socket: OwnedWriteHalf) -> Result<()> {
    let (mut decoder, mut complaint, mut open) = (Decoder::default(), Vec::new(), 2);
    while let Some(message) = reader.next().await {
        decoder.push(&message?);
        while let Some(frame) = decoder.next_frame().map_err(|error| Failure::new(error.to_string()))? {
            let (stream, bytes, is_last) = match frame {
                Frame::Data { stream, bytes, is_last } => (stream, bytes, is_last),
                Frame::Reset { stream, .. } => (stream, Bytes::new(), true),
                _ => continue,
            };
            match stream {
                DATA_STREAM if socket.write_all(&bytes).await.is_err() => return Ok(()), // whoever connected has left
                DATA_STREAM => {}
                _ => complaint.extend_from_slice(&bytes),
            }
            open -= i32::from(is_last);
            if open == 0 {
                return match complaint.as_slice() {
                    [] => Ok(()),
                    text => Err(Failure::new(String::from_utf8_lossy(text))),
                };
            }
        }
    }
    Err(Failure::new("the pod is gone, or its host"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read() {
        let read = |text: &str| parse(text).ok();
        assert_eq!(read("80"), Some((80, 80)));
        assert_eq!((read("9000:80"), read(":80")), (Some((9000, 80)), Some((0, 80))));
        for wrong in ["", ":", "0", "80:", "a:80", "80:0", "1:65536", "1:2:3"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
