//! What `libvirt-nss-publish` reports about itself: a JSON file in its runtime directory, for `libvirt-nss publish status` and
//! `doctor`. The service may be of another version than who reads it: members that are missing have their defaults, and those
//! that aren't known are ignored.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Where it is; it exists while the service runs.
pub const PATH: &str = "/run/libvirt-nss-publish/status.json";

/// The most names of a kind that are listed; there may be more.
pub const LISTED_MAX: usize = 100;

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PublishStatus {
    /// When it was written, in seconds since the epoch.
    pub written: i64,
    /// The service's version.
    pub version: String,
    /// What the ownership records call this host.
    pub host: String,
    /// The server and its port, as `ns1.site.example#53`.
    pub server: String,
    /// Why the names that are published may be out of date: libvirt-nssd doesn't run, or its snapshot can't be read.
    pub stale: Option<String>,
    /// Zones, the forward one first.
    pub zones: Vec<ZoneStatus>,
    /// Guests that are not published, at most [`LISTED_MAX`].
    pub left_out: Vec<LeftOut>,
    /// How many there are.
    pub left_out_count: usize,
}

/// A zone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ZoneStatus {
    /// Its name.
    pub name: String,
    /// Names in it that are this host's.
    pub published: usize,
    /// Why it isn't up to date.
    pub failure: Option<FailureStatus>,
    /// Names that others have, at most [`LISTED_MAX`].
    pub conflicts: Vec<ConflictStatus>,
    /// How many there are.
    pub conflict_count: usize,
}

/// What doesn't work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FailureStatus {
    /// The response code (`REFUSED`), or a word in lower case (`timeout`).
    pub code: String,
    /// What is the case.
    pub what: String,
    /// What to do next.
    pub next_step: String,
    /// Since when, in seconds since the epoch.
    pub since: i64,
    /// When it is tried again, in seconds since the epoch.
    pub retry: i64,
}

/// A name that this host wants and somebody else has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConflictStatus {
    /// The name.
    pub name: String,
    /// The host that has it; `None`: records that no publisher made.
    pub host: Option<String>,
}

/// A guest, or an address of one, that is not published.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeftOut {
    /// The guest's name.
    pub name: String,
    /// The address that this is about.
    pub address: Option<std::net::IpAddr>,
    /// Why.
    pub why: String,
}

/// Reads the file; `None` where there is none.
///
/// # Errors
/// It can't be read, or isn't JSON of this form (`InvalidData`).
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
    fn what_is_written_is_read() {
        let scratch = Scratch::new();
        let path = scratch.join("status.json");
        assert_eq!(read(&path).unwrap(), None);
        let failure = FailureStatus { code: "REFUSED".into(), ..FailureStatus::default() };
        let zone = ZoneStatus { published: 3, failure: Some(failure), ..ZoneStatus::default() };
        let status = PublishStatus { zones: vec![zone], ..PublishStatus::default() };
        fs::write(&path, serde_json::to_vec(&status).unwrap()).unwrap();
        assert_eq!(read(&path).unwrap(), Some(status));
        // Another version's.
        fs::write(&path, r#"{"host": "alpha", "new": 1}"#).unwrap();
        assert_eq!(read(&path).unwrap().unwrap().host, "alpha");
        fs::write(&path, "no JSON").unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
