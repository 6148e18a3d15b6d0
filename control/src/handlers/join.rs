//! `POST /join`: a machine that shows a token becomes a host, and gets its certificate, or a server, and gets the cluster's keys.
//!
//! All that can be refused is refused first; then the token is bound to the machine, as it was looked at; only then is anything given. So a
//! token is never good for two, no refusal costs it, and a machine that got no answer asks again. A host's Node is there before its
//! certificate, which is for that Node alone.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use coracle_api::join::{Answer, Membership, Request, Role, hash, is_secret};
use coracle_api::kinds::{JOIN_TOKEN, NODE, join_token};
use coracle_api::status::{self, Status};
use coracle_api::{object, validation};
use coracle_store::{Member, MembershipError, Record};
use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Call;
use crate::authentication::host::uid;
use crate::objects::{Part, WriteOptions, decode_record};
use crate::pki::Signable;
use crate::respond;

const BODY_BYTES_MAX: usize = 64 * 1024;
/// How far apart the clocks may be.
const CLOCK_SKEW_MAX: SignedDuration = SignedDuration::from_mins(5);
const RETRY_SECONDS: u32 = 60;

pub(super) async fn join(call: &Call, body: Body) -> Result<Response, Status> {
    if call.method != Method::POST {
        return Err(status::method_not_allowed());
    }
    let source = call.peer.map_or(IpAddr::from(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    let now = call.app.objects.clock().now();
    if !call.app.failed_joins.allow(source, now) {
        let message = format!("too many attempts to join from {source} failed; try again in a minute");
        return Err(status::too_many_requests(message, RETRY_SECONDS));
    }
    let joined = admit(call, body, source, now).await;
    if let Err(refused) = &joined
        && refused.code < 500
    {
        call.app.failed_joins.note(source, now);
        tracing::warn!(%source, reason = refused.message, "a machine is refused that wants to join");
    }
    joined
}

async fn admit(call: &Call, body: Body, source: IpAddr, now: Timestamp) -> Result<Response, Status> {
    let body = call.read_at_most(body, BODY_BYTES_MAX).await?;
    let request: Request = serde_json::from_slice(&body)
        .map_err(|error| status::bad_request(format!("this is no request to join: {error}")))?;
    let token = find_token(call, &request, now).await?;
    let is_again = is_bound(&token, &request)?;
    check_clock(request.time, now)?;
    check_name(&request.name)?;
    check_address(request.address, source)?;
    let answer = match request.role {
        Role::Host => {
            let signable = Signable::from_pem(&request.signing_request)
                .map_err(|_| status::bad_request("the certificate signing request cannot be read"))?;
            if !is_again {
                refuse_living(call, &request.name)?;
                bind(call, token, &request).await?;
            }
            host(call, &request, signable).await?
        }
        Role::Server => {
            let Some(port) = request.port else {
                return Err(status::bad_request("a server says at which port its API is"));
            };
            if !is_again {
                refuse_member(call, &request.name)?;
            }
            let address = SocketAddr::new(request.address, port).to_string();
            refuse_address(call, &request.name, &address)?;
            if !is_again {
                bind(call, token, &request).await?;
            }
            server(call, &request, address).await?
        }
    };
    let _ = call.created.set(request.name.clone());
    tracing::info!(name = request.name, token = request.id, role = %request.role, address = %request.address, "a machine joined");
    let answer = serde_json::to_value(answer).expect("invariant: an answer is plain data");
    Ok(respond::value(StatusCode::OK, &answer))
}

async fn host(call: &Call, request: &Request, signable: Signable) -> Result<Answer, Status> {
    let names = [request.address.to_string(), request.name.clone()];
    let node = register(call, &request.name).await?;
    let certificate = call.app.joining.pki.sign_host(signable, &request.name, &uid(&node), &names);
    Ok(answer(call, certificate.map_err(status::internal)?, None))
}

/// The Node of this name, made if it isn't there. The host itself says what it has.
async fn register(call: &Call, name: &str) -> Result<Arc<Record>, Status> {
    let objects = &call.app.objects;
    let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name } });
    match objects.create(&NODE, None, node, &WriteOptions::default()).await {
        Ok(made) => Ok(made.record),
        // It was lost, or asks again.
        Err(refused) if refused.code == 409 => objects.get(&NODE, None, name).await,
        Err(refused) => Err(refused),
    }
}

/// The new member is known to the others from now on, and taken in as soon as it can be reached.
async fn server(call: &Call, request: &Request, address: String) -> Result<Answer, Status> {
    // No new key for Secrets is given to the members meanwhile.
    let _turn = call.app.objects.sealer().turn().await;
    let files = call.app.cluster_files.read().map_err(status::internal)?;
    let store = call.app.objects.store();
    let member = match store.add_member(&request.name, &address).await {
        Ok(added) => added.id,
        // It was taken in when it first asked, and did not hear of it, or gave an address where nobody reached it.
        Err(MembershipError::Exists(known)) => {
            let id = known.id;
            store.move_member(Member { address, ..known }).await.map_err(super::members::refused)?;
            id
        }
        Err(error) => return Err(super::members::refused(error)),
    };
    Ok(answer(call, String::new(), Some(Membership { member, files })))
}

fn answer(call: &Call, certificate: String, membership: Option<Membership>) -> Answer {
    let members = call.app.objects.store().members().into_iter().filter(|member| member.is_voter);
    Answer {
        ca: call.app.joining.pki.ca_pem().to_owned(),
        certificate,
        servers: members.map(|member| member.member.address).collect(),
        membership,
    }
}

