//! Several listening sockets on one port.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

const BACKLOG: i32 = 4096;
const PORT_ATTEMPTS: usize = 16;

/// Binds `count` sockets to the same address, which nobody else may have.
pub(super) fn bind(addr: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    // SO_REUSEPORT would let a second ingress of the same user share the port unnoticed, so it is first bound without.
    // Between that and the shared sockets a free port (0) may be lost to somebody else: then another one is tried.
    for _ in 0..PORT_ATTEMPTS {
        let exclusive = open(addr, false)?;
        let taken = exclusive.local_addr()?;
        drop(exclusive);
        match (0..count).map(|_| open(taken, true)).collect() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && addr.port() == 0 => {}
            result => return result,
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "every free port was taken by somebody else before it could be used"))
}

fn open(addr: SocketAddr, is_shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(is_shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    // Two sockets with SO_REUSEADDR may share an address until one of them listens.
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
