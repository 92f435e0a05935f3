//! The system that the figures were taken on, without the machine's name.

use std::ffi::CStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::error::{Context as _, Error, Result};

/// A line with the distribution, kernel, C library and processors.
pub(crate) fn description() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let distribution = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .map_or("an unknown distribution", |name| name.trim_matches('"'));
    format!(
        "{distribution}, Linux {}, glibc {}, {}",
        kernel().unwrap_or_else(|| "of an unknown version".to_owned()),
        c_library(),
        machine()
    )
}

/// The version of the package that has libvirt's modules, without the distribution's part: `9.0.0`.
pub(crate) fn stock_version(stock: &Path) -> Result<String> {
    let package = stock.join("libnss-libvirt.deb");
    let output = Command::new("dpkg-deb").arg("--field").arg(&package).arg("Version").output();
    let output = output.context("dpkg-deb")?;
    let version = String::from_utf8_lossy(&output.stdout);
    match version.trim().split('-').next() {
        Some(version) if output.status.success() && !version.is_empty() => Ok(version.to_owned()),
        _ => Err(Error::new(format!("{} has no version", package.display()))),
    }
}

/// The first two numbers of the kernel's version; the rest can name its builder.
fn kernel() -> Option<String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    let mut numbers = release.split('.');
    Some(format!("{}.{}", numbers.next()?, numbers.next()?))
}

fn c_library() -> String {
    // SAFETY: takes nothing.
    let version = unsafe { libc::gnu_get_libc_version() };
    // SAFETY: a C string that always exists.
    let version = unsafe { CStr::from_ptr(version) };
    version.to_string_lossy().into_owned()
}

fn machine() -> String {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = information.lines().find(|line| line.starts_with("flags"));
    let is_virtual = flags.is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor"));
    let kind = if is_virtual { "virtual machine" } else { "machine" };
    format!("{processors}-core {} {kind}", std::env::consts::ARCH)
}
