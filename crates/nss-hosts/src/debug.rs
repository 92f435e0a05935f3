//! The messages of the modules with `LIBVIRT_NSS_DEBUG`: a line on standard error for each file, record and candidate.

use guest_names::address::{Address, Mac, hex_digits};
use guest_names::bridge::Bridge;
use guest_names::candidate::Candidate;
use guest_names::io::{Fault, Kind};
use guest_names::observe::{Fate, Observer, Verdict};
use guest_names::records::lease::{BadRecord, Lease};
use guest_names::snapshot::Standing;
use guest_names::snapshot::format::Entry;
use guest_names::text::Text;

use crate::system::{self, STATE_DIRECTORY};

/// The snapshot's name in messages.
const SNAPSHOT: &[u8] = b"snapshot";

/// The observer that writes messages.
pub(crate) struct Messages {
    /// The file that is being read.
    file: (Bridge, Kind),
}

/// The length of the longest line in bytes: a host name, an address, a MAC and what happened to them.
const LINE: usize = 384;

/// A line in the making. Long lines are cut.
struct Line {
    bytes: [u8; LINE],
    len: usize,
}

impl Line {
    fn new() -> Self {
        Self { bytes: [0; LINE], len: 0 }
    }

    /// The start of every line.
    fn begin(&mut self) {
        self.text(b"libvirt-nss: ");
    }

    fn text(&mut self, text: &[u8]) {
        text.iter().for_each(|&byte| self.put(byte));
    }

    /// Appends a byte; a question mark in place of one that could control a terminal, as guests choose their names.
    fn put(&mut self, byte: u8) {
        // The last place is for the end of the line.
        if let (Some(place), true) = (self.bytes.get_mut(self.len), self.len < LINE - 1) {
            let plain = byte.is_ascii_graphic() || byte == b' ';
            *place = if plain { byte } else { b'?' };
            self.len += 1;
        }
    }

    fn number(&mut self, value: u32) {
        let mut unit = 1_000_000_000;
        while unit > 0 {
            if value >= unit || unit == 1 {
                self.put(b'0' + (value / unit % 10) as u8);
            }
            unit /= 10;
        }
    }

    /// The name of a guest, in quotation marks.
    fn name(&mut self, name: &[u8]) {
        self.text(b"\"");
        self.text(name);
        self.text(b"\"");
    }

    fn address(&mut self, address: Option<Address>, mac: Option<Mac>) {
        if let Some(address) = address {
            for (at, &octet) in address.octets().iter().enumerate() {
                match address {
                    Address::V4(_) => {
                        self.put(if at == 0 { b' ' } else { b'.' });
                        self.number(octet.into());
                    }
                    Address::V6(_) => {
                        if at % 2 == 0 {
                            self.put(if at == 0 { b' ' } else { b':' });
                        }
                        self.text(&hex_digits(octet));
                    }
                }
            }
        }
        if let Some(mac) = mac {
            self.text(b" ");
            self.text(&mac.to_text());
        }
    }

    fn fault(&mut self, fault: Fault) {
        match fault {
            Fault::Exhausted => self.text(b"out of file descriptors or memory"),
            Fault::Unreadable(error) => {
                self.text(b"error ");
                self.number(error.unsigned_abs());
            }
        }
    }

    /// Writes the line.
    fn say(&mut self) {
        if let Some(end) = self.bytes.get_mut(self.len) {
            *end = b'\n';
        }
        system::write_stderr(self.bytes.get(..=self.len).unwrap_or(&[]));
    }
}

impl Messages {
    pub(crate) fn new() -> Self {
        Self { file: (Bridge::NONE, Kind::Leases) }
    }

    /// The start of a line about the file.
    fn begin(&self, line: &mut Line) {
        let (bridge, kind) = self.file;
        line.begin();
        line.text(bridge.as_bytes());
        line.text(kind.suffix());
    }

    /// The start of a line about a byte of the file.
    fn begin_at(&self, line: &mut Line, start: u32) {
        self.begin(line);
        line.text(b", byte ");
        line.number(start);
    }
}

impl Observer for Messages {
    fn no_directory(&mut self, fault: Fault) {
        let mut line = Line::new();
        line.begin();
        line.text(STATE_DIRECTORY.to_bytes());
        line.text(b": ");
        line.fault(fault);
        line.say();
    }

