//! Names: when two match, and which are never answered.

use abi::json::{escaped_string, string};
use abi::{Lease, MacMap, sandboxed};

use crate::support::*;

const MAC: &str = "52:54:00:00:00:01";
const IP: &str = "192.168.122.10";

/// A lease of one host.
fn lease(hostname: &str) -> Lease {
    Lease::v4(IP, MAC, hostname, later())
}

#[test]
fn ascii_case_is_ignored() {
    sandboxed(|state| {
        state.leases("virbr0", &[lease("Web-Server")]);
        state.macs("virbr0", &[MacMap::new("Web-VM", &[MAC])]);
        for name in ["Web-Server", "web-server", "WEB-SERVER", "wEb-sErVer"] {
            assert_addresses(host(), name, &[IP]);
        }
        for name in ["Web-VM", "web-vm", "WEB-VM"] {
            assert_addresses(guest(), name, &[IP]);
        }
        for name in ["web", "web-serve", "web-server1", "eb-server", "web_server"] {
            assert_unknown(host(), name);
        }
        for name in ["web", "web-v", "web-vm1", "eb-vm"] {
            assert_unknown(guest(), name);
        }
    });
}

/// Only ASCII letters match in either case: other bytes that differ in the sixth bit are different.
#[test]
fn only_ascii_case_is_ignored() {
    sandboxed(|state| {
        state.leases("virbr0", &[lease("a-b"), Lease::v4("10.0.0.2", MAC, "a_b", later())]);
        state.macs("virbr0", &[MacMap::new("vm@ä", &[MAC]), MacMap::new("vm[", &[MAC])]);
        assert_addresses(host(), "A-B", &[IP]);
        assert_unknown(guest(), "vm`ä");
        assert_unknown(guest(), "VM@Ä");
        assert_unknown(guest(), "vm{");
    });
}

#[test]
fn one_trailing_dot_is_ignored() {
    sandboxed(|state| {
        state.leases("virbr0", &[lease("web")]);
        state.macs("virbr0", &[MacMap::new("web-vm", &[MAC])]);
        assert_addresses(host(), "web.", &[IP]);
        assert_addresses(guest(), "Web-VM.", &[IP]);
        assert_unknown(host(), "web..");
        assert_unknown(guest(), "web-vm..");
        assert_unknown(host(), ".web");
        assert_unknown(host(), ".");
        assert_unknown(guest(), ".");
        assert_unknown(host(), "");
        assert_unknown(guest(), "");
    });
}

#[test]
fn escapes_are_decoded() {
    sandboxed(|state| {
        let record = Lease::new()
            .raw("ip-address", &escaped_string(IP))
            .raw("mac-address", &escaped_string(MAC))
            .raw("hostname", &escaped_string("web"))
            .expiry(later());
        state.leases("virbr0", &[record]);
        let macs = format!(
            "[{{\"domain\": {}, \"macs\": [{}]}}]",
            escaped_string("wäb \"vm\" \\ 😀"),
            escaped_string(MAC)
        );
        state.write("virbr0.macs", macs);
        assert_addresses(host(), "web", &[IP]);
        assert_addresses(guest(), "wäb \"vm\" \\ 😀", &[IP]);
    });
}

/// The keys may be escaped as well as the values.
#[test]
fn escaped_keys_are_keys() {
    sandboxed(|state| {
        let record = format!(
            "[{{{}: {}, {}: {}, {}: {}, {}: {}}}]",
            escaped_string("ip-address"),
            string(IP),
            escaped_string("mac-address"),
            string(MAC),
            "\"hostn\\u0061me\"",
            string("web"),
            escaped_string("expiry-time"),
            later(),
        );
        state.write("virbr0.status", record);
        let macs =
            format!("[{{{}: \"web-vm\", \"m\\u0061cs\": [\"{MAC}\"]}}]", escaped_string("domain"));
        state.write("virbr0.macs", macs);
        assert_addresses(host(), "web", &[IP]);
        assert_addresses(guest(), "web-vm", &[IP]);
    });
}

