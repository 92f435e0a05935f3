//! The configuration that ssh on this system would use for a destination, from `ssh -G`.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use crate::error::{Error, reason};

/// The effective configuration for a destination.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Effective {
    pub(crate) port: Option<u16>,
    /// The command as configured, with its tokens (%H and the like).
    pub(crate) known_hosts_command: Option<String>,
    /// ProxyCommand or ProxyJump.
    pub(crate) proxy: Option<String>,
}

impl Effective {
    /// Runs `ssh -G` with these arguments.
    ///
    /// # Errors
    /// ssh isn't installed, or rejects the configuration or the arguments; the error has ssh's own message.
    pub(crate) fn read(arguments: &[OsString]) -> Result<Self, Error> {
        let failed = |why| Error::Command { command: "ssh -G".into(), why };
        let output = Command::new("ssh").arg("-G").args(arguments).stdin(Stdio::null()).output();
        let output = output.map_err(|error| failed(reason(&error)))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let why = match said.trim() {
                "" => output.status.to_string(),
                said => said.to_owned(),
            };
            return Err(failed(why));
        }
        Ok(Self::parse(&String::from_utf8_lossy(&output.stdout)))
    }

    fn parse(text: &str) -> Self {
        let value = |wanted: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once(' '));
            let value = lines.find_map(|(name, value)| (name == wanted).then_some(value.trim()))?;
            (!value.eq_ignore_ascii_case("none")).then(|| value.to_owned())
        };
        Self {
            port: value("port").and_then(|port| port.parse().ok()),
            known_hosts_command: value("knownhostscommand"),
            proxy: value("proxycommand").or_else(|| value("proxyjump")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_prints() {
        let text =
            "host web\nuser root\nport 2222\nproxycommand nc %h %p\nknownhostscommand /a b %H\n";
        let expected = Effective {
            port: Some(2222),
            known_hosts_command: Some("/a b %H".into()),
            proxy: Some("nc %h %p".into()),
        };
        assert_eq!(Effective::parse(text), expected);
        assert_eq!(Effective::parse("port x\nproxyjump none\n"), Effective::default());
        assert_eq!(Effective::parse("proxyjump a,b\n").proxy.as_deref(), Some("a,b"));
    }
}
