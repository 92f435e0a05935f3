//! The rows: each says that a key (a name or an address) resolves to an address, or belongs to a guest without one. Many
//! rows share an address and a name, so those are stored once.

use std::cmp::Ordering;

use guest_names::address::{Address, Mac};
use guest_names::bridge::Bridge;
use guest_names::candidate::Evidence;
use guest_names::snapshot::format::{flags, kind};

use super::limits::Holder;

/// Where a text is in [`Table::bytes`]: first its length, then the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span(u32);

/// Bytes of a text's length.
const LENGTH: usize = size_of::<u16>();

/// How a key is made from a guest's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// The name itself.
    Own,
    /// The name and the domain in the lease's record, which look-ups also know without the snapshot.
    Derived,
    /// The name and the domain of the guest's network, which only the daemon knows.
    Domain,
    /// The name in the zone.
    Zone,
    /// The name with its network or connection.
    Qualified,
}

impl Class {
    /// The order of precedence: rows of a key with a higher number only count if there are none with a lower one.
    pub(super) fn order(self) -> u8 {
        match self {
            Self::Own => 0,
            Self::Derived | Self::Domain => 1,
            Self::Zone => 2,
            Self::Qualified => 3,
        }
    }
}

/// What rows say about an address. Many rows may refer to one fact.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fact {
    /// `None`: only that the guest exists is known.
    pub(super) address: Option<Address>,
    /// The NIC.
    pub(super) mac: Option<Mac>,
    /// The NIC's bridge on this host, or [`Bridge::NONE`].
    pub(super) bridge: Bridge,
    /// Seconds since the epoch; 0: none.
    pub(super) expiry: i64,
    /// See [`Entry::order`](guest_names::snapshot::format::Entry::order).
    pub(super) order: u32,
    /// See [`Entry::client`](guest_names::snapshot::format::Entry::client).
    pub(super) client: u32,
    /// How it is known.
    pub(super) evidence: Evidence,
    /// The index of the guest's connection in the configuration.
    pub(super) connection: u16,
    /// The rank of its connection; for the same key, the lowest rank wins.
    pub(super) rank: u32,
    /// [`flags::ELSEWHERE`], [`flags::BEFORE`].
    pub(super) flags: u8,
    /// Who has the address.
    pub(super) holder: Holder,
}

impl Fact {
    /// Whether the address comes from a DHCP lease.
    pub(super) fn is_leased(&self) -> bool {
        self.evidence.is_lease()
    }
}

/// An entry of a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    key: Span,
    /// While rows are sorted: the bytes of the key that they are sorted by next.
    part: [u8; 8],
    name: Span,
    fact: u32,
    /// Its index in the order in which rows were added.
    order: u32,
    /// How the key was made.
    pub(super) class: Class,
    /// Whether the address is leased under another host name. Then it only has this name if no lease of a running guest does.
    pub(super) borrowed: bool,
    /// [`flags`], including the fact's.
    pub(super) flags: u8,
}

/// All rows.
#[derive(Debug, Default)]
pub(super) struct Table {
    bytes: Vec<u8>,
    facts: Vec<Fact>,
    rows: Vec<Row>,
}

impl Table {
    /// Stores the bytes of a name.
    pub(super) fn name(&mut self, name: &[u8]) -> Span {
        let span = self.begin();
        self.bytes.extend_from_slice(name);
        self.end(span)
    }

    /// Joins the parts that aren't empty with dots, in lower case, to the key of a name; `None` if `good` rejects the name.
    pub(super) fn key(
        &mut self,
        kind: u8,
        parts: &[&[u8]],
        good: impl FnOnce(&[u8]) -> bool,
    ) -> Option<Span> {
        let span = self.begin();
        self.bytes.push(kind);
        let at = self.bytes.len();
        for part in parts.iter().filter(|part| !part.is_empty()) {
            if self.bytes.len() > at {
                self.bytes.push(b'.');
            }
            self.bytes.extend_from_slice(part);
        }
        let whole = &mut self.bytes[at..];
        whole.make_ascii_lowercase();
        if !good(whole) {
            self.bytes.truncate(span.0 as usize);
            return None;
        }
        Some(self.end(span))
    }

    pub(super) fn address_key(&mut self, address: Address) -> Span {
        let span = self.begin();
        self.bytes.push(kind::ADDRESS);
        self.bytes.extend_from_slice(address.octets());
        self.end(span)
    }

