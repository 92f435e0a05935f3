//! One lease record, with what the look-up has no use for.

use guest_names::json::{self, Members, Parsed, Value};
use guest_names::lease::Lease;
use guest_names::text::Text;
use guest_names::window::{StateFile, Window};

/// A record of `BRIDGE.status`: what the look-up reads of it, and the client id beside.
#[derive(Clone, Default)]
pub(crate) struct Record {
    /// As the look-up reads it: the same code takes the same members.
    pub(crate) lease: Lease,
    /// `client-id`: what the client told dnsmasq to know it by. Empty where it told nothing.
    pub(crate) client_id: Text,
}

impl Record {
    pub(crate) fn read<F: StateFile>(&mut self, window: &mut Window<'_, F>) -> Parsed {
        *self = Self::default();
        json::object(window, self)
    }
}

impl Members for Record {
    fn member(&mut self, key: &[u8], value: Value<'_>) {
        if let (b"client-id", Value::String(text)) = (key, value) {
            self.client_id.set(text);
        }
        self.lease.member(key, value);
    }
}
