//! The heart of libvirt-nss: what libvirt's state files say, and how a name is looked up in them.
//!
//! It takes bytes and gives values. It does no I/O, never allocates, holds no `unsafe` and no
//! reachable panic, so that the modules that glibc loads into every process can be built on it.

#![no_std]
#![forbid(unsafe_code)]
