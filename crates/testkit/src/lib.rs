//! Shared by the tests, the fuzz targets and the benchmarks. Nothing that is installed depends on it.
//!
//! - [`random`]: numbers that are the same in each run
//! - [`scratch`]: directories on disk, removed at the end of a test
//! - [`memory`]: a state directory, its files and the look-up's system in memory, with faults on demand
//! - [`look_up`]: look-ups in them, with any amount of memory
//! - [`name_server`]: BIND, Knot and PowerDNS on the loopback interface
//! - [`kerberos`]: a Kerberos realm for BIND
//! - [`cdb`]: a simple writer of snapshots
//! - [`configuration`]: the configuration file as it is documented
//! - [`reference`](mod@reference): the rules of a look-up a second time, as simply as possible
//! - [`generate`]: random states of a host, as values for [`reference`](mod@reference) and as files

pub mod cdb;
pub mod configuration;
pub mod generate;
pub mod kerberos;
pub mod look_up;
pub mod memory;
pub mod name_server;
pub mod random;
pub mod reference;
pub mod scratch;
