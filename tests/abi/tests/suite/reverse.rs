//! Look-ups by address.

use abi::c::NO_DATA;
use abi::{How, Lease, MacMap, Module, Query, Status, sandboxed};
use libc::{AF_INET, AF_INET6, AF_UNIX, EAFNOSUPPORT};

use crate::support::*;

const WEB: &str = "52:54:00:00:00:01";
const OLD: &str = "52:54:00:00:00:02";

#[track_caller]
fn assert_name(module: &Module, address: &str, name: &str) {
    for query in [Query::addr(address), Query::addr2(address)] {
        let answer = ask(module, &query);
        assert_eq!(answer.triple(), FOUND, "{query}: {answer}");
        assert_eq!(answer.names, [name.as_bytes()], "{query}");
        assert_eq!(answer.aliases, [] as [&[u8]; 0], "{query}");
        let ip: std::net::IpAddr = address.parse().expect("an address in a test");
        assert_eq!(answer.addresses, [ip.into()], "{query}");
        let family = if ip.is_ipv4() { AF_INET } else { AF_INET6 };
        assert_eq!(answer.family, Some(family), "{query}");
    }
}

#[track_caller]
fn assert_no_name(module: &Module, address: &str) {
    for query in [Query::addr(address), Query::addr2(address)] {
        let answer = ask(module, &query);
        assert_eq!(answer.triple(), UNKNOWN, "{query}: {answer}");
    }
}

#[test]
fn the_name_of_an_address() {
    sandboxed(|state| {
        state.leases(
            "virbr0",
            &[
                Lease::v4("192.168.122.10", WEB, "Web", later()),
                Lease::v6("fd00::10", WEB, "Web", later()),
                Lease::v4("192.168.122.1", OLD, "other", later()),
                Lease::v4("192.168.122.101", OLD, "", later()),
            ],
        );
        state.macs("virbr0", &[MacMap::new("Web VM", &[WEB])]);
        for address in ["192.168.122.10", "fd00::10"] {
            assert_name(host(), address, "Web");
            assert_name(guest(), address, "Web VM");
        }
        assert_name(host(), "192.168.122.1", "other");
        for address in ["192.168.122.100", "192.168.122.2", "92.168.122.10", "fd00::1", "fd00::11"]
        {
            assert_no_name(host(), address);
            assert_no_name(guest(), address);
        }
        // No running guest has that MAC; the lease has no name.
        assert_no_name(guest(), "192.168.122.1");
        assert_no_name(host(), "192.168.122.101");
    });
}

/// Files may write an IPv6 address in any form; it is the same address.
#[test]
fn the_spelling_of_an_address_does_not_matter() {
    for text in ["fd00::a:0:0:1", "FD00::A:0:0:1", "fd00:0:0:0:a:0:0:1", "fd00:0000::000a:0:0:0001"]
    {
        sandboxed(|state| {
            state.leases("virbr0", &[Lease::v6(text, WEB, "web", later())]);
            state.macs("virbr0", &[MacMap::new("web-vm", &[WEB])]);
            assert_name(host(), "fd00::a:0:0:1", "web");
            assert_name(guest(), "fd00::a:0:0:1", "web-vm");
        });
    }
    sandboxed(|state| {
        let escaped = abi::json::escaped_string("10.0.0.1");
        let lease = Lease::v4("", WEB, "web", later()).without("ip-address");
        state.leases("virbr0", &[lease.raw("ip-address", &escaped)]);
        assert_name(host(), "10.0.0.1", "web");
    });
}

#[test]
fn expired_leases_have_no_name() {
    sandboxed(|state| {
        state.leases("virbr0", &[Lease::v4("10.0.0.1", WEB, "web", now() - 1)]);
        state.macs("virbr0", &[MacMap::new("web-vm", &[WEB])]);
        assert_no_name(host(), "10.0.0.1");
        assert_no_name(guest(), "10.0.0.1");
    });
}

