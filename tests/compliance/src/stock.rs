//! libvirt's own modules, as Debian builds them: fetched as packages and unpacked, not installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use abi::Modules;

/// The version that the cases tell about. Others answer differently in places.
pub const VERSION: &str = "9.0";

/// The modules' package, and that of the library that they need.
const PACKAGES: [&str; 2] = ["libnss-libvirt", "libyajl2"];

const FILES: [&str; 3] = ["libnss_libvirt.so.2", "libnss_libvirt_guest.so.2", "libyajl.so.2"];

/// libvirt's modules and what they need in one directory below `target`: out of the packages that
/// `tests/setup` has fetched, or fetched here.
///
/// # Errors
///
/// What is missing, and what to do about it.
pub fn modules(target: &Path) -> Result<Modules, String> {
    let directory = target.join("stock");
    // The packages lie in directories of their own: the linker gets one with all.
    let together = directory.join("modules");
    fs::create_dir_all(&together).map_err(|error| format!("{}: {error}", together.display()))?;
    if FILES.iter().any(|name| find(&directory, name).is_none()) {
        for package in PACKAGES {
            fetch(package, &directory)?;
        }
    }
    check_version(&directory)?;
    for name in FILES {
        let file = find(&directory, name)
            .ok_or_else(|| format!("no {name} in the packages {PACKAGES:?}"))?;
        if !together.join(name).exists() {
            copy(&file, &together.join(name))?;
        }
    }
    Ok(Modules::at(together))
}

/// Where a package's archive is kept.
fn archive(directory: &Path, package: &str) -> PathBuf {
    directory.join(format!("{package}.deb"))
}

fn check_version(directory: &Path) -> Result<(), String> {
    let package = PACKAGES[0];
    let version =
        step(Command::new("dpkg-deb").arg("-f").arg(archive(directory, package)).arg("Version"))?;
    if version.starts_with(VERSION) {
        return Ok(());
    }
    Err(format!(
        "this system's {package} is {version}; the cases tell about {VERSION}, that of Debian 12"
    ))
}

/// Runs a command to its end; what it prints.
fn step(command: &mut Command) -> Result<String, String> {
    let output = command
        .output()
        .map_err(|error| format!("{}: {error}", command.get_program().to_string_lossy()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{command:?}: {}; run `apt-get update`, or `tests/setup compliance`, and try again",
        said.trim()
    ))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let new = to.with_extension(std::process::id().to_string());
    fs::copy(from, &new)
        .and_then(|_| fs::rename(&new, to))
        .map_err(|error| format!("{}: {error}", to.display()))
}

/// Fetches a package with apt and unpacks it into `directory`.
fn fetch(package: &str, directory: &Path) -> Result<(), String> {
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
    let fetched = fs::read_dir(&room)
        .ok()
        .and_then(|mut entries| entries.next())
        .and_then(Result::ok)
        .ok_or_else(|| format!("apt-get download {package} left no file"))?
        .path();
    let kept = archive(directory, package);
    fs::rename(&fetched, &kept).map_err(|error| format!("{}: {error}", kept.display()))?;
    step(Command::new("dpkg-deb").arg("-x").arg(&kept).arg(directory))?;
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
