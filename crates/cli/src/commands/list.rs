//! `libvirt-nss list`: prints guests and leases.

use std::io::{self, BufWriter, Write};

use crate::args::List;
use crate::context::Context;
use crate::error::Error;
use crate::listing::Listing;
use crate::listing::columns::lines;
use crate::listing::fields::{JsonRow, plain};
use crate::nsswitch;
use crate::output::escape::write_json;
use crate::pattern::Pattern;
use crate::state;
use crate::state::rows::Row;
use crate::status::Status;

pub(crate) fn run(options: &List, context: &Context) -> Result<Status, Error> {
    let listing = Listing::read(context)?;
    let mut shown: Vec<&Row> = listing.rows.iter().collect();
    shown.retain(|row| options.filter.lets_through(row) && options.lets_through(row));
    let before = shown.len();
    shown.retain(|row| options.all || row.is_current());

    let mut out = BufWriter::new(io::stdout().lock());
    if options.json {
        let rows: Vec<JsonRow<'_>> = shown.iter().map(|row| JsonRow::new(row)).collect();
        write_json(&mut out, &rows)?;
    } else if options.plain {
        for row in &shown {
            writeln!(out, "{}", plain(row))?;
        }
    } else if !shown.is_empty() {
        for line in lines(&shown, context.clock.now(), context.width, context.paint) {
            writeln!(out, "{line}")?;
        }
    }
    out.flush()?;
    listing.warn_of_gaps(context);
    if shown.is_empty() && !options.json && !options.plain {
        let expired = if before > 0 { "; --all shows expired leases" } else { "" };
        let unknown = options.filter.unknown_network(&listing.rows).unwrap_or_default();
        context.warn(&format!("no guest and no lease to show{unknown}{expired}"));
    }
    nsswitch::note_absence(context);
    Ok(Status::Ok)
}

impl List {
    /// What its pattern and its families leave.
    fn lets_through(&self, row: &Row) -> bool {
        let address = row.address;
        let family = self.families.family();
        let fits = family.is_none_or(|family| {
            address.is_some_and(|address| state::address::from_std(address).family() == family)
        });
        let in_domain =
            |name: &str| row.network_domain.as_ref().map(|domain| format!("{name}.{domain}"));
        let host_names = row.host_names().flat_map(|name| [Some(name.to_owned()), in_domain(name)]);
        let address = address.map(|address| address.to_string());
        let texts: Vec<String> =
            host_names.chain([row.domain.clone(), address]).flatten().collect();
        let matches = |pattern: &Pattern| texts.iter().any(|text| pattern.matches(text));
        fits && self.pattern.as_ref().is_none_or(matches)
    }
}
