//! Tries a connection once, for `libvirt-nssd --check`.

use std::fmt;
use std::sync::mpsc;
use std::time::Duration;

use super::connection::{self, Access};
use super::error::Error;
use super::{error, threads};
use crate::model::ConnectionConfig;

/// What a connection provides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The version of libvirt on the other side: major * 1,000,000 + minor * 1,000 + release.
    pub version: u32,
    /// How many guests run.
    pub guests: usize,
    /// How many networks are active.
    pub networks: usize,
    /// Whether guest agents can be queried.
    pub agents: Agents,
}

/// Whether guest agents can be queried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Agents {
    /// The configuration says not to query them.
    NotWanted,
    /// There is a read-write connection.
    Yes,
    /// There is no read-write connection, and why: an [`Error`]'s text.
    No(String),
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, rest) = (self.version / 1_000_000, self.version % 1_000_000);
        write!(
            f,
            "libvirt {major}.{}.{}, running guests: {}, active networks: {}, guest agents: ",
            rest / 1000,
            rest % 1000,
            self.guests,
            self.networks
        )?;
        match &self.agents {
            Agents::NotWanted => f.write_str("not used (agent = false)"),
            Agents::Yes => f.write_str("available"),
            Agents::No(why) => write!(f, "unavailable: {why}"),
        }
    }
}

/// Opens a connection as the daemon does, and counts its guests and networks.
///
/// # Errors
/// [`Error`], [`Error::NoAnswer`] after `timeout`.
pub fn check(config: &ConnectionConfig, timeout: Duration) -> Result<Report, Error> {
    super::set_up()?;
    super::reject_nul_bytes(config)?;
    let (done, report) = mpsc::channel();
    let to_check = config.clone();
    threads::spawn("check", move || {
        let _ = done.send(try_out(&to_check));
    })
    .map_err(Error::Thread)?;
    report
        .recv_timeout(timeout)
        .unwrap_or_else(|_| Err(Error::NoAnswer { uri: config.uri.clone(), waited: timeout }))
}

fn try_out(config: &ConnectionConfig) -> Result<Report, Error> {
    let uri = || config.uri.clone();
    let call = |doing| move |source| Error::Call { doing, uri: config.uri.clone(), source };
    let connect = connection::open(&config.uri, Access::ReadOnly)
        .map_err(|source| Error::Connect { uri: uri(), source })?;
    let networks = match connect.num_of_networks() {
        Err(source) if error::is_unsupported(&source) => 0,
        counted => counted.map_err(call("count the networks"))?,
    };
    Ok(Report {
        version: connect.lib_version().map_err(call("read the version"))?,
        guests: connect.num_of_domains().map_err(call("count the domains"))? as usize,
        networks: networks as usize,
        agents: if config.agent {
            match connection::open(&config.uri, Access::ReadWrite) {
                Ok(_) => Agents::Yes,
                Err(source) => Agents::No(Error::Connect { uri: uri(), source }.to_string()),
            }
        } else {
            Agents::NotWanted
        },
    })
}
