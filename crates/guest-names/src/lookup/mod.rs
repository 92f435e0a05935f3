//! A look-up: from a name to addresses, from an address to a name, and the list of all guests.

mod by_address;
mod by_name;
mod context;
mod list;
mod rules;

pub use by_name::{Found, Query};
pub use context::{Lookup, Memory};
pub use list::{Pair, Pairs};
