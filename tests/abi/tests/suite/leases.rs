//! Which leases count: expiry, leases left behind by destroyed guests, duplicates, order, MAC addresses.

use abi::{Lease, MacMap, Query, sandboxed};

use crate::support::*;

const WEB: &str = "52:54:00:00:00:01";
const OLD: &str = "52:54:00:00:00:02";

#[test]
fn expired_leases_do_not_count() {
    sandboxed(|state| {
        state.leases(
            "virbr0",
            &[
                Lease::v4("10.0.0.1", WEB, "gone", now() - 1),
                Lease::v4("10.0.0.2", WEB, "gone", 1),
                Lease::v4("10.0.0.3", WEB, "half", now() - 1),
                Lease::v6("fd00::3", WEB, "half", later()),
            ],
        );
        state.macs("virbr0", &[MacMap::new("web-vm", &[WEB])]);
        assert_unknown(host(), "gone");
        assert_addresses(host(), "half", &["fd00::3"]);
        assert_addresses(guest(), "web-vm", &["fd00::3"]);
    });
}

/// A running guest whose leases have all expired exists but has no address.
#[test]
fn a_guest_with_only_expired_leases_has_no_address() {
    sandboxed(|state| {
        state.leases("virbr0", &[Lease::v4("10.0.0.1", WEB, "web", now() - 1)]);
        state.macs("virbr0", &[MacMap::new("web-vm", &[WEB])]);
        assert_no_address(guest(), "web-vm");
    });
}

/// A lease ends after its last second. The clock is read before and after the call; only if both readings agree is the
/// answer about that second.
#[test]
fn a_lease_is_valid_through_its_last_second() {
    sandboxed(|state| {
        state.macs("virbr0", &[MacMap::new("web-vm", &[WEB])]);
        for _ in 0..100 {
            let second = now();
            state.leases("virbr0", &[Lease::v4("10.0.0.1", WEB, "web", second)]);
            let host = host().resolve(&Query::name4("web")).expect("exported");
            let guest = guest().resolve(&Query::name4("web-vm")).expect("exported");
            if now() == second {
                assert_eq!((host.triple(), guest.triple()), (FOUND, FOUND));
                return;
            }
        }
        panic!("no look-up ended within the second in which it began");
    });
}

#[test]
fn no_expiry_or_zero_never_ends() {
    sandboxed(|state| {
        state.leases(
            "virbr0",
            &[
                Lease::v4("10.0.0.1", WEB, "zero", 0),
                Lease::v4("10.0.0.2", OLD, "none", 0).without("expiry-time"),
            ],
        );
        state.macs("virbr0", &[MacMap::new("zero-vm", &[WEB]), MacMap::new("none-vm", &[OLD])]);
        assert_addresses(host(), "zero", &["10.0.0.1"]);
        assert_addresses(host(), "none", &["10.0.0.2"]);
        assert_addresses(guest(), "zero-vm", &["10.0.0.1"]);
        assert_addresses(guest(), "none-vm", &["10.0.0.2"]);
    });
}

#[test]
fn times_far_away() {
    for (expiry, holds) in [
        ("2147483647", true),
        ("2147483648", true),
        ("4294967296", true),
        ("253402300800", true),
        ("9223372036854775807", true),
        ("18446744073709551616", true),
        ("-1", false),
        ("-9223372036854775808", false),
    ] {
        sandboxed(|state| {
            let lease = Lease::v4("10.0.0.1", WEB, "web", 0).without("expiry-time");
            state.leases("virbr0", &[lease.raw("expiry-time", expiry)]);
            if holds {
                assert_addresses(host(), "web", &["10.0.0.1"]);
            } else {
                assert_unknown(host(), "web");
            }
        });
    }
}

/// The latest expiry first, and leases that never end before all others; across families, files and bridges.
#[test]
fn the_latest_expiry_comes_first() {
    sandboxed(|state| {
        state.leases(
            "virbr0",
            &[
                Lease::v4("10.0.0.3", WEB, "web", later() + 300),
                Lease::v4("10.0.0.1", WEB, "web", later() + 100),
                Lease::v6("fd00::5", WEB, "web", later() + 500),
            ],
        );
        state.leases(
            "virbr1",
            &[
                Lease::v4("10.0.0.2", WEB, "web", later() + 200),
                Lease::v4("10.0.0.9", WEB, "web", 0),
                Lease::v4("10.0.0.4", WEB, "web", later() + 400),
                Lease::v4("10.0.0.8", WEB, "web", 1 << 40),
            ],
        );
        let maps = [MacMap::new("web-vm", &[WEB])];
        state.macs("virbr0", &maps).macs("virbr1", &maps);
        let order =
            ["10.0.0.8", "fd00::5", "10.0.0.4", "10.0.0.3", "10.0.0.2", "10.0.0.1", "10.0.0.9"];
        assert_addresses(host(), "web", &order);
        assert_addresses(guest(), "web-vm", &order);
    });
}

