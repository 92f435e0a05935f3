//! The table of answers: status, errno, `h_errno` and values in each case.

use abi::c::NO_DATA;
use abi::{How, Lease, MacMap, Query, StateDir, Status, sandboxed};
use libc::{AF_INET, AF_INET6, AF_UNIX, EAFNOSUPPORT};

use crate::support::*;

const WEB: &str = "52:54:00:00:00:01";
const DB: &str = "52:54:00:00:00:02";
const SIX: &str = "52:54:00:00:00:06";

/// Guests with both families, with only IPv4, with only IPv6, and without a lease.
fn guests(state: &StateDir) {
    state.leases(
        "virbr0",
        &[
            Lease::v4("192.168.122.10", WEB, "web", later()),
            Lease::v6("fd00::10", WEB, "web", later() - 60),
            Lease::v4("192.168.122.20", DB, "db", later()),
            Lease::v6("fd00::60", SIX, "six", later()),
        ],
    );
    state.macs(
        "virbr0",
        &[
            MacMap::new("web-vm", &[WEB]),
            MacMap::new("db-vm", &[DB]),
            MacMap::new("six-vm", &[SIX]),
            MacMap::new("idle-vm", &["52:54:00:00:00:09"]),
        ],
    );
}

#[test]
fn addresses_of_both_families() {
    sandboxed(|state| {
        guests(state);
        assert_addresses(host(), "web", &["192.168.122.10", "fd00::10"]);
        assert_addresses(guest(), "web-vm", &["192.168.122.10", "fd00::10"]);
    });
}

#[test]
fn ipv4_alone() {
    sandboxed(|state| {
        guests(state);
        assert_addresses(host(), "db", &["192.168.122.20"]);
        assert_addresses(guest(), "db-vm", &["192.168.122.20"]);
    });
}

#[test]
fn ipv6_alone() {
    sandboxed(|state| {
        guests(state);
        assert_addresses(host(), "six", &["fd00::60"]);
        assert_addresses(guest(), "six-vm", &["fd00::60"]);
    });
}

#[test]
fn unknown_names() {
    sandboxed(|state| {
        guests(state);
        assert_unknown(host(), "mail");
        assert_unknown(guest(), "mail-vm");
        // Each module knows only its own kind of name.
        assert_unknown(host(), "web-vm");
        assert_unknown(guest(), "web");
    });
}

#[test]
fn a_guest_without_a_lease_is_known_and_has_no_address() {
    sandboxed(|state| {
        guests(state);
        assert_no_address(guest(), "idle-vm");
    });
}

#[test]
fn an_empty_state_directory_knows_nothing() {
    sandboxed(|_| {
        assert_unknown(host(), "web");
        assert_unknown(guest(), "web-vm");
    });
}

#[test]
fn other_families_are_not_supported() {
    sandboxed(|state| {
        guests(state);
        for (module, name) in [(host(), "web"), (guest(), "web-vm"), (host(), "mail")] {
            for family in [AF_UNIX, -1, 1000] {
                for query in [Query::name2(name, family), Query::name3(name, family)] {
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

/// glibc calls 2_r through a pointer of 3_r's type, and vice versa if a module has only one of them,
/// so the two must agree.
#[test]
fn second_and_third_entry_point_agree() {
    sandboxed(|state| {
        guests(state);
        for name in ["web", "db", "six", "mail"] {
            for family in [AF_INET, AF_INET6] {
                let how = How::default();
                let two = host().gethostbyname2_r(name.as_bytes(), family, &how);
                let three = host().gethostbyname3_r(name.as_bytes(), family, &how);
                let (two, three) = (two.expect("exported"), three.expect("exported"));
                assert_eq!(two.triple(), three.triple());
                assert_eq!((&two.names, &two.addresses), (&three.names, &three.addresses));
                assert_eq!(two.used, three.used);
            }
        }
    });
}
