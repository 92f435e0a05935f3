//! `libvirt-nss list`.

use std::io::{self, BufWriter, Write};

use guest_names::state::Kind;
use guest_store::contents::Contents;
use serde::Serialize;

use crate::args::{Filter, List};
use crate::context::Context;
use crate::daemon::{self, Told};
use crate::error::Error;
use crate::output::duration;
use crate::output::escape::{field, printable, write_json};
use crate::output::paint::{Paint, Tone};
use crate::output::table::{self, Cell, Column};
use crate::presence;
use crate::state;
use crate::state::rows::{AddressState, Row, all_rows};
use crate::status::Status;

pub(crate) fn run(options: &List, context: &Context) -> Result<Status, Error> {
    let now = context.clock.now();
    let told = daemon::read(&context.paths);
    let counts = matches!(&told, Ok(Some(known)) if known.standing(now).told);
    let contents = match Contents::read(&context.paths.state_directory()) {
        // It comes with libvirt's first network; guests on others have none.
        Err(error) if error.kind() == io::ErrorKind::NotFound && counts => None,
        read => Some(read.map_err(|error| state::unreadable(&context.paths, error))?),
    };
    let mut shown = all_rows(contents.as_ref(), &context.paths, &told, now);
    shown.retain(|row| options.filter.lets_through(row));
    let before = shown.len();
    shown.retain(|row| options.all || row.is_current());

    let mut out = BufWriter::new(io::stdout().lock());
    if options.json {
        let rows: Vec<JsonRow<'_>> = shown.iter().map(JsonRow::new).collect();
        write_json(&mut out, &rows)?;
    } else if options.plain {
        for row in &shown {
            writeln!(out, "{}", plain(row))?;
        }
    } else if !shown.is_empty() {
        for line in lines(&shown, now, context.width, context.paint) {
            writeln!(out, "{line}")?;
        }
    }
    out.flush()?;
    if let Some(contents) = &contents {
        tell_about_files(contents, context);
    }
    tell_about_daemon(&told, context);
    if shown.is_empty() && !options.json && !options.plain {
        let expired = if before > 0 { "; expired leases: --all" } else { "" };
        context.warn(&format!("no guest and no lease to show{expired}"));
    }
    Ok(Status::Ok)
}

/// What is missing from the list because the modules don't use the daemon's snapshot, or not all of it.
fn tell_about_daemon(told: &Told, context: &Context) {
    let Some(why) = presence::unused_snapshot(told, context.clock.now()) else { return };
    context.warn(&format!(
        "guests that only libvirt-nssd's snapshot knows are missing: {why}; see 'libvirt-nss doctor'"
    ));
}

/// Which bridges' guests can't be judged, or only some, and why.
fn tell_about_files(contents: &Contents, context: &Context) {
    for file in &contents.files {
        if let Some(why) = presence::unread(file) {
            let what = match file.kind {
                Kind::Leases => "leases of",
                Kind::Macs => "guests on",
            };
            let bridge = contents.bridge_name(file.bridge);
            context.warn(&format!(
                "not all {what} {bridge} are known: {why}; see 'libvirt-nss doctor'"
            ));
        }
    }
}

impl Filter {
    pub(crate) fn lets_through(&self, row: &Row) -> bool {
        let matches = |pattern: &Option<crate::pattern::Pattern>, texts: &[Option<&str>]| {
            pattern
                .as_ref()
                .is_none_or(|pattern| texts.iter().flatten().any(|text| pattern.matches(text)))
        };
        let mac = row.mac.map(|mac| mac.to_string());
        matches(&self.network, &[row.network.as_deref(), Some(&row.bridge)])
            && matches(&self.domain, &[row.domain.as_deref()])
            && matches(&self.name, &[row.host_name.as_deref()])
            && matches(&self.mac, &[mac.as_deref()])
    }
}

/// The columns, and what stands in them.
pub(crate) fn columns(rows: &[Row]) -> [Column; 10] {
    let column = |title, elastic, dispensable| {
        let hidden = match title {
            "NETWORK" => rows.iter().all(|row| row.network.is_none()),
            "VIA" => !rows.iter().any(Row::is_elsewhere),
            "SOURCE" => rows.iter().all(|row| row.told.is_none()),
            _ => false,
        };
        Column { title, elastic, hidden, dispensable }
    };
    // A bridge can go without a loss where the networks' names stand beside it.
    let networks = rows.iter().all(|row| row.network.is_some());
    [
        column("DOMAIN", true, None),
        column("HOST", true, None),
        column("BRIDGE", true, networks.then_some(0)),
        column("NETWORK", true, (!networks).then_some(0)),
        column("ADDRESS", false, None),
        column("MAC", false, Some(1)),
        column("LEFT", false, None),
        column("STATE", false, None),
        column("VIA", true, None),
        column("SOURCE", false, None),
    ]
}

