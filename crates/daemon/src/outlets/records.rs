//! Names as resource records in JSON (systemd.rr(5)), which systemd-resolved serves (261 and newer).

use std::fmt::Write as _;
use std::net::IpAddr;

use guest_store::reverse::reverse_name;

use super::answers::Answers;

/// Resource record types (RFC 1035, RFC 3596).
const A: u16 = 1;
const PTR: u16 = 12;
const AAAA: u16 = 28;

/// An array of records: A and AAAA for each name, including single labels, in ascending order, then PTR for each address.
#[must_use]
pub fn text(answers: &Answers<'_>) -> Vec<u8> {
    let mut text = String::from("[");
    let mut separator = "\n";
    // Names consist of letters, digits, hyphens, underscores and dots, none of which JSON has to escape. Writing to memory
    // doesn't fail.
    for (name, address) in &answers.names {
        let (kind, octets) = match address {
            IpAddr::V4(address) => (A, address.octets().to_vec()),
            IpAddr::V6(address) => (AAAA, address.octets().to_vec()),
        };
        let _ = write!(
            text,
            "{separator}{{\"key\":{{\"type\":{kind},\"name\":\"{name}\"}},\"address\":{octets:?}}}"
        );
        separator = ",\n";
    }
    let reverse =
        answers.addresses.iter().filter_map(|named| Some((named.address, named.reverse?)));
    for (address, name) in reverse {
        let _ = write!(
            text,
            "{separator}{{\"key\":{{\"type\":{PTR},\"name\":\"{}\"}},\"name\":\"{name}\"}}",
            reverse_name(address)
        );
        separator = ",\n";
    }
    text.push_str("\n]\n");
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outlets::answers::NamesOf;

    #[test]
    fn records_of_systemd() {
        let (v4, v6) = (IpAddr::from([10, 0, 0, 7]), "fd00::a1".parse().unwrap());
        let reverse = Some("web.vm.internal");
        let named = |address, names| NamesOf { address, names, reverse };
        let answers = Answers {
            names: vec![("web", v4), ("web.vm.internal", v4), ("web.vm.internal", v6)],
            addresses: vec![
                named(v4, vec!["web", "web.vm.internal"]),
                named(v6, vec!["web.vm.internal"]),
            ],
            ..Answers::default()
        };
        let json: serde_json::Value = serde_json::from_slice(&text(&answers)).unwrap();
        let six = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xa1];
        let reverse_six = format!("1.a.{}d.f.ip6.arpa", "0.".repeat(28));
        let expected = serde_json::json!([
            {"key": {"type": 1, "name": "web"}, "address": [10, 0, 0, 7]},
            {"key": {"type": 1, "name": "web.vm.internal"}, "address": [10, 0, 0, 7]},
            {"key": {"type": 28, "name": "web.vm.internal"}, "address": six},
            {"key": {"type": 12, "name": "7.0.0.10.in-addr.arpa"}, "name": "web.vm.internal"},
            {"key": {"type": 12, "name": reverse_six}, "name": "web.vm.internal"},
        ]);
        assert_eq!(json, expected);
        assert_eq!(text(&Answers::default()), b"[\n]\n");
    }
}
