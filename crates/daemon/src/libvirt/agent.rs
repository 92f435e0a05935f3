//! Queries guest agents, so that one that hangs blocks nothing else.
//!
//! Each worker queries one guest at a time. Guests that did not answer last time are in the slow lane, which has its
//! own worker, so guests that answer never wait for those that don't.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::ErrorNumber;
use virt::sys;

use super::error::{is, is_unsupported, words};
use super::host_keys::{self, HostKeys};
use super::raw::{self, Asked, Interface};
use super::threads;

/// The number of workers. Each has its own connection, since up to libvirt 9.10 a call may wait until another thread's
/// call on the same connection ends (a lost wake-up in libvirt's client, fixed in 10.0), and that call may be to an agent
/// that hangs.
pub(super) const WORKERS: usize = 3;

/// How long to wait in the quick lane for a guest that has not answered before.
const FIRST_PATIENCE: Duration = Duration::from_secs(1);

/// What an agent reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The guest's host name, if the agent reports it. Unchecked.
    pub(super) host_name: Option<String>,
    /// Its interfaces. Unchecked.
    pub(super) interfaces: Vec<Interface>,
    /// Its SSH server's keys.
    pub(super) host_keys: HostKeys,
}

/// What to query an agent for, besides host name and addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Questions {
    /// Whether to read the host keys.
    pub(super) host_keys: bool,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The agent did not answer in time, so the next query belongs in the slow lane. Holds libvirt's message.
    TimedOut(String),
    /// libvirt or the agent refused. Holds libvirt's message.
    Refused(String),
    /// The guest is paused. What it reported before still counts.
    NotRunning,
    /// This libvirt can't limit the time that an agent takes (before 5.10), so none of its agents are queried.
    NoTimeout,
}

/// Queries one guest at a time. Each worker has its own.
pub(super) trait Ask: Send + 'static {
    /// Blocks until the agent of the guest with this UUID has answered, or for about `patience`.
    fn ask(
        &self,
        guest: [u8; 16],
        questions: Questions,
        patience: Duration,
    ) -> Result<Answer, Failure>;
}

/// Which worker queries a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Guests that have answered before, or that were never queried. The latter get [`FIRST_PATIENCE`].
    Quick {
        /// Whether it has answered before.
        known: bool,
    },
    /// Guests that did not answer in time.
    Slow,
}

/// The workers of one connection. When it is dropped, they end as soon as their current calls return.
pub(super) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    queues: Mutex<Queues>,
    quick: Condvar,
    slow: Condvar,
}

#[derive(Default)]
struct Queues {
    quick: VecDeque<([u8; 16], Questions, bool)>,
    slow: VecDeque<([u8; 16], Questions)>,
    closed: bool,
}

