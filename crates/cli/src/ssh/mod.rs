//! What ssh gets from us: host keys, and the way to guests that only their host reaches.
//!
//! ssh runs `ssh-known-hosts` for every connection and `ssh-behind` for every host without a dot, so both are quick,
//! end by themselves, and never fail: a status other than 0 of the first would end the connection.

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

/// The guest that ssh means by a target.
pub(crate) fn guest(paths: &Paths, target: &Target<'_>, now: i64) -> Option<SshGuest> {
    let key = match target {
        Target::Name(name) => ssh::name_key(name),
        Target::Address(address) => ssh::address_key(*address),
    };
    ssh::find(&paths.snapshot()?, &paths.state_directory(), &key, now)
}

/// The address by which a guest's host reaches it, where only that does.
pub(crate) fn address_behind(guest: &SshGuest) -> Option<IpAddr> {
    guest.route.as_ref()?.addresses.first().copied()
}

/// Does what ssh itself asks for, if `arguments` is that. The command line's definition isn't built for it, which would take
/// a third of the time.
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

/// `ssh-behind`: whether `name` is a guest that only its host reaches.
pub(crate) fn behind(name: &OsStr, paths: &Paths, clock: Clock) -> ExitCode {
    const NO: u8 = 1;
    quiet::end_in_time(NO);
    let route = proxy::Route::find(name, paths, clock.now());
    ExitCode::from(if route.is_ok() { 0 } else { NO })
}
