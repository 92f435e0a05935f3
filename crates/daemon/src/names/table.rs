//! Rows: that an address, or a guest without one, answers to a name. Many rows share an address and a
//! name, so those are kept once.

use guest_names::address::{Address, Mac};
use guest_names::bridge::Bridge;
use guest_names::snapshot::format::{Source, flags, kind};

use super::limits::Holder;

/// Bytes in [`Table::bytes`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    at: u32,
    length: u16,
}

/// How a key came to be a guest's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// It is the guest's name.
    Own,
    /// It is the name followed by the domain of the lease's record, which look-ups know without the
    /// snapshot.
    Derived,
    /// It is the name followed by the domain of the guest's network, which only the daemon knows.
    Domain,
    /// It is the name in the zone.
    Zone,
    /// It is the name with its network or connection.
    Qualified,
}

impl Class {
    /// Names of a higher one count where there are none of a lower one.
    pub(super) fn order(self) -> u8 {
        match self {
            Self::Own => 0,
            Self::Derived | Self::Domain => 1,
            Self::Zone => 2,
            Self::Qualified => 3,
        }
    }
}

/// What a row says of an address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fact {
    /// `None`: the guest is known.
    pub(super) address: Option<Address>,
    /// The NIC.
    pub(super) mac: Option<Mac>,
    /// The bridge of this host.
    pub(super) bridge: Bridge,
    /// Seconds since the epoch; 0: none.
    pub(super) expiry: i64,
    /// See [`Entry::order`](guest_names::snapshot::format::Entry::order).
    pub(super) order: u32,
    /// See [`Entry::client`](guest_names::snapshot::format::Entry::client).
    pub(super) client: u32,
    /// Who said so.
    pub(super) source: Source,
    /// The place of the guest's connection.
    pub(super) connection: u16,
    /// The order of its names among those of others: the lowest win.
    pub(super) rank: u32,
    /// [`flags::ELSEWHERE`], [`flags::BEFORE`].
    pub(super) flags: u8,
    /// Whose it is; see [`Holder`](super::limits::Holder).
    pub(super) holder: Holder,
}

impl Fact {
    /// Whether the address is leased, by whichever DHCP server.
    pub(super) fn is_leased(&self) -> bool {
        matches!(self.source, Source::Files | Source::Lease)
    }
}

/// An address under a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    key: Span,
    name: Span,
    fact: u32,
    /// Its place among the rows as they were added.
    order: u32,
    /// How the key came to be.
    pub(super) class: Class,
    /// The address has a lease under another host name: it only answers to this one where no lease of a running
    /// guest has it, as in the files.
    pub(super) borrowed: bool,
    /// [`flags`], those of the fact among them.
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
    /// Keeps the bytes of a name.
    pub(super) fn name(&mut self, name: &[u8]) -> Span {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(name);
        self.span_from(at)
    }

    /// Makes the key of a name, in lower case, out of its parts, of which empty ones are left out; `None` where
    /// `good` says that the whole can't be asked for.
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

    /// Makes the key of an address.
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

    /// Keeps what is said of an address; its index.
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

    /// Whose the row at a place is.
    pub(super) fn holder(&self, at: usize) -> Holder {
        self.fact_of(&self.rows[at]).holder
    }

    /// Keeps the rows whose place `keep` wants.
    pub(super) fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        let mut at = 0;
        self.rows.retain(|_| {
            at += 1;
            keep(at - 1)
        });
    }

    /// The bytes of a span.
    pub(super) fn text(&self, span: Span) -> &[u8] {
        let from = span.at as usize;
        self.bytes.get(from..from + usize::from(span.length)).unwrap_or(&[])
    }

    /// What a row says of an address.
    pub(super) fn fact_of(&self, row: &Row) -> &Fact {
        &self.facts[row.fact as usize]
    }

    /// A row's name, in its own case.
    pub(super) fn name_of(&self, row: &Row) -> &[u8] {
        self.text(row.name)
    }

    /// Puts the rows in the order of their keys, those of one key by rank, and of one rank as they were
    /// added.
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

    /// The rows of each key, with the key, once they are sorted.
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

    /// Whether look-ups read it in the state files.
    pub(super) fn is_lease(&self) -> bool {
        self.is(flags::LEASE)
    }
}
