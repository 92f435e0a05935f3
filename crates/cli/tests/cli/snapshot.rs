//! The command beside libvirt-nssd: systems with a snapshot, as the daemon would have left it.

use std::fs::{self, File, FileTimes, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use guest_names::address::{Address, Mac};
use guest_names::bridge::Bridge;
use guest_names::candidate::Evidence;
use guest_names::io::Stamp;
use guest_names::snapshot::format::{Entry, Meta, flags};

use crate::support::{NOW, Sandbox, is_root};
use crate::wait::Waiting;
use crate::watch::Ended;
use testkit::cdb::{self, Records, add, write};

/// The records of a snapshot in the making.
struct SnapshotRecords(Records);

/// Who has an address, and who says so.
#[derive(Clone, Copy)]
struct Guest<'g> {
    host_name: &'g str,
    /// Empty where no running guest has it.
    domain: &'g str,
    /// The last byte of its MAC.
    mac: u8,
    /// Empty for none.
    bridge: &'g str,
    flags: u8,
    evidence: Evidence,
    connection: u16,
    expiry: i64,
}

const GUEST: Guest<'_> = Guest {
    host_name: "",
    domain: "",
    mac: 1,
    bridge: "",
    flags: flags::REPORTED | flags::ATTACHED,
    evidence: Evidence::Agent,
    connection: 0,
    expiry: 0,
};

/// A lease of the state files that `make-system` writes.
const LEASED: Guest<'_> = Guest {
    bridge: "virbr0",
    flags: flags::LEASE | flags::ATTACHED,
    evidence: Evidence::StateFile,
    expiry: NOW + 1000,
    ..GUEST
};

impl SnapshotRecords {
    /// An entry under each name that the guest has.
    fn add(&mut self, guest: Guest<'_>, address: &str) -> &mut Self {
        let entry = |name| Entry {
            flags: guest.flags,
            evidence: guest.evidence,
            connection: guest.connection,
            mac: Some(Mac([0x52, 0x54, 0, 0, 0, guest.mac])),
            bridge: Bridge::new(guest.bridge.as_bytes()).unwrap_or(Bridge::NONE),
            expiry: guest.expiry,
            ..cdb::entry(name, Address::parse(address.as_bytes()))
        };
        for (kind, name) in [("h", guest.host_name), ("g", guest.domain)] {
            if !name.is_empty() {
                add(&mut self.0, format!("{kind}{name}").as_bytes(), &entry(name));
                let longer = format!("{kind}{name}.alias");
                add(&mut self.0, longer.as_bytes(), &entry(name));
            }
        }
        self
    }

    fn known(&mut self, domain: &str) -> &mut Self {
        let entry = Entry { evidence: Evidence::Lease, ..cdb::entry(domain, None) };
        add(&mut self.0, format!("g{domain}").as_bytes(), &entry);
        self
    }

    fn info(&mut self, connections: &str) -> &mut Self {
        let info = format!(r#"{{"version": "0.1.0", "connections": [{connections}]}}"#);
        self.0.insert(b"info".to_vec(), info.into_bytes());
        self
    }
}

const LOCAL: &str = r#"{"name": "local", "uri": "qemu:///system", "state": "up", "guests": 5}"#;
const RACK: &str =
    r#"{"name": "rack1", "uri": "qemu+ssh://root@rack1/system", "state": "up", "guests": 1}"#;
const RACK_DOWN: &str = r#"{"name": "rack1", "uri": "qemu+ssh://root@rack1/system", "state": "down",
    "since": 1699999700, "reason": "End of file while reading data: No route to host"}"#;

