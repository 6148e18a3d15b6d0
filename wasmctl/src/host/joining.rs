//! How a machine becomes a host of a cluster: it makes a key that never leaves it, and shows a token.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};

use coracle_api::join::Role;
use coracle_client::join::{self, Applicant, Invitation};

use super::Membership;
use super::renewal::KeyRequest;
use crate::context::now;
use crate::daemon::{Advertised, machine_name};
use crate::data_dir::DataDir;
use crate::failure::{Failure, Result};
use crate::joiner;

/// Joins, and keeps what comes of it. The name is the machine's unless one is given, and the address the one it reaches the server from.
pub(crate) async fn join(
    data_dir: &DataDir,
    invitation: &Invitation,
    name: Option<String>,
    advertise: Option<&str>,
) -> Result<Membership> {
    let name = name.unwrap_or_else(machine_name);
    let address = match advertise {
        Some(advertise) => Advertised::look_up(advertise)?.ip,
        None => own_address(&invitation.server)?,
    };
    let KeyRequest { key_pem, signing_request } = KeyRequest::new()?;
    let secret = joiner::secret(data_dir)?;
    let applicant =
        Applicant { role: Role::Host, secret, name: name.clone(), address, port: None, signing_request, time: now() };
    let answer = join::join(invitation, applicant).await?;
    let membership = Membership::new(name, address, answer, key_pem);
    membership.save(data_dir)?;
    joiner::forget(data_dir)?;
    Ok(membership)
}

/// The address from which this machine reaches another: nothing is sent to find out.
fn own_address(server: &str) -> Result<IpAddr> {
    let look = || -> std::io::Result<IpAddr> {
        let server = server.to_socket_addrs()?.next().ok_or(std::io::ErrorKind::NotFound)?;
        let any: SocketAddr = match server {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any)?;
        socket.connect(server)?;
        Ok(socket.local_addr()?.ip())
    };
    look().map_err(|error| {
        Failure::new(format!("this machine did not join: cannot reach a server at {server}: {error}"))
            .hint("check the address behind the @")
    })
}
