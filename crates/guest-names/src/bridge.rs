//! The names of bridges.

use core::cmp::Ordering;

/// The name of a bridge, at most as long as the kernel allows (`IFNAMSIZ`: 15 bytes and a NUL).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bridge([u8; 16]);

impl Bridge {
    /// No bridge.
    pub const NONE: Self = Self([0; 16]);

    /// `None` if it is empty or too long for a bridge's name.
    #[must_use]
    pub fn new(name: &[u8]) -> Option<Self> {
        let mut bridge = Self::NONE;
        if name.is_empty() || name.len() >= bridge.0.len() {
            return None;
        }
        bridge.0.iter_mut().zip(name).for_each(|(place, &byte)| *place = byte);
        Some(bridge)
    }

    /// From [`Bridge::with_nul`]; `None` if it doesn't end in a NUL.
    #[must_use]
    pub fn from_padded(bytes: [u8; 16]) -> Option<Self> {
        (bytes.last() == Some(&0)).then_some(Self(bytes))
    }

    /// The name.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.split(|&byte| byte == 0).next().unwrap_or(&[])
    }

    /// The name, padded with NULs: at least one.
    #[must_use]
    pub fn with_nul(&self) -> &[u8; 16] {
        &self.0
    }

    /// The name as a number with the same order.
    #[must_use]
    pub(crate) fn sort_key(&self) -> u128 {
        u128::from_be_bytes(self.0)
    }
}

/// In the order of the names' bytes; [`Bridge::NONE`] comes first.
impl Ord for Bridge {
    fn cmp(&self, other: &Self) -> Ordering {
        self.sort_key().cmp(&other.sort_key())
    }
}

impl PartialOrd for Bridge {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl core::fmt::Debug for Bridge {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.as_bytes().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_too_long_for_a_bridge() {
        assert_eq!(Bridge::new(b"sixteen-bytes-16"), None);
        assert_eq!(Bridge::new(b""), None);
        let fits = b"fifteen-bytes15";
        assert_eq!(Bridge::new(fits).unwrap().as_bytes(), fits);
        assert!(Bridge::NONE < Bridge::new(b"a").unwrap());
        assert!(Bridge::new(b"virbr1") < Bridge::new(b"virbr10"));
    }
}
