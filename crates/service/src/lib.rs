//! What the services have in common: log messages with the journal's priorities, sd_notify(3), and signals.

pub mod log;
pub mod notify;
pub mod signals;
