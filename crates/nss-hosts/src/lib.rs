//! glibc's interface for `hosts` modules, on top of `guest-names`.

#![no_std]

mod panic;
