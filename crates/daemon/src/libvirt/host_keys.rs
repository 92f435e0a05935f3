//! The public host keys of a guest's SSH server, read by its agent: over the hypervisor and no network.
//!
//! The agent's commands: <https://qemu-project.gitlab.io/qemu/interop/qemu-ga-ref.html>. libvirt marks a domain to which
//! such commands are sent as tainted (`custom-ga-command`), in its log and in `virsh dominfo`: it has no call of its own for
//! this.

use std::time::{Duration, Instant};

use base64ct::{Base64, Encoding as _};
use serde::Deserialize;
use serde_json::json;
use ssh_key::{Algorithm, PublicKey};
use virt::domain::Domain;

use super::agent::{Failure, failure};

/// One file for each type of key that sshd makes by itself (`ssh-keygen -A`).
const FILES: [&str; 3] = [
    "/etc/ssh/ssh_host_ed25519_key.pub",
    "/etc/ssh/ssh_host_ecdsa_key.pub",
    "/etc/ssh/ssh_host_rsa_key.pub",
];

/// The longest file that is read. An RSA key of 16384 bits takes 2.8 KB, and OpenSSH takes none that is longer.
const LONGEST: usize = 4096;

/// What came of reading the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HostKeys {
    /// They were not to be read.
    NotAsked,
    /// They could not be read this time; why.
    Failed(String),
    /// All that there are, each `TYPE BASE64`.
    Read(Vec<String>),
}

/// Sends the agent a command; its answer as it is.
type Send<'s> = dyn FnMut(&str) -> Result<String, Failure> + 's;

/// Reads the keys of a guest, in `patience` or somewhat longer.
pub(super) fn read(domain: &Domain, patience: Duration) -> HostKeys {
    let deadline = Instant::now() + patience;
    read_by(&mut |command| {
        let rest = deadline.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return Err(Failure::TimedOut("reading the host keys took too long".into()));
        }
        let seconds = i32::try_from(rest.as_secs()).unwrap_or(i32::MAX).max(1);
        domain.qemu_agent_command(command, seconds, 0).map_err(|error| failure(&error))
    })
}

fn read_by(send: &mut Send<'_>) -> HostKeys {
    let mut keys: Vec<String> = Vec::new();
    let mut refused = None;
    for path in FILES {
        match read_file(path, send) {
            Ok(file) => keys.extend(file.as_deref().and_then(parse)),
            // There is no such file, or the agent may not open it.
            Err(Failure::Refused(why)) => refused = refused.or(Some(why)),
            Err(Failure::TimedOut(why)) => return HostKeys::Failed(why),
            Err(Failure::NotRunning | Failure::NoTimeout) => {
                return HostKeys::Failed("the guest is paused".into());
            }
        }
    }
    match refused {
        Some(why) if keys.is_empty() && is_blocked(&why) => HostKeys::Failed(why),
        _ => HostKeys::Read(keys),
    }
}

/// Whether the agent may not: its configuration has taken the command away (`block-rpcs`, `allow-rpcs`), or SELinux keeps it
/// from the files.
fn is_blocked(why: &str) -> bool {
    ["has been disabled", "not found", "Permission denied"].iter().any(|words| why.contains(words))
}

