//! The seam to the other members: how a member's calls reach them. Deliberately absent: addresses' meaning, connections, TLS. Whoever
//! implements [`Peers`] carries messages, whole and in order, to [`Store::answer`](crate::Store::answer) of the member named, and the
//! answers back; it knows who calls.

use std::fmt;
use std::io;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

/// One server of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its number; never used again for another.
    pub id: u64,
    /// What people call it.
    pub name: String,
    /// Where it is reached.
    pub address: String,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "member {} ({})", self.name, self.address)
    }
}

/// What a member asks of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Take these entries of the log; many messages, each answered.
    Append,
    /// Vote for me.
    Vote,
    /// Would you vote for me?
    PreVote,
    /// Take this state in place of the log that I don't have any more; many messages, answered first with where to go on, then at last.
    Install,
    /// Lead in my place.
    Lead,
    /// How far must I be to know all that has been acknowledged?
    ReadIndex,
    /// This is where I am reached now.
    Announce,
}

impl Call {
    /// Every call, with the name it has on the wire.
    pub const ALL: [(Call, &'static str); 7] = [
        (Call::Append, "append"),
        (Call::Vote, "vote"),
        (Call::PreVote, "pre-vote"),
        (Call::Install, "install"),
        (Call::Lead, "lead"),
        (Call::ReadIndex, "read-index"),
        (Call::Announce, "announce"),
    ];
}

/// Messages on their way from one member to another. An error ends them.
pub type Messages = BoxStream<'static, io::Result<Bytes>>;

/// Carries calls to other members.
pub trait Peers: fmt::Debug + Send + Sync + 'static {
    /// Calls `member`: sends `messages` while its answers come back.
    ///
    /// # Errors
    /// It can't be reached, or it refuses the call.
    fn call(
        &self,
        member: &Member,
        call: Call,
        messages: BoxStream<'static, Bytes>,
    ) -> BoxFuture<'static, io::Result<Messages>>;
}

/// A group of one has nobody to reach.
#[derive(Clone, Copy, Debug)]
pub struct NoPeers;

impl Peers for NoPeers {
    fn call(&self, member: &Member, _: Call, _: BoxStream<'static, Bytes>) -> BoxFuture<'static, io::Result<Messages>> {
        let error = io::Error::new(
            io::ErrorKind::NotConnected,
            format!("{member} can't be reached: this member was started alone"),
        );
        Box::pin(async { Err(error) })
    }
}
