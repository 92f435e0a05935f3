//! The daemon's snapshot, with the contents that a test needs.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use guest_names::address::{Address, Mac};
use guest_names::bridge::Bridge;
use guest_names::io::Stamp;
use guest_names::snapshot::format::{self, Entry, Meta, flags};

use crate::state::StateDir;
use testkit::cdb::{self, Records};

/// The directory in which the modules look for it.
pub const DIRECTORY: &str = "/var/lib/libvirt-nss/run";
/// Its path.
pub const PATH: &str = "/var/lib/libvirt-nss/run/names.cdb";

/// In a state file, and belongs to a running guest.
pub const LEASED: u8 = flags::LEASE | flags::ATTACHED;
/// Reported by libvirt's API for a running guest on this host.
pub const REPORTED: u8 = flags::REPORTED | flags::ATTACHED;

/// A snapshot under construction.
#[derive(Clone, Default)]
pub struct Snapshot {
    records: Records,
}

impl Snapshot {
    /// An entry under `key` (its kind and the name in lower case) for an address on a bridge.
    ///
    /// # Panics
    ///
    /// If the address or the bridge is invalid.
    #[must_use]
    pub fn entry(mut self, key: &str, flags: u8, name: &str, address: &str, bridge: &str) -> Self {
        let address = Address::parse(address.as_bytes()).expect("an address");
        let bridge = Bridge::new(bridge.as_bytes()).expect("a bridge");
        let mac = Some(Mac([0x52, 0x54, 0, 0, 0, 1]));
        let entry = Entry { flags, mac, bridge, ..cdb::entry(name, Some(address)) };
        cdb::add(&mut self.records, key.as_bytes(), &entry);
        let mut reverse = vec![format::kind::ADDRESS];
        reverse.extend(address.octets());
        let kind = if key.starts_with('g') { flags::DOMAIN } else { 0 };
        let entry = Entry { flags: flags | kind, ..entry };
        cdb::add(&mut self.records, &reverse, &entry);
        self
    }

    /// An entry for a guest without an address.
    #[must_use]
    pub fn known(mut self, key: &str, flags: u8, name: &str) -> Self {
        let entry = Entry { flags, ..cdb::entry(name, None) };
        cdb::add(&mut self.records, key.as_bytes(), &entry);
        self
    }

    /// The file's bytes, compiled from a state directory with the time stamp `state`.
    #[must_use]
    pub fn bytes(&self, state: Option<Stamp>) -> Vec<u8> {
        cdb::write(&self.records, Meta { state, hold: 90, length: 0, compiled: now() })
    }

    /// Publishes it as compiled from the present state directory, so that it replaces the files.
    pub fn publish(&self, state: &StateDir) {
        put(&self.bytes(Some(stamp(state))));
    }

    /// Removes it, if it exists.
    ///
    /// # Panics
    ///
    /// If the file system refuses.
    pub fn withdraw() {
        if Path::new(PATH).exists() {
            fs::remove_file(PATH).expect("a file in the runtime directory");
        }
    }

    /// Publishes it without a time stamp, so that the files are read as well.
    pub fn publish_beside(&self) {
        put(&self.bytes(None));
    }
}

/// Replaces the snapshot by these bytes, with a rename.
///
/// # Panics
///
/// If the file system refuses.
pub fn put(bytes: &[u8]) {
    let new = Path::new(DIRECTORY).join("new");
    fs::write(&new, bytes).expect("a file in the runtime directory");
    fs::rename(&new, PATH).expect("a file in the runtime directory");
}

/// The time stamp of a state directory.
///
/// # Panics
///
/// If it doesn't exist.
#[must_use]
pub fn stamp(state: &StateDir) -> Stamp {
    let status = fs::metadata(state.path()).expect("a state directory");
    Stamp {
        seconds: status.mtime(),
        nanoseconds: u32::try_from(status.mtime_nsec()).expect("less than a second"),
        device: status.dev(),
        inode: status.ino(),
    }
}

fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(elapsed.as_secs()).expect("the time fits")
}
