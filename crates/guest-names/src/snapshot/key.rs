//! The keys of a snapshot's records.

use super::format::kind;
use crate::address::Address;
use crate::name::{NameKind, Wanted, same, without_trailing_dot};
use crate::text::{TEXT_MAX, copy};

/// The key of a record.
#[derive(Clone)]
pub struct Key {
    bytes: [u8; TEXT_MAX + 1],
    len: usize,
}

impl Key {
    /// The empty key, which no record has.
    pub(crate) const NONE: Self = Self { bytes: [0; TEXT_MAX + 1], len: 0 };

    /// Of a name that is looked up.
    #[must_use]
    pub fn of_name(kind: NameKind, wanted: &Wanted<'_>) -> Self {
        let mut key = Self::NONE;
        key.extend(&[kind_of(kind)]);
        key.extend(wanted.canonical());
        key.bytes.iter_mut().for_each(|byte| *byte = byte.to_ascii_lowercase());
        key
    }

    /// Of an address.
    #[must_use]
    pub fn of_address(address: Address) -> Self {
        let mut key = Self::NONE;
        key.extend(&[kind::ADDRESS]);
        key.extend(address.octets());
        key
    }

    /// Ignores `bytes` if they don't fit: no key of a snapshot is that long.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if let Some(room) = self.bytes.get_mut(self.len..end) {
            copy(room, bytes);
            self.len = end;
        }
    }

    /// The name, without the kind.
    pub(crate) fn name(&self) -> &[u8] {
        self.as_bytes().get(1..).unwrap_or(&[])
    }

    /// Whether it is the key of `name` itself, not of a longer name.
    pub(crate) fn is_of(&self, name: &[u8]) -> bool {
        same(self.name(), without_trailing_dot(name))
    }

    /// The key as it is in the file.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }
}

/// The first byte of a name's key.
pub(super) fn kind_of(kind: NameKind) -> u8 {
    match kind {
        NameKind::HostName => kind::HOST,
        NameKind::Domain => kind::GUEST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        let key = |kind, name: &[u8]| {
            let wanted = Wanted::domain(name).unwrap();
            Key::of_name(kind, &wanted).as_bytes().to_vec()
        };
        assert_eq!(key(NameKind::HostName, b"Web.Lab."), b"hweb.lab");
        assert_eq!(key(NameKind::Domain, "Ä B".as_bytes()), "gÄ b".as_bytes());
        assert_eq!(key(NameKind::Domain, &[b'x'; 255]).len(), 256);
        assert_eq!(Key::of_address(Address::V4([b'A', 0, 0, 1])).as_bytes(), b"aA\0\0\x01");
        assert_eq!(Key::of_address(Address::V6([1; 16])).as_bytes().len(), 17);
    }
}
