//! What ends up in the zones.

use publish::prune::prune;
use testkit::name_server::{NameServer, REVERSE_ZONE, ZONE};

use crate::host::{Host, with_each};

const NONE: [&str; 0] = [];
const FORWARD_1: &str = "site.example: 1 changed";
const REVERSE_1: &str = "10.in-addr.arpa: 1 changed";

fn address(server: &NameServer, name: &str) -> String {
    server.dig(&[&format!("{name}.{ZONE}"), "A"])
}

#[test]
fn names_addresses_and_reverse_names() {
    with_each(|server| {
        let mut alpha = Host::new("alpha", server);
        alpha.guests(&[("web", "10.0.0.1"), ("web", "fd00::1"), ("db", "10.0.0.2")]);
        assert_eq!(alpha.publish(), ["site.example: 2 changed", "10.in-addr.arpa: 2 changed"]);
        assert_eq!(address(server, "web"), "10.0.0.1");
        assert_eq!(server.dig(&["web.site.example", "AAAA"]), "fd00::1");
        assert_eq!(server.dig(&["-x", "10.0.0.1"]), "web.site.example.");
        // If nothing has changed, nothing is sent, and the serials stay.
        let serials = [ZONE, REVERSE_ZONE].map(|zone| server.serial(zone));
        assert_eq!(alpha.publish(), NONE);
        alpha.restart();
        assert_eq!(alpha.publish(), NONE);
        assert_eq!([ZONE, REVERSE_ZONE].map(|zone| server.serial(zone)), serials);
        // One guest's address changes, and another guest stops.
        alpha.guests(&[("web", "10.0.0.3")]);
        assert_eq!(alpha.publish(), ["site.example: 2 changed", "10.in-addr.arpa: 3 changed"]);
        assert_eq!(address(server, "web"), "10.0.0.3");
        assert_eq!(server.dig(&["web.site.example", "AAAA"]), "");
        assert_eq!(server.dig(&["-x", "10.0.0.1"]), "");
        assert_eq!(server.dig(&["-x", "10.0.0.3"]), "web.site.example.");
        assert_eq!(address(server, "db"), "");
        alpha.guests(&[]);
        alpha.publish();
        assert_eq!(server.dig(&["_libvirt-nss.web.site.example", "TXT"]), "");
    });
}

#[test]
fn two_guests_with_one_name_and_a_guest_that_moves() {
    with_each(|server| {
        let (mut alpha, mut beta) = (Host::new("alpha", server), Host::new("beta", server));
        assert_eq!(alpha.guests(&[("web", "10.0.0.1")]).publish(), [FORWARD_1, REVERSE_1]);
        // The first host keeps the name. The second reports a conflict, and publishes its other names.
        let said = beta.guests(&[("web", "10.1.0.1"), ("db", "10.1.0.2")]).publish();
        assert_eq!(said, ["web.site.example: Host(\"alpha\")", FORWARD_1, REVERSE_1]);
        assert_eq!(
            (address(server, "web"), address(server, "db")),
            ("10.0.0.1".into(), "10.1.0.2".into())
        );
        assert_eq!(server.dig(&["-x", "10.1.0.1"]), "");
        assert_eq!(beta.later(2).publish(), NONE);
        // The guest moves.
        alpha.guests(&[]).publish();
        assert_eq!(beta.later(60).publish(), [FORWARD_1, REVERSE_1]);
        assert_eq!(address(server, "web"), "10.1.0.1");
        assert_eq!(server.dig(&["-x", "10.1.0.1"]), "web.site.example.");
        assert_eq!(server.dig(&["-x", "10.0.0.1"]), "");
    });
}

