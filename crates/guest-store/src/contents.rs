//! The contents of the state directory, read once: files, leases, domains and their NICs. libvirt replaces files by rename,
//! so each file is complete, but two files may be from different times.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use guest_names::address::{Address, Mac};
use guest_names::bridge::Bridge;
use guest_names::io::Fault;
use guest_names::io::Kind;

use rustix::io::Errno;

use crate::damage::Damage;
use crate::records;
use crate::{OpenFile, fault, file_name};

/// All files of the state directory.
#[derive(Debug, Default)]
pub struct Contents {
    /// Its path.
    pub directory: PathBuf,
    /// The name of every file in it, in the order in which they were read.
    pub names: Vec<OsString>,
    /// The state files, by name.
    pub files: Vec<ReadFile>,
    /// The leases, in the order of the files.
    pub leases: Vec<Lease>,
    /// The records of the MAC maps, in the order of the files.
    pub domains: Vec<Domain>,
    bridges: Vec<BridgeFiles>,
    macs: Vec<Mac>,
    texts: Vec<u8>,
    /// The text that was added last. The next one is often the same.
    last_text: TextSpan,
    /// The first domain with a NIC on a bridge. Computed when it is first needed.
    owners: OnceLock<HashMap<(BridgeIndex, [u8; 6]), u32>>,
}

/// How much of a state directory to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Everything, in the order of the files' names; for display.
    Full,
    /// What a snapshot is compiled from, in the order of the directory's listing, which look-ups use, too. Symbolic links aren't
    /// followed, since their targets can change without changing the directory's time stamp. Client ids are only kept as
    /// numbers.
    Compact,
}

/// A bridge with state files: an index into [`Contents`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BridgeIndex(u16);

impl BridgeIndex {
    /// The bridge's number in [`Contents::bridges`].
    #[must_use]
    pub fn number(self) -> usize {
        self.0.into()
    }
}

#[derive(Debug)]
struct BridgeFiles {
    name: Bridge,
    /// Indices into [`Contents::files`].
    leases: Option<u32>,
    macs: Option<u32>,
}

/// A text in [`Contents`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextSpan {
    at: u32,
    length: u16,
}

impl TextSpan {
    /// Whether the text is empty.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.length == 0
    }
}

/// A state file that was read, or couldn't be.
#[derive(Clone, Debug)]
pub struct ReadFile {
    /// The bridge it belongs to.
    pub bridge: BridgeIndex,
    /// What it contains.
    pub kind: Kind,
    /// Its path.
    pub path: PathBuf,
    /// Whether it is a symbolic link, whose target can change without a trace in the directory.
    pub is_link: bool,
    /// The byte from which it couldn't be read, and why; byte 0 if it couldn't be opened.
    pub fault: Option<(u32, Fault)>,
    /// Its size in bytes; 0 if it couldn't be opened.
    pub size: u64,
    /// The invalid parts of it.
    pub damage: Vec<Damage>,
    /// Its records: a range of [`Contents::leases`] or [`Contents::domains`].
    records: Range<usize>,
    /// `None` if it can't be told from a later version.
    version: Option<Version>,
}

/// What distinguishes two versions of a file: its device and inode, and when it last changed (`st_ctim`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    device: u64,
    inode: u64,
    changed: (i64, i64),
}

/// How many seconds after a change another one may leave the same time stamp. Some file systems store only even seconds.
const SAME_STAMP: i64 = 2;

impl Version {
    /// `now`: the time, in seconds since the epoch.
    fn of(status: &Metadata, now: i64) -> Option<Self> {
        let changed = (status.ctime(), status.ctime_nsec());
        let version = Self { device: status.dev(), inode: status.ino(), changed };
        (now.saturating_sub(changed.0) > SAME_STAMP).then_some(version)
    }
}

impl ReadFile {
    /// Whether every record in it was read, so that a missing record isn't in the file either.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.fault.is_none() && self.damage.is_empty()
    }
}

/// A valid lease record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The bridge of its file.
    pub bridge: BridgeIndex,
    /// Where its record starts in the file, in bytes.
    pub start: u32,
    /// The address.
    pub address: Address,
    /// The NIC's MAC address.
    pub mac: Option<Mac>,
    /// The host name that the guest chose.
    pub host_name: TextSpan,
    /// The network's DNS domain. Empty if it has none, or if libvirt's helper didn't record it.
    pub domain: TextSpan,
    /// How the client identified itself to DHCP. Empty in [`Detail::Compact`].
    pub client_id: TextSpan,
    /// The client id as a number: see [`client_of`](guest_names::records::lease::client_of).
    pub client: u32,
    /// Seconds since the epoch; 0: never.
    pub expiry: i64,
}

