//! Compares the modules with libvirt's own over the same state directories.
//!
//! For a drop-in replacement, the original is the specification. Every case says what libvirt's module answers and what
//! ours does; if the two differ, it names the [`Rule`] of `docs/differences.md` that allows it. [`cases`] are written
//! by hand, by topic; [`generate`] makes state directories and queries from seeds, for which [`model`] predicts the
//! answers of each side; [`nsstest`] is libvirt's own test of its modules.

pub mod cases;
pub mod generate;
pub mod model;
pub mod nsstest;
pub mod peer;
pub mod rules;
pub mod run;
pub mod stock;
pub mod world;

pub use rules::Rule;
