//! Bad input: whatever is wrong with a file or a record affects nothing else.

use std::os::unix::net::UnixListener;

use abi::json::status_file;
use abi::{Kind, Lease, MacMap, Module, Query, StateDir, sandbox, sandboxed};

use crate::support::*;

const WEB: &str = "52:54:00:00:00:01";
const DB: &str = "52:54:00:00:00:02";
const WEB_IP: &str = "10.0.0.1";
const DB_IP: &str = "10.0.0.2";

/// Good files on virbr0, for the hosts `web` and `db` and the guests `web-vm` and `db-vm`.
fn good(state: &StateDir) {
    state.leases(
        "virbr0",
        &[Lease::v4(WEB_IP, WEB, "web", later()), Lease::v4(DB_IP, DB, "db", later())],
    );
    state.macs("virbr0", &[MacMap::new("web-vm", &[WEB]), MacMap::new("db-vm", &[DB])]);
}

#[track_caller]
fn assert_good() {
    assert_addresses(host(), "web", &[WEB_IP]);
    assert_addresses(host(), "db", &[DB_IP]);
    assert_addresses(guest(), "web-vm", &[WEB_IP]);
    assert_addresses(guest(), "db-vm", &[DB_IP]);
    assert_unknown(host(), "mail");
    assert_unknown(guest(), "mail-vm");
}

/// A look-up through one entry point, for the many cases that differ only in the file.
#[track_caller]
fn finds(module: &Module, name: &str) -> Vec<String> {
    let answer = module.resolve(&Query::name4(name)).expect("exported");
    match answer.triple() {
        FOUND => answer.addresses_text(),
        UNKNOWN | NO_ADDRESS => Vec::new(),
        _ => panic!("{name}: {answer}"),
    }
}

#[test]
fn files_of_nonsense() {
    let bytes: Vec<u8> = (0..=255).cycle().take(20_000).collect();
    let texts: Vec<Vec<u8>> = [
        "",
        "\n",
        "[",
        "]",
        "[\n\n]",
        "[\n\n]\n",
        "{",
        "}",
        "{}",
        "[{}]",
        "null",
        "1",
        "\"",
        "\\",
        "\"web",
        "[[[[[[[[",
        "{\"a\":{\"a\":{\"a\":",
        "not JSON at all",
        "# a comment\n[]",
        "[{\"domain\"",
        "[{\"ip-address\": \"10.0.0.3\", \"hostname\": \"web\"",
        "[{\"domain\": \"web-vm\", \"macs\": [\"52:54:00:00:00:02\"",
        "\u{feff}[]",
    ]
    .into_iter()
    .map(|text| text.as_bytes().to_vec())
    .chain([vec![0; 5000], bytes, vec![b'{'; 50_000], vec![b'"'; 50_000], vec![b'\\'; 50_000]])
    .collect();
    for text in texts {
        sandboxed(|state| {
            good(state);
            for name in ["virbr1.status", "virbr1.macs", "aaa.status", "zzz.macs"] {
                state.write(name, &text);
            }
            assert_good();
        });
    }
}

/// A file cut short anywhere still yields the records that are complete.
#[test]
fn files_cut_short() {
    sandboxed(|state| {
        let leases = [
            Lease::v4(WEB_IP, WEB, "web", later()),
            Lease::v6("fd00::2", DB, "db", later()),
            Lease::v4("10.0.0.3", "52:54:00:00:00:03", "mail", later()),
        ];
        let whole = status_file(&leases);
        let ends: Vec<usize> = leases
            .iter()
            .map(|lease| whole.find(&lease.json()).expect("is in it") + lease.json().len())
            .collect();
        for length in 0..=whole.len() {
            state.write("virbr0.status", &whole[..length]);
            for ((name, ip), end) in
                [("web", WEB_IP), ("db", "fd00::2"), ("mail", "10.0.0.3")].iter().zip(&ends)
            {
                let wanted: &[&str] = if length >= *end { &[ip] } else { &[] };
                assert_eq!(finds(host(), name), wanted, "{name} in {length} bytes");
            }
        }
    });
}

