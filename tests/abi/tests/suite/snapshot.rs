//! The daemon's snapshot: what it answers and when, and that the files answer if it can't.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use abi::snapshot::{DIRECTORY, LEASED, PATH, REPORTED, put, stamp};
use abi::{Kind, Lease, MacMap, Modules, Query, Snapshot, StateDir, sandbox, sandboxed};
use guest_names::io::Stamp;
use guest_names::snapshot::format::Meta;

use crate::support::*;

const MAC: &str = "52:54:00:00:00:01";

/// One guest with both names in the snapshot, with an address that isn't in the files.
fn snapshot(address: &str, flags: u8) -> Snapshot {
    Snapshot::default()
        .entry("hweb", flags, "Web", address, "virbr0")
        .entry("gweb-vm", flags, "web-vm", address, "virbr0")
}

/// The same guest in the state files.
fn files(state: &StateDir) {
    state.leases("virbr0", &[Lease::v4("10.0.0.1", MAC, "web", later())]);
    state.macs("virbr0", &[MacMap::new("web-vm", &[MAC])]);
}

/// Looks up both names, and both names of the address.
#[track_caller]
fn assert_answered(address: &str, hostname: &str) {
    assert_addresses(host(), "WEB.", &[address]);
    assert_addresses(guest(), "web-vm", &[address]);
    for (module, name) in [(host(), hostname), (guest(), "web-vm")] {
        for query in [Query::addr(address), Query::addr2(address)] {
            let answer = ask(module, &query);
            assert_eq!(answer.triple(), FOUND, "{query}: {answer}");
            assert_eq!(answer.names[0], name.as_bytes(), "{query}");
        }
    }
}

/// Without state files, the snapshot answers alone.
#[test]
fn it_replaces_the_files() {
    sandboxed(|state| {
        let snapshot = snapshot("10.0.0.2", LEASED).known("gnew", LEASED, "new");
        snapshot.publish(state);
        assert_answered("10.0.0.2", "Web");
        assert_no_address(guest(), "new");
        for module in [host(), guest()] {
            assert_unknown(module, "nobody");
        }
        assert_eq!(ask(host(), &Query::addr("10.0.0.3")).triple(), UNKNOWN);
        let snapshot = snapshot.entry("hweb", LEASED, "Web", "fd00::2", "virbr0");
        snapshot.publish(state);
        assert_addresses(host(), "web", &["10.0.0.2", "fd00::2"]);
    });
}

/// The system calls of one look-up by `abi-probe`, as strace reports them.
fn system_calls(kind: Kind, name: &str) -> Vec<String> {
    let output = Command::new("strace")
        .args(["-qq", "-e", "signal=none"])
        .arg(env!("CARGO_BIN_EXE_abi-probe"))
        .arg(Modules::ours().path(kind))
        .args([kind.service(), name])
        .output()
        .expect("strace starts");
    assert!(output.status.success(), "{output:?}");
    let known = !["nobody", "10.9.9.9"].contains(&name);
    let answers = String::from_utf8_lossy(&output.stdout);
    assert_eq!(answers.contains("Success"), known, "{name}: {answers}");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let calls: Vec<&str> = log.lines().collect();
    let first = calls.iter().position(|call| call.contains(DIRECTORY)).expect("a look-up");
    let last = calls.iter().rposition(|call| call.starts_with("close(")).expect("a look-up's end");
    let names = calls[first..=last].iter().map(|call| call.split('(').next().unwrap_or(call));
    names.map(str::to_owned).collect()
}

/// However many guests there are, a look-up makes a handful of system calls, for a known name and for an unknown one.
#[test]
fn a_look_up_makes_at_most_eight_system_calls() {
    if let Err(error) = Command::new("strace").arg("-V").output() {
        return sandbox::skip(&format!("strace can't be run (tests/setup test): {error}"));
    }
    sandboxed(|state| {
        for count in [0, 2_000] {
            let other = |snapshot: Snapshot, i: usize| {
                let address = format!("10.1.{}.{}", i / 250, i % 250);
                let snapshot = snapshot.entry(&format!("hvm{i}"), LEASED, "vm", &address, "virbr0");
                snapshot.entry(&format!("gvm{i}"), LEASED, "vm", &address, "virbr0")
            };
            let snapshot = (0..count).fold(snapshot("10.0.0.2", LEASED), other);
            snapshot.publish(state);
            for (kind, name) in [
                (Kind::Host, "web"),
                (Kind::Host, "10.0.0.2"),
                (Kind::Guest, "web-vm"),
                (Kind::Guest, "10.0.0.2"),
            ] {
                // glibc chooses which call a stat is.
                let stat = |call: String| if call.contains("stat") { "stat".into() } else { call };
                let calls: Vec<_> = system_calls(kind, name).into_iter().map(stat).collect();
                let [open, read, close] = ["openat", "pread64", "close"];
                let known = ["stat", open, "stat", "stat", read, read, read, close];
                assert_eq!(calls, known, "{count} others");
                for unknown in ["nobody", "10.9.9.9"] {
                    let calls = system_calls(kind, unknown).len();
                    assert!((6..=8).contains(&calls), "{calls} calls, {count} others");
                }
            }
        }
    });
}

