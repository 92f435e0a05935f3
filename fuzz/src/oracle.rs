//! The expected meaning of JSON, by `serde_json`, and of addresses, by the C library.

use std::ffi::{CString, c_char, c_int, c_void};
use std::fmt;

use guest_names::address::{Address, Mac};
use guest_names::text::TEXT_MAX;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// How deep arrays and objects may nest in an object; see `guest_names::json`.
const DEPTH_LIMIT: usize = 8;

/// A member of an object, or an element of a member's array: the key, and what [`Value`](guest_names::json::Value) has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Event {
    String(Vec<u8>, Vec<u8>),
    Integer(Vec<u8>, i64),
    Array(Vec<u8>),
    Element(Vec<u8>, Vec<u8>),
    Other(Vec<u8>),
}

impl Event {
    /// The member's key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        match self {
            Self::String(key, _)
            | Self::Integer(key, _)
            | Self::Array(key)
            | Self::Element(key, _)
            | Self::Other(key) => key,
        }
    }
}

/// A value.
#[derive(Clone, Debug)]
enum Tree {
    String(String),
    /// As text.
    Number(String),
    Literal,
    Array(Vec<Tree>),
    Object(Object),
}

/// An object.
#[derive(Clone, Debug, Default)]
pub struct Object {
    members: Vec<(String, Tree)>,
}

/// Members in order; a key that occurs twice is in it twice.
struct RawMembers<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for RawMembers<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = RawMembers<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(RawMembers(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// How deep a text may nest here, to keep the oracle's own stack small.
const TREE_LIMIT: usize = 64;

fn tree(text: &str, depth: usize) -> Option<Tree> {
    if depth > TREE_LIMIT {
        return None;
    }
    Some(match text.bytes().next()? {
        b'"' => Tree::String(serde_json::from_str(text).ok()?),
        b'{' => Tree::Object(object(text, depth)?),
        b'[' => {
            let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            let elements = elements.iter().map(|raw| tree(raw.get(), depth + 1));
            Tree::Array(elements.collect::<Option<_>>()?)
        }
        b'-' | b'0'..=b'9' => Tree::Number(text.to_owned()),
        _ => Tree::Literal,
    })
}

fn object(text: &str, depth: usize) -> Option<Object> {
    let RawMembers(raw) = serde_json::from_str(text).ok()?;
    let members = raw.into_iter().map(|(key, raw)| Some((key, tree(raw.get(), depth + 1)?)));
    Some(Object { members: members.collect::<Option<_>>()? })
}

/// The object at the start of `text`, and its length in bytes. `None` if there is none, or one that nests too deep to
/// be read.
#[must_use]
pub fn first_object(text: &str) -> Option<(Object, usize)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let raw = values.next()?.ok()?.get();
    let object = object(raw, 0)?;
    object.is_readable().then_some((object, raw.len()))
}

/// All objects of a file that is valid JSON as a whole, each before the objects in it. `None` for any other file.
#[must_use]
pub fn all_objects(text: &str) -> Option<Vec<Object>> {
    let mut objects = Vec::new();
    for raw in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        tree(raw.ok()?.get(), 0)?.gather(&mut objects);
    }
    Some(objects)
}

impl Tree {
    /// How deep arrays and objects nest, including this one.
    fn levels(&self) -> usize {
        match self {
            Self::Array(elements) => 1 + elements.iter().map(Self::levels).max().unwrap_or(0),
            Self::Object(object) => 1 + object.levels(),
            _ => 0,
        }
    }

    fn holds_object(&self) -> bool {
        match self {
            Self::Object(_) => true,
            Self::Array(elements) => elements.iter().any(Self::holds_object),
            _ => false,
        }
    }

    fn gather(&self, objects: &mut Vec<Object>) {
        match self {
            Self::Object(object) => {
                if object.is_readable() {
                    objects.push(object.clone());
                }
                object.members.iter().for_each(|(_, value)| value.gather(objects));
            }
            Self::Array(elements) => elements.iter().for_each(|value| value.gather(objects)),
            _ => {}
        }
    }
}

impl Object {
    fn levels(&self) -> usize {
        self.members.iter().map(|(_, value)| value.levels()).max().unwrap_or(0)
    }

    fn is_readable(&self) -> bool {
        self.levels() <= DEPTH_LIMIT
    }

    /// Whether it contains objects.
    #[must_use]
    pub fn is_nested(&self) -> bool {
        self.members.iter().any(|(_, value)| value.holds_object())
    }

    /// Its members, as the reader reports them.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for (key, value) in &self.members {
            let key = short(key);
            match value {
                Tree::String(text) => events.push(Event::String(key, short(text))),
                Tree::Number(text) => events.push(match integer(text) {
                    Some(value) => Event::Integer(key, value),
                    None => Event::Other(key),
                }),
                Tree::Array(elements) => {
                    events.push(Event::Array(key.clone()));
                    events.extend(elements.iter().map(|element| match element {
                        Tree::String(text) => Event::Element(key.clone(), short(text)),
                        _ => Event::Other(key.clone()),
                    }));
                }
                Tree::Literal | Tree::Object(_) => events.push(Event::Other(key)),
            }
        }
        events
    }
}

/// The reader reports a text that is too long as an empty one.
fn short(text: &str) -> Vec<u8> {
    if text.len() <= TEXT_MAX { text.as_bytes().to_vec() } else { Vec::new() }
}

fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Parsing digits can only fail because there are too many.
    let value = digits.parse().unwrap_or(i64::MAX);
    Some(if text.starts_with('-') { -value } else { value })
}

unsafe extern "C" {
    fn inet_pton(family: c_int, text: *const c_char, octets: *mut c_void) -> c_int;
}

/// The expected value of an `ip-address`: see [`Address::parse`].
#[must_use]
pub fn address(text: &[u8]) -> Option<Address> {
    let c_text = CString::new(text).ok()?;
    let mut octets = [0; 16];
    let place = octets.as_mut_ptr().cast();
    // SAFETY: a C string, and room for the octets of either family.
    if unsafe { inet_pton(libc::AF_INET, c_text.as_ptr(), place) } == 1 {
        return octets.first_chunk().copied().map(Address::V4);
    }
    // SAFETY: the same.
    let is_v6 = unsafe { inet_pton(libc::AF_INET6, c_text.as_ptr(), place) } == 1;
    let dotted_elsewhere = text.contains(&b'.') && octets[..10] != [0; 10];
    (is_v6 && !dotted_elsewhere).then_some(Address::V6(octets))
}

/// The expected value of a `mac-address`: see [`Mac::parse`].
#[must_use]
pub fn mac(text: &[u8]) -> Option<Mac> {
    let text = std::str::from_utf8(text).ok()?;
    let two_digits = |part: &str| {
        let are_digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        if are_digits { u8::from_str_radix(part, 16).ok() } else { None }
    };
    let text = match text.split_once('-') {
        Some((kind, rest)) => two_digits(kind).map(|_| rest)?,
        None => text,
    };
    let octets: Vec<u8> = text.split(':').map(two_digits).collect::<Option<_>>()?;
    octets.try_into().ok().map(Mac)
}