#[test]
fn mac_maps_cut_short() {
    sandboxed(|state| {
        good(state);
        let maps = [MacMap::new("web-vm", &[WEB]), MacMap::new("db-vm", &[DB])];
        let whole = abi::json::macs_file(&maps);
        for length in 0..=whole.len() {
            state.write("virbr0.macs", &whole[..length]);
            for (map, name, ip) in [(&maps[0], "web-vm", WEB_IP), (&maps[1], "db-vm", DB_IP)] {
                let end = whole.find(&map.json()).expect("is in it") + map.json().len();
                let wanted: &[&str] = if length >= end { &[ip] } else { &[] };
                assert_eq!(finds(guest(), name), wanted, "{name} in {length} bytes");
            }
        }
    });
}

/// A record that is empty or nonsense, between two good ones.
#[test]
fn bad_lease_records() {
    let bad = [
        "{}",
        "{\"hostname\": \"web\"}",
        "{\"hostname\": \"web\", \"ip-address\": \"\"}",
        "{\"hostname\": \"web\", \"ip-address\": \"10.0.0\"}",
        "{\"hostname\": \"web\", \"ip-address\": \"10.0.0.256\"}",
        "{\"hostname\": \"web\", \"ip-address\": \"10.0.0.1.\"}",
        "{\"hostname\": \"web\", \"ip-address\": \" 10.0.0.9\"}",
        "{\"hostname\": \"web\", \"ip-address\": \"10.0.0.9\\u0000\"}",
        "{\"hostname\": \"web\", \"ip-address\": \"fd00::9%lo\"}",
        "{\"hostname\": \"web\", \"ip-address\": \"fd00:::9\"}",
        "{\"hostname\": \"web\", \"ip-address\": \"web\"}",
        "{\"hostname\": \"web\", \"ip-address\": 167772169}",
        "{\"hostname\": \"web\", \"ip-address\": null}",
        "{\"hostname\": \"web\", \"ip-address\": [\"10.0.0.9\"]}",
        "{\"hostname\": \"web\", \"ip-address\": {\"a\": \"10.0.0.9\"}}",
        "{\"hostname\": 1, \"ip-address\": \"10.0.0.9\"}",
        "{\"hostname\": null, \"ip-address\": \"10.0.0.9\"}",
        "{\"hostname\": [\"web\"], \"ip-address\": \"10.0.0.9\"}",
        "{\"hostname\": true, \"ip-address\": \"10.0.0.9\"}",
        "{\"hostname\": \"web\", \"ip-address\": \"10.0.0.9\", \"expiry-time\": \"later\"}",
        "{\"hostname\": \"web\", \"ip-address\": \"10.0.0.9\", \"expiry-time\": \"0\"}",
        "{\"hostname\": \"web\", \"ip-address\": \"10.0.0.9\", \"expiry-time\": 0.5}",
        "{\"hostname\": \"web\", \"ip-address\": \"10.0.0.9\", \"expiry-time\": 9e9}",
        "{\"hostname\": \"web\", \"ip-address\": \"10.0.0.9\", \"expiry-time\": null}",
        "{\"hostname\": \"web\", \"ip-address\": \"10.0.0.9\", \"expiry-time\": [0]}",
        "{\"hostname\": \"web\", \"ip-address\": \"10.0.0.9\", \"expiry-time\": 01}",
        "{\"hostname\": \"web\", \"ip-address\": \"10.0.0.9\", \"expiry-time\": -}",
        "{\"hostname\": \"web\", \"ip-address\": \"10.0.0.9\" \"expiry-time\": 0}",
        "{\"hostname\": \"web\", \"ip-address\": \"10.0.0.9\", }",
        "{\"hostname\": \"web\", \"ip-address\": \"10.0.0.9\", \"x\"}",
        "{\"hostname\": \"web\", \"ip-address\": \"10.0.0.9\", \"x\": nul}",
        "{\"hostname\": \"web\", \"ip-address\": \"10.0.0.9\", \"x\": 'a'}",
        "{\"hostname\": \"web\", \"ip-address\": \"10.0.0.9\", x: 1}",
        "{\"hostname\": \"web\", \"ip-address\": \"10.0.0.9\", \"x\": \"\n\"}",
        "{\"hostname\": \"web\", \"ip-address\": \"10.0.0.9\", \"x\": [1, 2}",
        "{\"hostname\": \"web\", \"ip-address\": \"10.0.0.9\"",
        "{\"hostname\": \"web\", \"ip-address\": \"10.0.0.9",
        "{\"hostname\": \"web\", \"ip-address\":",
        "\"hostname\": \"web\", \"ip-address\": \"10.0.0.9\"}",
        "hostname",
        "\"hostname\"",
        "17",
        "]",
        "}",
        "]]}}",
        "[[[",
        "\\",
    ];
    for record in bad {
        for end in [",\n", "\n"] {
            sandboxed(|state| {
                let leases = [
                    Lease::v4(WEB_IP, WEB, "web", later()).json(),
                    record.to_owned(),
                    Lease::v4(DB_IP, DB, "db", later()).json(),
                ];
                state.write("virbr0.status", format!("[\n{}\n]\n", leases.join(end)));
                assert_eq!(finds(host(), "web"), [WEB_IP], "beside {record:?}");
                assert_eq!(finds(host(), "db"), [DB_IP], "after {record:?}");
            });
        }
    }
}

