//! The limits that keep one file from costing more than its share.

/// The largest list, in bytes, that libvirt's readers and the NSS modules accept.
pub const LARGEST_LIST: u64 = 32 << 20;

/// The most members that a lease may have. The helpers write up to eight. Reading compares every key with the others,
/// so an object with thousands of them would hold the lock for seconds.
pub(crate) const MOST_MEMBERS: usize = 64;
