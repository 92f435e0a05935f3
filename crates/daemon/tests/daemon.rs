//! The program from start to end, with the test as its service manager.

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::process::Stdio;
use std::time::Instant;

use guest_names::snapshot::format::flags;
use support::{Directories, PATIENCE, Running, command, exists, status};

#[test]
fn it_follows_the_state_directory() {
    let directories = Directories::new();
    directories.replace("virbr0.status", &status(&[("10.0.0.1", "Web")]));
    let daemon = Running::start(&directories);
    daemon.ready();
    let snapshot = daemon.snapshot(&directories, |snapshot| snapshot.has("hweb"));
    assert_eq!(snapshot.meta().state, Some(directories.stamp()));
    assert_eq!(snapshot.meta().hold, 90);
    assert_eq!(snapshot.entry("hweb").flags, flags::LEASE);
    assert_eq!(snapshot.entry("hweb").name, b"Web");
    let info = snapshot.info();
    assert_eq!(info["files"]["leases"], 1, "{info}");
    assert_eq!(info["files"]["current"], true, "{info}");
    let mode = fs::metadata(directories.path("run/names.cdb")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o644);

    // Another file; a file changed in directories; a file removed; and the directory itself.
    directories.replace("virbr0.status", &status(&[("10.0.0.2", "db")]));
    let current = |key: &'static str| {
        let directories = &directories;
        move |snapshot: &support::Snapshot| {
            snapshot.has(key) && snapshot.meta().state == Some(directories.stamp())
        }
    };
    assert!(!daemon.snapshot(&directories, current("hdb")).has("hweb"));
    directories.write("state/virbr0.status", &status(&[("10.0.0.2", "written")]));
    daemon.snapshot(&directories, current("hwritten"));
    fs::remove_file(directories.path("state/virbr0.status")).unwrap();
    daemon.snapshot(&directories, |snapshot| {
        !snapshot.has("hwritten") && snapshot.meta().state == Some(directories.stamp())
    });
    fs::rename(directories.path("state"), directories.path("away")).unwrap();
    daemon.snapshot(&directories, |snapshot| snapshot.meta().state.is_none());
    fs::create_dir(directories.path("state")).unwrap();
    directories.replace("virbr1.status", &status(&[("10.0.0.3", "back")]));
    daemon.snapshot(&directories, current("hback"));
    // A file without leases also changes the directory's time stamp.
    directories.replace("default.conf", "");
    daemon.snapshot(&directories, current("hback"));
    assert_eq!(daemon.log().lines().count(), 1, "{}", daemon.log());
}

#[test]
fn the_state_directory_may_be_created_later() {
    let directories = Directories::new();
    fs::remove_dir(directories.path("state")).unwrap();
    let daemon = Running::start(&directories);
    daemon.ready();
    assert_eq!(directories.snapshot().unwrap().meta().state, None);
    assert!(daemon.log().contains("state does not exist, so there are no leases; libvirt creates"));
    fs::create_dir(directories.path("state")).unwrap();
    directories.replace("virbr0.status", &status(&[("10.0.0.1", "web")]));
    daemon.snapshot(&directories, |snapshot| {
        snapshot.has("hweb") && snapshot.meta().state == Some(directories.stamp())
    });
}

/// Changes of a file behind a symbolic link leave no trace in the directory, and look-ups may be able to read it.
#[test]
fn a_symbolic_link_leaves_leases_to_the_look_up() {
    let directories = Directories::new();
    directories.write("elsewhere", &status(&[("10.0.0.1", "web")]));
    symlink(directories.path("elsewhere"), directories.path("state/virbr0.status")).unwrap();
    let daemon = Running::start(&directories);
    daemon.ready();
    let snapshot = directories.snapshot().unwrap();
    assert_eq!(snapshot.meta().state, None);
    assert_eq!(snapshot.info()["files"]["unread"][0], "virbr0.status: is a symbolic link");
    assert!(
        daemon.log().contains("warning: cannot read virbr0.status: is a symbolic link; look-ups")
    );
    fs::remove_file(directories.path("state/virbr0.status")).unwrap();
    daemon.snapshot(&directories, |snapshot| snapshot.meta().state == Some(directories.stamp()));
}

