//! What ssh gets from the command: keys, and the route to guests behind other hosts. The end-to-end suites use a real ssh.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant, UNIX_EPOCH};

use guest_names::snapshot::format::Meta;
use guest_store::snapshot::ssh::{
    GuestId, SshGuest, SshHost, SshRoute, address_key, guest_key, name_key,
};
use testkit::cdb::{Records, add, entry, write};

use crate::support::{NOW, Sandbox};

const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK";
const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAI";

/// A system below a root of its own, with a snapshot: web runs here, far behind rack1.
struct System {
    root: PathBuf,
    sandbox: Sandbox,
}

fn id(number: u8) -> GuestId {
    GuestId { connection: 0, uuid: [number; 16] }
}

fn records() -> Records {
    let mut records = Records::new();
    let web = SshGuest {
        name: "web".into(),
        connection: "host".into(),
        keys: vec![ED25519.into(), ECDSA.into()],
        route: None,
    };
    let host = SshHost {
        host: "rack1".into(),
        user: Some("root".into()),
        port: Some(2222),
        key_file: Some("/etc/keys/rack1".into()),
        ..SshHost::default()
    };
    let route = SshRoute { addresses: vec!["192.168.122.5".parse().unwrap()], host };
    let far = SshGuest {
        name: "far".into(),
        connection: "rack1".into(),
        keys: vec![ED25519.into()],
        route: Some(route),
    };
    // The host's own name, and one that the snapshot has no business to hold.
    let mut odd = far.clone();
    odd.name = "odd".into();
    odd.route.as_mut().unwrap().host.host = "-oProxyCommand=id".into();
    for (number, guest, names) in [
        (1, &web, &["web", "web.vm.internal"][..]),
        (2, &far, &["far", "far.vm.internal", "rack1"]),
        (3, &odd, &["odd"]),
    ] {
        records.insert(guest_key(id(number)), guest.to_json().unwrap());
        for name in names {
            records.insert(name_key(name.as_bytes()), id(number).to_bytes().to_vec());
        }
    }
    records.insert(address_key("10.0.0.1".parse().unwrap()), id(1).to_bytes().to_vec());
    let address = guest_names::address::Address::parse(b"10.0.0.1");
    add(&mut records, b"gweb", &entry("web", address));
    add(&mut records, b"gfar", &entry("far", None));
    records
}

impl System {
    fn new() -> Self {
        let sandbox = Sandbox::new("ssh");
        let root = sandbox.work().join("root");
        fs::create_dir_all(root.join("run/libvirt-nss")).unwrap();
        fs::create_dir_all(root.join("var/lib/libvirt/dnsmasq")).unwrap();
        fs::set_permissions(root.join("run/libvirt-nss"), Permissions::from_mode(0o755)).unwrap();
        let system = Self { root, sandbox };
        system.publish(&records(), 0);
        // What is run of ssh is written down, each argument in brackets.
        system.sandbox.program(
            "ssh",
            "#!/bin/sh\n[ \"$1\" = -G ] || { printf '[%s]' ssh \"$@\"; echo; echo \"chain $LIBVIRT_NSS_SSH_CHAIN\"; exit 7; }\n\
             cat $WORK/effective 2>/dev/null\nexit 0\n",
        );
        system
    }

    fn path(&self) -> PathBuf {
        self.root.join("run/libvirt-nss/names.cdb")
    }

    fn publish(&self, records: &Records, age: i64) {
        let meta = Meta { state: None, hold: 90, length: 0, compiled: NOW - age };
        self.publish_bytes(&write(records, meta), age);
    }

    fn publish_bytes(&self, bytes: &[u8], age: i64) {
        let path = self.path();
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let time = UNIX_EPOCH + Duration::from_secs((NOW - age) as u64);
        File::open(&path).unwrap().set_modified(time).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = self.sandbox.command("libvirt-nss");
        command.arg("--root").arg(&self.root).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What ssh gets for %H. It is never told of a failure.
    fn keys(&self, host: &str) -> String {
        let output = self.run(&["ssh-known-hosts", "HOSTNAME", host, "ssh-ed25519", "AAAA"]);
        assert_eq!(
            (output.status.code(), &*output.stderr),
            (Some(0), &b""[..]),
            "{host}: {output:?}"
        );
        String::from_utf8(output.stdout).unwrap()
    }

    fn is_behind(&self, name: &str) -> bool {
        let output = self.run(&["ssh-behind", name]);
        assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
        output.status.success()
    }

    /// Standard output, standard error, and the exit status.
    fn says(&self, arguments: &[&str]) -> (String, String, Option<i32>) {
        let output = self.run(arguments);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr), output.status.code())
    }
}

