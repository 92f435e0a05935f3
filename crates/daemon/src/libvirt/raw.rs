//! The calls of libvirt that `virt` doesn't wrap, or wraps with a leak (`Domain::interface_addresses` of 0.5
//! frees neither the interfaces nor their arrays). One of the two files with `unsafe`; see `callbacks.rs`.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::net::IpAddr;
use std::ptr;

use guest_names::address::Mac;
use virt::domain::Domain;
use virt::error::Error;
use virt::sys;

use crate::model::NetworkLease;

/// An interface as virDomainInterfaceAddresses reports it. Those without a MAC are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    /// Its MAC, as the source has it.
    pub(super) mac: Mac,
    /// Its addresses; what can't be read is left out.
    pub(super) addresses: Vec<IpAddr>,
}

/// Who virDomainInterfaceAddresses asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The guest's agent. Needs a read-write connection.
    Agent,
    /// The host's ARP table.
    Arp,
}

/// How long the agent commands of a domain wait: libvirt's default
/// (`VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK`).
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
    // SAFETY: `domain` is valid, `list` is a place for libvirt's array.
    let count = unsafe { sys::virDomainInterfaceAddresses(domain, &mut list, source, 0) };
    let count = usize::try_from(count).map_err(|_| Error::last_error())?;
    let mut interfaces = Vec::with_capacity(count);
    for at in 0..count {
        // SAFETY: libvirt's array has `count` entries.
        let entry = unsafe { list.add(at) };
        // SAFETY: the entry is aligned and set.
        let interface = unsafe { *entry };
        // SAFETY: libvirt gives valid interfaces, which stay until they are freed below.
        interfaces.extend(unsafe { interface.as_ref() }.and_then(read_interface));
        // SAFETY: it is ours, and not used again.
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

/// virNetworkGetDHCPLeases, of all NICs. Leases whose address can't be read are left out.
pub(super) fn dhcp_leases(network: &virt::network::Network) -> Result<Vec<NetworkLease>, Error> {
    let mut list: *mut sys::virNetworkDHCPLeasePtr = ptr::null_mut();
    // SAFETY: the pointer is used within this function, where `network` lives.
    let network = unsafe { network.as_ptr() };
    // SAFETY: `network` is valid, `list` is a place for libvirt's array, no MAC stands for all.
    let count = unsafe { sys::virNetworkGetDHCPLeases(network, ptr::null(), &mut list, 0) };
    let count = usize::try_from(count).map_err(|_| Error::last_error())?;
    let mut leases = Vec::with_capacity(count);
    for at in 0..count {
        // SAFETY: libvirt's array has `count` entries.
        let entry = unsafe { list.add(at) };
        // SAFETY: the entry is aligned and set.
        let lease = unsafe { *entry };
        // SAFETY: libvirt gives valid leases, which stay until they are freed below.
        leases.extend(unsafe { lease.as_ref() }.and_then(read_lease));
        // SAFETY: it is ours, and not used again.
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

/// A string of libvirt's that lives as long as `owner`, which it is part of; where it is there and UTF-8
/// (anything else is not a MAC address, an address or a name).
fn text<T>(_owner: &T, string: *const c_char) -> Option<&str> {
    if string.is_null() {
        return None;
    }
    // SAFETY: libvirt's strings end in NUL and stay until what they are part of is freed.
    unsafe { CStr::from_ptr(string) }.to_str().ok()
}

/// Frees an array of libvirt's, which are malloc's (the API's documentation says to call `free`).
fn free(array: *mut c_void) {
    // SAFETY: it comes from libvirt, was handed over to the caller, and is not used again.
    unsafe { libc::free(array) };
}
