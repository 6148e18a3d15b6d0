//! Several listening sockets on one port.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

const BACKLOG: i32 = 4096;

/// Binds `count` sockets to the same address, which nobody else may have.
pub(super) fn bind(addr: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    // SO_REUSEPORT would let a second ingress of the same user share the port unnoticed, so the first socket is bound without it, and
    // is shared afterwards. It is never given back meanwhile: somebody else might take the port then, or a child that is just being
    // started still hold it.
    let first = open(addr, false)?;
    first.set_reuse_port(true)?;
    let taken = first.local_addr()?.as_socket().expect("invariant: it is bound to an internet address");
    let others = (1..count).map(|_| open(taken, true));
    std::iter::once(Ok(first)).chain(others).map(|socket| socket.map(TcpListener::from)).collect()
}

fn open(addr: SocketAddr, is_shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(is_shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    // Two sockets with SO_REUSEADDR may share an address until one of them listens.
    socket.listen(BACKLOG)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn connections_are_shared_out_among_all_sockets() {
        let listeners = bind("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let addr = listeners[0].local_addr().unwrap();
        let _clients: Vec<TcpStream> = (0..96).map(|_| TcpStream::connect(addr).unwrap()).collect();
        let counts: Vec<usize> =
            listeners.iter().map(|listener| std::iter::from_fn(|| listener.accept().ok()).count()).collect();
        assert_eq!(counts.iter().sum::<usize>(), 96, "{counts:?}");
        assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    }
}
