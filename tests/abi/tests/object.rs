//! The shared objects: what they need, what they export, and what stays writable.

use std::collections::BTreeSet;
use std::ops::Range;

use abi::module::ENTRY_POINTS;
use abi::{Kind, Modules};
use object::elf::{self, DynamicTag};
use object::read::elf::{ElfFile, ProgramHeader};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

#[cfg(target_pointer_width = "64")]
type Header = elf::FileHeader64<object::Endianness>;
#[cfg(target_pointer_width = "32")]
type Header = elf::FileHeader32<object::Endianness>;

/// The functions of libc that the modules may call. None of them allocates, takes a lock or keeps state.
const CALLS: [&str; 25] = [
    "__errno_location",
    "bcmp",
    "clock_gettime",
    "close",
    "fstat",
    "fstat64",
    "getauxval",
    "if_nametoindex",
    "memchr",
    "memcmp",
    "memcpy",
    "memmove",
    "memset",
    "mmap",
    "munmap",
    "openat",
    "openat64",
    "pread",
    "pread64",
    "pthread_setcancelstate",
    "secure_getenv",
    "stat",
    "stat64",
    "strnlen",
    "syscall",
];

/// Symbols that every shared object refers to, if only weakly: those of the compiler's start files.
const START_FILES: [&str; 4] = [
    "__cxa_finalize",
    "__gmon_start__",
    "_ITM_deregisterTMCloneTable",
    "_ITM_registerTMCloneTable",
];