impl Lease {
    /// As in look-ups, a lease is still current in the second in which it ends.
    #[must_use]
    pub fn has_expired(&self, now: i64) -> bool {
        self.expiry != 0 && self.expiry < now
    }
}

/// A record of a MAC map: a running domain's NICs on a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain {
    /// The bridge of its file.
    pub bridge: BridgeIndex,
    /// libvirt's name of the guest.
    pub name: TextSpan,
    /// Range of indices into the MACs.
    macs: (u32, u32),
}

impl Contents {
    /// Reads all state files with [`Detail::Full`]. Errors in single files are recorded in [`ReadFile`].
    ///
    /// # Errors
    /// The directory can't be listed.
    pub fn read(directory: &Path) -> io::Result<Self> {
        Self::read_with(directory, Detail::Full)
    }

    /// Reads all state files. Errors in single files are recorded in [`ReadFile`].
    ///
    /// # Errors
    /// The directory can't be listed.
    pub fn read_with(directory: &Path, detail: Detail) -> io::Result<Self> {
        Self::default().read_again(directory, detail, 0)
    }

    /// As [`Contents::read_with`], but the records of files that haven't changed are taken from these contents, which have the
    /// same detail. `now`: the time, in seconds since the epoch.
    ///
    /// # Errors
    /// The directory can't be listed.
    pub fn read_again(&self, directory: &Path, detail: Detail, now: i64) -> io::Result<Self> {
        let mut entries = fs::read_dir(directory)?
            .map(|entry| entry.map(|entry| (entry.file_name(), is_link(&entry))))
            .collect::<io::Result<Vec<_>>>()?;
        if detail == Detail::Full {
            entries.sort();
        }
        let mut contents = Self { directory: directory.to_owned(), ..Self::default() };
        let mut buffer = vec![0; 64 << 10];
        for (name, is_link) in entries {
            if let Some((bridge, kind)) = bridge_and_kind(&name) {
                if is_link || !contents.take_file(self, bridge, kind, now) {
                    contents.read_file(bridge, kind, is_link, detail, now, &mut buffer);
                }
            }
            contents.names.push(name);
        }
        contents.leases.shrink_to_fit();
        contents.domains.shrink_to_fit();
        contents.macs.shrink_to_fit();
        contents.texts.shrink_to_fit();
        Ok(contents)
    }

    /// Adds the file as it is in `before`, if it hasn't changed since. Returns whether that is so.
    fn take_file(&mut self, before: &Self, bridge: Bridge, kind: Kind, now: i64) -> bool {
        let file = before.find_bridge(bridge.as_bytes()).and_then(|at| before.file(at, kind));
        let Some(file) = file.filter(|file| file.version.is_some() && file.fault.is_none()) else {
            return false;
        };
        let status = fs::symlink_metadata(&file.path);
        if status.ok().and_then(|status| Version::of(&status, now)) != file.version {
            return false;
        }
        let Some(bridge) = self.add_bridge(bridge) else { return false };
        let from = self.records(kind);
        match kind {
            Kind::Leases => {
                for lease in &before.leases[file.records.clone()] {
                    let texts = [lease.domain, lease.host_name, lease.client_id];
                    let [domain, host_name, client_id] =
                        texts.map(|text| self.add_text(before.text(text)));
                    self.leases.push(Lease { bridge, domain, host_name, client_id, ..*lease });
                }
            }
            Kind::Macs => {
                for domain in &before.domains[file.records.clone()] {
                    self.add_domain(bridge, before.text(domain.name), before.macs_of(domain));
                }
            }
        }
        let records = from..self.records(kind);
        self.add_file(ReadFile { bridge, records, ..file.clone() });
        true
    }

