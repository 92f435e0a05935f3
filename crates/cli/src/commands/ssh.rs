//! `libvirt-nss ssh`: starts a guest if need be, waits for it, and connects.

use std::ffi::OsString;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use guest_names::candidate::{Attached, Candidate};
use guest_names::name::NameKind;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::wait;
use crate::answer::addresses;
use crate::args::{Families, NameKinds, Ssh, Wait};
use crate::context::Context;
use crate::daemon;
use crate::error::{Error, reason};
use crate::lookup;
use crate::presence::{Absence, Presence};
use crate::signals;
use crate::ssh::domain::{self, Domain};
use crate::ssh::proxy::Route;
use crate::ssh::target::{Target, is_plain};
use crate::ssh::{self, client::Effective};
use crate::state::lossy;
use crate::status::Status;
use crate::waiting::Event;
use crate::waiting::progress::Progress;
use crate::watcher;

/// Names of both kinds, as the modules resolve them for ssh.
const NAMES: NameKinds = NameKinds { guest: false, host: false };

/// How long to wait for the host keys of a guest that has just started. Its agent may come up after its SSH server; if
/// it has no agent, this wait is in vain.
const HOST_KEYS: Duration = Duration::from_secs(5);

/// The port of ssh(1) unless configured otherwise.
const PORT: u16 = 22;

/// How a guest is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// This host can reach one of its addresses.
    Directly,
    /// Only the guest's host can reach it.
    ThroughHost,
}

/// The guest to connect to.
struct Connecting<'c> {
    context: &'c Context,
    name: OsString,
    deadline: Option<Instant>,
}

pub(crate) fn run(options: &Ssh, context: &Context) -> Result<Status, Error> {
    let destination = options.destination.clone().unwrap_or_default();
    let bytes = destination.as_bytes();
    let name = bytes.rsplit(|&byte| byte == b'@').next().unwrap_or(bytes);
    if !is_plain(name) || bytes.starts_with(b"-") {
        context.warn(&format!("'{}' cannot be the name of a guest", lossy(name)));
        return Ok(Status::Failed);
    }
    let connecting = Connecting {
        context,
        name: OsString::from_vec(name.to_vec()),
        deadline: options.timeout.map(|timeout| Instant::now() + timeout),
    };
    let mut arguments = vec![destination];
    arguments.extend(options.arguments.iter().cloned());
    let effective = Effective::read(&arguments)?;
    let reachable = connecting.reach()?.filter(|_| !connecting.is_shut_off());
    let reach = match reachable {
        Some(reach) => reach,
        None => match connecting.make_reachable(options.start)? {
            Ok(reach) => reach,
            Err(status) => return Ok(status),
        },
    };
    // If the user's configuration has a proxy for it, this host needn't reach the port.
    if reach == Reach::Directly && effective.proxy.is_none() {
        if let Err(status) = connecting.await_port(effective.port.unwrap_or(PORT))? {
            return Ok(status);
        }
    }
    if reachable.is_none() {
        connecting.await_host_keys()?;
    }
    let mut ssh = Command::new("ssh");
    ssh.args(connecting.own_options(reach, &effective)).args(arguments);
    let source = ssh.exec();
    Err(Error::Command { command: "ssh".into(), why: reason(&source) })
}

