//! `wasi:sockets`: TCP and UDP at the pod's own address, and outwards to other pods here and to what the pod declares.
//!
//! Whoever binds to no address in particular is bound to the pod's. Whoever sends a datagram may be answered. Deliberately absent: listeners of
//! handlers, whose instances end with their requests; IPv6 listeners, as pods have IPv4 addresses; and pods of other hosts, which are reached over
//! HTTP.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use tokio::net::lookup_host;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::p2::bindings::sockets as p2;
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::Host as _;
use wasmtime_wasi::p2::bindings::sockets::tcp::HostTcpSocket as TcpHost;
use wasmtime_wasi::p2::bindings::sockets::tcp_create_socket::Host as _;
use wasmtime_wasi::p2::bindings::sockets::udp::HostUdpSocket as UdpHost;
use wasmtime_wasi::p2::bindings::sockets::udp_create_socket::Host as _;
use wasmtime_wasi::p3::bindings::sockets as p3;
use wasmtime_wasi::sockets::{SocketAddrUse, WasiSocketsView as _};
use wasmtime_wasi::{WasiCtxBuilder, p2 as wasi_02};

use super::super::guest::{Guest, Surroundings};

/// The interfaces by the names that wasmtime links them under.
const TCP_02: &str = "wasi:sockets/tcp@0.2.12";
const UDP_02: &str = "wasi:sockets/udp@0.2.12";
const CREATE_TCP_02: &str = "wasi:sockets/tcp-create-socket@0.2.12";
const CREATE_UDP_02: &str = "wasi:sockets/udp-create-socket@0.2.12";
const LOOKUP_02: &str = "wasi:sockets/ip-name-lookup@0.2.12";
const TYPES_03: &str = "wasi:sockets/types@0.3.0";
const LOOKUP_03: &str = "wasi:sockets/ip-name-lookup@0.3.0";

/// What a program's context allows. Where it may have no sockets none is made, as each is an open file of this process.
pub(in crate::wasm) fn grant(builder: &mut WasiCtxBuilder, surroundings: &Arc<Surroundings>) {
    let is_granted = surroundings.reach.has_sockets();
    let surroundings = surroundings.clone();
    builder.allow_tcp(is_granted).allow_udp(is_granted).allow_ip_name_lookup(is_granted).socket_addr_check(
        move |address, reason| {
            let surroundings = surroundings.clone();
            Box::pin(async move { judge(&surroundings, address, reason).await })
        },
    );
}

async fn judge(surroundings: &Surroundings, address: SocketAddr, reason: SocketAddrUse) -> bool {
    let reach = &surroundings.reach;
    match reason {
        // Somebody who connects or sends without having bound; who listens is asked again.
        SocketAddrUse::TcpBind | SocketAddrUse::UdpBind if address.ip().is_unspecified() && address.port() == 0 => true,
        SocketAddrUse::TcpBind | SocketAddrUse::TcpListen | SocketAddrUse::UdpBind => reach.allow_listener(address),
        SocketAddrUse::UdpSend if reach.is_answer(address, Instant::now()) => true,
        SocketAddrUse::TcpConnect | SocketAddrUse::UdpSend => reach.allow_connection(address).await,
        SocketAddrUse::UdpReceive => {
            reach.hear(address, Instant::now());
            true
        }
        SocketAddrUse::TcpAccept => true,
    }
}

/// Whether a name stands for an address now.
pub(super) async fn stands_for(name: &str, address: IpAddr) -> bool {
    match lookup_host((name, 0)).await {
        Ok(mut found) => found.any(|found| found.ip().to_canonical() == address.to_canonical()),
        Err(_) => false,
    }
}

/// The address that a program means: the pod's own, if it names none.
fn own_if_unspecified(guest: &Guest, address: SocketAddr) -> SocketAddr {
    match (address.ip(), guest.surroundings().reach.address) {
        (IpAddr::V4(given), own @ IpAddr::V4(_)) if given.is_unspecified() => SocketAddr::new(own, address.port()),
        _ => address,
    }
}

