//! What this command provides to ssh: host keys, and the route to guests that only their own host can reach.
//!
//! ssh runs `ssh-known-hosts` for every connection and `ssh-behind` for every host name without a dot. So both are
//! quick, always end by themselves, and never fail: if the first exited with a status other than 0,
//! ssh would end the connection.

pub(crate) mod client;
pub(crate) mod domain;
pub(crate) mod drop_in;
pub(crate) mod known_hosts;
pub(crate) mod proxy;
pub(crate) mod quiet;
pub(crate) mod target;

use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;

use guest_store::snapshot::ssh::{self, SshGuest};

use crate::context::Clock;
use crate::paths::Paths;
use target::Target;

/// The guest that a target names.
pub(crate) fn guest(paths: &Paths, target: &Target<'_>, now: i64) -> Option<SshGuest> {
    let key = match target {
        Target::Name(name) => ssh::name_key(name),
        Target::Address(address) => ssh::address_key(*address),
    };
    ssh::find(&paths.snapshot()?, &paths.state_directory(), &key, now)
}

/// The address at which a guest's host reaches it, if only that host can.
pub(crate) fn address_behind(guest: &SshGuest) -> Option<IpAddr> {
    guest.route.as_ref()?.addresses.first().copied()
}

/// Handles the commands that ssh itself runs, if `arguments` is one of them. This skips building the definition of the
/// command line, which would take a third of the time.
pub(crate) fn serve(arguments: &[OsString]) -> Option<ExitCode> {
    let [_, command, arguments @ ..] = arguments else { return None };
    let paths = Paths::new(Some(Path::new("/")), None);
    match command.to_str()? {
        "ssh-known-hosts" => Some(known_hosts::run(arguments, &paths, Clock::System)),
        "ssh-behind" => match arguments {
            [name] => Some(behind(name, &paths, Clock::System)),
            _ => None,
        },
        _ => None,
    }
}

/// `ssh-behind`: whether `name` is a guest that only its host can reach.
pub(crate) fn behind(name: &OsStr, paths: &Paths, clock: Clock) -> ExitCode {
    const NO: u8 = 1;
    quiet::end_in_time(NO);
    let route = proxy::Route::find(name, paths, clock.now());
    ExitCode::from(if route.is_ok() { 0 } else { NO })
}