#[test]
fn keys_of_all_types_under_the_very_name() {
    let system = System::new();
    for host in ["web", "WEB", "web.", "[web]:2222", "web.vm.internal", "10.0.0.1", "[10.0.0.1]:22"]
    {
        let expected = format!("{host} {ED25519}\n{host} {ECDSA}\n");
        assert_eq!(system.keys(host), expected, "{host}");
    }
    assert_eq!(system.keys("far"), format!("far {ED25519}\n"));
}

#[test]
fn nothing_for_everything_else() {
    let system = System::new();
    for host in [
        "nas",
        "web.example.org",
        "10.0.0.2",
        "fe80::1",
        "",
        "-web",
        "web,nas",
        "*",
        "$(id)",
        "[web",
    ] {
        assert_eq!(system.keys(host), "", "{host}");
    }
    // Whatever a future ssh may hand over.
    for arguments in
        [&["ssh-known-hosts"][..], &["ssh-known-hosts", "ORDER"], &["ssh-known-hosts", "--help"]]
    {
        let (out, err, status) = system.says(arguments);
        assert_eq!((&*out, &*err, status), ("", "", Some(0)), "{arguments:?}");
    }
    let more = ["ssh-known-hosts", "HOSTNAME", "web", "--x", "-y", "z"];
    assert!(system.says(&more).0.starts_with("web ssh-ed25519 "));
}

#[test]
fn nothing_from_a_snapshot_that_does_not_count() {
    let system = System::new();
    system.publish(&records(), 90);
    assert_ne!(system.keys("web"), "");
    assert!(system.is_behind("far"));
    system.publish(&records(), 91);
    assert_eq!(system.keys("web"), "");
    assert!(!system.is_behind("far"));
    let good = fs::read(system.path()).unwrap();
    for bytes in [&good[..good.len() - 1], &good[..3000], b"NSS", b""] {
        system.publish_bytes(bytes, 0);
        assert_eq!(system.keys("web"), "");
        assert!(!system.is_behind("far"));
    }
    fs::remove_file(system.path()).unwrap();
    fs::create_dir(system.path()).unwrap();
    assert_eq!(system.keys("web"), "");
    fs::remove_dir_all(&system.root).unwrap();
    assert_eq!(system.keys("web"), "");
    assert!(!system.is_behind("far"));
}

/// ssh would wait for ever. Here it is a reader that doesn't read.
#[test]
fn it_ends_in_time() {
    let system = System::new();
    let (reader, mut writer) = UnixStream::pair().unwrap();
    writer.set_nonblocking(true).unwrap();
    while writer.write(&[0; 4096]).is_ok() {}
    while writer.write(&[0]).is_ok() {}
    writer.set_nonblocking(false).unwrap();
    let began = Instant::now();
    let mut command = system.command(&["ssh-known-hosts", "ORDER", "web", "NONE", "NONE"]);
    let status = command.stdout(OwnedFd::from(writer)).status().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(began.elapsed() >= Duration::from_secs(2));
    drop(reader);
}

#[test]
fn guests_behind_another_host() {
    let system = System::new();
    for name in ["far", "FAR", "far.", "far.vm.internal"] {
        assert!(system.is_behind(name), "{name}");
    }
    // Reachable, unknown, the host itself, malformed, and no names.
    for name in
        ["web", "nas", "rack1", "odd", "", "-far", "192.168.122.5", "far;id", "'far'", "far far"]
    {
        assert!(!system.is_behind(name), "{name}");
    }
    let (out, _, status) = system.says(&["ssh-proxy", "far", "22"]);
    let expected = "[ssh][-W][192.168.122.5:22][-p][2222][-l][root][-i][/etc/keys/rack1][--][rack1]\nchain far\n";
    assert_eq!((&*out, status), (expected, Some(7)));
    let said = |name: &str| {
        let (out, err, status) = system.says(&["ssh-proxy", name, "22"]);
        assert_eq!((&*out, status), ("", Some(1)), "{name}");
        err
    };
    assert!(said("web").contains("no guest called 'web' is behind another host"));
    assert!(said("odd").contains("is malformed"));
    assert!(said("$(id)").contains("cannot be the name of a guest"));
}

/// A chain never comes to the same guest twice.
#[test]
fn no_way_leads_through_itself() {
    let system = System::new();
    let run = |arguments: &[&str], chain: &str| {
        let mut command = system.command(arguments);
        command.env("LIBVIRT_NSS_SSH_CHAIN", chain).output().unwrap()
    };
    assert!(run(&["ssh-behind", "far"], "other").status.success());
    assert!(!run(&["ssh-behind", "far"], "other FAR more").status.success());
    let output = run(&["ssh-proxy", "far", "22"], "other");
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("chain other far\n"));
    let output = run(&["ssh-proxy", "far", "22"], "far");
    assert!(String::from_utf8_lossy(&output.stderr).contains("leads through 'far' itself"));
}