#[test]
fn foreign_records_stay() {
    with_each(|server| {
        server.edit(ZONE, "update add printer.site.example 60 A 10.9.0.1");
        server.edit(ZONE, "update add www.site.example 60 TXT \"by hand\"");
        server.edit(REVERSE_ZONE, "update add 3.0.0.10.in-addr.arpa 60 PTR other.site.example.");
        let mut alpha = Host::new("alpha", server);
        alpha.guests(&[("printer", "10.0.0.1"), ("www", "10.0.0.2"), ("web", "10.0.0.3")]);
        let mut said = alpha.publish();
        said.sort();
        assert_eq!(
            said,
            [
                "3.0.0.10.in-addr.arpa: Foreign",
                "printer.site.example: Foreign",
                FORWARD_1,
                "www.site.example: Foreign"
            ]
        );
        // Records beside ours.
        server.edit(ZONE, "update add web.site.example 60 A 10.9.0.3");
        server.edit(ZONE, "update add web.site.example 60 TXT \"by hand\"");
        alpha.restart();
        alpha.publish();
        alpha.guests(&[]).publish();
        for (name, kind, data) in [
            ("printer.site.example", "A", "10.9.0.1"),
            ("www.site.example", "TXT", "\"by hand\""),
            ("www.site.example", "A", ""),
            ("web.site.example", "A", "10.9.0.3"),
            ("web.site.example", "TXT", "\"by hand\""),
            ("3.0.0.10.in-addr.arpa", "PTR", "other.site.example."),
        ] {
            assert_eq!(server.dig(&[name, kind]), data, "{name} {kind}");
        }
    });
}

#[test]
fn a_journal_that_is_lost() {
    with_each(|server| {
        let mut alpha = Host::new("alpha", server);
        alpha.guests(&[("web", "10.0.0.1"), ("db", "10.0.0.2")]).publish();
        alpha.lose_journal();
        alpha.guests(&[("web", "10.0.0.3"), ("db", "10.0.0.2")]).publish();
        assert_eq!(address(server, "web"), "10.0.0.3");
        assert_eq!(server.dig(&["-x", "10.0.0.3"]), "web.site.example.");
        let serial = server.serial(ZONE);
        alpha.restart();
        assert_eq!(alpha.publish(), NONE);
        assert_eq!(server.serial(ZONE), serial);
    });
}

#[test]
fn a_host_that_is_gone() {
    with_each(|server| {
        let (mut alpha, mut beta) = (Host::new("alpha", server), Host::new("beta", server));
        alpha.guests(&[("web", "10.0.0.1"), ("db", "10.0.0.2"), ("mail", "10.0.0.3")]).publish();
        beta.guests(&[("proxy", "10.1.0.1"), ("web", "10.1.0.2")]).publish();
        let prune = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let mut out = Vec::new();
            prune(&beta.client, &beta.plan(), "alpha", &names, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let removed = |reverse: usize, forward: usize| {
            let names = |count| if count == 1 { "name" } else { "names" };
            format!(
                "{REVERSE_ZONE}: removed {reverse} {} of alpha\n{ZONE}: removed {forward} {} of alpha\n",
                names(reverse),
                names(forward)
            )
        };
        assert_eq!(prune(&["web", "proxy", "none.site.example."]), removed(1, 1));
        assert_eq!(
            (address(server, "web"), address(server, "db")),
            (String::new(), "10.0.0.2".into())
        );
        assert_eq!(prune(&[]), removed(2, 2));
        for name in ["db", "mail", "web"] {
            assert_eq!(address(server, name), "");
        }
        assert_eq!(address(server, "proxy"), "10.1.0.1");
        assert_eq!(server.dig(&["-x", "10.0.0.2"]), "");
        assert_eq!(beta.later(60).publish(), [FORWARD_1, REVERSE_1]);
        assert_eq!(address(server, "web"), "10.1.0.2");
    });
}

/// More names than fit into one message, some of which belong to others.
#[test]
fn many_names() {
    with_each(|server| {
        server.edit(ZONE, "update add guest-77.site.example 60 A 10.9.0.1");
        let (mut alpha, mut beta) = (Host::new("alpha", server), Host::new("beta", server));
        beta.guests(&[("guest-99", "10.1.0.1")]).publish();
        let guests: Vec<(String, String)> = (0..450)
            .map(|number| {
                (format!("guest-{number}"), format!("10.0.{}.{}", number / 250, number % 250))
            })
            .collect();
        let guests: Vec<(&str, &str)> =
            guests.iter().map(|(name, address)| (name.as_str(), address.as_str())).collect();
        let mut said = alpha.guests(&guests).publish();
        said.sort();
        assert_eq!(
            said,
            [
                "10.in-addr.arpa: 448 changed",
                "guest-77.site.example: Foreign",
                "guest-99.site.example: Host(\"beta\")",
                "site.example: 448 changed"
            ]
        );
        assert_eq!(address(server, "guest-449"), "10.0.1.199");
        assert_eq!(address(server, "guest-77"), "10.9.0.1");
        assert_eq!(address(server, "guest-99"), "10.1.0.1");
    });
}
