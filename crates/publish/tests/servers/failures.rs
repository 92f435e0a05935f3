//! Failures, and recovery from them.

use publish::failure::{About, Failure};
use publish::signer::Signer;
use publish::update::{Change, Kind as ChangeKind, Message};
use publish::zone::{Answer, Server as _};
use testkit::name_server::{Kind, NameServer, OTHER_SECRET, SECRET, ZONE};

use crate::host::{Host, with_each};

#[test]
fn a_server_that_is_away() {
    with_each(|server| {
        let mut alpha = Host::new("alpha", server);
        alpha.guests(&[("web", "10.0.0.1"), ("db", "10.0.0.2")]).publish();
        server.kill();
        alpha.guests(&[("web", "10.0.0.3")]);
        let failed = ["site.example: unreachable", "10.in-addr.arpa: unreachable"];
        assert_eq!(alpha.publish()[..1], failed[..1]);
        // It isn't retried before it is due, and is reported only once.
        assert!(alpha.publish().is_empty());
        assert!(alpha.later(60).publish().is_empty());
        server.resume();
        let said = alpha.later(60).publish();
        assert!(said.contains(&"site.example: recovered".to_owned()), "{said:?}");
        assert_eq!(server.dig(&["web.site.example", "A"]), "10.0.0.3");
        assert_eq!(server.dig(&["db.site.example", "A"]), "");
        assert_eq!(server.dig(&["-x", "10.0.0.3"]), "web.site.example.");
        assert_eq!(server.dig(&["-x", "10.0.0.2"]), "");
    });
}

#[test]
fn a_key_that_changes() {
    with_each(|server| {
        let mut alpha = Host::new("alpha", server);
        alpha.guests(&[("web", "10.0.0.1")]).publish();
        server.kill();
        server.configure(OTHER_SECRET);
        server.resume();
        let said = alpha.guests(&[("web", "10.0.0.2")]).publish();
        // PowerDNS doesn't tell a client without a valid key more than that.
        let codes = ["site.example: BADSIG", "site.example: REFUSED"];
        assert!(codes.contains(&said[0].as_str()), "{said:?}");
        assert!(alpha.later(60).publish().is_empty(), "only a person can fix that");
        alpha.set_key("publish", OTHER_SECRET);
        let said = alpha.later(400).publish();
        assert!(said.contains(&"site.example: recovered".to_owned()), "{said:?}");
        assert_eq!(server.dig(&["web.site.example", "A"]), "10.0.0.2");
    });
}

#[test]
fn a_zone_that_cannot_be_served() {
    with_each(|server| {
        let mut alpha = Host::new("alpha", server);
        alpha.guests(&[("web", "10.0.0.1")]).publish();
        server.kill();
        server.break_zone();
        server.resume();
        let said = alpha.guests(&[("web", "10.0.0.2")]).publish();
        assert_eq!(said[0], "site.example: SERVFAIL");
        server.kill();
        server.mend_zone();
        server.resume();
        // It may pass by itself, so it is retried soon.
        let said = alpha.later(60).publish();
        assert!(said.contains(&"site.example: recovered".to_owned()), "{said:?}");
        assert_eq!(server.dig(&["web.site.example", "A"]), "10.0.0.2");
        assert_eq!(server.dig(&["-x", "10.0.0.2"]), "web.site.example.");
    });
}

#[test]
fn a_server_that_takes_no_updates() {
    if !NameServer::are_installed() {
        return;
    }
    let server = NameServer::start(Kind::Nsd);
    let mut alpha = Host::new("alpha", &server);
    let said = alpha.guests(&[("web", "10.0.0.1")]).publish();
    assert_eq!(said, ["site.example: NOTIMP"]);
    assert!(alpha.later(60).publish().is_empty(), "only a person can fix that");
}

/// How each server refuses an update or a query, and the failure that is reported.
#[test]
fn what_servers_refuse() {
    if !NameServer::are_installed() {
        return;
    }
    for kind in Kind::ALL {
        let mut server = NameServer::start(kind);
        let host = Host::new("alpha", &server);
        let send_name = |zone: &str, name: String| {
            let change = Change {
                name,
                kind: ChangeKind::Claim,
                delete: [].into(),
                add: ["A 10.0.0.1".parse().unwrap()].into(),
            };
            let message =
                Message { zone: zone.into(), host: "alpha".into(), changes: vec![change] };
            match host.client.clone().send(&message) {
                Answer::Failed(failure) => failure,
                answer => panic!("{kind:?}: {answer:?}"),
            }
        };
        let send = |zone: &str| send_name(zone, format!("web.{zone}"));
        let query = || host.client.clone().look(&["web.site.example"]).unwrap_err();
        let is = |failure: Failure, expected: [&str; 3]| {
            let at = Kind::ALL.iter().position(|one| *one == kind).unwrap();
            let code = expected[at];
            assert_eq!(failure.code(), code, "{kind:?}");
            let about = About { server: "ns1", zone: ZONE, signer: &Signer::Key("/k".into()) };
            let (what, next_step) = (failure.what(about), failure.next_step(about));
            assert!(what.contains(&format!("({code})")), "{what}");
            assert!(!failure.may_have_been_applied() && !failure.is_temporary());
            // The key may be to blame wherever one of the servers says so with this code.
            if ["BADKEY", "BADSIG", "NOTAUTH", "REFUSED"].contains(&code) {
                assert!(what.contains("/k") && next_step.contains("key"), "{what}; {next_step}");
            }
        };
        // The codes of BIND, Knot and PowerDNS.
        is(send("other.example"), ["NOTAUTH", "NOTAUTH", "NOTAUTH"]);
        is(send_name(ZONE, "web.other.example".into()), ["NOTZONE", "NOTZONE", "NOTZONE"]);
        host.set_key("nobody", SECRET);
        // Knot 3.2 of Debian 12 answers BADKEY, 3.4 of Debian 13 only NOTAUTH.
        let knot = if NameServer::knot_version() < (3, 4) { "BADKEY" } else { "NOTAUTH" };
        is(send(ZONE), ["BADKEY", knot, "REFUSED"]);
        is(query(), ["BADKEY", knot, "NOTAUTH"]);
        host.set_key("publish", OTHER_SECRET);
        is(send(ZONE), ["BADSIG", "BADSIG", "REFUSED"]);
        is(query(), ["BADSIG", "BADSIG", "NOTAUTH"]);
        host.set_key("weak", SECRET);
        is(send(ZONE), ["REFUSED", knot, "REFUSED"]);
        host.remove_key();
        assert_eq!(send(ZONE), Failure::Unreadable("No such file or directory".into()));
        host.set_key("publish", SECRET);
        server.kill();
        server.set_clock_ahead();
        server.resume();
        is(send(ZONE), ["BADTIME", "BADTIME", "REFUSED"]);
        is(query(), ["BADTIME", "BADTIME", "NOTAUTH"]);
    }
}
