//! Domains that may be shut off, by virsh(1): nothing else knows of them.

use std::process::{Command, Output, Stdio};

use guest_store::snapshot::info::Info;

use crate::error::{Error, reason};

/// The libvirt of this host, for every user.
const HERE: &str = "qemu:///system";

/// Where a domain is, and how it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Domain {
    /// libvirt's connection URI.
    uri: String,
    name: String,
    /// In virsh's words: `running`, `shut off`, `paused`.
    pub(crate) state: String,
}

/// The URIs of all connections, in the order in which their names count.
pub(crate) fn uris(info: Option<&Info>) -> Vec<String> {
    let configured = info.map(|info| &info.connections[..]).unwrap_or_default();
    let uris: Vec<String> = configured.iter().filter_map(|one| one.uri.clone()).collect();
    if uris.is_empty() { vec![HERE.into()] } else { uris }
}

impl Domain {
    /// The first connection's domain of this name; else what virsh said, where it could not tell.
    ///
    /// # Errors
    /// virsh can't be started.
    pub(crate) fn find(uris: &[String], name: &str) -> Result<Result<Self, Vec<String>>, Error> {
        let mut said = Vec::new();
        for uri in uris {
            let output = virsh(uri, ["domstate", "--domain", name])?;
            if output.status.success() {
                let state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                return Ok(Ok(Self { uri: uri.clone(), name: name.into(), state }));
            }
            let why = words(&output);
            if !why.contains("failed to get domain") {
                said.push(format!("{uri}: {why}"));
            }
        }
        Ok(Err(said))
    }

    /// Starts it.
    ///
    /// # Errors
    /// In virsh's words.
    pub(crate) fn start(&self) -> Result<(), Error> {
        let Self { uri, name, .. } = self;
        let output = virsh(uri, ["start", "--domain", name])?;
        if output.status.success() {
            return Ok(());
        }
        let command = format!("virsh --connect {uri} start {name}");
        Err(Error::Command { command, why: words(&output) })
    }
}

fn virsh<const N: usize>(uri: &str, arguments: [&str; N]) -> Result<Output, Error> {
    // Standard input stays: it may ask for a password there (polkit, ssh).
    let output = Command::new("virsh")
        .args(["--quiet", "--connect", uri])
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::inherit())
        .output();
    output.map_err(|error| Error::Command { command: "virsh".into(), why: reason(&error) })
}

/// What it said, in one line.
fn words(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let said: Vec<&str> =
        said.lines().map(|line| line.trim_start_matches("error: ").trim()).collect();
    match said.join(" ").trim() {
        "" => output.status.to_string(),
        said => said.to_owned(),
    }
}