/// An answer of the agent's.
#[derive(Deserialize)]
struct Returned<T> {
    #[serde(rename = "return")]
    value: T,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Piece {
    buf_b64: Option<String>,
}

/// The whole file; `None` where it is too long, or the agent makes no sense.
fn read_file(path: &str, send: &mut Send<'_>) -> Result<Option<Vec<u8>>, Failure> {
    let command = |execute: &str, arguments: serde_json::Value| {
        json!({"execute": execute, "arguments": arguments}).to_string()
    };
    let opened = send(&command("guest-file-open", json!({"path": path, "mode": "r"})))?;
    let Some(handle) = value_of::<i64>(&opened) else { return Ok(None) };
    // One byte more than there may be: then it is too long. Such a short file comes in one piece.
    let arguments = json!({"handle": handle, "count": LONGEST + 1});
    let piece = send(&command("guest-file-read", arguments));
    let closed = send(&command("guest-file-close", json!({"handle": handle})));
    let piece = value_of::<Piece>(&piece?);
    closed?;
    let text = piece.and_then(|piece| piece.buf_b64);
    // Four characters for three bytes.
    let text = text.filter(|text| text.len() <= (LONGEST + 3) / 3 * 4);
    let bytes = text.and_then(|text| Base64::decode_vec(&text).ok());
    Ok(bytes.filter(|bytes| bytes.len() <= LONGEST))
}

fn value_of<T: for<'de> Deserialize<'de>>(answer: &str) -> Option<T> {
    serde_json::from_str::<Returned<T>>(answer).ok().map(|returned| returned.value)
}

/// The key in a file, without its comment; `None` where the file is anything but one public key.
fn parse(file: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(file).ok()?.trim_end();
    if line.contains('\n') {
        return None;
    }
    let key = PublicKey::from_openssh(line).ok()?;
    match key.algorithm() {
        Algorithm::Ed25519 | Algorithm::Ecdsa { .. } | Algorithm::Rsa { .. } => {}
        _ => return None,
    }
    PublicKey::new(key.key_data().clone(), "").to_openssh().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const ED25519: &str = "ssh-ed25519 \
        AAAAC3NzaC1lZDI1NTE5AAAAIPgaw9LXlmjAsuV6JiguffQDOiciUY1JQfILxicsDsqJ";
    const ECDSA: &str = "ecdsa-sha2-nistp256 \
        AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBIuDAaLYIFdkZWP9paZyO2Uaeg8uNPI9Wu7Wq4muNRNsMepQ/JoWNCmvafB9ZY/JVFdIu67f6wFg6QwAmoTEvm0=";

    /// An agent with these files, which lets the n-th command fail.
    struct Agent {
        files: BTreeMap<&'static str, Vec<u8>>,
        open: Vec<String>,
        sent: usize,
        fails: Option<(usize, Failure)>,
    }

    impl Agent {
        fn with(files: &[(&'static str, &str)]) -> Self {
            let files = files.iter().map(|&(kind, text)| (kind, text.as_bytes().to_vec()));
            Self { files: files.collect(), open: Vec::new(), sent: 0, fails: None }
        }

        fn answer(&mut self, command: &str) -> Result<String, Failure> {
            self.sent += 1;
            if let Some((at, failure)) = &self.fails {
                if self.sent >= *at {
                    return Err(failure.clone());
                }
            }
            let command: serde_json::Value = serde_json::from_str(command).unwrap();
            let arguments = &command["arguments"];
            Ok(match command["execute"].as_str().unwrap() {
                "guest-file-open" => {
                    let path = arguments["path"].as_str().unwrap();
                    let kind = path.strip_prefix("/etc/ssh/ssh_host_").unwrap();
                    let kind = kind.strip_suffix("_key.pub").unwrap();
                    if !self.files.contains_key(kind) {
                        let why =
                            format!("failed to open file '{path}': No such file or directory");
                        return Err(Failure::Refused(why));
                    }
                    self.open.push(kind.into());
                    r#"{"return": 1000}"#.into()
                }
                "guest-file-read" => {
                    let file = &self.files[self.open.last().unwrap().as_str()];
                    let count = arguments["count"].as_u64().unwrap() as usize;
                    let piece = &file[..file.len().min(count)];
                    let eof = piece.len() == file.len();
                    let text = Base64::encode_string(piece);
                    json!({"return": {"count": piece.len(), "buf-b64": text, "eof": eof}})
                        .to_string()
                }
                "guest-file-close" => {
                    self.open.pop().unwrap();
                    r#"{"return": {}}"#.into()
                }
                other => panic!("{other}"),
            })
        }

        fn read(mut self) -> HostKeys {
            let keys = read_by(&mut |command| self.answer(command));
            if self.fails.is_none() {
                assert!(self.open.is_empty(), "every file is closed");
            }
            keys
        }
    }

    fn keys(keys: &[&str]) -> HostKeys {
        HostKeys::Read(keys.iter().map(|&key| key.to_owned()).collect())
    }

    #[test]
    fn all_types_without_comments() {
        let (ed25519, ecdsa) = (format!("{ED25519} root@web\n"), format!("{ECDSA} two words\r\n"));
        let agent = Agent::with(&[("ecdsa", &ecdsa), ("ed25519", &ed25519)]);
        assert_eq!(agent.read(), keys(&[ED25519, ECDSA]));
        assert_eq!(Agent::with(&[]).read(), keys(&[]));
    }

    #[test]
    fn nothing_but_public_keys() {
        let private = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU=\n-----END OPENSSH PRIVATE KEY-----\n";
        let two = format!("{ED25519}\n{ECDSA}\n");
        let option = format!("@cert-authority * {ED25519}\n");
        let cut = &ED25519[..ED25519.len() - 8];
        let renamed = ED25519.replacen("ed25519", "rsa", 1);
        let long = format!("{ED25519} {}\n", "x".repeat(LONGEST));
        let longer = "A".repeat(100_000);
        let dsa = "ssh-dss AAAAB3NzaC1kc3MAAAADAQAB";
        for text in [
            "",
            "\n",
            "ssh-ed25519",
            private,
            &two,
            &option,
            cut,
            &renamed,
            &long,
            &longer,
            dsa,
            "ssh-ed25519 \u{1b}[2J",
        ] {
            assert_eq!(Agent::with(&[("rsa", text)]).read(), keys(&[]), "{text}");
        }
        let mut agent = Agent::with(&[]);
        agent.files.insert("rsa", vec![0xff; 100]);
        assert_eq!(agent.read(), keys(&[]));
    }

    #[test]
    fn answers_that_make_no_sense() {
        let long = format!(r#"{{"return": {{"buf-b64": "{}"}}}}"#, "A".repeat(1 << 20));
        for answer in [
            "",
            "{}",
            "[]",
            r#"{"return": "x"}"#,
            r#"{"return": {"buf-b64": 5}}"#,
            r#"{"return": {"buf-b64": "*"}}"#,
            &long,
        ] {
            let mut first = true;
            let read = read_by(&mut |command| {
                let opens = command.contains("guest-file-open");
                let good = opens && std::mem::take(&mut first);
                Ok(if good { r#"{"return": 1}"#.into() } else { answer.to_owned() })
            });
            assert_eq!(read, keys(&[]), "{answer}");
        }
    }

    #[test]
    fn an_agent_that_may_not_read_files() {
        let mut agent = Agent::with(&[("ed25519", ED25519)]);
        let why = "unable to execute QEMU agent command 'guest-file-open': Command guest-file-open has been disabled";
        agent.fails = Some((1, Failure::Refused(why.into())));
        assert_eq!(agent.read(), HostKeys::Failed(why.into()));
    }

    /// What was read before it hung counts for nothing: a type that is missing would be worse than no key at all.
    #[test]
    fn an_agent_that_hangs() {
        for at in 1..=9 {
            let mut agent = Agent::with(&[("ed25519", ED25519), ("ecdsa", ECDSA), ("rsa", ECDSA)]);
            agent.fails = Some((at, Failure::TimedOut("hung".into())));
            assert_eq!(agent.read(), HostKeys::Failed("hung".into()), "command {at}");
        }
    }
}
