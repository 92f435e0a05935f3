//! Reads and checks a whole snapshot. Look-ups only read single records, and don't report damage.

use std::fmt;
use std::path::{Path, PathBuf};

use guest_names::io::StateFile as _;
use guest_names::snapshot::format::{Entry, FIRST_RECORD, META_KEY, Meta, RECORD_HEAD, hash, kind};
use guest_names::snapshot::{Opened, Standing};

use super::ssh::{self, GuestId, SshGuest};
use super::trust::{self, Refused};
use super::{INFO_KEY, Info};
use crate::{OpenFile, fault_text};

/// The size of two numbers: a table's position in the header, or a slot.
const PAIR: usize = 8;

/// A complete snapshot: every record was read, and can be found by its key.
#[derive(Debug)]
pub struct Snapshot {
    /// Its first record.
    pub meta: Meta,
    /// When the file was last written to or touched, in seconds since the epoch.
    pub modified: i64,
    /// The state directory's time stamp when the snapshot was opened; `None` if there is no directory.
    pub state: Option<guest_names::io::Stamp>,
    /// The record `info`.
    pub info: Info,
    /// The records for ssh, by guest.
    pub ssh_guests: Vec<(GuestId, SshGuest)>,
    bytes: Vec<u8>,
    /// The positions of the records of names and addresses.
    records: Vec<RecordSpan>,
}

/// The entries of a name or an address.
#[derive(Debug)]
pub struct SnapshotRecord<'c> {
    /// The kind ([`kind`]), then the name or the address.
    pub key: &'c [u8],
    /// The entries, each with the byte of the file at which it starts.
    pub entries: Vec<(u32, Entry<'c>)>,
}

/// Positions in the file: where a record's key, its data and the next record start.
#[derive(Clone, Copy, Debug)]
struct RecordSpan {
    key: usize,
    data: usize,
    end: usize,
}

/// Why a snapshot can't be used.
#[derive(Debug)]
pub struct Unusable {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub why: Why,
}

/// See [`Unusable`].
#[derive(Debug)]
pub enum Why {
    /// The modules don't open it.
    Refused(Refused),
    /// It can't be read.
    Unreadable(String),
    /// Its format or version is unknown.
    Version,
    /// It is truncated, or still being written.
    Length {
        /// Bytes in the file.
        real: u32,
        /// Its length according to its header.
        stated: u32,
    },
    /// It is not a complete snapshot.
    Broken {
        /// The byte at which it is damaged.
        at: usize,
        /// What is wrong there.
        what: &'static str,
    },
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.why {
            // It names the file or the directory itself.
            Why::Refused(refused @ Refused::Writable { .. }) => refused.fmt(f),
            Why::Refused(refused) => write!(f, "{path}: {refused}"),
            Why::Unreadable(why) => write!(f, "{path}: it can't be read: {why}"),
            Why::Version => write!(f, "{path}: byte {}: unknown format or version", Meta::START),
            Why::Length { real, stated } => {
                write!(f, "{path}: it has {real} bytes, but its header says {stated}")
            }
            Why::Broken { at, what } => write!(f, "{path}: byte {at}: {what}"),
        }
    }
}

impl std::error::Error for Unusable {}

impl Snapshot {
    /// Reads the snapshot at `path`, compiled from the state directory `state`. `None` if there is none.
    ///
    /// # Errors
    /// See [`Unusable`].
    pub fn read(path: &Path, state: &Path) -> Result<Option<Self>, Unusable> {
        let failed = |why| Unusable { path: path.to_owned(), why };
        let opened = match trust::open(path, state) {
            Err(Refused::Absent) => return Ok(None),
            opened => opened.map_err(|refused| failed(Why::Refused(refused)))?,
        };
        Self::take(opened).map(Some).map_err(failed)
    }

