//! `libvirt-nss dns` on systems below another root: its files, there and back.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use guest_names::snapshot::format::Meta;
use testkit::cdb::{Records, write};

use crate::support::{NOW, Sandbox, is_root};

/// A system with a resolver, libvirt-nss-dns' configuration and a snapshot.
struct System {
    sandbox: Sandbox,
}

/// What is below a directory: the text of files, where links lead, and `/` for directories.
type Tree = BTreeMap<PathBuf, String>;

fn tree(directory: &Path) -> Tree {
    let mut tree = Tree::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let status = fs::symlink_metadata(&path).unwrap();
        let content = if status.is_symlink() {
            format!("-> {}", fs::read_link(&path).unwrap().display())
        } else if status.is_dir() {
            tree.extend(self::tree(&path));
            "/".into()
        } else {
            fs::read_to_string(&path).unwrap()
        };
        tree.insert(path, content);
    }
    tree
}

impl System {
    fn new(files: &[(&str, &str)]) -> Self {
        let system = Self { sandbox: Sandbox::new("dns") };
        system.write("etc/libvirt-nss-dns.conf", "listen-address=127.0.0.153\nport=53\n");
        for (path, text) in files {
            system.write(path, text);
        }
        system.publish(&["vm.internal", "122.168.192.in-addr.arpa"]);
        system
    }

    /// With systemd-resolved of this version.
    fn resolved(version: &str, files: &[(&str, &str)]) -> Self {
        let system = Self::new(files);
        system.write("etc/resolv.conf", "nameserver 127.0.0.53\n");
        system.write("etc/systemd/system/other.service", "");
        system.write(&format!("usr/lib/systemd/libsystemd-shared-{version}.so"), "");
        system
    }

    fn tree(&self) -> Tree {
        tree(&self.path("etc"))
    }

