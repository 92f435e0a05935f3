//! glibc's interface for `hosts` modules, on top of `guest-names`: the C structs, packing answers into the caller's buffer,
//! status, errno and h_errno, the entry points, the system calls.
//!
//! All `unsafe` of the modules is here.

#![cfg_attr(not(test), no_std)]

pub mod abi;
mod arena;
mod debug;
mod export;
pub mod hosts;
pub mod pack;
mod panic;
mod reply;
mod system;

pub use guest_names::name::NameKind;
pub use panic::abort;

// The crate `libc` links the C library, unless another member of the workspace turns on its feature
// `std`: then it leaves that to std, which the modules don't have.
#[link(name = "c")]
unsafe extern "C" {}
