//! What `list`, `watch` and `export` share: reading everything that is listed, choosing rows and writing them.

pub(crate) mod columns;
pub(crate) mod fields;
mod filter;

use std::io;

use guest_names::io::Kind;
use guest_store::contents::Contents;

use crate::context::Context;
use crate::daemon::{self, Reading};
use crate::error::Error;
use crate::presence;
use crate::state;
use crate::state::rows::{Row, all_rows};

/// All rows, and what they were read from.
pub(crate) struct Listing {
    /// None if there is no state directory, but a snapshot of libvirt-nssd.
    contents: Option<Contents>,
    snapshot: Reading,
    /// Expired leases too.
    pub(crate) rows: Vec<Row>,
}

impl Listing {
    /// Reads the state files and the snapshot.
    ///
    /// # Errors
    /// The state directory can't be read, and there is no snapshot to use without it.
    pub(crate) fn read(context: &Context) -> Result<Self, Error> {
        let now = context.clock.now();
        let snapshot = daemon::read(&context.paths);
        let is_used = matches!(&snapshot, Ok(Some(snapshot)) if snapshot.standing(now).reports);
        let contents = match Contents::read(&context.paths.state_directory()) {
            // libvirt creates it for its first network; a host may only have guests elsewhere.
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_used => None,
            read => Some(read.map_err(|error| state::unreadable(&context.paths, error))?),
        };
        let rows = all_rows(contents.as_ref(), &context.paths, &snapshot, now);
        Ok(Self { contents, snapshot, rows })
    }

    /// Warns about guests and leases that are missing from the rows.
    pub(crate) fn warn_of_gaps(&self, context: &Context) {
        if let Some(contents) = &self.contents {
            warn_of_unread_files(contents, context);
        }
        if let Some(why) = presence::unused_snapshot(&self.snapshot, context.clock.now()) {
            context.warn(&format!(
                "guests that only libvirt-nssd knows are missing: {why}; see '{}'",
                context.paths.command("doctor")
            ));
        }
    }
}

/// Which bridges' guests or leases aren't all known, and why.
fn warn_of_unread_files(contents: &Contents, context: &Context) {
    for file in &contents.files {
        if let Some(why) = presence::unread(file) {
            let what = match file.kind {
                Kind::Leases => "leases of",
                Kind::Macs => "guests on",
            };
            let bridge = contents.bridge_name(file.bridge);
            context.warn(&format!(
                "not all {what} {bridge} are known: {why}; see '{}'",
                context.paths.command("doctor")
            ));
        }
    }
}
