//! The name of a bridge.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use crate::error::Error;

/// The name of a network interface, which makes it safe as part of a file name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge(OsString);

impl Bridge {
    /// Accepts what the kernel accepts as an interface name (`dev_valid_name` in `net/core/dev.c`): 1 to 15
    /// bytes, not `.` or `..`, without slash, colon or white space.
    ///
    /// # Errors
    /// [`Error::BadBridge`] for every other name.
    pub fn new(name: OsString) -> Result<Self, Error> {
        let bytes = name.as_bytes();
        let space = |byte: &u8| matches!(byte, b'/' | b':' | b' ' | b'\t'..=b'\r' | 0xa0);
        if bytes.is_empty()
            || bytes.len() >= libc::IFNAMSIZ
            || bytes == b"."
            || bytes == b".."
            || bytes.iter().any(space)
        {
            return Err(Error::BadBridge(name));
        }
        Ok(Self(name))
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &OsStr {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn accepts_what_the_kernel_accepts() {
        for good in ["virbr0", "a", "...", "exactly15bytes.", "br-\u{e9}", "-", "x\u{1}"] {
            assert!(Bridge::new(good.into()).is_ok(), "{good:?}");
        }
        for bad in
            ["", ".", "..", "../x", "a/b", "/", "a:b", "a b", "a\n", "a\u{b}", "sixteen_bytes_xx"]
        {
            assert!(matches!(Bridge::new(bad.into()), Err(Error::BadBridge(_))), "{bad:?}");
        }
        assert!(Bridge::new(OsString::from_vec(vec![b'a', 0xa0])).is_err());
        assert!(Bridge::new(OsString::from_vec(vec![b'a', 0xff])).is_ok());
    }
}