#[test]
fn every_short_escape_is_decoded() {
    sandboxed(|state| {
        state.leases("virbr0", &[lease("web")]);
        let macs = format!(r#"[{{"domain": "a\"b\\c\/d\be\ff\ng\rh\ti", "macs": ["{MAC}"]}}]"#);
        state.write("virbr0.macs", macs);
        assert_addresses(guest(), "a\"b\\c/d\u{8}e\u{c}f\ng\rh\ti", &[IP]);
    });
}

/// Half a surrogate pair is not a character: the record is skipped, the others are not.
#[test]
fn half_a_surrogate_pair_spoils_only_its_record() {
    for half in ["\\ud83d", "\\ude00", "\\ud83d\\u0041", "\\ud83dx", "\\u12", "\\uzzzz", "\\x41"] {
        sandboxed(|state| {
            let bad = Lease::new().text("ip-address", "10.0.0.66").text("mac-address", MAC);
            let bad = bad.raw("hostname", &format!("\"web{half}\"")).expiry(later());
            state.leases("virbr0", &[bad, lease("web")]);
            let good = MacMap::new("web-vm", &[MAC]);
            let maps =
                [format!("  {{\"domain\": \"x{half}\", \"macs\": [\"{MAC}\"]}}"), good.json()];
            state.write("virbr0.macs", abi::json::array(maps.into_iter()));
            assert_addresses(host(), "web", &[IP]);
            assert_addresses(guest(), "web-vm", &[IP]);
        });
    }
}

/// A NUL in a name in a file must not truncate it: a C caller can't even ask for such a name.
#[test]
fn an_escaped_nul_does_not_end_a_name() {
    sandboxed(|state| {
        let nul = Lease::new().text("ip-address", IP).text("mac-address", MAC);
        state.leases("virbr0", &[nul.raw("hostname", "\"web\\u0000x\"").expiry(later())]);
        state.write("virbr0.macs", format!(r#"[{{"domain": "vm\u0000x", "macs": ["{MAC}"]}}]"#));
        assert_unknown(host(), "web");
        assert_unknown(guest(), "vm");
    });
}

/// A guest can send any name over DHCP. It must not be able to take over the host's own names, or have a name that
/// isn't a valid host name.
#[test]
fn no_guest_has_localhost_or_an_invalid_host_name() {
    let long_label = "a".repeat(64);
    let long_name = vec!["a".repeat(63); 4].join(".");
    let names = [
        "localhost",
        "LocalHost",
        "localhost.",
        "foo.localhost",
        "localhost.localdomain",
        "-web",
        "web-",
        "we b",
        "web/1",
        "web\n",
        "wäb",
        "a..b",
        "127.0.0.1",
        "10.1",
        "1",
        "0x7f000001",
        "::1",
        "fd00::1",
        "*",
        "web%virbr0",
        &long_label,
        &long_name,
    ];
    for name in names {
        sandboxed(|state| {
            let dotless = name.strip_suffix('.').unwrap_or(name);
            state.leases("virbr0", &[lease(name), lease(dotless)]);
            assert_unknown(host(), name);
        });
    }
}

#[test]
fn the_longest_names() {
    let label = "a".repeat(63);
    let name = [&label, &label, &label, "a".repeat(61).as_str()].join(".");
    assert_eq!(name.len(), 253);
    sandboxed(|state| {
        state.leases("virbr0", &[lease(&label), Lease::v4("10.0.0.2", MAC, &name, later())]);
        assert_addresses(host(), &label, &[IP]);
        assert_addresses(host(), &name, &["10.0.0.2"]);
        assert_addresses(host(), &format!("{name}."), &["10.0.0.2"]);
    });
}

/// Look-ups of names that are longer than any valid one.
#[test]
fn absurdly_long_names_are_unknown() {
    sandboxed(|state| {
        state.leases("virbr0", &[lease("web")]);
        state.macs("virbr0", &[MacMap::new("web-vm", &[MAC])]);
        for length in [254, 255, 256, 257, 1000, 5000, 70_000] {
            let name = "x".repeat(length);
            assert_unknown(host(), &name);
            assert_unknown(guest(), &name);
        }
    });
}

#[test]
fn domain_names_may_be_anything_that_libvirt_allows() {
    let long = "v".repeat(255);
    for domain in ["web vm", "größe", "日本", "a@b", "-vm-", "10.0.0.1", "a..b", "vm.1", "7", &long]
    {
        sandboxed(|state| {
            state.leases("virbr0", &[lease("")]);
            state.macs("virbr0", &[MacMap::new(domain, &[MAC])]);
            assert_addresses(guest(), domain, &[IP]);
        });
    }
}

#[test]
fn a_guest_called_localhost_is_not_answered() {
    sandboxed(|state| {
        state.leases("virbr0", &[lease("web")]);
        state.macs("virbr0", &[MacMap::new("localhost", &[MAC])]);
        assert_unknown(guest(), "localhost");
        assert_unknown(guest(), "localhost.");
    });
}

/// The network's domain after the host's name, where the lease has the key `domain`.
#[test]
fn host_name_and_network_domain() {
    sandboxed(|state| {
        state.leases(
            "virbr0",
            &[
                lease("web").text("domain", "lab.example"),
                Lease::v4("10.0.0.2", "52:54:00:00:00:02", "web", later() - 60),
                Lease::v4("10.0.0.3", "52:54:00:00:00:03", "web", later() - 90)
                    .text("domain", "example"),
            ],
        );
        assert_addresses(host(), "web", &[IP, "10.0.0.2", "10.0.0.3"]);
        assert_addresses(host(), "web.lab.example", &[IP]);
        assert_addresses(host(), "WEB.Lab.Example.", &[IP]);
        assert_addresses(host(), "web.example", &["10.0.0.3"]);
        for name in ["web.lab", "web.lab.exampl", "web.lab.example.com", "lab.example", "web.x"] {
            assert_unknown(host(), name);
        }
    });
}

/// A host name that contains dots is the whole name.
#[test]
fn host_names_with_dots() {
    sandboxed(|state| {
        state.leases(
            "virbr0",
            &[
                lease("web.lab.example"),
                Lease::v4("10.0.0.2", MAC, "db.lab", later()).text("domain", "example"),
            ],
        );
        assert_addresses(host(), "web.lab.example", &[IP]);
        assert_unknown(host(), "web");
        assert_addresses(host(), "db.lab", &["10.0.0.2"]);
        assert_addresses(host(), "db.lab.example", &["10.0.0.2"]);
        assert_unknown(host(), "db");
    });
}

/// Two libvirt domains may differ only in case; a look-up then returns the one with the exact spelling.
#[test]
fn an_exact_domain_wins_over_one_that_differs_in_case() {
    sandboxed(|state| {
        let other = "52:54:00:00:00:02";
        state.leases("virbr0", &[lease(""), Lease::v4("10.0.0.2", other, "", later())]);
        state.macs("virbr0", &[MacMap::new("web", &[MAC]), MacMap::new("Web", &[other])]);
        assert_addresses(guest(), "web", &[IP]);
        assert_addresses(guest(), "Web", &["10.0.0.2"]);
    });
}
