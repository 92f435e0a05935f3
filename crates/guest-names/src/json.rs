//! The JSON of the state files (RFC 8259), object by object.
//!
//! A file is taken as a row of objects, not as one value: a malformed object costs itself, and reading
//! goes on behind the place where it went wrong. What keeps this exact is that a control character
//! can't stand in a JSON string: a raw newline is outside of any string, whatever came before it.
//!
//! Every object counts on its own, at any depth.

use crate::address::hex;
use crate::text::Text;
use crate::window::{StateFile, Window};

/// How deep the values of an object may nest.
const DEPTH_LIMIT: u32 = 8;

/// Takes the members of one object, in their order. A string longer than [`TEXT_MAX`] bytes is no name,
/// no address and no MAC of a guest; it comes as an empty one.
///
/// [`TEXT_MAX`]: crate::text::TEXT_MAX
///
/// A member that comes twice comes twice here: the last one counts, as in libvirt's own reader.
pub trait Members {
    /// A string.
    fn string(&mut self, key: &[u8], value: &[u8]);
    /// A number without fraction and exponent, saturated to 64 bits.
    fn integer(&mut self, key: &[u8], value: i64);
    /// The start of an array.
    fn array(&mut self, key: &[u8]);
    /// A string in the array of this key.
    fn element(&mut self, key: &[u8], value: &[u8]);
    /// Any other value, also in the array of this key.
    fn other(&mut self, key: &[u8]);
}

/// How the reading of one object ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// It is whole. The window stands behind its `}`.
    Whole {
        /// It has objects in it, which may count on their own.
        nested: bool,
    },
    /// It isn't JSON from the window's place on.
    Malformed,
}

/// Something that is not JSON.
struct Malformed;

/// Reads the object whose `{` is the window's next byte.
pub fn object<F: StateFile>(window: &mut Window<'_, F>, members: &mut dyn Members) -> Parsed {
    let mut reader = Reader { window, nested: false };
    match reader.object(members) {
        Ok(()) => Parsed::Whole { nested: reader.nested },
        Err(Malformed) => Parsed::Malformed,
    }
}

/// Brings the window to the next `{` that is outside of strings; it must stand outside of one.
pub fn next_object<F: StateFile>(window: &mut Window<'_, F>) -> bool {
    let mut reader = Reader { window, nested: false };
    while let Some(byte) = reader.window.peek() {
        match byte {
            b'{' => return true,
            // One that doesn't end leaves the window where it broke off, outside again.
            b'"' => drop(reader.string(None)),
            _ => reader.window.advance(1),
        }
    }
    false
}

struct Reader<'r, 'b, F> {
    window: &'r mut Window<'b, F>,
    nested: bool,
}

impl<F: StateFile> Reader<'_, '_, F> {
    fn object(&mut self, members: &mut dyn Members) -> Result<(), Malformed> {
        self.expect(b'{')?;
        if self.blank()? == b'}' {
            self.window.advance(1);
            return Ok(());
        }
        let (mut key, mut value) = (Text::new(), Text::new());
        loop {
            key.clear();
            if self.blank()? != b'"' {
                return Err(Malformed);
            }
            self.string(Some(&mut key))?;
            self.blank()?;
            self.expect(b':')?;
            self.member(key.as_bytes(), &mut value, members)?;
            if self.comma_or(b'}')? {
                return Ok(());
            }
        }
    }

    fn member(
        &mut self,
        key: &[u8],
        value: &mut Text,
        members: &mut dyn Members,
    ) -> Result<(), Malformed> {
        match self.blank()? {
            b'"' => {
                value.clear();
                self.string(Some(value))?;
                members.string(key, value.as_bytes());
            }
            b'-' | b'0'..=b'9' => match self.number()? {
                Some(integer) => members.integer(key, integer),
                None => members.other(key),
            },
            b'[' => {
                members.array(key);
                self.array(key, value, members)?;
            }
            _ => {
                self.skip(1)?;
                members.other(key);
            }
        }
        Ok(())
    }

    fn array(
        &mut self,
        key: &[u8],
        value: &mut Text,
        members: &mut dyn Members,
    ) -> Result<(), Malformed> {
        self.expect(b'[')?;
        if self.blank()? == b']' {
            self.window.advance(1);
            return Ok(());
        }
        loop {
            if self.blank()? == b'"' {
                value.clear();
                self.string(Some(value))?;
                members.element(key, value.as_bytes());
            } else {
                self.skip(2)?;
                members.other(key);
            }
            if self.comma_or(b']')? {
                return Ok(());
            }
        }
    }

    /// Passes over any value at nesting `depth`.
    fn skip(&mut self, depth: u32) -> Result<(), Malformed> {
        if depth > DEPTH_LIMIT {
            return Err(Malformed);
        }
        let close = match self.blank()? {
            b'"' => return self.string(None),
            b'-' | b'0'..=b'9' => return self.number().map(drop),
            b't' => return self.literal(b"true"),
            b'f' => return self.literal(b"false"),
            b'n' => return self.literal(b"null"),
            b'[' => b']',
            b'{' => {
                self.nested = true;
                b'}'
            }
            _ => return Err(Malformed),
        };
        self.window.advance(1);
        if self.blank()? == close {
            self.window.advance(1);
            return Ok(());
        }
        loop {
            if close == b'}' {
                if self.blank()? != b'"' {
                    return Err(Malformed);
                }
                self.string(None)?;
                self.blank()?;
                self.expect(b':')?;
            }
            self.skip(depth + 1)?;
            if self.comma_or(close)? {
                return Ok(());
            }
        }
    }

