//! Enough of ELF (System V ABI, chapters 4 and 5) to tell what a library is for and whether it is whole.

use std::fmt;

/// What a library is made for: class, byte order and machine, as they stand in its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Machine {
    class: u8,
    order: u8,
    machine: u16,
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = if self.class == 1 { 32 } else { 64 };
        // The numbers of e_machine that Debian and Fedora have ports for.
        match self.machine {
            3 => f.write_str("i386"),
            8 => write!(f, "MIPS, {bits} bits"),
            20 | 21 => write!(f, "PowerPC, {bits} bits"),
            22 => write!(f, "S/390, {bits} bits"),
            40 => f.write_str("ARM"),
            62 if self.class == 1 => f.write_str("x32"),
            62 => f.write_str("x86-64"),
            183 => f.write_str("ARM, 64 bits"),
            243 => write!(f, "RISC-V, {bits} bits"),
            258 => f.write_str("LoongArch"),
            other => write!(f, "machine {other}, {bits} bits"),
        }
    }
}

/// Why it is no library that can be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// It doesn't begin as one.
    NotElf,
    /// It is a program or an object file.
    NotShared,
    /// A piece that is to be loaded lies behind the file's end.
    Short,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotElf => "it is no ELF file",
            Self::NotShared => "it is no shared library",
            Self::Short => "its end is missing",
        })
    }
}

/// What the file is for.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn machine(bytes: &[u8]) -> Result<Machine, Broken> {
    let reader = Reader::new(bytes).ok_or(Broken::NotElf)?;
    let read = |at| reader.number(at, 2).ok_or(Broken::Short);
    // e_type: ET_DYN is 3.
    if read(16)? != 3 {
        return Err(Broken::NotShared);
    }
    let machine = Machine { class: bytes[4], order: bytes[5], machine: read(18)? as u16 };
    let loadable = reader.loadable_end().ok_or(Broken::Short)?;
    if loadable > bytes.len() as u64 { Err(Broken::Short) } else { Ok(machine) }
}

struct Reader<'b> {
    bytes: &'b [u8],
    wide: bool,
    little: bool,
}

impl<'b> Reader<'b> {
    fn new(bytes: &'b [u8]) -> Option<Self> {
        let wide = match bytes.get(4)? {
            1 => false,
            2 => true,
            _ => return None,
        };
        let little = match bytes.get(5)? {
            1 => true,
            2 => false,
            _ => return None,
        };
        bytes.starts_with(b"\x7fELF").then_some(Self { bytes, wide, little })
    }

    fn number(&self, at: u64, length: usize) -> Option<u64> {
        let at = usize::try_from(at).ok()?;
        let field = self.bytes.get(at..at.checked_add(length)?)?;
        let shift = |number: u64, &byte: &u8| number << 8 | u64::from(byte);
        Some(if self.little {
            field.iter().rev().fold(0, shift)
        } else {
            field.iter().fold(0, shift)
        })
    }

    /// A field whose place and length depend on the class.
    fn by_class(&self, base: u64, narrow: u64, wide: u64) -> Option<u64> {
        if self.wide { self.number(base + wide, 8) } else { self.number(base + narrow, 4) }
    }

    /// Where the last piece that is to be loaded ends in the file.
    fn loadable_end(&self) -> Option<u64> {
        let table = self.by_class(0, 28, 32)?;
        let (size_at, count_at) = if self.wide { (54, 56) } else { (42, 44) };
        let (size, count) = (self.number(size_at, 2)?, self.number(count_at, 2)?);
        let mut end = 0;
        for at in 0..count {
            let header = table.checked_add(at * size)?;
            // p_type: PT_LOAD is 1.
            if self.number(header, 4)? == 1 {
                let offset = self.by_class(header, 4, 8)?;
                let length = self.by_class(header, 16, 32)?;
                end = end.max(offset.checked_add(length)?);
            }
        }
        Some(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This machine's C library, whole and cut at every kind of place.
    #[test]
    fn a_real_library() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let path = maps.split_whitespace().find(|word| word.ends_with("libc.so.6")).unwrap();
        let bytes = std::fs::read(path).unwrap();
        let own = std::fs::read("/proc/self/exe").unwrap();
        assert_eq!(machine(&bytes), machine(&own));
        assert_eq!(machine(&bytes[..bytes.len() / 2]), Err(Broken::Short));
        assert_eq!(machine(&bytes[..64]), Err(Broken::Short));
        assert_eq!(machine(&bytes[..17]), Err(Broken::Short));
        assert_eq!(machine(&bytes[..5]), Err(Broken::NotElf));
        assert_eq!(machine(b""), Err(Broken::NotElf));
        assert_eq!(machine(b"INPUT(libc.so.6)"), Err(Broken::NotElf));
        let mut object = bytes.clone();
        object[16] = 1;
        object[17] = 1;
        assert_eq!(machine(&object), Err(Broken::NotShared));
    }
}
