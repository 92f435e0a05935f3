//! `libvirt_leaseshelper`, dnsmasq's `--dhcp-script` on a libvirt network. See the library for what it does.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;

use leaseshelper::store::Store;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let mut log = |message: &dyn Display| {
        let line = format!("libvirt_leaseshelper: {message}\n");
        // One write, since others may write to the same log. If it fails, the exit status still reports the error.
        let _ = std::io::stderr().write_all(line.as_bytes());
    };
    let done = leaseshelper::run(
        &arguments,
        |name| std::env::var_os(name),
        &Store::of_the_system(),
        &mut std::io::stdout().lock(),
        &mut log,
    );
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log(&error);
            ExitCode::FAILURE
        }
    }
}
