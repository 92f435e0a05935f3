//! `libvirt_leaseshelper`: dnsmasq runs it on each change of a lease (`--dhcp-script`), and it keeps the list of a
//! bridge's leases in `/var/lib/libvirt/dnsmasq/BRIDGE.status`, which libvirt and the NSS modules read.
//!
//! | module | what it is |
//! |---|---|
//! | [`event`] | the command line and the environment, as an [`event::Event`] |
//! | [`bridge`], [`lease`] | the values in an event |
//! | [`leases`] | the list, and the change that an event makes to it |
//! | [`record`] | one lease in the list: JSON text |
//! | [`salvage`], [`damage`] | what can be read in a damaged list, and what is wrong with it |
//! | [`init`] | the list in dnsmasq's own format, for a restart of dnsmasq |
//! | [`store`], [`lock`] | the files |
//! | [`error`], [`limits`] | all ways to fail; the largest list |
//!
//! Only [`store`] and [`lock`] do I/O. [`run`] ties them together.

pub mod bridge;
pub mod damage;
pub mod error;
pub mod event;
pub mod init;
pub mod lease;
pub mod leases;
pub mod limits;
pub mod lock;
pub mod record;
pub mod salvage;
pub mod store;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use error::Error;
use event::{Change, Event, Init};
use leases::Leases;
use store::Store;

/// Handles one call of the helper.
///
/// `arguments` starts with the program's name; `variable` reads an environment variable. `out` gets the output for
/// dnsmasq or the user, `log` the messages for dnsmasq's log.
///
/// # Errors
/// Any [`Error`]; the list is then unchanged, except for [`Error::NotDurable`].
pub fn run(
    arguments: &[OsString],
    variable: impl Fn(&str) -> Option<OsString>,
    store: &Store,
    out: &mut dyn Write,
    log: &mut dyn FnMut(&dyn std::fmt::Display),
) -> Result<(), Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    match Event::read(arguments, variable, now.try_into().unwrap_or(i64::MAX))? {
        Event::Help => print(out, help(&arguments[0]).as_bytes()),
        Event::Version => print(out, version(&arguments[0]).as_bytes()),
        Event::Init(init) => {
            let text = read_for_dnsmasq(&init, store, log)?;
            print(out, &text)
        }
        Event::Change(change) => record_change(&change, store, log),
        Event::Unrelated => Ok(()),
    }
}

fn read_for_dnsmasq(
    init: &Init,
    store: &Store,
    log: &mut dyn FnMut(&dyn std::fmt::Display),
) -> Result<Vec<u8>, Error> {
    let lock = store.lock()?;
    store.create(&init.bridge)?;
    let bytes = store.read(&init.bridge)?;
    drop(lock);
    let leases = Leases::read(&bytes);
    if let Some(damage) = &leases.damage {
        log(&format_args!(
            "{}: {damage}; {} leases in it can be read; the next lease event keeps a copy and repairs the list",
            store.list(&init.bridge).display(),
            leases.records.len(),
        ));
    }
    let lines = init::lines(&leases.records, init.server_duid.as_deref());
    for left_out in &lines.left_out {
        log(&format_args!("{}: {left_out}", store.list(&init.bridge).display()));
    }
    Ok(lines.text)
}

fn record_change(
    change: &Change,
    store: &Store,
    log: &mut dyn FnMut(&dyn std::fmt::Display),
) -> Result<(), Error> {
    let lock = store.lock()?;
    let bytes = store.read(&change.bridge)?;
    let mut leases = Leases::read(&bytes);
    let kept = leases.records.len();
    let damage = leases.damage.take();
    leases.apply(change);
    let copy = match &damage {
        Some(damage) => Some(store.keep_copy(&change.bridge, &bytes, damage.kind)?),
        None => None,
    };
    let replaced = match store.replace(&change.bridge, leases.text()) {
        Ok(replaced) => replaced,
        Err(error) => {
            // The list is unchanged, so no copy of it is needed.
            if let Some(copy) = copy {
                copy.remove();
            }
            return Err(error);
        }
    };
    // No need to wait for the disk under the lock: the next helper reads this list anyway, and its own fsync waits for
    // the same disk.
    drop(lock);
    if let (Some(damage), Some(copy)) = (damage, copy) {
        log(&format_args!(
            "{}: {damage}; a copy is in {}; {kept} leases in it could be read and are in the new list",
            store.list(&change.bridge).display(),
            copy.path().display(),
        ));
    }
    replaced.make_durable()
}

fn print(out: &mut dyn Write, text: &[u8]) -> Result<(), Error> {
    out.write_all(text).and_then(|()| out.flush()).map_err(Error::Output)
}

fn help(program: &OsStr) -> String {
    format!(
        "Usage: {} add|old|del|init mac|clientid ip [hostname]\n\
         Keeps the list of a libvirt network's leases. dnsmasq calls it (--dhcp-script); people read the list\n\
         with `virsh net-dhcp-leases NETWORK`. See libvirt_leaseshelper(8).\n",
        Path::new(program).display()
    )
}

fn version(program: &OsStr) -> String {
    format!("{} (libvirt-nss) {}\n", Path::new(program).display(), env!("CARGO_PKG_VERSION"))
}
