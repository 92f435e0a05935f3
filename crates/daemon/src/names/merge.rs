//! Which rows of a key become entries of the snapshot, and which of them are one and the same.

use std::cmp::Reverse;

use guest_names::snapshot::format::{Entry, Source, flags, kind};
use guest_names::state::Bridge;

use super::index::octets;
use super::table::{Class, Fact, Row, Table};
use super::weight;

/// A row that is kept.
#[derive(Clone, Copy)]
struct Kept {
    /// Its place among the key's rows.
    at: u32,
    flags: u8,
    source: Source,
    /// It is part of another one.
    is_merged: bool,
}

/// Works on one key after the other.
#[derive(Default)]
pub(super) struct Merge {
    kept: Vec<Kept>,
    /// The kept rows by address and NIC.
    sorted: Vec<u32>,
}

impl Merge {
    /// Decides about a key's rows. When another decision is due, if one is.
    pub(super) fn settle(&mut self, table: &Table, key: &[u8], rows: &[Row]) -> Option<i64> {
        let until = self.choose(table, rows);
        if self.kept.len() > 1 {
            let kind = key.first().copied();
            self.unite(table, rows, kind);
            if kind == Some(kind::ADDRESS) {
                self.kept.sort_by_key(|kept| {
                    place_of_name(kept, table.fact_of(&rows[kept.at as usize]))
                });
            }
        }
        until
    }

    /// Keeps the rows of the first connection; of the first that has a running guest, if any has. Leases of
    /// the files stay in any case, as what look-ups fall back to without the daemon.
    fn choose(&mut self, table: &Table, rows: &[Row]) -> Option<i64> {
        let rank = |row: &Row| table.fact_of(row).rank;
        let counts = |row: &&Row| !row.is(flags::DENIED);
        let has_own = rows.iter().filter(counts).any(|row| row.class == Class::Own);
        let open = |row: &Row| !(has_own && row.class == Class::Alias);
        let candidates = || rows.iter().filter(counts).filter(|row| open(row));
        let running = candidates().filter(|row| row.is(flags::ATTACHED)).map(rank).min();
        let first = running.or_else(|| candidates().map(rank).min());
        // What was left behind here yields to a guest that runs elsewhere, whenever the files are read too.
        let yields = |row: &Row| row.is_lease() && first.is_some_and(|first| rank(row) < first);
        let before = if rows.iter().any(yields) { flags::BEFORE } else { 0 };
        let (mut lasts_until, mut any_lost) = (None, false);
        self.kept.clear();
        for (at, row) in (0..).zip(rows) {
            let wins = open(row) && first.is_none_or(|first| rank(row) == first);
            let fact = table.fact_of(row);
            let lost = if wins { 0 } else { flags::DENIED };
            any_lost |= !wins;
            if wins || row.is_lease() {
                let before = if row.is(flags::ELSEWHERE) { before } else { 0 };
                let flags = row.flags | lost | before;
                self.kept.push(Kept { at, flags, source: fact.source, is_merged: false });
            }
            if wins && fact.expiry != 0 {
                super::earliest(&mut lasts_until, fact.expiry);
            }
        }
        lasts_until.filter(|_| any_lost)
    }

    /// Makes one of a lease and what libvirt tells of it.
    fn unite(&mut self, table: &Table, rows: &[Row], kind: Option<u8>) {
        let Self { kept, sorted } = self;
        sorted.clear();
        sorted.extend(0..kept.len() as u32);
        sorted.sort_unstable_by_key(|&at| (identity(table, rows, kept, at), at));
        let same =
            |&a: &u32, &b: &u32| identity(table, rows, kept, a) == identity(table, rows, kept, b);
        let runs: Vec<&[u32]> = sorted.chunk_by(same).filter(|run| run.len() > 1).collect();
        for run in runs {
            unite_run(table, rows, kept, run, kind);
        }
    }

    /// The entries, in the order of the rows.
    pub(super) fn entries<'t>(
        &'t self,
        table: &'t Table,
        rows: &'t [Row],
    ) -> impl Iterator<Item = Entry<'t>> {
        self.kept.iter().filter(|kept| !kept.is_merged).map(|kept| {
            let row = &rows[kept.at as usize];
            let fact = table.fact_of(row);
            Entry {
                flags: kept.flags,
                source: kept.source,
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

/// Which of an address's names comes first, as the look-up in the files has it: that of a running guest's
/// lease, and of the one that lasts longest.
fn place_of_name(kept: &Kept, fact: &Fact) -> impl Ord + use<> {
    let has = |flag: u8| kept.flags & flag != 0;
    let ends = if fact.expiry == 0 { i64::MAX } else { fact.expiry };
    (has(flags::DENIED), fact.rank, !has(flags::ATTACHED), !has(flags::LEASE), Reverse(ends))
}

/// The address and the NIC, to be sorted by.
type Identity = (Option<(usize, [u8; 16])>, Option<[u8; 6]>);

fn identity(table: &Table, rows: &[Row], kept: &[Kept], at: u32) -> Identity {
    let fact = table.fact_of(&rows[kept[at as usize].at as usize]);
    (fact.address.map(octets), fact.mac.map(|mac| mac.0))
}

/// Of rows with one address and NIC: what libvirt tells goes into the leases that it is about or, without
/// one, into what is told of it before. Two leases are never one, as look-ups tell them apart too.
fn unite_run(table: &Table, rows: &[Row], kept: &mut [Kept], run: &[u32], kind: Option<u8>) {
    let same = |kept: &[Kept], a: u32, b: u32| {
        let row = |at: u32| &rows[kept[at as usize].at as usize];
        let (a, b) = (row(a), row(b));
        let (one, other) = (table.fact_of(a), table.fact_of(b));
        let (name, other_name) = (table.name_of(a), table.name_of(b));
        let bridges = one.bridge == other.bridge
            || [one, other].iter().any(|fact| fact.bridge == Bridge::NONE);
        // Domains are told apart by case too.
        let names = match kind {
            Some(kind::HOST) => true,
            Some(kind::ADDRESS) if !a.is(flags::DOMAIN) => name.eq_ignore_ascii_case(other_name),
            _ => name == other_name,
        };
        let kinds = a.is(flags::DOMAIN) == b.is(flags::DOMAIN);
        one.rank == other.rank && bridges && kinds && names
    };
    for (place, &at) in run.iter().enumerate() {
        let one = kept[at as usize];
        let is_lease = one.flags & flags::LEASE != 0;
        let mut merged = false;
        for (other_place, &other_at) in run.iter().enumerate() {
            let other = kept[other_at as usize];
            let other_is_lease = other.flags & flags::LEASE != 0;
            let earlier = other_place < place;
            let takes = match (is_lease, other_is_lease) {
                // Of a guest that is known and nothing else.
                (true, true) => earlier && identity(table, rows, kept, at).0.is_none(),
                (true, false) => false,
                (false, true) => true,
                (false, false) => earlier,
            };
            if !takes || other.is_merged || other_place == place || !same(kept, at, other_at) {
                continue;
            }
            merged = true;
            // What is told of the files' lease itself is no news.
            if one.source != Source::Files || !other_is_lease {
                let into = &mut kept[other_at as usize];
                into.flags = (into.flags | one.flags) & !flags::DENIED;
                if weight(one.source) > weight(into.source) {
                    into.source = one.source;
                }
            }
        }
        kept[at as usize].is_merged = merged;
    }
}
