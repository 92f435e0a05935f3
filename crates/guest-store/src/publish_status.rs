//! The status of `libvirt-nss-publish`: a JSON file in its runtime directory, for `libvirt-nss publish status` and `doctor`.
//! The service and the reader may have different versions: missing members have their defaults, unknown ones are ignored.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The file's path. It exists while the service runs.
pub const PATH: &str = "/run/libvirt-nss-publish/status.json";

/// The maximum length of each list. The counts tell whether there are more.
pub const LISTED_MAX: usize = 100;

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PublishStatus {
    /// When it was written, in seconds since the epoch.
    pub written: i64,
    /// The service's version.
    pub version: String,
    /// This host's name in ownership records.
    pub host: String,
    /// The server and its port, as `ns1.site.example#53`.
    pub server: String,
    /// Why the published names may be out of date: libvirt-nssd isn't running, or its snapshot can't be read.
    pub stale: Option<String>,
    /// Zones, the forward one first.
    pub zones: Vec<ZoneStatus>,
    /// Guests that are not published, at most [`LISTED_MAX`].
    pub left_out: Vec<LeftOut>,
    /// The number of all of them.
    pub left_out_count: usize,
}

/// A zone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ZoneStatus {
    /// Its name.
    pub name: String,
    /// The number of names in it that belong to this host.
    pub published: usize,
    /// Why it isn't up to date.
    pub failure: Option<FailureStatus>,
    /// Wanted names that belong to others, at most [`LISTED_MAX`].
    pub conflicts: Vec<ConflictStatus>,
    /// The number of all of them.
    pub conflict_count: usize,
}

/// A failure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FailureStatus {
    /// The response code (`REFUSED`), or a word in lower case (`timeout`).
    pub code: String,
    /// What failed, in one sentence.
    pub what: String,
    /// What to do next.
    pub next_step: String,
    /// Since when, in seconds since the epoch.
    pub since: i64,
    /// When it will be retried, in seconds since the epoch.
    pub retry: i64,
}

/// A name that this host wants, but that belongs to another host or has other records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConflictStatus {
    /// The name.
    pub name: String,
    /// The host that has it; `None` if its records weren't created by a publisher.
    pub host: Option<String>,
}

/// A guest, or one of its addresses, that is not published.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeftOut {
    /// The guest's name.
    pub name: String,
    /// The address; `None` if this is about the guest.
    pub address: Option<std::net::IpAddr>,
    /// Why.
    pub why: String,
}

/// Reads the file; `None` if there is none.
///
/// # Errors
/// It can't be read, or isn't valid (`InvalidData`).
pub fn read(path: &Path) -> io::Result<Option<PublishStatus>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        bytes => Ok(Some(serde_json::from_slice(&bytes?)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::scratch::Scratch;

    #[test]
    fn a_written_status_is_read_back() {
        let scratch = Scratch::new();
        let path = scratch.join("status.json");
        assert_eq!(read(&path).unwrap(), None);
        let failure = FailureStatus { code: "REFUSED".into(), ..FailureStatus::default() };
        let zone = ZoneStatus { published: 3, failure: Some(failure), ..ZoneStatus::default() };
        let status = PublishStatus { zones: vec![zone], ..PublishStatus::default() };
        fs::write(&path, serde_json::to_vec(&status).unwrap()).unwrap();
        assert_eq!(read(&path).unwrap(), Some(status));
        // Written by another version.
        fs::write(&path, r#"{"host": "alpha", "new": 1}"#).unwrap();
        assert_eq!(read(&path).unwrap().unwrap().host, "alpha");
        fs::write(&path, "no JSON").unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