impl Pool {
    /// Starts a worker for each of `asks`; the last one serves the slow lane. They call `answered` with each guest's UUID
    /// and answer.
    ///
    /// # Errors
    /// A thread can't be started.
    pub(super) fn start(
        asks: Vec<impl Ask>,
        patience: Duration,
        answered: impl Fn([u8; 16], Result<Answer, Failure>) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queues: Mutex::default(),
            quick: Condvar::new(),
            slow: Condvar::new(),
        });
        let pool = Self { shared: Arc::clone(&shared) };
        let answered = Arc::new(answered);
        let last = asks.len().saturating_sub(1);
        for (number, ask) in asks.into_iter().enumerate() {
            let (shared, answered) = (Arc::clone(&shared), Arc::clone(&answered));
            if number == last {
                threads::spawn("slow-agents", move || {
                    while let Some((guest, questions)) =
                        shared.next(&shared.slow, |q| q.slow.pop_front())
                    {
                        answered(guest, ask.ask(guest, questions, patience));
                    }
                })?;
            } else {
                threads::spawn("agents", move || {
                    while let Some((guest, questions, known)) =
                        shared.next(&shared.quick, |q| q.quick.pop_front())
                    {
                        let patience = if known { patience } else { patience.min(FIRST_PATIENCE) };
                        answered(guest, ask.ask(guest, questions, patience));
                    }
                })?;
            }
        }
        Ok(pool)
    }

    /// Queues a guest, to be queried as soon as a worker of its lane is free.
    pub(super) fn put(&self, guest: [u8; 16], questions: Questions, lane: Lane) {
        let mut queues = self.shared.lock();
        match lane {
            Lane::Quick { known } => {
                queues.quick.push_back((guest, questions, known));
                self.shared.quick.notify_one();
            }
            Lane::Slow => {
                queues.slow.push_back((guest, questions));
                self.shared.slow.notify_one();
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut queues = self.shared.lock();
        *queues = Queues { closed: true, ..Queues::default() };
        self.shared.quick.notify_all();
        self.shared.slow.notify_all();
    }
}

impl Shared {
    /// Ignores poisoning: each change leaves the queues consistent, so a panic elsewhere can't break them.
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next guest of a lane; `None` when the pool is dropped.
    fn next<T>(&self, lane: &Condvar, take: impl Fn(&mut Queues) -> Option<T>) -> Option<T> {
        let mut queues = self.lock();
        loop {
            if queues.closed {
                return None;
            }
            if let Some(guest) = take(&mut queues) {
                return Some(guest);
            }
            queues = lane.wait(queues).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// One worker's access to the agents of a connection's guests.
pub(super) struct Agents {
    /// Read-write, and used only by this worker.
    pub(super) connect: Connect,
}

impl Ask for Agents {
    /// libvirt's time limit for agent commands is a property of the domain, not of the call, and other users (such as a
    /// backup that freezes file systems) rely on libvirt's default, which is to wait for ever. So the limit is reset after
    /// these calls.
    fn ask(
        &self,
        guest: [u8; 16],
        questions: Questions,
        patience: Duration,
    ) -> Result<Answer, Failure> {
        let domain = self
            .connect
            .lookup_domain_by_uuid(uuid::Uuid::from_bytes(guest))
            .map_err(|error| failure(&error))?;
        let seconds = i32::try_from(patience.as_secs()).unwrap_or(i32::MAX).max(1);
        let bounded = raw::set_agent_timeout(&domain, seconds);
        if let Err(error) = bounded {
            // An old server doesn't know the procedure number.
            let unknown = error.message().contains("unknown procedure");
            let missing = is_unsupported(&error) || unknown;
            return Err(if missing { Failure::NoTimeout } else { failure(&error) });
        }
        let answer = ask_domain(&domain, questions, patience);
        let unbounded = raw::set_agent_timeout(&domain, raw::WAIT_FOR_EVER);
        let answer = answer?;
        // The limit must not stay. If the guest is gone by now, so is its limit, and the error says that.
        unbounded.map_err(|error| failure(&error))?;
        Ok(answer)
    }
}

fn ask_domain(
    domain: &Domain,
    questions: Questions,
    patience: Duration,
) -> Result<Answer, Failure> {
    let interfaces = raw::interface_addresses(domain, Asked::Agent).map_err(|e| failure(&e))?;
    let host_name = match host_name(domain) {
        Ok(name) => Some(name),
        Err(error) => match failure(&error) {
            timed_out @ Failure::TimedOut(_) => return Err(timed_out),
            // Old agents don't have the command, and administrators block commands.
            _ => None,
        },
    };
    let host_keys = match questions.host_keys {
        true => host_keys::read(domain, patience),
        false => HostKeys::NotAsked,
    };
    Ok(Answer { host_name, interfaces, host_keys })
}

fn host_name(domain: &Domain) -> Result<String, virt::error::Error> {
    match domain.hostname(sys::VIR_DOMAIN_GET_HOSTNAME_AGENT) {
        // Before libvirt 6.1 there is no such flag; the agent is always the source.
        Err(error) if is(&error, ErrorNumber::InvalidArg) => domain.hostname(0),
        answer => answer,
    }
}

/// What libvirt's error says about the agent.
pub(super) fn failure(error: &virt::error::Error) -> Failure {
    let hangs = [
        ErrorNumber::AgentUnresponsive,
        ErrorNumber::AgentCommandTimeout,
        ErrorNumber::AgentUnsynced,
        // Another client's agent command has been running for 30 s.
        ErrorNumber::OperationTimeout,
    ];
    if hangs.into_iter().any(|code| is(error, code)) {
        Failure::TimedOut(words(error))
    } else if is(error, ErrorNumber::OperationInvalid) {
        Failure::NotRunning
    } else {
        Failure::Refused(words(error))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver, Sender};

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    /// Guest 0 hangs until the test releases it; all others answer at once.
    #[derive(Clone)]
    struct Fake {
        let_go: Arc<Mutex<Receiver<()>>>,
        hanging: Sender<Duration>,
    }

    const ADDRESSES: Questions = Questions { host_keys: false };

    impl Ask for Fake {
        fn ask(
            &self,
            guest: [u8; 16],
            _: Questions,
            patience: Duration,
        ) -> Result<Answer, Failure> {
            if guest[0] == 0 {
                self.hanging.send(patience).unwrap();
                let _ = self.let_go.lock().unwrap().recv();
                return Err(Failure::TimedOut("hung".into()));
            }
            Ok(Answer {
                host_name: Some(format!("guest-{}", guest[0])),
                interfaces: Vec::new(),
                host_keys: HostKeys::NotAsked,
            })
        }
    }

    type Answered = Receiver<([u8; 16], Result<Answer, Failure>)>;

    fn pool(patience: Duration) -> (Pool, Answered, Receiver<Duration>, Sender<()>) {
        let (let_go, gate) = mpsc::channel();
        let (hanging, hung) = mpsc::channel();
        let (done, answers) = mpsc::channel();
        let fake = Fake { let_go: Arc::new(Mutex::new(gate)), hanging };
        let answered = move |guest, answer| {
            let _ = done.send((guest, answer));
        };
        (Pool::start(vec![fake; WORKERS], patience, answered).unwrap(), answers, hung, let_go)
    }

    fn guest(number: u8) -> [u8; 16] {
        [number; 16]
    }

    #[test]
    fn guests_that_hang_in_the_slow_lane_delay_no_other() {
        let (pool, answers, hung, let_go) = pool(LONG);
        pool.put(guest(0), ADDRESSES, Lane::Slow);
        pool.put(guest(0), ADDRESSES, Lane::Slow);
        assert_eq!(hung.recv_timeout(LONG), Ok(LONG));
        for number in 1..=100 {
            pool.put(guest(number), ADDRESSES, Lane::Quick { known: true });
        }
        let mut seen: Vec<u8> =
            (1..=100).map(|_| answers.recv_timeout(LONG).unwrap().0[0]).collect();
        seen.sort_unstable();
        assert_eq!(seen, (1..=100).collect::<Vec<u8>>());
        let_go.send(()).unwrap();
        let late = answers.recv_timeout(LONG).unwrap();
        assert_eq!(late, (guest(0), Err(Failure::TimedOut("hung".into()))));
    }

    #[test]
    fn a_guest_that_hangs_in_the_quick_lane_blocks_only_one_worker() {
        let (pool, answers, hung, _let_go) = pool(LONG);
        pool.put(guest(0), ADDRESSES, Lane::Quick { known: false });
        assert_eq!(hung.recv_timeout(LONG), Ok(FIRST_PATIENCE), "a guest that never answered");
        pool.put(guest(7), ADDRESSES, Lane::Quick { known: true });
        let (who, answer) = answers.recv_timeout(LONG).unwrap();
        assert_eq!(who, guest(7));
        assert_eq!(answer.unwrap().host_name.as_deref(), Some("guest-7"));
    }

    #[test]
    fn without_a_time_limit_no_agent_is_queried() {
        // The test driver reports agents' addresses, but doesn't support the time limit.
        virt::error::clear_error_callback();
        let connect = Connect::open(Some("test:///default")).unwrap();
        let guest = connect.lookup_domain_by_name("test").unwrap().uuid().unwrap().into_bytes();
        let agents = Agents { connect };
        assert_eq!(agents.ask(guest, ADDRESSES, LONG), Err(Failure::NoTimeout));
        assert!(matches!(agents.ask([1; 16], ADDRESSES, LONG), Err(Failure::Refused(_))));
    }

    #[test]
    fn a_dropped_pool_ends_its_workers_after_their_current_calls() {
        let (pool, answers, hung, let_go) = pool(LONG);
        pool.put(guest(0), ADDRESSES, Lane::Slow);
        hung.recv_timeout(LONG).unwrap();
        pool.put(guest(0), ADDRESSES, Lane::Slow);
        drop(pool);
        let_go.send(()).unwrap();
        // The current query still returns its result. The queued one is dropped, and the channel closes when the workers end.
        assert!(answers.recv_timeout(LONG).is_ok());
        assert_eq!(answers.recv_timeout(LONG), Err(mpsc::RecvTimeoutError::Disconnected));
        assert_eq!(hung.recv_timeout(LONG), Err(mpsc::RecvTimeoutError::Disconnected));
    }
}
