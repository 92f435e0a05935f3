//! Names as a hosts(5) file, for dnsmasq.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::IpAddr;

use super::answers::Answers;

/// One line for each address: first the name for reverse look-ups, then the other names in ascending order. `bare`: include
/// single-label names.
#[must_use]
pub fn text(answers: &Answers, bare: bool) -> Vec<u8> {
    let mut lines: BTreeMap<IpAddr, Vec<&str>> = BTreeMap::new();
    for (name, addresses) in &answers.names {
        if bare || name.contains('.') {
            for &address in addresses {
                lines.entry(address).or_default().push(name);
            }
        }
    }
    let mut text = Vec::new();
    for (address, names) in lines {
        let first = answers.reverse.get(&address).map(String::as_str);
        // Writing to memory doesn't fail.
        let _ = write!(text, "{address}");
        let others = names.iter().copied().filter(|&name| Some(name) != first);
        for name in first.into_iter().chain(others) {
            let _ = write!(text, " {name}");
        }
        text.push(b'\n');
    }
    text
}
