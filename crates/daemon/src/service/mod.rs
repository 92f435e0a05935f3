//! What a daemon owes to who runs it: a log, signs of life, an ear for signals, and to be the only one.

pub mod clock;
pub mod link;
pub mod lock;
pub mod log;
pub mod memory;
pub mod notify;
pub mod signals;
pub mod user;