    fn file(&mut self, bridge: Bridge, kind: Kind, opened: Result<(), Fault>) {
        self.file = (bridge, kind);
        let mut line = Line::new();
        self.begin(&mut line);
        match opened {
            Ok(()) => line.text(b": reading"),
            Err(fault) => {
                line.text(b": cannot be opened: ");
                line.fault(fault);
            }
        }
        line.say();
    }

    fn broken_off(&mut self, offset: u32, fault: Fault) {
        let mut line = Line::new();
        self.begin_at(&mut line, offset);
        line.text(b": reading failed: ");
        line.fault(fault);
        line.say();
    }

    fn malformed(&mut self, start: u32, end: u32) {
        let mut line = Line::new();
        self.begin_at(&mut line, start);
        line.text(b": skipped: invalid JSON at byte ");
        line.number(end);
        line.say();
    }

    fn lease(&mut self, start: u32, lease: &Lease, verdict: Result<Verdict, BadRecord>) {
        let verdict: &[u8] = match verdict {
            Ok(Verdict::Candidate) => b": candidate",
            Ok(Verdict::Other) => b": skipped: does not match",
            Ok(Verdict::Expired) => b": skipped: expired",
            Err(BadRecord::Mistyped) => b": skipped: a value has the wrong type",
            Err(BadRecord::NoAddress) => b": skipped: address missing or invalid",
        };
        let mut line = Line::new();
        self.begin_at(&mut line, start);
        line.text(b": lease of ");
        line.name(lease.hostname.as_bytes());
        line.address(lease.address, lease.mac);
        line.text(verdict);
        line.say();
    }

    fn mac_map(&mut self, start: u32, domain: &Text, good: bool, wanted: bool) {
        let verdict: &[u8] = match (good, wanted) {
            (false, _) => b": skipped: no domain name, or a value of the wrong type",
            (true, false) => b": skipped: does not match",
            (true, true) => b": taken",
        };
        let mut line = Line::new();
        self.begin_at(&mut line, start);
        line.text(b": domain ");
        line.name(domain.as_bytes());
        line.text(verdict);
        line.say();
    }

    fn snapshot(&mut self, standing: Option<Standing>) {
        let standing: &[u8] = match standing {
            None => b": skipped: damaged",
            Some(Standing { leases: true, .. }) => b": used instead of the state files",
            Some(Standing { reports: true, .. }) => b": used beside the state files",
            Some(_) => b": skipped: out of date",
        };
        let mut line = Line::new();
        line.begin();
        line.text(SNAPSHOT);
        line.text(standing);
        line.say();
    }

    fn entry(&mut self, offset: u32, entry: &Entry<'_>, _: Standing, counts: bool) {
        let verdict: &[u8] = if counts { b": candidate" } else { b": skipped: does not count now" };
        let mut line = Line::new();
        line.begin();
        line.text(SNAPSHOT);
        line.text(b", byte ");
        line.number(offset);
        line.text(b": ");
        line.name(entry.name);
        line.address(entry.address, entry.mac);
        line.text(verdict);
        line.say();
    }

    fn candidate(&mut self, candidate: &Candidate, fate: Fate) {
        let fate: &[u8] = match fate {
            Fate::Taken => b": taken",
            Fate::LeftBehind => b": skipped: left behind, and a running guest has the name",
            Fate::OtherCase => b": skipped: another domain has exactly this name",
            Fate::OtherClient => b": skipped: the NIC has a newer lease with another client id",
            Fate::Duplicate => b": skipped: already in the answer",
            Fate::OtherFamily => b": skipped: only the other address family was requested",
            Fate::LinkLocal => b": skipped: link-local",
            Fate::Outranked => b": skipped: another lease of the address comes first",
            Fate::BehindConnection => b": skipped: a guest of an earlier connection has the name",
            Fate::BehindFiles => b": skipped: a guest of this host has the name",
        };
        let mut line = Line::new();
        line.begin();
        line.text(b"candidate");
        line.address(candidate.address, candidate.mac);
        line.text(fate);
        line.say();
    }

    fn own_name(&mut self) {
        let mut line = Line::new();
        line.begin();
        line.text(b"skipped: it is this host's own name");
        line.say();
    }
}
