//! What the tests, the fuzz targets and the benchmarks share. Nothing that is installed depends on it.
//!
//! - [`random`]: numbers that are the same in each run
//! - [`scratch`]: directories on disk, removed at the end of a test
//! - [`memory`]: the state directory, its files and the look-up's system in memory, with faults on demand
//! - [`look_up`]: a look-up in them, with memory of any size
//! - [`name_server`]: BIND, Knot and PowerDNS on the loopback interface
//! - [`cdb`]: a snapshot, written as plainly as its format allows
//! - [`reference`](mod@reference): the rules of a look-up a second time, too plain to be wrong
//! - [`generate`]: random states of a host, which [`reference`](mod@reference) and the files have in common

pub mod cdb;
pub mod generate;
pub mod look_up;
pub mod memory;
pub mod name_server;
pub mod random;
pub mod reference;
pub mod scratch;