#[test]
fn bad_mac_map_records() {
    let bad = [
        "{}",
        "{\"domain\": \"web-vm\"}",
        "{\"domain\": \"web-vm\", \"macs\": []}",
        "{\"domain\": \"web-vm\", \"macs\": null}",
        "{\"domain\": \"web-vm\", \"macs\": \"52:54:00:00:00:02\"}",
        "{\"domain\": \"web-vm\", \"macs\": {\"52:54:00:00:00:02\": 1}}",
        "{\"domain\": \"web-vm\", \"macs\": [\"\"]}",
        "{\"domain\": \"web-vm\", \"macs\": [\"nonsense\"]}",
        "{\"domain\": \"web-vm\", \"macs\": [1]}",
        "{\"domain\": \"web-vm\", \"macs\": [\"52:54:00:00:00\"]}",
        "{\"domain\": \"web-vm\", \"macs\": [\"52:54:00:00:00:02:02\"]}",
        "{\"domain\": \"web-vm\", \"macs\": [\"52:54:00:00:00:02\" \"x\"]}",
        "{\"domain\": \"web-vm\", \"macs\": [\"52:54:00:00:00:02\"",
        "{\"domain\": 1, \"macs\": [\"52:54:00:00:00:02\"]}",
        "{\"domain\": [\"web-vm\"], \"macs\": [\"52:54:00:00:00:02\"]}",
        "{\"domain\": {\"name\": \"web-vm\"}, \"macs\": [\"52:54:00:00:00:02\"]}",
        "{\"macs\": [\"52:54:00:00:00:02\"]}",
        "[\"52:54:00:00:00:02\"]",
        "\"web-vm\"",
        "}",
        "]",
    ];
    for record in bad {
        for end in [",\n", "\n"] {
            sandboxed(|state| {
                good(state);
                let maps = [
                    MacMap::new("web-vm", &[WEB]).json(),
                    record.to_owned(),
                    MacMap::new("db-vm", &[DB]).json(),
                ];
                state.write("virbr0.macs", format!("[\n{}\n]\n", maps.join(end)));
                assert_eq!(finds(guest(), "web-vm"), [WEB_IP], "beside {record:?}");
                assert_eq!(finds(guest(), "db-vm"), [DB_IP], "after {record:?}");
            });
        }
    }
}

