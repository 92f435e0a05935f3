//! The order of addresses, and when a lease has ended.

use super::common::*;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("latest first", Host, |state, now| {
            state.leases(
                "virbr0",
                &[
                    v4(now - 2, "10.0.0.3", WEB, "web"),
                    v6(now, "fd00::1", WEB, "web"),
                    v4(now - 1, "10.0.0.2", DB, "web"),
                ],
            );
        })
        .same(Query::name4("web"), "web: fd00::1 10.0.0.2 10.0.0.3")
        .same(Query::name2("web", AF_INET), "web: 10.0.0.2 10.0.0.3"),
        Case::new("the order of the file", Host, |state, now| {
            let leases: Vec<Lease> =
                [5, 1, 9, 3].iter().map(|i| v4(now, &format!("10.0.0.{i}"), WEB, "web")).collect();
            state.leases("virbr0", &leases);
        })
        .same(Query::name4("web"), "web: 10.0.0.5 10.0.0.1 10.0.0.9 10.0.0.3"),
        Case::new("never-ending leases", Host, |state, now| {
            state.leases(
                "virbr0",
                &[
                    Lease::v4("10.0.0.2", DB, "web", 0),
                    v4(now - 1, "10.0.0.3", OLD, "web"),
                    v4(now, "10.0.0.1", WEB, "web"),
                ],
            );
        })
        .same(Query::name4("web"), "web: 10.0.0.1 10.0.0.3 10.0.0.2"),
        Case::new("ends in the far future", Host, |state, now| {
            state.leases(
                "virbr0",
                &[
                    v4(now, "10.0.0.1", WEB, "web"),
                    Lease::v4("10.0.0.2", DB, "web", now + (1 << 31) + 7200),
                ],
            );
        })
        .differs(
            Rule::Order,
            Query::name4("web"),
            "web: 10.0.0.1 10.0.0.2",
            "web: 10.0.0.2 10.0.0.1",
        ),
        Case::new("an address in two leases", Host, |state, now| {
            state.leases(
                "virbr0",
                &[
                    v4(now - 9, "10.0.0.1", WEB, "web"),
                    v4(now - 5, "10.0.0.2", DB, "web"),
                    v4(now, "10.0.0.1", OLD, "web"),
                ],
            );
        })
        .differs(
            Rule::Duplicates,
            Query::name4("web"),
            "web: 10.0.0.2 10.0.0.1",
            "web: 10.0.0.1 10.0.0.2",
        ),
        Case::new("one address in two texts", Host, |state, now| {
            state.leases(
                "virbr0",
                &[v6(now, "fd00::1", WEB, "web"), v6(now, "FD00:0:0::0001", WEB, "web")],
            );
        })
        .same(Query::name4("web"), "web: fd00::1"),
        Case::new("around now", Host, |state, now| {
            state.leases(
                "virbr0",
                &[
                    Lease::v4("10.0.0.1", WEB, "web", now + 30),
                    Lease::v4("10.0.0.2", WEB, "web", now - 1),
                    Lease::v4("10.0.0.3", WEB, "web", 1),
                ],
            );
        })
        .same(Query::name4("web"), "web: 10.0.0.1"),
        Case::new("before 1970", Host, |state, _| {
            state.leases("virbr0", &[Lease::v4("10.0.0.1", WEB, "web", -1)]);
        })
        .differs(Rule::Before1970, Query::name4("web"), "web: 10.0.0.1", UNKNOWN),
    ]
}
