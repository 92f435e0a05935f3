//! The JSON of the state files (RFC 8259), object by object.
//!
//! A file is a series of objects, not one value: a malformed object is skipped, and reading continues where it became
//! invalid. This is exact because a JSON string can't contain a control character: a raw newline is always outside strings,
//! whatever came before it.
//!
//! Every object counts on its own, at any depth.

use crate::address::hex;
use crate::io::StateFile;
use crate::text::Text;
use crate::window::Window;

/// How deep arrays and objects may nest in an object.
const DEPTH_LIMIT: u32 = 8;

/// The value of an object's member. A string of more than [`TEXT_MAX`] bytes can't be a name, an address or a MAC of a
/// guest, and becomes empty.
///
/// [`TEXT_MAX`]: crate::text::TEXT_MAX
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'v> {
    /// A string.
    String(&'v [u8]),
    /// A number without fraction and exponent, saturated to 64 bits.
    Integer(i64),
    /// The start of an array. Its elements come next, under the same key.
    Array,
    /// A string in the array.
    Element(&'v [u8]),
    /// Anything else, also in the array.
    Other,
}

/// The result of parsing one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// It is whole. The window is after its `}`.
    Whole {
        /// It contains objects, which may count on their own.
        nested: bool,
    },
    /// It is invalid where the window is.
    Malformed,
}

/// Something that is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// [`Object::open`] at a member of the object itself.
const MEMBERS: u32 = 0b1;

/// [`Object::open`] at a value in the array of a member.
const ELEMENTS: u32 = 0b10;

/// Reads one object, member by member.
pub struct Object<'t> {
    /// The keys of interest, separated by commas. A table of texts would contain pointers, which the dynamic linker would
    /// have to relocate in every process.
    keys: &'static [u8],
    /// The index of the member's key among them.
    key: Option<usize>,
    /// The arrays and objects that the next value is in, as bits, the innermost lowest: 1 is an object. 0 before the
    /// object's `{` and after its `}`.
    open: u32,
    /// The last value was an array or an object, and its first value comes next.
    begins: bool,
    /// How many objects have begun, including this one.
    objects: u32,
    /// The string that was read last.
    text: &'t mut Text,
}

impl<'t> Object<'t> {
    /// Before the `{`. `keys` are those of the members to return, separated by commas. `text` is memory for one string at a
    /// time.
    #[must_use]
    pub fn new(keys: &'static [u8], text: &'t mut Text) -> Self {
        Self { keys, key: None, open: 0, begins: false, objects: 0, text }
    }

    /// After a value in the array of the member with the `key`-th of the keys: the next one comes next.
    #[must_use]
    pub(crate) fn in_array(keys: &'static [u8], key: usize, text: &'t mut Text) -> Self {
        Self { key: Some(key), open: ELEMENTS, objects: 1, ..Self::new(keys, text) }
    }

    /// The next member with one of the keys: the index of the key, and the value. `None` after the object's end. Before the
    /// first call, the window's next byte is the object's `{`.
    ///
    /// If a key occurs twice, both are returned; the last one counts, as in libvirt's own reader.
    ///
    /// # Errors
    /// The object is invalid where the window is.
    pub fn next<F: StateFile>(
        &mut self,
        window: &mut Window<'_, F>,
    ) -> Result<Option<(usize, Value<'_>)>, Malformed> {
        let (key, value) = loop {
            if self.objects > 0 && !self.step(window)? {
                return Ok(None);
            }
            if self.open & 1 == 1 {
                self.read_key(window)?;
            }
            let open = self.open;
            let value = self.read_value(window)?;
            let value = match (open, value) {
                (MEMBERS, value) => value,
                (ELEMENTS, Token::String) => Token::Element,
                (ELEMENTS, _) => Token::Other,
                _ => continue,
            };
            if let Some(key) = self.key {
                break (key, value);
            }
        };
        let text = self.text.as_bytes();
        let value = match value {
            Token::String => Value::String(text),
            Token::Element => Value::Element(text),
            Token::Integer(value) => Value::Integer(value),
            Token::Array => Value::Array,
            Token::Other => Value::Other,
        };
        Ok(Some((key, value)))
    }

