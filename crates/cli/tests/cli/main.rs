//! Tests of the command as a whole: the binary, run as people and scripts run it.

mod dns;
mod doctor;
mod enable;
mod generate;
mod golden;
mod readme;
mod schema;
mod snapshot;
mod ssh;
mod support;
mod wait;
mod watch;