/// Replaces those functions of WASI 0.2 that need to know the pod.
pub(in crate::wasm) fn link_02(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    type Bind<S> = (Resource<S>, Resource<wasi_02::Network>, p2::network::IpSocketAddress);
    linker.instance(TCP_02)?.func_wrap_async(
        "[method]tcp-socket.start-bind",
        |mut store, (socket, network, address): Bind<wasi_02::TcpSocket>| {
            Box::new(async move {
                let address = own_if_unspecified(store.data(), address.into());
                let bound = TcpHost::start_bind(&mut store.data_mut().sockets(), socket, network, address.into()).await;
                code_02(bound)
            })
        },
    )?;
    linker.instance(UDP_02)?.func_wrap_async(
        "[method]udp-socket.start-bind",
        |mut store, (socket, network, address): Bind<wasi_02::UdpSocket>| {
            Box::new(async move {
                let address = own_if_unspecified(store.data(), address.into());
                let bound = UdpHost::start_bind(&mut store.data_mut().sockets(), socket, network, address.into()).await;
                code_02(bound)
            })
        },
    )?;
    linker.instance(CREATE_TCP_02)?.func_wrap(
        "create-tcp-socket",
        |mut store, (family,): (p2::network::IpAddressFamily,)| {
            store.data().surroundings().reach.tell_of_sockets();
            code_02(store.data_mut().sockets().create_tcp_socket(family))
        },
    )?;
    linker.instance(CREATE_UDP_02)?.func_wrap_async(
        "create-udp-socket",
        |mut store, (family,): (p2::network::IpAddressFamily,)| {
            Box::new(async move {
                store.data().surroundings().reach.tell_of_sockets();
                code_02(store.data_mut().sockets().create_udp_socket(family).await)
            })
        },
    )?;
    linker.instance(LOOKUP_02)?.func_wrap(
        "resolve-addresses",
        |mut store, (network, name): (Resource<wasi_02::Network>, String)| {
            let Some(name) = store.data().surroundings().reach.allow_lookup(&name) else {
                return Ok((Err(p2::network::ErrorCode::AccessDenied),));
            };
            code_02(store.data_mut().sockets().resolve_addresses(network, name))
        },
    )
}

type Coded<T, E> = wasmtime::Result<(Result<T, E>,)>;

fn code_02<T>(result: Result<T, wasi_02::SocketError>) -> Coded<T, p2::network::ErrorCode> {
    match result {
        Ok(value) => Ok((Ok(value),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

/// The same for WASI 0.3.
pub(in crate::wasm) fn link_03(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    use p3::types::{
        HostTcpSocket as Tcp, HostUdpSocket as Udp, IpAddressFamily, IpSocketAddress, TcpSocket, UdpSocket,
    };
    let mut types = linker.instance(TYPES_03)?;
    types.func_wrap_async(
        "[method]tcp-socket.bind",
        |mut store, (socket, address): (Resource<TcpSocket>, IpSocketAddress)| {
            Box::new(async move {
                let address = own_if_unspecified(store.data(), address.into());
                code_03(Tcp::bind(&mut store.data_mut().sockets(), socket, address.into()).await)
            })
        },
    )?;
    types.func_wrap_async(
        "[method]udp-socket.bind",
        |mut store, (socket, address): (Resource<UdpSocket>, IpSocketAddress)| {
            Box::new(async move {
                let address = own_if_unspecified(store.data(), address.into());
                code_03(Udp::bind(&mut store.data_mut().sockets(), socket, address.into()).await)
            })
        },
    )?;
    types.func_wrap("[static]tcp-socket.create", |mut store, (family,): (IpAddressFamily,)| {
        store.data().surroundings().reach.tell_of_sockets();
        code_03(Tcp::create(&mut store.data_mut().sockets(), family))
    })?;
    types.func_wrap_async("[static]udp-socket.create", |mut store, (family,): (IpAddressFamily,)| {
        Box::new(async move {
            store.data().surroundings().reach.tell_of_sockets();
            code_03(Udp::create(&mut store.data_mut().sockets(), family).await)
        })
    })?;
    linker.instance(LOOKUP_03)?.func_wrap_concurrent("resolve-addresses", |accessor, (name,): (String,)| {
        Box::pin(async move {
            use p3::ip_name_lookup::ErrorCode;
            let allowed = accessor.with(|mut store| store.data_mut().surroundings().reach.allow_lookup(&name));
            let Some(name) = allowed else { return Ok((Err(ErrorCode::AccessDenied),)) };
            let found = lookup_host((name.trim_matches(['[', ']']), 0)).await;
            let addresses = found.map(|found| {
                found.map(|found| found.ip().to_canonical().into()).collect::<Vec<p3::types::IpAddress>>()
            });
            Ok((addresses.map_err(|_| ErrorCode::NameUnresolvable),))
        })
    })
}

fn code_03<T>(result: Result<T, wasmtime_wasi::p3::sockets::SocketError>) -> Coded<T, p3::types::ErrorCode> {
    match result {
        Ok(value) => Ok((Ok(value),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

#[cfg(test)]
mod tests;
