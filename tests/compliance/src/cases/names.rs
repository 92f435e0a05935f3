//! When a name matches, and which names belong to no guest.

use super::common::*;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("a trailing dot", Host, |state, now| {
            state.leases("virbr0", &[v4(now, "10.0.0.1", WEB, "web")]);
        })
        .differs(Rule::TrailingDot, Query::name4("web."), UNKNOWN, "web: 10.0.0.1")
        .differs(Rule::TrailingDot, Query::name("web."), UNKNOWN, "web: 10.0.0.1")
        .same(Query::name4("web.."), UNKNOWN),
        Case::new("the network's domain", Host, |state, now| {
            state.leases(
                "virbr0",
                &[
                    v4(now, "10.0.0.1", WEB, "web").text("domain", "lab.example"),
                    v4(now, "10.0.0.2", DB, "db.lab"),
                ],
            );
        })
        .same(Query::name4("web"), "web: 10.0.0.1")
        .same(Query::name4("db.lab"), "db.lab: 10.0.0.2")
        .same(Query::name4("db"), UNKNOWN)
        .same(Query::name4("web.lab"), UNKNOWN)
        .differs(
            Rule::NetworkDomain,
            Query::name4("web.lab.example"),
            UNKNOWN,
            "web.lab.example: 10.0.0.1",
        ),
        Case::new("localhost", Host, |state, now| {
            state.leases(
                "virbr0",
                &[
                    v4(now, "10.0.0.1", WEB, "localhost"),
                    v4(now, "10.0.0.2", WEB, "x.localhost"),
                    v4(now, "10.0.0.3", WEB, "localhost.localdomain"),
                ],
            );
        })
        .differs(Rule::HostNames, Query::name4("localhost"), "localhost: 10.0.0.1", UNKNOWN)
        .differs(Rule::HostNames, Query::name4("x.localhost"), "x.localhost: 10.0.0.2", UNKNOWN)
        .differs(
            Rule::HostNames,
            Query::name4("localhost.localdomain"),
            "localhost.localdomain: 10.0.0.3",
            UNKNOWN,
        ),
        Case::new("localhost and its network's domain", Host, |state, now| {
            let lease = v4(now, "10.0.0.1", WEB, "localhost");
            state.leases("virbr0", &[lease.text("domain", "lab")]);
        })
        .differs(
            Rule::NetworkDomain,
            Query::name4("localhost.lab"),
            UNKNOWN,
            "localhost.lab: 10.0.0.1",
        ),
        Case::new("invalid host names", Host, |state, now| {
            state.leases(
                "virbr0",
                &[
                    v4(now, "10.0.0.1", WEB, "two words"),
                    v4(now, "10.0.0.2", WEB, "1.2.3.4"),
                    v4(now, "10.0.0.3", WEB, "-x"),
                    v4(now, "10.0.0.4", WEB, "../x"),
                    v4(now, "10.0.0.5", WEB, "x_y"),
                    v4(now, "10.0.0.6", WEB, "10.7"),
                ],
            );
        })
        .differs(Rule::HostNames, Query::name4("two words"), "two words: 10.0.0.1", UNKNOWN)
        .differs(Rule::HostNames, Query::name4("1.2.3.4"), "1.2.3.4: 10.0.0.2", UNKNOWN)
        .differs(Rule::HostNames, Query::name4("-x"), "-x: 10.0.0.3", UNKNOWN)
        .differs(Rule::HostNames, Query::name4("../x"), "../x: 10.0.0.4", UNKNOWN)
        .differs(Rule::HostNames, Query::name4("10.7"), "10.7: 10.0.0.6", UNKNOWN)
        .same(Query::name4("x_y"), "x_y: 10.0.0.5"),
        Case::new("host names with numbers", Host, |state, now| {
            state.leases(
                "virbr0",
                &[
                    v4(now, "10.0.0.1", WEB, "ubuntu20.04"),
                    v4(now, "10.0.0.2", WEB, "v1.2"),
                    v4(now, "10.0.0.3", WEB, "1and1"),
                    v4(now, "10.0.0.4", WEB, "300.300"),
                ],
            );
        })
        .same(Query::name4("ubuntu20.04"), "ubuntu20.04: 10.0.0.1")
        .same(Query::name4("v1.2"), "v1.2: 10.0.0.2")
        .same(Query::name4("1and1"), "1and1: 10.0.0.3")
        .same(Query::name4("300.300"), "300.300: 10.0.0.4"),
        Case::new("names of the host", Host, |state, now| {
            state.leases(
                "virbr0",
                &[
                    v4(now, "10.0.0.1", WEB, "wpad"),
                    v4(now, "10.0.0.2", WEB, "isatap.lab"),
                    v4(now, "10.0.0.3", WEB, "_gateway"),
                    v4(now, "10.0.0.4", WEB, "vmhost"),
                    v4(now, "10.0.0.5", WEB, "vmhost.lab.example"),
                    v4(now, "10.0.0.6", WEB, "vmhost2"),
                    v4(now, "10.0.0.7", WEB, "vmhost").text("domain", "lab"),
                ],
            );
        })
        .differs(Rule::Reserved, Query::name4("wpad"), "wpad: 10.0.0.1", UNKNOWN)
        .differs(Rule::Reserved, Query::name4("WPAD"), "WPAD: 10.0.0.1", UNKNOWN)
        .differs(Rule::Reserved, Query::name4("isatap.lab"), "isatap.lab: 10.0.0.2", UNKNOWN)
        .differs(Rule::Reserved, Query::name4("_gateway"), "_gateway: 10.0.0.3", UNKNOWN)
        .differs(Rule::Reserved, Query::name4("vmhost"), "vmhost: 10.0.0.4 10.0.0.7", UNKNOWN)
        .differs(
            Rule::Reserved,
            Query::name4("vmhost.lab.example"),
            "vmhost.lab.example: 10.0.0.5",
            UNKNOWN,
        )
        .same(Query::name4("vmhost2"), "vmhost2: 10.0.0.6"),
        Case::new("domains with names of the host", Guest, |state, now| {
            state.leases("virbr0", &[v4(now, "10.0.0.1", WEB, "")]);
            state.macs("virbr0", &[MacMap::new("wpad", &[WEB]), MacMap::new("vmhost", &[WEB])]);
        })
        .same(Query::name4("wpad"), "wpad: 10.0.0.1")
        .same(Query::name4("vmhost"), "vmhost: 10.0.0.1"),
        Case::new("a domain called localhost", Guest, |state, now| {
            state.leases("virbr0", &[v4(now, "10.0.0.1", WEB, "web")]);
            state.macs("virbr0", &[MacMap::new("localhost", &[WEB])]);
        })
        .differs(
            Rule::HostNames,
            Query::name4("localhost"),
            "localhost: 10.0.0.1",
            UNKNOWN,
        ),
        Case::new("names in JSON", Guest, |state, now| {
            state.leases("virbr0", &[v4(now, "10.0.0.1", WEB, "")]);
            state.write(
                "virbr0.macs",
                format!(
                    r#"[{{"domain": "gr\u00f6\u00DFe \ud83d\ude00 \"\/\\", "macs": ["{WEB}"]}}]"#
                ),
            );
        })
        .same(
            Query::name4("größe 😀 \"/\\"),
            "gr\\xc3\\xb6\\xc3\\x9fe \\xf0\\x9f\\x98\\x80 \\\"/\\\\: 10.0.0.1",
        ),
        // Only ASCII case is ignored, on both sides.
        Case::new("case outside ASCII", Guest, |state, now| {
            state.leases("virbr0", &[v4(now, "10.0.0.1", WEB, "")]);
            state.macs("virbr0", &[MacMap::new("größe", &[WEB]), MacMap::new("x", &[WEB])]);
        })
        .differs(
            Rule::Utf8,
            Query::name4("GRößE"),
            "GR\\xc3\\xb6\\xc3\\x9fE: 10.0.0.1",
            "GR\\xc3\\xb6\\xc3\\x9fE: 10.0.0.1",
        )
        .since(V11_3, GIVES_UP)
        .since(V12_8, "GR\\xc3\\xb6\\xc3\\x9fE: 10.0.0.1")
        .differs(Rule::UnknownGuest, Query::name4("GRÖßE"), GIVES_UP, UNKNOWN),
        Case::new("a NUL in a string", Host, |state, now| {
            let nul = v4(now, "10.0.0.1", WEB, "").raw("hostname", "\"web\\u0000.evil\"");
            state.leases("virbr0", &[nul]);
        })
        .differs(Rule::Strings, Query::name4("web"), "web: 10.0.0.1", UNKNOWN),
        Case::new("half a surrogate pair", Host, |state, now| {
            let half = v4(now, "10.0.0.1", WEB, "").raw("hostname", "\"x\\ud800\"");
            state.leases("virbr0", &[half, v4(now, "10.0.0.2", DB, "db")]);
        })
        .same(Query::name4("db"), "db: 10.0.0.2")
        .same(Query::name4("x"), UNKNOWN),
        Case::new("bytes that are not UTF-8", Host, |state, now| {
            let lease = v4(now, "10.0.0.2", DB, "db").json();
            let mut file = format!("[{{\"hostname\": \"x?\"}},\n{lease}]").into_bytes();
            let at = file.iter().position(|&byte| byte == b'?').expect("it is there");
            file[at] = 0xff;
            state.write("virbr0.status", file);
        })
        .differs(Rule::Records, Query::name4("db"), GIVES_UP, "db: 10.0.0.2"),
    ]
}
