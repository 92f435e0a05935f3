//! Domains that may be shut off, through virsh(1): nothing else here lists those.

use std::process::{Command, Output, Stdio};

use guest_store::snapshot::info::Info;

use crate::error::{Error, reason};

/// libvirt's system-wide connection on this host.
const HERE: &str = "qemu:///system";

/// A domain's connection and its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Domain {
    /// libvirt's connection URI.
    uri: String,
    name: String,
    /// The state as virsh prints it: `running`, `shut off`, `paused`.
    pub(crate) state: String,
}

/// The URIs of all connections, in order of precedence.
pub(crate) fn uris(info: Option<&Info>) -> Vec<String> {
    let configured = info.map(|info| &info.connections[..]).unwrap_or_default();
    let uris: Vec<String> = configured.iter().filter_map(|one| one.uri.clone()).collect();
    if uris.is_empty() { vec![HERE.into()] } else { uris }
}

impl Domain {
    /// Finds the domain with this name on the first connection that has one. Otherwise returns virsh's messages from
    /// the connections that could not be asked.
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

    /// Starts the domain.
    ///
    /// # Errors
    /// virsh's own message.
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
    // Standard input is inherited: virsh may ask for a password (polkit, ssh).
    let output = Command::new("virsh")
        .args(["--quiet", "--connect", uri])
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::inherit())
        .output();
    output.map_err(|error| Error::Command { command: "virsh".into(), why: reason(&error) })
}

/// virsh's error output on one line.
fn words(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let said: Vec<&str> =
        said.lines().map(|line| line.trim_start_matches("error: ").trim()).collect();
    match said.join(" ").trim() {
        "" => output.status.to_string(),
        said => said.to_owned(),
    }
}
