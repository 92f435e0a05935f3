//! Through glibc, like any program: `getent`, a C program, Python.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use abi::{Lease, MacMap, Modules, StateDir, sandbox};

use crate::support::later;

const WEB: &str = "52:54:00:00:00:01";
const DB: &str = "52:54:00:00:00:02";

/// `resolve.c`, compiled.
pub(crate) fn resolve_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/resolve.c");
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let program = directory.join(format!("resolve-{}", std::process::id()));
        let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
        let output = Command::new(compiler)
            .args(["-Wall", "-Wextra", "-Werror", "-O1", "-pthread", "-o"])
            .arg(&program)
            .arg(&source)
            .output()
            .unwrap_or_else(|error| panic!("cc, the C compiler: {error}: install gcc"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // Always the same name, so that runs don't leave more and more files; by rename, as another
        // run may be using it.
        let kept = directory.join("resolve");
        fs::rename(&program, &kept).expect("a rename within a directory");
        kept
    })
}

/// A sandbox with a separate network, in which glibc uses these modules for hosts.
pub(crate) fn with_hosts_line(line: &str, test: impl FnOnce(&StateDir) + Send) {
    abi::sandboxed(|state| {
        sandbox::private_network().expect("a network namespace");
        sandbox::hide_directory(Path::new("/run/nscd")).expect("a mount over nscd's socket");
        let conf = format!("passwd: files\nhosts: {line}\nservices: files\nprotocols: files\n");
        sandbox::replace_file(state, Path::new("/etc/nsswitch.conf"), &conf).expect("a mount");
        test(state);
    });
}

/// Runs a program that finds the modules; returns its standard output, line by line.
#[track_caller]
fn lines(command: &mut Command) -> Vec<String> {
    let output = run(command);
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{command:?}: {}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).expect("names in tests are UTF-8");
    text.lines().map(str::to_owned).collect()
}

#[track_caller]
fn run(command: &mut Command) -> Output {
    run_with_messages(command.env_remove("LIBVIRT_NSS_DEBUG"))
}

