//! What the service needs: log, watchdog and signals, which it shares with other services, a lock, the link to the snapshot,
//! and handling of the clock, its user and its memory.

pub use ::service::{log, notify, signals};

pub mod clock;
pub mod link;
pub mod lock;
pub mod memory;
pub mod user;
