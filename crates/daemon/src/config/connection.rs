//! `[[connection]]`: a connection to libvirt.

use std::ops::RangeInclusive;
use std::time::Duration;

use guest_names::name::is_host_name;
use guest_store::config_file::Invalid;
use ipnet::IpNet;
use serde::Deserialize;
use toml::Spanned;

use super::uri::{check_uri, is_here};
use super::values::{Seconds, is_of_multicast_dns, seconds, subnet};
use super::{REFRESH, REFRESH_RANGE};
use crate::model::{ConnectionConfig, ConnectionId};

/// The default time limit for guest agents, in seconds.
const AGENT_TIMEOUT: u64 = 5;
const AGENT_TIMEOUT_RANGE: RangeInclusive<u64> = 1..=600;

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The part that its session needs.
    pub config: ConnectionConfig,
    /// Whether it is to libvirt on this host, whose state files and bridges the daemon can read.
    pub here: bool,
    /// Whether the configuration names it, so that `NAME.CONNECTION` is an alias of its guests.
    pub is_named: bool,
    /// Whether addresses on networks that aren't routed count, too: this host can reach them anyway.
    pub nat: bool,
    /// If no subnet of a guest's network is known, its agent may only report addresses in these subnets. If this is empty, it may
    /// report any.
    pub subnets: Vec<IpNet>,
    /// Whether this host's neighbour table is a source.
    pub neighbours: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table [[connection]]")]
pub(super) struct ConnectionKeys {
    pub(super) name: Spanned<String>,
    uri: Spanned<String>,
    agent: Option<bool>,
    host_keys: Option<bool>,
    neighbours: Option<bool>,
    leases: Option<bool>,
    refresh: Option<Spanned<Seconds>>,
    agent_timeout: Option<Spanned<Seconds>>,
    nat: Option<bool>,
    subnets: Option<Vec<Spanned<String>>>,
    keep_alive: Option<Spanned<bool>>,
}

/// The default connection, if the file has none.
pub(super) fn host(refresh: Duration) -> Connection {
    Connection {
        config: ConnectionConfig {
            id: ConnectionId(0),
            name: "host".into(),
            uri: "qemu:///system".into(),
            agent: true,
            host_keys: true,
            arp: false,
            leases: false,
            refresh,
            agent_timeout: Duration::from_secs(AGENT_TIMEOUT),
            keep_alive: true,
        },
        here: true,
        is_named: false,
        nat: false,
        subnets: Vec::new(),
        neighbours: true,
    }
}

impl ConnectionKeys {
    pub(super) fn check(self, place: usize, refresh: Duration) -> Result<Connection, Invalid> {
        let name = self.name.get_ref();
        if !is_host_name(name.as_bytes()) {
            let text = format!(
                "\"{}\" is not a valid host name, expected one such as \"rack1\": it follows the guests' names",
                name.escape_debug()
            );
            return Err((self.name.span(), text));
        }
        if is_of_multicast_dns(name) {
            let text = format!(
                "\"{name}\" belongs to multicast DNS, where guests' names in it would be asked for; \
                 expected another name such as \"host\""
            );
            return Err((self.name.span(), text));
        }
        let uri = self.uri.get_ref();
        check_uri(uri).map_err(|text| (self.uri.span(), text))?;
        let id = u16::try_from(place).map_err(|_| {
            (self.name.span(), String::from("too many connections, expected at most 65536"))
        })?;
        let here = is_here(uri);
        let refresh = match &self.refresh {
            None => refresh,
            own => seconds(own.as_ref(), REFRESH, REFRESH_RANGE)?,
        };
        let agent_timeout =
            seconds(self.agent_timeout.as_ref(), AGENT_TIMEOUT, AGENT_TIMEOUT_RANGE)?;
        let subnets = self.subnets.unwrap_or_default();
        let subnets = subnets.iter().map(subnet).collect::<Result<Vec<IpNet>, Invalid>>()?;
        let neighbours = self.neighbours.unwrap_or(true);
        let keep_alive = self.keep_alive.as_ref().is_none_or(|keep_alive| *keep_alive.get_ref());
        if let (false, false, Some(keep_alive)) = (keep_alive, here, &self.keep_alive) {
            let text = "false needs a connection to this host, as only this host shows when something happens; \
                        expected true";
            return Err((keep_alive.span(), text.into()));
        }
        Ok(Connection {
            config: ConnectionConfig {
                id: ConnectionId(id),
                name: self.name.into_inner(),
                uri: self.uri.into_inner(),
                agent: self.agent.unwrap_or(true),
                host_keys: self.agent.unwrap_or(true) && self.host_keys.unwrap_or(true),
                arp: neighbours && !here,
                leases: self.leases.unwrap_or(!here),
                refresh,
                agent_timeout,
                keep_alive,
            },
            here,
            is_named: true,
            nat: self.nat.unwrap_or(false),
            subnets,
            neighbours: neighbours && here,
        })
    }
}