/// As [`run`], but keeps `LIBVIRT_NSS_DEBUG` as the command sets it.
#[track_caller]
pub(crate) fn run_with_messages(command: &mut Command) -> Output {
    command
        .env("LD_LIBRARY_PATH", Modules::ours().directory())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

#[track_caller]
fn resolve(arguments: &[&str]) -> Vec<String> {
    lines(Command::new(resolve_program()).args(arguments))
}

/// As [`resolve`], sorted: the order of addresses is glibc's, after RFC 3484.
#[track_caller]
fn resolve_sorted(arguments: &[&str]) -> Vec<String> {
    let mut lines = resolve(arguments);
    lines.sort();
    lines
}

/// `getent`'s lines with single blanks between the words.
#[track_caller]
fn getent(arguments: &[&str]) -> Vec<String> {
    let lines = lines(Command::new("getent").args(arguments));
    lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Runs `getent` for something that doesn't exist: status 2 and no output.
#[track_caller]
fn getent_finds_nothing(arguments: &[&str]) {
    let output = run(Command::new("getent").args(arguments));
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}: {output:?}");
}

/// `web` with both families, `db` with IPv4, `six` with IPv6. Their domains are called NAME-vm.
pub(crate) fn guests(state: &StateDir) {
    state.leases(
        "virbr0",
        &[
            Lease::v4("192.168.122.10", WEB, "web", later()),
            Lease::v6("fd00::10", WEB, "web", later()),
            Lease::v4("192.168.122.20", DB, "db", later()),
            Lease::v6("fd00::60", "52:54:00:00:00:06", "six", later()),
        ],
    );
    state.macs(
        "virbr0",
        &[
            MacMap::new("web-vm", &[WEB]),
            MacMap::new("db-vm", &[DB]),
            MacMap::new("six-vm", &["52:54:00:00:00:06"]),
        ],
    );
}

#[test]
fn getent_hosts() {
    with_hosts_line("libvirt libvirt_guest", |state| {
        guests(state);
        // IPv6 first, then IPv4: getent asks for one family after the other.
        assert_eq!(getent(&["hosts", "web"]), ["fd00::10 web"]);
        assert_eq!(getent(&["hosts", "db"]), ["192.168.122.20 db"]);
        assert_eq!(getent(&["hosts", "web-vm"]), ["fd00::10 web-vm"]);
        assert_eq!(getent(&["hosts", "WEB"]), ["fd00::10 WEB"]);
        getent_finds_nothing(&["hosts", "mail"]);
        assert_eq!(getent(&["hosts", "192.168.122.10"]), ["192.168.122.10 web"]);
        assert_eq!(getent(&["hosts", "fd00::60"]), ["fd00::60 six"]);
        getent_finds_nothing(&["hosts", "192.168.122.99"]);
    });
}

#[test]
fn getent_lists_every_guest() {
    with_hosts_line("libvirt libvirt_guest", |state| {
        guests(state);
        let mut listed = getent(&["hosts"]);
        listed.sort();
        let mut wanted = Vec::new();
        for name in ["web", "web-vm"] {
            wanted.push(format!("192.168.122.10 {name}"));
            wanted.push(format!("fd00::10 {name}"));
        }
        for name in ["db", "db-vm"] {
            wanted.push(format!("192.168.122.20 {name}"));
        }
        for name in ["six", "six-vm"] {
            wanted.push(format!("fd00::60 {name}"));
        }
        wanted.sort();
        assert_eq!(listed, wanted);
    });
}

#[test]
fn getent_ahosts() {
    with_hosts_line("libvirt libvirt_guest", |state| {
        guests(state);
        // getent asks with AI_ADDRCONFIG.
        add_address("10.200.0.1/32");
        add_address("fd01::1/128");
        for name in ["web", "web-vm"] {
            let mut both = getent(&["ahosts", name]);
            both.retain(|line| line.contains("STREAM"));
            both.iter_mut().for_each(|line| *line = line.replace(&format!(" {name}"), ""));
            both.sort();
            assert_eq!(both, ["192.168.122.10 STREAM", "fd00::10 STREAM"]);
            let v4 = getent(&["ahostsv4", name]);
            assert_eq!(v4[0], format!("192.168.122.10 STREAM {name}"));
            let v6 = getent(&["ahostsv6", name]);
            assert_eq!(v6[0], format!("fd00::10 STREAM {name}"));
        }
        // getent asks with AI_V4MAPPED too.
        assert_eq!(getent(&["ahostsv6", "db"])[0], "::ffff:192.168.122.20 STREAM db");
        getent_finds_nothing(&["ahosts", "mail"]);
        getent_finds_nothing(&["ahostsv6", "mail"]);
        getent_finds_nothing(&["ahostsv4", "six"]);
    });
}

#[test]
fn getaddrinfo_by_family() {
    with_hosts_line("libvirt libvirt_guest", |state| {
        guests(state);
        for name in ["web", "web-vm"] {
            assert_eq!(resolve_sorted(&[name]), ["192.168.122.10", "fd00::10"]);
            assert_eq!(resolve(&["-4", name]), ["192.168.122.10"]);
            assert_eq!(resolve(&["-6", name]), ["fd00::10"]);
            assert_eq!(
                resolve(&["-g", name]),
                [format!("canonical {name}"), "192.168.122.10".into()]
            );
        }
        assert_eq!(resolve(&["db"]), ["192.168.122.20"]);
        assert_eq!(resolve(&["six"]), ["fd00::60"]);
    });
}

/// A guest's name without an address in the family is different from an unknown name.
#[test]
fn getaddrinfo_says_why_not() {
    with_hosts_line("libvirt libvirt_guest", |state| {
        guests(state);
        assert_eq!(resolve(&["mail"]), ["error EAI_NONAME"]);
        assert_eq!(resolve(&["-4", "mail"]), ["error EAI_NONAME"]);
        assert_eq!(resolve(&["-g", "mail"]), ["error h_errno 1"]);
    });
    with_hosts_line("libvirt", |state| {
        guests(state);
        assert_eq!(resolve(&["-6", "db"]), ["error EAI_NODATA"]);
        assert_eq!(resolve(&["-4", "six"]), ["error EAI_NODATA"]);
        assert_eq!(resolve(&["-g", "six"]), ["error h_errno 4"]);
    });
}

#[test]
fn canonical_names() {
    with_hosts_line("libvirt libvirt_guest", |state| {
        guests(state);
        for family in ["-4", "-6"] {
            for name in ["web", "WEB", "web-vm"] {
                assert_eq!(resolve(&[family, "-c", name])[0], format!("canonical {name}"));
            }
            assert_eq!(resolve(&[family, "-c", "web."])[0], "canonical web");
        }
        let both = resolve_sorted(&["-c", "web."]);
        assert_eq!(both, ["192.168.122.10", "canonical web", "fd00::10"]);
    });
}

#[test]
fn mapped_addresses() {
    with_hosts_line("libvirt libvirt_guest", |state| {
        guests(state);
        for name in ["web", "web-vm"] {
            let all = resolve_sorted(&["-6", "-m", name]);
            assert_eq!(all, ["::ffff:192.168.122.10", "fd00::10"]);
        }
        assert_eq!(resolve(&["-6", "-m", "db"]), ["::ffff:192.168.122.20"]);
        assert_eq!(resolve(&["-6", "-m", "-c", "six"]), ["canonical six", "fd00::60"]);
    });
}

/// Gives the loopback interface another address, which glibc takes for that of a real interface.
fn add_address(address: &str) {
    let added = Command::new("ip").args(["address", "add", address, "dev", "lo"]).output();
    let added = added.unwrap_or_else(|error| panic!("ip: {error}: install iproute2"));
    assert!(added.status.success(), "{added:?}");
}

/// If the host's interfaces have only one family, glibc asks only for that family.
#[test]
fn only_families_that_the_host_has() {
    for (address, wanted) in [("10.200.0.1/32", "192.168.122.10"), ("fd01::1/128", "fd00::10")] {
        with_hosts_line("libvirt libvirt_guest", |state| {
            guests(state);
            add_address(address);
            for name in ["web", "web-vm"] {
                assert_eq!(resolve(&["-a", name]), [wanted]);
            }
        });
    }
}

/// A link-local address is returned only if the guest has no other, and with the interface to reach it through: the
/// bridge. The only interface in the test's network is the loopback interface, number 1.
#[test]
fn scopes_of_link_local_addresses() {
    with_hosts_line("libvirt libvirt_guest", |state| {
        for bridge in ["lo", "virbr7"] {
            state.leases(
                bridge,
                &[
                    Lease::v6("fe80::5054:ff:fe00:1", WEB, &format!("web-{bridge}"), later()),
                    Lease::v6("fe80::5054:ff:fe00:2", DB, &format!("both-{bridge}"), later()),
                    Lease::v6("fd00::7", DB, &format!("both-{bridge}"), later() - 1),
                ],
            );
            let [web, both] = ["web", "both"].map(|name| format!("{name}-vm-{bridge}"));
            state.macs(bridge, &[MacMap::new(&web, &[WEB]), MacMap::new(&both, &[DB])]);
        }
        for kind in ["", "-vm"] {
            let web = format!("web{kind}-lo");
            assert_eq!(resolve(&[&web]), ["fe80::5054:ff:fe00:1%1"]);
            // A call that can't return the scope doesn't return the address. If the guest has another address, only
            // that one is returned.
            assert!(resolve(&["-6", &web])[0].starts_with("error"));
            assert_eq!(resolve(&[&format!("both{kind}-lo")]), ["fd00::7"]);
            // There is no such interface.
            assert!(resolve(&[&format!("web{kind}-virbr7")])[0].starts_with("error"));
            assert_eq!(resolve(&[&format!("both{kind}-virbr7")]), ["fd00::7"]);
        }
    });
}

#[test]
fn names_of_addresses() {
    with_hosts_line("libvirt libvirt_guest", |state| {
        guests(state);
        assert_eq!(resolve(&["-n", "192.168.122.10"]), ["web"]);
        assert_eq!(resolve(&["-n", "fd00::60"]), ["six"]);
        assert_eq!(resolve(&["-n", "192.168.122.99"]), ["error EAI_NONAME"]);
    });
    with_hosts_line("libvirt_guest", |state| {
        guests(state);
        assert_eq!(resolve(&["-n", "192.168.122.10"]), ["web-vm"]);
    });
}

#[test]
fn two_thousand_addresses() {
    with_hosts_line("libvirt libvirt_guest", |state| {
        let (mut leases, mut wanted) = (Vec::new(), Vec::new());
        for i in 0..1000 {
            let (v4, v6) = (format!("10.1.{}.{}", i / 250, i % 250), format!("fd00::1:{i:x}"));
            leases.push(Lease::v4(&v4, WEB, "crowd", later()));
            leases.push(Lease::v6(&v6, WEB, "crowd", later()));
            wanted.extend([v4, v6]);
        }
        state.leases("virbr0", &leases).macs("virbr0", &[MacMap::new("crowd-vm", &[WEB])]);
        wanted.sort();
        for name in ["crowd", "crowd-vm"] {
            assert!(resolve_sorted(&[name]) == wanted, "{name}: all 2,000 addresses");
            assert_eq!(resolve(&["-4", name]).len(), 1000);
            assert_eq!(resolve(&["-6", "-c", name]).len(), 1001);
            // The canonical name, and one address per line.
            assert_eq!(resolve(&["-g", name]).len(), 1001);
        }
    });
}

/// With `[UNAVAIL=return]`, the services that follow aren't asked for a guest's name. Here that is the other module,
/// which has a domain of that name.
#[test]
fn unavail_return_keeps_a_guests_name_from_other_services() {
    let shared = |state: &StateDir| {
        state.leases(
            "virbr0",
            &[
                Lease::v4("192.168.122.10", WEB, "web", later()),
                Lease::v6("fd00::20", DB, "other", later()),
            ],
        );
        state.macs("virbr0", &[MacMap::new("web", &[DB])]);
    };
    with_hosts_line("libvirt libvirt_guest", |state| {
        shared(state);
        assert_eq!(resolve(&["-6", "web"]), ["fd00::20"]);
    });
    with_hosts_line("libvirt [UNAVAIL=return] libvirt_guest", |state| {
        shared(state);
        assert_eq!(resolve(&["-6", "web"]), ["error EAI_NODATA"]);
        assert_eq!(resolve(&["-4", "web"]), ["192.168.122.10"]);
        // Names that no guest has are passed on to the next service.
        state.macs("virbr0", &[MacMap::new("mail", &[DB])]);
        assert_eq!(resolve(&["-6", "mail"]), ["fd00::20"]);
    });
}

/// With a broken state file, the services that follow are still asked.
#[test]
fn a_broken_file_does_not_stop_other_services() {
    with_hosts_line("libvirt_guest [UNAVAIL=return] libvirt", |state| {
        guests(state);
        state.write("virbr0.macs", "{broken").write("virbr1.status", "[{]");
        assert_eq!(resolve(&["-4", "web"]), ["192.168.122.10"]);
    });
}

#[test]
fn python() {
    with_hosts_line("libvirt libvirt_guest", |state| {
        guests(state);
        let script = "import socket, sys\n\
                      for name in sys.argv[1:]:\n    \
                      found = socket.getaddrinfo(name, 22, type=socket.SOCK_STREAM)\n    \
                      print(name, sorted(entry[4][0] for entry in found))\n";
        let mut command = Command::new("python3");
        command.args(["-I", "-c", script, "web", "db-vm"]);
        if let Err(error) = Command::new("python3").arg("--version").output() {
            println!("python3: {error}: only the C program was tested");
            return;
        }
        let wanted = ["web ['192.168.122.10', 'fd00::10']", "db-vm ['192.168.122.20']"];
        assert_eq!(lines(&mut command), wanted);
    });
}
