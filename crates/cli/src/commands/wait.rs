//! `libvirt-nss wait`.

use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Instant;

use guest_names::forward::Source;
use guest_names::ranking::{Attached, Candidate};
use serde::Serialize;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::args::Wait;
use crate::context::Context;
use crate::error::Error;
use crate::lookup;
use crate::signals;
use crate::state::snapshot::{MacAddress, lossy};
use crate::state::{self, Snapshot, address};
use crate::status::Status;
use crate::waiting::progress::Progress;
use crate::waiting::target::{Attempt, Target};
use crate::waiting::{Event, attempt};
use crate::watcher;

pub(crate) fn run(options: &Wait, context: &Context) -> Result<Status, Error> {
    let began = Instant::now();
    for name in &options.names_of_guests {
        let possible = |&source: &Source| source.wanted(name.as_bytes()).is_some();
        if !options.names.sources().iter().any(possible) {
            context.warn(&format!("no guest can be called '{}'", lossy(name.as_bytes())));
            return Ok(Status::Failed);
        }
    }
    let (sender, receiver) = channel();
    // First watched, then read: what comes in between is not missed.
    watcher::spawn(&context.paths, &sender, Event::Changed)?;
    signals::spawn(&[SIGINT, SIGTERM, SIGHUP], sender.clone(), Event::Signal)?;
    let names = options.names_of_guests.iter().map(|name| lossy(name.as_bytes()));
    let waiting = Waiting {
        options,
        context,
        targets: names.map(Target::new).collect(),
        sender,
        receiver,
        progress: Progress::new(options.verbose, began),
    };
    waiting.run(options.timeout.map(|timeout| began + timeout))
}

struct Waiting<'w> {
    options: &'w Wait,
    context: &'w Context,
    targets: Vec<Target>,
    sender: Sender<Event>,
    receiver: Receiver<Event>,
    progress: Progress,
}

impl Waiting<'_> {
    fn run(mut self, deadline: Option<Instant>) -> Result<Status, Error> {
        self.look_up()?;
        loop {
            let now = Instant::now();
            if self.targets.iter().all(|target| target.ready().is_some()) {
                self.progress.clear();
                return self.print();
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                self.progress.clear();
                return Ok(self.time_is_up());
            }
            for at in 0..self.targets.len() {
                let attempts = self.targets[at].due_attempts(now);
                self.start(at, &attempts);
            }
            let waited_for = self.targets.iter().filter(|target| target.ready().is_none());
            let states: Vec<String> =
                waited_for.map(|target| target.state(self.options.port)).collect();
            self.progress.show(&states, now);
            self.sleep(deadline, now)?;
        }
    }

    /// Until something happens or is due.
    fn sleep(&mut self, deadline: Option<Instant>, now: Instant) -> Result<(), Error> {
        let due = self.targets.iter().filter_map(Target::due).min();
        let wake = [deadline, due, self.progress.due(now)].into_iter().flatten().min();
        let event = match wake {
            Some(wake) => match self.receiver.recv_timeout(wake.saturating_duration_since(now)) {
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                event => event.ok(),
            },
            None => self.receiver.recv().ok(),
        };
        match event {
            Some(Event::Changed(change)) => {
                change?;
                self.look_up()
            }
            Some(Event::Tried(outcome)) => {
                self.targets[outcome.target].tried(&outcome, Instant::now());
                Ok(())
            }
            Some(Event::Signal(signal)) => {
                self.progress.clear();
                // As without a handler: whoever started us sees which signal it was.
                signal_hook::low_level::emulate_default_handler(signal).map_err(Error::Signals)
            }
            // It can't be: we hold a sender ourselves.
            None => Ok(()),
        }
    }

    /// Asks the state files anew, and the daemon's snapshot, for all that aren't ready.
    fn look_up(&mut self) -> Result<(), Error> {
        let snapshot = match Snapshot::read(&self.context.paths.state_directory()) {
            Ok(snapshot) => Some(snapshot),
            // It comes with libvirt's first network.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(_) => Some(state::read(&self.context.paths)?),
        };
        for at in 0..self.targets.len() {
            if self.targets[at].ready().is_some() {
                continue;
            }
            let (candidates, left_behind) = self.candidates(at, snapshot.as_ref())?;
            let for_port = self.options.port.is_some();
            let attempts = self.targets[at].looked_up(&candidates, left_behind, for_port);
            self.start(at, &attempts);
        }
        Ok(())
    }

    /// The addresses of the first kind of name that has any, and one that doesn't count: of a lease
    /// that no running guest has, another guest is gone.
    fn candidates(
        &self,
        at: usize,
        snapshot: Option<&Snapshot>,
    ) -> Result<(Vec<Candidate>, Option<IpAddr>), Error> {
        let name = self.options.names_of_guests[at].as_bytes();
        let family = self.options.families.family();
        let mut left_behind = None;
        for &source in self.options.names.sources() {
            let now = self.context.clock.now();
            let answered = lookup::by_name(&self.context.paths, source, name, family, now, None)?;
            let (counting, others): (Vec<Candidate>, Vec<Candidate>) =
                answered.candidates.into_iter().partition(|one| counts(one, snapshot));
            if !counting.is_empty() {
                return Ok((counting, None));
            }
            left_behind =
                left_behind.or(others.first().map(|candidate| address::to_std(candidate.address)));
        }
        Ok((Vec::new(), left_behind))
    }

    fn start(&self, at: usize, attempts: &[Attempt]) {
        let Some(port) = self.options.port else { return };
        for Attempt { address, bridge } in attempts {
            let scope = bridge.as_deref().filter(|_| address::needs_scope(*address));
            attempt::start(at, *address, scope, port, &self.sender);
        }
    }

    fn print(&self) -> Result<Status, Error> {
        let mut out = io::stdout().lock();
        let ready: Vec<JsonReady<'_>> = self
            .targets
            .iter()
            .filter_map(|target| {
                let ready = target.ready()?;
                Some(JsonReady { name: &target.name, address: &ready.text })
            })
            .collect();
        if self.options.json {
            serde_json::to_writer_pretty(&mut out, &ready).map_err(io::Error::from)?;
            writeln!(out)?;
        } else {
            for one in ready {
                writeln!(out, "{}", one.address)?;
            }
        }
        Ok(Status::Ok)
    }

    fn time_is_up(&self) -> Status {
        for target in self.targets.iter().filter(|target| target.ready().is_none()) {
            let mut message = format!("the time is up: {}", target.state(self.options.port));
            if !target.has_address() {
                message += &format!("; 'libvirt-nss explain {}' tells more", target.name);
            }
            self.context.warn(&message);
        }
        if self.targets.iter().all(Target::has_address) {
            Status::PortClosed
        } else {
            Status::NoAddress
        }
    }
}

/// Whether a running guest has it, as far as that can be told.
fn counts(candidate: &Candidate, snapshot: Option<&Snapshot>) -> bool {
    if candidate.is_told() {
        return candidate.attached == Attached::Yes;
    }
    let Some(snapshot) = snapshot else { return true };
    let (Some(bridge), Some(mac)) = (lookup::bridge(candidate), candidate.mac) else { return true };
    snapshot.domain_of(&bridge, MacAddress::from(mac)).is_some() || !snapshot.knows_nics_of(&bridge)
}

#[derive(Serialize)]
struct JsonReady<'r> {
    name: &'r str,
    address: &'r str,
}