    fn take(mut opened: Opened<OpenFile>) -> Result<Self, Why> {
        let bytes = read_all(&mut opened.file, opened.length)?;
        let meta = meta(&bytes)?;
        if meta.length != opened.length || bytes.len() != opened.length as usize {
            return Err(Why::Length { real: opened.length, stated: meta.length });
        }
        let places = places(&bytes)?;
        for place in &places {
            find(&bytes, &bytes[place.key..place.data], place)?;
        }
        let mut snapshot = Self {
            meta,
            modified: opened.modified,
            state: opened.state,
            info: Info::default(),
            ssh_guests: Vec::new(),
            bytes,
            records: Vec::new(),
        };
        for place in places {
            match snapshot.key(place) {
                INFO_KEY => {
                    snapshot.info = Info::from_json(&snapshot.bytes[place.data..place.end]);
                }
                [kind::HOST | kind::GUEST | kind::ADDRESS, _, ..] => {
                    entries(&snapshot.bytes, place)?;
                    snapshot.records.push(place);
                }
                [ssh::GUEST, id @ ..] if id.len() == GuestId::SIZE => {
                    let guest = SshGuest::from_json(&snapshot.bytes[place.data..place.end]);
                    snapshot.ssh_guests.extend(GuestId::from_bytes(id).zip(guest));
                }
                // `meta`, and records of later versions.
                _ => {}
            }
        }
        Ok(snapshot)
    }

    fn key(&self, place: RecordSpan) -> &[u8] {
        &self.bytes[place.key..place.data]
    }

    /// The records of names and addresses, in the order of the file.
    pub fn records(&self) -> impl Iterator<Item = SnapshotRecord<'_>> {
        self.records.iter().filter_map(|&place| {
            let entries = entries(&self.bytes, place).ok()?;
            Some(SnapshotRecord { key: self.key(place), entries })
        })
    }

    /// Which of its entries a look-up uses at `now` (seconds since the epoch).
    #[must_use]
    pub fn standing(&self, now: i64) -> Standing {
        let Self { meta, modified, state, .. } = self;
        let (modified, state) = (*modified, *state);
        Standing::of(meta, &Opened { file: (), modified, length: meta.length, state }, now)
    }
}