#[test]
fn it_ends_without_a_snapshot() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let directories = Directories::new();
        let mut daemon = Running::start(&directories);
        daemon.ready();
        assert!(exists(&directories.path("run/names.cdb")));
        assert_eq!(daemon.end(signal).code(), Some(0), "{}", daemon.log());
        daemon.until("STOPPING=1");
        assert!(daemon.log().ends_with("libvirt-nssd: stopping\n"), "{}", daemon.log());
        let left = fs::read_dir(directories.path("run")).unwrap();
        let mut left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        // Left for the next daemon.
        assert_eq!(left, ["libvirt-nssd.lock", "names.cdb.old"]);
    }
}

#[test]
fn it_reads_its_configuration_again() {
    let directories = Directories::new();
    let daemon = Running::start(&directories);
    daemon.ready();
    directories.write("config", "connection = []\nhold = 2\n");
    daemon.signal(libc::SIGHUP);
    let reloading = daemon.until("RELOADING=1");
    assert!(reloading.lines().any(|line| line.starts_with("MONOTONIC_USEC=")), "{reloading}");
    daemon.ready();
    let error = format!(
        "libvirt-nssd: error: {}:2: hold: 2 is out of range, expected a number of seconds from 3 to \
         86400; the \
         configuration stays as it was\n",
        directories.path("config").display()
    );
    assert!(daemon.log().ends_with(&error), "{}", daemon.log());
    assert_eq!(directories.snapshot().unwrap().meta().hold, 90);
    directories.write("config", "connection = []\nhold = 30\n");
    daemon.signal(libc::SIGHUP);
    daemon.until("RELOADING=1");
    daemon.ready();
    assert_eq!(directories.snapshot().unwrap().meta().hold, 30);
}

/// The files for DNS servers come, change and go with the configuration, and are tried again.
#[test]
fn it_writes_the_outlets() {
    let directories = Directories::new();
    directories.replace("virbr0.status", &status(&[("10.0.0.1", "web")]));
    let on = "connection = []\n[outlets]\nhosts = true\nbare-names = true\nrecords = true\n";
    directories.write("config", on);
    let daemon = Running::start(&directories);
    daemon.ready();
    let (dns, records) = (directories.path("run/dns"), directories.path("run/names.rr"));
    let hosts = || -> String {
        let files = fs::read_dir(&dns).unwrap().map(|entry| entry.unwrap().path());
        files.map(|path| fs::read_to_string(path).unwrap()).collect()
    };
    assert_eq!(hosts(), "10.0.0.1 web\n");
    assert!(
        fs::read_to_string(&records).unwrap().contains(r#""name":"web"},"address":[10, 0, 0, 1]"#)
    );
    let zones = directories.path("run/dns-zones");
    assert_eq!(fs::read_to_string(&zones).unwrap(), "server=/vm.internal/\n");
    for (path, mode) in [(&dns, 0o755), (&dns.join("hosts"), 0o644), (&records, 0o644)] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o7777, mode);
    }

    let until = |is_so: &dyn Fn() -> bool| {
        let end = Instant::now() + PATIENCE;
        while !is_so() {
            assert!(Instant::now() < end, "{}", daemon.log());
            daemon.message();
        }
    };
    fs::remove_file(&records).unwrap();
    fs::create_dir(&records).unwrap();
    directories.replace("virbr0.status", &status(&[("10.0.0.2", "db")]));
    until(&|| daemon.log().contains("names.rr: Is a directory; trying again"));
    assert_eq!(hosts(), "10.0.0.2 db\n");
    fs::remove_dir(&records).unwrap();
    until(&|| fs::read_to_string(&records).is_ok_and(|text| text.contains("[10, 0, 0, 2]")));

    directories.write("config", "connection = []\n[outlets]\nrecords = true\n");
    daemon.signal(libc::SIGHUP);
    daemon.until("RELOADING=1");
    daemon.ready();
    assert!(hosts().is_empty() && !exists(&zones) && exists(&records));
    directories.write("config", "connection = []\n");
    daemon.signal(libc::SIGHUP);
    daemon.until("RELOADING=1");
    daemon.ready();
    assert!(!exists(&records));
}