    /// The `,` between values (`false`), or the bracket that ends them (`true`).
    fn comma_or(&mut self, close: u8) -> Result<bool, Malformed> {
        let byte = self.blank()?;
        if byte != b',' && byte != close {
            return Err(Malformed);
        }
        self.window.advance(1);
        Ok(byte == close)
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.passes(&[byte]) { Ok(()) } else { Err(Malformed) }
    }

    /// Passes over white space and gives the byte behind it, which stays the next one.
    #[inline(never)]
    fn blank(&mut self) -> Result<u8, Malformed> {
        loop {
            match self.window.peek() {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.window.advance(1),
                Some(byte) => return Ok(byte),
                None => return Err(Malformed),
            }
        }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Malformed> {
        word.iter().try_for_each(|&byte| self.expect(byte))
    }

    /// The string whose `"` is the next byte, decoded into `sink`. Where it is malformed the window stands at the
    /// byte that can't be in it.
    fn string(&mut self, mut sink: Option<&mut Text>) -> Result<(), Malformed> {
        self.expect(b'"')?;
        loop {
            self.window.peek().ok_or(Malformed)?;
            let ahead = self.window.ahead();
            let special = |&byte: &u8| byte == b'"' || byte == b'\\' || byte < b' ';
            let plain = ahead.iter().position(special).unwrap_or(ahead.len());
            if let Some(sink) = &mut sink {
                sink.extend(ahead.get(..plain).unwrap_or(&[]));
            }
            self.window.advance(plain);
            match self.window.peek() {
                Some(b'"') => {
                    self.window.advance(1);
                    return Ok(());
                }
                Some(b'\\') => {
                    self.window.advance(1);
                    self.escape(sink.as_deref_mut())?;
                }
                Some(byte) if byte >= b' ' => {}
                _ => return Err(Malformed),
            }
        }
    }

    fn escape(&mut self, sink: Option<&mut Text>) -> Result<(), Malformed> {
        let byte = match self.window.peek().ok_or(Malformed)? {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                self.window.advance(1);
                return self.code_point(sink);
            }
            _ => return Err(Malformed),
        };
        self.window.advance(1);
        if let Some(sink) = sink {
            sink.push(byte);
        }
        Ok(())
    }

    /// `\uXXXX`, or the two of a surrogate pair, as UTF-8.
    fn code_point(&mut self, sink: Option<&mut Text>) -> Result<(), Malformed> {
        let first = self.four_digits()?;
        let code = if first & 0xfc00 == 0xd800 {
            self.literal(b"\\u")?;
            let second = self.four_digits()?;
            if second & 0xfc00 != 0xdc00 {
                return Err(Malformed);
            }
            0x10000 + ((first & 0x3ff) << 10 | (second & 0x3ff))
        } else {
            first
        };
        let char = char::from_u32(code).ok_or(Malformed)?;
        if let Some(sink) = sink {
            sink.extend(char.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Ok(())
    }

    fn four_digits(&mut self) -> Result<u32, Malformed> {
        let mut value = 0;
        for _ in 0..4 {
            let digit = self.window.peek().and_then(hex).ok_or(Malformed)?;
            self.window.advance(1);
            value = value << 4 | u32::from(digit);
        }
        Ok(value)
    }

    /// `None` for a number that isn't written as an integer.
    fn number(&mut self) -> Result<Option<i64>, Malformed> {
        let negative = self.passes(b"-");
        let leading_zero = self.window.peek() == Some(b'0');
        let (value, count) = self.digits()?;
        if leading_zero && count > 1 {
            return Err(Malformed);
        }
        let fraction = self.passes(b".");
        if fraction {
            self.digits()?;
        }
        let exponent = self.passes(b"eE");
        if exponent {
            self.passes(b"+-");
            self.digits()?;
        }
        let value = if negative { value.saturating_neg() } else { value };
        Ok((!fraction && !exponent).then_some(value))
    }

    /// Passes over the next byte if it is one of `bytes`.
    #[allow(
        clippy::manual_contains,
        reason = "core's vector search is larger than three bytes need"
    )]
    fn passes(&mut self, bytes: &[u8]) -> bool {
        let passes = self.window.peek().is_some_and(|byte| bytes.iter().any(|&one| one == byte));
        self.window.advance(usize::from(passes));
        passes
    }

    /// One digit or more: their value and how many.
    #[inline(never)]
    fn digits(&mut self) -> Result<(i64, u32), Malformed> {
        let (mut value, mut count) = (0i64, 0u32);
        while let Some(byte @ b'0'..=b'9') = self.window.peek() {
            value = value.saturating_mul(10).saturating_add(i64::from(byte - b'0'));
            self.window.advance(1);
            count = count.saturating_add(1);
        }
        if count == 0 { Err(Malformed) } else { Ok((value, count)) }
    }
}
