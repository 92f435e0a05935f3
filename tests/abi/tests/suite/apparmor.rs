//! `packaging/apparmor` and what `docs/sandboxing.md` says about programs under AppArmor.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use abi::{Lease, MacMap, Query, sandbox, sandboxed};

use crate::support::*;

/// In `/sbin` on every release of Debian, which isn't in an ordinary user's PATH.
const PARSER: &str = "/sbin/apparmor_parser";

fn project(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file)
}

fn rules(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| line.ends_with(" r,")).collect()
}

/// The parser compiles a profile with the abstraction, and the abstraction includes the rules.
#[test]
fn the_abstraction_includes_the_rules() {
    if !Path::new(PARSER).exists() {
        return sandbox::skip("apparmor_parser isn't installed (tests/setup test)");
    }
    let base = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("apparmor");
    let snippets = base.join("abstractions/nameservice.d");
    fs::create_dir_all(&snippets).unwrap();
    fs::copy(project("packaging/apparmor"), snippets.join("libvirt-nss")).unwrap();
    let profile = base.join("profile");
    let text = "include <tunables/global>\n\
                profile resolver /usr/bin/resolver {\n  include <abstractions/nameservice>\n}\n";
    fs::write(&profile, text).unwrap();
    let parse = |option: &str| {
        let output = Command::new(PARSER)
            .args(["--skip-kernel-load", "--skip-cache", "--base"])
            .arg(&base)
            .args(["--Include", "/etc/apparmor.d", option])
            .arg(&profile)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    parse("--add");
    let included = parse("--preprocess");
    let included = rules(&included);
    let snippet = fs::read_to_string(project("packaging/apparmor")).unwrap();
    for rule in rules(&snippet) {
        assert!(included.contains(&rule), "{rule}: {included:?}");
    }
}

#[test]
fn the_page_shows_the_rules() {
    let snippet = fs::read_to_string(project("packaging/apparmor")).unwrap();
    let page = fs::read_to_string(project("docs/sandboxing.md")).unwrap();
    assert_eq!(rules(&page), rules(&snippet));
    assert_eq!(rules(&snippet).len(), 4);
}

/// As under an AppArmor abstraction that only allows `*.status`.
#[test]
fn without_the_right_to_read_mac_maps() {
    sandboxed(|state| {
        let (running, destroyed) = ("52:54:00:00:00:01", "52:54:00:00:00:02");
        state.leases(
            "virbr0",
            &[
                Lease::v4("10.0.0.1", running, "web", later() + 1),
                Lease::v4("10.0.0.2", destroyed, "web", later()),
            ],
        );
        state.macs("virbr0", &[MacMap::new("web-vm", &[running])]);
        assert_addresses(host(), "web", &["10.0.0.1"]);
        assert_addresses(guest(), "web-vm", &["10.0.0.1"]);

        sandbox::obey_file_modes().expect("a thread may drop capabilities");
        state.mode("virbr0.macs", 0);
        assert_addresses(host(), "web", &["10.0.0.1", "10.0.0.2"]);
        assert_unknown(guest(), "web-vm");
        let answer = ask(host(), &Query::addr("10.0.0.2"));
        assert_eq!(answer.triple(), FOUND);
    });
}