    fn path(&self, path: &str) -> PathBuf {
        self.sandbox.work().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    /// The daemon's snapshot, with these zones.
    fn publish(&self, zones: &[&str]) {
        self.publish_many(zones, 20);
    }

    fn publish_many(&self, zones: &[&str], keys: u32) {
        let info = format!(r#"{{"version": "0.1.0", "keys": {keys}, "zones": {zones:?}}}"#);
        let records = Records::from([(b"info".to_vec(), info.into_bytes())]);
        let meta = Meta { state: None, hold: 90, length: 0, compiled: NOW };
        let path = self.path("run/libvirt-nss/names.cdb");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, write(&records, meta)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }

    /// What the command says, and its exit status.
    fn says(&self, line: &str) -> (String, i32) {
        let root = self.sandbox.work();
        let output =
            self.sandbox.run(&format!("libvirt-nss --root {} dns {line} 2>&1", root.display()));
        let text = String::from_utf8(output.stdout).unwrap();
        (text.replace(&root.display().to_string(), ""), output.status.code().unwrap())
    }

    #[track_caller]
    fn does(&self, line: &str) -> String {
        let (text, status) = self.says(line);
        assert_eq!(status, 0, "{line}: {text}");
        text
    }

    #[track_caller]
    fn refuses(&self, line: &str, why: &str) {
        let before = self.tree();
        let (text, status) = self.says(line);
        assert!(status == 1 && text.contains(why), "{line}: {status} {text}");
        assert_eq!(self.tree(), before);
    }

    /// Enables, and disables again: nothing is left. What was there meanwhile.
    #[track_caller]
    fn there_and_back(&self, options: &str) -> Tree {
        let before = self.tree();
        let shown = self.does(&format!("enable --dry-run {options}"));
        assert!(shown.contains("+[outlets]"), "{shown}");
        assert_eq!(self.tree(), before);
        assert_eq!(self.does(&format!("enable {options}")).replace("done;", ""), {
            let mut text = shown.clone();
            text += " 'libvirt-nss dns status' shows whether it works\n";
            text
        });
        let during = self.tree();
        assert!(self.does(&format!("enable {options}")).contains("nothing to change"));
        assert_eq!(self.tree(), during);
        self.does("disable --dry-run");
        assert_eq!(self.tree(), during);
        self.does("disable");
        assert_eq!(self.tree(), before);
        assert!(self.does("disable").contains("nothing to undo"));
        during
    }
}

#[test]
fn resolved_reads_the_records() {
    let system = System::resolved("262", &[]);
    let during = system.there_and_back("");
    let link = &during[&system.path("etc/systemd/resolve/static.d/libvirt-nss.rr")];
    assert_eq!(link, "-> /run/libvirt-nss/names.rr");
    assert!(during[&system.path("etc/libvirt-nss.toml")].ends_with("[outlets]\nrecords = true\n"));
    // For many guests.
    let during = system.there_and_back("--server");
    assert!(
        during.contains_key(&system.path("etc/systemd/dns-delegate.d/libvirt-nss.dns-delegate"))
    );
    assert!(during[&system.path("etc/libvirt-nss.toml")].ends_with("[outlets]\nhosts = true\n"));
    system.publish_many(&["vm.internal"], 10_000);
    let during = system.there_and_back("");
    assert!(during[&system.path("etc/libvirt-nss.toml")].ends_with("[outlets]\nhosts = true\n"));
    system.publish(&["vm.internal"]);
    // From one to the other.
    let before = system.tree();
    system.does("enable --server");
    system.does("enable");
    assert!(!system.path("etc/systemd/dns-delegate.d").exists());
    system.does("disable");
    assert_eq!(system.tree(), before);
}

#[test]
fn resolved_delegates_or_has_a_link() {
    let system = System::resolved("258", &[("etc/libvirt-nss.toml", "zone = \"vm.internal\"")]);
    let during = system.there_and_back("");
    let delegate = &during[&system.path("etc/systemd/dns-delegate.d/libvirt-nss.dns-delegate")];
    let expected = "[Delegate]\nDNS=127.0.0.153\nDomains=vm.internal ~122.168.192.in-addr.arpa\n";
    assert!(delegate.ends_with(expected), "{delegate}");

    let system = System::resolved("252.39", &[]);
    let during = system.there_and_back("");
    let unit = system.path("etc/systemd/system/libvirt-nss-dns-link.service");
    assert!(during.contains_key(&unit));
    let manager = system.path("etc/NetworkManager/conf.d/libvirt-nss-dns.conf");
    let networkd = system.path("etc/systemd/network/00-libvirt-nss-dns.network");
    assert!(!during.contains_key(&manager) && !during.contains_key(&networkd));
    system.write("etc/NetworkManager/conf.d/10.conf", "");
    fs::create_dir(system.path("etc/systemd/network")).unwrap();
    let before = system.tree();
    let shown = system.does("enable --dry-run");
    for command in ["systemctl try-reload-or-restart NetworkManager.service", "networkctl reload"] {
        assert!(shown.contains(&format!("on that system, run: {command}\n")), "{shown}");
    }
    let during = system.there_and_back("");
    assert!(during[&manager].contains("managed=0") && during[&networkd].contains("Unmanaged=yes"));
    // Somebody has removed one of the files.
    for file in [&unit, &manager, &networkd] {
        system.does("enable");
        fs::remove_file(file).unwrap();
        system.does("disable");
        assert_eq!(system.tree(), before);
    }
}

#[test]
fn other_resolvers() {
    let local = ("etc/resolv.conf", "nameserver 127.0.0.1\n");
    let conf = ("etc/NetworkManager/NetworkManager.conf", "[main]\ndns=dnsmasq\n");
    let directory = ("etc/NetworkManager/dnsmasq.d/other.conf", "");
    let system = System::new(&[local, conf, directory]);
    let during = system.there_and_back("");
    let text = &during[&system.path("etc/NetworkManager/dnsmasq.d/libvirt-nss.conf")];
    assert!(text.contains("server=/122.168.192.in-addr.arpa/127.0.0.153#53\n"), "{text}");

    let include = "include-toplevel: \"/etc/unbound/unbound.conf.d/*.conf\"\n";
    let system = System::new(&[
        local,
        ("etc/unbound/unbound.conf", include),
        ("etc/unbound/unbound.conf.d/other.conf", ""),
        ("etc/systemd/system/multi-user.target.wants/x", ""),
    ]);
    symlink("/x", system.path("etc/systemd/system/multi-user.target.wants/unbound.service"))
        .unwrap();
    let during = system.there_and_back("");
    assert!(during.contains_key(&system.path("etc/unbound/unbound.conf.d/libvirt-nss.conf")));
}

#[test]
fn what_is_somebody_elses_stays() {
    let system = System::resolved("258", &[]);
    let delegate = "etc/systemd/dns-delegate.d/libvirt-nss.dns-delegate";
    system.write(delegate, "[Delegate]\nDNS=192.0.2.53\n");
    system.refuses("enable", "was not made by this command");
    system.refuses("disable", "was not made by this command");
    fs::remove_file(system.path(delegate)).unwrap();
    fs::create_dir_all(system.path("etc/systemd/resolve/static.d")).unwrap();
    let link = system.path("etc/systemd/resolve/static.d/libvirt-nss.rr");
    symlink("/elsewhere", &link).unwrap();
    system.refuses("enable", "which this command didn't make");
    fs::remove_file(link).unwrap();
    system.write("etc/libvirt-nss.toml", "[outlets]\nhosts = false\n");
    system.refuses("enable", "without 'hosts = true'");
    system.write("etc/libvirt-nss.toml", "[outlets]\nhosts = true\n");
    system.does("enable");
    assert_eq!(system.read("etc/libvirt-nss.toml"), "[outlets]\nhosts = true\n");
    fs::remove_file(system.path("run/libvirt-nss/names.cdb")).unwrap();
    system.refuses("enable", "has no snapshot");
    system.does("disable");
    system.write("etc/resolv.conf", "nameserver 192.0.2.53\n");
    system.refuses("enable", "192.0.2.53");
}

#[test]
fn status_says_what_to_do() {
    let system = System::resolved("258", &[]);
    assert!(system.does("status").contains("not enabled"));
    system.does("enable");
    let (text, status) = system.says("status");
    assert!(status == 3 && text.contains("/run/libvirt-nss/dns/hosts is missing"), "{text}");
    system.write("run/libvirt-nss/dns/hosts", "10.0.0.1 web.vm.internal\n");
    system.write("run/libvirt-nss/dns/hosts.7", "10.0.0.2 db.vm.internal\n");
    let text = system.does("status");
    for part in ["systemd-resolved 258", "zones: vm.internal", "names: 2\n", "127.0.0.153#53"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // Another name server has.
    system
        .write("etc/resolv.conf", "nameserver 127.0.0.53\nnameserver ::1\nnameserver 192.0.2.1\n");
    let (text, status) = system.says("status");
    assert!(status == 3 && text.contains("that use musl ask 192.0.2.1 at the same time"), "{text}");
    system.write("etc/resolv.conf", "nameserver 127.0.0.53\n");
    // A network has come.
    system.publish(&["vm.internal", "122.168.192.in-addr.arpa", "10.in-addr.arpa"]);
    let (text, status) = system.says("status");
    assert!(status == 3 && text.contains("have changed since 'dns enable'"), "{text}");
    system.does("enable");
    system.does("status");
    // Another resolver has.
    system.write("usr/lib/systemd/libsystemd-shared-262.so", "");
    system.write("etc/resolv.conf", "nameserver 127.0.0.1\n");
    system.write("etc/NetworkManager/NetworkManager.conf", "dns=dnsmasq\n");
    let (text, status) = system.says("status");
    assert!(status == 3 && text.contains("programs now ask NetworkManager's dnsmasq"), "{text}");
    let root = system.sandbox.work();
    let output = system.sandbox.run(&format!("libvirt-nss --root {} doctor", root.display()));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("programs now ask NetworkManager's dnsmasq"), "{text}");
    // There is none anymore.
    system.write("etc/resolv.conf", "nameserver 192.0.2.53\n");
    let (text, status) = system.says("status");
    assert!(status == 3 && text.contains("which doesn't run on this host"), "{text}");
}

#[test]
fn a_newer_resolver() {
    let system = System::resolved("257", &[]);
    let before = system.tree();
    system.does("enable");
    for (version, file) in [
        ("258", "etc/systemd/dns-delegate.d/libvirt-nss.dns-delegate"),
        ("262", "etc/systemd/resolve/static.d/libvirt-nss.rr"),
    ] {
        system.write(&format!("usr/lib/systemd/libsystemd-shared-{version}.so"), "");
        if version == "258" {
            let (text, status) = system.says("status");
            assert!(status == 3 && text.contains("another resolver or version"), "{text}");
        }
        system.does("enable");
        assert!(system.path(file).is_symlink() || system.path(file).is_file(), "{file}");
        assert!(!system.path("etc/systemd/system/libvirt-nss-dns-link.service").exists());
    }
    assert!(!system.path("etc/systemd/dns-delegate.d").exists());
    system.does("disable");
    assert_eq!(system.tree(), before);
}

/// The daemon's user writes the snapshot; what root writes into files is checked.
#[test]
fn zones_are_domain_names() {
    let system = System::resolved("252", &[]);
    for bad in ["vm.internal\nExecStart=/bin/sh", "a b", "lab.example\"", "x..y"] {
        system.publish(&["vm.internal", bad]);
        system.refuses("enable", "a zone that is not a domain name");
    }
}

/// What the administrator has added to our table stays, and is said to.
#[test]
fn a_table_that_was_changed() {
    let system = System::resolved("258", &[]);
    system.does("enable");
    let text = system.read("etc/libvirt-nss.toml") + "bare-names = true\n";
    system.write("etc/libvirt-nss.toml", &text);
    let said = system.does("disable");
    assert!(said.contains("/etc/libvirt-nss.toml keeps its table [outlets]"), "{said}");
    assert_eq!(system.read("etc/libvirt-nss.toml"), text);
}

/// A configuration that is kept elsewhere isn't changed, and what it already says counts.
#[test]
fn a_configuration_that_is_a_link() {
    let system = System::resolved("258", &[("etc/kept/libvirt-nss.toml", "zone = \"lan\"\n")]);
    symlink("/etc/kept/libvirt-nss.toml", system.path("etc/libvirt-nss.toml")).unwrap();
    system.refuses("enable", "it is a link to /etc/kept/libvirt-nss.toml; add a table [outlets]");
    assert!(system.does("disable").contains("nothing to undo"));
    system.write("etc/kept/libvirt-nss.toml", "zone = \"lan\"\n[outlets]\nhosts = true\n");
    let before = system.tree();
    system.does("enable");
    assert_ne!(system.tree(), before);
    system.does("disable");
    assert_eq!(system.tree(), before);
}

/// Links of another system don't lead out of it.
#[test]
fn links_stay_below_the_root() {
    let system = System::resolved("258", &[]);
    let outside = system.sandbox.here().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, system.path("etc/systemd/dns-delegate.d")).unwrap();
    system.refuses("enable", "dns-delegate.d");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    fs::remove_file(system.path("etc/systemd/dns-delegate.d")).unwrap();
    symlink("/usr/delegates", system.path("etc/systemd/dns-delegate.d")).unwrap();
    fs::create_dir(system.path("usr/delegates")).unwrap();
    system.does("enable");
    assert!(system.path("usr/delegates/libvirt-nss.dns-delegate").is_file());
}

/// A system in a mount namespace, with its own /etc, /run and /var/lib. Its programs are doubles: systemctl writes down what
/// it is asked.
struct Machine {
    system: System,
}

impl Machine {
    /// Its name server is on 127.0.0.1; these services run. `None` if there can be no such machine.
    fn new(running: &[&str], files: &[(&str, &str)]) -> Option<Self> {
        if !is_root("a mount namespace of its own") {
            return None;
        }
        let system = System::new(files);
        system.write("etc/resolv.conf", "nameserver 127.0.0.1\n");
        system.write("run/libvirt-nss/dns/hosts", "10.0.0.1 web.vm.internal\n");
        system.write("lib/libvirt/dnsmasq/x", "");
        fs::create_dir(system.path("lib/libvirt-nss")).unwrap();
        symlink("/run/libvirt-nss", system.path("lib/libvirt-nss/run")).unwrap();
        let machine = Self { system };
        for service in running.iter().chain(&["libvirt-nssd", "libvirt-nss-dns"]) {
            machine.system.write(&format!("running/{service}.service"), "");
        }
        machine.hook("");
        machine.program(
            "systemctl",
            r#"#!/bin/sh
if [ "$1" = is-active ]; then
    exec test -e "$WORK/running/$3"
fi
echo "systemctl $*" >>$WORK/log
. $WORK/hook
wants=/etc/systemd/system/libvirt-nssd.service.wants
case $* in
"enable --quiet --now libvirt-nss-dns.service "*) mkdir -p $wants && ln -sf /x $wants/libvirt-nss-dns.service ;;
"disable --quiet --now libvirt-nss-dns.service "*) rm -rf $wants ;;
esac
"#,
        );
        machine.program("nmcli", "#!/bin/sh\necho \"nmcli $*\" >>$WORK/log\n");
        machine.program("dnsmasq", "#!/bin/sh\necho 'Dnsmasq version 2.90  Copyright'\n");
        machine.program("getent", "#!/bin/sh\necho '10.0.0.1 web.vm.internal'\n");
        Some(machine)
    }

    fn unbound() -> Option<Self> {
        let include = "include-toplevel: \"/etc/unbound/unbound.conf.d/*.conf\"\n";
        Self::new(
            &["unbound"],
            &[
                ("etc/unbound/unbound.conf", include),
                ("etc/unbound/unbound.conf.d/other.conf", ""),
                ("etc/systemd/system/other.service", ""),
            ],
        )
    }

    fn program(&self, name: &str, text: &str) {
        self.system.sandbox.program(name, text);
    }

    /// Lines of sh that systemctl runs.
    fn hook(&self, text: &str) {
        self.system.write("hook", text);
    }

    fn stop(&self, service: &str) {
        fs::remove_file(self.system.path(&format!("running/{service}.service"))).unwrap();
    }

    fn tree(&self) -> Tree {
        self.system.tree()
    }

    /// What lines of sh print there, their exit status, and which commands were run.
    fn run(&self, lines: &str) -> (String, i32, String) {
        self.system.write("log", "");
        let script = format!(
            "{{ mount --bind $WORK/etc /etc && mount --bind $WORK/run /run && \
             mount --bind $WORK/lib /var/lib || exit; {lines}; }} 2>&1"
        );
        let mut command = self.system.sandbox.command("unshare");
        let output = command.args(["--mount", "sh", "-c", &script]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (text, output.status.code().unwrap(), self.system.read("log"))
    }

    #[track_caller]
    fn does(&self, lines: &str) -> (String, String) {
        let (text, status, log) = self.run(lines);
        assert_eq!(status, 0, "{lines}: {text}\n{log}");
        (text, log)
    }
}

