//! Files and records that can't be read.

use super::common::*;

const ONE: &str = "web: 10.0.0.1";

/// A good file of `web` on virbr0.
fn good(state: &StateDir, now: i64) {
    state.leases("virbr0", &[v4(now, "10.0.0.1", WEB, "web")]);
    state.macs("virbr0", &[MacMap::new("web-vm", &[WEB])]);
}

/// A good file, with this one beside it.
fn beside(name: &'static str, setup: fn(&StateDir, i64)) -> Case {
    Case::new(name, Host, setup)
}

/// A good record of `web`, after this one in the same file.
fn after(state: &StateDir, now: i64, record: &str) {
    let good = v4(now, "10.0.0.1", WEB, "web").json();
    state.write("virbr0.status", format!("[{record},\n{good}]"));
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = files();
    cases.extend(records());
    cases.extend(mac_maps());
    cases
}

fn files() -> Vec<Case> {
    vec![
        beside("a file of nonsense", |state, now| {
            good(state, now);
            state.write("virbr1.status", "nonsense");
        })
        .differs(Rule::Files, Query::name4("web"), GIVES_UP, ONE)
        .differs(Rule::Files, Query::name4("mail"), GIVES_UP, UNKNOWN),
        beside("a file cut short", |state, now| {
            let file = abi::json::status_file(&[
                v4(now, "10.0.0.1", WEB, "web"),
                v4(now, "10.0.0.2", DB, "db"),
            ]);
            state.write("virbr0.status", &file[..file.len() - 20]);
        })
        .differs(Rule::Files, Query::name4("web"), GIVES_UP, ONE)
        .differs(Rule::Files, Query::name4("db"), GIVES_UP, UNKNOWN),
        beside("a directory in a file's place", |state, now| {
            good(state, now);
            state.directory("virbr1.status");
        })
        .differs(Rule::Files, Query::name4("web"), GIVES_UP, ONE),
        beside("a dangling link in a file's place", |state, now| {
            good(state, now);
            state.link("virbr1.status", "nowhere");
        })
        .differs(Rule::Files, Query::name4("web"), GIVES_UP, ONE),
        beside("a FIFO in a file's place", |state, now| {
            good(state, now);
            state.fifo("virbr1.status");
        })
        .differs(Rule::Files, Query::name4("web"), "never returns", ONE),
        Case::new("an empty MAC map", Guest, |state, now| {
            good(state, now);
            state.write("virbr1.macs", "");
        })
        .differs(Rule::Files, Query::name4("web-vm"), GIVES_UP, "web-vm: 10.0.0.1")
        .since(V11_3, "web-vm: 10.0.0.1"),
        Case::new("MAC maps and host names", Host, |state, now| {
            good(state, now);
            state.write("virbr1.macs", "nonsense");
        })
        .same(Query::name4("web"), ONE),
        beside("a file of no interface", |state, now| {
            state.leases("sixteen-bytes-16", &[v4(now, "10.0.0.1", WEB, "web")]);
            state.leases("", &[v4(now, "10.0.0.1", WEB, "web")]);
            state.leases("fifteen-bytes15", &[v4(now, "10.0.0.2", DB, "db")]);
        })
        .differs(Rule::BridgeNames, Query::name4("web"), ONE, UNKNOWN)
        .same(Query::name4("db"), "db: 10.0.0.2"),
        beside("a file of a single lease", |state, now| {
            let lease = v4(now, "10.0.0.1", WEB, "web").json();
            state.write("virbr0.status", lease);
        })
        .differs(Rule::Files, Query::name4("web"), GIVES_UP, ONE),
    ]
}

