//! The rows: each says that a key (a name or an address) resolves to an address, or belongs to a guest without one. Many
//! rows share an address and a name, so those are stored once.

use guest_names::address::{Address, Mac};
use guest_names::bridge::Bridge;
use guest_names::candidate::Evidence;
use guest_names::snapshot::format::{flags, kind};

use super::limits::Holder;

/// Bytes in [`Table::bytes`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    at: u32,
    length: u16,
}

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
        let at = self.bytes.len();
        self.bytes.extend_from_slice(name);
        self.span_from(at)
    }

    /// Joins the parts that aren't empty with dots, in lower case, to the key of a name; `None` if `good` rejects the name.
    pub(super) fn key(
        &mut self,
        kind: u8,
        parts: &[&[u8]],
        good: impl FnOnce(&[u8]) -> bool,
    ) -> Option<Span> {
        let at = self.bytes.len();
        self.bytes.push(kind);
        for part in parts.iter().filter(|part| !part.is_empty()) {
            if self.bytes.len() > at + 1 {
                self.bytes.push(b'.');
            }
            self.bytes.extend_from_slice(part);
        }
        let whole = &mut self.bytes[at + 1..];
        whole.make_ascii_lowercase();
        if !good(whole) {
            self.bytes.truncate(at);
            return None;
        }
        Some(self.span_from(at))
    }

    pub(super) fn address_key(&mut self, address: Address) -> Span {
        let at = self.bytes.len();
        self.bytes.push(kind::ADDRESS);
        self.bytes.extend_from_slice(address.octets());
        self.span_from(at)
    }

    fn span_from(&self, at: usize) -> Span {
        let length = self.bytes.len() - at;
        Span { at: at as u32, length: length.min(usize::from(u16::MAX)) as u16 }
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
        self.rows.push(Row { key, name, fact, order, class, borrowed, flags });
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
        let from = span.at as usize;
        self.bytes.get(from..from + usize::from(span.length)).unwrap_or(&[])
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
        let text = |span: Span| &bytes[span.at as usize..][..usize::from(span.length)];
        rows.sort_unstable_by(|a, b| {
            let keys = if a.key == b.key {
                std::cmp::Ordering::Equal
            } else {
                text(a.key).cmp(text(b.key))
            };
            keys.then_with(|| {
                let rank = |row: &Row| (facts[row.fact as usize].rank, row.order);
                rank(a).cmp(&rank(b))
            })
        });
    }

    /// Each key with its rows. Call [`Self::sort`] first.
    pub(super) fn groups(&self) -> impl Iterator<Item = (&[u8], &[Row])> {
        self.rows
            .chunk_by(|a, b| a.key == b.key || self.text(a.key) == self.text(b.key))
            .filter_map(|rows| Some((self.text(rows.first()?.key), rows)))
    }
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
