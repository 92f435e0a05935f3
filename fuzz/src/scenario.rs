//! A state directory and the look-ups in it, as one text.
//!
//! ```text
//! web                  the name
//! 192.168.122.10       the address
//! 4210                 how it is read: bytes of the small buffer, of a read, places, which call fails
//! =virbr0.status       a file's name; its contents up to the next line that begins with "="
//! ```

use std::net::IpAddr;

use guest_names::address::Address;
use guest_names::text::TEXT_MAX;
use guest_names::window::FRONT;

use testkit::memory::Directory;

/// A file's name and contents.
pub type NamedFile<'a> = (&'a [u8], &'a [u8]);

/// The time, in seconds since the epoch.
pub const NOW: i64 = 1_700_000_000;

/// Longer inputs find nothing new.
const LENGTH_LIMIT: usize = 16 << 10;

/// The parsed text.
#[derive(Debug)]
pub struct Scenario<'a> {
    /// The name that is looked up.
    pub name: &'a [u8],
    /// The address that is looked up.
    pub address: Option<Address>,
    /// The size of the small buffer, in bytes.
    pub buffer: usize,
    /// The most bytes of a short read.
    pub piece: usize,
    /// How many candidates there is room for, if room is short.
    pub places: usize,
    /// The number of the call that fails, if one does.
    pub fault: usize,
    /// The files, in the order in which the directory lists them.
    pub files: Vec<NamedFile<'a>>,
}

impl<'a> Scenario<'a> {
    /// Parses a text. `None` if it doesn't have the three lines.
    #[must_use]
    pub fn read(data: &'a [u8]) -> Option<Self> {
        let data = data.get(..LENGTH_LIMIT).unwrap_or(data);
        let (name, rest) = line(data)?;
        let (address, rest) = line(rest)?;
        let (control, mut rest) = line(rest)?;
        let control = |at: usize| usize::from(control.get(at).copied().unwrap_or(b'0'));
        let mut files: Vec<NamedFile<'_>> = Vec::new();
        while let Some(section) = rest.strip_prefix(b"=") {
            let end = section.windows(2).position(|pair| pair == b"\n=");
            let (section, behind) = match end {
                Some(end) => (&section[..=end], &section[end + 1..]),
                None => (section, [].as_slice()),
            };
            let (file, contents) = line(section).unwrap_or((section, &[]));
            if is_file_name(file) && files.iter().all(|(other, _)| *other != file) {
                files.push((file, contents));
            }
            rest = behind;
        }
        let address = std::str::from_utf8(address).ok().and_then(|text| text.parse().ok());
        let address = address.map(|address| match address {
            IpAddr::V4(address) => Address::V4(address.octets()),
            IpAddr::V6(address) => Address::V6(address.octets()),
        });
        Some(Self {
            name,
            address,
            // It has to hold a needle and its beginning.
            buffer: 2 * FRONT + 8 * control(0),
            // A read that returns less than a needle is taken for the end of the file.
            piece: FRONT + 8 * control(1),
            places: control(2) % 5,
            fault: control(3) % 64,
            files,
        })
    }
}

impl Scenario<'_> {
    /// The state directory.
    #[must_use]
    pub fn directory(&self) -> Directory {
        let mut directory = Directory::default();
        self.files.iter().for_each(|(name, contents)| directory.add(name, contents));
        directory
    }
}

/// The first line, and the rest.
fn line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|&byte| byte == b'\n')?;
    Some((&text[..end], &text[end + 1..]))
}

/// Whether a directory can hold a file of this name.
fn is_file_name(name: &[u8]) -> bool {
    let bad = |byte: &u8| matches!(byte, b'/' | 0);
    !name.is_empty() && name.len() <= TEXT_MAX && !name.iter().any(bad)
}
