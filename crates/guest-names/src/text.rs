//! Short byte strings on the stack.

/// The longest text: what the name of a file can hold (`NAME_MAX`), and more than a host name can.
pub const TEXT_MAX: usize = 255;

/// Copies as much of `from` to the start of `to` as fits. (The compiler can't always prove that `copy_from_slice` doesn't
/// panic.)
#[inline(never)] // in all, 600 bytes less code
pub(crate) fn copy(to: &mut [u8], from: &[u8]) {
    to.iter_mut().zip(from).for_each(|(to, &from)| *to = from);
}

/// Up to [`TEXT_MAX`] bytes. A longer text becomes empty, as it can't be a name.
pub struct Text {
    bytes: [u8; TEXT_MAX + 1],
    len: u8,
    overflowed: bool,
}

impl Text {
    /// An empty text.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: [0; TEXT_MAX + 1], len: 0, overflowed: false }
    }

    /// Replaces the text.
    #[inline(never)] // in all, 600 bytes less code
    pub fn set(&mut self, bytes: &[u8]) {
        self.clear();
        self.extend(bytes);
    }

    /// Appends one byte.
    pub fn push(&mut self, byte: u8) {
        self.extend(&[byte]);
    }

    /// Appends `bytes`.
    #[inline(never)] // in all, 600 bytes less code
    pub fn extend(&mut self, bytes: &[u8]) {
        let len = usize::from(self.len);
        let end = len + bytes.len();
        match self.bytes.get_mut(len..end) {
            Some(room) if end <= TEXT_MAX && !self.overflowed => {
                copy(room, bytes);
                self.len = end as u8;
            }
            _ => {
                self.len = 0;
                self.overflowed = true;
            }
        }
    }

    /// Empties the text.
    #[inline]
    pub fn clear(&mut self) {
        self.len = 0;
        self.overflowed = false;
    }

    /// The bytes; none if the text was too long.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// The bytes, followed by at least one NUL.
    #[must_use]
    pub fn with_nul(&mut self) -> &[u8] {
        if let Some(end) = self.bytes.get_mut(usize::from(self.len)) {
            *end = 0;
        }
        &self.bytes
    }

    /// Whether it holds nothing.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Clone for Text {
    #[inline(never)] // in all, 600 bytes less code
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::new()
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        let mut text = Self::new();
        text.extend(bytes);
        text
    }
}

impl core::fmt::Debug for Text {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_too_long_becomes_empty() {
        let mut text = Text::from([b'a'; 255].as_slice());
        assert_eq!(text.as_bytes(), [b'a'; 255]);
        text.push(b'b');
        assert_eq!(text.as_bytes(), b"");
        text.push(b'c');
        assert_eq!(text.as_bytes(), b"");
        text.clear();
        text.push(b'x');
        assert_eq!(text.as_bytes(), b"x");
        assert!(Text::from([b'a'; 256].as_slice()).is_empty());
    }
}