    /// The result, after [`Object::next`] has returned `None`.
    #[must_use]
    pub fn parsed(&self) -> Parsed {
        Parsed::Whole { nested: self.objects > 1 }
    }

    /// Moves to the next value, past the ends of arrays and objects. `false` at the end of the object itself.
    fn step<F: StateFile>(&mut self, window: &mut Window<'_, F>) -> Result<bool, Malformed> {
        let mut reader = Reader(window);
        let begins = core::mem::replace(&mut self.begins, false);
        if begins && reader.blank()? != closing(self.open) {
            return Ok(true);
        }
        while reader.comma_or(closing(self.open))? {
            self.open >>= 1;
            if self.open == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn read_key<F: StateFile>(&mut self, window: &mut Window<'_, F>) -> Result<(), Malformed> {
        let mut reader = Reader(window);
        if reader.blank()? != b'"' {
            return Err(Malformed);
        }
        reader.string(self.text)?;
        if self.open == MEMBERS {
            let key = self.text.as_bytes();
            self.key = self.keys.split(|&byte| byte == b',').position(|known| known == key);
        }
        if reader.blank()? != b':' {
            return Err(Malformed);
        }
        reader.0.advance(1);
        Ok(())
    }

    fn read_value<F: StateFile>(&mut self, window: &mut Window<'_, F>) -> Result<Token, Malformed> {
        let mut reader = Reader(window);
        Ok(match reader.blank()? {
            b'"' => {
                reader.string(self.text)?;
                Token::String
            }
            b'-' | b'0'..=b'9' => reader.number()?,
            bracket @ (b'[' | b'{') => {
                if self.open >> DEPTH_LIMIT != 0 {
                    return Err(Malformed);
                }
                reader.0.advance(1);
                self.open = self.open << 1 | u32::from(bracket == b'{');
                self.objects += self.open & 1;
                self.begins = true;
                if bracket == b'[' { Token::Array } else { Token::Other }
            }
            first => {
                reader.literal(first)?;
                Token::Other
            }
        })
    }
}

/// A [`Value`] without its text.
#[derive(Clone, Copy)]
enum Token {
    String,
    Element,
    Integer(i64),
    Array,
    Other,
}

/// Moves the window to the next `{` that is outside strings. The window must be outside strings itself.
pub fn next_object<F: StateFile>(window: &mut Window<'_, F>) -> bool {
    let mut skipped = Text::new();
    while let Some(byte) = window.peek() {
        match byte {
            b'{' => return true,
            // After a malformed string the window is where it became invalid, which is outside strings.
            b'"' => drop(Reader(window).string(&mut skipped)),
            _ => window.advance(1),
        }
    }
    false
}

struct Reader<'r, 'b, F>(&'r mut Window<'b, F>);

impl<F: StateFile> Reader<'_, '_, F> {
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

    /// Skips the next byte if it is this one.
    fn passes(&mut self, byte: u8) -> bool {
        let passes = self.0.peek() == Some(byte);
        self.0.advance(usize::from(passes));
        passes
    }

    /// Skips white space and gives the byte after it, which stays the next one.
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

    /// Decodes the string whose `"` is the next byte. If it is malformed, the window is at the byte that it can't contain.
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

    fn number(&mut self) -> Result<Token, Malformed> {
        let negative = self.passes(b'-');
        // No other digit follows a leading zero.
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
            (true, _) => Token::Other,
            (false, true) => Token::Integer(-value),
            (false, false) => Token::Integer(value),
        })
    }

    /// The value of one digit or more.
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

/// The bracket that ends the innermost array or object of [`Object::open`].
fn closing(open: u32) -> u8 {
    if open & 1 == 1 { b'}' } else { b']' }
}
