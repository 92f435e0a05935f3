//! Keeps one connection: opens it, and opens it again when it is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use virt::connect::Connect;

use super::connection::{self, Access};
use super::error::Error;
use super::inbox::{Happened, Inbox, Next};
use super::pace::Pace;
use super::session::{End, Kept, Session, Updates};
use crate::model::{ConnectionConfig, ConnectionState, Update};

/// The back-off of a connection that can't be opened.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How long an attempt may take. After that it has failed, but its thread goes on, since it can't be interrupted.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many such threads there may be. Then the next attempt waits until one of them ends.
const LEFT_BEHIND: usize = 4;

/// Keeps a connection until the inbox says to stop.
pub(super) fn keep(config: &ConnectionConfig, updates: &Updates, mut inbox: Inbox) {
    let send = |state| updates(Update::State(config.id, state));
    let tries = Arc::new(AtomicUsize::new(0));
    let mut pace = Pace::from(FIRST_WAIT);
    let mut kept = Kept::default();
    send(ConnectionState::Connecting);
    loop {
        let end = match open(config, &mut inbox, &tries) {
            Opened::Stop => return,
            Opened::Failed(reason) => End::Lost(reason),
            Opened::Connect(connect) => {
                match Session::begin(config, connect, updates, &mut kept, &inbox) {
                    Ok(mut session) => {
                        pace = Pace::from(FIRST_WAIT);
                        session.run(&inbox)
                    }
                    Err(error) => End::Lost(error.to_string()),
                }
            }
        };
        // Drop whatever that attempt still sends.
        inbox.begin();
        let reason = match end {
            End::Stop => return,
            End::Lost(reason) => reason,
            End::Idle => {
                send(ConnectionState::Idle);
                if !is_woken(&inbox) {
                    return;
                }
                continue;
            }
        };
        let wait = pace.wait(LONGEST_WAIT);
        send(ConnectionState::Down { reason, retry_in: wait.as_secs_f64().round() as u64 });
        let until = Instant::now() + wait;
        loop {
            match inbox.wait(Some(until)) {
                Next::Due => break,
                Next::Stop => return,
                Next::Happened(_) | Next::Wake => {}
            }
        }
    }
}

/// Waits until a guest may have started; `false` if the keeper must end.
fn is_woken(inbox: &Inbox) -> bool {
    loop {
        match inbox.wait(None) {
            Next::Wake => return true,
            Next::Stop => return false,
            Next::Happened(_) | Next::Due => {}
        }
    }
}

enum Opened {
    Connect(Connect),
    Failed(String),
    Stop,
}

fn open(config: &ConnectionConfig, inbox: &mut Inbox, tries: &Arc<AtomicUsize>) -> Opened {
    let until = Instant::now() + PATIENCE;
    let no_answer = || {
        Opened::Failed(Error::NoAnswer { uri: config.uri.clone(), waited: PATIENCE }.to_string())
    };
    let address = inbox.begin();
    if tries.load(Ordering::Relaxed) < LEFT_BEHIND {
        tries.fetch_add(1, Ordering::Relaxed);
        let under_way = Arc::clone(tries);
        let started =
            connection::open_in_background(&config.uri, Access::ReadOnly, 1, move |opened| {
                under_way.fetch_sub(1, Ordering::Relaxed);
                address.send(Happened::Opened(opened));
            });
        if let Err(error) = started {
            tries.fetch_sub(1, Ordering::Relaxed);
            return Opened::Failed(Error::Thread(error).to_string());
        }
    }
    loop {
        match inbox.wait(Some(until)) {
            Next::Due => return no_answer(),
            Next::Stop => return Opened::Stop,
            Next::Happened(Happened::Opened(Ok(opened))) => {
                if let Some(connect) = opened.into_iter().next() {
                    return Opened::Connect(connect);
                }
            }
            Next::Happened(Happened::Opened(Err(source))) => {
                let error = Error::Connect { uri: config.uri.clone(), source };
                return Opened::Failed(error.to_string());
            }
            Next::Happened(_) | Next::Wake => {}
        }
    }
}