/// What is unusual but valid JSON, or has more in it than libvirt writes today.
#[test]
fn unusual_records_are_read() {
    let lease = format!(
        "\"ip-address\": \"{WEB_IP}\", \"mac-address\": \"{WEB}\", \"hostname\": \"web\", \
         \"expiry-time\": {}",
        later()
    );
    let odd = [
        format!("[{{{lease}}}]"),
        format!("[{{{}}}]", lease.replace(' ', "")),
        format!("[{{{}}}]", lease.replace(' ', "\n")),
        format!("[{{{}}}]", lease.replace(' ', "\r\n\t ")),
        format!("\n\n\t[ {{ {lease} }} ]"),
        format!("{{{lease}}}"),
        format!("{{\"leases\": [{{{lease}}}]}}"),
        format!("[[{{{lease}}}]]"),
        format!("[1, null, \"x\", {{{lease}}}]"),
        format!("[{{\"new\": 1, {lease}}}]"),
        format!("[{{\"new\": -1.5e-7, \"b\": true, \"c\": false, \"d\": null, {lease}}}]"),
        format!(
            "[{{\"new\": {{\"hostname\": \"x\", \"deep\": [[], {{}}, [1, \"2\"]]}}, {lease}}}]"
        ),
        format!("[{{{lease}, \"new\": [{{\"ip-address\": \"x\"}}]}}]"),
        format!("[{{\"\": \"\", {lease}}}]"),
        format!("[{{\"{}\": \"{}\", {lease}}}]", "k".repeat(3000), "v".repeat(70_000)),
        format!("[{{\"hostname\": \"db\", \"ip-address\": \"10.0.0.7\", {lease}}}]"),
        format!("[{{{lease}, \"client-id\": \"\\\"}}{{\\\\\"}}]"),
        format!("[{{{lease}, \"client-id\": \"\u{7f}é😀\"}}]"),
        format!("[{{{lease}}}"),
        format!("[{{{lease}}}]trailing"),
        format!("[{{{lease}}},]"),
    ];
    for text in odd {
        sandboxed(|state| {
            state.write("virbr0.status", &text);
            state.macs("virbr0", &[MacMap::new("web-vm", &[WEB])]);
            assert_eq!(finds(host(), "web"), [WEB_IP], "{text:.200}");
            assert_eq!(finds(guest(), "web-vm"), [WEB_IP], "{text:.200}");
            assert_eq!(finds(host(), "db"), [] as [&str; 0], "{text:.200}");
        });
    }
}

#[test]
fn unusual_mac_maps_are_read() {
    for text in [
        format!("[{{\"macs\": [\"{WEB}\"], \"domain\": \"web-vm\"}}]"),
        format!("{{\"domain\":\"web-vm\",\"macs\":[\"{WEB}\"]}}"),
        format!(
            "[{{\"uuid\": [1, [2]], \"domain\": \"web-vm\", \"x\": {{}}, \"macs\": [\"{WEB}\"]}}]"
        ),
        format!("[{{\"domain\": \"db-vm\", \"domain\": \"web-vm\", \"macs\": [\"{WEB}\"]}}]"),
        format!("[{{\"domain\": \"web-vm\", \"macs\": [\"?\", \"\", \"{WEB}\"]}}]"),
    ] {
        sandboxed(|state| {
            good(state);
            state.write("virbr0.macs", &text);
            assert_eq!(finds(guest(), "web-vm"), [WEB_IP], "{text}");
            assert_eq!(finds(guest(), "db-vm"), [] as [&str; 0], "{text}");
        });
    }
}