/// What the daemon would report of the system that `make-system` makes, and of guests that only it knows.
fn names(flags_elsewhere: u8) -> SnapshotRecords {
    let mut names = SnapshotRecords(Records::new());
    names
        .add(Guest { host_name: "web", domain: "web-vm", ..LEASED }, "10.0.0.1")
        .add(
            Guest {
                host_name: "db",
                domain: "db-vm",
                mac: 2,
                flags: LEASED.flags | flags::DENIED,
                ..LEASED
            },
            "10.0.0.2",
        )
        .add(
            Guest { host_name: "db", domain: "db-vm", mac: 2, bridge: "virbr0", ..GUEST },
            "10.0.0.22",
        )
        .add(
            Guest { host_name: "app", domain: "app-vm", mac: 3, bridge: "br0", ..GUEST },
            "172.20.0.5",
        )
        .add(Guest { domain: "app-vm", mac: 3, bridge: "br0", ..GUEST }, "fe80::5054:ff:fe00:3")
        .add(
            Guest { domain: "static-vm", mac: 4, evidence: Evidence::Neighbour, ..GUEST },
            "172.20.0.6",
        )
        .known("mute-vm")
        .known("web-vm");
    let shop = Guest {
        host_name: "shop",
        domain: "shop-vm",
        mac: 5,
        flags: GUEST.flags | flags_elsewhere,
        evidence: Evidence::Lease,
        connection: 1,
        expiry: NOW + 100,
        ..GUEST
    };
    names.add(shop, "10.9.0.7").add(Guest { host_name: "web", domain: "", ..shop }, "10.9.0.8");
    names.info(&format!("{LOCAL}, {RACK}"));
    names
}

/// A system with a snapshot.
struct System<'s> {
    root: PathBuf,
    sandbox: &'s Sandbox,
}

impl<'s> System<'s> {
    /// All is well there, but for the daemon that doesn't run.
    fn new(sandbox: &'s Sandbox, name: &str) -> Self {
        let made = sandbox.run(&format!("./make-system {name}"));
        assert!(made.status.success(), "{made:?}");
        let system = Self { root: sandbox.here().join(name), sandbox };
        fs::create_dir_all(system.home()).unwrap();
        for place in ["run", "run/libvirt-nss"] {
            fs::set_permissions(system.root.join(place), Permissions::from_mode(0o755)).unwrap();
        }
        set_modified(&system.state(), NOW - 120);
        system
    }

    fn home(&self) -> PathBuf {
        self.root.join("run/libvirt-nss")
    }

    fn path(&self) -> PathBuf {
        self.home().join("names.cdb")
    }

    fn state(&self) -> PathBuf {
        self.root.join("var/lib/libvirt/dnsmasq")
    }

    /// The state directory's time stamp, or the one before.
    fn stamp(&self, current: bool) -> Stamp {
        let status = fs::metadata(self.state()).unwrap();
        Stamp {
            seconds: status.mtime() - i64::from(!current),
            nanoseconds: status.mtime_nsec() as u32,
            device: status.dev(),
            inode: status.ino(),
        }
    }

    /// Puts a snapshot there, as the daemon does, that it last touched `age` seconds ago.
    fn publish(&self, names: &SnapshotRecords, state: Option<Stamp>, age: i64) {
        let meta = Meta { state, hold: 90, length: 0, compiled: NOW - age };
        self.publish_bytes(&write(&names.0, meta), age);
    }

    fn publish_bytes(&self, bytes: &[u8], age: i64) {
        let new = self.home().join("names.cdb.new");
        fs::write(&new, bytes).unwrap();
        fs::set_permissions(&new, Permissions::from_mode(0o644)).unwrap();
        set_modified(&new, NOW - age);
        fs::rename(new, self.path()).unwrap();
    }

    /// What the command says, and its exit status.
    fn says(&self, line: &str) -> (String, Option<i32>) {
        let root = self.root.display();
        let output = self.sandbox.run(&format!("libvirt-nss --root {root} {line} 2>&1"));
        (String::from_utf8(output.stdout).unwrap(), output.status.code())
    }
}

fn set_modified(path: &Path, time: i64) {
    let time = UNIX_EPOCH + Duration::from_secs(time as u64);
    File::open(path).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
}

