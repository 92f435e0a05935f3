//! `libvirt-nss dns` on systems below another root: its files, there and back.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use guest_names::snapshot::format::Meta;
use testkit::cdb::{Records, write};

use crate::support::{NOW, Sandbox};

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
    assert!(!during.contains_key(&manager));
    system.write("etc/NetworkManager/conf.d/10.conf", "");
    assert!(system.there_and_back("")[&manager].contains("managed=0"));
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
    let text = system.does("status");
    for part in
        ["systemd-resolved 258", "zones: vm.internal", "names: 1 addresses", "127.0.0.153#53"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
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
}
