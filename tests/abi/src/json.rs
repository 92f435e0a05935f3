//! The state files' contents in libvirt's layout: pretty-printed JSON, indented by two spaces a level, with a lease's
//! keys in the order in which the helper writes them.

use std::fmt::Write as _;

/// One record of a `.status` file, with any keys and any values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// Keys and raw JSON values, in the order of the file.
    pub fields: Vec<(String, String)>,
}

impl Lease {
    /// A record without any key.
    #[must_use]
    pub fn new() -> Lease {
        Lease::default()
    }

    /// What libvirt's helper writes for an IPv4 lease.
    #[must_use]
    pub fn v4(ip: &str, mac: &str, hostname: &str, expiry: i64) -> Lease {
        Lease::new().text("ip-address", ip).text("mac-address", mac).host(hostname).expiry(expiry)
    }

    /// What libvirt's helper writes for an IPv6 lease.
    #[must_use]
    pub fn v6(ip: &str, mac: &str, hostname: &str, expiry: i64) -> Lease {
        Lease::new()
            .text("iaid", "1234567")
            .text("ip-address", ip)
            .text("mac-address", mac)
            .host(hostname)
            .text("client-id", "00:04:5c:c6:a5:0b:8e:4b:4e:4e:9c:12:fe:11:22:33:44:55")
            .text("server-duid", "00:01:00:01:2a:f5:6d:3c:52:54:00:68:7e:fb")
            .expiry(expiry)
    }

    /// With the key `hostname`, unless the name is empty.
    #[must_use]
    pub fn host(self, hostname: &str) -> Lease {
        if hostname.is_empty() { self } else { self.text("hostname", hostname) }
    }

    /// With the key `expiry-time`.
    #[must_use]
    pub fn expiry(self, expiry: i64) -> Lease {
        self.raw("expiry-time", &expiry.to_string())
    }

    /// With a key whose value is a string.
    #[must_use]
    pub fn text(self, key: &str, value: &str) -> Lease {
        self.raw(key, &string(value))
    }

    /// With a key and a value that is written to the file as it is.
    #[must_use]
    pub fn raw(mut self, key: &str, value: &str) -> Lease {
        self.fields.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Without a key.
    #[must_use]
    pub fn without(mut self, key: &str) -> Lease {
        self.fields.retain(|(name, _)| name != key);
        self
    }

    /// The record alone, as it appears in the array.
    #[must_use]
    pub fn json(&self) -> String {
        let mut json = "  {\n".to_owned();
        for (i, (key, value)) in self.fields.iter().enumerate() {
            let comma = if i + 1 < self.fields.len() { "," } else { "" };
            writeln!(json, "    {}: {value}{comma}", string(key))
                .expect("writing to a String succeeds");
        }
        json.push_str("  }");
        json
    }
}

/// One record of a `.macs` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MacMap {
    /// The domain's name.
    pub domain: String,
    /// The MAC addresses of its NICs.
    pub macs: Vec<String>,
}

impl MacMap {
    /// A domain with these MAC addresses.
    #[must_use]
    pub fn new(domain: &str, macs: &[&str]) -> MacMap {
        MacMap { domain: domain.to_owned(), macs: macs.iter().map(|&mac| mac.to_owned()).collect() }
    }

    /// The record alone, as it appears in the array.
    #[must_use]
    pub fn json(&self) -> String {
        let macs: Vec<String> =
            self.macs.iter().map(|mac| format!("      {}", string(mac))).collect();
        format!(
            "  {{\n    \"domain\": {},\n    \"macs\": [\n{}\n    ]\n  }}",
            string(&self.domain),
            macs.join(",\n")
        )
    }
}

/// A `.status` file.
#[must_use]
pub fn status_file(leases: &[Lease]) -> String {
    array(leases.iter().map(Lease::json))
}

/// A `.macs` file.
#[must_use]
pub fn macs_file(maps: &[MacMap]) -> String {
    array(maps.iter().map(MacMap::json))
}

/// An array of records that are already formatted; `[
///
/// ]` if there are none.
pub fn array(records: impl Iterator<Item = String>) -> String {
    let records: Vec<String> = records.collect();
    format!("[\n{}\n]\n", records.join(",\n"))
}

/// A JSON string: quotation marks, backslashes and control characters are escaped, everything else stays as it is.
#[must_use]
pub fn string(text: &str) -> String {
    let mut json = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            c if c < ' ' => {
                write!(json, "\\u{:04x}", u32::from(c)).expect("writing to a String succeeds")
            }
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

/// A JSON string with every UTF-16 unit as a `\u` escape, which has the same meaning.
#[must_use]
pub fn escaped_string(text: &str) -> String {
    let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
    format!("\"{units}\"")
}

#[cfg(test)]
mod tests {
    use super::{Lease, MacMap, escaped_string, macs_file, status_file, string};

    #[test]
    fn the_layout_is_libvirts() {
        let lease = Lease::v4("192.168.122.10", "52:54:00:00:00:01", "web", 1_700_000_000);
        let expected = "[\n  {\n    \"ip-address\": \"192.168.122.10\",\n    \
                        \"mac-address\": \"52:54:00:00:00:01\",\n    \"hostname\": \"web\",\n    \
                        \"expiry-time\": 1700000000\n  }\n]\n";
        assert_eq!(status_file(&[lease]), expected);
        let map = MacMap::new("web-vm", &["52:54:00:00:00:01", "52:54:00:00:00:02"]);
        let expected = "[\n  {\n    \"domain\": \"web-vm\",\n    \"macs\": [\n      \
                        \"52:54:00:00:00:01\",\n      \"52:54:00:00:00:02\"\n    ]\n  }\n]\n";
        assert_eq!(macs_file(&[map]), expected);
        assert_eq!(macs_file(&[]), "[\n\n]\n");
    }

    #[test]
    fn strings_are_escaped() {
        assert_eq!(string("a\"b\\c\u{1}é"), "\"a\\\"b\\\\c\\u0001é\"");
        assert_eq!(escaped_string("a😀"), "\"\\u0061\\uD83D\\uDE00\"");
    }
}
