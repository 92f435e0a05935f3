//! What the service needs: a log, signs of life and signals, as other services do, a lock, and the clock and user that it
//! runs by.

pub use ::service::{log, notify, signals};

pub mod clock;
pub mod link;
pub mod lock;
pub mod memory;
pub mod user;