/// Without `ssh enable` it has what that would give; with it, or with a choice of the user's, that counts.
#[test]
fn connecting_to_a_guest() {
    let system = System::new();
    let binary = Sandbox::binary();
    let keys = format!("[-o][KnownHostsCommand={binary} ssh-known-hosts %I %H %t %K]");
    let proxy = format!("[-o][ProxyCommand={binary} ssh-proxy far %p]");
    let (out, err, status) = system.says(&["ssh", "root@far", "--", "-v", "id", "-u"]);
    assert_eq!(out, format!("[ssh]{keys}{proxy}[root@far][-v][id][-u]\nchain \n"), "{err}");
    assert_eq!(status, Some(7));
    fs::write(system.sandbox.work().join("effective"), "knownhostscommand /x\nproxyjump a\n")
        .unwrap();
    assert_eq!(system.says(&["ssh", "far"]).0, "[ssh][far]\nchain \n");
    assert_eq!(system.says(&["ssh", "web"]).0, "[ssh][web]\nchain \n");
}

/// virsh, of which the test says what it answers: `state` is domstate's, and `start` makes it what it writes.
fn virsh(system: &System, state: &str) {
    fs::write(system.sandbox.work().join("state"), state).unwrap();
    system.sandbox.program(
        "virsh",
        "#!/bin/sh\n[ \"$1 $2 $3\" = '--quiet --connect qemu:///system' ] || exit 9\nshift 3\n\
         [ \"$*\" != 'start --domain far' ] || { mv $WORK/started $WORK/root/run/libvirt-nss/names.cdb; exit; }\n\
         [ \"$*\" = 'domstate --domain far' ] && [ -s $WORK/state ] && exec cat $WORK/state\n\
         echo \"error: failed to get domain '$3'\" >&2; exit 1\n",
    );
}

#[test]
fn a_guest_that_is_shut_off() {
    let system = System::new();
    let snapshot = system.sandbox.work().join("started");
    fs::rename(system.path(), &snapshot).unwrap();
    virsh(&system, "shut off\n\n");
    let (_, err, status) = system.says(&["ssh", "far"]);
    assert_eq!((&*err, status), ("libvirt-nss: far is shut off; --start starts it\n", Some(1)));
    let (out, err, status) = system.says(&["ssh", "--start", "far"]);
    assert!(out.ends_with("[far]\nchain \n"), "{out}{err}");
    assert_eq!(status, Some(7));
}

/// The lease of a guest outlives it.
#[test]
fn a_guest_that_is_shut_off_and_has_a_lease() {
    let system = System::new();
    fs::remove_file(system.path()).unwrap();
    let lease = r#"[{"ip-address": "127.0.0.9", "mac-address": "52:54:00:00:00:09", "hostname": "far", "expiry-time": 0}]"#;
    fs::write(system.root.join("var/lib/libvirt/dnsmasq/virbr0.status"), lease).unwrap();
    fs::write(system.sandbox.work().join("effective"), "port 1\n").unwrap();
    virsh(&system, "shut off\n");
    let (_, err, status) = system.says(&["ssh", "far"]);
    assert_eq!((&*err, status), ("libvirt-nss: far is shut off; --start starts it\n", Some(1)));
    // Of no domain, or of one that runs: somebody has it. Nothing answers there.
    for state in ["", "running\n"] {
        virsh(&system, state);
        let (_, err, status) = system.says(&["ssh", "--timeout", "0", "far"]);
        assert!(err.contains("timed out waiting for port 1 of far (127.0.0.9)"), "{err}");
        assert_eq!(status, Some(6));
    }
}

#[test]
fn guests_that_it_cannot_connect_to() {
    let system = System::new();
    fs::remove_file(system.path()).unwrap();
    virsh(&system, "paused\n");
    let (_, err, status) = system.says(&["ssh", "far"]);
    let paused = "libvirt-nss: far is paused: 'virsh resume far' continues it\n";
    assert_eq!((&*err, status), (paused, Some(1)));
    virsh(&system, "running\n");
    let (_, err, status) = system.says(&["ssh", "--timeout", "0", "far"]);
    assert!(err.contains("timed out waiting for far to get an address"), "{err}");
    assert_eq!(status, Some(5));
    virsh(&system, "");
    let (_, err, status) = system.says(&["ssh", "far"]);
    assert_eq!((&*err, status), ("libvirt-nss: no guest is called 'far'\n", Some(2)));
    for name in ["-far", "root@", "a;b", "ssh://far", "$(id)"] {
        let (out, err, status) = system.says(&["ssh", "--", name]);
        assert_ne!(status, Some(7), "{name}: {out}{err}");
        let (out, _, status) = system.says(&["ssh", name]);
        assert!(out.is_empty() && matches!(status, Some(1 | 64)), "{name}: {out}");
    }
}