/// The daemon replaces its file while libvirt replaces the state files: every answer is from one version that existed
/// during the call.
#[test]
fn answers_are_of_one_version() {
    sandboxed(|state| {
        let address = |version: u32| format!("10.1.{}.{}", version >> 8, version & 0xff);
        let files = |version| {
            state.leases("virbr0", &[Lease::v4(&address(version), MAC, "web", later())]);
        };
        files(0);
        let (begun, done) = (AtomicU32::new(0), AtomicU32::new(0));
        let stop = AtomicBool::new(false);
        let module = host();
        let (from_snapshot, from_files) = (AtomicU32::new(0), AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Acquire) {
                        let oldest = done.load(Ordering::SeqCst);
                        let answer = module.resolve(&Query::name4("web")).expect("exported");
                        let newest = begun.load(Ordering::SeqCst);
                        let [only] = &answer.addresses[..] else { panic!("{answer}") };
                        let IpAddr::V4(only) = only.ip else { panic!("{answer}") };
                        let [_, one, high, low] = only.octets();
                        let version = u32::from(high) << 8 | u32::from(low);
                        assert!(
                            (oldest..=newest).contains(&version),
                            "{version} of {oldest}..={newest}"
                        );
                        let count = if one == 2 { &from_snapshot } else { &from_files };
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            for version in 1..2_000 {
                begun.store(version, Ordering::SeqCst);
                files(version);
                done.store(version, Ordering::SeqCst);
                if version % 2 == 0 {
                    // The second octet distinguishes the snapshot's address from that of the files.
                    let address = address(version).replacen("10.1.", "10.2.", 1);
                    snapshot(&address, LEASED).publish(state);
                }
                if version % 100 == 0 {
                    let seen = from_snapshot.load(Ordering::Relaxed);
                    while from_snapshot.load(Ordering::Relaxed) == seen {
                        thread::yield_now();
                    }
                }
            }
            stop.store(true, Ordering::Release);
        });
        let (from_snapshot, from_files) = (from_snapshot.into_inner(), from_files.into_inner());
        println!("{from_snapshot} answers from the snapshot, {from_files} from the files");
        assert!(from_files > 0, "the files were never read");
    });
}

/// After any change of the state directory, the leases in the snapshot no longer count.
#[test]
fn changed_files_take_precedence() {
    sandboxed(|state| {
        snapshot("10.0.0.2", LEASED).publish(state);
        assert_answered("10.0.0.2", "Web");
        files(state);
        assert_answered("10.0.0.1", "web");
        // Each part of the time stamp counts.
        let now = stamp(state);
        for other in [
            Stamp { seconds: now.seconds + 1, ..now },
            Stamp { nanoseconds: now.nanoseconds ^ 1, ..now },
            Stamp { device: now.device + 1, ..now },
            Stamp { inode: now.inode + 1, ..now },
        ] {
            put(&snapshot("10.0.0.2", LEASED).bytes(Some(other)));
            assert_answered("10.0.0.1", "web");
        }
        put(&snapshot("10.0.0.2", LEASED).bytes(Some(now)));
        assert_answered("10.0.0.2", "Web");
    });
}

#[test]
fn reported_guests_are_added_to_the_files() {
    sandboxed(|state| {
        let _cursor = cursor();
        let reported = Snapshot::default()
            .entry("hweb", REPORTED, "web", "10.0.0.9", "virbr0")
            .entry("hbridged", REPORTED, "bridged", "10.9.0.1", "br0")
            .entry("gbridged-vm", REPORTED, "bridged-vm", "10.9.0.1", "br0")
            .entry("gbridged-vm.lan", REPORTED, "bridged-vm", "10.9.0.1", "br0");
        reported.publish_beside();
        files(state);
        assert_addresses(host(), "bridged", &["10.9.0.1"]);
        assert_addresses(guest(), "bridged-vm", &["10.9.0.1"]);
        assert_addresses(guest(), "bridged-vm.LAN", &["10.9.0.1"]);
        assert_addresses(guest(), "web-vm", &["10.0.0.1"]);
        assert_addresses(host(), "web", &["10.0.0.1", "10.0.0.9"]);
        let mut pairs = Vec::new();
        for module in [host(), guest()] {
            let _ = module.resolve(&Query::Set);
            while let Some(answer) = module.resolve(&Query::Get).filter(|a| a.triple() == FOUND) {
                let name = String::from_utf8_lossy(&answer.names[0]).into_owned();
                pairs.push((name, answer.addresses_text().concat()));
            }
        }
        pairs.sort();
        let pair = |name: &str, address: &str| (name.to_owned(), address.to_owned());
        let expected = [
            pair("bridged", "10.9.0.1"),
            pair("bridged-vm", "10.9.0.1"),
            pair("web", "10.0.0.1"),
            pair("web", "10.0.0.9"),
            pair("web-vm", "10.0.0.1"),
        ];
        assert_eq!(pairs, expected);

        // The daemon died a while ago.
        let dead = SystemTime::now() - Duration::from_secs(91);
        let file = fs::File::options().write(true).open(PATH).expect("the snapshot");
        file.set_modified(dead).expect("a time stamp");
        assert_answered("10.0.0.1", "web");
        assert_unknown(host(), "bridged");
        assert_unknown(guest(), "bridged-vm.lan");
    });
}

