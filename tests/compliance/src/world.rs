//! A state directory as values, and its files: JSON has many ways to write the same record.

use abi::StateDir;
use abi::json::{array, escaped_string, string};

/// The files of all bridges.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// In no particular order.
    pub bridges: Vec<Bridge>,
}

/// The two files of a bridge.
#[derive(Clone, Debug)]
pub struct Bridge {
    /// The interface's name.
    pub name: String,
    /// `.status`; `None` without such a file.
    pub leases: Option<File<Lease>>,
    /// `.macs`; `None` without such a file.
    pub macs: Option<File<MacMap>>,
}

/// A file of records.
#[derive(Clone, Debug)]
pub struct File<R> {
    /// Its records.
    pub records: Vec<R>,
    /// The damage to the file.
    pub damage: Damage,
}

/// The kinds of damage to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// None.
    None,
    /// It is empty.
    Empty,
    /// It ends within its last record.
    CutShort,
    /// Garbage follows the last record.
    Trailing,
    /// It is a directory.
    Directory,
}

/// A record of a `.status` file.
#[derive(Clone, Debug)]
pub struct Lease {
    /// `ip-address`.
    pub ip: String,
    /// `mac-address`.
    pub mac: Option<String>,
    /// `hostname`.
    pub hostname: Option<String>,
    /// `domain`.
    pub domain: Option<String>,
    /// `client-id`.
    pub client: Option<String>,
    /// `expiry-time`.
    pub expiry: Expiry,
    /// A key that libvirt doesn't write.
    pub extra: Option<Extra>,
    /// Its formatting.
    pub style: Style,
}

/// The value of `expiry-time`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// The key is missing.
    Absent,
    /// Seconds since 1970; 0 never ends.
    At(i64),
    /// The seconds as a string, which is the wrong type.
    Text(i64),
    /// JSON's null, which is the wrong type.
    Null,
}

/// The value of a key that libvirt doesn't write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    /// A string.
    Text,
    /// An integer.
    Integer,
    /// A number with a fraction.
    Fraction,
    /// JSON's null.
    Null,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// The formatting of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Which key comes first.
    pub first_key: usize,
    /// Whether every character of a string is a `\u` escape.
    pub escaped: bool,
    /// Whether blanks and newlines are left out.
    pub compact: bool,
}

/// A record of a `.macs` file.
#[derive(Clone, Debug)]
pub struct MacMap {
    /// `domain`.
    pub domain: String,
    /// `macs`.
    pub macs: Vec<String>,
    /// Its formatting.
    pub style: Style,
}

impl World {
    /// Writes all files to an empty state directory.
    pub fn write(&self, state: &StateDir) {
        for bridge in &self.bridges {
            if let Some(leases) = &bridge.leases {
                leases.write(state, &format!("{}.status", bridge.name), Lease::json);
            }
            if let Some(macs) = &bridge.macs {
                macs.write(state, &format!("{}.macs", bridge.name), MacMap::json);
            }
        }
    }
}

impl<R> File<R> {
    fn write(&self, state: &StateDir, name: &str, json: fn(&R) -> String) {
        let mut text = array(self.records.iter().map(json));
        match self.damage {
            Damage::None => {}
            Damage::Empty => text.clear(),
            // The end of the file and the last record's brace.
            Damage::CutShort => text.truncate(text.rfind('}').unwrap_or(1)),
            Damage::Trailing => {
                // libvirt's modules read 1024 bytes at a time. From 11.3 on, they miss garbage that is split between
                // two reads.
                if text.len() % 1024 > 1000 {
                    text.insert_str(0, &" ".repeat(48));
                }
                text.push_str("{nonsense");
            }
            Damage::Directory => {
                state.directory(name);
                return;
            }
        }
        state.write(name, text);
    }

    /// The complete records.
    #[must_use]
    pub fn whole_records(&self) -> &[R] {
        match self.damage {
            Damage::None | Damage::Trailing => &self.records,
            Damage::Empty | Damage::Directory => &[],
            Damage::CutShort => &self.records[..self.records.len().saturating_sub(1)],
        }
    }
}

impl Lease {
    fn json(&self) -> String {
        let text = |value: &str| self.style.string(value);
        let mut fields = vec![("ip-address", text(&self.ip))];
        let optional = [
            ("mac-address", &self.mac),
            ("hostname", &self.hostname),
            ("domain", &self.domain),
            ("client-id", &self.client),
        ];
        for (key, value) in optional {
            if let Some(value) = value {
                fields.push((key, text(value)));
            }
        }
        match self.expiry {
            Expiry::Absent => {}
            Expiry::At(time) => fields.push(("expiry-time", time.to_string())),
            Expiry::Text(time) => fields.push(("expiry-time", text(&time.to_string()))),
            Expiry::Null => fields.push(("expiry-time", "null".to_owned())),
        }
        if let Some(extra) = self.extra {
            let value = match extra {
                Extra::Text => "\"x\"",
                Extra::Integer => "17",
                Extra::Fraction => "0.5",
                Extra::Null => "null",
                Extra::Array => "[\"x\"]",
                Extra::Object => "{\"x\": \"y\"}",
            };
            fields.push(("new-key", value.to_owned()));
        }
        self.style.object(fields)
    }
}

impl MacMap {
    fn json(&self) -> String {
        let macs: Vec<String> = self.macs.iter().map(|mac| self.style.string(mac)).collect();
        self.style.object(vec![
            ("domain", self.style.string(&self.domain)),
            ("macs", format!("[{}]", macs.join(","))),
        ])
    }
}

impl Style {
    fn string(self, text: &str) -> String {
        if self.escaped { escaped_string(text) } else { string(text) }
    }

    fn object(self, mut fields: Vec<(&str, String)>) -> String {
        let first = self.first_key % fields.len();
        fields.rotate_left(first);
        let (start, between, colon, end) = if self.compact {
            ("{", ",", ":", "}")
        } else {
            ("  {\n    ", ",\n    ", ": ", "\n  }")
        };
        let fields: Vec<String> = fields
            .into_iter()
            .map(|(key, value)| format!("{}{colon}{value}", self.string(key)))
            .collect();
        format!("{start}{}{end}", fields.join(between))
    }
}
