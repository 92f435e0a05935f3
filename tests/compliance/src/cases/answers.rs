//! The usual cases: what libvirt and its helper write, looked up through every entry point.

use super::common::*;

fn usual(state: &StateDir, now: i64) {
    state.leases(
        "virbr0",
        &[
            v4(now, "192.168.122.10", WEB, "web"),
            v6(now - 1, "fd00::10", WEB, "web"),
            v4(now, "192.168.122.20", DB, "db"),
            v6(now, "fd00::30", OLD, "six"),
            Lease::v4("192.168.122.40", "52:54:00:00:00:04", "gone", now - 60),
            Lease::v4("192.168.122.50", "52:54:00:00:00:05", "ever", 0),
            v4(now, "192.168.122.60", "52:54:00:00:00:06", ""),
        ],
    );
    state.macs(
        "virbr0",
        &[
            MacMap::new("web-vm", &[WEB]),
            MacMap::new("db vm", &[DB]),
            MacMap::new("six-vm", &[OLD]),
            MacMap::new("nameless-vm", &["52:54:00:00:00:06"]),
        ],
    );
    state.write("default.hostsfile", "").write("default.conf", "##WARNING\n");
}

pub(super) fn cases() -> Vec<Case> {
    let web = "web: 192.168.122.10";
    vec![
        Case::new("host names", Host, usual)
            .same(Query::name("web"), web)
            .same(Query::name2("web", AF_INET), web)
            .same(Query::name3("web", AF_INET), web)
            .same(Query::name2("web", AF_INET6), "web: fd00::10")
            .same(Query::name3("web", AF_INET6), "web: fd00::10")
            .same(Query::name2("web", AF_UNSPEC), web)
            .same(Query::name3("web", AF_UNSPEC), web)
            .same(Query::name4("web"), "web: 192.168.122.10 fd00::10")
            .same(Query::name4("WEB"), "WEB: 192.168.122.10 fd00::10")
            .same(Query::name4("db"), "db: 192.168.122.20")
            .same(Query::name4("six"), "six: fd00::30")
            .same(Query::name2("db", AF_INET6), NO_DATA)
            .same(Query::name3("six", AF_INET), NO_DATA)
            .same(Query::name("six"), NO_DATA)
            .same(Query::name4("ever"), "ever: 192.168.122.50")
            .same(Query::name4("gone"), UNKNOWN)
            .same(Query::name4("mail"), UNKNOWN)
            .same(Query::name2("mail", AF_INET), UNKNOWN)
            .same(Query::name4("web-vm"), UNKNOWN)
            .same(Query::name4("we"), UNKNOWN)
            .same(Query::name4("webb"), UNKNOWN),
        Case::new("domain names", Guest, usual)
            .same(Query::name("web-vm"), "web-vm: 192.168.122.10")
            .same(Query::name2("web-vm", AF_INET6), "web-vm: fd00::10")
            .same(Query::name3("web-vm", AF_UNSPEC), "web-vm: 192.168.122.10")
            .same(Query::name4("web-vm"), "web-vm: 192.168.122.10 fd00::10")
            .same(Query::name4("Web-VM"), "Web-VM: 192.168.122.10 fd00::10")
            .same(Query::name4("db vm"), "db vm: 192.168.122.20")
            .same(Query::name2("db vm", AF_INET6), NO_DATA)
            .same(Query::name4("nameless-vm"), "nameless-vm: 192.168.122.60"),
        Case::new("an empty state directory", Host, |_, _| ()).same(Query::name4("web"), UNKNOWN),
        Case::new("networks without leases", Host, |state, _| {
            state.write("virbr0.status", "").macs("virbr0", &[]).leases("virbr1", &[]);
        })
        .same(Query::name4("web"), UNKNOWN)
        .same(Query::name2("web", AF_INET), UNKNOWN),
        Case::new("compact files", Host, |state, now| {
            let lease = format!(
                r#"[{{"expiry-time":{},"hostname":"web","mac-address":"{WEB}","ip-address":"10.0.0.1"}}]"#,
                now + 60
            );
            state.write("virbr0.status", lease);
        })
        .same(Query::name2("web", AF_INET6), NO_DATA)
        .same(Query::name4("web"), "web: 10.0.0.1"),
        Case::new("a lease without an expiry time", Host, |state, now| {
            let old = Lease::v4("10.0.0.2", DB, "web", 0).without("expiry-time");
            state.leases("virbr0", &[old, v4(now, "10.0.0.1", WEB, "web"), v4(now, "10.0.0.3", OLD, "db")]);
        })
        .differs(Rule::NoExpiry, Query::name4("web"), "web: 10.0.0.1 10.0.0.2", "web: 10.0.0.1 10.0.0.2")
        .since(V11_3, GIVES_UP)
        .same(Query::name4("db"), "db: 10.0.0.3"),
        Case::new("addresses to names", Host, usual)
            .differs(
                Rule::EntryPoints,
                Query::addr("192.168.122.10"),
                NO_FUNCTION,
                "web: 192.168.122.10",
            )
            .differs(Rule::EntryPoints, Query::addr2("fd00::10"), NO_FUNCTION, "web: fd00::10")
            .differs(Rule::EntryPoints, Query::addr("192.168.122.99"), NO_FUNCTION, UNKNOWN),
        Case::new("addresses to domains", Guest, usual).differs(
            Rule::EntryPoints,
            Query::addr("192.168.122.20"),
            NO_FUNCTION,
            "db vm: 192.168.122.20",
        ),
        Case::new("the list of guests", Host, |state, now| {
            state.leases("virbr0", &[v4(now, "10.0.0.1", WEB, "web")]);
        })
        .differs(Rule::EntryPoints, Query::Get, NO_FUNCTION, "web: 10.0.0.1")
        .differs(Rule::EntryPoints, Query::Get, NO_FUNCTION, UNKNOWN),
        Case::new("one family of two", Host, usual)
            .differs(Rule::AnyFamily, Query::name2("six", AF_UNSPEC), NO_DATA, "six: fd00::30")
            .differs(Rule::AnyFamily, Query::name3("six", AF_UNSPEC), NO_DATA, "six: fd00::30"),
        Case::new("other families", Host, usual).differs(
            Rule::OtherFamilies,
            Query::name2("web", 1),
            "UNAVAIL EAFNOSUPPORT NO_RECOVERY",
            "UNAVAIL EAFNOSUPPORT NO_DATA",
        ),
        // The loopback interface serves as a bridge: it always exists, with index 1.
        Case::new("link-local addresses", Host, |state, now| {
            state.leases("lo", &[v6(now, "fe80::1", WEB, "web")]);
            state.leases("virbr77", &[v6(now, "fe80::2", DB, "db")]);
        })
        .differs(Rule::LinkLocal, Query::name4("web"), "web: fe80::1", "web: fe80::1%1")
        .differs(Rule::LinkLocal, Query::name2("web", AF_INET6), "web: fe80::1", NO_DATA)
        .differs(Rule::LinkLocal, Query::name3("web", AF_INET6), "web: fe80::1", NO_DATA)
        .differs(Rule::LinkLocal, Query::name4("db"), "db: fe80::2", NO_DATA),
        Case::new("link-local addresses beside others", Host, |state, now| {
            state.leases("lo", &[v6(now, "fe80::1", WEB, "web"), v4(now - 1, "10.0.0.1", WEB, "web")]);
        })
        .differs(Rule::LinkLocal, Query::name4("web"), "web: fe80::1 10.0.0.1", "web: 10.0.0.1")
        .differs(Rule::LinkLocal, Query::name2("web", AF_INET6), "web: fe80::1", NO_DATA)
        .same(Query::name2("web", AF_INET), "web: 10.0.0.1"),
        Case::new("a guest's link-local addresses", Guest, |state, now| {
            state.leases("lo", &[v6(now, "fe80::1", WEB, "")]);
            state.macs("lo", &[MacMap::new("web-vm", &[WEB])]);
        })
        .differs(Rule::LinkLocal, Query::name4("web-vm"), "web-vm: fe80::1", "web-vm: fe80::1%1")
        .differs(Rule::LinkLocal, Query::name2("web-vm", AF_INET6), "web-vm: fe80::1", NO_DATA),
    ]
}