    /// Begins a text at the end of the bytes.
    fn begin(&mut self) -> Span {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; LENGTH]);
        Span(at as u32)
    }

    /// Ends the text that was begun last.
    fn end(&mut self, span: Span) -> Span {
        let at = span.0 as usize;
        let length = self.bytes.len() - at - LENGTH;
        let length = length.min(usize::from(u16::MAX)) as u16;
        self.bytes[at..at + LENGTH].copy_from_slice(&length.to_ne_bytes());
        span
    }

    /// Stores a fact. Returns its index.
    pub(super) fn fact(&mut self, fact: Fact) -> u32 {
        self.facts.push(fact);
        (self.facts.len() - 1) as u32
    }

    /// Adds a row. `borrowed`: see [`Row::borrowed`].
    pub(super) fn row(
        &mut self,
        key: Span,
        name: Span,
        fact: u32,
        class: Class,
        flags: u8,
        borrowed: bool,
    ) {
        let order = self.rows.len() as u32;
        let flags = flags | self.facts[fact as usize].flags;
        self.rows.push(Row { key, part: [0; 8], name, fact, order, class, borrowed, flags });
    }

    /// The number of rows.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The holder of the row at this index.
    pub(super) fn holder(&self, at: usize) -> Holder {
        self.fact_of(&self.rows[at]).holder
    }

    /// Keeps the rows whose index satisfies `keep`.
    pub(super) fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        let mut at = 0;
        self.rows.retain(|_| {
            at += 1;
            keep(at - 1)
        });
    }

    pub(super) fn text(&self, span: Span) -> &[u8] {
        text(&self.bytes, span)
    }

    pub(super) fn fact_of(&self, row: &Row) -> &Fact {
        &self.facts[row.fact as usize]
    }

    /// The guest's name as it is written there, not in lower case.
    pub(super) fn name_of(&self, row: &Row) -> &[u8] {
        self.text(row.name)
    }

    /// Sorts the rows by key, then by rank, then by the order in which they were added.
    pub(super) fn sort(&mut self) {
        let Self { bytes, facts, rows } = self;
        let rank = |row: &Row| (facts[row.fact as usize].rank, row.order);
        sort_from(0, rows, bytes, &|a, b| {
            let keys = match a.key == b.key {
                true => Ordering::Equal,
                false => text(bytes, a.key).cmp(text(bytes, b.key)),
            };
            keys.then_with(|| rank(a).cmp(&rank(b)))
        });
    }

    /// Each key with its rows. Call [`Self::sort`] first.
    pub(super) fn groups(&self) -> impl Iterator<Item = (&[u8], &[Row])> {
        self.rows
            .chunk_by(|a, b| a.key == b.key || self.text(a.key) == self.text(b.key))
            .filter_map(|rows| Some((self.text(rows.first()?.key), rows)))
    }
}

/// Sorts rows whose keys have the same first `at` bytes. Comparing numbers of eight bytes each takes a fraction of the time of
/// comparing whole keys, which is left for the few rows that they don't tell apart.
fn sort_from(at: usize, rows: &mut [Row], bytes: &[u8], compare: &impl Fn(&Row, &Row) -> Ordering) {
    let mut any_left = false;
    if rows.len() > FEW {
        for row in &mut *rows {
            let rest = text(bytes, row.key).get(at..).unwrap_or_default();
            row.part = [0; 8];
            row.part.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            any_left |= !rest.is_empty();
        }
    }
    if !any_left {
        return rows.sort_unstable_by(compare);
    }
    rows.sort_unstable_by_key(|row| u64::from_be_bytes(row.part));
    for same in rows.chunk_by_mut(|a, b| a.part == b.part) {
        sort_from(at + 8, same, bytes, compare);
    }
}

/// How many rows are sorted by whole keys.
const FEW: usize = 20;

fn text(bytes: &[u8], span: Span) -> &[u8] {
    let rest = bytes.get(span.0 as usize..).unwrap_or_default();
    let Some((length, rest)) = rest.split_first_chunk() else { return &[] };
    rest.get(..usize::from(u16::from_ne_bytes(*length))).unwrap_or_default()
}

impl Row {
    /// Whether all of `flag`'s bits are set.
    pub(super) fn is(&self, flag: u8) -> bool {
        self.flags & flag == flag
    }

    /// Whether look-ups also find it in the state files.
    pub(super) fn is_lease(&self) -> bool {
        self.is(flags::LEASE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys with long common beginnings, keys that begin with others, zeros at their ends, and many that are equal.
    #[test]
    fn rows_are_sorted_as_by_whole_keys() {
        let mut random = fastrand::Rng::with_seed(19);
        let (mut longest, mut equal) = (0, 0);
        for round in 0..200 {
            let mut table = Table::default();
            let ends: &[&[u8]] = &[b"", b"a", b"b", b"\0", b".vm", b"-1"];
            let mut rows = Vec::new();
            for order in 0..random.usize(..300) {
                let mut key = b"gguest-number-"[..random.usize(..15)].to_vec();
                (0..random.usize(..20)).for_each(|_| key.extend(*random.choice(ends).unwrap()));
                let rank = random.u32(..3);
                let fact = Fact {
                    address: None,
                    mac: None,
                    bridge: Bridge::NONE,
                    expiry: 0,
                    order: 0,
                    client: 0,
                    evidence: Evidence::Lease,
                    connection: 0,
                    rank,
                    flags: 0,
                    holder: Holder::Guest(0),
                };
                let (fact, span) = (table.fact(fact), table.name(&key));
                table.row(span, span, fact, Class::Own, 0, false);
                rows.push((key, rank, order));
            }
            rows.sort();
            table.sort();
            let sorted = table.rows.iter().map(|row| {
                (table.text(row.key).to_vec(), table.fact_of(row).rank, row.order as usize)
            });
            assert!(sorted.eq(rows.iter().cloned()), "round {round}");
            longest = longest.max(rows.iter().map(|row| row.0.len()).max().unwrap_or(0));
            equal += rows.windows(2).filter(|pair| pair[0].0 == pair[1].0).count();
        }
        assert!(longest > 32 && equal > 300, "{longest} {equal}");
    }
}
