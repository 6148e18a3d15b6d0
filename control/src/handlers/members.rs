//! The control plane's own members: `GET /coracle/members`, and `DELETE /coracle/members/NAME`.
//!
//! Deliberately absent: adding one, which is what joining does.

use axum::response::Response;
use coracle_api::status::{self, Status};
use coracle_store::{MemberStatus, MembershipError};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::Call;
use crate::respond;

pub(super) async fn members(call: &Call, name: Option<&str>) -> Result<Response, Status> {
    let store = call.app.objects.store();
    match (&call.method, name) {
        (&Method::GET, None) => {
            // Who follows is asked only where the one that led last does not answer.
            let leads = store.is_leader();
            let items: Vec<Value> = store.members().iter().map(|member| shown(member, leads)).collect();
            let list = json!({ "kind": "MemberList", "apiVersion": "coracle.dev/v1", "items": items });
            Ok(respond::value(StatusCode::OK, &list))
        }
        (&Method::DELETE, Some(name)) => {
            let gone = store.remove_member(name).await.map_err(refused)?;
            Ok(respond::value(StatusCode::OK, &json!({ "name": gone.name, "address": gone.address })))
        }
        _ => Err(status::method_not_allowed()),
    }
}

fn shown(member: &MemberStatus, is_led: bool) -> Value {
    let role = match (member.is_leader && is_led, member.is_voter) {
        (true, _) => "leader",
        (false, true) => "voter",
        (false, false) => "learner",
    };
    json!({
        "name": member.member.name,
        "address": member.member.address,
        "role": role,
        "lag": member.lag,
        "silenceMs": member.silence.map(|silence| u64::try_from(silence.as_millis()).unwrap_or(u64::MAX)),
    })
}

pub(super) fn refused(error: MembershipError) -> Status {
    match error {
        MembershipError::Unknown(_) => Status { message: error.to_string(), ..status::unknown_resource() },
        MembershipError::LastVoter(_) | MembershipError::Exists(_) | MembershipError::QuorumAtRisk { .. } => {
            status::bad_request(error.to_string())
        }
        MembershipError::NoQuorum { .. } => status::timeout(error),
        MembershipError::NotLeader { .. } | MembershipError::Busy | MembershipError::Failed(_) => {
            status::service_unavailable(error.to_string())
        }
    }
}