#[test]
fn hosts_blocks() {
    let system = System::new();
    let expected = "Host far\n    ProxyCommand /usr/bin/libvirt-nss ssh-proxy far %p\n\
                    Host web\n    HostName 10.0.0.1\n    HostKeyAlias web\n";
    assert_eq!(system.says(&["ssh-config"]).0, expected);
}

/// The package and OpenSSH, below the root.
fn install(system: &System) {
    for directory in ["etc/ssh/ssh_config.d", "usr/share/libvirt-nss/ssh", "usr/bin"] {
        fs::create_dir_all(system.root.join(directory)).unwrap();
    }
    fs::write(system.root.join("usr/bin/libvirt-nss"), "").unwrap();
    let packaged = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/ssh");
    for file in fs::read_dir(packaged).unwrap() {
        let file = file.unwrap();
        let copy = system.root.join("usr/share/libvirt-nss/ssh").join(file.file_name());
        fs::copy(file.path(), &copy).unwrap();
        fs::set_permissions(copy, Permissions::from_mode(0o644)).unwrap();
    }
}

/// doctor's finding about ssh, if there is one.
fn diagnosis(system: &System) -> Option<String> {
    let (out, err, _) = system.says(&["doctor", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&out).expect(&err);
    let findings = report["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["check"] == "ssh")?;
    let word = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    Some(format!("{}: {}", word("level"), word("text")))
}

#[test]
fn what_doctor_says() {
    let system = System::new();
    install(&system);
    let says = |words: &str| {
        let said = diagnosis(&system).unwrap();
        assert!(said.contains(words), "{said}");
    };
    says("note: ssh is not set up to use the host keys of guests (those of 3 guests now)");
    system.says(&["ssh", "enable"]);
    says("ok: ssh knows the host keys of guests");
    let file = system.root.join("usr/share/libvirt-nss/ssh/host-keys.conf");
    fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
    says("error: ssh refuses every connection");
    fs::remove_file(file).unwrap();
    says("note: ");
    system.says(&["ssh", "disable"]);
    fs::remove_file(system.path()).unwrap();
    assert_eq!(diagnosis(&system), None);
}

#[test]
fn on_and_off() {
    let system = System::new();
    install(&system);
    let link = system.root.join("etc/ssh/ssh_config.d/20-libvirt-nss.conf");
    let target =
        || fs::read_link(&link).ok().and_then(|path| path.file_name().map(|name| name.to_owned()));
    assert_eq!(system.says(&["ssh", "status"]).2, Some(3));
    let (out, err, status) = system.says(&["ssh", "enable"]);
    assert!(out.starts_with("ssh now knows the host keys of guests ("), "{out}{err}");
    assert_eq!((status, target()), (Some(0), Some("host-keys.conf".into())));
    assert!(system.says(&["ssh", "enable"]).0.contains("nothing to change"));
    let (out, _, status) = system.says(&["ssh", "status"]);
    assert!(
        out.contains("Guests with known host keys: 3. Guests reached through their hosts: 2\n"),
        "{out}"
    );
    assert_eq!(status, Some(0));
    // With a connection by ssh the way there comes with it.
    let mut fleet = records();
    let info = br#"{"zone": "vms.example", "connections": [{"name": "rack1", "uri": "qemu+ssh://root@rack1/system"}]}"#;
    fleet.insert(b"info".to_vec(), info.to_vec());
    system.publish(&fleet, 0);
    let (out, _, status) = system.says(&["ssh", "status"]);
    assert!(out.contains("guests on NAT networks of rack1 can't be reached"), "{out}");
    assert_eq!(status, Some(3));
    assert!(system.says(&["ssh", "enable"]).0.contains("names in the zone vms.example"));
    assert_eq!(target(), Some("host-keys-and-proxy.conf".into()));
    let printed = system.says(&["ssh", "enable", "--print"]).0;
    assert!(
        printed.contains("Match host *.vms.example,") && printed.contains(" /usr/bin/libvirt-nss "),
        "{printed}"
    );
    system.says(&["ssh", "enable", "--no-proxy"]);
    assert_eq!(target(), Some("host-keys.conf".into()));
    assert_eq!(system.says(&["ssh", "disable"]).2, Some(0));
    assert_eq!(target(), None);
    assert!(system.says(&["ssh", "disable"]).0.starts_with("nothing to change"));
}
