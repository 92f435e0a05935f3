//! nsswitch.conf(5): what its `hosts` line says, where our services belong on it, and changing it
//! without touching anything else.

use crate::context::Context;

pub(crate) mod authselect;
pub(crate) mod diff;
pub(crate) mod edit;
pub(crate) mod file;
pub(crate) mod line;
pub(crate) mod order;
pub(crate) mod replace;

/// Our services, in the order in which they are put on the line.
pub(crate) const OURS: [&str; 2] = ["libvirt", "libvirt_guest"];

pub(crate) fn is_ours(service: &str) -> bool {
    OURS.contains(&service)
}

/// Says, on a terminal, when programs don't see the names that a command shows, as neither of our services is
/// on the hosts line.
pub(crate) fn note_absence(context: &Context) {
    if context.width.is_none() || !context.paths.is_without_own_directory() {
        return;
    }
    let Ok(conf) = file::read(&context.paths) else { return };
    if edit::present(&conf.text).is_ok_and(|present| present.is_empty()) {
        context.warn(&format!(
            "neither libvirt nor libvirt_guest is in {}, so ssh and other programs don't see these names: \
             run '{}'",
            conf.path.display(),
            context.paths.sudo_command("enable")
        ));
    }
}
