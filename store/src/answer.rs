//! What this member answers to the others' calls.

use std::fmt::Display;
use std::io;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use openraft::AsyncRuntime as _;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::raft::{AppendEntriesRequest, ReadPolicy, TransferLeaderRequest, VoteRequest};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::election;
use crate::image::{Image, Offer, Partial, Piece, Resume};
use crate::link::{decode, encode, next};
use crate::log::Log;
use crate::membership;
use crate::peers::{Call, Member, Messages};
use crate::raft::{Group, LogId, Raft, RaftSnapshot};
use crate::record::Revision;
use crate::runtime::Runtime;
use crate::store::Store;

/// What a reader on another member must wait for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ReadIndex {
    pub(crate) log_id: LogId,
    /// Every change up to it is in the log up to there.
    pub(crate) revision: Revision,
}

/// The state that is being taken over, or what came of it before it broke off.
pub(crate) type Intake = Mutex<Option<Partial>>;

impl Store {
    /// Answers another member's call. Who calls must have been found to be a member.
    pub fn answer(&self, call: Call, messages: Messages) -> Messages {
        let store = self.clone();
        match call {
            Call::Append => append(&self.shared.raft, self.shared.log.clone(), messages),
            Call::Vote | Call::PreVote => once(vote(self.shared.raft.clone(), call, messages)),
            Call::Install => install(store, messages),
            Call::Lead => once(take_the_lead(self.shared.raft.clone(), messages)),
            Call::Announce => once(note_move(store, messages)),
            Call::ReadIndex => once(async move { store.read_index().await.map(|index| encode(&index)) }),
        }
    }

    async fn read_index(&self) -> io::Result<ReadIndex> {
        let role = *self.shared.roles.borrow_watched();
        if !role.leads() {
            return Err(io::Error::other("this member does not lead"));
        }
        // What is written from here on may come after the entry that is asked for next.
        let revision = self.snapshot().revision;
        let (read_log_id, _) = self.shared.raft.get_read_log_id(ReadPolicy::ReadIndex).await.map_err(failed)?;
        if *self.shared.roles.borrow_watched() != role {
            return Err(io::Error::other("this member ceased to lead meanwhile"));
        }
        Ok(ReadIndex { log_id: *read_log_id.log_id(), revision })
    }
}

fn once(answer: impl Future<Output = io::Result<Bytes>> + Send + 'static) -> Messages {
    stream::once(answer).boxed()
}

fn failed(error: impl Display) -> io::Error {
    io::Error::other(error.to_string())
}

/// Takes entries into the log. What does not fit on the disk ends the stream, as an append that fails would stop this member.
fn append(raft: &Raft, log: Log, messages: Messages) -> Messages {
    let follower = raft.clone();
    let requests: BoxStream<'static, AppendEntriesRequest<Group>> = messages
        .inspect_err(move |_| election::stand_after_lease(&follower))
        .scan(log, |log, message| {
            let log = log.clone();
            async move {
                let request = accept(&log, message).await;
                request.inspect_err(|error| tracing::warn!(%error, "entries of the log are not taken")).ok()
            }
        })
        .boxed();
    raft.stream_append(requests).map(|answer| answer.map(|answer| encode(&answer)).map_err(failed)).boxed()
}

async fn accept(log: &Log, message: io::Result<Bytes>) -> io::Result<AppendEntriesRequest<Group>> {
    let message = message?;
    let request: AppendEntriesRequest<Group> = decode(&message)?;
    if !request.entries.is_empty() {
        log.reserve(message.len(), true).await?;
    }
    Ok(request)
}

async fn vote(raft: Raft, call: Call, mut messages: Messages) -> io::Result<Bytes> {
    let request: VoteRequest<Group> = next(&mut messages).await?;
    let answer = match call {
        Call::PreVote => raft.pre_vote(request).await,
        _ => raft.vote(request).await,
    };
    answer.map(|answer| encode(&answer)).map_err(failed)
}

async fn take_the_lead(raft: Raft, mut messages: Messages) -> io::Result<Bytes> {
    let request: TransferLeaderRequest<Group> = next(&mut messages).await?;
    raft.handle_transfer_leader(request).await.map(|answer| encode(&answer)).map_err(failed)
}

async fn note_move(store: Store, mut messages: Messages) -> io::Result<Bytes> {
    let member: Member = next(&mut messages).await?;
    let noted = membership::note_move(&store.shared.raft, &store.shared.changes, member).await;
    noted.map(|()| encode(&())).map_err(failed)
}

/// Takes over a state: says where to go on, takes pieces until the empty one, installs it.
fn install(store: Store, mut messages: Messages) -> Messages {
    let (answers, receiver) = tokio::sync::mpsc::channel(1);
    Runtime::spawn(async move {
        let result = async {
            let offer: Offer = next(&mut messages).await?;
            let mut intake = store.shared.intake.lock().await;
            let kept = intake.take();
            let partial = intake.insert(Partial::resume(kept, &offer));
            let resume = Resume { after: partial.last() };
            answers.send(Ok(encode(&resume))).await.map_err(failed)?;
            loop {
                let piece: Piece = next(&mut messages).await?;
                if piece.0.is_empty() {
                    break;
                }
                partial.add(piece);
            }
            let (meta, snapshot) = intake.take().expect("it has just been filled").finish();
            if let Err(error) = store.shared.checkpoint.find_room(&snapshot).await {
                tracing::warn!(%error, "the state that the leader sends is not taken over; it will send it again");
                return Err(error);
            }
            let image = Image { snapshot, ephemeral: store.shared.ephemeral };
            let snapshot = RaftSnapshot { meta, snapshot: image };
            let answer = store.shared.raft.install_full_snapshot(offer.vote, snapshot).await.map_err(failed)?;
            Ok(encode(&answer))
        };
        let answer = result.await;
        let _ = answers.send(answer).await;
    });
    stream::unfold(receiver, async |mut receiver| receiver.recv().await.map(|answer| (answer, receiver))).boxed()
}
