//! What the command can do itself about a finding.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::args::{Enable, Services};
use crate::commands::enable::enable;
use crate::context::Context;
use crate::error::Error;
use crate::nsswitch::replace;

/// A remedy that is always safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fix {
    /// Put these services where they are asked.
    Enable(Vec<&'static str>),
    /// Remove a leftover file.
    Remove(PathBuf),
    /// Clear nscd's cache of host names.
    ForgetHosts,
}

impl Fix {
    /// Shows it, or does it.
    ///
    /// # Errors
    /// It failed, and nothing was changed.
    pub(crate) fn run(&self, show_only: bool, context: &Context) -> Result<(), Error> {
        match self {
            Self::Enable(services) => {
                let services = Services {
                    guest: services.as_slice() == ["libvirt_guest"],
                    host: services.as_slice() == ["libvirt"],
                };
                let options = Enable { services, authoritative: false, dry_run: show_only };
                enable(&options, context).map(drop)
            }
            Self::Remove(path) => {
                let command = format!("rm {}", path.display());
                if show_only {
                    return context.print(&command);
                }
                replace::remove(path)?;
                context.print(&format!("done: {command}"))
            }
            Self::ForgetHosts => {
                if show_only {
                    return context.print(FORGET_HOSTS);
                }
                forget_hosts()?;
                context.print(&format!("done: {FORGET_HOSTS}"))
            }
        }
    }
}

/// nscd(8).
const FORGET_HOSTS: &str = "nscd -i hosts";

fn forget_hosts() -> Result<(), Error> {
    let failed = |why: String| Error::Command { command: FORGET_HOSTS.into(), why };
    let output = Command::new("nscd")
        .args(["-i", "hosts"])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}
