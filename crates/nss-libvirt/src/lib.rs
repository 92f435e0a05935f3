//! The NSS module `libnss_libvirt.so.2`: host names that guests sent to DHCP.

#![no_std]

nss_hosts::export!("libvirt", nss_hosts::NameKind::HostName);
nss_hosts::panic_handler!();
