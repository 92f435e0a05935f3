//! The bodies of the fuzz targets. Each takes bytes and panics where something is wrong with what is made of
//! them. cargo-fuzz runs them on what libFuzzer finds (`targets/`); `tests/mutations.rs` runs them on
//! the seeds and on mutations of these, without any fuzzer.
//!
//! What a target takes for right is worked out a second time, in another way: JSON by `serde_json`, addresses by
//! inet_pton(3), look-ups by [`testkit::reference`].

pub mod json;
pub mod lookup;
pub mod oracle;
pub mod packing;
pub mod records;
pub mod scenario;
pub mod snapshot;
pub mod state;

/// A target: its name, which is that of its seeds' folder, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 6] = [
    ("json", json::run),
    ("lease", records::run_lease),
    ("macmap", records::run_macmap),
    ("lookup", lookup::run),
    ("pack", packing::run),
    ("snapshot", snapshot::run),
];
