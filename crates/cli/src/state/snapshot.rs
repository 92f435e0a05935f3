//! The whole state directory as it was at one moment, or nearly so: each file by itself is whole, as
//! libvirt replaces files by a rename.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use guest_names::address::Mac;
use guest_names::json::Parsed;
use guest_names::lease::BadRecord;
use guest_names::macmap::MacMap;
use guest_names::observe::Observer;
use guest_names::scan::{self, Records};
use guest_names::state::{Bridge, Kind};
use guest_names::window::{Fault, READ_LIMIT, StateFile, Window};

use super::address;
use super::directory::{Macs, OpenFile, fault, file_name};
use super::record::Record;

/// What all files of the state directory say.
pub(crate) struct Snapshot {
    pub(crate) directory: PathBuf,
    /// The state files, by name.
    pub(crate) files: Vec<ReadFile>,
    /// The leases, in the order of the files.
    pub(crate) leases: Vec<Lease>,
    /// The NICs of running guests.
    pub(crate) nics: Vec<Nic>,
    /// Every name in the directory.
    pub(crate) names: Vec<OsString>,
}

/// A state file that was read, or not.
pub(crate) struct ReadFile {
    pub(crate) bridge: String,
    pub(crate) kind: Kind,
    pub(crate) path: PathBuf,
    /// Why it couldn't be read, or only to the given byte.
    pub(crate) fault: Option<(u32, Fault)>,
    /// In bytes; 0 where it couldn't be opened.
    pub(crate) size: u64,
    /// What in it is of no use.
    pub(crate) damage: Vec<Damage>,
}

/// A piece of a state file that says nothing to anyone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Damage {
    /// An object that starts at one byte and isn't JSON from another on.
    NotJson(u32, u32),
    /// A lease record at this byte.
    BadLease(u32, BadRecord),
    /// A record of a MAC map at this byte.
    BadMap(u32),
    /// Something else than blanks at this byte, outside of any list.
    NoList(u32),
    /// The list's end is missing.
    NoEnd,
    /// Nobody reads on behind [`READ_LIMIT`].
    TooLarge,
}

/// A good lease record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) bridge: String,
    /// Where its record starts in the file, in bytes.
    pub(crate) start: u32,
    pub(crate) address: IpAddr,
    pub(crate) mac: Option<MacAddress>,
    /// Empty where the guest told none.
    pub(crate) host_name: String,
    /// The network's. Empty where it has none, or its helper doesn't write it down.
    pub(crate) network_domain: String,
    /// Empty where the guest told none.
    pub(crate) client_id: String,
    /// Seconds since the epoch; 0 never ends.
    pub(crate) expiry: i64,
}

impl Lease {
    /// As the look-up has it: it still holds in the second in which it ends.
    pub(crate) fn has_expired(&self, now: i64) -> bool {
        self.expiry != 0 && self.expiry < now
    }
}

/// A NIC that a running guest has on a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Nic {
    pub(crate) bridge: String,
    /// libvirt's name of the guest.
    pub(crate) domain: String,
    pub(crate) mac: MacAddress,
}

/// A MAC that can be sorted and printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MacAddress(pub(crate) [u8; 6]);

impl From<Mac> for MacAddress {
    fn from(mac: Mac) -> Self {
        Self(mac.0)
    }
}

impl std::fmt::Display for MacAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&Mac(self.0).to_text()))
    }
}

impl Snapshot {
    /// Reads all of it. What is wrong with single files is written down in them.
    ///
    /// # Errors
    /// The directory can't be listed.
    pub(crate) fn read(directory: &Path) -> io::Result<Self> {
        let mut names: Vec<OsString> = fs::read_dir(directory)?
            .map(|entry| Ok(entry?.file_name()))
            .collect::<io::Result<_>>()?;
        names.sort();
        let mut snapshot = Self {
            directory: directory.to_owned(),
            files: Vec::new(),
            leases: Vec::new(),
            nics: Vec::new(),
            names: Vec::new(),
        };
        for name in &names {
            if let Some((bridge, kind)) = bridge_and_kind(name) {
                snapshot.read_file(bridge, kind);
            }
        }
        snapshot.names = names;
        Ok(snapshot)
    }

    fn read_file(&mut self, bridge: Vec<u8>, kind: Kind) {
        let path = self.directory.join(file_name(&bridge, kind));
        let bridge = lossy(&bridge);
        let mut read = ReadFile {
            bridge: bridge.clone(),
            kind,
            path,
            fault: None,
            size: 0,
            damage: Vec::new(),
        };
        match OpenFile::open(&read.path) {
            Err(error) => {
                read.fault = Some((0, fault(&error)));
            }
            Ok(file) => {
                read.size = file.size().unwrap_or(0);
                match kind {
                    Kind::Leases => {
                        let leases = &mut self.leases;
                        let mut records = LeaseRecords {
                            record: Record::default(),
                            bridge: &bridge,
                            leases,
                            damage: Damages::default(),
                        };
                        read.fault = go_through(file, &mut records);
                        read.damage = records.damage.0;
                    }
                    Kind::Macs => {
                        let mut records = MapRecords {
                            map: MacMap::new(),
                            macs: Macs::default(),
                            bridge: &bridge,
                            nics: &mut self.nics,
                            damage: Damages::default(),
                        };
                        read.fault = go_through(file, &mut records);
                        read.damage = records.damage.0;
                    }
                }
                if read.fault.is_none() {
                    read.damage.extend(around_records(&read.path, &read.damage));
                }
                read.damage.extend(too_large(read.size));
            }
        }
        self.files.push(read);
    }