fn records() -> Vec<Case> {
    vec![
        Case::new("a record without a MAC address", Host, |state, now| {
            state.leases(
                "virbr0",
                &[
                    v4(now, "10.0.0.1", WEB, "web"),
                    v4(now, "10.0.0.2", DB, "db").without("mac-address"),
                ],
            );
        })
        .differs(Rule::NoMac, Query::name4("db"), GIVES_UP, "db: 10.0.0.2")
        .since(V11_3, "db: 10.0.0.2")
        .differs(Rule::NoMac, Query::name4("web"), GIVES_UP, ONE)
        .since(V11_3, ONE),
        Case::new("a record without an address", Host, |state, now| {
            state.leases(
                "virbr0",
                &[
                    v4(now, "10.0.0.1", WEB, "web"),
                    v4(now, "10.0.0.2", DB, "db").without("ip-address"),
                ],
            );
        })
        .same(Query::name4("web"), ONE)
        .same(Query::name4("db"), UNKNOWN),
        Case::new("a bad address", Host, |state, now| {
            state.leases(
                "virbr0",
                &[v4(now, "10.0.0.1", WEB, "web"), v4(now, "10.0.0.256", DB, "web")],
            );
        })
        .differs(Rule::Records, Query::name4("web"), GIVES_UP, ONE),
        Case::new("short addresses", Host, |state, now| {
            state.leases(
                "virbr0",
                &[
                    v4(now, "10.1", WEB, "ten"),
                    v4(now, "0x7f.1", WEB, "hex"),
                    v4(now, "010.0.0.1", WEB, "octal"),
                    v6(now, "fe80::1%lo", WEB, "scoped"),
                ],
            );
        })
        .differs(Rule::AddressText, Query::name4("ten"), "ten: 10.0.0.1", UNKNOWN)
        .differs(Rule::AddressText, Query::name4("hex"), "hex: 127.0.0.1", UNKNOWN)
        .differs(Rule::AddressText, Query::name4("octal"), "octal: 8.0.0.1", UNKNOWN)
        .differs(Rule::AddressText, Query::name4("scoped"), "scoped: fe80::1", UNKNOWN),
        Case::new("an expiry time in words", Host, |state, now| {
            let lease = v4(now, "10.0.0.1", WEB, "web").without("expiry-time");
            state.leases("virbr0", &[lease.text("expiry-time", "1")]);
            let lease = v4(now, "10.0.0.2", DB, "db").without("expiry-time");
            state.leases("virbr1", &[lease.raw("expiry-time", "1.5")]);
        })
        .differs(Rule::Records, Query::name4("web"), ONE, UNKNOWN)
        .since(V11_3, UNKNOWN)
        .differs(Rule::Records, Query::name4("db"), "db: 10.0.0.2", UNKNOWN)
        .since(V11_3, UNKNOWN),
        Case::new("a host name that is not a string", Host, |state, now| {
            let bad = v4(now, "10.0.0.2", DB, "").raw("hostname", "17");
            state.leases("virbr0", &[bad, v4(now, "10.0.0.1", WEB, "web")]);
        })
        .differs(Rule::Records, Query::name4("web"), GIVES_UP, ONE)
        .since(V11_3, ONE),
        Case::new("a MAC address that is not a string", Host, |state, now| {
            let bad = v4(now, "10.0.0.2", DB, "db").without("mac-address");
            state
                .leases("virbr0", &[bad.raw("mac-address", "17"), v4(now, "10.0.0.1", WEB, "web")]);
        })
        .differs(Rule::Records, Query::name4("web"), GIVES_UP, ONE)
        .since(V11_3, ONE),
        Case::new("something else in the array", Host, |state, now| after(state, now, "17"))
            .differs(Rule::Records, Query::name4("web"), GIVES_UP, ONE)
            .since(V11_3, ONE),
        Case::new("a malformed record", Host, |state, now| after(state, now, "{\"hostname\" 1}"))
            .differs(Rule::Records, Query::name4("web"), GIVES_UP, ONE),
        Case::new("a key that comes twice", Host, |state, now| {
            let twice = v4(now, "10.0.0.66", WEB, "old").text("hostname", "web");
            state.leases("virbr0", &[twice.text("ip-address", "10.0.0.1")]);
        })
        .same(Query::name4("web"), ONE)
        .same(Query::name4("old"), UNKNOWN),
        Case::new("unknown keys", Host, |state, now| {
            let lease = |name, mac| v4(now, "10.0.0.1", mac, name);
            state.leases("virbr0", &[lease("web", WEB).text("new", "x").raw("b", "null")]);
        })
        .same(Query::name4("web"), ONE),
        Case::new("unknown keys with other values", Host, |state, now| {
            state.leases("virbr0", &[v4(now, "10.0.0.1", WEB, "web").raw("new", "17")]);
        })
        .differs(Rule::Keys, Query::name4("web"), GIVES_UP, ONE)
        .since(V11_3, ONE),
        Case::new("unknown keys with lists", Host, |state, now| {
            let lease = v4(now, "10.0.0.1", WEB, "web");
            state.leases("virbr0", &[lease.raw("new", "[1, {\"x\": []}]")]);
        })
        .differs(Rule::Keys, Query::name4("web"), GIVES_UP, ONE)
        .since(V11_3, ONE),
    ]
}