/// The systems of the transcripts in `tests/golden/snapshot.txt`.
pub(crate) fn prepare(sandbox: &Sandbox) {
    let elsewhere = flags::ELSEWHERE;
    let system = |name| System::new(sandbox, name);
    let fresh = system("fresh");
    fresh.publish(&names(elsewhere), Some(fresh.stamp(true)), 3);
    // The state files have changed since.
    let beside = system("beside");
    beside.publish(&names(elsewhere), Some(beside.stamp(false)), 3);
    // They changed two minutes ago, and nothing came of it.
    let late = system("late");
    late.publish(&names(elsewhere), Some(late.stamp(false)), 80);
    // The connection to the fleet comes first.
    let fleet = system("fleet");
    fleet.publish(&names(elsewhere | flags::BEFORE), Some(fleet.stamp(false)), 3);
    let silent = system("silent");
    silent.publish(&names(elsewhere), Some(silent.stamp(true)), 300);
    let dead = system("dead");
    dead.publish(&names(elsewhere), Some(dead.stamp(false)), 300);
    let ahead = system("ahead");
    ahead.publish(&names(elsewhere), Some(ahead.stamp(false)), -4000);
    let down = system("down");
    let mut unconnected = names(elsewhere);
    let third = r#"{"name": "rack2", "state": "connecting"}"#;
    unconnected.info(&format!("{LOCAL}, {RACK_DOWN}, {third}"));
    down.publish(&unconnected, Some(down.stamp(true)), 3);
    let unread = system("unread");
    let mut partly = names(elsewhere);
    let info = r#"{"files": {"unread": ["virbr1.status: is a symbolic link"]}}"#;
    partly.0.insert(b"info".to_vec(), info.into());
    unread.publish(&partly, None, 20);
    // Neither the daemon's version nor its connections are known.
    let untold = system("untold");
    let mut bare = names(elsewhere);
    bare.0.remove(b"info".as_slice());
    untold.publish(&bare, None, 20);
    // libvirt's networks are all on other hosts.
    let remote = system("remote");
    fs::remove_dir_all(remote.state()).unwrap();
    remote.publish(&names(elsewhere), None, 3);

    let meta = Meta { state: None, hold: 90, length: 0, compiled: NOW };
    let bytes = write(&names(elsewhere).0, meta);
    system("short").publish_bytes(&bytes[..bytes.len() - 8], 3);
    let mut other = bytes.clone();
    other[Meta::START + 3] += 1;
    system("version").publish_bytes(&other, 3);
    let mut broken = bytes.clone();
    let shop = bytes.windows(8).position(|piece| piece == b"hshop.al").unwrap();
    broken[shop] = b'x';
    system("broken").publish_bytes(&broken, 3);
    let writable = system("writable");
    writable.publish_bytes(&bytes, 3);
    fs::set_permissions(writable.path(), Permissions::from_mode(0o664)).unwrap();
    let closed = system("closed");
    closed.publish_bytes(&bytes, 3);
    fs::set_permissions(closed.path(), Permissions::from_mode(0o640)).unwrap();
}

/// Who else's it is.
#[test]
fn a_foreign_snapshot() {
    if !is_root("files of other users") {
        return;
    }
    let sandbox = Sandbox::new("snapshot");
    let system = System::new(&sandbox, "foreign");
    system.publish(&names(0), Some(system.stamp(true)), 3);
    assert_eq!(system.says("resolve app"), ("172.20.0.5\n".into(), Some(0)));
    chown(system.path(), Some(4321), None).unwrap();
    assert_eq!(system.says("resolve app").1, Some(2));
    let (said, status) = system.says("doctor");
    assert_eq!(status, Some(4), "{said}");
    let words = |said: &str| said.split_whitespace().collect::<Vec<_>>().join(" ");
    let why = "its owner is user 4321, but must be root or the owner of its directory (user 0)";
    assert!(words(&said).contains(why), "{said}");
    let (said, _) = system.says("explain --verbose app");
    assert!(words(&said).contains("snapshot isn't used: "), "{said}");
    let (said, _) = system.says("list");
    assert!(said.contains("are missing: ") && !said.contains("172.20.0.5"), "{said}");
}

/// A guest that only its agent reports ends the wait, and so does the daemon's first snapshot.
#[test]
fn waiting_for_what_only_the_daemon_knows() {
    let sandbox = Sandbox::new("snapshot");
    let system = System::new(&sandbox, "s");
    fs::remove_dir(system.home()).unwrap();
    let mut waiting = Waiting::start(&sandbox, "--root s wait -v app shop-vm");
    assert_eq!(
        waiting.says(),
        "libvirt-nss: app has no address yet: no guest has this name; shop-vm has no address yet: no \
         guest has this name"
    );
    fs::create_dir(system.home()).unwrap();
    fs::set_permissions(system.home(), Permissions::from_mode(0o755)).unwrap();
    let mut first = SnapshotRecords(Records::new());
    first.add(Guest { host_name: "app", ..GUEST }, "172.20.0.5").known("shop-vm");
    system.publish(&first, Some(system.stamp(false)), 0);
    let known = "libvirt-nss: shop-vm has no address yet: it runs (connection #1) without a \
                 known address";
    waiting.says_at_last(known);
    system.publish(&names(flags::ELSEWHERE), Some(system.stamp(false)), 0);
    assert_eq!(waiting.ends(), ("172.20.0.5\n10.9.0.7\n".into(), Some(0)));
}

