//! The table `[outlets]` of /etc/libvirt-nss.toml, which makes libvirt-nssd write names for DNS, and what it writes.

use std::fs;
use std::io;
use std::net::IpAddr;

use toml::Table;

use super::MARK;
use crate::paths::Paths;

/// A file that libvirt-nssd writes: a key of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outlet {
    /// For libvirt-nss-dns.service.
    Hosts,
    /// For systemd-resolved itself.
    Records,
}

impl Outlet {
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Hosts => "hosts",
            Self::Records => "records",
        }
    }

    /// The file that libvirt-nssd writes for the outlet.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Hosts => "/run/libvirt-nss/dns/hosts",
            Self::Records => "/run/libvirt-nss/names.rr",
        }
    }

    /// Reads what libvirt-nssd has written. `zone` is that of all guests.
    ///
    /// # Errors
    /// There is nothing, or it can't be read.
    pub(crate) fn names(self, paths: &Paths, zone: &str) -> io::Result<Names> {
        let file = paths.below(self.file());
        let pairs = match self {
            Self::Hosts => {
                // One of its files always exists.
                fs::metadata(&file)?;
                let mut pairs = Vec::new();
                for entry in fs::read_dir(file.with_file_name(""))? {
                    pairs.extend(pairs_in_hosts(&fs::read_to_string(entry?.path())?));
                }
                pairs
            }
            Self::Records => pairs_in_records(&fs::read_to_string(file)?)?,
        };
        Ok(Names::of(pairs, zone))
    }

    fn block(self) -> String {
        format!("{MARK}[outlets]\n{} = true\n", self.key())
    }
}

/// What libvirt-nssd has written for an outlet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Names {
    /// The number of names.
    pub(crate) count: usize,
    /// One in guests' zone, and its addresses. Those in networks' domains are not routed here.
    pub(crate) example: Option<(String, Vec<IpAddr>)>,
}

impl Names {
    fn of(mut pairs: Vec<(String, IpAddr)>, zone: &str) -> Self {
        pairs.sort_unstable();
        let names = || pairs.chunk_by(|(one, _), (other, _)| one == other);
        let is_in_zone =
            |name: &str| name.strip_suffix(zone).is_some_and(|name| name.ends_with('.'));
        let example = names().find(|pairs| is_in_zone(&pairs[0].0));
        let addresses = |pairs: &[(String, IpAddr)]| pairs.iter().map(|pair| pair.1).collect();
        let example = example.map(|pairs| (pairs[0].0.clone(), addresses(pairs)));
        Self { count: names().count(), example }
    }
}

/// The names and addresses in a text of hosts(5).
fn pairs_in_hosts(text: &str) -> Vec<(String, IpAddr)> {
    let pairs = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        Some(words.map(move |name| (name.to_owned(), address)))
    });
    pairs.flatten().collect()
}

/// Those in systemd.rr(5)'s JSON.
fn pairs_in_records(text: &str) -> io::Result<Vec<(String, IpAddr)>> {
    #[derive(serde::Deserialize)]
    struct Record {
        key: Key,
        address: Option<Vec<u8>>,
    }
    #[derive(serde::Deserialize)]
    struct Key {
        name: String,
    }
    let records: Vec<Record> = serde_json::from_str(text)?;
    let pairs = records.into_iter().filter_map(|record| {
        let octets = record.address?;
        let v4 = <[u8; 4]>::try_from(octets.as_slice()).ok().map(IpAddr::from);
        let v6 = <[u8; 16]>::try_from(octets.as_slice()).ok().map(IpAddr::from);
        Some((record.key.name, v4.or(v6)?))
    });
    Ok(pairs.collect())
}

/// Edits the text of the configuration (`None` if there is no file): turns on `outlet`, or with `None` removes the
/// block that this function added. The rest of the text stays as it is, and turning an outlet on and off again gives
/// the original text.
///
/// # Errors
/// What prevents the change, and the next step.
pub(crate) fn edit(text: Option<&str>, outlet: Option<Outlet>) -> Result<Option<String>, String> {
    let without = text.and_then(remove);
    let Some(outlet) = outlet else { return Ok(without) };
    let Some(others) = without else { return Ok(Some(outlet.block())) };
    let table: Table = others.parse().map_err(|error: toml::de::Error| {
        let message = error.message().replace('\n', ", ");
        format!("{message}; see libvirt-nss.toml(5), and 'libvirt-nssd --check'")
    })?;
    match table.get("outlets") {
        None => Ok(Some(format!("{others}\n{}", outlet.block()))),
        Some(toml::Value::Table(outlets))
            if outlets.get(outlet.key()) == Some(&toml::Value::Boolean(true)) =>
        {
            Ok(Some(others))
        }
        Some(_) => Err(format!(
            "it has a table [outlets] without '{} = true'; add that line there",
            outlet.key()
        )),
    }
}