fn mac_maps() -> Vec<Case> {
    vec![
        Case::new("a MAC map's record without a domain", Guest, |state, now| {
            good(state, now);
            state.write(
                "virbr0.macs",
                format!(
                    "[{{\"domain\": \"web-vm\", \"macs\": [\"{WEB}\"]}}, {{\"macs\": [\"{DB}\"]}}]"
                ),
            );
            state.leases("virbr1", &[v4(now - 5, "10.0.0.2", DB, "")]);
            state
                .write("virbr1.macs", format!("[{{\"domain\": \"db-vm\", \"macs\": [\"{DB}\"]}}]"));
        })
        // libvirt's module gives it the previous record's domain.
        .differs(
            Rule::Records,
            Query::name4("web-vm"),
            "web-vm: 10.0.0.1 10.0.0.2",
            "web-vm: 10.0.0.1",
        )
        .since(V11_3, "web-vm: 10.0.0.1")
        .same(Query::name4("db-vm"), "db-vm: 10.0.0.2"),
        Case::new("a MAC map's record of nothing", Guest, |state, now| {
            good(state, now);
            state.write(
                "virbr0.macs",
                format!("[{{}}, {{\"domain\": \"web-vm\", \"macs\": [\"{WEB}\"]}}]"),
            );
        })
        .differs(Rule::Records, Query::name4("web-vm"), GIVES_UP, "web-vm: 10.0.0.1")
        .since(V11_3, "web-vm: 10.0.0.1"),
        Case::new("unknown keys in a MAC map", Guest, |state, now| {
            good(state, now);
            state.write(
                "virbr0.macs",
                format!(
                    "[{{\"uuid\": \"x\", \"id\": 7, \"old\": [\"y\"], \"domain\": \"web-vm\", \
                     \"macs\": [\"{WEB}\"]}}]"
                ),
            );
        })
        .same(Query::name4("web-vm"), "web-vm: 10.0.0.1"),
        Case::new("a MAC that is not a string", Guest, |state, now| {
            good(state, now);
            state.write(
                "virbr0.macs",
                format!("[{{\"domain\": \"web-vm\", \"macs\": [\"{WEB}\", null]}}]"),
            );
        })
        .differs(Rule::Records, Query::name4("web-vm"), "web-vm: 10.0.0.1", UNKNOWN)
        .since(V11_3, "ends the process")
        .since(V12_8, GIVES_UP),
        // For the second list without a MAC, the module's realloc(3) frees the list again.
        Case::new("two lists without a MAC", Guest, |state, _| {
            for bridge in ["virbr0", "virbr1"] {
                let name = format!("{bridge}.macs");
                state.write(&name, "[{\"domain\": \"web-vm\", \"macs\": []}]");
            }
        })
        .differs(Rule::NoCrash, Query::name4("web-vm"), "ends the process", NO_DATA)
        .since(V11_3, GIVES_UP),
        Case::new("MACs that are not a list", Guest, |state, now| {
            good(state, now);
            state.write("virbr1.macs", "[{\"domain\": \"web-vm\", \"macs\": \"text\"}]");
        })
        .differs(Rule::NoCrash, Query::name4("web-vm"), "web-vm: 10.0.0.1", "web-vm: 10.0.0.1")
        .since(V11_3, "ends the process"),
    ]
}
