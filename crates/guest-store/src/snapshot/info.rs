//! The snapshot's record `info`: information for display, as JSON. The daemon and the reader may have different versions:
//! members that are missing or have another type count as not given, and unknown members are ignored.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The whole record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Info {
    /// The daemon's version.
    #[serde(deserialize_with = "lenient")]
    pub version: Option<String>,
    /// When the snapshot was compiled, in seconds since the epoch.
    #[serde(deserialize_with = "lenient")]
    pub compiled: Option<i64>,
    /// The number of keys in the snapshot.
    #[serde(deserialize_with = "lenient")]
    pub keys: Option<u32>,
    /// The number of entries in the snapshot.
    #[serde(deserialize_with = "lenient")]
    pub entries: Option<u32>,
    /// The zone in which every guest has a name.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub zone: Option<String>,
    /// What was read from the state directory.
    #[serde(deserialize_with = "lenient")]
    pub files: FilesInfo,
    /// In the order of the daemon's configuration. Entries of the snapshot refer to them by index.
    #[serde(deserialize_with = "each_lenient")]
    pub connections: Vec<ConnectionInfo>,
    /// The DNS zones that only contain guests' names: first the one in which every guest has a name, then the others.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "each_lenient")]
    pub zones: Vec<String>,
}

/// The state directory when the snapshot was compiled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FilesInfo {
    /// Its path.
    #[serde(deserialize_with = "lenient")]
    pub directory: Option<String>,
    /// The number of valid lease records.
    #[serde(deserialize_with = "lenient")]
    pub leases: Option<usize>,
    /// The number of domains with a NIC on a bridge of this host. A domain counts once for each bridge.
    #[serde(deserialize_with = "lenient")]
    pub domains: Option<usize>,
    /// Whether look-ups may take leases from the snapshot. They may not if the directory changed too recently, or if a file in it
    /// can't be read.
    #[serde(deserialize_with = "lenient")]
    pub current: Option<bool>,
    /// State files that could not be read, and why.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "each_lenient")]
    pub unread: Vec<String>,
}

/// A connection to a libvirt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectionInfo {
    /// Its name; empty if not given.
    #[serde(deserialize_with = "lenient")]
    pub name: String,
    /// Its URI, without parameters.
    #[serde(deserialize_with = "lenient")]
    pub uri: Option<String>,
    /// Whether it is to this host.
    #[serde(deserialize_with = "lenient")]
    pub here: bool,
    /// Whether it is up.
    #[serde(deserialize_with = "lenient")]
    pub state: ConnectionState,
    /// Since when it has had that state, in seconds since the epoch.
    #[serde(deserialize_with = "lenient")]
    pub since: Option<i64>,
    /// Why it is down: libvirt's message.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub reason: Option<String>,
    /// The number of active networks.
    #[serde(deserialize_with = "lenient")]
    pub networks: Option<usize>,
    /// What is known about each network. The publisher needs it to tell which addresses others can reach.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "each_lenient")]
    pub network_details: Vec<NetworkInfo>,
    /// The number of running guests.
    #[serde(deserialize_with = "lenient")]
    pub guests: Option<usize>,
    /// The number of guests whose agent answers.
    #[serde(deserialize_with = "lenient")]
    pub agents: Option<usize>,
    /// Why guest agents can't be queried, if they can't: one line.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub no_agents: Option<String>,
    /// The number of addresses by source (`lease`, `agent`, `neighbour`), believed or not.
    #[serde(deserialize_with = "lenient")]
    pub addresses: BTreeMap<String, usize>,
    /// The titles of guests that have one, by domain name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "lenient")]
    pub titles: BTreeMap<String, String>,
}

/// An active libvirt network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkInfo {
    /// Its name in libvirt.
    #[serde(deserialize_with = "lenient")]
    pub name: String,
    /// Its bridge, on the host of the connection.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub bridge: Option<String>,
    /// Whether other machines can reach its addresses: its forward mode is route, open, bridge or the like, so it is neither NAT
    /// nor isolated.
    #[serde(deserialize_with = "lenient")]
    pub routed: bool,
    /// Its subnets, each as the gateway's address and the length of the prefix (`192.168.122.1/24`).
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "each_lenient")]
    pub subnets: Vec<String>,
}

