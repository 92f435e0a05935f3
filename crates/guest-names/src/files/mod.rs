//! The state directory: its files, their records, and the guests' NICs.

mod nics;
mod records;
mod sought;
mod state_files;

pub(crate) use sought::{GuestMac, Sought};
pub(crate) use state_files::{Listing, StateFiles};
