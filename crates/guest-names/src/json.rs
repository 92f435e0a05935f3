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

/// How deep arrays and objects may nest in an object.
const DEPTH_LIMIT: u32 = 8;

/// What stands under a key of an object. A string longer than [`TEXT_MAX`] bytes is no name, no address
/// and no MAC of a guest; it comes as an empty one.
///
/// [`TEXT_MAX`]: crate::text::TEXT_MAX
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'v> {
    /// A string.
    String(&'v [u8]),
    /// A number without fraction and exponent, saturated to 64 bits.
    Integer(i64),
    /// The start of an array. What is in it comes next, under the same key.
    Array,
    /// A string in the array.
    Element(&'v [u8]),
    /// Anything else, also in the array.
    Other,
}

/// Takes the members of one object, in their order.
///
/// A member that comes twice comes twice here: the last one counts, as in libvirt's own reader.
pub trait Members {
    /// One of them.
    fn member(&mut self, key: &[u8], value: Value<'_>);
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
    match Reader(window).object(members) {
        Ok(nested) => Parsed::Whole { nested },
        Err(Malformed) => Parsed::Malformed,
    }
}

/// Brings the window to the next `{` that is outside of strings; it must stand outside of one.
#[inline(never)]
pub fn next_object<F: StateFile>(window: &mut Window<'_, F>) -> bool {
    let mut passed_over = Text::new();
    while let Some(byte) = window.peek() {
        match byte {
            b'{' => return true,
            // One that doesn't end leaves the window where it broke off, outside again.
            b'"' => drop(Reader(window).string(&mut passed_over)),
            _ => window.advance(1),
        }
    }
    false
}

/// What is open where a member of the object itself comes: see [`Reader::object`].
const MEMBERS: u32 = 0b1;

/// What is open where a value in the array of a member comes.
const ELEMENTS: u32 = 0b10;

struct Reader<'r, 'b, F>(&'r mut Window<'b, F>);

impl<F: StateFile> Reader<'_, '_, F> {
    /// Whether the object has others in it.
    fn object(&mut self, members: &mut dyn Members) -> Result<bool, Malformed> {
        let (mut key, mut text) = (Text::new(), Text::new());
        let mut objects = 0u32;
        // The arrays and objects that the next value is in, as bits, the innermost lowest: 1 is an object.
        let mut open = 0u32;
        loop {
            if open & 1 == 1 {
                if self.blank()? != b'"' {
                    return Err(Malformed);
                }
                self.string(if open == MEMBERS { &mut key } else { &mut text })?;
                if self.blank()? != b':' {
                    return Err(Malformed);
                }
                self.0.advance(1);
            }
            let mut opened = open;
            let value = match self.blank()? {
                b'"' => {
                    self.string(&mut text)?;
                    Value::String(text.as_bytes())
                }
                b'-' | b'0'..=b'9' => self.number()?,
                bracket @ (b'[' | b'{') => {
                    if open >> DEPTH_LIMIT != 0 {
                        return Err(Malformed);
                    }
                    self.0.advance(1);
                    opened = open << 1 | u32::from(bracket == b'{');
                    objects += opened & 1;
                    if bracket == b'[' { Value::Array } else { Value::Other }
                }
                first => {
                    self.literal(first)?;
                    Value::Other
                }
            };
            match (open, value) {
                (MEMBERS, value) => members.member(key.as_bytes(), value),
                (ELEMENTS, Value::String(text)) => {
                    members.member(key.as_bytes(), Value::Element(text));
                }
                (ELEMENTS, _) => members.member(key.as_bytes(), Value::Other),
                _ => {}
            }
            let begins = opened != open;
            open = opened;
            if begins && self.blank()? != closing(open) {
                continue;
            }
            while self.comma_or(closing(open))? {
                open >>= 1;
                if open == 0 {
                    return Ok(objects > 1);
                }
            }
        }
    }

    /// The `,` between values (`false`), or the bracket that ends them (`true`).
    fn comma_or(&mut self, close: u8) -> Result<bool, Malformed> {
        let byte = self.blank()?;
        if byte != b',' && byte != close {
            return Err(Malformed);
        }
        self.0.advance(1);
        Ok(byte == close)
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.passes(byte) { Ok(()) } else { Err(Malformed) }
    }

    /// Passes over the next byte if it is this one.
    #[inline(never)]
    fn passes(&mut self, byte: u8) -> bool {
        let passes = self.0.peek() == Some(byte);
        self.0.advance(usize::from(passes));
        passes
    }

    /// Passes over white space and gives the byte behind it, which stays the next one.
    #[inline(never)]
    fn blank(&mut self) -> Result<u8, Malformed> {
        let is_blank = |&&byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        loop {
            self.0.advance(self.0.ahead().iter().take_while(is_blank).count());
            let byte = self.0.peek().ok_or(Malformed)?;
            if !is_blank(&&byte) {
                return Ok(byte);
            }
        }
    }

    /// `true`, `false` or `null`, by its first letter.
    fn literal(&mut self, first: u8) -> Result<(), Malformed> {
        let word: &[u8] = match first {
            b't' => b"true",
            b'f' => b"false",
            b'n' => b"null",
            _ => return Err(Malformed),
        };
        word.iter().try_for_each(|&byte| self.expect(byte))
    }

    /// The string whose `"` is the next byte, decoded. Where it is malformed the window stands at the byte
    /// that can't be in it.
    #[inline(never)]
    fn string(&mut self, text: &mut Text) -> Result<(), Malformed> {
        self.0.advance(1);
        text.clear();
        loop {
            let ahead = self.0.ahead();
            let special = |&byte: &u8| byte == b'"' || byte == b'\\' || byte < b' ';
            let plain = ahead.iter().position(special).unwrap_or(ahead.len());
            text.extend(ahead.get(..plain).unwrap_or(&[]));
            self.0.advance(plain);
            match self.0.peek() {
                Some(b'"') => {
                    self.0.advance(1);
                    return Ok(());
                }
                Some(b'\\') => {
                    self.0.advance(1);
                    self.escape(text)?;
                }
                Some(byte) if byte >= b' ' => {}
                _ => return Err(Malformed),
            }
        }
    }

    fn escape(&mut self, text: &mut Text) -> Result<(), Malformed> {
        let byte = match self.0.peek().ok_or(Malformed)? {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                self.0.advance(1);
                return self.code_point(text);
            }
            _ => return Err(Malformed),
        };
        self.0.advance(1);
        text.push(byte);
        Ok(())
    }

    /// `\uXXXX`, or the two of a surrogate pair, as UTF-8.
    fn code_point(&mut self, text: &mut Text) -> Result<(), Malformed> {
        let first = self.four_digits()?;
        let code = if first & 0xfc00 == 0xd800 {
            self.expect(b'\\')?;
            self.expect(b'u')?;
            let second = self.four_digits()?;
            if second & 0xfc00 != 0xdc00 {
                return Err(Malformed);
            }
            0x10000 + ((first & 0x3ff) << 10 | (second & 0x3ff))
        } else {
            first
        };
        let char = char::from_u32(code).ok_or(Malformed)?;
        text.extend(char.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    fn four_digits(&mut self) -> Result<u32, Malformed> {
        let mut value = 0;
        for _ in 0..4 {
            let digit = self.0.peek().and_then(hex).ok_or(Malformed)?;
            self.0.advance(1);
            value = value << 4 | u32::from(digit);
        }
        Ok(value)
    }

    fn number(&mut self) -> Result<Value<'static>, Malformed> {
        let negative = self.passes(b'-');
        // Behind a leading zero there is no other digit.
        let value = if self.passes(b'0') { 0 } else { self.digits()? };
        let fraction = self.passes(b'.');
        if fraction {
            self.digits()?;
        }
        let exponent = self.passes(b'e') || self.passes(b'E');
        if exponent {
            let _sign = self.passes(b'+') || self.passes(b'-');
            self.digits()?;
        }
        Ok(match (fraction || exponent, negative) {
            (true, _) => Value::Other,
            (false, true) => Value::Integer(-value),
            (false, false) => Value::Integer(value),
        })
    }

    /// The value of one digit or more.
    #[inline(never)]
    fn digits(&mut self) -> Result<i64, Malformed> {
        let mut value = Err(Malformed);
        while let Some(byte @ b'0'..=b'9') = self.0.peek() {
            self.0.advance(1);
            let before = value.unwrap_or(0i64);
            value = Ok(before.saturating_mul(10).saturating_add(i64::from(byte - b'0')));
        }
        value
    }
}

/// The bracket that ends the innermost of what is [open](Reader::object).
fn closing(open: u32) -> u8 {
    if open & 1 == 1 { b'}' } else { b']' }
}
