//! The contents of the state directory, and when the daemon first saw each lease.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use guest_names::bridge::Bridge;
use guest_names::io::Fault;
use guest_store::contents::{Contents, Detail, Lease, ReadFile};
use guest_store::fault_text;
use rustix::io::Errno;

use crate::facts::Millis;

/// Earlier than any other time.
pub const BEFORE_START: Millis = Millis::MIN / 2;

/// The state directory as it was read at one time.
#[derive(Debug, Default)]
pub struct Files {
    /// Its contents.
    pub contents: Contents,
    /// When each lease was first seen, by the leases' indices. Missing ones are [`BEFORE_START`].
    pub first_seen: Vec<Millis>,
}

/// A state file that was not read, although a look-up may be able to read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Its name in the directory.
    pub name: String,
    /// Why it was not read.
    pub why: String,
    /// Whether a later attempt may succeed without a change of the file.
    pub exhausted: bool,
}

impl Files {
    /// Reads all state files of `directory`.
    ///
    /// # Errors
    /// The directory can't be listed.
    pub fn read(directory: &Path) -> io::Result<Self> {
        Self::default().read_again(directory, 0)
    }

    /// As [`Files::read`], but files that haven't changed since these were read aren't read again. `now`: the time, in seconds
    /// since the epoch.
    ///
    /// # Errors
    /// The directory can't be listed.
    pub fn read_again(&self, directory: &Path, now: i64) -> io::Result<Self> {
        let contents = self.contents.read_again(directory, Detail::Compact, now)?;
        Ok(Self { contents, first_seen: Vec::new() })
    }

    /// The state files that were not read. If there are any, look-ups must not take leases from the snapshot.
    #[must_use]
    pub fn unread(&self) -> Vec<Unread> {
        self.contents.files.iter().filter_map(unread).collect()
    }

    /// When the daemon first saw the lease with this index; [`BEFORE_START`] if it was there at the start.
    #[must_use]
    pub fn first_seen(&self, lease: u32) -> Millis {
        self.first_seen.get(lease as usize).copied().unwrap_or(BEFORE_START)
    }

    /// Copies from the previous contents when each lease was first seen. For new ones, this is `now`.
    pub fn set_first_seen(&mut self, before: &Self, now: Millis) {
        let old: BTreeMap<Bridge, _> = before.by_bridge().collect();
        let mut first_seen = Vec::new();
        for (bridge, (_, leases)) in self.by_bridge() {
            let (from, old) = old.get(&bridge).copied().unwrap_or_default();
            let old = (from..).zip(old).map(|(at, lease)| (identity(lease), before.first_seen(at)));
            if old.clone().map(|(identity, _)| identity).eq(leases.iter().map(identity)) {
                first_seen.extend(old.map(|(_, seen)| seen));
                continue;
            }
            let old: BTreeMap<_, Millis> = old.collect();
            let seen = |lease| old.get(&identity(lease)).copied().unwrap_or(now);
            first_seen.extend(leases.iter().map(seen));
        }
        self.first_seen = first_seen;
    }

    /// The leases of each bridge, with the index of the first.
    fn by_bridge(&self) -> impl Iterator<Item = (Bridge, (u32, &[Lease]))> {
        let mut from = 0;
        self.contents.leases.chunk_by(|a, b| a.bridge == b.bridge).map(move |leases| {
            let first = from;
            from += leases.len() as u32;
            (self.contents.bridge(leases[0].bridge), (first, leases))
        })
    }
}

/// A renewed lease is another one.
fn identity(lease: &Lease) -> impl Ord + use<> {
    (lease.mac.map(|mac| mac.0), lease.address.padded(), lease.expiry)
}

fn unread(file: &ReadFile) -> Option<Unread> {
    let (_, fault) = file.fault?;
    if is_empty_to_all(fault) {
        return None;
    }
    let why = if file.is_link { String::from("is a symbolic link") } else { fault_text(fault) };
    let name = file.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Some(Unread { name, why, exhausted: fault == Fault::Exhausted })
}

/// Whether no look-up can read anything from the file either.
fn is_empty_to_all(fault: Fault) -> bool {
    // It no longer exists, or is a directory or a FIFO.
    let empty = [Errno::NOENT, Errno::ISDIR, Errno::SPIPE, Errno::NXIO];
    empty.iter().any(|errno| fault == Fault::Unreadable(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use guest_names::address::{Address, Mac};
    use guest_store::contents::TextSpan;
    use std::fs;
    use testkit::scratch::Scratch;

    /// Leases by the last byte of the address, and their end.
    fn files(leases: &[(u8, i64)]) -> Files {
        let mut files = Files::default();
        let bridge = files.contents.add_bridge(Bridge::new(b"virbr0").unwrap()).unwrap();
        files.contents.leases = leases
            .iter()
            .map(|&(last, expiry)| Lease {
                bridge,
                address: Address::V4([10, 0, 0, last]),
                mac: Some(Mac([2, 0, 0, 0, 0, last])),
                expiry,
                start: 0,
                client_id: TextSpan::default(),
                client: 0,
                host_name: TextSpan::default(),
                domain: TextSpan::default(),
            })
            .collect();
        files
    }

    #[test]
    fn since_when_a_lease_is_known() {
        let first = files(&[(1, 5)]);
        assert_eq!(first.first_seen(0), BEFORE_START);
        let mut second = files(&[(2, 5), (1, 5)]);
        second.set_first_seen(&first, 20);
        assert_eq!(second.first_seen, [20, BEFORE_START]);
        // A renewed lease was requested again, so it counts as new.
        let mut third = files(&[(1, 6), (2, 5)]);
        third.set_first_seen(&second, 30);
        assert_eq!(third.first_seen, [30, 20]);
    }

    #[test]
    fn files_that_are_not_read() {
        let scratch = Scratch::new();
        let lease = r#"[{"ip-address": "10.0.0.1", "hostname": "web"}]"#;
        fs::create_dir(scratch.join("virbr0.status")).unwrap();
        scratch.write("virbr1.status", lease);
        std::os::unix::fs::symlink("virbr1.status", scratch.join("virbr2.status")).unwrap();
        let files = Files::read(scratch.path()).unwrap();
        let unread = Unread {
            name: "virbr2.status".into(),
            why: "is a symbolic link".into(),
            exhausted: false,
        };
        assert_eq!(files.unread(), [unread]);
        assert_eq!(files.contents.leases.len(), 1, "what the link leads to is not read");
    }
}