const UNBOUND_ENABLED: &str = "\
systemctl try-reload-or-restart libvirt-nssd.service
systemctl enable --quiet --now libvirt-nss-dns.service libvirt-nss-dns.path
systemctl restart unbound.service
";

#[test]
fn what_is_run() {
    let Some(machine) = Machine::unbound() else { return };
    // NetworkManager doesn't run.
    machine.system.write("etc/NetworkManager/NetworkManager.conf", "[main]\ndns=dnsmasq\n");
    let before = machine.tree();
    let (text, log) = machine.does("libvirt-nss dns enable");
    assert_eq!(log, UNBOUND_ENABLED, "{text}");
    let (text, log) = machine.does("libvirt-nss dns enable; libvirt-nss dns status");
    assert!(text.contains("nothing to change"), "{text}");
    assert!(!log.contains("restart unbound"), "{log}");
    let (_, log) = machine.does("libvirt-nss dns disable");
    assert_eq!(
        log,
        "systemctl restart unbound.service\n\
         systemctl disable --quiet --now libvirt-nss-dns.service libvirt-nss-dns.path\n\
         systemctl try-reload-or-restart libvirt-nssd.service\n"
    );
    assert_eq!(machine.tree(), before);
}

/// A resolver that has been stopped or removed since isn't started again, and doesn't keep the files from being removed.
#[test]
fn a_resolver_that_is_gone() {
    let Some(machine) = Machine::unbound() else { return };
    let before = machine.tree();
    machine.does("libvirt-nss dns enable");
    machine.stop("unbound");
    let (text, status, _) = machine.run("libvirt-nss dns status");
    assert!(status == 3 && text.contains("is neither systemd-resolved nor dnsmasq"), "{text}");
    machine.hook("case $* in *unbound*) echo no unbound; exit 5 ;; esac\n");
    let (text, log) = machine.does("libvirt-nss dns disable");
    assert!(!text.contains("unbound.service") && !log.contains("unbound"), "{text}\n{log}");
    assert_eq!(machine.tree(), before);
}

