//! The bodies of the fuzz targets. Each takes bytes and panics where something is wrong with what is
//! made of them. cargo-fuzz runs them on what libFuzzer finds (`targets/`); `tests/mutations.rs` runs them on
//! the seeds and on mutations of these, without any fuzzer.
//!
//! What a target holds to be right is worked out here a second time, in another way: JSON by
//! `serde_json`, addresses by `inet_pton`(3), look-ups by [`mod@reference`], which reads all files into
//! memory and takes the rules one after the other.

pub mod json;
pub mod lookup;
pub mod memory;
pub mod oracle;
pub mod packing;
pub mod records;
pub mod reference;
pub mod scenario;
pub mod snapshot;

// nss-hosts has a panic handler of its own, so it can't be linked into a program with std. These are its
// files that pack answers, as they are.
#[allow(dead_code, unreachable_pub)]
#[path = "../../crates/nss-hosts/src/abi.rs"]
mod abi;
#[allow(dead_code, unreachable_pub)]
#[path = "../../crates/nss-hosts/src/pack.rs"]
mod pack;
#[allow(dead_code, unreachable_pub)]
#[path = "../../crates/nss-hosts/src/system.rs"]
mod system;

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
