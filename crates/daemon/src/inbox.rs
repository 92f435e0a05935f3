//! Messages from other threads to the main loop, which waits for them with poll(2).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{Errno, read, write};

use crate::model::Update;

/// The main loop's end.
pub struct Inbox {
    receiver: Receiver<(u64, Update)>,
    sender: Sender<(u64, Update)>,
    /// Readable while there may be something.
    bell: Arc<OwnedFd>,
    /// Of the senders that count.
    generation: u64,
    /// The latest of those that were made.
    latest: u64,
}

/// The others' end.
#[derive(Clone)]
pub struct Outbox {
    sender: Sender<(u64, Update)>,
    bell: Arc<OwnedFd>,
    generation: u64,
}

impl Inbox {
    /// An empty inbox.
    ///
    /// # Errors
    /// Out of file descriptors.
    pub fn new() -> io::Result<Self> {
        let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (sender, receiver) = channel();
        Ok(Self { receiver, sender, bell, generation: 0, latest: 0 })
    }

    /// Opens a new outbox. Its updates count once [`Inbox::switch_to`] is called.
    pub fn open(&mut self) -> Outbox {
        self.latest += 1;
        let Self { sender, bell, latest, .. } = self;
        Outbox { sender: sender.clone(), bell: bell.clone(), generation: *latest }
    }

    /// From now on, only updates from this outbox count, including those that it has already sent.
    pub fn switch_to(&mut self, outbox: &Outbox) {
        self.generation = outbox.generation;
    }

    /// The updates that have arrived.
    pub fn take(&self) -> impl Iterator<Item = Update> {
        // An error only means that the bell hasn't rung.
        let _ = read(&*self.bell, &mut [0; 8]);
        let generation = self.generation;
        self.receiver.try_iter().filter(move |&(of, _)| of == generation).map(|(_, update)| update)
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

impl Outbox {
    /// Sends an update.
    pub fn put(&self, update: Update) {
        // Without a receiver the daemon has ended.
        if self.sender.send((self.generation, update)).is_err() {
            return;
        }
        // AGAIN: the counter is full, so the main loop has something to read anyway.
        while write(&*self.bell, &1u64.to_ne_bytes()) == Err(Errno::INTR) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ConnectionId;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    fn rings(inbox: &Inbox) -> bool {
        let mut fds = [PollFd::new(inbox, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
    }

    #[test]
    fn updates_from_old_outboxes_are_dropped() {
        let mut inbox = Inbox::new().unwrap();
        assert!(!rings(&inbox));
        let old = inbox.open();
        inbox.switch_to(&old);
        let update = |uuid| Update::Gone(ConnectionId(0), [uuid; 16]);
        old.put(update(1));
        assert!(rings(&inbox));
        assert_eq!(inbox.take().collect::<Vec<_>>(), [update(1)]);
        assert!(!rings(&inbox));
        old.put(update(2));
        let new = inbox.open();
        inbox.switch_to(&new);
        old.put(update(3));
        inbox.open().put(update(5));
        std::thread::scope(|scope| {
            scope.spawn(|| new.put(update(4)));
        });
        assert_eq!(inbox.take().collect::<Vec<_>>(), [update(4)]);
        assert!(!rings(&inbox));
    }
}