/// Two leases of the same address: a running guest's lease comes first, then the one that ends last.
#[test]
fn the_best_lease_names_the_address() {
    sandboxed(|state| {
        let old = Lease::v4("10.0.0.1", OLD, "old", later() + 100);
        let new = Lease::v4("10.0.0.1", WEB, "new", later());
        state.leases("virbr0", &[new.clone(), old.clone()]);
        assert_name(host(), "10.0.0.1", "old");
        state.leases("virbr0", &[old.clone(), new.clone()]);
        assert_name(host(), "10.0.0.1", "old");
        state.macs("virbr0", &[MacMap::new("new-vm", &[WEB])]);
        assert_name(host(), "10.0.0.1", "new");
        assert_name(guest(), "10.0.0.1", "new-vm");
        state.leases("virbr0", &[new]);
        state.leases("virbr1", &[old]);
        assert_name(host(), "10.0.0.1", "new");
        state.macs("virbr1", &[MacMap::new("old-vm", &[OLD])]);
        assert_name(host(), "10.0.0.1", "old");
        assert_name(guest(), "10.0.0.1", "old-vm");
    });
}

/// A guest can't claim a name of this host, or an invalid one.
#[test]
fn invalid_names_are_not_returned() {
    for name in ["localhost", "localhost.localdomain", "a b", "-x", "10.0.0.2", "wäb", "a\u{1b}[2J"]
    {
        sandboxed(|state| {
            state.leases("virbr0", &[Lease::v4("10.0.0.1", WEB, name, later())]);
            assert_no_name(host(), "10.0.0.1");
        });
    }
}

/// A bad name does not hide a good one of the same address.
#[test]
fn a_lease_without_a_name_hides_nothing() {
    sandboxed(|state| {
        state.leases(
            "virbr0",
            &[
                Lease::v4("10.0.0.1", WEB, "", later() + 2),
                Lease::v4("10.0.0.1", WEB, "localhost", later() + 1),
                Lease::v4("10.0.0.1", WEB, "web", later()),
            ],
        );
        assert_name(host(), "10.0.0.1", "web");
    });
}

#[test]
fn leases_belong_to_the_bridge_of_the_nic() {
    sandboxed(|state| {
        state.leases("virbr0", &[Lease::v4("10.0.0.1", WEB, "web", later())]);
        state.macs("virbr1", &[MacMap::new("web-vm", &[WEB])]);
        assert_no_name(guest(), "10.0.0.1");
        state.macs("virbr0", &[MacMap::new("web-vm", &[WEB])]);
        assert_name(guest(), "10.0.0.1", "web-vm");
    });
}

#[test]
fn other_families_are_not_supported() {
    sandboxed(|state| {
        state.leases("virbr0", &[Lease::v4("10.0.0.1", WEB, "web", later())]);
        for module in [host(), guest()] {
            for family in [AF_UNIX, -1, 99] {
                let address = vec![10, 0, 0, 1];
                for query in [Query::Addr(address.clone(), family), Query::Addr2(address, family)] {
                    let answer = ask(module, &query);
                    assert_eq!(
                        answer.triple(),
                        (Status::Unavail, EAFNOSUPPORT, NO_DATA),
                        "{query}"
                    );
                }
            }
        }
    });
}

/// The length of the address must be the family's.
#[test]
fn lengths_that_do_not_fit_are_unknown_addresses() {
    sandboxed(|state| {
        state.leases("virbr0", &[Lease::v4("10.0.0.1", WEB, "web", later())]);
        for (length, family) in
            [(0, AF_INET), (3, AF_INET), (16, AF_INET), (4, AF_INET6), (17, AF_INET6)]
        {
            let mut address = vec![10, 0, 0, 1];
            address.resize(length, 0);
            let answer =
                host().ask(&Query::Addr(address, family), &How::default()).expect("exported");
            assert_ne!(answer.status, Status::Success, "{length} bytes of family {family}");
            assert_ne!(answer.status, Status::TryAgain, "{length} bytes of family {family}");
        }
    });
}