/// Leases that expire in the same second keep the order of the file.
#[test]
fn equal_expiry_keeps_the_order_of_the_file() {
    sandboxed(|state| {
        let end = later();
        let ips: Vec<String> = (0..30).map(|i| format!("10.0.0.{}", (i * 7) % 30)).collect();
        let leases: Vec<Lease> = ips.iter().map(|ip| Lease::v4(ip, WEB, "web", end)).collect();
        state.leases("virbr0", &leases);
        state.macs("virbr0", &[MacMap::new("web-vm", &[WEB])]);
        let order: Vec<&str> = ips.iter().map(String::as_str).collect();
        assert_addresses(host(), "web", &order);
        assert_addresses(guest(), "web-vm", &order);
    });
}

#[test]
fn duplicates_are_returned_once() {
    sandboxed(|state| {
        state.leases(
            "virbr0",
            &[
                Lease::v4("10.0.0.1", WEB, "web", later() + 100),
                Lease::v4("10.0.0.2", WEB, "web", later() + 200),
                Lease::v4("10.0.0.1", WEB, "web", later() + 300),
                Lease::v6("fd00::1", WEB, "web", later() + 50),
                Lease::v6("FD00:0:0::0001", WEB, "web", later() + 40),
            ],
        );
        state.leases("virbr1", &[Lease::v4("10.0.0.2", WEB, "web", later() + 10)]);
        let maps = [MacMap::new("web-vm", &[WEB])];
        state.macs("virbr0", &maps).macs("virbr1", &maps);
        assert_addresses(host(), "web", &["10.0.0.1", "10.0.0.2", "fd00::1"]);
        assert_addresses(guest(), "web-vm", &["10.0.0.1", "10.0.0.2", "fd00::1"]);
    });
}

/// An IPv6 address that begins with the bytes of an IPv4 address is a different address.
#[test]
fn families_are_not_mixed_up() {
    sandboxed(|state| {
        state.leases(
            "virbr0",
            &[
                Lease::v4("10.0.0.1", WEB, "web", later() + 100),
                Lease::v6("a00:1::", WEB, "web", later() + 50),
                Lease::v6("::ffff:10.0.0.1", WEB, "web", later() + 40),
            ],
        );
        assert_addresses(host(), "web", &["10.0.0.1", "a00:1::", "::ffff:10.0.0.1"]);
    });
}

/// A guest that was destroyed and created again under its old host name leaves a lease behind. That lease only answers
/// while no running guest has the name.
#[test]
fn a_running_guest_hides_leases_left_behind() {
    sandboxed(|state| {
        let left = Lease::v4("10.0.0.66", OLD, "web", later() + 100);
        let running = Lease::v4("10.0.0.1", WEB, "web", later());
        state.leases("virbr0", &[left.clone(), running.clone()]);

        // No guest runs: both leases answer, the latest first.
        assert_addresses(host(), "web", &["10.0.0.66", "10.0.0.1"]);
        state.macs("virbr0", &[]);
        assert_addresses(host(), "web", &["10.0.0.66", "10.0.0.1"]);
        state.macs("virbr0", &[MacMap::new("other-vm", &["52:54:00:00:00:77"])]);
        assert_addresses(host(), "web", &["10.0.0.66", "10.0.0.1"]);

        // The new guest runs.
        state.macs("virbr0", &[MacMap::new("web-vm", &[WEB])]);
        assert_addresses(host(), "web", &["10.0.0.1"]);

        // Both run, as two guests with one host name.
        state.macs("virbr0", &[MacMap::new("web-vm", &[WEB]), MacMap::new("old-vm", &[OLD])]);
        assert_addresses(host(), "web", &["10.0.0.66", "10.0.0.1"]);

        // The lease left behind is the only one. It may belong to a guest that libvirt doesn't run.
        state.macs("virbr0", &[MacMap::new("web-vm", &[WEB])]);
        state.leases("virbr0", &[left]);
        assert_addresses(host(), "web", &["10.0.0.66"]);
    });
}

/// A lease left behind on one bridge and a running guest on another; families count together.
#[test]
fn left_behind_across_bridges_and_families() {
    sandboxed(|state| {
        state.leases("virbr0", &[Lease::v4("10.0.0.66", OLD, "web", later() + 100)]);
        state.leases("virbr1", &[Lease::v6("fd00::1", WEB, "web", later())]);
        state.macs("virbr0", &[]);
        state.macs("virbr1", &[MacMap::new("web-vm", &[WEB])]);
        assert_addresses(host(), "web", &["fd00::1"]);
        // The MAC map of one bridge says nothing about a NIC on another.
        state.macs("virbr0", &[MacMap::new("web-vm", &[WEB])]);
        state.macs("virbr1", &[]);
        assert_addresses(host(), "web", &["10.0.0.66", "fd00::1"]);
    });
}

