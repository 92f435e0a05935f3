//! What `enable` and `disable` print about nsswitch.conf.

use std::io::{self, Write};
use std::path::Path;

use crate::context::Context;
use crate::error::Error;
use crate::nsswitch::diff;
use crate::nsswitch::file::{Conf, backup};
use crate::nsswitch::line::parse;
use crate::nsswitch::replace;
use crate::state::lossy;

/// The change, as a diff.
///
/// # Errors
/// Standard output can't be written.
pub(crate) fn show(path: &Path, old: &[u8], new: &[u8], context: &Context) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    for line in diff::lines(&path.display().to_string(), old, new, context.paint) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// The hosts line, for people.
pub(super) fn hosts(text: &[u8]) -> String {
    match parse(text) {
        Ok(line) => lossy(&text[line.range]).split_whitespace().collect::<Vec<_>>().join(" "),
        Err(_) => String::new(),
    }
}

/// Removes the copy that `enable` made of the distribution's file, and its link last, so that the next run can go on
/// where a killed one stopped.
///
/// # Errors
/// It couldn't be removed.
pub(super) fn drop_copy(conf: &Conf, context: &Context) -> Result<(), Error> {
    replace::remove(&conf.target)?;
    replace::remove(&backup(&conf.target))?;
    let vendor = context.paths.vendor_nsswitch();
    let (path, vendor) = (conf.path.display(), vendor.display());
    context.print(&format!("{path}: removed; {vendor} is used again"))
}