/// The state of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectionState {
    /// It works.
    Up,
    /// The first attempt is under way.
    Connecting,
    /// It failed; `reason` says why.
    Down,
    /// It is closed while no guest runs, as the configuration says.
    Idle,
    /// Not given, or a word that only another version knows.
    #[default]
    #[serde(other)]
    Unknown,
}

impl Info {
    /// The record's data.
    ///
    /// # Errors
    /// None are expected: numbers, strings, and maps with string keys can always be written as JSON.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    /// Reads the record's data. Anything but a JSON object is read as an empty record.
    #[must_use]
    pub fn from_json(json: &[u8]) -> Self {
        serde_json::from_slice(json).unwrap_or_default()
    }
}

fn lenient<'de, D: Deserializer<'de>, T: Default + DeserializeOwned>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).unwrap_or_default())
}

/// Reads a list. An element of another type is replaced by the default, so that the others keep their indices.
fn each_lenient<'de, D: Deserializer<'de>, T: Default + DeserializeOwned>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let elements = match Value::deserialize(deserializer)? {
        Value::Array(elements) => elements,
        _ => Vec::new(),
    };
    let read = |element| serde_json::from_value(element).unwrap_or_default();
    Ok(elements.into_iter().map(read).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Info {
        Info {
            version: Some("0.1.0".into()),
            compiled: Some(1),
            keys: Some(3),
            entries: Some(5),
            zone: Some("vm.internal".into()),
            files: FilesInfo {
                directory: Some("/d".into()),
                leases: Some(1),
                domains: Some(2),
                current: Some(false),
                unread: vec!["virbr0.status: is a symbolic link".into()],
            },
            connections: vec![
                ConnectionInfo {
                    name: "local".into(),
                    uri: Some("qemu:///system".into()),
                    here: true,
                    state: ConnectionState::Up,
                    since: Some(7),
                    networks: Some(1),
                    network_details: vec![NetworkInfo {
                        name: "default".into(),
                        bridge: Some("virbr0".into()),
                        routed: false,
                        subnets: vec!["192.168.122.1/24".into()],
                    }],
                    guests: Some(2),
                    agents: Some(1),
                    no_agents: None,
                    addresses: [("neighbour".into(), 1)].into(),
                    titles: [("web".into(), "The web server".into())].into(),
                    ..ConnectionInfo::default()
                },
                ConnectionInfo {
                    name: "rack1".into(),
                    state: ConnectionState::Down,
                    reason: Some("no route to host".into()),
                    ..ConnectionInfo::default()
                },
            ],
            zones: vec!["vm.internal".into()],
        }
    }

    #[test]
    fn a_written_record_is_read_back() {
        for info in [all(), Info::default()] {
            assert_eq!(Info::from_json(&info.to_json().unwrap()), info);
        }
        let text = String::from_utf8(all().to_json().unwrap()).unwrap();
        assert!(
            text.contains(r#""state":"down","since":null,"reason":"no route to host""#),
            "{text}"
        );
    }

    #[test]
    fn records_of_other_versions() {
        for json in ["", "[]", "no JSON", "{}", r#"{"connections": 5, "version": 1}"#] {
            assert_eq!(Info::from_json(json.as_bytes()), Info::default(), "{json}");
        }
        let json = br#"{"new": {}, "files": {"unread": [7, "a"], "leases": -1},
            "connections": [null, {"name": "b", "state": "asleep", "guests": "two", "more": 1}]}"#;
        let info = Info::from_json(json);
        assert_eq!(info.files.unread, ["", "a"]);
        assert_eq!(info.connections[0], ConnectionInfo::default());
        let b = ConnectionInfo { name: "b".into(), ..ConnectionInfo::default() };
        assert_eq!(info.connections[1], b);
    }
}