/// The daemon lives again, and says so by a touch.
#[test]
fn waiting_for_a_daemon_that_was_silent() {
    let sandbox = Sandbox::new("snapshot");
    let system = System::new(&sandbox, "s");
    system.publish(&names(0), Some(system.stamp(false)), 100);
    let mut waiting = Waiting::start(&sandbox, "--root s wait -v app");
    let silent = "libvirt-nss: app has no address yet: no guest has this name in the files that could \
                  be read; libvirt-nssd hasn't renewed its snapshot for 100s (it is valid for 90s)";
    assert_eq!(waiting.says(), silent);
    set_modified(&system.path(), NOW - 1);
    assert_eq!(waiting.ends(), ("172.20.0.5\n".into(), Some(0)));
}

/// The modules answer with an address that the daemon knows no guest of, and so the wait ends.
#[test]
fn waiting_ends_when_the_modules_answer() {
    let sandbox = Sandbox::new("snapshot");
    let system = System::new(&sandbox, "s");
    let mut old = SnapshotRecords(Records::new());
    let left = Guest { host_name: "old", flags: flags::REPORTED, ..GUEST };
    system.publish(old.add(left, "172.20.0.9"), Some(system.stamp(false)), 0);
    let waiting = Waiting::start(&sandbox, "--root s wait -v old");
    assert_eq!(waiting.ends(), ("172.20.0.9\n".into(), Some(0)));
}

/// What only the daemon knows appears, is renamed and goes, and ends with the daemon.
#[test]
fn watching() {
    let sandbox = Sandbox::new("snapshot");
    let system = System::new(&sandbox, "s");
    fs::remove_dir_all(system.state()).unwrap();
    let mut names = SnapshotRecords(Records::new());
    system.publish(names.known("mute-vm").info(LOCAL), None, 0);
    let mut child = sandbox
        .command("sh")
        .args(["-c", "exec libvirt-nss --root s watch --domain '*-vm'"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let _child = Ended(child);
    let mut says = || {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        line.trim_end().split('\t').skip(1).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(says(), "is mute-vm - - - - - - no-address - - libvirt local no -");
    let app = Guest { domain: "app-vm", bridge: "br0", ..GUEST };
    system.publish(names.add(app, "172.20.0.5"), None, 0);
    let row = "app-vm - br0 - 172.20.0.5 52:54:00:00:00:01 - attached - - agent local domain -";
    assert_eq!(says(), format!("new {row}"));
    system.publish(names.add(Guest { host_name: "app", domain: "", ..app }, "172.20.0.5"), None, 0);
    let named = row.replace("-vm -", "-vm app").replace("domain", "both");
    assert_eq!(says(), format!("renamed {named}"));
    set_modified(&system.path(), NOW - 91);
    assert_eq!(says(), format!("gone {named}"));
    assert_eq!(says(), "gone mute-vm - - - - - - no-address - - libvirt local no -");
}

/// Nothing is written any more: the clock shows that the daemon is gone.
#[test]
fn watching_a_daemon_die() {
    let sandbox = Sandbox::new("snapshot");
    let system = System::new(&sandbox, "s");
    fs::remove_dir_all(system.state()).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    // It counts for some seconds yet.
    let age = NOW - (now - 88);
    system.publish(SnapshotRecords(Records::new()).known("mute-vm"), None, age);
    let mut child = sandbox
        .command(Sandbox::binary())
        .args(["--root", "s", "watch", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let _child = Ended(child);
    for change in ["is", "gone"] {
        let line = lines.next().unwrap().unwrap();
        let expected = format!(r#""change":"{change}","domain":"mute-vm""#);
        assert!(line.contains(&expected), "{line}");
    }
}
