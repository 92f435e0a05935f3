//! Where the objects under test are.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::module::Module;

/// One of libvirt's two modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `libvirt`: host names that guests gave to DHCP.
    Host,
    /// `libvirt_guest`: libvirt's domain names.
    Guest,
}

impl Kind {
    /// Both modules.
    pub const BOTH: [Kind; 2] = [Kind::Host, Kind::Guest];

    /// The service's name in nsswitch.conf.
    #[must_use]
    pub fn service(self) -> &'static str {
        match self {
            Kind::Host => "libvirt",
            Kind::Guest => "libvirt_guest",
        }
    }

    /// The object's file name, which is its SONAME.
    #[must_use]
    pub fn file(self) -> &'static str {
        match self {
            Kind::Host => "libnss_libvirt.so.2",
            Kind::Guest => "libnss_libvirt_guest.so.2",
        }
    }
}

/// A directory with both modules under their final names, suitable for `LD_LIBRARY_PATH`.
#[derive(Clone, Debug)]
pub struct Modules {
    directory: PathBuf,
}

impl Modules {
    /// The modules in a directory.
    #[must_use]
    pub fn at(directory: impl Into<PathBuf>) -> Modules {
        Modules { directory: directory.into() }
    }

    /// This project's modules: those in the directory that `LIBVIRT_NSS_MODULES` names, else those that `cargo build
    /// --release` builds from the present sources, which this runs once if need be.
    ///
    /// # Panics
    ///
    /// If the build fails.
    #[must_use]
    pub fn ours() -> &'static Modules {
        // A failure is remembered too, so that tests don't repeat a build that fails.
        static OURS: OnceLock<Result<Modules, String>> = OnceLock::new();
        let ours = OURS.get_or_init(|| match env::var_os("LIBVIRT_NSS_MODULES") {
            Some(directory) => fs::canonicalize(&directory).map(Modules::at).map_err(|error| {
                format!("LIBVIRT_NSS_MODULES={}: {error}", Path::new(&directory).display())
            }),
            None => build(&target_directory(), None),
        });
        ours.as_ref().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Those that packages have for processors with x86-64-v3, built in the same way (see `make modules-v3`). `None` on other
    /// architectures, and if `LIBVIRT_NSS_MODULES` says which modules are under test.
    ///
    /// # Panics
    ///
    /// If the build fails.
    #[must_use]
    pub fn ours_for_v3() -> Option<&'static Modules> {
        static OURS: OnceLock<Result<Modules, String>> = OnceLock::new();
        if !cfg!(target_arch = "x86_64") || env::var_os("LIBVIRT_NSS_MODULES").is_some() {
            return None;
        }
        let ours = OURS.get_or_init(|| {
            let flags = env::var("RUSTFLAGS").unwrap_or_default() + " -C target-cpu=x86-64-v3";
            build(&target_directory().join("x86-64-v3"), Some(&flags))
        });
        Some(ours.as_ref().unwrap_or_else(|error| panic!("{error}")))
    }

    /// Where they are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The path of one of them.
    #[must_use]
    pub fn path(&self, kind: Kind) -> PathBuf {
        self.directory.join(kind.file())
    }

    /// Loads one of them.
    ///
    /// # Panics
    ///
    /// If it can't be loaded.
    #[must_use]
    pub fn load(&self, kind: Kind) -> Module {
        Module::load(&self.path(kind), kind.service()).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Builds the modules in a target directory, as `cargo test` doesn't, and links to them under their final names.
fn build(target: &Path, rust_flags: Option<&str>) -> Result<Modules, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(&root)
        .args(["build", "--quiet", "--release", "-p", "nss-libvirt", "-p", "nss-libvirt-guest"])
        .arg("--target-dir")
        .arg(target)
        .envs(rust_flags.map(|flags| ("RUSTFLAGS", flags)))
        .status()
        .map_err(|error| format!("cargo build: {error}"))?;
    if !status.success() {
        return Err("cargo build of the modules failed: run `make` and see why".to_owned());
    }

    // With CARGO_BUILD_TARGET, the objects are in that architecture's directory.
    let release = env::var_os("CARGO_BUILD_TARGET").map_or(target.to_owned(), |it| target.join(it));
    let directory = release.join("release/modules");
    let failure = |error: io::Error| format!("{}: {error}", directory.display());
    fs::create_dir_all(&directory).map_err(failure)?;
    for kind in Kind::BOTH {
        let built = kind.file().trim_end_matches(".2");
        match symlink(Path::new("..").join(built), directory.join(kind.file())) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failure(error));
            }
            _ => {}
        }
    }
    Ok(Modules { directory })
}

/// The path of the running program. In a chroot it can only be found while the calling thread is in the process's mount
/// namespace, so it is remembered.
pub(crate) fn running_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| env::current_exe().expect("the running program has a path"))
}

/// The build's target directory.
///
/// # Panics
///
/// If the running program isn't in one.
#[must_use]
pub fn target_directory() -> PathBuf {
    let program = running_program();
    program
        .ancestors()
        // Cargo doesn't mark a directory that existed before, but writes the other file into every one.
        .find(|it| it.join("CACHEDIR.TAG").exists() || it.join(".rustc_info.json").exists())
        .unwrap_or_else(|| panic!("{} is not in a target directory", program.display()))
        .to_owned()
}
