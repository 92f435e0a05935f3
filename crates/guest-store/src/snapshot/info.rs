//! The snapshot's record `info`: JSON that the daemon writes for people, and what is read of it. The
//! daemon may be of another version than who reads it: what is missing or of another type counts as not
//! given, and members that aren't known are passed over.

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
    /// Keys in the snapshot.
    #[serde(deserialize_with = "lenient")]
    pub keys: Option<u32>,
    /// Entries in the snapshot.
    #[serde(deserialize_with = "lenient")]
    pub entries: Option<u32>,
    /// The zone that every guest has a name in.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub zone: Option<String>,
    /// What the state directory gave.
    #[serde(deserialize_with = "lenient")]
    pub files: FilesInfo,
    /// In the order of the daemon's configuration, which entries of the snapshot refer to.
    #[serde(deserialize_with = "each_lenient")]
    pub connections: Vec<ConnectionInfo>,
    /// The DNS zones in which only guests have names: the one that every guest has a name in, then the others.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "each_lenient")]
    pub zones: Vec<String>,
}

/// The state directory, as of the compilation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FilesInfo {
    /// Its path.
    #[serde(deserialize_with = "lenient")]
    pub directory: Option<String>,
    /// Good lease records.
    #[serde(deserialize_with = "lenient")]
    pub leases: Option<usize>,
    /// Domains with a NIC on a bridge of this host, by bridge.
    #[serde(deserialize_with = "lenient")]
    pub domains: Option<usize>,
    /// Whether leases count: not where the directory is too fresh, or something in it can't be read.
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
    /// Empty where it isn't given.
    #[serde(deserialize_with = "lenient")]
    pub name: String,
    /// Without parameters.
    #[serde(deserialize_with = "lenient")]
    pub uri: Option<String>,
    /// It leads to this host.
    #[serde(deserialize_with = "lenient")]
    pub here: bool,
    /// Whether it is up.
    #[serde(deserialize_with = "lenient")]
    pub state: ConnectionState,
    /// Since when, in seconds since the epoch.
    #[serde(deserialize_with = "lenient")]
    pub since: Option<i64>,
    /// Why it is down, in libvirt's words.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub reason: Option<String>,
    /// Active networks.
    #[serde(deserialize_with = "lenient")]
    pub networks: Option<usize>,
    /// What is known of each network, for who must know which addresses others can reach.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "each_lenient")]
    pub network_details: Vec<NetworkInfo>,
    /// Running guests.
    #[serde(deserialize_with = "lenient")]
    pub guests: Option<usize>,
    /// Guests whose agent answers.
    #[serde(deserialize_with = "lenient")]
    pub agents: Option<usize>,
    /// Why no guest agent can be asked, where that is so: one line.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub no_agents: Option<String>,
    /// Addresses by who reported them (`lease`, `agent`, `neighbour`), believed or not.
    #[serde(deserialize_with = "lenient")]
    pub addresses: BTreeMap<String, usize>,
    /// Titles by domain name, of guests that have one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "lenient")]
    pub titles: BTreeMap<String, String>,
}

/// A network of libvirt's that is up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkInfo {
    /// libvirt's name of it.
    #[serde(deserialize_with = "lenient")]
    pub name: String,
    /// Its bridge, on the host of the connection.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub bridge: Option<String>,
    /// Its addresses mean something beyond its host: its forward mode is route, open, bridge or the like, and not nat, and it
    /// isn't isolated.
    #[serde(deserialize_with = "lenient")]
    pub routed: bool,
    /// Its subnets, each as the gateway's address and the length of the prefix (`192.168.122.1/24`).
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "each_lenient")]
    pub subnets: Vec<String>,
}

/// How a connection does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectionState {
    /// Calls are answered.
    Up,
    /// The first attempt is under way.
    Connecting,
    /// It failed; `reason` says why.
    Down,
    /// It is closed while no guest runs, as the configuration says.
    Idle,
    /// It isn't given, or in a word of another version.
    #[default]
    #[serde(other)]
    Unknown,
}

impl Info {
    /// The record's data.
    ///
    /// # Errors
    /// None that is known: numbers, texts and maps with text for keys always have a JSON form.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    /// Reads the record's data. What isn't a JSON object says nothing.
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

/// An element that is of another type keeps its place.
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
    fn what_is_written_is_read() {
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
    fn what_another_version_may_write() {
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
