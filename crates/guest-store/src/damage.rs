//! Invalid parts of state files.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use guest_names::io::READ_LIMIT;
use guest_names::records::lease::BadRecord;

/// An invalid part of a state file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// An object that starts at the first byte, and is invalid JSON at the second.
    NotJson(u32, u32),
    /// A lease record at this byte.
    BadLease(u32, BadRecord),
    /// A record of a MAC map at this byte.
    BadMap(u32),
    /// Something other than white space at this byte, outside of any list.
    NotList(u32),
    /// The list's end is missing.
    NoEnd,
    /// Reading stops at [`READ_LIMIT`].
    TooLarge,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson(start, end) => {
                write!(f, "the record at byte {start} is invalid JSON at byte {end}")
            }
            Self::BadLease(start, BadRecord::NoAddress) => {
                write!(f, "the lease at byte {start} has no valid address")
            }
            Self::BadLease(start, BadRecord::Mistyped) => {
                write!(f, "the lease at byte {start} has a value of the wrong type")
            }
            Self::BadMap(start) => {
                write!(f, "the record at byte {start} has no domain name, or no list of NICs")
            }
            Self::NotList(at) => write!(f, "it is not a JSON list at byte {at}"),
            Self::NoEnd => f.write_str("its end is missing"),
            Self::TooLarge => {
                write!(f, "it is larger than {} MiB; the rest is not read", READ_LIMIT >> 20)
            }
        }
    }
}

impl Damage {
    /// The damage of a file with this many bytes, if any.
    pub(crate) fn of_size(size: u64) -> Option<Self> {
        (size > u64::from(READ_LIMIT)).then_some(Self::TooLarge)
    }

    /// What is wrong with a file outside its objects: it must be one list, or empty. Look-ups don't care, but libvirt and its
    /// helper treat any other file as empty.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn around_records(path: &Path) -> io::Result<Option<Self>> {
        let bytes = fs::read(path)?;
        let bytes = bytes.get(..READ_LIMIT as usize).unwrap_or(&bytes);
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        Ok(match serde_json::from_slice::<Vec<serde::de::IgnoredAny>>(bytes) {
            Ok(_) => None,
            Err(error) if error.is_eof() => Some(Self::NoEnd),
            Err(error) => {
                let lines = bytes.split_inclusive(|&byte| byte == b'\n');
                let before: usize =
                    lines.take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
                let at = before + error.column().saturating_sub(1);
                Some(Self::NotList(u32::try_from(at).unwrap_or(READ_LIMIT)))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contents::Contents;
    use testkit::scratch::Scratch;

    fn damage(name: &str, text: &str) -> Vec<Damage> {
        let scratch = Scratch::new();
        fs::write(scratch.join(name), text).unwrap();
        let contents = Contents::read(&scratch.join("")).unwrap();
        let mut damage: Vec<Damage> =
            contents.files.into_iter().flat_map(|file| file.damage).collect();
        if damage.is_empty() && !name.ends_with(".conf") {
            damage.extend(Damage::around_records(&scratch.join(name)).unwrap());
        }
        damage
    }

    #[test]
    fn undamaged_files() {
        for text in ["", "\n", "[]", "[\n\n]\n", r#"[{"ip-address": "10.0.0.1"}]"#] {
            assert_eq!(damage("virbr0.status", text), [], "{text:?}");
        }
        assert_eq!(damage("virbr0.macs", r#"[{"domain": "a", "macs": []}]"#), []);
        assert_eq!(damage("default.conf", "{"), []);
    }

    #[test]
    fn each_kind_of_damage() {
        let status = |text| damage("virbr0.status", text);
        // At a byte of the number.
        assert!(matches!(status("[{\"a\": 01}]")[..], [Damage::NotJson(1, 8 | 9)]));
        assert_eq!(status("[{}]"), [Damage::BadLease(1, BadRecord::NoAddress)]);
        assert_eq!(
            status(r#"[{"ip-address": "10.0.0.1", "hostname": 1}]"#),
            [Damage::BadLease(1, BadRecord::Mistyped)]
        );
        assert_eq!(status("[\n"), [Damage::NoEnd]);
        assert_eq!(status("[]\nx"), [Damage::NotList(3)]);
        assert_eq!(status(r#"{"ip-address": "10.0.0.1"}"#), [Damage::NotList(0)]);
        assert_eq!(damage("virbr0.macs", "[{}]"), [Damage::BadMap(1)]);
        assert_eq!(Damage::of_size(32 << 20), None);
        assert_eq!(Damage::of_size((32 << 20) + 1), Some(Damage::TooLarge));
    }
}
