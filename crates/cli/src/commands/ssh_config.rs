//! `libvirt-nss ssh-config`: prints the running guests as Host blocks of ssh_config(5).

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write as _};

use guest_names::name::NameKind;
use guest_store::contents::Contents;

use crate::context::Context;
use crate::daemon;
use crate::error::Error;
use crate::lookup;
use crate::ssh::drop_in::COMMAND;
use crate::ssh::proxy::Route;
use crate::ssh::target::is_plain;
use crate::state::rows::all_rows;

/// Prints a block for each running guest that ssh can reach.
pub(crate) fn run(context: &Context) -> Result<(), Error> {
    let (paths, now) = (&context.paths, context.clock.now());
    let contents = Contents::read(&paths.state_directory());
    let reading = daemon::read(paths);
    let rows = all_rows(contents.as_ref().ok(), paths, &reading, now);
    let mut names: BTreeSet<&str> = rows.iter().filter_map(|row| row.domain.as_deref()).collect();
    if let Ok(Some(known)) = &reading {
        names.extend(known.compiled.ssh_guests.iter().map(|(_, guest)| guest.name.as_str()));
    }
    let mut out = BufWriter::new(io::stdout().lock());
    // Other names can't follow Host.
    for name in names.into_iter().filter(|name| is_plain(name.as_bytes())) {
        let found = lookup::by_name(paths, NameKind::Domain, name.as_bytes(), None, now, None)?;
        if let Some(first) = found.candidates.first() {
            let address = lookup::address_text(first);
            // The guest's key is known under its name.
            writeln!(out, "Host {name}\n    HostName {address}\n    HostKeyAlias {name}")?;
        } else if Route::find(name.as_ref(), paths, now).is_ok() {
            writeln!(out, "Host {name}\n    ProxyCommand {COMMAND} ssh-proxy {name} %p")?;
        }
    }
    out.flush()?;
    Ok(())
}