#[test]
fn it_shows_that_it_is_alive() {
    let directories = Directories::new();
    directories.write("config", "connection = []\nhold = 3\n");
    let daemon = Running::start_with(&directories, |command| {
        command.env("WATCHDOG_USEC", "40000");
    });
    daemon.ready();
    let snapshot = || fs::metadata(directories.path("run/names.cdb"));
    let first = snapshot().unwrap();
    let modified = first.modified().unwrap();
    let mut alive = 0;
    // The watchdog is the clock here: every 20 ms; the snapshot is touched each second.
    while snapshot().unwrap().modified().unwrap() == modified {
        daemon.until("WATCHDOG=1");
        alive += 1;
        assert!(alive < 3000, "{}", daemon.log());
    }
    assert!(alive > 10, "{alive}");
    assert_eq!(snapshot().unwrap().ino(), first.ino());
    // If the snapshot is removed, it is written again the next time it should be touched.
    fs::remove_file(directories.path("run/names.cdb")).unwrap();
    daemon.snapshot(&directories, |_| true);
}

/// A compilation that takes long: 3,000 leases with as many names on each of thirty bridges.
#[test]
fn it_shows_that_it_is_alive_while_it_compiles() {
    let directories = Directories::new();
    for bridge in 0..30 {
        let leases: Vec<(String, String)> = (0..3_000)
            .map(|at| {
                (format!("10.{bridge}.{}.{}", at / 250, at % 250), format!("web-{bridge}-{at}"))
            })
            .collect();
        let leases: Vec<_> = leases.iter().map(|(ip, name)| (ip.as_str(), name.as_str())).collect();
        directories.replace(&format!("virbr{bridge}.status"), &status(&leases));
    }
    let daemon = Running::start_with(&directories, |command| {
        command.env("WATCHDOG_USEC", "20000");
    });
    let mut alive = 0;
    loop {
        let message = daemon.message();
        if message.lines().any(|line| line == "READY=1") {
            break;
        }
        alive += u32::from(message.lines().any(|line| line == "WATCHDOG=1"));
    }
    // One of them comes before it begins.
    assert!(alive > 3, "{alive}");
    assert!(directories.snapshot().unwrap().has("hweb-29-2999"));
}

#[test]
fn there_is_only_one() {
    let directories = Directories::new();
    let mut daemon = Running::start(&directories);
    daemon.ready();
    let second = command(&directories).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let expected = format!(
        "libvirt-nssd: error: another libvirt-nssd writes to {}: stop that one, or give this one a directory \
         of its own with --snapshot\n",
        directories.path("run").display()
    );
    assert_eq!(String::from_utf8(second.stderr).unwrap(), expected);
    assert!(exists(&directories.path("run/names.cdb")));
    // A daemon that was killed, and the files that it left, don't prevent a new one.
    daemon.end(libc::SIGKILL);
    let left = fs::metadata(directories.path("run/names.cdb")).unwrap().ino();
    directories.write("run/names.cdb.new", "half");
    directories.replace("virbr0.status", &status(&[("10.0.0.1", "web")]));
    drop(daemon);
    let daemon = Running::start(&directories);
    daemon.ready();
    daemon.snapshot(&directories, |snapshot| snapshot.has("hweb"));
    assert_ne!(fs::metadata(directories.path("run/names.cdb")).unwrap().ino(), left);
    assert!(!exists(&directories.path("run/names.cdb.new")));
}

