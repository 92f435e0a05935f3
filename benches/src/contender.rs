//! The modules to compare, copied into the sandbox so that all are in the same file system.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Result};
use crate::options::Options;
use crate::sandbox::Sandbox;

/// One of libvirt's two modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Host,
    Guest,
}

impl Kind {
    pub(crate) const BOTH: [Self; 2] = [Self::Host, Self::Guest];

    /// Its name in nsswitch.conf.
    pub(crate) fn service(self) -> &'static str {
        match self {
            Self::Host => "libvirt",
            Self::Guest => "libvirt_guest",
        }
    }

    pub(crate) fn of_service(service: &str) -> Option<Self> {
        Self::BOTH.into_iter().find(|kind| kind.service() == service)
    }

    fn file(self) -> String {
        format!("libnss_{}.so.2", self.service())
    }
}

/// The index of our modules among the contenders.
pub(crate) const OURS: usize = 0;
/// The index of libvirt's.
pub(crate) const STOCK: usize = 1;

/// A pair of modules.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    pub(crate) name: String,
    /// A directory with both modules, suitable for `LD_LIBRARY_PATH`.
    pub(crate) directory: PathBuf,
}

impl Contender {
    pub(crate) fn path(&self, kind: Kind) -> PathBuf {
        self.directory.join(kind.file())
    }
}

/// A pair of modules, read into memory.
pub(crate) struct Objects {
    name: String,
    files: [Vec<u8>; 2],
}

/// Reads all modules to compare.
pub(crate) fn read(options: &Options) -> Result<Vec<Objects>> {
    let Options { modules, stock, .. } = options;
    let ours = pair("ours", |kind| {
        let built = modules.join(kind.file());
        // cargo's name for it, before make renames it.
        let plain = built.with_extension("");
        let found = [built, plain].into_iter().find(|path| path.is_file());
        found.ok_or_else(|| missing(kind, modules, "run make, or use --modules DIR"))
    })?;
    let stock = pair("libvirt's", |kind| {
        let found = find_below(stock, &kind.file());
        found.ok_or_else(|| missing(kind, stock, "run tests/setup stock, or use --stock DIR"))
    })?;
    let mut all = vec![ours, stock];
    for (name, directory) in &options.also {
        all.push(pair(name, |kind| {
            let found = find_below(directory, &kind.file());
            found.ok_or_else(|| missing(kind, directory, "check the directory given with --also"))
        })?);
    }
    Ok(all)
}

fn missing(kind: Kind, directory: &Path, advice: &str) -> Error {
    Error::new(format!("no {} in {}; {advice}", kind.file(), directory.display()))
}

fn pair(name: &str, path: impl Fn(Kind) -> Result<PathBuf>) -> Result<Objects> {
    let file = |kind| {
        let path = path(kind)?;
        fs::read(&path).context(path.display())
    };
    Ok(Objects { name: name.to_owned(), files: [file(Kind::Host)?, file(Kind::Guest)?] })
}

/// The file of this name in the directory or below it.
fn find_below(directory: &Path, name: &str) -> Option<PathBuf> {
    let here = directory.join(name);
    if here.is_file() {
        return Some(here);
    }
    let mut below: Vec<PathBuf> = fs::read_dir(directory)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir() && !path.is_symlink())
        .collect();
    below.sort();
    below.iter().find_map(|path| find_below(path, name))
}

/// Writes them into the sandbox.
pub(crate) fn install(sandbox: &Sandbox, objects: Vec<Objects>) -> Result<Vec<Contender>> {
    let put = |(at, objects): (usize, Objects)| {
        let directory = sandbox.directory(&format!("modules-{at}"))?;
        let contender = Contender { name: objects.name, directory };
        for (kind, file) in Kind::BOTH.into_iter().zip(&objects.files) {
            let path = contender.path(kind);
            fs::write(&path, file).context(path.display())?;
        }
        Ok(contender)
    };
    objects.into_iter().enumerate().map(put).collect()
}
