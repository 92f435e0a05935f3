//! The snapshot's record `info`: JSON that the daemon writes for people. A newer or older daemon's has
//! other members; what is missing here is left out of what is told.

use serde::Deserialize;
use serde_json::Value;

/// What could be read of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Info {
    /// The daemon's.
    pub(crate) version: Option<String>,
    /// State files that the daemon couldn't read, and why.
    pub(crate) unread: Vec<String>,
    /// In the order of the daemon's configuration.
    pub(crate) connections: Vec<Connection>,
}

/// A connection to a libvirt.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Connection {
    /// Empty where it isn't told.
    pub(crate) name: String,
    pub(crate) uri: Option<String>,
    pub(crate) state: State,
    /// Since when it does so, in seconds since the epoch.
    pub(crate) since: Option<i64>,
    /// Why it is down.
    pub(crate) reason: Option<String>,
    /// Running guests.
    pub(crate) guests: Option<u64>,
}

/// How a connection does.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Up,
    Connecting,
    Down,
    /// It isn't told, or in a word of another version.
    #[default]
    #[serde(other)]
    Unknown,
}

impl Info {
    /// Reads it. What isn't JSON tells nothing.
    pub(crate) fn read(json: &[u8]) -> Self {
        let all: Value = serde_json::from_slice(json).unwrap_or_default();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        Self {
            version: text(&all["version"]),
            unread: list(&all["files"]["unread"]).iter().filter_map(text).collect(),
            // Each keeps its place, as entries refer to it by that.
            connections: list(&all["connections"]).iter().map(Connection::read).collect(),
        }
    }
}

impl Connection {
    fn read(value: &Value) -> Self {
        Self {
            name: text(&value["name"]).unwrap_or_default(),
            uri: text(&value["uri"]),
            state: State::deserialize(&value["state"]).unwrap_or_default(),
            since: value["since"].as_i64(),
            reason: text(&value["reason"]),
            guests: value["guests"].as_u64(),
        }
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_daemon_writes() {
        let json = r#"{
            "version": "0.1.0", "compiled": 1, "keys": 3, "entries": 5,
            "files": {"directory": "/d", "leases": 1, "domains": 1, "current": false,
                "unread": ["virbr0.status: is a symbolic link"]},
            "connections": [
                {"name": "local", "uri": "qemu:///system", "here": true, "state": "up",
                    "since": 7, "networks": 1, "guests": 2, "agents": 1, "addresses": {"arp": 1}},
                {"name": "rack1", "uri": "qemu+ssh://rack1/system", "here": false, "state": "down",
                    "since": 8, "reason": "no route to host", "networks": 0, "guests": 0}
            ]}"#;
        let info = Info::read(json.as_bytes());
        assert_eq!(info.version.as_deref(), Some("0.1.0"));
        assert_eq!(info.unread, ["virbr0.status: is a symbolic link"]);
        let local = Connection {
            name: "local".into(),
            uri: Some("qemu:///system".into()),
            state: State::Up,
            since: Some(7),
            reason: None,
            guests: Some(2),
        };
        assert_eq!(info.connections[0], local);
        assert_eq!(info.connections[1].state, State::Down);
        assert_eq!(info.connections[1].reason.as_deref(), Some("no route to host"));
    }

    #[test]
    fn what_another_version_may_write() {
        for json in ["", "[]", "no JSON", "{}", r#"{"connections": 5, "version": 1}"#] {
            assert_eq!(Info::read(json.as_bytes()), Info::default(), "{json}");
        }
        let info = Info::read(br#"{"connections": [null, {"name": "b", "state": "asleep"}]}"#);
        assert_eq!(info.connections[0], Connection::default());
        let b = Connection { name: "b".into(), ..Connection::default() };
        assert_eq!(info.connections[1], b);
    }
}
