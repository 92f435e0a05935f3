//! The heart of libvirt-nss: what libvirt's state files say, and how a name is looked up in them.
//!
//! It takes bytes and gives values. It does no I/O, never allocates, holds no `unsafe` and no
//! reachable panic, so that the modules that glibc loads into every process can be built on it.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod address;
pub mod enumerate;
pub mod forward;
pub mod json;
pub mod lease;
pub mod macmap;
pub mod name;
mod nics;
pub mod observe;
pub mod ranking;
mod reverse;
pub mod scan;
pub mod search;
pub mod snapshot;
mod sought;
pub mod state;
#[cfg(test)]
mod testing;
pub mod text;
pub mod window;
