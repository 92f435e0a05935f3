//! `gss = true`, with BIND and MIT's KDC. The keytab is a credential, as the unit loads it.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use testkit::kerberos::Realm;
use testkit::name_server::{Kind, NameServer, ZONE};
use testkit::scratch::Scratch;

use crate::service::{Service, program};

const PRINCIPAL: &str = "publish/alpha.site.example";
const GSS: &str = "gss = true";

fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, number)
}

fn is_installed() -> bool {
    NameServer::are_installed() && Realm::is_installed()
}

/// The directory of credentials of a service with this keytab.
fn credentials(keytab: &Path) -> Scratch {
    let directory = Scratch::new();
    fs::copy(keytab, directory.join("publish.keytab")).expect("a copy");
    directory
}

#[test]
fn names_with_kerberos() {
    if !is_installed() {
        return;
    }
    let mut realm = Realm::start();
    let credentials = credentials(&realm.keytab(PRINCIPAL));
    let server = NameServer::start_in(&realm, PRINCIPAL);
    let config = realm.config();
    let environment =
        [("KRB5_CONFIG", config.as_path()), ("CREDENTIALS_DIRECTORY", credentials.path())];
    let web = |number| [("web", address(number))];

    server.edit(ZONE, "update add printer.site.example 60 A 10.9.0.1");
    let guests = [("web", address(1)), ("printer", address(2))];
    let mut service = Service::start(&server, GSS, &environment, &guests);
    service.await_log("printer.site.example has records that were not created by");
    service.await_log("site.example: updated 1 name");
    service.await_log("10.in-addr.arpa: updated 1 name");
    assert_eq!(server.dig(&["web.site.example", "A"]), "10.0.0.1");
    assert_eq!(server.dig(&["-x", "10.0.0.1"]), "web.site.example.");
    assert_eq!(server.dig(&["printer.site.example", "A"]), "10.9.0.1");

    service.set(&web(3));
    service.await_log("10.in-addr.arpa: updated 2 names");
    assert_eq!(server.dig(&["web.site.example", "A"]), "10.0.0.3");
    assert_eq!(server.dig(&["-x", "10.0.0.1"]), "");

    realm.kill();
    service.set(&web(4));
    assert_eq!(
        service.await_log("error: site.example"),
        "libvirt-nss-publish: error: site.example: cannot get a Kerberos ticket with the keytab /etc/libvirt-nss-publish.keytab: Cannot \
         contact any KDC for realm 'SITE.EXAMPLE'; next step: check that /etc/krb5.conf or the DNS names the realm's KDCs, and \
         that they run; try: kinit -k -t /etc/libvirt-nss-publish.keytab PRINCIPAL, with one of: klist -k \
         /etc/libvirt-nss-publish.keytab"
    );
    realm.resume();
    // That may pass by itself, so it is retried soon; each zone has its own pauses.
    service.await_logs(&["site.example: updated 1 name", "10.in-addr.arpa: updated 2 names"]);
    assert_eq!(server.dig(&["web.site.example", "A"]), "10.0.0.4");
    assert_eq!(server.dig(&["-x", "10.0.0.4"]), "web.site.example.");

    service.set(&[]);
    service.await_log("10.in-addr.arpa: updated 1 name");
    assert_eq!(server.dig(&["web.site.example", "A"]), "");
    assert_eq!(server.dig(&["_libvirt-nss.web.site.example", "TXT"]), "");
    assert_eq!(server.dig(&["-x", "10.0.0.4"]), "");
}

