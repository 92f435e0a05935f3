//! The NSS module `libnss_libvirt.so.2`.

#![no_std]

extern crate nss_hosts as _;
