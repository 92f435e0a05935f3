//! Messages to a keeper's thread, from libvirt's callbacks and from the threads that work for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::time::Instant;

use virt::connect::Connect;
use virt::error::Error;

use super::agent::{Answer, Failure};
use super::callbacks::Event;

/// Something that happened to one try to keep a connection.
pub(super) enum Happened {
    /// The connection (one) is open, or not.
    Opened(Result<Vec<Connect>, Error>),
    /// The connections for the agents are open, or one of them is not.
    AgentsOpened(Result<Vec<Connect>, Error>),
    /// An event of libvirt's.
    Event(Event),
    /// An agent was asked.
    Asked([u8; 16], Result<Answer, Failure>),
}

/// A message to a keeper.
pub(super) enum Message {
    /// Look at the stop flag.
    Stop,
    /// A guest may have started.
    Wake,
    /// Something happened to the try of this number.
    Happened(u64, Happened),
}

/// What waiting gave.
pub(super) enum Next {
    /// Something happened.
    Happened(Happened),
    /// The time is over.
    Due,
    /// A guest may have started.
    Wake,
    /// The keeper is to end.
    Stop,
}

/// A keeper's end of the channel. What belongs to an earlier try is dropped unread.
pub(super) struct Inbox {
    pub(super) receiver: Receiver<Message>,
    pub(super) sender: Sender<Message>,
    pub(super) stopping: Arc<AtomicBool>,
    /// The number of the current try.
    pub(super) attempt: u64,
}

/// Sends what happens to one try.
#[derive(Clone)]
pub(super) struct Address {
    sender: Sender<Message>,
    attempt: u64,
}

impl Address {
    /// Sends it. A keeper that has ended needs no message.
    pub(super) fn send(&self, happened: Happened) {
        let _ = self.sender.send(Message::Happened(self.attempt, happened));
    }
}

impl Inbox {
    /// Begins another try: what is still to come of the earlier ones doesn't count.
    pub(super) fn begin(&mut self) -> Address {
        self.attempt += 1;
        self.address()
    }

    /// For what belongs to the current try.
    pub(super) fn address(&self) -> Address {
        Address { sender: self.sender.clone(), attempt: self.attempt }
    }

    /// Whether the keeper is to end.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// What has come already: `Due` if nothing has.
    pub(super) fn look(&self) -> Next {
        loop {
            match self.receiver.try_recv() {
                Ok(message) => {
                    if let Some(next) = self.read(message) {
                        return next;
                    }
                }
                Err(TryRecvError::Empty) => return Next::Due,
                Err(TryRecvError::Disconnected) => return Next::Stop,
            }
        }
    }

    /// Waits for something to happen, until a time or for ever.
    pub(super) fn wait(&self, until: Option<Instant>) -> Next {
        loop {
            let received = match until {
                None => self.receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(until) => {
                    self.receiver.recv_timeout(until.saturating_duration_since(Instant::now()))
                }
            };
            match received {
                Ok(message) => {
                    if let Some(next) = self.read(message) {
                        return next;
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Next::Due,
                Err(RecvTimeoutError::Disconnected) => return Next::Stop,
            }
        }
    }

    fn read(&self, message: Message) -> Option<Next> {
        match message {
            _ if self.is_stopping() => Some(Next::Stop),
            Message::Stop => None,
            Message::Wake => Some(Next::Wake),
            Message::Happened(attempt, happened) => {
                (attempt == self.attempt).then_some(Next::Happened(happened))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    fn inbox() -> Inbox {
        let (sender, receiver) = mpsc::channel();
        Inbox { receiver, sender, stopping: Arc::default(), attempt: 0 }
    }

    #[test]
    fn what_belongs_to_an_earlier_try_is_dropped() {
        let mut inbox = inbox();
        let earlier = inbox.begin();
        let current = inbox.begin();
        earlier.send(Happened::Event(Event::Closed("long ago")));
        assert!(matches!(inbox.look(), Next::Due));
        earlier.send(Happened::Event(Event::Closed("long ago")));
        current.send(Happened::Event(Event::Networks));
        assert!(matches!(inbox.look(), Next::Happened(Happened::Event(Event::Networks))));
        let soon = Instant::now() + Duration::from_millis(1);
        assert!(matches!(inbox.wait(Some(soon)), Next::Due));
    }

    #[test]
    fn stop_comes_before_what_is_queued() {
        let mut inbox = inbox();
        inbox.begin().send(Happened::Event(Event::Networks));
        inbox.stopping.store(true, Ordering::Relaxed);
        inbox.sender.send(Message::Stop).unwrap();
        assert!(matches!(inbox.wait(None), Next::Stop));
    }
}