    fn read_file(
        &mut self,
        bridge: Bridge,
        kind: Kind,
        is_link: bool,
        detail: Detail,
        now: i64,
        buffer: &mut [u8],
    ) {
        let path = self.directory.join(file_name(bridge.as_bytes(), kind));
        let Some(bridge) = self.add_bridge(bridge) else { return };
        let from = self.records(kind);
        let mut read = ReadFile {
            bridge,
            kind,
            path,
            is_link,
            fault: None,
            size: 0,
            damage: Vec::new(),
            records: from..from,
            version: None,
        };
        if detail == Detail::Compact && is_link {
            read.fault = Some((0, Fault::Unreadable(Errno::LOOP.raw_os_error())));
        } else {
            match OpenFile::open(&read.path) {
                Err(error) => read.fault = Some((0, fault(&error))),
                Ok(file) => {
                    let status = file.status().ok();
                    read.size = status.as_ref().map_or(0, Metadata::len);
                    read.version = status.and_then(|status| Version::of(&status, now));
                    let into = &mut *self;
                    (read.fault, read.damage) =
                        records::read(file, bridge, kind, detail, buffer, into);
                    read.damage.extend(Damage::of_size(read.size));
                }
            }
        }
        read.records.end = self.records(kind);
        self.add_file(read);
    }

    fn add_file(&mut self, file: ReadFile) {
        let at = Some(self.files.len() as u32);
        let files = &mut self.bridges[usize::from(file.bridge.0)];
        match file.kind {
            Kind::Leases => files.leases = at,
            Kind::Macs => files.macs = at,
        }
        self.files.push(file);
    }

    /// How many records there are from files of this kind.
    fn records(&self, kind: Kind) -> usize {
        match kind {
            Kind::Leases => self.leases.len(),
            Kind::Macs => self.domains.len(),
        }
    }

    /// The index of a bridge, which is added if necessary. `None` if there are already 65,536.
    pub fn add_bridge(&mut self, name: Bridge) -> Option<BridgeIndex> {
        // A bridge's two files usually come one after the other.
        let known = self.bridges.iter().rposition(|files| files.name == name);
        let at = known.unwrap_or_else(|| {
            self.bridges.push(BridgeFiles { name, leases: None, macs: None });
            self.bridges.len() - 1
        });
        u16::try_from(at).ok().map(BridgeIndex)
    }

    /// Stores a text.
    pub fn add_text(&mut self, bytes: &[u8]) -> TextSpan {
        if self.text(self.last_text) != bytes {
            // At most 32 MiB are read of each state file, so this only overflows with more than a hundred full ones.
            let at = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
            let length = bytes.len().min(usize::from(u16::MAX)) as u16;
            self.last_text = TextSpan { at, length };
            self.texts.extend_from_slice(bytes);
        }
        self.last_text
    }

    /// Adds a domain with NICs on a bridge.
    pub fn add_domain(&mut self, bridge: BridgeIndex, name: &[u8], macs: &[Mac]) {
        let name = self.add_text(name);
        let from = self.macs.len() as u32;
        self.macs.extend_from_slice(macs);
        self.domains.push(Domain { bridge, name, macs: (from, self.macs.len() as u32) });
    }

    /// The bytes of a text.
    #[must_use]
    pub fn text(&self, text: TextSpan) -> &[u8] {
        let from = text.at as usize;
        self.texts.get(from..from + usize::from(text.length)).unwrap_or(&[])
    }

    /// A text for display: to libvirt, names are bytes, though usually UTF-8.
    #[must_use]
    pub fn string(&self, text: TextSpan) -> String {
        String::from_utf8_lossy(self.text(text)).into_owned()
    }

    /// The bridges that have state files.
    pub fn bridges(&self) -> impl Iterator<Item = BridgeIndex> {
        (0..self.bridges.len()).map(|at| BridgeIndex(at as u16))
    }

    /// A bridge's name.
    #[must_use]
    pub fn bridge(&self, bridge: BridgeIndex) -> Bridge {
        self.bridges.get(usize::from(bridge.0)).map_or(Bridge::NONE, |files| files.name)
    }

    /// A bridge's name, for display.
    #[must_use]
    pub fn bridge_name(&self, bridge: BridgeIndex) -> String {
        String::from_utf8_lossy(self.bridge(bridge).as_bytes()).into_owned()
    }

    /// The bridge of this name, if it has state files.
    #[must_use]
    pub fn find_bridge(&self, name: &[u8]) -> Option<BridgeIndex> {
        self.bridges().find(|&bridge| self.bridge(bridge).as_bytes() == name)
    }

    /// A bridge's file, if there is one.
    #[must_use]
    pub fn file(&self, bridge: BridgeIndex, kind: Kind) -> Option<&ReadFile> {
        let files = self.bridges.get(usize::from(bridge.0))?;
        let at = match kind {
            Kind::Leases => files.leases,
            Kind::Macs => files.macs,
        };
        self.files.get(at? as usize)
    }