#[test]
fn a_host_that_is_gone_with_kerberos() {
    if !is_installed() {
        return;
    }
    let realm = Realm::start();
    let credentials = credentials(&realm.keytab(PRINCIPAL));
    let server = NameServer::start_in(&realm, PRINCIPAL);
    let config = realm.config();
    let environment =
        [("KRB5_CONFIG", config.as_path()), ("CREDENTIALS_DIRECTORY", credentials.path())];
    let service = Service::start(&server, GSS, &environment, &[("web", address(1))]);
    service.await_log("10.in-addr.arpa: updated 1 name");
    drop(service);

    let directory = Scratch::new();
    let prune = |names: &[&str]| {
        let mut command = program(&directory, &server, GSS);
        command.args(["--prune", "alpha"]).args(names).envs(environment);
        let output = command.output().expect("it runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).expect("UTF-8"))
    };
    // dig can't sign with Kerberos, and the server allows transfers only with a key.
    let (status, text) = prune(&[]);
    assert_eq!(status, Some(1));
    assert!(text.contains("next step: allow transfers to this host's address"), "{text}");
    let removed =
        "10.in-addr.arpa: removed 1 name of alpha\nsite.example: removed 1 name of alpha\n";
    assert_eq!(prune(&["web"]), (Some(0), removed.into()));
    assert_eq!(server.dig(&["web.site.example", "A"]), "");
}

#[test]
fn what_is_refused_with_kerberos() {
    if !is_installed() {
        return;
    }
    let mut realm = Realm::start();
    let (config, keytab) = (realm.config(), realm.keytab(PRINCIPAL));
    let (weak, server) =
        (realm.keytab("publish/weak.site.example"), NameServer::start_in(&realm, PRINCIPAL));
    let bare = NameServer::start(Kind::Bind);
    // What the service says about a zone, in the log.
    let with = |server: &NameServer, variable: &str, value: &Path, expected: [&str; 2]| {
        let environment = [("KRB5_CONFIG", config.as_path()), (variable, value)];
        let service = Service::start(server, GSS, &environment, &[("web", address(1))]);
        let line = service.await_log("error: site.example: ");
        for text in expected {
            assert!(line.contains(text), "{text}: {line}");
        }
    };
    let credentials = |keytab: &Path| credentials(keytab);
    let directory = "CREDENTIALS_DIRECTORY";

    let none = Scratch::new();
    // As the unit has it for a file that doesn't exist.
    none.write("publish.keytab", "-");
    with(
        &server,
        directory,
        none.path(),
        [
            "cannot read the keytab /etc/libvirt-nss-publish.keytab: No such file or directory",
            "next step: put it there, as ktadd of kadmin writes it, then: systemctl restart libvirt-nss-publish",
        ],
    );
    with(
        &server,
        directory,
        credentials(&weak).path(),
        [
            "refuses updates of site.example with the keytab /etc/libvirt-nss-publish.keytab (REFUSED)",
            "next step: allow updates of site.example by this principal: update-policy in BIND",
        ],
    );
    with(
        &bare,
        directory,
        credentials(&keytab).path(),
        [
            "127.0.0.1 does not accept this host's Kerberos ticket: response to GSS-TSIG query was unsuccessful",
            "in BIND: tkey-gssapi-keytab",
        ],
    );

    let tickets = realm.expired_ticket(PRINCIPAL, &keytab);
    with(
        &server,
        "KRB5CCNAME",
        Path::new(&tickets),
        [
            "cannot use the Kerberos tickets in FILE:/",
            "tickets: Ticket expired; next step: renew the tickets there (kinit)",
        ],
    );
    with(
        &server,
        "KRB5CCNAME",
        Path::new("FILE:/nonexistent/tickets"),
        [
            "cannot use the Kerberos tickets in FILE:/nonexistent/tickets: there are none",
            "next step: renew the tickets there (kinit)",
        ],
    );

    realm.change_name_server_key();
    with(
        &server,
        directory,
        credentials(&keytab).path(),
        [
            "TKEY is unacceptable",
            "next step: give 127.0.0.1 the present key of the principal DNS/NAME",
        ],
    );
    realm.change_key(PRINCIPAL);
    with(
        &server,
        directory,
        credentials(&keytab).path(),
        [
            "cannot get a Kerberos ticket with the keytab /etc/libvirt-nss-publish.keytab: Decrypt integrity check failed",
            "then: systemctl restart libvirt-nss-publish",
        ],
    );
    assert_eq!(server.dig(&["web.site.example", "A"]), "");
}