impl Connecting<'_> {
    /// How the guest can be reached now, if at all.
    fn reach(&self) -> Result<Option<Reach>, Error> {
        if addresses(self.context, self.name.as_bytes(), NAMES.kinds(), None)?.is_some() {
            return Ok(Some(Reach::Directly));
        }
        let route = Route::find(&self.name, &self.context.paths, self.context.clock.now());
        Ok(route.is_ok().then_some(Reach::ThroughHost))
    }

    /// Whether the name resolves only because the domain of this name, which isn't running, left a lease behind.
    fn is_shut_off(&self) -> bool {
        let (paths, now) = (&self.context.paths, self.context.clock.now());
        let candidates = |kind| {
            let answered = lookup::by_name(paths, kind, self.name.as_bytes(), None, now, None);
            answered.map(|answered| answered.candidates).unwrap_or_default()
        };
        let is_running = |candidate: &Candidate| candidate.attached == Attached::Yes;
        let has_lease_of_none = candidates(NameKind::Domain).is_empty()
            && !candidates(NameKind::HostName).iter().any(is_running)
            && Route::find(&self.name, paths, now).is_err();
        // If virsh isn't installed or knows no such domain, the lease is all that is known.
        has_lease_of_none
            && matches!(
                Domain::find(&self.uris(), &lossy(self.name.as_bytes())),
                Ok(Ok(domain)) if domain.state != "running"
            )
    }

    fn uris(&self) -> Vec<String> {
        let snapshot = daemon::read(&self.context.paths);
        let info = snapshot.as_ref().ok().and_then(Option::as_ref).map(daemon::Snapshot::info);
        domain::uris(info)
    }

    /// Starts the guest if it is shut off, and waits until it can be reached. Returns the exit status if that fails.
    fn make_reachable(&self, start: bool) -> Result<Result<Reach, Status>, Error> {
        let name = lossy(self.name.as_bytes());
        match Domain::find(&self.uris(), &name)? {
            Ok(domain) => match domain.state.as_str() {
                "shut off" | "crashed" if start || self.agrees_to_start(&name)? => {
                    domain.start()?
                }
                "shut off" | "crashed" => {
                    self.context.warn(&format!("{name} is {}; --start starts it", domain.state));
                    return Ok(Err(Status::Failed));
                }
                "paused" | "pmsuspended" => {
                    let (state, wake) = match domain.state.as_str() {
                        "paused" => ("paused", "resume"),
                        _ => ("suspended", "dompmwakeup"),
                    };
                    self.context
                        .warn(&format!("{name} is {state}: 'virsh {wake} {name}' continues it"));
                    return Ok(Err(Status::Failed));
                }
                _ => {}
            },
            Err(said) => {
                let presence = self.presence();
                if matches!(presence.absence, Absence::Unknown(_)) {
                    let said: Vec<_> = said.iter().map(|said| format!("; {said}")).collect();
                    self.context.warn(&format!("{}{}", presence.answer(), said.concat()));
                    return Ok(Err(Status::NotFound));
                }
            }
        }
        self.await_reach()
    }

    /// Asks the user, if there is a terminal.
    fn agrees_to_start(&self, name: &str) -> Result<bool, Error> {
        let (stdin, mut stderr) = (io::stdin(), io::stderr());
        if !(stdin.is_terminal() && stderr.is_terminal()) {
            return Ok(false);
        }
        write!(stderr, "{name} is shut off. Start it? [y/N] ")?;
        let mut answer = String::new();
        stdin.lock().read_line(&mut answer)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }

    fn presence(&self) -> Presence {
        let (paths, now) = (&self.context.paths, self.context.clock.now());
        Presence::read(paths, self.name.as_bytes(), NAMES.kinds(), now)
    }

    /// Waits until the guest has an address, here or on its host.
    fn await_reach(&self) -> Result<Result<Reach, Status>, Error> {
        let name = lossy(self.name.as_bytes());
        let (sender, receiver) = channel();
        // Watch first, then read, so that no change in between is missed.
        watcher::spawn(&self.context.paths, &sender, Event::Changed)?;
        signals::spawn(&[SIGINT, SIGTERM, SIGHUP], sender.clone(), Event::Signal)?;
        let mut progress = Progress::new(false, Instant::now());
        let absence = |presence: Presence| match presence.absence {
            Absence::Unknown(_) => "it is starting".into(),
            _ => presence.reason(),
        };
        let mut why = absence(self.presence());
        loop {
            if let Some(reach) = self.reach()? {
                progress.clear();
                return Ok(Ok(reach));
            }
            let now = Instant::now();
            if self.deadline.is_some_and(|deadline| deadline <= now) {
                progress.clear();
                self.context.warn(&format!(
                    "timed out waiting for {name} to get an address: {why}; see 'libvirt-nss explain {name}'"
                ));
                return Ok(Err(Status::NoAddress));
            }
            progress.show(&[format!("{name} has no address yet: {why}")], now);
            let wake = [self.deadline, progress.due(now)].into_iter().flatten().min();
            let rest = wake.map_or(Duration::MAX, |wake| wake.saturating_duration_since(now));
            match receiver.recv_timeout(rest) {
                Ok(Event::Changed(change)) => {
                    change?;
                    why = absence(self.presence());
                }
                Ok(Event::Signal(signal)) => {
                    progress.clear();
                    // As without a handler, so that the parent sees which signal it was.
                    signal_hook::low_level::emulate_default_handler(signal)
                        .map_err(Error::Signals)?;
                }
                Ok(Event::Tried(_)) | Err(RecvTimeoutError::Timeout) => {}
                // Impossible: this function holds a sender itself.
                Err(RecvTimeoutError::Disconnected) => {}
            }
        }
    }

    /// Waits a little for the keys of a guest that has just started, so that ssh needn't ask about them.
    fn await_host_keys(&self) -> Result<(), Error> {
        let (paths, clock) = (&self.context.paths, self.context.clock);
        let Some(target) = Target::parse(self.name.as_bytes()) else { return Ok(()) };
        let (sender, receiver) = channel();
        watcher::spawn(paths, &sender, Event::Changed)?;
        let deadline = Instant::now() + HOST_KEYS;
        loop {
            let has_keys =
                ssh::guest(paths, &target, clock.now()).is_some_and(|guest| !guest.keys.is_empty());
            let knows_guests = daemon::read(paths).is_ok_and(|read| {
                read.is_some_and(|snapshot| snapshot.standing(clock.now()).reports)
            });
            let rest = deadline.saturating_duration_since(Instant::now());
            if has_keys || !knows_guests || rest.is_zero() {
                return Ok(());
            }
            // A change or the timeout: either way, check again.
            let _ = receiver.recv_timeout(rest);
        }
    }

    /// Waits until the port accepts connections. Returns the exit status if it doesn't in time.
    fn await_port(&self, port: u16) -> Result<Result<(), Status>, Error> {
        let timeout = self.deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let options = Wait {
            names_of_guests: vec![self.name.clone()],
            timeout,
            port: Some(port),
            families: Families { ipv4: false, ipv6: false },
            names: NAMES,
            json: false,
            verbose: false,
        };
        Ok(wait::until_ready(&options, self.context)?.map(drop))
    }

    /// The options that `ssh enable` would put into ssh's configuration, unless the user has set them.
    fn own_options(&self, reach: Reach, effective: &Effective) -> Vec<OsString> {
        let Some(ourselves) = ourselves() else { return Vec::new() };
        let mut options = Vec::new();
        if effective.known_hosts_command.is_none() {
            options.push(format!("KnownHostsCommand={ourselves} ssh-known-hosts %I %H %t %K"));
        }
        if reach == Reach::ThroughHost && effective.proxy.is_none() {
            let name = lossy(self.name.as_bytes());
            options.push(format!("ProxyCommand={ourselves} ssh-proxy {name} %p"));
        }
        options.into_iter().flat_map(|option| ["-o".into(), OsString::from(option)]).collect()
    }
}

/// The path of this command, if ssh can take it without quoting.
fn ourselves() -> Option<String> {
    let path = std::env::current_exe().ok()?.into_os_string().into_string().ok()?;
    let is_simple = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.+".contains(&byte);
    path.bytes().all(is_simple).then_some(path)
}
