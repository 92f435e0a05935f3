//! Messages to a keeper's thread, from libvirt's callbacks and from its worker threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::time::Instant;

use virt::connect::Connect;
use virt::error::Error;

use super::agent::{Answer, Failure};
use super::callbacks::Event;

/// Something that happened in one attempt to keep a connection.
pub(super) enum Happened {
    /// The connection (one) was opened, or failed to open.
    Opened(Result<Vec<Connect>, Error>),
    /// The connections for the agents were opened, or one of them failed to.
    AgentsOpened(Result<Vec<Connect>, Error>),
    /// An event from libvirt.
    Event(Event),
    /// An agent was queried.
    Asked([u8; 16], Result<Answer, Failure>),
}

/// A message to a keeper.
pub(super) enum Message {
    /// The stop flag was set.
    Stop,
    /// A guest may have started.
    Wake,
    /// Something happened in the attempt with this number.
    Happened(u64, Happened),
}

/// What ended a wait.
pub(super) enum Next {
    /// Something happened.
    Happened(Happened),
    /// The timeout.
    Due,
    /// A guest may have started.
    Wake,
    /// The keeper must end.
    Stop,
}

/// A keeper's end of the channel. Messages of earlier attempts are dropped.
pub(super) struct Inbox {
    pub(super) receiver: Receiver<Message>,
    pub(super) sender: Sender<Message>,
    pub(super) stopping: Arc<AtomicBool>,
    /// The number of the current attempt.
    pub(super) attempt: u64,
}

/// Sends messages on behalf of one attempt.
#[derive(Clone)]
pub(super) struct Address {
    sender: Sender<Message>,
    attempt: u64,
}

impl Address {
    /// Sends a message, unless the keeper has ended.
    pub(super) fn send(&self, happened: Happened) {
        let _ = self.sender.send(Message::Happened(self.attempt, happened));
    }
}

impl Inbox {
    /// Begins another attempt: from now on, messages of earlier ones are dropped.
    pub(super) fn begin(&mut self) -> Address {
        self.attempt += 1;
        self.address()
    }

    /// The address for the current attempt.
    pub(super) fn address(&self) -> Address {
        Address { sender: self.sender.clone(), attempt: self.attempt }
    }

    /// Whether the keeper must end.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Returns what has already arrived, or `Due` if nothing has.
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

    /// Waits until something happens, or until a time; `None`: for ever.
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
    fn messages_of_earlier_attempts_are_dropped() {
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
    fn stop_comes_before_queued_messages() {
        let mut inbox = inbox();
        inbox.begin().send(Happened::Event(Event::Networks));
        inbox.stopping.store(true, Ordering::Relaxed);
        inbox.sender.send(Message::Stop).unwrap();
        assert!(matches!(inbox.wait(None), Next::Stop));
    }
}