/// The token that is shown, if it is good for what is asked.
async fn find_token(call: &Call, request: &Request, now: Timestamp) -> Result<Value, Status> {
    let found = call.app.objects.get(&JOIN_TOKEN, None, &request.id).await;
    let record = found.map_err(|refused| if refused.code == 404 { unknown() } else { refused })?;
    let token = decode_record(&record);
    let text = |field: &str| object::str_at(&token, &["spec", field]).unwrap_or_default();
    // Hashes are compared, so how long it takes says nothing about the secret.
    if text("secretHash") != hash(request.secret.as_bytes()) {
        return Err(status::unauthorized_because("the token's secret is wrong"));
    }
    if object::is_deleting(&token) {
        return Err(unknown());
    }
    if let Some(expiration) = join_token::expiration(&token).filter(|expiration| *expiration <= now) {
        let message = format!("the token expired at {expiration}; make a new one with `wasmctl token create`");
        return Err(status::unauthorized_because(message));
    }
    if text("role") != request.role.as_str() {
        let (role, wanted) = (text("role"), request.role);
        let message = format!(
            "the token is for a {role}, not for a {wanted}; make another with `wasmctl token create --role {wanted}`"
        );
        return Err(status::unauthorized_because(message));
    }
    Ok(token)
}

/// Was the token bound to this machine before, under this name? One that is another's is good for nothing.
fn is_bound(token: &Value, request: &Request) -> Result<bool, Status> {
    if !is_secret(&request.joiner) {
        return Err(status::bad_request("the machine that joins shows no secret of its own"));
    }
    match join_token::joiner(token) {
        None => Ok(false),
        Some((name, secret_hash)) if name == request.name && secret_hash == hash(request.joiner.as_bytes()) => Ok(true),
        Some((name, _)) => Err(used(name)),
    }
}

fn unknown() -> Status {
    status::unauthorized_because(
        "the token is not known: it was deleted or has expired; make a new one with `wasmctl token create`",
    )
}

fn used(by: &str) -> Status {
    status::unauthorized_because(format!("the token was used by {by}; make a new one with `wasmctl token create`"))
}

fn check_clock(theirs: Timestamp, ours: Timestamp) -> Result<(), Status> {
    let ahead = theirs.duration_since(ours);
    if ahead.abs() <= CLOCK_SKEW_MAX {
        return Ok(());
    }
    let (apart, direction) =
        (SignedDuration::from_secs(ahead.as_secs().abs()), if ahead.is_negative() { "behind" } else { "ahead of" });
    let message =
        format!("the clock of the machine that joins is {apart:#} {direction} the server's; set it, and try again");
    Err(status::bad_request(message))
}

/// The name becomes one of the certificate's: it must not be one by which clients know the API server, or an address.
fn check_name(name: &str) -> Result<(), Status> {
    let refused = |because: &str| Err(status::bad_request(format!("{name:?} cannot be a machine's name: {because}")));
    if let Some(error) = validation::dns1123_subdomain(name).first() {
        return refused(error);
    }
    let first = name.split('.').next().unwrap_or_default();
    if matches!(first, "localhost" | "kubernetes") || name.ends_with(".localhost") {
        return refused("the API server is known by it");
    }
    if name.parse::<IpAddr>().is_ok() {
        return refused("it is an address");
    }
    Ok(())
}

fn check_address(address: IpAddr, source: IpAddr) -> Result<(), Status> {
    let elsewhere =
        address.to_canonical().is_loopback() && !source.to_canonical().is_loopback() && !source.is_unspecified();
    if elsewhere || address.is_unspecified() || address.is_multicast() {
        let message = format!("other machines cannot reach {address}: name an address that they can with --advertise");
        return Err(status::bad_request(message));
    }
    Ok(())
}

/// A name whose host is alive is taken; that of a lost one can be had again.
fn refuse_living(call: &Call, name: &str) -> Result<(), Status> {
    let snapshot = call.app.objects.store().snapshot();
    let Some(record) = snapshot.get(&NODE.key(None, name)) else { return Ok(()) };
    let node = decode_record(&record);
    let conditions = object::list_at(&node, &["status", "conditions"]);
    if !conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True") {
        return Ok(());
    }
    let cause = "a host of this name is alive; choose another name with --name, or stop that host first";
    Err(status::conflict_because(&NODE, name, cause))
}

/// The name of a member is taken, whether it is alive or not: one that lost its folder is not who it was.
fn refuse_member(call: &Call, name: &str) -> Result<(), Status> {
    let members = call.app.objects.store().members();
    match members.into_iter().find(|member| member.member.name == name) {
        None => Ok(()),
        Some(member) => Err(status::bad_request(format!(
            "there is {} already: choose another name with --name, or take that one out with `wasmctl member remove {name}` if it is gone \
             for good",
            member.member
        ))),
    }
}

/// Two members at one address would each be taken for the other.
fn refuse_address(call: &Call, name: &str, address: &str) -> Result<(), Status> {
    let members = call.app.objects.store().members();
    match members.into_iter().find(|member| member.member.address == address && member.member.name != name) {
        None => Ok(()),
        Some(member) => Err(status::bad_request(format!(
            "{} has that address: name this machine's own with --advertise, or another port with --api-addr",
            member.member
        ))),
    }
}

/// Binds the token to the machine, unless another was faster.
async fn bind(call: &Call, mut token: Value, request: &Request) -> Result<(), Status> {
    token["spec"]["joiner"] = json!({ "name": request.name, "secretHash": hash(request.joiner.as_bytes()) });
    let name = object::name(&token).to_owned();
    let options = WriteOptions::default();
    let bound = call.app.objects.update(&JOIN_TOKEN, None, &name, Part::Main, token, &options).await;
    bound.map(drop).map_err(|refused| match refused.code {
        404 => unknown(),
        409 => used("another machine"),
        _ => refused,
    })
}
