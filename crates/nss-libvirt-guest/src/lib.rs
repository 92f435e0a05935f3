//! The NSS module `libnss_libvirt_guest.so.2`: libvirt domain names.

#![no_std]

nss_hosts::export!("libvirt_guest", nss_hosts::NameKind::Domain);
nss_hosts::panic_handler!();
