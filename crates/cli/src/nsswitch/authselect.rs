//! Systems on which authselect(8) generates nsswitch.conf from profiles (Fedora, RHEL): it makes the change.

use std::process::{Command, Stdio};

use crate::error::Error;

/// The feature of authselect's profiles that puts both services on the line.
const FEATURE: &str = "with-libvirt";

/// What authselect can do about our services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// The profile has [`FEATURE`]. Whether it is on.
    Feature { on: bool },
    /// It doesn't; the administrator's own lines come from `user-nsswitch.conf`.
    UserFile,
}

/// Asks authselect.
///
/// # Errors
/// It isn't installed, or refuses.
pub(crate) fn method() -> Result<Method, Error> {
    let current = ask(&["current", "--raw"])?;
    let mut words = current.split_whitespace();
    let profile = words.next().unwrap_or_default();
    let features = ask(&["list-features", profile])?;
    Ok(if features.lines().any(|feature| feature.trim() == FEATURE) {
        Method::Feature { on: words.any(|feature| feature == FEATURE) }
    } else {
        Method::UserFile
    })
}

/// Turns the feature on or off.
///
/// # Errors
/// As [`method`].
pub(crate) fn set_feature(on: bool) -> Result<(), Error> {
    let action = if on { "enable-feature" } else { "disable-feature" };
    ask(&[action, FEATURE]).map(drop)
}

/// The command that [`set_feature`] runs.
pub(crate) fn feature_command(on: bool) -> String {
    format!("authselect {} {FEATURE}", if on { "enable-feature" } else { "disable-feature" })
}

/// Applies a changed `user-nsswitch.conf`.
///
/// # Errors
/// As [`method`].
pub(crate) fn apply_changes() -> Result<(), Error> {
    ask(&["apply-changes"]).map(drop)
}

fn ask(arguments: &[&str]) -> Result<String, Error> {
    let command = || format!("authselect {}", arguments.join(" "));
    let output = Command::new("authselect")
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::Command { command: command(), why: source.to_string() })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let why = if said.is_empty() { output.status.to_string() } else { said };
        return Err(Error::Command { command: command(), why });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
