//! Decides which rows of a key become entries of the snapshot, and merges duplicates.

use std::cmp::Reverse;

use guest_names::address::Mac;
use guest_names::bridge::Bridge;
use guest_names::candidate::Evidence;
use guest_names::snapshot::format::{Entry, flags, kind};

use super::index::{AddressKey, octets};
use super::table::{Class, Fact, Row, Table};

/// A row that becomes an entry of the snapshot.
#[derive(Clone, Copy)]
struct Kept {
    /// Its index in the key's rows.
    at: u32,
    flags: u8,
    evidence: Evidence,
    /// Whether it was merged into another row.
    is_merged: bool,
}

/// Works on one key at a time, and reuses its buffers.
#[derive(Default)]
pub(super) struct Merge {
    kept: Vec<Kept>,
    /// Indexes into `kept`, sorted by address and NIC.
    sorted: Vec<(Identity, u32)>,
}

impl Merge {
    /// Decides about a key's rows. Returns when to decide again, in seconds since the epoch, if the outcome depends on a
    /// lease that ends.
    pub(super) fn settle(&mut self, table: &Table, key: &[u8], rows: &[Row]) -> Option<i64> {
        let kind = key.first().copied();
        if let [row] = rows {
            let (flags, evidence) = (row.flags, table.fact_of(row).evidence);
            self.kept.clear();
            self.kept.push(Kept { at: 0, flags, evidence, is_merged: false });
            return None;
        }
        let until = self.choose(table, rows, kind);
        if self.kept.len() > 1 {
            self.unite(table, rows, kind);
            if kind == Some(kind::ADDRESS) {
                self.kept.sort_by_key(|kept| {
                    let row = &rows[kept.at as usize];
                    place_of_name(kept, row.borrowed, table.fact_of(row))
                });
            }
        }
        until
    }

    /// Keeps the rows of the first connection with a running guest or, if there is none, of the first connection. Leases in
    /// the state files are always kept, since look-ups fall back to them when the daemon isn't running.
    fn choose(&mut self, table: &Table, rows: &[Row], kind: Option<u8>) -> Option<i64> {
        let rank = |row: &Row| table.fact_of(row).rank;
        let counts = |row: &&Row| !row.is(flags::DENIED);
        let order = rows.iter().filter(counts).map(|row| row.class.order()).min();
        let is_lowest = |row: &Row| order.is_none_or(|order| row.class.order() == order);
        let open = |row: &Row| row.class == Class::Derived || is_lowest(row);
        let candidates = || rows.iter().filter(counts).filter(|row| open(row));
        // The rows are in the order of their ranks.
        let running = candidates().find(|row| row.is(flags::ATTACHED));
        let first = running.or_else(|| candidates().next()).map(rank);
        // Leases left behind here lose to a guest that runs elsewhere, also in look-ups that read the files themselves.
        let mut lower = rows.iter().take_while(|row| first.is_some_and(|first| rank(row) < first));
        let before = if lower.any(Row::is_lease) { flags::BEFORE } else { 0 };
        let may_win = |row: &Row| open(row) && first.is_none_or(|first| rank(row) == first);
        let is_leased =
            |row: &Row| row.is(flags::ATTACHED) && !row.borrowed && table.fact_of(row).is_leased();
        let matters = kind != Some(kind::ADDRESS) && rows.iter().any(|row| row.borrowed);
        let any_leased =
            matters && rows.iter().filter(counts).any(|row| may_win(row) && is_leased(row));
        let (mut lasts_until, mut any_lost) = (None, false);
        self.kept.clear();
        for (at, row) in (0..).zip(rows) {
            let wins = may_win(row) && !(row.borrowed && any_leased);
            let fact = table.fact_of(row);
            let lost = if wins { 0 } else { flags::DENIED };
            any_lost |= !wins;
            if wins || row.is_lease() {
                let before = if row.is(flags::ELSEWHERE) { before } else { 0 };
                let flags = row.flags | lost | before;
                self.kept.push(Kept { at, flags, evidence: fact.evidence, is_merged: false });
            }
            if wins && fact.expiry != 0 {
                super::earliest(&mut lasts_until, fact.expiry);
            }
        }
        lasts_until.filter(|_| any_lost)
    }

