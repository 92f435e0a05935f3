//! `libvirt-nss doctor`: what only shows on the running system, and at a terminal.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Sandbox, is_root};

/// A library of this machine that does nothing when it is loaded.
fn a_library() -> PathBuf {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let libc = maps.split_whitespace().find(|word| word.ends_with("/libc.so.6")).unwrap();
    Path::new(libc).with_file_name("libm.so.6")
}

/// What doctor says of the module libvirt where programs load it from the sandbox.
fn module(sandbox: &Sandbox, content: &[u8]) -> String {
    fs::write(sandbox.work().join("libnss_libvirt.so.2"), content).unwrap();
    let output = sandbox.run("LD_LIBRARY_PATH=$WORK libvirt-nss doctor --json");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let finding = &report["findings"][0];
    format!("{} {}", finding["level"].as_str().unwrap(), finding["text"].as_str().unwrap())
}

#[test]
fn a_module_that_programs_load_or_cannot() {
    let sandbox = Sandbox::new("doctor");
    let good = fs::read(a_library()).unwrap();
    let path = sandbox.work().join("libnss_libvirt.so.2").display().to_string();
    let said = module(&sandbox, &good);
    assert!(said.starts_with(&format!("note libvirt: {path} is libvirt's own")), "{said}");
    let ours = [&good, b"_nss_libvirt_gethostbyaddr_r\0".as_slice()].concat();
    let said = module(&sandbox, &ours);
    assert!(said.starts_with(&format!("ok libvirt: {path}")), "{said}");
    let said = module(&sandbox, b"no library");
    assert!(said.contains("can't be loaded"), "{said}");
    assert!(said.contains(&path) && said.contains("file too short"), "{said}");
}

#[test]
fn a_module_for_another_machine() {
    let sandbox = Sandbox::new("doctor");
    let root = sandbox.work().join("root");
    let made = sandbox.run("./make-system $WORK/root");
    assert!(made.status.success(), "{made:?}");
    let module = root.join("usr/lib64/libnss_libvirt.so.2");
    let mut bytes = fs::read(&module).unwrap();
    // e_machine, whatever the byte order: no machine has this number.
    bytes[18..20].copy_from_slice(&[0xfe, 0xfe]);
    fs::write(&module, bytes).unwrap();
    let output = sandbox.run("libvirt-nss --root $WORK/root doctor --json");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("is for another architecture than the C library beside it"), "{said}");
    assert_eq!(output.status.code(), Some(4));

    // Programs for such a machine, as it has a C library, and no module of theirs.
    fs::create_dir(root.join("usr/lib")).unwrap();
    let foreign = fs::read(&module).unwrap();
    fs::write(root.join("usr/lib/libc.so.6"), foreign).unwrap();
    fs::copy(root.join("usr/lib64/libnss_libvirt_guest.so.2"), &module).unwrap();
    let output = sandbox.run("libvirt-nss --root $WORK/root doctor --json");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("programs of another architecture, which use "), "{said}");
    // A note isn't a warning.
    assert_eq!(output.status.code(), Some(0), "{said}");
}

/// A daemon on nscd's socket, in a mount namespace: nscd, nsncd, and one that has died.
#[test]
fn a_daemon_that_answers_for_glibc() {
    if !is_root("a mount namespace of its own") {
        return;
    }
    let sandbox = Sandbox::new("doctor");
    fs::create_dir_all(sandbox.work().join("run/nscd")).unwrap();
    let sleep = ["/usr/bin/sleep", "/bin/sleep"].iter().find(|path| Path::new(path).exists());
    fs::copy(sleep.unwrap(), sandbox.work().join("nsncd")).unwrap();
    let said = |what: &str| {
        let doctor = format!("libvirt-nss doctor --json >{what}.json");
        let listening = format!(
            r#"python3 -c 'import socket, subprocess
listener = socket.socket(socket.AF_UNIX)
listener.bind("/var/run/nscd/socket")
listener.listen()
subprocess.run(["sh", "-c", "{doctor}"])'"#
        );
        let script = match what {
            "nscd" => listening,
            "nsncd" => format!("rm -f /var/run/nscd/socket; ./nsncd 60 & {listening}; kill $!"),
            _ => doctor,
        };
        let script = format!("cd $WORK && mount --bind run /run && {{ {script}; }}");
        let run = sandbox.command("unshare").args(["--mount", "sh", "-c", &script]).output();
        let report = fs::read(sandbox.work().join(format!("{what}.json")));
        let report: serde_json::Value =
            serde_json::from_slice(&report.unwrap()).unwrap_or_else(|_| panic!("{run:?}"));
        let findings = report["findings"].as_array().unwrap();
        let finding = findings.iter().find(|finding| finding["check"] == "cache").unwrap();
        format!("{}: {}", finding["level"].as_str().unwrap(), finding["text"].as_str().unwrap())
    };
    assert!(said("nscd").starts_with("warning: nscd caches look-ups"), "{}", said("nscd"));
    let socket_is_left = sandbox.work().join("run/nscd/socket");
    assert!(socket_is_left.exists());
    assert_eq!(said("dead"), "ok: no nscd caches look-ups");
    assert_eq!(said("nsncd"), "note: nsncd answers look-ups: it loads the modules, programs don't");
}

/// With someone to ask, it asks, and takes anything but yes for no.
#[test]
fn it_asks_before_it_mends() {
    let sandbox = Sandbox::new("doctor");
    let path = sandbox.work().join("root/etc/nsswitch.conf");
    let made = sandbox.run("./make-system $WORK/root");
    assert!(made.status.success(), "{made:?}");
    fs::write(&path, "hosts: files dns\n").unwrap();
    let answered = |answer: &str| {
        let line = format!(
            "echo {answer} | script -qec 'libvirt-nss --root $WORK/root doctor --fix' /dev/null"
        );
        String::from_utf8(sandbox.run(&line).stdout).unwrap()
    };
    let said = answered("n");
    assert!(said.contains("Apply it? [y/N] ") && said.contains("Nothing was changed."), "{said}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "hosts: files dns\n");
    let said = answered("y");
    assert!(said.contains("After that:"), "{said}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "hosts: files libvirt libvirt_guest dns\n");
}