/// Somebody has removed the unit of the link.
#[test]
fn a_unit_that_is_gone() {
    let Some(machine) = Machine::unbound() else { return };
    let file = "etc/NetworkManager/conf.d/libvirt-nss-dns.conf";
    machine.system.write(file, "");
    let before = machine.tree();
    let mark = "# Made by 'libvirt-nss dns enable'; 'libvirt-nss dns disable' removes it.\n";
    machine.system.write(file, mark);
    machine.hook("case $* in *link*) exit 1 ;; esac\n");
    machine.does("libvirt-nss dns disable");
    fs::write(machine.system.path(file), "").unwrap();
    assert_eq!(machine.tree(), before);
}

/// Without its commands' success nothing stays.
#[test]
fn a_command_that_fails() {
    let Some(machine) = Machine::unbound() else { return };
    let before = machine.tree();
    machine.hook("case $* in *'restart unbound'*) echo bad option >&2; exit 1 ;; esac\n");
    let (text, status, log) = machine.run("libvirt-nss dns enable");
    assert!(text.contains("'systemctl restart unbound.service' failed: bad option"), "{text}");
    assert_eq!(status, 1);
    assert_eq!(machine.tree(), before, "{log}");
    assert!(log.ends_with("systemctl try-reload-or-restart libvirt-nssd.service\n"), "{log}");

    // The service says in the journal what is wrong.
    machine.hook("case $* in *'--now libvirt-nss-dns.service'*) exit 1 ;; esac\n");
    machine.program(
        "journalctl",
        "#!/bin/sh\ncase $* in *_SYSTEMD_UNIT=libvirt-nss-dns.service) echo '127.0.0.153: Address already in use' ;; esac\n",
    );
    let (text, status, _) = machine.run("libvirt-nss dns enable");
    let why = "libvirt-nss-dns.path' failed: exit status: 1; 127.0.0.153: Address already in use; \
               see 'systemctl status libvirt-nss-dns.service'";
    assert!(status == 1 && text.contains(why), "{text}");
    assert_eq!(machine.tree(), before);
}

