//! The names of guests in libvirt's state files and in the daemon's snapshot, and how they are looked up.
//!
//! Bytes go in and values come out. This crate does no I/O, never allocates, holds no `unsafe` and no
//! reachable panic, so that the modules that glibc loads into every process can be built on it.
//!
//! Each module uses those above it in this list, and no others.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod text;

pub mod address;
pub mod bridge;
pub mod name;

pub mod io;

pub mod json;
pub mod window;

pub mod needles;
pub mod records;
pub mod scan;

pub mod candidate;
pub mod list;
pub mod snapshot;

pub mod observe;

pub mod files;
pub mod lookup;

#[cfg(test)]
mod testing;
