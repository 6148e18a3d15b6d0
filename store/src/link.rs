//! One member's line to another, as the consensus library asks for it: encodes what it sends, decodes the answers.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::{BoxFuture, ready};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendError, StreamAppendResult,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{AsyncRuntime as _, OptionalSend};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::image::{Image, Offer, Piece, Resume};
use crate::log::Log;
use crate::peers::{Call, Member, Messages, Peers};
use crate::raft::{Group, RaftSnapshot, Vote};
use crate::runtime::Runtime;
use crate::snapshot::Snapshot;

/// Where the members are reached, as the group knows it now. A line that lasts must follow a member that moves.
pub(crate) type Directory = Arc<Mutex<BTreeMap<u64, Member>>>;

/// Makes links.
#[derive(Clone)]
pub(crate) struct Links {
    pub(crate) peers: Arc<dyn Peers>,
    pub(crate) directory: Directory,
    /// This member's.
    pub(crate) log: Log,
}

/// A line to one member.
#[derive(Clone)]
pub(crate) struct Link {
    links: Links,
    member: Member,
}

pub(crate) fn encode<T: Serialize>(message: &T) -> Bytes {
    postcard::to_stdvec(message).expect("a message can be encoded").into()
}

pub(crate) fn decode<T: DeserializeOwned>(message: &[u8]) -> io::Result<T> {
    postcard::from_bytes(message).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The other side's next message; that there is none is an error.
pub(crate) async fn next<T: DeserializeOwned>(messages: &mut Messages) -> io::Result<T> {
    match messages.next().await {
        Some(message) => decode(&message?),
        None => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the member says no more")),
    }
}

fn unreachable(error: &(impl Display + ?Sized)) -> RPCError<Group> {
    RPCError::Unreachable(Unreachable::new(&io::Error::other(error.to_string())))
}

impl RaftNetworkFactory<Group> for Links {
    type Network = Link;

    async fn new_client(&mut self, _id: u64, member: &Member) -> Link {
        Link { links: self.clone(), member: member.clone() }
    }
}

impl Link {
    pub(crate) fn new(links: Links, member: Member) -> Link {
        Link { links, member }
    }

    async fn call(&self, call: Call, messages: BoxStream<'static, Bytes>) -> io::Result<Messages> {
        let known = self.links.directory.lock().get(&self.member.id).cloned();
        self.links.peers.call(known.as_ref().unwrap_or(&self.member), call, messages).await
    }

    /// One message, one answer.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        call: Call,
        message: &(impl Serialize + Sync),
    ) -> io::Result<T> {
        let message = encode(message);
        let mut answers = self.call(call, stream::once(async { message }).boxed()).await?;
        next(&mut answers).await
    }

    async fn ask_in_time<T: DeserializeOwned>(
        &self,
        call: Call,
        message: &(impl Serialize + Sync),
        option: &RPCOption,
    ) -> Result<T, RPCError<Group>> {
        match Runtime::timeout(option.soft_ttl(), self.ask(call, message)).await {
            Ok(answer) => answer.map_err(|error| unreachable(&error)),
            Err(elapsed) => Err(unreachable(&elapsed)),
        }
    }

    /// Sends a whole state, from where the member says it has it.
    async fn send(&self, offer: Offer, snapshot: Snapshot) -> io::Result<SnapshotResponse<Group>> {
        let (resume, resumed) = oneshot::channel::<Resume>();
        let pieces = stream::once(resumed).flat_map(move |resumed| match resumed {
            Ok(resume) => pieces(snapshot.clone(), resume.after).boxed(),
            Err(_) => stream::empty().boxed(),
        });
        let offer = encode(&offer);
        let messages = stream::once(async { offer }).chain(pieces).boxed();
        let mut answers = self.call(Call::Install, messages).await?;
        let _ = resume.send(next(&mut answers).await?);
        next(&mut answers).await
    }
}

/// The records after a key, in pieces, and the empty one that ends them.
fn pieces(snapshot: Snapshot, after: Option<Arc<str>>) -> impl Stream<Item = Bytes> {
    stream::unfold(Some(after), move |after| {
        let piece = after.map(|after| Piece::cut(&snapshot, after.as_deref()));
        async move {
            let piece = piece?;
            let next = piece.0.last().map(|record| Some(record.key.clone()));
            Some((encode(&piece), next))
        }
    })
}

impl RaftNetworkV2<Group> for Link {
    type SnapshotData = Image;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Group>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Group>, RPCError<Group>> {
        let answer: StreamAppendResult<Group> = self.ask_in_time(Call::Append, &request, &option).await?;
        Ok(match answer {
            Ok(matching) => AppendEntriesResponse::PartialSuccess(matching),
            Err(StreamAppendError::Conflict(_)) => AppendEntriesResponse::Conflict,
            Err(StreamAppendError::HigherVote(vote)) => AppendEntriesResponse::HigherVote(vote),
        })
    }

    fn stream_append<'s, S>(
        &'s mut self,
        requests: S,
        _option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Result<StreamAppendResult<Group>, RPCError<Group>>>, RPCError<Group>>>
    where
        S: Stream<Item = AppendEntriesRequest<Group>> + OptionalSend + Unpin + 'static,
    {
        let log = self.links.log.clone();
        let mut requests = requests.peekable();
        Box::pin(async move {
            // After a failure the pause before the next attempt is a pause before the first request.
            match Pin::new(&mut requests).peek().await {
                None => return Ok(stream::empty().boxed()),
                Some(first) if !log.goes_on_after(first.prev_log_id.as_ref()) => {
                    return Err(unreachable("what the member lacks has just been purged: it needs the whole state"));
                }
                Some(_) => {}
            }
            let messages = requests
                .take_while(move |request| ready(log.goes_on_after(request.prev_log_id.as_ref())))
                .map(|request| encode(&request));
            let (listening, gone) = oneshot::channel::<()>();
            // Who sends them may keep them when the answers have ended; and as the next call takes its requests from the same place, one
            // that is taken for this call would be sent to nobody.
            let messages = messages.take_until(gone);
            let answers = self.call(Call::Append, messages.boxed()).await.map_err(|error| unreachable(&error))?;
            let results = answers.map(|answer| {
                let decoded = answer.and_then(|answer| decode::<StreamAppendResult<Group>>(&answer));
                decoded.map_err(|error| unreachable(&error))
            });
            let next = async |(mut results, listening): (BoxStream<'static, _>, _)| {
                let result = results.next().await?;
                Some((result, (results, listening)))
            };
            Ok(stream::unfold((results.boxed(), listening), next).boxed())
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Group>,
        option: RPCOption,
    ) -> Result<VoteResponse<Group>, RPCError<Group>> {
        self.ask_in_time(Call::Vote, &request, &option).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Group>,
        option: RPCOption,
    ) -> Result<VoteResponse<Group>, RPCError<Group>> {
        self.ask_in_time(Call::PreVote, &request, &option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: RaftSnapshot,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Group>, StreamingError<Group>> {
        let image = snapshot.snapshot.durable();
        let offer = Offer { vote, meta: snapshot.meta, revision: image.revision };
        tokio::select! {
            biased;
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = self.send(offer, image) => sent.map_err(|error| unreachable(&error).into()),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Group>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Group>, RPCError<Group>> {
        self.ask_in_time(Call::Lead, &request, &option).await
    }
}