#[test]
fn messages_for_the_journal() {
    let directories = Directories::new();
    let daemon = Running::start_with(&directories, |command| {
        let log = fs::metadata(directories.path("log")).unwrap();
        command.env("JOURNAL_STREAM", format!("{}:{}", log.dev(), log.ino()));
    });
    daemon.ready();
    drop(daemon);
    let log = fs::read_to_string(directories.path("log")).unwrap();
    assert!(log.starts_with("<6>ready: "), "{log}");
}

#[test]
fn a_start_that_fails() {
    let directories = Directories::new();
    directories.write("config", "connection = []\nfoo = 1\n");
    let failed = command(&directories).output().unwrap();
    assert_eq!(failed.status.code(), Some(1));
    let expected = format!(
        "libvirt-nssd: error: {}:2: foo: unknown field 'foo', expected one of 'hold', 'refresh', 'zone', 'short-network-aliases', 'connection', 'publish', 'outlets'\n",
        directories.path("config").display()
    );
    assert_eq!(String::from_utf8(failed.stderr).unwrap(), expected);
    assert!(!exists(&directories.path("run/names.cdb")));
    directories.write("config", "connection = []\n");
    fs::remove_dir(directories.path("run")).unwrap();
    let failed = command(&directories).output().unwrap();
    assert_eq!(failed.status.code(), Some(1));
    let log = String::from_utf8(failed.stderr).unwrap();
    assert!(log.contains("cannot lock") && log.contains("No such file or directory"), "{log}");
}

#[test]
fn a_usage_error_has_its_own_exit_status() {
    let directories = Directories::new();
    let wrong = command(&directories).arg("--chekc").output().unwrap();
    assert_eq!(wrong.status.code(), Some(64));
    assert!(String::from_utf8(wrong.stderr).unwrap().contains("--chekc"));
    let help = command(&directories).arg("--help").output().unwrap();
    assert_eq!(help.status.code(), Some(0));
}

#[test]
fn trying_it_out() {
    let directories = Directories::new();
    directories.replace("virbr0.status", &status(&[("10.0.0.1", "web"), ("10.0.0.2", "db")]));
    let tried = command(&directories).arg("--check").stderr(Stdio::inherit()).output().unwrap();
    let state = directories.path("state");
    let expected = format!("leases: {}: 2 leases on 1 bridge\n", state.display());
    let said = String::from_utf8(tried.stdout).unwrap();
    let (user, rest) = said.split_at(said.find('\n').unwrap() + 1);
    assert!(user.starts_with("user: ") && user.contains(" (groups: "), "{user}");
    assert_eq!(rest, expected);
    assert_eq!(tried.status.code(), Some(0));
    directories.write("config", "connection = []\n[publish]\nport = \"?\"\n");
    let tried = command(&directories).arg("--check").output().unwrap();
    let said = String::from_utf8(tried.stdout).unwrap();
    let publish =
        format!("\npublish: not checked here; run 'libvirt-nss-publish --check'\n{expected}");
    assert!(said.ends_with(&publish), "{said}");
    assert_eq!(tried.status.code(), Some(0));
    fs::remove_dir_all(&state).unwrap();
    let tried = command(&directories).arg("--check").output().unwrap();
    let said = String::from_utf8(tried.stdout).unwrap();
    assert!(said.ends_with(
        "state does not exist, so there are none; libvirt creates it with its first network\n"
    ));
    assert_eq!(tried.status.code(), Some(0));
    assert_eq!(fs::read_dir(directories.path("run")).unwrap().count(), 0);
    directories.write("config", "hold = 1\n");
    let tried = command(&directories).arg("--check").output().unwrap();
    let expected = format!(
        "{}:1: hold: 1 is out of range, expected a number of seconds from 3 to 86400\n",
        directories.path("config").display()
    );
    assert_eq!(String::from_utf8(tried.stdout).unwrap(), expected);
    assert_eq!(tried.status.code(), Some(1));
}
