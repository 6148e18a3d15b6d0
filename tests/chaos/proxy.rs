//! The lines between members: each member is reached by the others at a proxy, which knows who calls and treats each direction by itself.
//! Whoever is no member is passed on.
//!
//! Deliberately absent: lost packets. A connection sees them as pieces that come late, or as its end.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use bytes::Bytes;
use coracle_tests::Machine;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::MEMBERS;

/// The API, over which members speak with each other, and the registry.
const PORTS: [u16; 2] = [6443, 5000];
const PIECE_BYTES: usize = 16 << 10;
/// Pieces that may be on their way in one direction of a connection.
const PIECES_MAX: usize = 256;

/// What happens to what one member sends to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    /// How long a piece takes.
    pub(crate) delay: Duration,
    /// Nothing arrives, and nothing is lost: all comes later.
    pub(crate) is_cut: bool,
    /// Of a hundred pieces, so many come up to a second late, and as many tenths end the connection.
    pub(crate) losses: u32,
}

/// By who sends, and who is sent to.
type Table = [[Line; MEMBERS]; MEMBERS];

/// All lines. Dropping it ends the proxies.
pub(crate) struct Lines {
    table: watch::Sender<Table>,
    _runtime: Runtime,
}

impl Lines {
    /// Starts proxies at the address of each machine.
    pub(crate) fn start(machines: &[Machine], addresses: &[Ipv4Addr], seed: u64) -> Lines {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (table, lines) = watch::channel(Table::default());
        let members: Vec<Ipv4Addr> = machines.iter().map(Machine::address).collect();
        for (number, address) in addresses.iter().enumerate() {
            for port in PORTS {
                let listener = TcpListener::bind((*address, port)).unwrap();
                let proxy = Proxy { members: members.clone(), number, port, lines: lines.clone() };
                runtime.spawn(proxy.serve(listener, StdRng::seed_from_u64(seed.wrapping_add(number as u64))));
            }
        }
        Lines { table, _runtime: runtime }
    }

    /// Changes the lines that are meant: from one member, to another.
    pub(crate) fn set(&self, is_meant: impl Fn(usize, usize) -> bool, line: Line) {
        self.table.send_modify(|table| {
            for (from, row) in table.iter_mut().enumerate() {
                for (to, place) in row.iter_mut().enumerate() {
                    if is_meant(from, to) {
                        *place = line;
                    }
                }
            }
        });
    }
}

/// What stands before one member.
struct Proxy {
    members: Vec<Ipv4Addr>,
    number: usize,
    port: u16,
    lines: watch::Receiver<Table>,
}

/// One direction of a connection.
struct Direction {
    /// Who sends, and who is sent to; nobody for those who are no members.
    between: Option<(usize, usize)>,
    lines: watch::Receiver<Table>,
    random: StdRng,
}

impl Proxy {
    async fn serve(self, listener: TcpListener, mut random: StdRng) {
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        loop {
            let Ok((client, address)) = listener.accept().await else { continue };
            let caller = self.members.iter().position(|member| address.ip() == *member);
            let direction = |between: Option<(usize, usize)>, seed| Direction {
                between,
                lines: self.lines.clone(),
                random: StdRng::seed_from_u64(seed),
            };
            let there = direction(caller.map(|caller| (caller, self.number)), random.random());
            let back = direction(caller.map(|caller| (self.number, caller)), random.random());
            let member = SocketAddr::from((self.members[self.number], self.port));
            tokio::spawn(async move {
                let server = TcpStream::connect(member).await?;
                client.set_nodelay(true)?;
                server.set_nodelay(true)?;
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                // What ends badly in one direction ends in both.
                tokio::try_join!(there.carry(from_client, to_server), back.carry(from_server, to_client)).map(drop)
            });
        }
    }
}

impl Direction {
    async fn carry(self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> std::io::Result<()> {
        let Direction { between, mut lines, mut random } = self;
        let (pieces, mut arrived) = mpsc::channel::<(Instant, Bytes)>(PIECES_MAX);
        let line = {
            let lines = lines.clone();
            move || between.map_or_else(Line::default, |(from, to)| lines.borrow()[from][to])
        };
        let take = async {
            let mut buffer = vec![0; PIECE_BYTES];
            loop {
                let length = from.read(&mut buffer).await?;
                let Line { delay, losses, .. } = line();
                let mut due = Instant::now() + delay;
                if random.random_ratio(losses, 100) {
                    due += Duration::from_millis(random.random_range(200..1_000));
                }
                if random.random_ratio(losses, 1_000) {
                    return Err(std::io::ErrorKind::ConnectionReset.into());
                }
                if length == 0 || pieces.send((due, Bytes::copy_from_slice(&buffer[..length]))).await.is_err() {
                    drop(pieces);
                    return Ok(());
                }
            }
        };
        let give = async {
            while let Some((due, piece)) = arrived.recv().await {
                sleep_until(due).await;
                if let Some((from, to)) = between {
                    let _ = lines.wait_for(|table| !table[from][to].is_cut).await;
                }
                to.write_all(&piece).await?;
            }
            to.shutdown().await
        };
        tokio::try_join!(take, give).map(drop)
    }
}
