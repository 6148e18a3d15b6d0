//! `POST /coracle/certificate`: a host gets its next certificate, on a connection that shows the one it has.
//!
//! What the host has is what it gets, for a new key and another time; so nobody has to approve of it, and every member can sign it,
//! whether there is a leader or not. Deliberately absent: certificates for anybody else, which are CertificateSigningRequests.

use axum::body::Body;
use axum::response::Response;
use coracle_api::renewal::{Answer, Request};
use coracle_api::status::{self, Status};
use coracle_net::identity::Validity;
use http::{Method, StatusCode};

use super::Call;
use crate::pki::Signable;
use crate::respond;

const BODY_BYTES_MAX: usize = 16 * 1024;

pub(super) async fn renew(call: &Call, body: Body) -> Result<Response, Status> {
    if call.method != Method::POST {
        return Err(status::method_not_allowed());
    }
    let refused = |because: &str| Err(status::forbidden_path(&format!("User {:?} {because}", call.user.name)));
    // Neither a token nor speaking for a host is enough.
    let (Some(certificate), Some(node)) = (&call.certificate, call.connected.node()) else {
        return refused("is no host that shows its certificate");
    };
    if call.user != call.connected {
        return refused("is not whom the connection's certificate names");
    }
    let now = call.app.objects.clock().now();
    if Validity::of(certificate).is_none_or(|validity| now > validity.not_after) {
        return refused("shows a certificate that has expired");
    }
    let body = call.read_at_most(body, BODY_BYTES_MAX).await?;
    let request: Request = serde_json::from_slice(&body)
        .map_err(|error| status::bad_request(format!("this is no request for a certificate: {error}")))?;
    let signable = Signable::from_pem(&request.signing_request)
        .map_err(|_| status::bad_request("the certificate signing request cannot be read"))?;
    let renewed = call.app.joining.pki.renew_host(signable, node, &call.connected.uid, certificate);
    let answer = Answer { certificate: renewed.map_err(status::internal)? };
    let answer = serde_json::to_value(answer).expect("invariant: an answer is plain data");
    Ok(respond::value(StatusCode::OK, &answer))
}
