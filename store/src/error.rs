//! Why an operation of the store failed; one type an operation.

use std::path::PathBuf;

use crate::peers::Member;

/// What a member says of the leader when there seems to be none.
const NO_LEADER: &str = "and knows no other that does: it may reach too few members";

/// Why a store can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("the store in {} is in use by another process: stop it, or use another directory", .0.display())]
    Locked(PathBuf),
    /// A file can't be read or written.
    #[error("the store's file {} can't be used: {cause}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// A file holds something else than what was written to it.
    #[error("the store's file {} is damaged: {reason}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file was written by another version.
    #[error("the store's file {} has format {found}; this version reads format {expected}", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The format it has.
        found: u32,
        /// The format expected.
        expected: u32,
    },
    /// It may be another member's.
    #[error("the store in {} is of one of several members, and it is not known of which", .0.display())]
    Unsure(PathBuf),
    /// Consensus did not start.
    #[error("the store did not start: {0}")]
    Consensus(String),
}

/// Why a store can't be made of records.
#[derive(Debug, thiserror::Error)]
#[error("the store in {} can't be written: {cause}", .dir.display())]
pub struct RestoreError {
    /// Its folder.
    pub dir: PathBuf,
    /// What the system says.
    pub cause: std::io::Error,
}

/// Why a write was not acknowledged.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// The writes are larger than one proposal may be.
    #[error("a write of {bytes} bytes is over the limit of {limit}")]
    TooLarge {
        /// Their size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Another member leads. Nothing was written.
    #[error("this member does not lead, {}", .leader.map_or(NO_LEADER.to_owned(), |id| format!("member {id} does")))]
    NotLeader {
        /// The leader, if known.
        leader: Option<u64>,
    },
    /// This member ceased to lead meanwhile. Whether the write happened is not known.
    #[error("this member ceased to lead while it wrote, and whether the write happened is not known")]
    LeaderChanged,
    /// The disk failed: what it holds is not known, so nothing is written any more until the process starts again. Reads go on. Whether
    /// this write happened is known after that start.
    #[error("the store's disk failed, and nothing is written any more until this member is started again: {0}")]
    DiskFailed(String),
    /// Too few members answered in time. Whether the write happened is not known.
    #[error("the write was not confirmed by a quorum within {waited_s} s{}", unanswered(.silent))]
    NoQuorum {
        /// Seconds waited.
        waited_s: u64,
        /// The members that are silent.
        silent: Vec<Member>,
    },
    /// The store is shut down. Whether the write happened is not known.
    #[error("the store has stopped")]
    Stopped,
}

fn unanswered(members: &[Member]) -> String {
    match members {
        [] => String::new(),
        _ => format!(": no answer from {}", members.iter().map(Member::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// Why a read was not answered.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// No quorum confirmed that this member still leads.
    #[error("the read could not be confirmed by a quorum: {0}")]
    NoQuorum(String),
    /// The store is shut down.
    #[error("the store has stopped")]
    Stopped,
}

/// Why the group's members did not change.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MembershipError {
    /// Another member leads.
    #[error("this member does not lead, {}", .leader.as_ref().map_or(NO_LEADER.to_owned(), |leader| format!("{leader} does")))]
    NotLeader {
        /// The leader, if known.
        leader: Option<Member>,
    },
    /// There is one of that name.
    #[error("there is {0} already: remove it first if it is gone for good")]
    Exists(Member),
    /// There is none of that name.
    #[error("there is no member {0}")]
    Unknown(String),
    /// Nobody would be left.
    #[error("{0} is the only one that votes, and can't be removed")]
    LastVoter(Member),
    /// Too few of the others answer.
    #[error("without {member} no quorum would be left{}", unanswered(.silent))]
    QuorumAtRisk {
        /// Who was to be removed.
        member: Member,
        /// The others that are silent.
        silent: Vec<Member>,
    },
    /// Another change is not through.
    #[error("another change of the members is under way and waits for a quorum; nothing was done")]
    Busy,
    /// Too few members answered in time. The change may still happen.
    #[error("the change was not confirmed by a quorum within {waited_s} s, and may still happen")]
    NoQuorum {
        /// Seconds waited.
        waited_s: u64,
    },
    /// Consensus did not do it.
    #[error("whether the members changed is not known: {0}")]
    Failed(String),
}

/// Why a shutdown was not clean. Nothing acknowledged is lost; the next start replays the log.
#[derive(Debug, thiserror::Error)]
#[error("the store did not shut down cleanly: {0}")]
pub struct ShutdownError(pub(crate) String);