    /// The domain whose NIC it is, on that bridge.
    pub(crate) fn domain_of(&self, bridge: &str, mac: MacAddress) -> Option<&str> {
        let mut nics = self.nics.iter();
        nics.find(|nic| nic.mac == mac && nic.bridge == bridge).map(|nic| nic.domain.as_str())
    }

    /// Whether the bridge's MAC map could be read, so that what isn't in it is attached to nothing.
    pub(crate) fn knows_nics_of(&self, bridge: &str) -> bool {
        let mut maps = self.files.iter().filter(|file| file.kind == Kind::Macs);
        maps.any(|file| file.bridge == bridge && file.fault.is_none())
    }
}

/// Which bridge's file it is, if it is one that is read. As the look-up sorts names.
fn bridge_and_kind(name: &OsString) -> Option<(Vec<u8>, Kind)> {
    use std::os::unix::ffi::OsStrExt as _;
    [Kind::Leases, Kind::Macs].into_iter().find_map(|kind| {
        let stem = name.as_bytes().strip_suffix(kind.suffix())?;
        Bridge::new(stem).map(|bridge| (bridge.as_bytes().to_vec(), kind))
    })
}

/// Names are bytes to libvirt and mostly UTF-8.
pub(crate) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn go_through<F: StateFile>(file: F, records: &mut dyn Records<F>) -> Option<(u32, Fault)> {
    let mut buffer = vec![0; 64 << 10];
    let mut window = Window::new(file, &mut buffer);
    while scan::next(&mut window, records) {}
    window.fault().map(|fault| (window.offset(), fault))
}

/// Hears of malformed objects.
#[derive(Default)]
struct Damages(Vec<Damage>);

impl Observer for Damages {
    fn malformed(&mut self, start: u32, end: u32) {
        self.0.push(Damage::NotJson(start, end));
    }
}

struct LeaseRecords<'r> {
    record: Record,
    bridge: &'r str,
    leases: &'r mut Vec<Lease>,
    damage: Damages,
}

impl<F: StateFile> Records<F> for LeaseRecords<'_> {
    fn read(&mut self, window: &mut Window<'_, F>) -> Parsed {
        self.record.read(window)
    }

    fn take(&mut self, start: u32) {
        let Record { lease, client_id } = &self.record;
        match lease.checked() {
            Ok(found) => self.leases.push(Lease {
                bridge: self.bridge.to_owned(),
                start,
                address: address::to_std(found),
                mac: lease.mac.map(MacAddress::from),
                host_name: lossy(lease.hostname.as_bytes()),
                network_domain: lossy(lease.domain.as_bytes()),
                client_id: lossy(client_id.as_bytes()),
                expiry: lease.expiry,
            }),
            Err(bad) => self.damage.0.push(Damage::BadLease(start, bad)),
        }
    }

    fn observer(&mut self) -> Option<&mut dyn Observer> {
        Some(&mut self.damage)
    }
}

struct MapRecords<'r> {
    map: MacMap,
    macs: Macs,
    bridge: &'r str,
    nics: &'r mut Vec<Nic>,
    damage: Damages,
}

impl<F: StateFile> Records<F> for MapRecords<'_> {
    fn read(&mut self, window: &mut Window<'_, F>) -> Parsed {
        let Self { map, macs, .. } = self;
        map.read(window, macs)
    }

    fn take(&mut self, start: u32) {
        if self.map.is_good() {
            let domain = lossy(self.map.domain.as_bytes());
            let nics = self.macs.0.iter().map(|&mac| Nic {
                bridge: self.bridge.to_owned(),
                domain: domain.clone(),
                mac: mac.into(),
            });
            self.nics.extend(nics);
        } else {
            self.damage.0.push(Damage::BadMap(start));
        }
    }

    fn observer(&mut self) -> Option<&mut dyn Observer> {
        Some(&mut self.damage)
    }
}

fn too_large(size: u64) -> Option<Damage> {
    (size > u64::from(READ_LIMIT)).then_some(Damage::TooLarge)
}