/// Whether the signal ends a command or comes between two of them.
#[test]
fn an_interruption() {
    let Some(machine) = Machine::unbound() else { return };
    let before = machine.tree();
    for signal in ["INT", "TERM", "HUP"] {
        for itself in [":", "kill -$signal $$"] {
            for step in ["try-reload-or-restart libvirt-nssd", "--now libvirt-nss-dns.service"] {
                machine.hook(&format!(
                    "signal={signal}\ncase $* in *'{step}'*) [ -e $WORK/once ] || \
                     {{ touch $WORK/once; kill -$signal $PPID; {itself}; }} ;; esac\n"
                ));
                let (text, status, log) = machine.run("libvirt-nss dns enable");
                assert!(text.contains("interrupted: what had been done was undone"), "{text}");
                assert_eq!(status, 1);
                assert_eq!(machine.tree(), before, "{log}");
                fs::remove_file(machine.system.path("once")).unwrap();
            }
        }
    }
    machine.hook("");
    machine.does("libvirt-nss dns enable");
}

#[test]
fn several_at_the_same_time() {
    let Some(machine) = Machine::unbound() else { return };
    let before = machine.tree();
    for _ in 0..5 {
        let (text, log) = machine.does(
            "libvirt-nss dns enable & one=$!; libvirt-nss dns enable & two=$!; libvirt-nss dns enable && \
             wait $one && wait $two",
        );
        assert_eq!(text.matches("nothing to change").count(), 2, "{text}");
        assert_eq!(log.matches("restart unbound").count(), 1, "{log}");
        machine.does("libvirt-nss dns disable & libvirt-nss dns disable && wait $!");
        assert_eq!(machine.tree(), before);
    }
}

