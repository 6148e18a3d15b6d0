//! The control plane's own members: `GET /coracle/members`, and `DELETE /coracle/members/NAME`.
//!
//! Deliberately absent: adding one, which is what joining does.

use std::time::Duration;

use axum::response::Response;
use coracle_api::status::{self, Status};
use coracle_store::{MemberStatus, MembershipError};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::Call;
use crate::respond;

/// A voter that the leader has not heard for so long may follow another.
const FOLLOWER_SILENCE_MAX: Duration = Duration::from_secs(2);

pub(super) async fn members(call: &Call, name: Option<&str>) -> Result<Response, Status> {
    let store = call.app.objects.store();
    match (&call.method, name) {
        (&Method::GET, None) => {
            // Who follows is asked only where the one that led last does not answer.
            let members = store.members();
            let is_led = store.is_leader() && is_followed(&members);
            let items: Vec<Value> = members.iter().map(|member| shown(member, is_led)).collect();
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

/// Whether enough voters have answered the leader, who made this list, of late: else another may lead by now, or nobody.
fn is_followed(members: &[MemberStatus]) -> bool {
    let is_heard = |member: &&MemberStatus| {
        member.is_leader || member.silence.is_some_and(|silence| silence < FOLLOWER_SILENCE_MAX)
    };
    let voters = members.iter().filter(|member| member.is_voter);
    2 * voters.clone().filter(is_heard).count() > voters.count()
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
        MembershipError::NotLeader { .. } => status::no_leader(error.to_string()),
        MembershipError::Busy | MembershipError::Failed(_) => status::service_unavailable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use coracle_store::Member;

    use super::*;

    #[test]
    fn a_leader_is_followed_by_most_voters() {
        let member = |id: u64, is_voter: bool, silence_ms: Option<u64>| MemberStatus {
            member: Member { id, name: format!("m{id}"), address: String::new() },
            is_voter,
            is_leader: id == 1,
            lag: None,
            silence: silence_ms.map(Duration::from_millis),
        };
        let check = |others: &[(bool, Option<u64>)], expected: bool| {
            let others = others.iter().zip(2..).map(|((is_voter, silence), id)| member(id, *is_voter, *silence));
            let members: Vec<_> = std::iter::once(member(1, true, None)).chain(others).collect();
            assert_eq!(is_followed(&members), expected, "{members:?}");
        };
        check(&[], true);
        check(&[(true, Some(100))], true);
        check(&[(true, Some(2_000))], false);
        check(&[(true, None), (true, Some(100))], true);
        check(&[(true, None), (true, Some(90_000))], false);
        check(&[(true, None), (true, None), (false, Some(100))], false);
    }
}