/// Removes the block, with the newline before it. `None` if the file has nothing else, as it was created for the block.
/// A block that the administrator has added keys to is left alone.
fn remove(text: &str) -> Option<String> {
    for outlet in [Outlet::Hosts, Outlet::Records] {
        let block = outlet.block();
        if text == block {
            return None;
        }
        let split = text.split_once(&format!("\n{block}"));
        let split = split.or_else(|| text.strip_prefix(&block).map(|after| ("", after)));
        if let Some((before, after)) = split.filter(|(_, after)| !continues_table(after)) {
            return Some(format!("{before}{after}"));
        }
    }
    Some(text.to_owned())
}

/// Whether the first line that isn't blank or a comment is a key of the table before it.
fn continues_table(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim_start);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
    first.is_some_and(|line| !line.starts_with('['))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [Option<&str>; 7] = [
        None,
        Some(""),
        Some("zone = \"lan\"\n"),
        Some("zone = \"lan\""),
        Some("\n\n"),
        Some("# only a comment\n"),
        Some("[[connection]]\nname = \"a\"\nuri = \"b:///\"\n"),
    ];

    #[test]
    fn there_and_back() {
        for text in TEXTS {
            let before = text.map(str::to_owned);
            for outlet in [Outlet::Hosts, Outlet::Records] {
                let on = edit(text, Some(outlet)).unwrap().unwrap();
                let table: Table = on.parse().unwrap();
                assert_eq!(table["outlets"][outlet.key()], toml::Value::Boolean(true));
                assert_eq!(edit(Some(&on), Some(outlet)).unwrap().unwrap(), on);
                assert_eq!(edit(Some(&on), None).unwrap(), before);
                let other = edit(Some(&on), Some(Outlet::Records)).unwrap();
                assert_eq!(edit(other.as_deref(), None).unwrap(), before);
                // What the administrator has added since stays.
                let more = format!("{on}[[connection]]\n");
                let left = format!("{}[[connection]]\n", text.unwrap_or_default());
                assert_eq!(edit(Some(&more), None).unwrap(), Some(left));
                for between in ["", "\n", "# names\n", " \n\t"] {
                    let theirs = format!("{on}{between}bare-names = true\n");
                    assert_eq!(edit(Some(&theirs), None).unwrap(), Some(theirs));
                    let more = format!("{on}{between}[publish]\n");
                    let left = format!("{}{between}[publish]\n", text.unwrap_or_default());
                    assert_eq!(edit(Some(&more), None).unwrap(), Some(left));
                }
            }
        }
    }

    #[test]
    fn names_in_the_files() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let (v4, v6) = (address("10.0.0.7"), address("fd00::7"));
        let zone = "vm.internal";
        let hosts = "10.0.0.9 a.example xvm.internal\n10.0.0.7 web.vm.internal web\nfd00::7 web.vm.internal\n10.0.0.8 x\n";
        let names = Names::of(pairs_in_hosts(hosts), zone);
        let example = Some(("web.vm.internal".to_owned(), vec![v4, v6]));
        assert_eq!(names, Names { count: 5, example: example.clone() });
        let records = r#"[
            {"key":{"type":1,"name":"web"},"address":[10,0,0,7]},
            {"key":{"type":1,"name":"web.vm.internal"},"address":[10,0,0,7]},
            {"key":{"type":28,"name":"web.vm.internal"},"address":[253,0,0,0,0,0,0,0,0,0,0,0,0,0,0,7]},
            {"key":{"type":12,"name":"7.0.0.10.in-addr.arpa"},"name":"web.vm.internal"}
        ]"#;
        let names = Names::of(pairs_in_records(records).unwrap(), zone);
        assert_eq!(names, Names { count: 2, example });
        assert_eq!(Names::of(Vec::new(), zone), Names { count: 0, example: None });
        assert!(pairs_in_records("[").is_err());
    }

    #[test]
    fn the_administrators_own_table() {
        let on = "[outlets]\nhosts = true\n";
        let edit = |text: &str, outlet| edit(Some(text), outlet).map(Option::unwrap);
        assert_eq!(edit(on, Some(Outlet::Hosts)).unwrap(), on);
        assert_eq!(edit(on, None).unwrap(), on);
        assert!(edit(on, Some(Outlet::Records)).unwrap_err().contains("records = true"));
        assert!(edit("outlets = 5\n", Some(Outlet::Hosts)).is_err());
        assert!(edit("zone = \n", Some(Outlet::Hosts)).unwrap_err().contains("--check"));
    }
}
