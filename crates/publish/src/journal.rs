//! The journal: the names and records that this host has, or may have, in each zone. A JSON file that is replaced as a whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::record::DnsRecord;
use crate::zone::{Certainty, Held, HeldNames};

/// The version of the format that is written.
const VERSION: u32 = 1;

/// The journal's contents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Journal {
    version: u32,
    /// The host in the ownership records.
    pub host: String,
    /// The server and its port, as `ns1.site.example#53`.
    pub server: String,
    /// The names held in each zone.
    pub zones: BTreeMap<String, HeldNames>,
}

/// A journal to be written, with borrowed contents.
#[derive(Serialize)]
pub struct View<'j> {
    version: u32,
    host: &'j str,
    server: &'j str,
    zones: BTreeMap<&'j str, &'j HeldNames>,
}

impl<'j> View<'j> {
    /// A journal of these zones.
    #[must_use]
    pub fn new(
        host: &'j str,
        server: &'j str,
        zones: impl Iterator<Item = (&'j str, &'j HeldNames)>,
    ) -> Self {
        let zones = zones.filter(|(_, held)| !held.is_empty()).collect();
        Self { version: VERSION, host, server, zones }
    }
}

impl Serialize for Held {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut held = serializer.serialize_struct("Held", 2)?;
        let records: Vec<String> = self.records.iter().map(ToString::to_string).collect();
        held.serialize_field("records", &records)?;
        held.serialize_field("certainty", &self.certainty)?;
        held.end()
    }
}

impl<'de> Deserialize<'de> for Held {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Written {
            records: Vec<String>,
            certainty: Certainty,
        }
        let Written { records, certainty } = Written::deserialize(deserializer)?;
        let record = |text: String| {
            let record = text.parse::<DnsRecord>();
            record.map_err(|_| D::Error::custom(format!("\"{text}\" is not a record")))
        };
        let records = records.into_iter().map(record).collect::<Result<_, _>>()?;
        Ok(Self { records, certainty })
    }
}

/// Where the journal is.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
    new: PathBuf,
}

/// The journal's name in its directory.
const NAME: &str = "journal.json";

impl Store {
    /// Reads nothing yet.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self { path: directory.join(NAME), new: directory.join("journal.json.new") }
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the journal; `None` if there is none.
    ///
    /// # Errors
    /// It can't be read, or isn't a journal of this version (`InvalidData`).
    pub fn read(&self) -> io::Result<Option<Journal>> {
        let bytes = match fs::read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes?,
        };
        let journal: Journal = serde_json::from_slice(&bytes)?;
        if journal.version != VERSION {
            let text = format!("version {}, expected {VERSION}", journal.version);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(Some(journal))
    }

    /// Renames an invalid journal, so that it can be examined later. Returns its new path.
    ///
    /// # Errors
    /// It can't be renamed.
    pub fn set_aside(&self) -> io::Result<PathBuf> {
        let aside = self.path.with_extension("json.unreadable");
        fs::rename(&self.path, &aside)?;
        Ok(aside)
    }

    /// Replaces the journal. Once this returns, it survives a power failure.
    ///
    /// # Errors
    /// It can't be written. Then the old one stays.
    pub fn write(&self, view: &View<'_>) -> io::Result<()> {
        let mut out = BufWriter::new(File::create(&self.new)?);
        serde_json::to_writer(&mut out, view)?;
        out.write_all(b"\n")?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_data()?;
        fs::rename(&self.new, &self.path)?;
        let directory = self.path.parent().unwrap_or(Path::new("."));
        File::open(directory)?.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::scratch::Scratch;

    #[test]
    fn a_written_journal_is_read_back() {
        let scratch = Scratch::new();
        let store = Store::new(scratch.path());
        assert_eq!(store.read().unwrap(), None);
        let records = ["A 192.0.2.1", "AAAA 2001:db8::1", "PTR web.site.example."];
        let records = records.map(|text| text.parse().unwrap()).into();
        let held = Held { records, certainty: Certainty::Claiming };
        let held: HeldNames = [("web.site.example".to_owned(), held)].into();
        let zones = [("site.example", &held), ("empty.example", &HeldNames::new())];
        store.write(&View::new("alpha", "ns1#53", zones.into_iter())).unwrap();
        let journal = store.read().unwrap().unwrap();
        assert_eq!((journal.host.as_str(), journal.server.as_str()), ("alpha", "ns1#53"));
        assert_eq!(journal.zones, [("site.example".to_owned(), held)].into());
    }

    #[test]
    fn invalid_journals() {
        let scratch = Scratch::new();
        let store = Store::new(scratch.path());
        let held = r#"{"records": ["MX 10 a."], "certainty": "sure"}"#;
        let zones = format!(r#"{{"z": {{"n": {held}}}}}"#);
        for (text, why) in [
            ("", "EOF while parsing"),
            (r#"{"version": 2, "host": "", "server": "", "zones": {}}"#, "version 2, expected 1"),
            (&format!(r#"{{"version": 1, "host": "", "server": "", "zones": {zones}}}"#), "MX 10"),
        ] {
            fs::write(store.path(), text).unwrap();
            let error = store.read().unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
        let aside = store.set_aside().unwrap();
        assert!(aside.exists() && store.read().unwrap().is_none());
    }
}
