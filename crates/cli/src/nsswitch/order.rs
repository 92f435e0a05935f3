//! Where our services belong among the others.
//!
//! Services are asked from left to right, until one has an answer or ends the look-up without one. Ours go
//! directly before the first service that
//! - is `dns` or `resolve`: otherwise every guest's name goes to the network first, which takes time, leaves traces, and
//!   may find another host through a search domain or a wildcard; or
//! - ends the look-up on anything but success, as in `mdns4_minimal [NOTFOUND=return]` and
//!   `resolve [!UNAVAIL=return]`: after it they might not be asked at all.
//!
//! If there is no such service, they go to the end. That is as late as possible, so that the services before them (files,
//! myhostname, mymachines) take precedence: no guest can take the name of this host or one of /etc/hosts by sending it to
//! DHCP. Our own actions don't keep look-ups from each other, except NOTFOUND: `libvirt [UNAVAIL=return]` keeps a guest's
//! name from the DNS.

use super::is_ours;
use super::line::{HostsLine, Service, Status};

/// Whether ours must come before it.
pub(crate) fn hides(service: &Service) -> bool {
    match service.name.as_str() {
        "dns" | "resolve" => true,
        name if is_ours(name) => service.actions.ends(Status::NotFound),
        _ => ends_without_answer(service),
    }
}

/// Whether it can end a look-up without an answer.
pub(crate) fn ends_without_answer(service: &Service) -> bool {
    [Status::NotFound, Status::Unavail, Status::TryAgain]
        .into_iter()
        .any(|status| service.actions.ends(status))
}

/// The index of the first service that ours must come before.
pub(crate) fn first_hiding(line: &HostsLine) -> Option<usize> {
    line.services.iter().position(hides)
}
