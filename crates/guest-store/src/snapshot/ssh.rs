//! The snapshot's records for ssh: the host keys of guests, and the route to guests that only their host can reach. Look-ups
//! of names never read these records.
//!
//! | key | data |
//! |---|---|
//! | `s`, a name in lower case without one trailing dot | the [`GuestId`] of the only guest to which the administrator gave this name |
//! | `s`, a zero byte, 4 or 16 address octets | the [`GuestId`] of the only guest to which the address is leased |
//! | `u`, a [`GuestId`] | [`SshGuest`] as JSON |
//!
//! Nothing here is trusted to be well-formed: readers check what they pass on.

use std::net::IpAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::trust;

/// The first byte of the key of a name or an address.
const NAME: u8 = b's';

/// The first byte of the key of a guest.
pub(super) const GUEST: u8 = b'u';

/// The longest record that is read. The daemon's limits keep it far below.
const LONGEST: usize = 64 << 10;

/// Identifies a guest. Two guests on different hosts may have the same UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GuestId {
    /// The index of its connection in the daemon's configuration.
    pub connection: u16,
    /// The domain's UUID.
    pub uuid: [u8; 16],
}

/// What ssh needs to know about a guest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SshGuest {
    /// The name of the domain.
    pub name: String,
    /// The name of its connection in the daemon's configuration.
    pub connection: String,
    /// Its host keys as its agent reported them, each `TYPE BASE64`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// How to reach it, if it can't be reached directly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<SshRoute>,
}

/// The route to a guest through its host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SshRoute {
    /// The guest's addresses on its host, the best first.
    pub addresses: Vec<IpAddr>,
    /// The host, and how ssh logs in there.
    #[serde(flatten)]
    pub host: SshHost,
}

/// A host on which libvirt is reached through ssh, from the URI of the connection (<https://libvirt.org/uri.html>).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SshHost {
    /// Its name or address.
    pub host: String,
    /// The login name; `None`: ssh's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The port; `None`: ssh's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The parameter `keyfile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<String>,
    /// The parameter `known_hosts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_hosts: Option<String>,
    /// Whether the host's key is checked: the parameters `no_verify` and `known_hosts_verify`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_key_check: Option<HostKeyCheck>,
    /// The parameter `sshauth`, as ssh's PreferredAuthentications.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentications: Option<String>,
}

/// ssh's StrictHostKeyChecking, if the URI sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostKeyCheck {
    /// Unknown hosts are accepted.
    AcceptNew,
    /// Any host is accepted.
    No,
}

/// The key of a name's record.
#[must_use]
pub fn name_key(name: &[u8]) -> Vec<u8> {
    let name = name.strip_suffix(b".").unwrap_or(name);
    [&[NAME], name.to_ascii_lowercase().as_slice()].concat()
}

/// The key of an address's record.
#[must_use]
pub fn address_key(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => [&[NAME, 0], v4.octets().as_slice()].concat(),
        IpAddr::V6(v6) => [&[NAME, 0], v6.octets().as_slice()].concat(),
    }
}

/// The key of a guest's record.
#[must_use]
pub fn guest_key(id: GuestId) -> Vec<u8> {
    [&[GUEST], id.to_bytes().as_slice()].concat()
}

impl GuestId {
    /// Its size in bytes.
    pub const SIZE: usize = 18;

    /// The connection in little-endian order, and the UUID.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..2].copy_from_slice(&self.connection.to_le_bytes());
        bytes[2..].copy_from_slice(&self.uuid);
        bytes
    }

    /// `None` if the length is wrong.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::SIZE] = bytes.try_into().ok()?;
        let (connection, uuid) = bytes.split_first_chunk()?;
        let connection = u16::from_le_bytes(*connection);
        Some(Self { connection, uuid: *uuid.first_chunk()? })
    }
}

impl SshGuest {
    /// The record's data.
    ///
    /// # Errors
    /// None are expected: everything in it can be written as JSON.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    /// Reads the record's data; `None` if it isn't valid.
    #[must_use]
    pub fn from_json(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }
}

