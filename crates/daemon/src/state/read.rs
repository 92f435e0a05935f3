//! Reading the state files, with the look-up's own readers: what the daemon takes for a record is what the
//! modules take for one.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use guest_names::bridge::Bridge;
use guest_names::io::Fault;
use guest_names::io::Kind;
use guest_names::records::lease;
use guest_names::records::mac_map::MacMap;
use guest_names::scan::{Accepted, Scan};
use guest_names::text::Text;
use guest_names::window::Window;
use guest_store::{OpenFile, fault, fault_text};
use rustix::io::Errno;

use super::files::{Domain, Files, KNOWN_BEFORE, Lease};

/// What came of a reading.
#[derive(Debug)]
pub struct Reading {
    /// What could be read.
    pub files: Files,
    /// Files that may say something to others, and why they don't here: the snapshot can't stand for
    /// them.
    pub unread: Vec<Unread>,
}

/// A state file that was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Its name in the directory.
    pub name: String,
    /// Why.
    pub why: String,
    /// Asked again later, it may be readable without any change of it.
    pub exhausted: bool,
}

/// Reads all state files of `directory`.
///
/// # Errors
/// It can't be listed.
pub fn read(directory: &Path) -> io::Result<Reading> {
    let mut reading = Reading { files: Files::default(), unread: Vec::new() };
    let mut buffer = vec![0; 64 << 10];
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some((bridge, kind)) = bridge_and_kind(name.as_bytes()) else { continue };
        let read = if entry.file_type()?.is_symlink() {
            // What it stands for changes without a trace in this directory.
            Err((String::from("is a symbolic link"), false))
        } else {
            reading
                .read_file(&entry.path(), bridge, kind, &mut buffer)
                .map_err(|fault| (fault_text(fault), fault == Fault::Exhausted))
        };
        if let Err((why, exhausted)) = read {
            let name = name.to_string_lossy().into_owned();
            reading.unread.push(Unread { name, why, exhausted });
        }
    }
    Ok(reading)
}

/// Which bridge's file it is, as the look-up sorts names.
fn bridge_and_kind(name: &[u8]) -> Option<(Bridge, Kind)> {
    [Kind::Leases, Kind::Macs].into_iter().find_map(|kind| {
        let stem = name.strip_suffix(kind.suffix())?;
        Bridge::new(stem).map(|bridge| (bridge, kind))
    })
}

/// Whether no reader gets anything out of the file.
fn is_nothing(fault: Fault) -> bool {
    // Not there any more, a directory, a FIFO.
    let nothing = [Errno::NOENT, Errno::ISDIR, Errno::SPIPE, Errno::NXIO];
    nothing.iter().any(|errno| fault == Fault::Unreadable(errno.raw_os_error()))
}

impl Reading {
    fn read_file(
        &mut self,
        path: &Path,
        bridge: Bridge,
        kind: Kind,
        buffer: &mut [u8],
    ) -> Result<(), Fault> {
        let file = match OpenFile::open(path).map_err(|error| fault(&error)) {
            Ok(file) => file,
            Err(fault) if is_nothing(fault) => return Ok(()),
            Err(fault) => return Err(fault),
        };
        let files = &mut self.files;
        let bridge = files.add_bridge(bridge);
        let mut window = Window::new(file, buffer);
        match kind {
            Kind::Leases => read_leases(&mut window, bridge, files),
            Kind::Macs => read_mac_maps(&mut window, bridge, files),
        }
        window.fault().map_or(Ok(()), Err)
    }
}

fn read_leases(window: &mut Window<'_, OpenFile>, bridge: u16, files: &mut Files) {
    let (mut scan, mut lease) = (Scan::new(&[]), lease::Lease::new());
    while let Some(start) = scan.next(window) {
        let parsed = lease.read(window);
        let is_record = scan.accept(window, parsed) == Accepted::Record;
        let (Ok(address), true) = (lease.checked(), is_record) else { continue };
        let domain = files.add_text(lease.domain.as_bytes());
        let host_name = files.add_text(lease.hostname.as_bytes());
        files.leases.push(Lease {
            bridge,
            address,
            mac: lease.mac,
            expiry: lease.expiry,
            start,
            client: lease.client,
            host_name,
            domain,
            since: KNOWN_BEFORE,
        });
    }
}

fn read_mac_maps(window: &mut Window<'_, OpenFile>, bridge: u16, files: &mut Files) {
    let (mut scan, mut domain) = (Scan::new(&[]), Text::new());
    let mut map = MacMap::new(&mut domain);
    while scan.next(window).is_some() {
        let parsed = map.read(window);
        if scan.accept(window, parsed) != Accepted::Record || !map.is_good() {
            continue;
        }
        let name = files.add_text(map.domain.as_bytes());
        let from = files.macs.len() as u32;
        files.macs.extend(map.macs());
        while map.read_rest(window) {
            files.macs.extend(map.macs());
        }
        files.domains.push(Domain { bridge, name, macs: (from, files.macs.len() as u32) });
    }
}
