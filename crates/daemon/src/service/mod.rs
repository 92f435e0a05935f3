//! What a service needs: a log, signs of life, signals, a lock, and the clock and user that it runs by.

pub mod clock;
pub mod link;
pub mod lock;
pub mod log;
pub mod memory;
pub mod notify;
pub mod signals;
pub mod user;
