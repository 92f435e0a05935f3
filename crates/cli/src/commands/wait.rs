//! `libvirt-nss wait`: waits until guests have addresses, and prints them.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Instant;

use guest_names::name::NameKind;
use serde::Serialize;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::answer::{Answer, ask};
use crate::args::Wait;
use crate::context::Context;
use crate::error::Error;
use crate::lookup;
use crate::output::escape::write_json;
use crate::presence::{Absence, Presence};
use crate::signals;
use crate::state::address;
use crate::state::lossy;
use crate::status::Status;
use crate::waiting::progress::Progress;
use crate::waiting::target::{Attempt, Target};
use crate::waiting::{Event, attempt};
use crate::watcher;

pub(crate) fn run(options: &Wait, context: &Context) -> Result<Status, Error> {
    match until_ready(options, context)? {
        Ok(targets) => print(&targets, options.json),
        Err(status) => Ok(status),
    }
}

/// The guests once all of them are ready; else the status, after a message that says why they aren't.
///
/// # Errors
/// Changes or signals can't be waited for, or the names can't be looked up.
pub(crate) fn until_ready(
    options: &Wait,
    context: &Context,
) -> Result<Result<Vec<Target>, Status>, Error> {
    let began = Instant::now();
    for name in &options.names_of_guests {
        let possible = |&kind: &NameKind| kind.wanted(name.as_bytes()).is_some();
        if !options.names.kinds().iter().any(possible) {
            context.warn(&format!("'{}' cannot be the name of a guest", lossy(name.as_bytes())));
            return Ok(Err(Status::Failed));
        }
    }
    let (sender, receiver) = channel();
    // Watch first, then read, so that no change in between is missed.
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
        reported: BTreeSet::new(),
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
    /// The targets that were reported as unknown.
    reported: BTreeSet<usize>,
}

impl Waiting<'_> {
    fn run(mut self, deadline: Option<Instant>) -> Result<Result<Vec<Target>, Status>, Error> {
        self.look_up()?;
        loop {
            let now = Instant::now();
            if self.targets.iter().all(|target| target.ready().is_some()) {
                self.progress.clear();
                return Ok(Ok(self.targets));
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                self.progress.clear();
                return Ok(Err(self.time_is_up()));
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

    /// Waits until something happens or is due.
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
                // End by the signal, so that the parent sees which one it was.
                signal_hook::low_level::emulate_default_handler(signal).map_err(Error::Signals)
            }
            // Impossible: we hold a sender ourselves.
            None => Ok(()),
        }
    }

    /// Looks up all targets that aren't ready.
    fn look_up(&mut self) -> Result<(), Error> {
        for at in 0..self.targets.len() {
            if self.targets[at].ready().is_some() {
                continue;
            }
            let name = self.options.names_of_guests[at].as_bytes();
            let (kinds, family) = (self.options.names.kinds(), self.options.families.family());
            let (candidates, absence) = match ask(self.context, name, kinds, family)? {
                Answer::Addresses(_, candidates) => (candidates, String::new()),
                Answer::OtherFamily(family, other) => {
                    let (family, other) =
                        (lookup::family_text(family), lookup::address_text(&other));
                    (Vec::new(), format!("no {family} address; it has {other}"))
                }
                Answer::Absent(presence) => {
                    self.report_unknown(at, &presence);
                    (Vec::new(), presence.reason() + &presence.did_you_mean())
                }
            };
            let for_port = self.options.port.is_some();
            let attempts = self.targets[at].looked_up(&candidates, absence, for_port);
            self.start(at, &attempts);
        }
        Ok(())
    }

    /// Reports at once a name that no guest has, as it may be misspelt.
    fn report_unknown(&mut self, at: usize, presence: &Presence) {
        let is_unknown = matches!(presence.absence, Absence::Unknown(_));
        let waits = self.options.timeout.is_none_or(|timeout| !timeout.is_zero());
        if is_unknown && waits && !self.options.verbose && self.reported.insert(at) {
            self.progress.clear();
            self.context.warn(&format!("{}; waiting for it", presence.answer()));
        }
    }

    fn start(&self, at: usize, attempts: &[Attempt]) {
        let Some(port) = self.options.port else { return };
        for Attempt { address, bridge } in attempts {
            let scope = bridge.as_deref().filter(|_| address::needs_scope(*address));
            attempt::start(at, *address, scope, port, &self.sender);
        }
    }

    fn time_is_up(&self) -> Status {
        for target in self.targets.iter().filter(|target| target.ready().is_none()) {
            let mut message = target.timed_out(self.options.port);
            if !target.has_address() {
                let explain = self.context.paths.command(&format!("explain {}", target.name));
                message += &format!("; see '{explain}'");
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

fn print(targets: &[Target], json: bool) -> Result<Status, Error> {
    let mut out = io::stdout().lock();
    let ready = targets.iter().filter_map(|target| {
        let ready = target.ready()?;
        Some(JsonReady { name: &target.name, address: &ready.text })
    });
    let ready: Vec<JsonReady<'_>> = ready.collect();
    if json {
        write_json(&mut out, &ready)?;
    } else {
        for one in ready {
            writeln!(out, "{}", one.address)?;
        }
    }
    Ok(Status::Ok)
}

#[derive(Serialize)]
struct JsonReady<'r> {
    name: &'r str,
    address: &'r str,
}