/// A record may be at any position in a block that is read at once.
#[test]
fn records_across_the_ends_of_pieces() {
    sandboxed(|state| {
        let lease = Lease::v4(WEB_IP, WEB, "web", later()).json();
        let map = MacMap::new("web-vm", &[WEB]).json();
        state.leases("virbr1", &[Lease::v4(WEB_IP, WEB, "", later())]);
        for piece in [4096, 8192, 16384, 32768] {
            for before in piece - lease.len() - 4..piece + 4 {
                // Blanks first, then a record that is skipped.
                let filler = Lease::v4("10.9.9.9", DB, "filler", 0);
                let rest = before - 4 - filler.clone().text("client-id", "").json().len();
                let filler = filler.text("client-id", &"f".repeat(rest));
                for start in
                    [format!("[{}", " ".repeat(before)), format!("[\n{},\n", filler.json())]
                {
                    state.write("virbr0.status", format!("{start}{lease}\n]\n"));
                    assert_eq!(finds(host(), "web"), [WEB_IP], "{before} bytes before");
                }
                state.write("virbr1.macs", format!("[{}{map}\n]\n", " ".repeat(before)));
                assert_eq!(finds(guest(), "web-vm"), [WEB_IP], "{before} bytes before");
            }
        }
    });
}

/// libvirt itself stops at 32 MiB. Everything up to that is read, with no more memory than for any other file.
#[test]
fn a_file_of_32_mib() {
    sandboxed(|state| {
        const LIMIT: usize = 32 << 20;
        let end = Lease::v4(DB_IP, DB, "db", later()).json();
        let mut text = String::with_capacity(LIMIT + 1000);
        text.push_str("[\n");
        text.push_str(&Lease::v4(WEB_IP, WEB, "web", later()).json());
        text.push_str(",\n");
        let other = Lease::v4("10.9.9.9", "52:54:00:00:00:09", "other", later()).json() + ",\n";
        text.push_str(&other.repeat((LIMIT - text.len() - end.len()) / other.len()));
        text.push_str(&end);
        assert!(text.len() < LIMIT && text.len() > LIMIT - 1000);
        state.write("virbr0.status", &text);
        drop(text);
        assert_eq!(finds(host(), "web"), [WEB_IP]);
        assert_eq!(finds(host(), "db"), [DB_IP]);
        assert_eq!(finds(host(), "mail"), [] as [&str; 0]);
    });
}

/// Reading a file that is one huge meaningless value ends, and doesn't keep other files from answering.
#[test]
fn huge_nonsense() {
    let parts = ["[", "{", "{\"a\":", "\"", " ", "\n", "\\", "{\"hostname\":\"web\"", "\u{0}", "1"];
    for part in parts {
        sandboxed(|state| {
            good(state);
            let text = part.repeat((4 << 20) / part.len());
            state.write("virbr1.status", &text).write("virbr1.macs", &text);
            for (module, name, ip) in
                [(host(), "web", WEB_IP), (guest(), "web-vm", WEB_IP), (guest(), "db-vm", DB_IP)]
            {
                assert_eq!(finds(module, name), [ip], "beside many {part:?}");
            }
        });
    }
}

#[test]
fn what_is_not_a_file() {
    type Put = fn(&StateDir, &str);
    let kinds: [(&str, Put); 7] = [
        ("a FIFO", |state, name| _ = state.fifo(name)),
        ("a directory", |state, name| _ = state.directory(name)),
        ("a dangling link", |state, name| _ = state.link(name, "nowhere")),
        ("a link to itself", |state, name| _ = state.link(name, name)),
        ("a link to a device", |state, name| _ = state.link(name, "/dev/zero")),
        ("a link to a terminal", |state, name| _ = state.link(name, "/dev/tty")),
        ("a socket", |state, name| drop(UnixListener::bind(state.file(name)).expect("a socket"))),
    ];
    for (what, put) in kinds {
        sandboxed(|state| {
            good(state);
            for name in ["virbr1.status", "virbr1.macs", "aaa.status", "zzz.macs"] {
                put(state, name);
            }
            for (module, name, ip) in [
                (host(), "web", WEB_IP),
                (host(), "db", DB_IP),
                (guest(), "web-vm", WEB_IP),
                (guest(), "db-vm", DB_IP),
            ] {
                assert_eq!(finds(module, name), [ip], "{name} beside {what}");
            }
            // In place of the MAC map, which shows which guests run.
            state.remove("virbr0.macs");
            put(state, "virbr0.macs");
            assert_eq!(finds(host(), "web"), [WEB_IP], "with {what} as MAC map");
            assert_eq!(finds(guest(), "web-vm"), [] as [&str; 0], "with {what} as MAC map");
        });
    }
}