/// The guest with the name or address of `key` ([`name_key`], [`address_key`]), from the snapshot at `path`, compiled from the
/// state directory `state`, at `now` (seconds since the epoch). `None` if there is none, or if the snapshot isn't trusted, is
/// out of date or damaged.
#[must_use]
pub fn find(path: &Path, state: &Path, key: &[u8], now: i64) -> Option<SshGuest> {
    let mut opened = trust::open(path, state).ok()?;
    let mut buffer = vec![0; LONGEST];
    let (standing, id) = opened.data(key, now, &mut buffer).ok()?;
    let id = GuestId::from_bytes(id.filter(|_| standing.reports)?)?;
    let (_, data) = opened.data(&guest_key(id), now, &mut buffer).ok()?;
    SshGuest::from_json(data?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use guest_names::snapshot::format::Meta;
    use std::fs::{self, File};
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::{Duration, UNIX_EPOCH};
    use testkit::cdb::{Records, write};
    use testkit::scratch::Scratch;

    const NOW: i64 = 1_700_000_000;

    fn web() -> SshGuest {
        SshGuest {
            name: "Web".into(),
            connection: "host".into(),
            keys: vec![format!("ssh-ed25519 {}", "A".repeat(68)); 8],
            route: Some(SshRoute {
                addresses: vec!["192.168.122.5".parse().unwrap()],
                host: SshHost {
                    host: "rack1".into(),
                    user: Some("root".into()),
                    port: Some(2222),
                    host_key_check: Some(HostKeyCheck::AcceptNew),
                    ..SshHost::default()
                },
            }),
        }
    }

    /// Writes a snapshot that was last touched `age` seconds ago. Returns its path.
    fn publish(scratch: &Scratch, records: &Records, age: u64) -> std::path::PathBuf {
        let path = scratch.join("names.cdb");
        let meta = Meta { state: None, hold: 90, length: 0, compiled: NOW };
        fs::set_permissions(scratch.join(""), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(&path, write(records, meta)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let time = UNIX_EPOCH + Duration::from_secs(NOW as u64 - age);
        File::open(&path).unwrap().set_modified(time).unwrap();
        path
    }

    fn id(number: u8) -> GuestId {
        GuestId { connection: 513, uuid: [number; 16] }
    }

    fn records() -> Records {
        let data = |number| id(number).to_bytes().to_vec();
        let address = "10.0.0.1".parse().unwrap();
        [
            (name_key(b"Web."), data(7)),
            (address_key(address), data(7)),
            (name_key(b"short"), vec![7; 17]),
            (name_key(b"gone"), data(8)),
            (name_key(b"broken"), data(9)),
            (name_key(b"huge"), data(10)),
            (guest_key(id(7)), web().to_json().unwrap()),
            (guest_key(id(9)), b"no JSON".to_vec()),
            (guest_key(id(10)), vec![b' '; LONGEST + 1]),
        ]
        .into()
    }

    #[test]
    fn guests_are_found_by_name_and_by_address() {
        let scratch = Scratch::new();
        let path = publish(&scratch, &records(), 0);
        let found = |key: &[u8]| find(&path, &scratch.join("state"), key, NOW);
        assert_eq!(found(&name_key(b"wEB")), Some(web()));
        assert_eq!(found(&address_key("10.0.0.1".parse().unwrap())), Some(web()));
        for name in ["we", "webb", "short", "gone", "broken", "huge", ""] {
            assert_eq!(found(&name_key(name.as_bytes())), None, "{name}");
        }
        assert_eq!(found(&address_key("10.0.0.2".parse().unwrap())), None);
        assert_eq!(found(&name_key(&[b'x'; 4000])), None);
    }

    #[test]
    fn records_count_as_long_as_the_daemon_is_alive() {
        let scratch = Scratch::new();
        let found = |path: &Path| find(path, &scratch.join("state"), &name_key(b"web"), NOW);
        assert!(found(&publish(&scratch, &records(), 90)).is_some());
        assert_eq!(found(&publish(&scratch, &records(), 91)), None);
        assert_eq!(found(&scratch.join("nothing")), None);
        let path = publish(&scratch, &records(), 0);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(found(&path), None);
    }

    /// Whatever the bytes are, the search ends, and returns that guest or none.
    #[test]
    fn any_byte_may_be_wrong() {
        let scratch = Scratch::new();
        let path = publish(&scratch, &records(), 0);
        let good = fs::read(&path).unwrap();
        let time = UNIX_EPOCH + Duration::from_secs(NOW as u64);
        for at in (0..good.len().min(5000)).step_by(7).chain(good.len() - 300..good.len()) {
            let mut bytes = good.clone();
            bytes[at] ^= 0x5a;
            fs::write(&path, &bytes).unwrap();
            File::open(&path).unwrap().set_modified(time).unwrap();
            let found = find(&path, &scratch.join("state"), &name_key(b"web"), NOW);
            assert!(found.is_none_or(|guest| guest.keys.len() <= 8));
        }
    }

    #[test]
    fn written_records_are_read_back() {
        for guest in [web(), SshGuest::default()] {
            assert_eq!(SshGuest::from_json(&guest.to_json().unwrap()), Some(guest));
        }
        let json = br#"{"name": "web", "later": [1]}"#;
        assert_eq!(SshGuest::from_json(json).unwrap().name, "web");
    }
}
