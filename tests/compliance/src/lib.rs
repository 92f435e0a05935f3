//! Compares the modules with libvirt's own over the same state directories.
//!
//! For a drop-in replacement the original is the specification. Every case says what libvirt's module
//! answers and what ours does; where the two differ it names the [`Rule`] of `docs/differences.md`
//! by which they may. [`cases`] are written by hand, by topic; [`generate`] makes state directories and
//! queries by the thousand, for which [`model`] says what each side has to answer.

pub mod cases;
pub mod generate;
pub mod model;
pub mod peer;
pub mod rules;
pub mod run;
pub mod stock;
pub mod world;

pub use rules::Rule;
