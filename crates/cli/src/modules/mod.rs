//! The NSS modules as they are installed: which file a program would load, whether it can, and whose it is.

pub(crate) mod loader;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::paths::Paths;

/// The file that glibc loads for a service (nss/nss_module.c).
pub(crate) fn file_name(service: &str) -> String {
    format!("libnss_{service}.so.2")
}

/// Whose module it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Maker {
    /// This project's.
    Ours,
    /// libvirt's own.
    Libvirt,
}

/// Whose a module is, by its file's bytes: ours alone has an entry point for look-ups by address.
pub(crate) fn maker(bytes: &[u8], service: &str) -> Maker {
    let symbol = format!("_nss_{service}_gethostbyaddr_r\0");
    let ours = bytes.windows(symbol.len()).any(|window| window == symbol.as_bytes());
    if ours { Maker::Ours } else { Maker::Libvirt }
}

/// A file of the module's name in one of the directories where libraries are.
pub(crate) struct Installed {
    pub(crate) path: PathBuf,
    pub(crate) content: io::Result<Vec<u8>>,
}

/// Every file of the module's name in the usual directories, each once.
pub(crate) fn installed(service: &str, paths: &Paths) -> Vec<Installed> {
    let mut seen: Vec<PathBuf> = Vec::new();
    let mut found = Vec::new();
    for directory in library_directories(paths) {
        let path = directory.join(file_name(service));
        let real = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        if seen.contains(&real) || fs::symlink_metadata(&path).is_err() {
            continue;
        }
        seen.push(real);
        found.push(Installed { content: fs::read(&path), path });
    }
    found
}

/// Where libraries lie: of every architecture that distributions have a directory for.
pub(crate) fn library_directories(paths: &Paths) -> Vec<PathBuf> {
    let mut directories = Vec::new();
    for base in ["/usr/lib", "/lib"] {
        let base = paths.below(base);
        // Debian's are called for the architecture: x86_64-linux-gnu.
        let named = |name: &str| name.contains("-linux-");
        let inside = fs::read_dir(&base).into_iter().flatten().flatten();
        let mut inside: Vec<PathBuf> = inside
            .filter(|entry| entry.file_name().to_str().is_some_and(named))
            .map(|entry| entry.path())
            .collect();
        inside.sort();
        directories.extend(inside);
    }
    let others =
        ["/usr/lib64", "/lib64", "/usr/lib", "/lib", "/usr/lib32", "/lib32", "/usr/local/lib"];
    directories.extend(others.map(|directory| paths.below(directory)));
    directories
}

/// What a library is made for: class, byte order and machine as they are in its header (System V ABI, ELF
/// header: e_ident and e_machine).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Architecture([u8; 4]);

impl Architecture {
    /// `None` if it isn't a shared library.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let header = bytes.first_chunk::<20>().filter(|header| header.starts_with(b"\x7fELF"))?;
        Some(Self([header[4], header[5], header[18], header[19]]))
    }

    /// Of the programs whose C library is in a directory: their loader looks for modules there.
    pub(crate) fn searching(directory: &Path) -> Option<Self> {
        Self::of(&fs::read(directory.join("libc.so.6")).ok()?)
    }
}
