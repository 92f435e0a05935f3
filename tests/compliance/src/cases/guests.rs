//! Which leases belong to which guest.

use super::common::*;

/// The client ids of a boot loader and of the system that it starts.
const PXE: &str = "01:52:54:00:00:00:01";
const SYSTEM: &str = "ff:56:50:4d:98:00:02:00:00:ab:11:01:02:03:04:05:06:07:08";

fn two_of_a_name(state: &StateDir, now: i64) {
    state
        .leases("virbr0", &[v4(now, "10.0.0.66", OLD, "web"), v4(now - 1, "10.0.0.1", WEB, "web")]);
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("left behind", Host, |state, now| {
            two_of_a_name(state, now);
            state.macs("virbr0", &[MacMap::new("web-vm", &[WEB])]);
        })
        .differs(
            Rule::LeftBehind,
            Query::name4("web"),
            "web: 10.0.0.66 10.0.0.1",
            "web: 10.0.0.1",
        ),
        Case::new("two running guests of one name", Host, |state, now| {
            two_of_a_name(state, now);
            state.macs("virbr0", &[MacMap::new("a", &[WEB]), MacMap::new("b", &[OLD])]);
        })
        .same(Query::name4("web"), "web: 10.0.0.66 10.0.0.1"),
        Case::new("no guest runs", Host, |state, now| {
            two_of_a_name(state, now);
            state.macs("virbr0", &[]);
        })
        .same(Query::name4("web"), "web: 10.0.0.66 10.0.0.1"),
        Case::new("an unknown guest", Guest, |state, now| {
            state.leases("virbr0", &[v4(now, "10.0.0.1", WEB, "web")]);
            state.macs("virbr0", &[MacMap::new("web-vm", &[WEB])]);
        })
        .differs(Rule::UnknownGuest, Query::name4("mail-vm"), GIVES_UP, UNKNOWN)
        .differs(Rule::UnknownGuest, Query::name2("mail-vm", AF_INET), GIVES_UP, UNKNOWN),
        Case::new("a guest without a lease", Guest, |state, now| {
            state.leases("virbr0", &[Lease::v4("10.0.0.1", WEB, "web", now - 60)]);
            state.macs(
                "virbr0",
                &[MacMap::new("web-vm", &[WEB]), MacMap::new("new-vm", &["52:54:00:00:00:77"])],
            );
        })
        .differs(Rule::IdleGuest, Query::name4("web-vm"), UNKNOWN, NO_DATA)
        .differs(Rule::IdleGuest, Query::name2("new-vm", AF_INET), UNKNOWN, NO_DATA),
        Case::new("a guest without a NIC", Guest, |state, _| {
            state.write("virbr0.macs", "[{\"domain\": \"web-vm\", \"macs\": []}]");
        })
        .differs(Rule::IdleGuest, Query::name4("web-vm"), GIVES_UP, NO_DATA),
        Case::new("a NIC that has moved", Guest, |state, now| {
            state.leases("virbr0", &[v4(now, "10.0.0.66", WEB, "web")]);
            state.leases("virbr1", &[v4(now, "10.0.1.1", WEB, "web")]);
            state.macs("virbr0", &[]).macs("virbr1", &[MacMap::new("web-vm", &[WEB])]);
        })
        .differs(
            Rule::Bridge,
            Query::name2("web-vm", AF_INET),
            // In the order of the directory: tmpfs lists the newest file first.
            "web-vm: 10.0.1.1 10.0.0.66",
            "web-vm: 10.0.1.1",
        ),
        Case::new("spellings of MAC addresses", Guest, |state, now| {
            state.leases(
                "virbr0",
                &[
                    v4(now, "10.0.0.1", "52:54:00:ab:cd:01", ""),
                    v4(now, "10.0.0.2", "52:54:00:AB:CD:02", ""),
                    v4(now, "10.0.0.3", "06-52:54:00:ab:cd:03", ""),
                ],
            );
            state.macs(
                "virbr0",
                &[
                    MacMap::new("one", &["52:54:00:ab:cd:01"]),
                    MacMap::new("two", &["52:54:00:ab:cd:02"]),
                    MacMap::new("three", &["52:54:00:ab:cd:03"]),
                ],
            );
        })
        .same(Query::name4("one"), "one: 10.0.0.1")
        .differs(Rule::Macs, Query::name4("two"), UNKNOWN, "two: 10.0.0.2")
        .differs(Rule::Macs, Query::name4("three"), UNKNOWN, "three: 10.0.0.3"),
        Case::new("domains that differ in case", Guest, |state, now| {
            state
                .leases("virbr0", &[v4(now, "10.0.0.1", WEB, ""), v4(now - 1, "10.0.0.2", DB, "")]);
            state.macs("virbr0", &[MacMap::new("web", &[WEB]), MacMap::new("Web", &[DB])]);
        })
        .differs(Rule::ExactCase, Query::name4("web"), "web: 10.0.0.1 10.0.0.2", "web: 10.0.0.1")
        .differs(Rule::ExactCase, Query::name4("Web"), "Web: 10.0.0.1 10.0.0.2", "Web: 10.0.0.2")
        .same(Query::name4("WEB"), "WEB: 10.0.0.1 10.0.0.2"),
        Case::new("a guest and its network's domain", Guest, |state, now| {
            state.leases(
                "virbr0",
                &[
                    v4(now, "10.0.0.1", WEB, "").text("domain", "lab.example"),
                    v4(now, "10.0.0.2", DB, ""),
                ],
            );
            state.macs("virbr0", &[MacMap::new("web vm", &[WEB, DB])]);
        })
        .same(Query::name4("web vm"), "web vm: 10.0.0.1 10.0.0.2")
        .differs(
            Rule::NetworkDomain,
            Query::name4("web vm.lab.example"),
            GIVES_UP,
            "web vm.lab.example: 10.0.0.1",
        ),
        Case::new("several NICs on several bridges", Guest, |state, now| {
            state
                .leases("virbr0", &[v4(now, "10.0.0.1", WEB, ""), v4(now - 2, "10.0.0.2", DB, "")]);
            state.leases("virbr1", &[v6(now - 1, "fd00::1", OLD, "")]);
            state.macs("virbr0", &[MacMap::new("web-vm", &[WEB, DB])]);
            state.macs("virbr1", &[MacMap::new("web-vm", &[OLD])]);
        })
        .same(Query::name4("web-vm"), "web-vm: 10.0.0.1 fd00::1 10.0.0.2")
        .same(Query::name2("web-vm", AF_INET), "web-vm: 10.0.0.1 10.0.0.2"),
        Case::new("two clients of one NIC", Host, |state, now| {
            let boot = v4(now, "10.0.0.66", WEB, "web").text("client-id", PXE);
            let system = v4(now - 60, "10.0.0.1", WEB, "web").text("client-id", SYSTEM);
            state.leases("virbr0", &[boot, v6(now - 90, "fd00::1", WEB, "web"), system]);
        })
        .differs(
            Rule::Clients,
            Query::name4("web"),
            "web: 10.0.0.66 10.0.0.1 fd00::1",
            "web: 10.0.0.1 fd00::1",
        )
        .differs(
            Rule::Clients,
            Query::name2("web", AF_INET),
            "web: 10.0.0.66 10.0.0.1",
            "web: 10.0.0.1",
        ),
        Case::new("two clients of a guest's NIC", Guest, |state, now| {
            let boot = v4(now, "10.0.0.66", WEB, "").text("client-id", PXE);
            let system = v4(now - 60, "10.0.0.1", WEB, "").text("client-id", SYSTEM);
            state.leases("virbr0", &[boot, system]);
            state.macs("virbr0", &[MacMap::new("web-vm", &[WEB])]);
        })
        .differs(
            Rule::Clients,
            Query::name4("web-vm"),
            "web-vm: 10.0.0.66 10.0.0.1",
            "web-vm: 10.0.0.1",
        ),
        // The same client with two addresses, a client whose id isn't recorded, and one of another NIC.
        Case::new("leases of one client", Host, |state, now| {
            state.leases(
                "virbr0",
                &[
                    v4(now - 1, "10.0.0.2", WEB, "web").text("client-id", SYSTEM),
                    v4(now - 2, "10.0.0.3", WEB, "web"),
                    v4(now - 3, "10.0.0.4", DB, "web").text("client-id", PXE),
                    v4(now, "10.0.0.1", WEB, "web").text("client-id", SYSTEM),
                ],
            );
        })
        .same(Query::name4("web"), "web: 10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4"),
        Case::new("one domain in two records", Guest, |state, now| {
            state
                .leases("virbr0", &[v4(now, "10.0.0.1", WEB, ""), v4(now - 2, "10.0.0.2", DB, "")]);
            state.macs("virbr0", &[MacMap::new("web-vm", &[WEB]), MacMap::new("web-vm", &[DB])]);
        })
        .same(Query::name4("web-vm"), "web-vm: 10.0.0.1 10.0.0.2"),
    ]
}
