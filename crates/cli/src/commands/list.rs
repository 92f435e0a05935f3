//! `libvirt-nss list`.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};

use guest_names::io::Kind;
use guest_store::contents::Contents;
use serde::Serialize;

use crate::args::{Filter, List};
use crate::context::Context;
use crate::daemon::{self, Told};
use crate::error::Error;
use crate::nsswitch;
use crate::output::duration;
use crate::output::escape::{field, printable, write_json};
use crate::output::paint::{Paint, Tone};
use crate::output::table::{self, Cell, Column};
use crate::pattern::Pattern;
use crate::presence;
use crate::state;
use crate::state::rows::{AddressState, Resolves, Row, all_rows};
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
    let all = shown.clone();
    shown.retain(|row| options.filter.lets_through(row) && options.lets_through(row));
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
        let expired = if before > 0 { "; --all shows expired leases" } else { "" };
        let unknown = options.filter.unknown_network(&all).unwrap_or_default();
        context.warn(&format!("no guest and no lease to show{unknown}{expired}"));
    }
    nsswitch::note_absence(context);
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
pub(super) fn tell_about_files(contents: &Contents, context: &Context) {
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

impl List {
    /// What its pattern and its families leave.
    fn lets_through(&self, row: &Row) -> bool {
        let address = row.address;
        let family = self.families.family();
        let fits = family.is_none_or(|family| {
            address.is_some_and(|address| state::address::from_std(address).family() == family)
        });
        let with_domain = match (&row.host_name, &row.network_domain) {
            (Some(name), Some(domain)) => Some(format!("{name}.{domain}")),
            _ => None,
        };
        let address = address.map(|address| address.to_string());
        let texts = [&row.domain, &row.host_name, &with_domain, &address];
        let matches = |pattern: &Pattern| {
            texts.iter().any(|text| text.as_deref().is_some_and(|text| pattern.matches(text)))
        };
        fits && self.pattern.as_ref().is_none_or(matches)
    }
}

impl Filter {
    /// Where no row is of the network that is asked for: the networks and bridges that there are.
    pub(crate) fn unknown_network(&self, rows: &[Row]) -> Option<String> {
        let pattern = self.network.as_ref()?;
        let places = rows.iter().filter_map(|row| Some((bridge(row)?, row.network.as_deref())));
        let places: BTreeSet<_> = places.collect();
        let known = |place: &(&str, Option<&str>)| {
            pattern.matches(place.0) || place.1.is_some_and(|network| pattern.matches(network))
        };
        if places.iter().any(known) {
            return None;
        }
        let names: Vec<String> = places
            .into_iter()
            .map(|(bridge, network)| match network {
                Some(network) => format!("{network} ({bridge})"),
                None => bridge.to_owned(),
            })
            .collect();
        Some(match names.as_slice() {
            [] => "; there are no networks with guests or leases".into(),
            names => format!("; the networks with guests or leases are: {}", names.join(", ")),
        })
    }

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
pub(crate) fn columns(rows: &[Row]) -> [Column; 11] {
    let column = |title, elastic, dispensable| {
        let hidden = match title {
            "NETWORK" => rows.iter().all(|row| row.network.is_none()),
            "VIA" => !rows.iter().any(Row::is_elsewhere),
            "SOURCE" => rows.iter().all(|row| row.told.is_none()),
            _ => false,
        };
        Column { title, mark: None, elastic, hidden, dispensable }
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
        column("LEFT", false, Some(3)),
        column("STATE", false, None),
        column("RESOLVES", false, Some(2)),
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
        match row.resolves() {
            Resolves::No => Cell::toned("no", Tone::Warning),
            resolves => Cell::new(resolves.word()),
        },
        text(&row.told.as_ref().map(|told| told.connection.clone())),
        Cell::new(row.source()),
    ]
}

fn lines(rows: &[Row], now: i64, room: Option<usize>, paint: Paint) -> Vec<String> {
    let mut cells: Vec<Vec<Cell>> = rows.iter().map(|row| cells(row, now)).collect();
    dim_repeats(rows, &mut cells);
    table::lines(&columns(rows), &cells, room, paint)
}

/// A name that is the same as in the row above stands back.
fn dim_repeats(rows: &[Row], cells: &mut [Vec<Cell>]) {
    for (at, pair) in rows.windows(2).enumerate() {
        let same = [pair[0].domain == pair[1].domain, pair[0].host_name == pair[1].host_name];
        for (column, _) in same.iter().enumerate().filter(|(_, same)| **same) {
            cells[at + 1][column].tone = Tone::Faint;
        }
    }
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
        Some(row.resolves().word()),
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
    /// By which names the address is found: `both`, `host`, `domain` or `no`.
    resolves: &'static str,
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
            resolves: row.resolves().word(),
        }
    }
}