/// An expired lease of a running guest doesn't hide current ones.
#[test]
fn an_expired_lease_hides_nothing() {
    sandboxed(|state| {
        state.leases(
            "virbr0",
            &[
                Lease::v4("10.0.0.66", OLD, "web", later()),
                Lease::v4("10.0.0.1", WEB, "web", now() - 1),
            ],
        );
        state.macs("virbr0", &[MacMap::new("web-vm", &[WEB])]);
        assert_addresses(host(), "web", &["10.0.0.66"]);
    });
}

/// dnsmasq writes MACs in lower case, and puts a hardware type before some; libvirt's XML may have
/// them in upper case.
#[test]
fn mac_addresses_are_compared_as_numbers() {
    for in_lease in ["52:54:00:ab:cd:ef", "52:54:00:AB:CD:EF", "06-52:54:00:ab:cd:ef"] {
        for in_map in ["52:54:00:ab:cd:ef", "52:54:00:Ab:cD:EF"] {
            sandboxed(|state| {
                state.leases(
                    "virbr0",
                    &[
                        Lease::v4("10.0.0.66", OLD, "web", later() + 1),
                        Lease::v4("10.0.0.1", in_lease, "web", later()),
                    ],
                );
                state.macs("virbr0", &[MacMap::new("web-vm", &[in_map])]);
                assert_addresses(host(), "web", &["10.0.0.1"]);
                assert_addresses(guest(), "web-vm", &["10.0.0.1"]);
            });
        }
    }
}

/// A host name needs no MAC address; a domain name does.
#[test]
fn a_lease_without_a_mac_address() {
    sandboxed(|state| {
        state.leases(
            "virbr0",
            &[
                Lease::v4("10.0.0.1", WEB, "web", later()).without("mac-address"),
                Lease::v4("10.0.0.2", "nonsense", "db", later()),
            ],
        );
        state.macs("virbr0", &[MacMap::new("web-vm", &[WEB]), MacMap::new("db-vm", &["nonsense"])]);
        assert_addresses(host(), "web", &["10.0.0.1"]);
        assert_addresses(host(), "db", &["10.0.0.2"]);
        assert_no_address(guest(), "web-vm");
        assert_no_address(guest(), "db-vm");
    });
}

#[test]
fn a_guest_with_many_nics_on_several_bridges() {
    sandboxed(|state| {
        let mac = |i: usize| format!("52:54:00:00:{:02x}:{:02x}", i / 256, i % 256);
        let (mut leases, mut macs) = (vec![Vec::new(); 3], vec![Vec::new(); 3]);
        for i in 0..300 {
            leases[i % 3].push(Lease::v4(
                &format!("10.1.{}.{}", i / 200, i % 200),
                &mac(i),
                "",
                later() + i64::try_from(i).expect("small"),
            ));
            macs[i % 3].push(mac(i));
        }
        for (i, (leases, macs)) in leases.iter().zip(&macs).enumerate() {
            let macs: Vec<&str> = macs.iter().map(String::as_str).collect();
            state.leases(&format!("virbr{i}"), leases);
            state.macs(&format!("virbr{i}"), &[MacMap::new("big-vm", &macs)]);
        }
        let answer = guest().resolve(&Query::name4("big-vm")).expect("exported");
        let wanted: Vec<String> =
            (0..300).rev().map(|i| format!("10.1.{}.{}", i / 200, i % 200)).collect();
        assert_eq!((answer.triple(), answer.addresses_text()), (FOUND, wanted));
    });
}

/// A guest's lease counts on the bridge where its NIC is, not on another where the MAC used to be.
#[test]
fn leases_belong_to_the_bridge_of_the_nic() {
    sandboxed(|state| {
        state.leases("virbr0", &[Lease::v4("10.0.0.1", WEB, "web", later())]);
        state.leases("virbr1", &[Lease::v4("10.0.1.1", WEB, "web", later() + 1)]);
        state.macs("virbr0", &[MacMap::new("web-vm", &[WEB])]);
        assert_addresses(guest(), "web-vm", &["10.0.0.1"]);
    });
}

/// A domain may have several records in one file, as with old versions of libvirt.
#[test]
fn a_domain_with_two_records() {
    sandboxed(|state| {
        state.leases(
            "virbr0",
            &[Lease::v4("10.0.0.1", WEB, "", later()), Lease::v4("10.0.0.2", OLD, "", later() - 1)],
        );
        let maps = [MacMap::new("web-vm", &[WEB]), MacMap::new("web-vm", &[OLD])];
        state.macs("virbr0", &maps);
        assert_addresses(guest(), "web-vm", &["10.0.0.1", "10.0.0.2"]);
    });
}

/// Other files in the directory are ignored.
#[test]
fn other_files_are_not_read() {
    sandboxed(|state| {
        let lease = [Lease::v4("10.0.0.1", WEB, "web", later())];
        for name in ["default.conf", "virbr0.status.new", "virbr0status", "status", ".status", "x"]
        {
            state.write(name, abi::json::status_file(&lease));
        }
        state.macs("virbr0", &[MacMap::new("web-vm", &[WEB])]);
        assert_unknown(host(), "web");
        assert_no_address(guest(), "web-vm");
    });
}