#[test]
fn the_disk_is_full() {
    let Some(machine) = Machine::unbound() else { return };
    let (text, status, log) = machine.run(
        "cp -a /etc /run/copy && mount -t tmpfs -o nr_inodes=1024,size=1m tmpfs /etc && cp -a /run/copy/. /etc && \
         (cat /dev/zero >/etc/full || :) 2>/run/why; ls -AR /etc >/run/before; \
         libvirt-nss dns enable; status=$?; ls -AR /etc | diff /run/before - || exit 9; exit $status",
    );
    assert!(text.contains("No space left on device; free some space"), "{text}");
    assert_eq!((status, log.as_str()), (1, ""), "{text}");
}

#[test]
fn the_server_needs_dnsmasq() {
    let Some(machine) = Machine::unbound() else { return };
    let before = machine.tree();
    for (program, why) in [
        ("echo 'Dnsmasq version 2.85  Copyright (c) 2000-2021 Simon Kelley'", "this is 2.85"),
        ("exit 1", "doesn't print its version"),
    ] {
        machine.program("dnsmasq", &format!("#!/bin/sh\n{program}\n"));
        for options in ["", "--dry-run"] {
            let (text, status, log) = machine.run(&format!("libvirt-nss dns enable {options}"));
            assert!(text.contains("needs dnsmasq 2.90 or newer") && text.contains(why), "{text}");
            assert_eq!((status, log.as_str()), (1, ""));
        }
    }
    assert_eq!(machine.tree(), before);
}

