//! libvirt's own modules: those that `tests/setup` has unpacked, or those installed in this root.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use abi::{Kind, Modules};

/// A version of libvirt that the cases cover: those of Debian 12, 13 and sid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 9.0, Debian 12: reads JSON with yajl.
    V9_0,
    /// 11.3, Debian 13: reads JSON with json-c.
    V11_3,
    /// 12.8, Debian sid.
    V12_8,
}

impl Version {
    /// All of them.
    pub const ALL: [Version; 3] = [Version::V9_0, Version::V11_3, Version::V12_8];

    fn text(self) -> &'static str {
        match self {
            Version::V9_0 => "9.0",
            Version::V11_3 => "11.3",
            Version::V12_8 => "12.8",
        }
    }

    /// Parses the version of a Debian package, such as `9.0.0-4+deb12u2`; `None` if the cases don't cover it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Version> {
        Version::ALL.into_iter().find(|version| {
            let rest = text.strip_prefix(version.text());
            rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
        })
    }
}

/// For instance `9.0`.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// libvirt's modules.
pub struct Stock {
    /// The modules' directory.
    pub modules: Modules,
    /// Their `LD_LIBRARY_PATH`.
    pub libraries: OsString,
    /// Their version.
    pub version: Version,
}

impl Stock {
    /// The modules that the Debian package libnss-libvirt has installed, if `COMPLIANCE_STOCK` is `installed`; else
    /// those that `tests/setup` has unpacked below `target`.
    ///
    /// # Errors
    ///
    /// What is missing, and what to do about it.
    pub fn find(target: &Path) -> Result<Stock, String> {
        match env::var("COMPLIANCE_STOCK") {
            Ok(value) if value == "installed" => installed(),
            Ok(value) => Err(format!("COMPLIANCE_STOCK={value}: not `installed`")),
            Err(_) => unpacked(&target.join("stock")),
        }
    }
}

fn installed() -> Result<Stock, String> {
    let version = run(Command::new("dpkg-query").args(["-Wf", "${Version}", "libnss-libvirt"]))?;
    let files = run(Command::new("dpkg-query").args(["-L", "libnss-libvirt"]))?;
    let module = files.lines().map(Path::new).find(|path| path.ends_with(Kind::Host.file()));
    let directory = module.and_then(Path::parent).ok_or("libnss-libvirt has no module")?;
    stock(directory, OsString::new(), &version)
}

fn unpacked(directory: &Path) -> Result<Stock, String> {
    let package = directory.join("libnss-libvirt.deb");
    if !package.exists() {
        return Err(format!("no {}; run `tests/setup compliance`", package.display()));
    }
    let version = run(Command::new("dpkg-deb").arg("-f").arg(&package).arg("Version"))?;
    // The packages' files are in /lib or /usr/lib, depending on the package.
    let mut libraries = Vec::new();
    directories_of_libraries(directory, &mut libraries);
    let modules = libraries
        .iter()
        .find(|directory| directory.join(Kind::Host.file()).exists())
        .ok_or_else(|| format!("no {} in {}", Kind::Host.file(), package.display()))?;
    let path = env::join_paths(&libraries).map_err(|error| error.to_string())?;
    stock(modules, path, &version)
}

fn stock(directory: &Path, libraries: OsString, version: &str) -> Result<Stock, String> {
    let known = Version::parse(version).ok_or_else(|| {
        let known = Version::ALL.map(Version::text).join(", ");
        format!("libvirt's modules have version {version}; the cases cover {known}")
    })?;
    Ok(Stock { modules: Modules::at(directory), libraries, version: known })
}

/// Runs a command and returns its output.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command
        .output()
        .map_err(|error| format!("{}: {error}", command.get_program().to_string_lossy()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// The directories below `directory` that have shared libraries with a version in their names.
fn directories_of_libraries(directory: &Path, to: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let paths: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    if paths.iter().any(|path| path.to_string_lossy().contains(".so.")) {
        to.push(directory.to_owned());
    }
    for path in paths.iter().filter(|path| path.is_dir() && !path.is_symlink()) {
        directories_of_libraries(path, to);
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn versions() {
        assert_eq!(Version::parse("9.0.0-4+deb12u2"), Some(Version::V9_0));
        assert_eq!(Version::parse("12.8.0-1"), Some(Version::V12_8));
        assert_eq!(Version::parse("11.30.0-1"), None);
        assert_eq!(Version::parse("8.0.0"), None);
    }
}
