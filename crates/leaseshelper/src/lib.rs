//! `libvirt_leaseshelper`: dnsmasq runs it on each change of a lease (`--dhcp-script`), and it keeps the list
//! of a bridge's leases in `/var/lib/libvirt/dnsmasq/BRIDGE.status`, which libvirt and the NSS modules read.
//!
//! | module | what it is |
//! |---|---|
//! | [`event`] | the command line and the environment, made into an [`event::Event`] |
//! | [`leases`] | the list, and the change that an event makes to it |
//! | [`layout`] | the list as text, to the byte |
//! | [`json`] | any other JSON, and what can be saved of a damaged file |
//! | [`init`] | the list in dnsmasq's own format, for a restart of dnsmasq |
//! | [`store`], [`lock`] | the files |
//! | [`error`] | every way to fail |
//!
//! All but the last three decide and do no I/O. [`run`] ties them together.

pub mod error;
pub mod event;
pub mod init;
pub mod json;
pub mod layout;
pub mod leases;
pub mod lock;
pub mod store;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;

use error::Error;
use event::{Change, Event, Init};
use leases::Leases;
use store::Store;

/// Does what one call of the helper asks for.
///
/// `arguments` starts with the program's name; `variable` looks an environment variable up. What dnsmasq or a
/// person is to read goes to `out`, what is worth a line in dnsmasq's log to `log`.
///
/// # Errors
/// Any [`Error`]; the list is then what it was, but for [`Error::NotDurable`].
pub fn run(
    arguments: &[OsString],
    variable: impl Fn(&str) -> Option<OsString>,
    store: &Store,
    out: &mut dyn Write,
    log: &mut dyn FnMut(&dyn std::fmt::Display),
) -> Result<(), Error> {
    match Event::read(arguments, variable)? {
        Event::Help => print(out, help(&arguments[0]).as_bytes()),
        Event::Version => print(out, version(&arguments[0]).as_bytes()),
        Event::Init(init) => {
            let text = read_for_dnsmasq(&init, store, log)?;
            print(out, &text)
        }
        Event::Change(change) => write_down(&change, store, log),
    }
}

fn read_for_dnsmasq(
    init: &Init,
    store: &Store,
    log: &mut dyn FnMut(&dyn std::fmt::Display),
) -> Result<Vec<u8>, Error> {
    let lock = store.lock()?;
    store.make(&init.bridge)?;
    let bytes = store.read(&init.bridge)?;
    drop(lock);
    let leases = Leases::read(&bytes);
    if let Some(damage) = &leases.damage {
        log(&format_args!(
            "{}: {damage}; {} of its leases can be read; the next lease event puts the file aside and mends the list",
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

fn write_down(
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
    let aside = match &damage {
        Some(damage) => Some(store.put_aside(&change.bridge, &bytes, damage.why)?),
        None => None,
    };
    let replaced = match store.replace(&change.bridge, layout::list(&leases.records)) {
        Ok(replaced) => replaced,
        Err(error) => {
            // Nothing was changed, so nothing may stay behind either.
            if let Some(aside) = aside {
                aside.take_back();
            }
            return Err(error);
        }
    };
    // The next helper may go on: it reads this list, and its own fsync waits for the same disk.
    drop(lock);
    if let (Some(damage), Some(aside)) = (damage, aside) {
        log(&format_args!(
            "{}: {damage}; kept as {}; {kept} of its leases could be read and are in the new list",
            store.list(&change.bridge).display(),
            aside.path().display(),
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
