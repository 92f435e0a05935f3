//! libvirt's own modules, as Debian builds them: fetched as packages and unpacked, not installed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use abi::Modules;

/// The version that the cases tell about. Others answer differently in places.
pub const VERSION: &str = "9.0";

/// The modules' package, and that of the library that they need.
const PACKAGES: [&str; 2] = ["libnss-libvirt", "libyajl2"];

/// libvirt's modules and what they need in one directory below `target`, fetched if they aren't there.
///
/// # Errors
///
/// What is missing, and what to do about it.
pub fn modules(target: &Path) -> Result<Modules, String> {
    let directory = target.join("stock");
    let together = directory.join("modules");
    let complete = directory.join("complete");
    if complete.exists() {
        return Ok(Modules::at(together));
    }
    let failure = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(&together).map_err(|error| failure(&together, error))?;
    for package in PACKAGES {
        fetch(package, &directory)?;
    }
    // libyajl is unpacked into a directory of its own: the linker gets one with all.
    for name in ["libnss_libvirt.so.2", "libnss_libvirt_guest.so.2", "libyajl.so.2"] {
        let file = find(&directory, name)
            .ok_or_else(|| format!("no {name} in the packages {PACKAGES:?}"))?;
        copy(&file, &together.join(name))?;
    }
    fs::write(&complete, "").map_err(|error| failure(&complete, error))?;
    Ok(Modules::at(together))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let new = to.with_extension(std::process::id().to_string());
    fs::copy(from, &new)
        .and_then(|_| fs::rename(&new, to))
        .map_err(|error| format!("{}: {error}", to.display()))
}

/// Fetches a package with apt and unpacks it into `directory`.
fn fetch(package: &str, directory: &Path) -> Result<(), String> {
    let next_step = "run `apt-get update`, or `tests/setup compliance`, and try again";
    let step = |command: &mut Command| -> Result<String, String> {
        let output = command
            .output()
            .map_err(|error| format!("{}: {error}", command.get_program().to_string_lossy()))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("{command:?}: {}; {next_step}", said.trim()))
        }
    };
    let room = directory.join(format!("fetch-{package}-{}", std::process::id()));
    fs::create_dir_all(&room).map_err(|error| format!("{}: {error}", room.display()))?;
    // Without the sandbox user apt needs no directory that it may write to.
    step(Command::new("apt-get").current_dir(&room).args([
        "-q",
        "-o",
        "APT::Sandbox::User=root",
        "download",
        package,
    ]))?;
    let archive = fs::read_dir(&room)
        .ok()
        .and_then(|mut entries| entries.next())
        .and_then(Result::ok)
        .ok_or_else(|| format!("apt-get download {package} left no file"))?
        .path();
    if package == PACKAGES[0] {
        let version = step(Command::new("dpkg-deb").arg("-f").arg(&archive).arg("Version"))?;
        if !version.starts_with(VERSION) {
            return Err(format!(
                "this system's {package} is {version}; the cases tell about {VERSION}, that of Debian 12"
            ));
        }
    }
    step(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(directory))?;
    fs::remove_dir_all(&room).map_err(|error| format!("{}: {error}", room.display()))
}

/// The file of this name below `directory`, links followed, but not what lies in `modules`.
fn find(directory: &Path, name: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(directory).ok()?;
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        if path.is_dir() && !path.is_symlink() && !path.ends_with("modules") {
            if let Some(found) = find(&path, name) {
                return Some(found);
            }
        } else if path.ends_with(name) {
            return Some(path);
        }
    }
    None
}