    /// Merges each lease with what libvirt reports about it.
    fn unite(&mut self, table: &Table, rows: &[Row], kind: Option<u8>) {
        let Self { kept, sorted } = self;
        sorted.clear();
        let identity = |kept: &Kept| identity(table.fact_of(&rows[kept.at as usize]));
        sorted.extend(kept.iter().map(identity).zip(0..));
        sorted.sort_unstable();
        for run in sorted.chunk_by(|a, b| a.0 == b.0).filter(|run| run.len() > 1) {
            unite_run(table, rows, kept, run, kind);
        }
    }

    /// The key's entries, in the order of `kept`.
    pub(super) fn entries<'t>(
        &self,
        table: &'t Table,
        rows: &'t [Row],
    ) -> impl Iterator<Item = Entry<'t>> {
        self.kept.iter().filter(|kept| !kept.is_merged).map(move |kept| {
            let row = &rows[kept.at as usize];
            let fact = table.fact_of(row);
            Entry {
                flags: kept.flags,
                evidence: kept.evidence,
                connection: fact.connection,
                address: fact.address,
                mac: fact.mac,
                bridge: fact.bridge,
                expiry: fact.expiry,
                order: fact.order,
                client: fact.client,
                name: table.name_of(row),
            }
        })
    }
}

/// The sort key for the names of an address: a domain's name first, then those from leases, agents and neighbour tables.
/// Among leases those of running guests come first, then those that last longest, as in a look-up in the state files.
fn place_of_name(kept: &Kept, borrowed: bool, fact: &Fact) -> impl Ord + use<> {
    let has = |flag: u8| kept.flags & flag != 0;
    // As in a look-up's answer, leases that never end come last.
    let end = (fact.expiry == 0, Reverse(fact.expiry));
    let evidence = match (fact.is_leased(), borrowed) {
        (true, false) => None,
        (true, true) => Some(Evidence::Agent),
        (false, _) => Some(kept.evidence),
    };
    let lease = (!has(flags::ATTACHED), !has(flags::LEASE), end);
    (has(flags::DENIED), fact.rank, !has(flags::DOMAIN), evidence, lease)
}

/// The address and the NIC, as a sort key.
type Identity = (Option<AddressKey>, Option<u64>);

fn identity(fact: &Fact) -> Identity {
    (fact.address.map(octets), fact.mac.map(Mac::number))
}

/// Merges rows with the same address and NIC: a report goes into the leases that it is about or, if there are none, into
/// an earlier report. Two leases are never merged, since look-ups don't merge them either.
fn unite_run(
    table: &Table,
    rows: &[Row],
    kept: &mut [Kept],
    run: &[(Identity, u32)],
    kind: Option<u8>,
) {
    let same = |kept: &[Kept], a: u32, b: u32| {
        let row = |at: u32| &rows[kept[at as usize].at as usize];
        let (a, b) = (row(a), row(b));
        let (one, other) = (table.fact_of(a), table.fact_of(b));
        let (name, other_name) = (table.name_of(a), table.name_of(b));
        let bridges = one.bridge == other.bridge
            || [one, other].iter().any(|fact| fact.bridge == Bridge::NONE);
        // Domain names are case-sensitive.
        let names = match kind {
            Some(kind::HOST) => true,
            Some(kind::ADDRESS) if !a.is(flags::DOMAIN) => name.eq_ignore_ascii_case(other_name),
            _ => name == other_name,
        };
        let kinds = a.is(flags::DOMAIN) == b.is(flags::DOMAIN);
        one.rank == other.rank && bridges && kinds && names
    };
    let is_lease = |kept: &[Kept], at: u32| kept[at as usize].flags & flags::LEASE != 0;
    let mut into = Vec::new();
    for &((address, _), at) in run {
        let one = kept[at as usize];
        // Leases are only merged for a guest without an address.
        let others = if is_lease(kept, at) && address.is_some() { &[] } else { &into[..] };
        let mut merged = false;
        for &other in others {
            if (is_lease(kept, at) && !is_lease(kept, other)) || !same(kept, at, other) {
                continue;
            }
            merged = true;
            let other = &mut kept[other as usize];
            // An unconfirmed report of a lease in the files adds nothing.
            let is_news = one.evidence != Evidence::StateFile || one.flags & flags::CONFIRMED != 0;
            if is_news || other.flags & flags::LEASE == 0 {
                other.flags = (other.flags | one.flags) & !flags::DENIED;
                // The evidence that ranks first.
                other.evidence = other.evidence.min(one.evidence);
            }
        }
        kept[at as usize].is_merged = merged;
        if !merged {
            into.push(at);
        }
    }
}