    /// The MACs of a domain's NICs on its bridge.
    #[must_use]
    pub fn macs_of(&self, domain: &Domain) -> &[Mac] {
        self.macs.get(domain.macs.0 as usize..domain.macs.1 as usize).unwrap_or(&[])
    }

    /// The NICs of running domains: each domain with each of its MACs.
    pub fn nics(&self) -> impl Iterator<Item = (&Domain, Mac)> {
        let macs = |domain| self.macs_of(domain).iter().map(move |&mac| (domain, mac));
        self.domains.iter().flat_map(macs)
    }

    /// The domain with this NIC on the bridge; the first one in the map.
    #[must_use]
    pub fn domain_of(&self, bridge: BridgeIndex, mac: Mac) -> Option<&Domain> {
        let owners = self.owners.get_or_init(|| self.owners());
        self.domains.get(*owners.get(&(bridge, mac.0))? as usize)
    }

    fn owners(&self) -> HashMap<(BridgeIndex, [u8; 6]), u32> {
        let mut owners = HashMap::new();
        for (at, domain) in (0..).zip(&self.domains) {
            for mac in self.macs_of(domain) {
                owners.entry((domain.bridge, mac.0)).or_insert(at);
            }
        }
        owners
    }

    /// The domain with the lease's NIC.
    #[must_use]
    pub fn domain_of_lease(&self, lease: &Lease) -> Option<&Domain> {
        self.domain_of(lease.bridge, lease.mac?)
    }

    /// Whether all NICs on the bridge are known, so that a MAC address without a domain belongs to no attached NIC.
    #[must_use]
    pub fn knows_all_nics(&self, bridge: BridgeIndex) -> bool {
        self.file(bridge, Kind::Macs).is_some_and(ReadFile::is_whole)
    }

    /// Whether all leases on the bridge are known. A bridge without a file has no leases yet.
    #[must_use]
    pub fn knows_all_leases(&self, bridge: BridgeIndex) -> bool {
        self.file(bridge, Kind::Leases).is_none_or(ReadFile::is_whole)
    }
}

fn is_link(entry: &fs::DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_symlink())
}

