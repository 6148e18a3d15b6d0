//! The log as the consensus library asks for it.

use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::sync::Arc;

use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use openraft::{EntryPayload, OptionalSend};

use super::{Done, Item, Job, Log};
use crate::fault::{self, Mutation};
use crate::raft::{Entry, Group, LogId, Vote};
use crate::write::Write;

/// Bytes of entries that one message to a member carries, about.
const MESSAGE_BYTES: usize = 1 << 20;

fn weight(entry: &Entry) -> usize {
    match &entry.payload {
        EntryPayload::Normal(command) => command.writes.iter().map(Write::weight).sum(),
        EntryPayload::Blank | EntryPayload::Membership(_) => 0,
    }
}

impl RaftLogReader<Group> for Log {
    async fn try_get_log_entries<Range>(&mut self, range: Range) -> Result<Vec<Entry>, io::Error>
    where
        Range: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        Ok(self.contents.lock().entries.range(range).map(|(_, entry)| Entry::clone(entry)).collect())
    }

    /// As many as a message carries well, and at least one; none if the first is purged. Whoever asks takes what comes for the first.
    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        let mut bytes = 0;
        let is_in = |(_, entry): &(&u64, &Arc<Entry>)| {
            let fits = bytes < MESSAGE_BYTES;
            bytes += weight(entry);
            fits
        };
        let contents = self.contents.lock();
        if contents.purged.is_some_and(|purged| start <= purged.index) {
            return Ok(Vec::new());
        }
        Ok(contents.entries.range(start..end).take_while(is_in).map(|(_, entry)| Entry::clone(entry)).collect())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.contents.lock().vote)
    }
}

impl RaftLogStorage<Group> for Log {
    type LogReader = Log;

    async fn get_log_state(&mut self) -> Result<LogState<Group>, io::Error> {
        let contents = self.contents.lock();
        Ok(LogState { last_purged_log_id: contents.purged, last_log_id: contents.last() })
    }

    async fn get_log_reader(&mut self) -> Log {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        if !fault::is_mutated(Mutation::ForgetVote) {
            self.write(vec![Item::Vote(*vote)]).await?;
        }
        self.contents.lock().apply(Item::Vote(*vote));
        Ok(())
    }

    async fn append<Entries>(&mut self, entries: Entries, callback: IOFlushed<Group>) -> Result<(), io::Error>
    where
        Entries: IntoIterator<Item = Entry> + OptionalSend,
        Entries::IntoIter: OptionalSend,
    {
        let items: Vec<Item> = entries.into_iter().map(|entry| Item::Entry(Arc::new(entry))).collect();
        {
            let mut contents = self.contents.lock();
            items.iter().cloned().for_each(|item| contents.apply(item));
        }
        if fault::is_mutated(Mutation::AcknowledgeBeforeSync) {
            callback.io_completed(Ok(()));
            return self.send(Job::Write(items, Done::Nobody));
        }
        self.send(Job::Write(items, Done::Raft(callback)))
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let item = Item::TruncateAfter(last.map(|log_id| log_id.index));
        self.contents.lock().apply(item.clone());
        self.write(vec![item]).await
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), io::Error> {
        self.contents.lock().apply(Item::Purge(log_id));
        self.write(vec![Item::Purge(log_id)]).await
    }
}