/// status tries a name as programs do.
#[test]
fn a_guest_that_is_not_found() {
    let Some(machine) = Machine::unbound() else { return };
    machine.does("libvirt-nss dns enable");
    machine.program(
        "getent",
        "#!/bin/sh\necho \"getent $* $RES_OPTIONS\" >>$WORK/log\ncat $WORK/answer\n",
    );
    machine.system.write("answer", "10.0.0.1        web.vm.internal\n");
    // Names in a network's domain, which may be public, aren't routed here.
    machine.system.write("run/libvirt-nss/dns/hosts.1", "10.0.0.2 a.corp.example\n");
    let (_, log) = machine.does("libvirt-nss dns status");
    assert_eq!(log, "getent -s hosts:dns hosts web.vm.internal. timeout:2 attempts:1\n");
    for (answer, why) in
        [("", "doesn't find it"), ("192.0.2.1 web.vm.internal\n", "finds 192.0.2.1, which isn't")]
    {
        machine.system.write("answer", answer);
        let (text, status, _) = machine.run("libvirt-nss dns status");
        assert!(status == 3 && text.contains(why), "{text}");
        let (text, _, _) = machine.run("libvirt-nss --width 1000 doctor");
        assert!(text.contains(why), "{text}");
    }
    // Not that of glibc.
    machine.program("getent", "#!/bin/sh\nexit 1\n");
    machine.does("libvirt-nss dns status");
}
