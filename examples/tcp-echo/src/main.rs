//! Sends back what each connection sends, until it ends. Listens on `$PORT`, or 7000.

use wstd::io;
use wstd::iter::AsyncIterator as _;
use wstd::net::TcpListener;

#[wstd::main]
async fn main() -> io::Result<()> {
    let port = std::env::var("PORT").unwrap_or_else(|_| "7000".to_owned());
    // No address in particular is the pod's own.
    let listener = TcpListener::bind(&format!("0.0.0.0:{port}")).await?;
    println!("listening on {}", listener.local_addr()?);
    let mut incoming = listener.incoming();
    while let Some(stream) = incoming.next().await {
        let stream = stream?;
        wstd::runtime::spawn(async move {
            // A client that leaves in the middle is no failure of the server's.
            let _ = io::copy(&stream, &stream).await;
        })
        .detach();
    }
    Ok(())
}