/// The bridge and kind of a state file, by its name, as look-ups classify it. `None` for any other file.
fn bridge_and_kind(name: &OsString) -> Option<(Bridge, Kind)> {
    use std::os::unix::ffi::OsStrExt as _;
    [Kind::Leases, Kind::Macs].into_iter().find_map(|kind| {
        let stem = name.as_bytes().strip_suffix(kind.suffix())?;
        Bridge::new(stem).map(|bridge| (bridge, kind))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::generate;
    use testkit::random::{Random, rounds};
    use testkit::scratch::Scratch;

    #[test]
    fn entries_that_are_not_regular_files() {
        let scratch = Scratch::new();
        fs::create_dir(scratch.join("virbr0.status")).unwrap();
        std::os::unix::fs::symlink("nowhere", scratch.join("virbr0.macs")).unwrap();
        let contents = Contents::read(&scratch.join("")).unwrap();
        let faults: Vec<_> = contents.files.iter().map(|file| file.fault).collect();
        let errno = |errno: Errno| Some((0, Fault::Unreadable(errno.raw_os_error())));
        assert_eq!(faults, [errno(Errno::NOENT), errno(Errno::SPIPE)]);
        assert_eq!(
            contents.files.iter().map(|file| file.is_link).collect::<Vec<_>>(),
            [true, false]
        );
        let bridge = contents.find_bridge(b"virbr0").unwrap();
        assert!(!contents.knows_all_nics(bridge) && !contents.knows_all_leases(bridge));
    }

    /// Everything that was read, without the places of texts.
    fn shown(contents: &Contents) -> String {
        let bridge = |bridge| contents.bridge_name(bridge);
        let leases = contents.leases.iter().map(|lease| {
            let texts = [lease.host_name, lease.domain].map(|text| contents.string(text));
            let plain = TextSpan::default();
            let lease = Lease { host_name: plain, domain: plain, client_id: plain, ..*lease };
            format!("{} {texts:?} {lease:?}\n", bridge(lease.bridge))
        });
        let domains = contents.domains.iter().map(|domain| {
            let name = contents.string(domain.name);
            format!("{} {name} {:?}\n", bridge(domain.bridge), contents.macs_of(domain))
        });
        let files = contents.files.iter().map(|file| {
            let file = ReadFile { version: None, ..file.clone() };
            format!("{} {file:?}\n", bridge(file.bridge))
        });
        leases.chain(domains).chain(files).collect()
    }

    /// Files are replaced and removed at random.
    #[test]
    fn reading_again_finds_what_reading_finds() {
        let mut random = Random::from_environment(41);
        let (scratch, aside) = (Scratch::new(), Scratch::new());
        let mut before = Contents::default();
        let (mut same, mut replaced) = (0, 0);
        let rounds = rounds(200);
        for round in 0..rounds {
            let state = generate::state(&mut random);
            let bridges = random.one_in(2).then(|| state.directory(&mut random));
            for (name, contents) in bridges.iter().flat_map(|directory| directory.files()) {
                let name = std::str::from_utf8(name).unwrap();
                let path = scratch.join(name);
                // Old files are kept, so that no inode comes back within a tick of the clock.
                if random.one_in(2) && path.exists() {
                    fs::rename(&path, aside.join(format!("{round}-{name}"))).unwrap();
                }
                if !path.exists() && !random.one_in(4) {
                    scratch.write(name, contents);
                    replaced += 1;
                }
            }
            let again = before.read_again(scratch.path(), Detail::Compact, i64::MAX).unwrap();
            let fresh = Contents::read_with(scratch.path(), Detail::Compact).unwrap();
            assert_eq!(shown(&again), shown(&fresh), "round {round}");
            let is_old = |file: &ReadFile| {
                let versions = before.files.iter().filter_map(|file| file.version);
                versions.into_iter().any(|version| file.version == Some(version))
            };
            same += again.files.iter().filter(|file| is_old(file)).count() as u64;
            before = again;
        }
        assert!(same > rounds && replaced > rounds, "{same} {replaced}");
    }

    /// Its next change may leave the same time stamp.
    #[test]
    fn a_file_that_has_just_changed_is_read_again() {
        let scratch = Scratch::new();
        let read = |before: &Contents, now| {
            before.read_again(scratch.path(), Detail::Compact, now).unwrap()
        };
        scratch.write("virbr0.status", r#"[{"ip-address": "10.0.0.1"}]"#);
        let changed = fs::metadata(scratch.join("virbr0.status")).unwrap().ctime();
        for (now, is_settled) in [(0, false), (changed + 2, false), (changed + 3, true)] {
            let contents = read(&Contents::default(), now);
            assert_eq!(contents.files[0].version.is_some(), is_settled, "{now}");
            let taken = Contents::default().take_file(
                &contents,
                Bridge::new(b"virbr0").unwrap(),
                Kind::Leases,
                now,
            );
            assert_eq!(taken, is_settled, "{now}");
        }
    }

    #[test]
    fn owners_of_nics() {
        let scratch = Scratch::new();
        let map = r#"[{"domain": "a", "macs": ["52:54:00:00:00:01", "52:54:00:00:00:02"]},
            {"domain": "b", "macs": ["52:54:00:00:00:02"]}]"#;
        fs::write(scratch.join("virbr0.macs"), map).unwrap();
        fs::write(scratch.join("virbr1.macs"), "[]").unwrap();
        let lease = r#"[{"ip-address": "10.0.0.1", "mac-address": "52:54:00:00:00:02", "hostname": "w",
            "client-id": "01:02", "domain": "lab"}]"#;
        fs::write(scratch.join("virbr1.status"), lease).unwrap();
        let contents = Contents::read(&scratch.join("")).unwrap();
        let owner = |bridge: &[u8], last| {
            let bridge = contents.find_bridge(bridge).unwrap();
            let mac = Mac([0x52, 0x54, 0, 0, 0, last]);
            contents.domain_of(bridge, mac).map(|domain| contents.string(domain.name))
        };
        assert_eq!(owner(b"virbr0", 1).as_deref(), Some("a"));
        assert_eq!(owner(b"virbr0", 2).as_deref(), Some("a"), "the first domain with it");
        assert_eq!(owner(b"virbr1", 2), None, "another bridge");
        assert_eq!(contents.nics().count(), 3);
        let lease = &contents.leases[0];
        assert_eq!(contents.bridge_name(lease.bridge), "virbr1");
        let texts = [lease.host_name, lease.client_id, lease.domain];
        assert_eq!(texts.map(|text| contents.string(text)), ["w", "01:02", "lab"]);
        assert_eq!(contents.domain_of_lease(lease), None);
    }
}