/// What is wrong with a file apart from its objects: it must be one list, or nothing. The look-up
/// doesn't mind, but libvirt and its helper do, who then take it for empty.
fn around_records(path: &Path, known: &[Damage]) -> Option<Damage> {
    if known.iter().any(|damage| matches!(damage, Damage::NotJson(..))) {
        return None;
    }
    let bytes = fs::read(path).ok()?;
    let bytes = bytes.get(..READ_LIMIT as usize).unwrap_or(&bytes);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return None;
    }
    match serde_json::from_slice::<Vec<serde::de::IgnoredAny>>(bytes) {
        Ok(_) => None,
        Err(error) if error.is_eof() => Some(Damage::NoEnd),
        Err(error) => {
            let lines = bytes.split_inclusive(|&byte| byte == b'\n');
            let before: usize = lines.take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
            let at = before + error.column().saturating_sub(1);
            Some(Damage::NoList(u32::try_from(at).unwrap_or(READ_LIMIT)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookup;
    use crate::paths::Paths;
    use crate::testing::StateDirectory;
    use guest_names::forward::Source;
    use guest_names::observe::Verdict;

    fn damage(name: &str, text: &str) -> Vec<Damage> {
        let directory = StateDirectory::new();
        directory.write(name, text);
        let snapshot = Snapshot::read(directory.path()).unwrap();
        snapshot.files.into_iter().flat_map(|file| file.damage).collect()
    }

    #[test]
    fn what_is_whole() {
        for text in ["", "\n", "[]", "[\n\n]\n", r#"[{"ip-address": "10.0.0.1"}]"#] {
            assert_eq!(damage("virbr0.status", text), [], "{text:?}");
        }
        assert_eq!(damage("virbr0.macs", r#"[{"domain": "a", "macs": []}]"#), []);
        assert_eq!(damage("default.conf", "{"), []);
    }

    #[test]
    fn each_kind_of_damage() {
        let status = |text| damage("virbr0.status", text);
        // Within the number.
        assert!(matches!(status("[{\"a\": 01}]")[..], [Damage::NotJson(1, 8 | 9)]));
        assert_eq!(status("[{}]"), [Damage::BadLease(1, BadRecord::NoAddress)]);
        assert_eq!(
            status(r#"[{"ip-address": "10.0.0.1", "hostname": 1}]"#),
            [Damage::BadLease(1, BadRecord::Mistyped)]
        );
        assert_eq!(status("[\n"), [Damage::NoEnd]);
        assert_eq!(status("[]\nx"), [Damage::NoList(3)]);
        assert_eq!(status(r#"{"ip-address": "10.0.0.1"}"#), [Damage::NoList(0)]);
        assert_eq!(damage("virbr0.macs", "[{}]"), [Damage::BadMap(1)]);
        assert_eq!(too_large(32 << 20), None);
        assert_eq!(too_large((32 << 20) + 1), Some(Damage::TooLarge));
    }

    #[test]
    fn what_is_no_file() {
        let directory = StateDirectory::new();
        fs::create_dir(directory.path().join("virbr0.status")).unwrap();
        std::os::unix::fs::symlink("nowhere", directory.path().join("virbr0.macs")).unwrap();
        let snapshot = Snapshot::read(directory.path()).unwrap();
        let faults: Vec<_> = snapshot.files.iter().map(|file| file.fault).collect();
        let errno = |errno: rustix::io::Errno| Some((0, Fault::Unreadable(errno.raw_os_error())));
        assert_eq!(faults, [errno(rustix::io::Errno::NOENT), errno(rustix::io::Errno::SPIPE)]);
        assert!(!snapshot.knows_nics_of("virbr0"));
    }

    /// The leases of which a look-up is told.
    #[derive(Default)]
    struct Told(Vec<(u32, String)>);

    impl Observer for Told {
        fn lease(
            &mut self,
            start: u32,
            lease: &guest_names::lease::Lease,
            verdict: Result<Verdict, BadRecord>,
        ) {
            if verdict.is_ok() {
                self.0.push((start, lossy(lease.hostname.as_bytes())));
            }
        }
    }

    /// Pieces of files, good and bad, at random: what is listed is what a look-up goes through.
    #[test]
    fn lists_what_the_look_up_sees() {
        let good = "\n  {\n    \"ip-address\": \"10.0.0.1\",\n    \"hostname\": \"web\"\n  }";
        let pieces =
            [good, good, "\n", "{", "}", "[", "]", ",", "\"", "\\", "{}", "{\"x\":", "1", good];
        let directory = StateDirectory::new();
        let mut state: u64 = 11;
        let mut below = |limit: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % limit as u64) as usize
        };
        let paths = Paths::new(None, Some(directory.path()));
        let mut found = 0;
        for _ in 0..800 {
            let text: String = (0..1 + below(10)).map(|_| pieces[below(pieces.len())]).collect();
            directory.write("virbr0.status", &text);
            let mut told = Told::default();
            lookup::by_name(&paths, Source::HostName, b"x", None, 0, Some(&mut told)).unwrap();
            let snapshot = Snapshot::read(directory.path()).unwrap();
            let listed: Vec<_> = snapshot
                .leases
                .iter()
                .map(|lease| (lease.start, lease.host_name.clone()))
                .collect();
            assert_eq!(listed, told.0, "{text:?}");
            found += listed.len();
        }
        assert!(found > 400, "hardly a lease among them: {found}");
    }
}
