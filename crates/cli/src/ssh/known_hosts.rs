//! `ssh-known-hosts`: what ssh's KnownHostsCommand prints for a host.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;

use guest_store::snapshot::ssh::SshGuest;

use super::quiet;
use super::target::Target;
use crate::context::Clock;
use crate::paths::Paths;

/// Prints the keys of the guest that the second of `arguments` names. The arguments are ssh_config(5)'s %I, %H, %t and
/// %K. The status is always 0.
pub(crate) fn run(arguments: &[OsString], paths: &Paths, clock: Clock) -> ExitCode {
    quiet::end_in_time(0);
    let lines = arguments.get(1).and_then(|host| {
        let host = host.as_bytes();
        let guest = super::guest(paths, &Target::with_port(host)?, clock.now())?;
        Some(lines(host, &guest))
    });
    // ssh may already have ended.
    let _ = io::stdout().write_all(&lines.unwrap_or_default());
    ExitCode::SUCCESS
}

/// A line for each key, all under `host`, which ssh compares literally.
pub(crate) fn lines(host: &[u8], guest: &SshGuest) -> Vec<u8> {
    let mut lines = Vec::new();
    for key in guest.keys.iter().filter(|key| is_key(key)) {
        lines.extend_from_slice(host);
        lines.push(b' ');
        lines.extend_from_slice(key.as_bytes());
        lines.push(b'\n');
    }
    lines
}

/// Whether the text is a public key and nothing else: a type and base64.
fn is_key(key: &str) -> bool {
    let Some((kind, data)) = key.split_once(' ') else { return false };
    let in_kind = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'@');
    let in_data = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    !kind.is_empty()
        && !kind.starts_with('@')
        && kind.bytes().all(in_kind)
        && !data.is_empty()
        && data.bytes().all(in_data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_under_the_very_name() {
        let keys = ["ssh-ed25519 AAAAC3==", "ecdsa-sha2-nistp256 AAAA+/"];
        let bad =
            ["", "ssh-rsa", "ssh-rsa AA A", "ssh-rsa A\nx", "@revoked AAAA", " AAAA", "ssh-rsa "];
        let keys = keys.iter().chain(&bad).map(|&key| key.to_owned()).collect();
        let guest = SshGuest { keys, ..SshGuest::default() };
        let expected = "[web.]:2222 ssh-ed25519 AAAAC3==\n[web.]:2222 ecdsa-sha2-nistp256 AAAA+/\n";
        assert_eq!(String::from_utf8(lines(b"[web.]:2222", &guest)).unwrap(), expected);
        assert!(lines(b"web", &SshGuest::default()).is_empty());
    }
}
