//! Loads a `hosts` module of glibc's Name Service Switch and calls its entry points as glibc does,
//! with every pointer and every byte around the buffer checked.
//!
//! - [`Module`] loads an object by its path; a [`Query`] is a call, [`How`] says with which buffer and initial values to
//!   make it, and an [`Answer`] is the result.
//! - [`StateDir`], [`Lease`] and [`MacMap`] write libvirt's state files, [`Snapshot`] the daemon's file;
//!   [`sandboxed`] gives a test a state directory of its own.

pub mod answer;
pub mod buffer;
pub mod c;
mod decode;
pub mod json;
pub mod module;
pub mod modules;
pub mod process;
pub mod query;
pub mod sandbox;
pub mod seccomp;
pub mod snapshot;
pub mod state;

pub use answer::{Address, Answer, Status};
pub use json::{Lease, MacMap};
pub use module::Module;
pub use modules::{Kind, Modules};
pub use query::{ErrnoPlace, How, Query};
pub use sandbox::sandboxed;
pub use snapshot::Snapshot;
pub use state::StateDir;