fn read_all(file: &mut OpenFile, length: u32) -> Result<Vec<u8>, Why> {
    let mut bytes = vec![0; length as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(filled as u32, &mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(fault) => return Err(Why::Unreadable(fault_text(fault))),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn meta(bytes: &[u8]) -> Result<Meta, Why> {
    let key = FIRST_RECORD as usize + RECORD_HEAD;
    let data = bytes.get(Meta::START..Meta::END);
    let named = bytes.get(key..).is_some_and(|bytes| bytes.starts_with(META_KEY));
    data.filter(|_| named).and_then(Meta::parse).ok_or(Why::Version)
}

fn broken(at: usize, what: &'static str) -> Why {
    Why::Broken { at, what }
}

/// Two 32-bit numbers.
fn pair(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let both = u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?);
    Some((both as u32 as usize, (both >> 32) as usize))
}

/// The positions of all records, which are between the header and the first hash table.
fn places(bytes: &[u8]) -> Result<Vec<RecordSpan>, Why> {
    let (last, _) = pair(bytes, 0).ok_or(broken(0, "the header is incomplete"))?;
    let mut places = Vec::new();
    let mut at = FIRST_RECORD as usize;
    while at < last {
        let (key, data) = pair(bytes, at).ok_or(broken(at, "an incomplete record"))?;
        let start = at + RECORD_HEAD;
        let end = start.saturating_add(key).saturating_add(data);
        let place = RecordSpan { key: start, data: end.saturating_sub(data), end };
        if place.end > last || place.end > bytes.len() {
            return Err(broken(at, "a record that overlaps the hash tables"));
        }
        places.push(place);
        at = place.end;
    }
    Ok(places)
}

/// Checks that a look-up of the key finds the record.
fn find(bytes: &[u8], key: &[u8], place: &RecordSpan) -> Result<(), Why> {
    let hash = hash(key);
    let header = (hash & 0xff) as usize * PAIR;
    let (table, slots) = pair(bytes, header).ok_or(broken(header, "the header is incomplete"))?;
    let first = u64::from(hash >> 8);
    for passed in 0..slots {
        let slot = (first + passed as u64) % slots as u64 * PAIR as u64 + table as u64;
        let slot = usize::try_from(slot).unwrap_or(usize::MAX);
        let (slot_hash, record) =
            pair(bytes, slot).ok_or(broken(header, "a hash table beyond the end of the file"))?;
        if record == 0 {
            break;
        }
        if slot_hash == hash as usize && record + RECORD_HEAD == place.key {
            return Ok(());
        }
    }
    Err(broken(place.key - RECORD_HEAD, "a record that look-ups can't find"))
}

fn entries(bytes: &[u8], place: RecordSpan) -> Result<Vec<(u32, Entry<'_>)>, Why> {
    let mut entries = Vec::new();
    let mut at = place.data;
    while at < place.end {
        let Some((entry, size)) = Entry::parse(&bytes[at..place.end]) else {
            return Err(broken(at, "an invalid entry"));
        };
        entries.push((at as u32, entry));
        at += size;
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use guest_names::address::Address;
    use guest_names::io::Stamp;
    use guest_names::snapshot::format::flags;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use testkit::cdb::{Records, add, entry, write};
    use testkit::scratch::Scratch;

    fn records() -> Records {
        let mut records = Records::new();
        let addresses = [[10, 0, 0, 1], [10, 0, 0, 2]].map(Address::V4);
        for address in addresses {
            add(&mut records, b"hweb", &entry("Web", Some(address)));
            add(&mut records, &[b"a", address.octets()].concat(), &entry("Web", Some(address)));
        }
        let known = Entry { flags: flags::REPORTED, ..entry("web-vm", None) };
        add(&mut records, b"gweb-vm", &known);
        for count in 0..300 {
            add(&mut records, format!("hhost-{count}").as_bytes(), &entry("x", None));
        }
        records.insert(INFO_KEY.to_vec(), br#"{"version": "0.1"}"#.to_vec());
        let guest = SshGuest { name: "Web".into(), ..SshGuest::default() };
        records.insert(
            ssh::guest_key(GuestId { connection: 0, uuid: [b'x'; 16] }),
            guest.to_json().unwrap(),
        );
        // From a later version.
        records.insert(b"zone".to_vec(), b"not an entry".to_vec());
        records
    }

    const META: Meta = Meta { state: None, hold: 90, length: 0, compiled: 1000 };

    /// Writes these bytes to a file, and reads it as a snapshot.
    fn read(scratch: &Scratch, bytes: &[u8]) -> Result<Snapshot, String> {
        let path = scratch.join("names.cdb");
        fs::set_permissions(scratch.join(""), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let read = Snapshot::read(&path, &scratch.join("state"));
        read.map(Option::unwrap).map_err(|unusable| {
            let text = unusable.to_string();
            text.strip_prefix(&format!("{}: ", path.display())).unwrap().to_owned()
        })
    }

    #[test]
    fn a_whole_snapshot_is_read() {
        let scratch = Scratch::new();
        let compiled = read(&scratch, &write(&records(), META)).unwrap();
        assert_eq!((compiled.meta.compiled, compiled.meta.hold), (1000, 90));
        assert_eq!(compiled.info.version.as_deref(), Some("0.1"));
        assert_eq!(compiled.records().count(), 304);
        assert_eq!(
            compiled.ssh_guests.iter().map(|(_, guest)| &guest.name).collect::<Vec<_>>(),
            ["Web"]
        );
        let web = compiled.records().find(|record| record.key == b"hweb").unwrap();
        let addresses: Vec<_> = web.entries.iter().map(|(_, entry)| entry.address).collect();
        assert_eq!(
            addresses,
            [[10, 0, 0, 1], [10, 0, 0, 2]].map(|octets| Some(Address::V4(octets)))
        );
        let (at, first) = web.entries[0];
        assert_eq!(Entry::parse(&compiled.bytes[at as usize..]).unwrap().0, first);
        let none = Snapshot::read(&scratch.join("nothing"), &scratch.join("state"));
        assert!(none.unwrap().is_none());
    }

    #[test]
    fn which_entries_count() {
        let scratch = Scratch::new();
        fs::create_dir(scratch.join("state")).unwrap();
        let stamp = trust::stamp_of(&fs::metadata(scratch.join("state")).unwrap());
        let compiled = |state| {
            let compiled = read(&scratch, &write(&records(), Meta { state, ..META })).unwrap();
            let modified = compiled.modified;
            move |after: i64| {
                let Standing { leases, reports } = compiled.standing(modified + after);
                (leases, reports)
            }
        };
        let stands = compiled(Some(stamp));
        assert_eq!([0, 90, 91].map(&stands), [(true, true), (true, true), (true, false)]);
        assert_eq!(compiled(Some(Stamp { inode: 0, ..stamp }))(0), (false, true));
        assert_eq!(compiled(None)(0), (false, true));
    }

    /// Look-ups open the file under their own conditions.
    #[test]
    fn look_ups_open_the_same_file() {
        let scratch = Scratch::new();
        read(&scratch, &write(&records(), META)).unwrap();
        let (state, path) = (scratch.join("state"), scratch.join("names.cdb"));
        let opened = trust::open(&path, &state).unwrap();
        assert_eq!(u64::from(opened.length), fs::metadata(&path).unwrap().len());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(trust::open(&path, &state).is_err());
    }

    #[test]
    fn damage_is_located() {
        let scratch = Scratch::new();
        let good = write(&records(), META);
        let bad = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = good.clone();
            change(&mut bytes);
            read(&scratch, &bytes).unwrap_err()
        };
        let put = |at: usize, number: u32| {
            move |bytes: &mut Vec<u8>| bytes[at..at + 4].copy_from_slice(&number.to_le_bytes())
        };
        let length = good.len();
        let says = format!("it has {} bytes, but its header says {length}", length - 1);
        assert_eq!(bad(&|bytes| bytes.truncate(length - 1)), says);
        let version = format!("byte {}: unknown format or version", Meta::START);
        assert_eq!(bad(&|bytes| bytes[Meta::START + 3] += 1), version);
        assert_eq!(bad(&|bytes| bytes.truncate(100)), version);
        assert_eq!(bad(&|bytes| bytes.clear()), version);
        let second = Meta::END;
        let reaches = format!("byte {second}: a record that overlaps the hash tables");
        assert_eq!(bad(&put(second, u32::MAX)), reaches);
        let unfound = format!("byte {second}: a record that look-ups can't find");
        assert_eq!(bad(&|bytes| bytes[second + RECORD_HEAD] ^= 1), unfound);
        let entry = second + RECORD_HEAD + 5;
        assert_eq!(bad(&put(entry, 3)), format!("byte {entry}: an invalid entry"));
        let table = hash(META_KEY) as usize % 256 * PAIR;
        let behind = format!("byte {table}: a hash table beyond the end of the file");
        assert!([behind, unfound.clone()].contains(&bad(&put(table, u32::MAX - 100))));
    }

    /// Whatever the bytes are, reading ends, and returns either an error or valid records.
    #[test]
    fn any_byte_may_be_wrong() {
        let scratch = Scratch::new();
        let good = write(&records(), META);
        let mut wrong = 0;
        for at in (0..good.len()).step_by(61) {
            let mut bytes = good.clone();
            bytes[at] ^= 0x5a;
            if let Ok(compiled) = read(&scratch, &bytes) {
                assert!(compiled.records().count() <= 304);
            } else {
                wrong += 1;
            }
        }
        assert!(wrong > 100, "{wrong}");
    }
}
