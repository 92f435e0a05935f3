//! libvirt calls that `virt` doesn't wrap, or wraps with a leak (in 0.5, `Domain::interface_addresses` frees neither the
//! interfaces nor their arrays). One of the two files with `unsafe`; see `callbacks.rs`.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::net::IpAddr;
use std::ptr;

use guest_names::address::Mac;
use virt::domain::Domain;
use virt::error::Error;
use virt::sys;

use crate::model::NetworkLease;

/// An interface as virDomainInterfaceAddresses reports it. Interfaces without a MAC are skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    /// Its MAC, as the source reports it.
    pub(super) mac: Mac,
    /// Its addresses; invalid ones are skipped.
    pub(super) addresses: Vec<IpAddr>,
}

/// The source that virDomainInterfaceAddresses uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The guest's agent. Needs a read-write connection.
    Agent,
    /// The host's ARP table.
    Arp,
}

/// libvirt's default time limit for a domain's agent commands: none.
pub(super) const WAIT_FOR_EVER: c_int = sys::VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK;

/// virDomainInterfaceAddresses.
pub(super) fn interface_addresses(domain: &Domain, asked: Asked) -> Result<Vec<Interface>, Error> {
    let source = match asked {
        Asked::Agent => sys::VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT,
        Asked::Arp => sys::VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP,
    };
    let mut list: *mut sys::virDomainInterfacePtr = ptr::null_mut();
    // SAFETY: the pointer is used within this function, where `domain` lives.
    let domain = unsafe { domain.as_ptr() };
    // SAFETY: `domain` is valid; libvirt stores its array in `list`.
    let count = unsafe { sys::virDomainInterfaceAddresses(domain, &mut list, source, 0) };
    let count = usize::try_from(count).map_err(|_| Error::last_error())?;
    let mut interfaces = Vec::with_capacity(count);
    for at in 0..count {
        // SAFETY: libvirt's array has `count` entries.
        let entry = unsafe { list.add(at) };
        // SAFETY: the entry is aligned and initialized.
        let interface = unsafe { *entry };
        // SAFETY: libvirt returns valid interfaces, which live until they are freed below.
        interfaces.extend(unsafe { interface.as_ref() }.and_then(read_interface));
        // SAFETY: we own it, and it is not used again.
        unsafe { sys::virDomainInterfaceFree(interface) };
    }
    free(list.cast());
    Ok(interfaces)
}

fn read_interface(interface: &sys::virDomainInterface) -> Option<Interface> {
    let mac = Mac::parse(text(interface, interface.hwaddr)?.as_bytes())?;
    let count = usize::try_from(interface.naddrs).ok()?;
    let mut addresses = Vec::with_capacity(count);
    for at in 0..count {
        // SAFETY: `addrs` has `naddrs` entries.
        let entry = unsafe { interface.addrs.add(at) };
        // SAFETY: the entry is valid as long as the interface is.
        let address = unsafe { entry.as_ref() };
        addresses.extend(
            address.and_then(|address| text(address, address.addr)?.parse::<IpAddr>().ok()),
        );
    }
    Some(Interface { mac, addresses })
}

/// virNetworkGetDHCPLeases for all NICs. Leases with an invalid address are skipped.
pub(super) fn dhcp_leases(network: &virt::network::Network) -> Result<Vec<NetworkLease>, Error> {
    let mut list: *mut sys::virNetworkDHCPLeasePtr = ptr::null_mut();
    // SAFETY: the pointer is used within this function, where `network` lives.
    let network = unsafe { network.as_ptr() };
    // SAFETY: `network` is valid; a null MAC means all NICs; libvirt stores its array in `list`.
    let count = unsafe { sys::virNetworkGetDHCPLeases(network, ptr::null(), &mut list, 0) };
    let count = usize::try_from(count).map_err(|_| Error::last_error())?;
    let mut leases = Vec::with_capacity(count);
    for at in 0..count {
        // SAFETY: libvirt's array has `count` entries.
        let entry = unsafe { list.add(at) };
        // SAFETY: the entry is aligned and initialized.
        let lease = unsafe { *entry };
        // SAFETY: libvirt returns valid leases, which live until they are freed below.
        leases.extend(unsafe { lease.as_ref() }.and_then(read_lease));
        // SAFETY: we own it, and it is not used again.
        unsafe { sys::virNetworkDHCPLeaseFree(lease) };
    }
    free(list.cast());
    Ok(leases)
}

fn read_lease(lease: &sys::virNetworkDHCPLease) -> Option<NetworkLease> {
    Some(NetworkLease {
        mac: text(lease, lease.mac).and_then(|mac| Mac::parse(mac.as_bytes())),
        address: text(lease, lease.ipaddr)?.parse().ok()?,
        host_name: text(lease, lease.hostname).filter(|name| !name.is_empty()).map(str::to_owned),
        expiry: lease.expirytime,
    })
}

/// virDomainAgentSetResponseTimeout. `seconds` may be [`WAIT_FOR_EVER`].
pub(super) fn set_agent_timeout(domain: &Domain, seconds: c_int) -> Result<(), Error> {
    // SAFETY: the pointer is used within this function, where `domain` lives.
    let domain = unsafe { domain.as_ptr() };
    // SAFETY: `domain` is valid.
    let status = unsafe { sys::virDomainAgentSetResponseTimeout(domain, seconds, 0) };
    if status < 0 { Err(Error::last_error()) } else { Ok(()) }
}

/// A string that is part of `owner`, and lives as long. `None` if it is null or isn't UTF-8, and so is neither an address
/// nor a name.
fn text<T>(_owner: &T, string: *const c_char) -> Option<&str> {
    if string.is_null() {
        return None;
    }
    // SAFETY: libvirt's strings end in NUL and live until the object that they are part of is freed.
    unsafe { CStr::from_ptr(string) }.to_str().ok()
}

/// Frees an array that libvirt allocated with malloc (the API's documentation says to call `free`).
fn free(array: *mut c_void) {
    // SAFETY: it comes from libvirt, which passed ownership to us, and is not used again.
    unsafe { libc::free(array) };
}
