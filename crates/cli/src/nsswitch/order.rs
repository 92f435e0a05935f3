//! Where our services belong among the others.
//!
//! Services are asked from left to right, until one has an answer or ends the look-up without one. Ours go
//! directly before the first service that
//! - is `dns` or `resolve`: a guest's name would be asked of the network first, with a wait, a trace, and
//!   another host's answer where a domain is searched or a wildcard stands in it; or
//! - ends the look-up on anything but success, as in `mdns4_minimal [NOTFOUND=return]` and
//!   `resolve [!UNAVAIL=return]`: behind it they might not be asked at all.
//!
//! Where no service is of that kind, they go to the end. That is as late as it can be: what stands before
//! (files, myhostname, mymachines) keeps its word, so that no guest can take the name of this host or one
//! of /etc/hosts by asking DHCP for it. What ours carry themselves hides nothing from each other, unless it
//! is NOTFOUND: `libvirt [UNAVAIL=return]` is how a guest's name is kept from the DNS.

use super::is_ours;
use super::line::{HostsLine, Service, Status};

/// Whether ours must stand before it.
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

/// The number of the first service that ours must stand before.
pub(crate) fn first_hiding(line: &HostsLine) -> Option<usize> {
    line.services.iter().position(hides)
}
