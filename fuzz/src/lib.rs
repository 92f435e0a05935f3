//! The bodies of the fuzz targets. Each takes bytes, and panics if the code under test handles them wrongly. cargo-fuzz
//! runs them on libFuzzer's inputs (`targets/`); `tests/mutations.rs` runs them on the seeds and on mutations of these,
//! without a fuzzer.
//!
//! The expected results are computed independently: JSON by `serde_json`, addresses
//! by inet_pton(3), look-ups by [`testkit::reference`].

pub mod json;
pub mod lookup;
pub mod oracle;
pub mod packing;
pub mod records;
pub mod scenario;
pub mod snapshot;
pub mod state;

/// A target: its name, which is also the directory of its seeds, and its body.
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