fn each(check: impl Fn(Kind, &[u8], &ElfFile<'_, Header>)) {
    for modules in [Some(Modules::ours()), Modules::ours_for_v3()].into_iter().flatten() {
        println!("in {}", modules.directory().display());
        for kind in Kind::BOTH {
            let path = modules.path(kind);
            let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let file = ElfFile::parse(&*bytes).expect("an ELF object of this machine's kind");
            check(kind, &bytes, &file);
        }
    }
}

/// The values of the dynamic section's entries with this tag.
fn values(file: &ElfFile<'_, Header>, tag: DynamicTag) -> Vec<u64> {
    let table = file.elf_dynamic_table().expect("a dynamic section");
    table.iter().filter(|entry| entry.tag == tag).map(|entry| entry.val).collect()
}

/// The strings of the dynamic section's entries with this tag.
fn strings(file: &ElfFile<'_, Header>, tag: DynamicTag) -> Vec<String> {
    let table = file.elf_dynamic_table().expect("a dynamic section");
    table
        .iter()
        .filter(|entry| entry.tag == tag)
        .map(|entry| table.string(entry).expect("a string in the string table"))
        .map(|text| String::from_utf8(text.to_vec()).expect("names are ASCII"))
        .collect()
}

/// The largest size of an object, in KiB. Instructions on some architectures are longer than on others, and not every
/// architecture has the layout of module.ld (see crates/nss-libvirt/build.rs). A page of powerpc64 has 64 KiB, and the code
/// takes more than one.
const LARGEST: usize = if cfg!(any(target_arch = "s390x", target_arch = "arm", target_arch = "x86"))
{
    66
} else if cfg!(target_arch = "powerpc64") {
    136
} else {
    56
};

#[test]
fn size_is_limited() {
    each(|kind, bytes, _| {
        println!("{}: {} bytes", kind.file(), bytes.len());
        assert!(bytes.len() <= LARGEST << 10, "{}: {} bytes", kind.file(), bytes.len());
    });
}

/// Otherwise the dynamic linker would crash: it writes each relocation before the segment becomes read-only.
#[test]
fn relocations_are_in_the_writable_segment() {
    each(|kind, _, file| {
        let endian = file.endian();
        let writable: Vec<_> = file
            .elf_program_headers()
            .iter()
            .filter(|segment| segment.p_type(endian) == elf::PT_LOAD)
            .filter(|segment| segment.p_flags(endian).contains(elf::PF_W))
            .map(|segment| addresses(segment, endian))
            .collect();
        let mut count = 0;
        for (address, _) in file.dynamic_relocations().expect("a table of symbols") {
            assert!(
                writable.iter().any(|segment| segment.contains(&address)),
                "{}: a relocation at {address:#x}, writable is {writable:x?}",
                kind.file()
            );
            count += 1;
        }
        println!("{}: {count} relocations", kind.file());
        assert!(count > 0, "{}: the functions of libc need relocations", kind.file());
    });
}

/// GNU ld counts the relocations of the PLT in DT_RELASZ on riscv64. glibc leaves them out of that range if they are at
/// its end (`_ELF_DYNAMIC_DO_RELOC` in its `elf/dynamic-link.h`); anywhere else it would apply them twice.
#[test]
fn tables_of_relocations_are_as_large_as_their_sections() {
    each(|kind, _, file| {
        let range = |names: [&str; 2]| {
            let section = names.iter().find_map(|name| file.section_by_name(name));
            section.map_or(0..0, |section| section.address()..section.address() + section.size())
        };
        let said =
            |tags: &[DynamicTag]| -> u64 { tags.iter().flat_map(|tag| values(file, *tag)).sum() };
        let general = range([".rela.dyn", ".rel.dyn"]);
        let plt = range([".rela.plt", ".rel.plt"]);
        let size = |range: &Range<u64>| range.end - range.start;
        let mut sizes = vec![size(&general)];
        if cfg!(target_arch = "riscv64") && general.end == plt.start {
            sizes.push(size(&general) + size(&plt));
        }
        let found = said(&[elf::DT_RELASZ, elf::DT_RELSZ]);
        assert!(sizes.contains(&found), "{}: {found}, not one of {sizes:?}", kind.file());
        assert_eq!(said(&[elf::DT_PLTRELSZ]), size(&plt), "{}", kind.file());
    });
}

#[test]
fn only_libc_is_needed() {
    each(|kind, _, file| {
        assert_eq!(strings(file, elf::DT_NEEDED), ["libc.so.6"], "{}", kind.file());
        assert_eq!(strings(file, elf::DT_RPATH), [] as [&str; 0]);
        assert_eq!(strings(file, elf::DT_RUNPATH), [] as [&str; 0]);
    });
}

#[test]
fn soname_is_the_file_name() {
    each(|kind, _, file| assert_eq!(strings(file, elf::DT_SONAME), [kind.file()]));
}

#[test]
fn only_entry_points_are_exported() {
    each(|kind, _, file| {
        let exported: BTreeSet<String> = file
            .dynamic_symbols()
            .filter(|symbol| !symbol.is_undefined())
            .map(|symbol| symbol.name().expect("a name").to_owned())
            // A section's symbol has no name.
            .filter(|name| !name.is_empty())
            .collect();
        let service = kind.service();
        let wanted: BTreeSet<String> =
            ENTRY_POINTS.iter().map(|what| format!("_nss_{service}_{what}")).collect();
        assert_eq!(exported, wanted);
    });
}

/// No malloc, no getenv, no stdio: the functions are listed, so that a new one gets reviewed.
#[test]
fn calls_are_harmless() {
    each(|kind, _, file| {
        let called: BTreeSet<&str> = file
            .dynamic_symbols()
            .filter(|symbol| symbol.is_undefined())
            .map(|symbol| symbol.name().expect("a name"))
            .filter(|name| !name.is_empty() && !START_FILES.contains(name))
            .collect();
        let unknown: Vec<&&str> = called.iter().filter(|name| !CALLS.contains(name)).collect();
        assert!(unknown.is_empty(), "{} calls {unknown:?}", kind.file());
    });
}

/// A word of 32 or 64 bits, depending on the object.
fn size_in_memory<P: ProgramHeader>(segment: &P, endian: P::Endian) -> u64 {
    segment.p_memsz(endian).into()
}

/// The offset of the segment in memory from the object's first byte.
fn addresses<P: ProgramHeader>(segment: &P, endian: P::Endian) -> Range<u64> {
    let start = segment.p_vaddr(endian).into();
    start..start + size_in_memory(segment, endian)
}

/// Each segment costs a call of mmap(2) and pages of its own when the module is loaded.
#[test]
fn two_segments_are_mapped() {
    each(|kind, _, file| {
        let endian = file.endian();
        let segments = file.elf_program_headers().iter();
        let mapped = segments.filter(|segment| segment.p_type(endian) == elf::PT_LOAD).count();
        assert_eq!(mapped, 2, "{}", kind.file());
    });
}

/// What stays writable after the dynamic linker is done: the enumeration's cursor, which contains a file name
/// (`NAME_MAX`, 255 bytes), and what the compiler's start files add.
#[test]
fn little_more_than_the_cursor_is_writable() {
    each(|kind, _, file| {
        let endian = file.endian();
        let mut writable = 0;
        for segment in file.elf_program_headers() {
            let bytes = size_in_memory(segment, endian);
            let flags = segment.p_flags(endian);
            match segment.p_type(endian) {
                elf::PT_LOAD if flags.contains(elf::PF_W) => {
                    assert!(!flags.contains(elf::PF_X), "{}: writable code", kind.file());
                    writable += bytes;
                }
                // This part becomes read-only after relocation.
                elf::PT_GNU_RELRO => writable -= bytes,
                elf::PT_GNU_STACK => {
                    assert!(!flags.contains(elf::PF_X), "{}: executable stack", kind.file());
                }
                _ => {}
            }
        }
        println!("{}: {writable} bytes writable", kind.file());
        assert!(writable <= 320, "{}: {writable} bytes writable", kind.file());
        assert_eq!(values(file, elf::DT_TEXTREL), [] as [u64; 0], "no text relocations");
        assert_ne!(values(file, elf::DT_FLAGS_1)[0] & 1, 0, "bound at once (DF_1_NOW)");
    });
}
