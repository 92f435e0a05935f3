//! What `LIBVIRT_NSS_DEBUG` makes the modules say on standard error: a line for each file, each record
//! and each candidate.

use guest_names::address::{Address, Mac, hex_digits as hex};
use guest_names::lease::{BadRecord, Lease};
use guest_names::observe::{Fate, Observer, Verdict};
use guest_names::ranking::Candidate;
use guest_names::state::Kind;
use guest_names::text::Text;
use guest_names::window::Fault;

use crate::system::{STATE_DIRECTORY, write_stderr};

/// The observer that writes.
pub(crate) struct Messages {
    /// The file that is being read.
    file: Text,
}

/// A part of a line.
enum Part<'p> {
    Text(&'p [u8]),
    /// What a guest or a domain calls itself, in quotes.
    Name(&'p Text),
    Number(u32),
    Address(Option<Address>),
    Mac(Option<Mac>),
    Fault(Fault),
}

use Part::{Number, Text as Say};

/// One line in the making. What is too long is cut.
struct Line {
    bytes: [u8; 512],
    len: usize,
}

impl Line {
    /// Bytes as they are, but for those that could drive a terminal: guests choose their names.
    fn text(&mut self, text: &[u8]) {
        for &byte in text {
            // The last byte is for the end of the line.
            if self.len < 511 {
                let plain = byte >= b' ' && byte != 0x7f;
                self.put(if plain { byte } else { b'?' });
            }
        }
    }

    fn put(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    #[inline(never)]
    fn number(&mut self, value: u32) {
        let mut digits = [0; 10];
        let mut rest = value;
        let mut used = 0;
        for place in digits.iter_mut().rev() {
            *place = b'0' + (rest % 10) as u8;
            rest /= 10;
            used += 1;
            if rest == 0 {
                break;
            }
        }
        self.text(digits.get(10 - used..).unwrap_or(&[]));
    }

    fn address(&mut self, address: Address) {
        let octets = address.octets();
        let v4 = octets.len() == 4;
        for (at, &octet) in octets.iter().enumerate() {
            if v4 {
                self.text(if at > 0 { b"." } else { b"" });
                self.number(u32::from(octet));
            } else {
                self.text(if at > 0 && at % 2 == 0 { b":" } else { b"" });
                self.text(&hex(octet));
            }
        }
    }

    #[inline(never)]
    fn part(&mut self, part: &Part<'_>) {
        match *part {
            Say(text) => self.text(text),
            Part::Name(name) => {
                self.text(b"\"");
                self.text(name.as_bytes());
                self.text(b"\"");
            }
            Number(value) => self.number(value),
            Part::Address(address) => address.into_iter().for_each(|address| {
                self.text(b" ");
                self.address(address);
            }),
            Part::Mac(mac) => mac.into_iter().for_each(|mac| {
                self.text(b" ");
                self.text(&mac.to_text());
            }),
            Part::Fault(Fault::Exhausted) => self.text(b"out of file descriptors or of memory"),
            Part::Fault(Fault::Unreadable(error)) => {
                self.text(b"error ");
                self.number(error.unsigned_abs());
            }
        }
    }
}

/// Writes the parts as one line.
#[inline(never)]
fn say(parts: &[Part<'_>]) {
    let mut line = Line { bytes: [0; 512], len: 0 };
    line.text(b"libvirt-nss: ");
    parts.iter().for_each(|part| line.part(part));
    line.put(b'\n');
    write_stderr(line.bytes.get(..line.len).unwrap_or(&[]));
}

impl Messages {
    pub(crate) fn new() -> Self {
        Self { file: Text::new() }
    }

    #[inline(never)]
    fn record(&self, start: u32, what: &[u8], name: &Text, lease: Option<&Lease>, verdict: &[u8]) {
        let address = Part::Address(lease.and_then(|lease| lease.address));
        let mac = Part::Mac(lease.and_then(|lease| lease.mac));
        let file = Say(self.file.as_bytes());
        let (at, name) = (Say(b", byte "), Part::Name(name));
        say(&[file, at, Number(start), Say(what), name, address, mac, Say(b": "), Say(verdict)]);
    }
}

impl Observer for Messages {
    fn no_directory(&mut self, fault: Fault) {
        say(&[Say(STATE_DIRECTORY.to_bytes()), Say(b": "), Part::Fault(fault)]);
    }

    fn file(&mut self, bridge: &[u8], kind: Kind, opened: Result<(), Fault>) {
        self.file.set(bridge);
        self.file.extend(kind.suffix());
        let file = Say(self.file.as_bytes());
        match opened {
            Ok(()) => say(&[file, Say(b": reading")]),
            Err(fault) => say(&[file, Say(b": can't be opened: "), Part::Fault(fault)]),
        }
    }

    fn broken_off(&mut self, _: &[u8], _: Kind, offset: u32, fault: Fault) {
        let file = Say(self.file.as_bytes());
        say(&[
            file,
            Say(b": can't be read from byte "),
            Number(offset),
            Say(b" on: "),
            Part::Fault(fault),
        ]);
    }

    fn malformed(&mut self, start: u32, end: u32) {
        let file = Say(self.file.as_bytes());
        say(&[
            file,
            Say(b", byte "),
            Number(start),
            Say(b": dropped: not JSON at byte "),
            Number(end),
        ]);
    }

    fn lease(&mut self, start: u32, lease: &Lease, verdict: Result<Verdict, BadRecord>) {
        let verdict: &[u8] = match verdict {
            Ok(Verdict::Candidate) => b"a candidate",
            Ok(Verdict::Other) => b"dropped: not what was asked for",
            Ok(Verdict::Expired) => b"dropped: it has expired",
            Err(BadRecord::Mistyped) => b"dropped: a value has the wrong type",
            Err(BadRecord::NoAddress) => b"dropped: no address that can be read",
        };
        self.record(start, b": lease of ", &lease.hostname, Some(lease), verdict);
    }

    fn mac_map(&mut self, start: u32, domain: &Text, good: bool, wanted: bool) {
        let verdict: &[u8] = match (good, wanted) {
            (false, _) => b"dropped: no domain, or a value of the wrong type",
            (true, false) => b"not what was asked for",
            (true, true) => b"taken",
        };
        self.record(start, b": domain ", domain, None, verdict);
    }

    fn candidate(&mut self, candidate: &Candidate, fate: Fate) {
        let fate: &[u8] = match fate {
            Fate::Taken => b": taken",
            Fate::LeftBehind => b": dropped: left behind, a running guest has the name",
            Fate::OtherCase => b": dropped: another domain has exactly this name",
            Fate::Duplicate => b": dropped: in the answer already",
            Fate::OtherFamily => b": dropped: of the other family",
            Fate::Outranked => b": dropped: another lease of the address comes first",
        };
        let (address, mac) = (Part::Address(Some(candidate.address)), Part::Mac(candidate.mac));
        say(&[Say(b"candidate"), address, mac, Say(fate)]);
    }
}