/// A FIFO that a process holds open for writing must not block either.
#[test]
fn a_fifo_with_a_writer() {
    sandboxed(|state| {
        good(state);
        state.fifo("virbr1.status");
        let held =
            std::fs::File::options().read(true).write(true).open(state.file("virbr1.status"));
        let held = held.expect("a FIFO opens for both at once");
        assert_good();
        drop(held);
    });
}

#[test]
fn unreadable_files() {
    sandboxed(|state| {
        sandbox::obey_file_modes().expect("a thread may drop capabilities");
        good(state);
        for name in ["virbr1.status", "virbr1.macs", "aaa.status", "zzz.macs", "default.conf"] {
            state.write(name, "[]").mode(name, 0);
        }
        assert_good();
        state.mode("virbr0.macs", 0);
        assert_addresses(host(), "web", &[WEB_IP]);
        assert_unknown(guest(), "web-vm");
        state.mode("virbr0.macs", 0o644).mode("virbr0.status", 0);
        assert_unknown(host(), "web");
        assert_no_address(guest(), "web-vm");
    });
}

#[test]
fn an_unreadable_directory() {
    for mode in [0o000, 0o111, 0o444] {
        sandboxed(|state| {
            sandbox::obey_file_modes().expect("a thread may drop capabilities");
            good(state);
            state.mode("", mode);
            assert_unknown(host(), "web");
            // 0444: the directory can be listed, but its files can't be opened.
            assert_unknown(guest(), "web-vm");
            assert_eq!(ask(host(), &Query::addr(WEB_IP)).triple(), UNKNOWN);
        });
    }
}

#[test]
fn no_state_directory() {
    sandboxed(|_| {
        let directory = sandbox::hide_state_directory().expect("a mount");
        for kind in Kind::BOTH {
            let module = if kind == Kind::Host { host() } else { guest() };
            assert_unknown(module, "web");
            assert_eq!(ask(module, &Query::addr(WEB_IP)).triple(), UNKNOWN);
        }
        std::fs::write(&directory, "a file").expect("a file in place of the directory");
        assert_unknown(host(), "web");
        assert_unknown(guest(), "web-vm");
    });
}

/// The state directory may be a link, and its files may be links: administrators move things.
#[test]
fn links_are_followed() {
    sandboxed(|state| {
        good(state);
        std::fs::create_dir(state.file("elsewhere")).expect("a directory");
        for name in ["virbr0.status", "virbr0.macs"] {
            let moved = state.file("elsewhere").join(name);
            std::fs::rename(state.file(name), moved).expect("a rename");
            state.link(name, &format!("elsewhere/{name}"));
        }
        assert_good();
    });
}

/// A bridge's name has at most 15 bytes; files with longer names are ignored.
#[test]
fn odd_file_names() {
    let long = "b".repeat(248);
    let names = [
        ("a b", true),
        ("ä", true),
        ("virbr0.old", true),
        ("sixteen-bytes-16", false),
        (&long, false),
    ];
    for (bridge, is_a_bridge) in names {
        sandboxed(|state| {
            let leases = status_file(&[Lease::v4(WEB_IP, WEB, "web", later())]);
            state.overwrite(&format!("{bridge}.status"), leases);
            if is_a_bridge {
                assert_addresses(host(), "web", &[WEB_IP]);
            } else {
                assert_unknown(host(), "web");
            }
        });
    }
}