#[test]
fn link_local_addresses_have_their_bridge_as_scope() {
    sandboxed(|state| {
        sandbox::private_network().expect("a network namespace");
        let snapshot = Snapshot::default().entry("hweb", LEASED, "web", "fe80::1", "lo");
        snapshot.publish(state);
        let answer = host().resolve(&Query::name4("web")).expect("exported");
        let scopes: Vec<_> = answer.addresses.iter().map(|address| address.scope).collect();
        assert_eq!(scopes, [1]);
    });
}

/// Whatever is wrong with the snapshot, the files answer.
#[test]
fn a_broken_one_is_ignored() {
    sandboxed(|state| {
        files(state);
        let whole = snapshot("10.0.0.2", LEASED).bytes(Some(stamp(state)));
        put(&whole);
        assert_answered("10.0.0.2", "Web");
        for len in [0, 1, 2047, 2048, Meta::START, Meta::END, whole.len() / 2, whole.len() - 1] {
            put(&whole[..len]);
            assert_answered("10.0.0.1", "web");
        }
        put(&[&whole[..], b"x"].concat());
        assert_answered("10.0.0.1", "web");
        let mut version = whole.clone();
        version[Meta::START + 3] = b'9';
        put(&version);
        assert_answered("10.0.0.1", "web");
        put(&vec![0xff; whole.len()]);
        assert_answered("10.0.0.1", "web");
        // Positions and lengths that lead out of the file, except those of the part that is read first.
        for at in (0..2048).step_by(4) {
            let mut led_out = whole.clone();
            led_out[at..at + 4].copy_from_slice(&0xffff_fff0_u32.to_le_bytes());
            put(&led_out);
            let answer = host().resolve(&Query::name4("web")).expect("exported");
            assert_eq!(answer.triple(), FOUND, "{answer}");
        }
    });
}

/// A file that somebody else may have put there is ignored.
#[test]
fn a_foreign_one_is_ignored() {
    sandboxed(|state| {
        files(state);
        let whole = snapshot("10.0.0.2", LEASED).bytes(Some(stamp(state)));
        let mode = |path: &str, mode: u32| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
        };
        put(&whole);
        mode(PATH, 0o644);
        assert_answered("10.0.0.2", "Web");
        for writable in [0o664, 0o646] {
            mode(PATH, writable);
            assert_answered("10.0.0.1", "web");
        }
        mode(PATH, 0o644);
        for writable in [0o775, 0o1777] {
            mode(DIRECTORY, writable);
            assert_answered("10.0.0.1", "web");
        }
        mode(DIRECTORY, 0o755);
        assert_answered("10.0.0.2", "Web");
        if chown(DIRECTORY, Some(65534), None).is_ok() {
            // Either the daemon's own user owns both, or root owns the file.
            assert_answered("10.0.0.2", "Web");
            chown(PATH, Some(65534), None).expect("an owner");
            assert_answered("10.0.0.2", "Web");
            chown(DIRECTORY, Some(0), None).expect("an owner");
            assert_answered("10.0.0.1", "web");
            chown(PATH, Some(0), None).expect("an owner");
        }
        fs::rename(PATH, Path::new(DIRECTORY).join("other")).expect("a rename");
        symlink("other", PATH).expect("a link");
        assert_answered("10.0.0.1", "web");
        fs::remove_file(PATH).expect("the link");
        fs::create_dir(PATH).expect("a directory");
        assert_answered("10.0.0.1", "web");
        fs::remove_dir(PATH).expect("the directory");
        let status = std::process::Command::new("mkfifo").arg(PATH).status();
        assert!(status.expect("mkfifo").success());
        assert_answered("10.0.0.1", "web");
    });
}