pub(crate) fn cells(row: &Row, now: i64) -> Vec<Cell> {
    let tone = match row.state {
        AddressState::Attached => Tone::Good,
        AddressState::LeftBehind
        | AddressState::NoLease
        | AddressState::NoBridge
        | AddressState::Denied
        | AddressState::NoAddress => Tone::Warning,
        AddressState::Unclear | AddressState::NoGuest => Tone::Plain,
        AddressState::Expired => Tone::Faint,
    };
    let text = |text: &Option<String>| match text {
        Some(text) => Cell::new(printable(text)),
        None => Cell::toned("-", Tone::Faint),
    };
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    vec![
        text(&row.domain),
        text(&row.host_name),
        match row.bridge.as_str() {
            "" => text(&None),
            bridge => Cell::new(printable(bridge)),
        },
        text(&row.network),
        Cell::new(or_dash(row.address.map(|address| address.to_string()))),
        Cell::new(or_dash(row.mac.map(|mac| mac.to_string()))),
        Cell::new(or_dash(row.expiry.map(|expiry| duration::left(expiry, now)))),
        Cell::toned(row.state.text(), tone),
        text(&row.told.as_ref().map(|told| told.connection.clone())),
        Cell::new(row.source()),
    ]
}

fn lines(rows: &[Row], now: i64, room: Option<usize>, paint: Paint) -> Vec<String> {
    let cells: Vec<Vec<Cell>> = rows.iter().map(|row| cells(row, now)).collect();
    table::lines(&columns(rows), &cells, room, paint)
}

/// The row's bridge, if there is one on this host.
fn bridge(row: &Row) -> Option<&str> {
    Some(row.bridge.as_str()).filter(|bridge| !bridge.is_empty())
}

/// The fields of `--plain`.
pub(crate) fn plain(row: &Row) -> String {
    let address = row.address.map(|address| address.to_string());
    let mac = row.mac.map(|mac| mac.to_string());
    let expiry = row.expiry.map(|expiry| expiry.to_string());
    [
        row.domain.as_deref(),
        row.host_name.as_deref(),
        bridge(row),
        row.network.as_deref(),
        address.as_deref(),
        mac.as_deref(),
        expiry.as_deref(),
        Some(row.state.word()),
        row.network_domain.as_deref(),
        row.client_id.as_deref(),
        Some(row.source()),
        row.told.as_ref().map(|told| told.connection.as_str()),
    ]
    .map(field)
    .join("\t")
}

/// A row for programs.
#[derive(Serialize)]
pub(crate) struct JsonRow<'r> {
    domain: Option<&'r str>,
    host_name: Option<&'r str>,
    bridge: Option<&'r str>,
    network: Option<&'r str>,
    network_domain: Option<&'r str>,
    address: Option<String>,
    family: Option<&'static str>,
    mac: Option<String>,
    client_id: Option<&'r str>,
    expiry: Option<i64>,
    state: &'static str,
    /// Who says so: `file`, or over libvirt's API `lease`, `agent`, `arp` or, without an address,
    /// `libvirt`.
    source: &'static str,
    /// Of what only the daemon knows: the connection to the guest's libvirt.
    connection: Option<&'r str>,
}

impl<'r> JsonRow<'r> {
    pub(crate) fn new(row: &'r Row) -> Self {
        Self {
            domain: row.domain.as_deref(),
            host_name: row.host_name.as_deref(),
            bridge: bridge(row),
            network: row.network.as_deref(),
            network_domain: row.network_domain.as_deref(),
            address: row.address.map(|address| address.to_string()),
            family: row.address.map(state::address::family),
            mac: row.mac.map(|mac| mac.to_string()),
            client_id: row.client_id.as_deref(),
            expiry: row.expiry,
            state: row.state.word(),
            source: row.source(),
            connection: row.told.as_ref().map(|told| told.connection.as_str()),
        }
    }
}
