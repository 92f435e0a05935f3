//! `libvirt-nss enable` and `disable`: what a file has besides its bytes, and authselect.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, XattrFlags, flock, getxattr, listxattr, setxattr};

use crate::support::{Sandbox, fixtures, is_root};

const DEBIAN: &str = "nsswitch/debian";

/// A root with this nsswitch.conf.
fn root_with(sandbox: &Sandbox, case: &str) {
    fs::create_dir(sandbox.work().join("etc")).unwrap();
    let before = fixtures().join(format!("{case}.before"));
    fs::copy(before, sandbox.work().join("etc/nsswitch.conf")).unwrap();
}

fn run(sandbox: &Sandbox, line: &str) {
    let output = sandbox.run(&format!("libvirt-nss --root $WORK {line}"));
    assert!(output.status.success(), "{line}: {output:?}");
}

/// Everything about a file but its bytes, its time and its number.
fn kept(path: &Path) -> (u32, u32, u32, Vec<(String, Vec<u8>)>) {
    let status = fs::metadata(path).unwrap();
    let mut names = [0; 4096];
    let length = listxattr(path, names.as_mut_slice()).unwrap();
    let names = String::from_utf8(names[..length].to_vec()).unwrap();
    let attributes = names.split_terminator('\0').map(|name| {
        let mut value = [0; 4096];
        let length = getxattr(path, name, value.as_mut_slice()).unwrap();
        (name.to_owned(), value[..length].to_vec())
    });
    let mut attributes: Vec<_> = attributes.collect();
    attributes.sort();
    (status.mode(), status.uid(), status.gid(), attributes)
}

fn same(case: &str, extension: &str, path: &Path) {
    let expected = fs::read(fixtures().join(format!("{case}.{extension}"))).unwrap();
    assert_eq!(String::from_utf8(fs::read(path).unwrap()), String::from_utf8(expected));
}

/// `u::rw-,u:1234:r--,g::r--,m::r--,o::r--` as the kernel has it (linux/posix_acl_xattr.h).
fn acl() -> Vec<u8> {
    let entry = |tag: u16, permissions: u16, id: u32| {
        [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    let none = u32::MAX;
    let entries = [
        entry(0x01, 6, none),
        entry(0x02, 4, 1234),
        entry(0x04, 4, none),
        entry(0x10, 4, none),
        entry(0x20, 4, none),
    ];
    [2_u32.to_le_bytes().to_vec(), entries.concat()].concat()
}

#[test]
fn mode_time_and_attributes_stay() {
    let sandbox = Sandbox::new("enable");
    root_with(&sandbox, DEBIAN);
    let path = sandbox.work().join("etc/nsswitch.conf");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    setxattr(&path, "system.posix_acl_access", &acl(), XattrFlags::empty()).unwrap();
    if is_root("a file of another owner, a SELinux label") {
        chown(&path, Some(1234), Some(4321)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o2644)).unwrap();
        let label = b"system_u:object_r:etc_t:s0\0";
        setxattr(&path, "security.selinux", label, XattrFlags::empty()).unwrap();
    }
    let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(981_173_106_789_000_000);
    fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    let before = kept(&path);
    // Of the content, or of the very file: not taken over.
    setxattr(&path, "user.note", b"mine\0too", XattrFlags::empty()).unwrap();
    if is_root("capabilities of a file") {
        // vfs_cap_data, revision 2: cap_chown, in effect.
        let capabilities = [1, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        setxattr(&path, "security.capability", &capabilities, XattrFlags::empty()).unwrap();
    }
    let number = fs::metadata(&path).unwrap().ino();

    run(&sandbox, "enable");
    same(DEBIAN, "after", &path);
    assert_eq!(kept(&path), before);
    assert_ne!(fs::metadata(&path).unwrap().ino(), number, "replaced by a rename");
    assert_ne!(fs::metadata(&path).unwrap().modified().unwrap(), time);

    run(&sandbox, "disable --restore");
    same(DEBIAN, "before", &path);
    assert_eq!(kept(&path), before);
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), time);
    assert_eq!(fs::read_dir(sandbox.work().join("etc")).unwrap().count(), 1);
}

#[test]
fn links_stay() {
    let sandbox = Sandbox::new("enable");
    root_with(&sandbox, DEBIAN);
    let etc = sandbox.work().join("etc");
    fs::create_dir(sandbox.work().join("elsewhere")).unwrap();
    let real = sandbox.work().join("elsewhere/conf");
    fs::rename(etc.join("nsswitch.conf"), &real).unwrap();
    symlink("/elsewhere/conf", etc.join("between")).unwrap();
    symlink("between", etc.join("nsswitch.conf")).unwrap();
    run(&sandbox, "enable");
    same(DEBIAN, "after", &real);
    assert_eq!(fs::read_link(etc.join("nsswitch.conf")).unwrap(), Path::new("between"));
    assert_eq!(fs::read_link(etc.join("between")).unwrap(), Path::new("/elsewhere/conf"));
    run(&sandbox, "disable");
    same(DEBIAN, "before", &real);
    assert_eq!(fs::read_dir(sandbox.work().join("elsewhere")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(etc).unwrap().count(), 2);
}

/// Many at once, after one that was killed: the file is whole, and as if there had been one.
#[test]
fn side_by_side() {
    let sandbox = Sandbox::new("enable");
    root_with(&sandbox, DEBIAN);
    let etc = sandbox.work().join("etc");
    fs::write(etc.join(".nsswitch.conf.libvirt-nss-new"), "hosts: half").unwrap();
    let line = "for i in 1 2 3 4 5 6 7 8; do libvirt-nss --root $WORK enable & done; wait";
    let output = sandbox.run(line);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    same(DEBIAN, "after", &etc.join("nsswitch.conf"));
    same(DEBIAN, "before", &etc.join("nsswitch.conf.libvirt-nss-backup"));
    assert_eq!(fs::read_dir(etc).unwrap().count(), 2);
}

/// Every file that `enable` takes: it is right the second time, and `disable --restore` makes the old file of
/// it, by its backup, and, where that can't be used, by taking off what was added.
#[test]
fn there_and_back() {
    let sandbox = Sandbox::new("enable");
    fs::create_dir(sandbox.work().join("etc")).unwrap();
    let path = sandbox.work().join("etc/nsswitch.conf");
    let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(981_173_106_789_000_000);
    let mut count = 0;
    for entry in fs::read_dir(fixtures().join("nsswitch")).unwrap() {
        let before = entry.unwrap().path();
        if before.extension().is_none_or(|extension| extension != "before")
            || before.with_extension("refused").exists()
        {
            continue;
        }
        count += 1;
        let case = format!("nsswitch/{}", before.file_stem().unwrap().to_str().unwrap());
        fs::copy(&before, &path).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        run(&sandbox, "enable");
        same(&case, "after", &path);
        let number = fs::metadata(&path).unwrap().ino();
        run(&sandbox, "enable");
        assert_eq!(fs::metadata(&path).unwrap().ino(), number, "{case}");
        run(&sandbox, "disable --restore");
        same(&case, "before", &path);
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), time, "{case}");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "{case}");

        run(&sandbox, "enable");
        let note = b"\n# a line of the administrator\n".as_slice();
        fs::write(&path, [fs::read(&path).unwrap(), note.to_vec()].concat()).unwrap();
        run(&sandbox, "disable --restore");
        let before = fs::read(&before).unwrap();
        // A service that was there before stays where it was moved to.
        let text = String::from_utf8_lossy(&before);
        if !text.lines().any(|line| line.starts_with("hosts") && line.contains("libvirt")) {
            let restored = fs::read(&path).unwrap();
            assert_eq!(restored, [before, note.to_vec()].concat(), "{case}");
        }
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "{case}");
    }
    assert!(count > 30, "{count}");
}

/// Changed by hand between `enable` and `disable --restore`, which undoes what enable did and no more.
#[test]
fn changed_since() {
    let sandbox = Sandbox::new("enable");
    fs::create_dir(sandbox.work().join("etc")).unwrap();
    let path = sandbox.work().join("etc/nsswitch.conf");
    let cases = [
        (
            "hosts: files dns # plain",
            "hosts: files myhostname libvirt [UNAVAIL=return]  libvirt_guest mdns4 [NOTFOUND=return] dns",
            "hosts: files myhostname mdns4 [NOTFOUND=return] dns",
        ),
        // They were taken out by hand already.
        ("hosts: files dns", "hosts: dns files", "hosts: dns files"),
        // Only what enable added goes.
        (
            "hosts: files libvirt dns",
            "hosts: files libvirt libvirt_guest resolve dns",
            "hosts: files libvirt resolve dns",
        ),
    ];
    for (before, changed, restored) in cases {
        fs::write(&path, format!("{before}\n")).unwrap();
        run(&sandbox, "enable");
        fs::write(&path, format!("{changed}\n")).unwrap();
        run(&sandbox, "disable --restore");
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{restored}\n"));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    // Enabled again after the change: restoring leads to the changed file.
    fs::write(&path, "hosts: files dns\n").unwrap();
    run(&sandbox, "enable");
    fs::write(&path, "hosts: files resolve [!UNAVAIL=return] libvirt dns\n").unwrap();
    run(&sandbox, "enable");
    let moved = "hosts: files libvirt libvirt_guest resolve [!UNAVAIL=return] dns\n";
    assert_eq!(fs::read_to_string(&path).unwrap(), moved);
    run(&sandbox, "disable --restore");
    let without = "hosts: files resolve [!UNAVAIL=return] dns\n";
    assert_eq!(fs::read_to_string(&path).unwrap(), without);

    // A file that can no longer be parsed stays as it is, with the backup for the next try.
    fs::write(&path, "hosts: files dns\n").unwrap();
    run(&sandbox, "enable");
    let two = "hosts: files libvirt libvirt_guest dns\nhosts: files\n";
    fs::write(&path, two).unwrap();
    let output = sandbox.run("libvirt-nss --root $WORK disable --restore");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read_to_string(&path).unwrap(), two);
    fs::write(&path, two.split_inclusive('\n').next().unwrap()).unwrap();
    run(&sandbox, "disable --restore");
    assert_eq!(fs::read_to_string(&path).unwrap(), "hosts: files dns\n");

    // Gone altogether.
    run(&sandbox, "enable");
    fs::remove_file(&path).unwrap();
    run(&sandbox, "disable --restore");
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
}

/// The distribution's file below /usr/etc, and one of the administrator's that replaces it.
#[test]
fn a_vendors_file() {
    let sandbox = Sandbox::new("enable");
    let (etc, vendors) = (sandbox.work().join("etc"), sandbox.work().join("usr/etc"));
    fs::create_dir(&etc).unwrap();
    fs::create_dir_all(&vendors).unwrap();
    fs::write(vendors.join("nsswitch.conf"), "hosts: files dns\n").unwrap();
    for how in ["disable", "disable --restore"] {
        run(&sandbox, "enable");
        let text = fs::read_to_string(etc.join("nsswitch.conf")).unwrap();
        assert_eq!(text, "hosts: files libvirt libvirt_guest dns\n");
        run(&sandbox, how);
        assert_eq!(fs::read_dir(&etc).unwrap().count(), 0, "{how}");
    }
    // Killed when only the link was there.
    symlink("../usr/etc/nsswitch.conf", etc.join("nsswitch.conf.libvirt-nss-backup")).unwrap();
    run(&sandbox, "disable --restore");
    assert_eq!(fs::read_dir(&etc).unwrap().count(), 0);

    // Whose line had ours, and has nothing that enable added.
    let own = "hosts: files libvirt libvirt_guest dns\n";
    fs::write(etc.join("nsswitch.conf"), own).unwrap();
    run(&sandbox, "enable");
    run(&sandbox, "disable --restore");
    assert_eq!(fs::read_to_string(etc.join("nsswitch.conf")).unwrap(), own);
    // And one that is the distribution's, but a file of its own.
    fs::write(etc.join("nsswitch.conf"), "hosts: files dns\n").unwrap();
    run(&sandbox, "enable");
    run(&sandbox, "disable");
    assert_eq!(fs::read_dir(&etc).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(etc.join("nsswitch.conf")).unwrap(), "hosts: files dns\n");
}

/// What a run that was killed left goes with the restoring.
#[test]
fn unfinished_files() {
    let sandbox = Sandbox::new("enable");
    root_with(&sandbox, DEBIAN);
    let etc = sandbox.work().join("etc");
    let new = [
        ".nsswitch.conf.libvirt-nss-new",
        ".nsswitch.conf.libvirt-nss-backup.libvirt-nss-new",
        // The backup was made, and the file not changed yet.
        "nsswitch.conf.libvirt-nss-backup",
    ];
    for count in 1..=new.len() {
        for name in &new[..count] {
            fs::copy(etc.join("nsswitch.conf"), etc.join(name)).unwrap();
        }
        run(&sandbox, "disable --restore");
        same(DEBIAN, "before", &etc.join("nsswitch.conf"));
        assert_eq!(fs::read_dir(&etc).unwrap().count(), 1);
    }
}

/// Something else is where the new version or the backup would be: no link leads out of the root, nothing is
/// waited for, and nothing is changed.
#[test]
fn what_stands_in_the_way() {
    let outside = "kept\n";
    for name in
        [".nsswitch.conf.libvirt-nss-new", ".nsswitch.conf.libvirt-nss-backup.libvirt-nss-new"]
    {
        for make in ["ln -s", "ln", "ln -s missing #", "mkfifo #", "mkdir #"] {
            let sandbox = Sandbox::new("enable");
            root_with(&sandbox, DEBIAN);
            let etc = sandbox.work().join("etc");
            fs::write(sandbox.here().join("outside"), outside).unwrap();
            let make = make.replace('#', &format!("$WORK/etc/{name} #"));
            let line = format!("{make} $PWD/outside $WORK/etc/{name}");
            assert!(sandbox.run(&line).status.success(), "{line}");
            let output = sandbox.run("timeout 60 libvirt-nss --root $WORK enable");
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{line}: {said}");
            assert!(said.contains(&format!("etc/{name}: ")), "{line}: {said}");
            assert!(
                said.contains("not a regular file with a single name; find out what put it there"),
                "{said}"
            );
            same(DEBIAN, "before", &etc.join("nsswitch.conf"));
            assert_eq!(fs::read_to_string(sandbox.here().join("outside")).unwrap(), outside);
            assert!(!sandbox.here().join("missing").exists() && !etc.join("missing").exists());
        }
    }
    let sandbox = Sandbox::new("enable");
    root_with(&sandbox, DEBIAN);
    assert!(sandbox.run("mkfifo $WORK/etc/nsswitch.conf.libvirt-nss-backup").status.success());
    let output = sandbox.run("timeout 60 libvirt-nss --root $WORK disable --restore");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("libvirt-nss-backup: not a regular file")
    );
}

/// Somebody in the system below the root may never release it.
#[test]
fn a_lock_that_is_never_released() {
    let sandbox = Sandbox::new("enable");
    root_with(&sandbox, DEBIAN);
    let etc = sandbox.work().join("etc");
    let held = fs::File::create(etc.join(".nsswitch.conf.libvirt-nss-new")).unwrap();
    flock(&held, FlockOperation::LockExclusive).unwrap();
    let output = sandbox.run("timeout 60 libvirt-nss --root $WORK enable");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let why = "etc/.nsswitch.conf.libvirt-nss-new: another program has held its lock for 10 s; find out which";
    assert!(said.contains(why), "{said}");
    same(DEBIAN, "before", &etc.join("nsswitch.conf"));
    drop(held);
    run(&sandbox, "enable");
    same(DEBIAN, "after", &etc.join("nsswitch.conf"));
}

/// The directory itself may be a link: below the root it stays below it.
#[test]
fn a_directory_that_is_a_link() {
    let sandbox = Sandbox::new("enable");
    let (work, outside) = (sandbox.work(), sandbox.here().join("etc"));
    fs::create_dir_all(work.join("usr/etc")).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(work.join("usr/etc/nsswitch.conf"), "hosts: files dns\n").unwrap();
    symlink(&outside, work.join("etc")).unwrap();
    let output = sandbox.run("libvirt-nss --root $WORK enable");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    fs::write(outside.join("nsswitch.conf.libvirt-nss-backup"), "").unwrap();
    fs::remove_file(work.join("usr/etc/nsswitch.conf")).unwrap();
    run(&sandbox, "disable --restore");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

/// A file system is mounted over the file, as in containers: nothing is changed, and nothing is left.
#[test]
fn a_file_that_is_mounted() {
    if !is_root("a mount namespace of its own") {
        return;
    }
    let sandbox = Sandbox::new("enable");
    root_with(&sandbox, DEBIAN);
    let script = "cp $WORK/etc/nsswitch.conf $WORK/mounted && \
                  mount --bind $WORK/mounted $WORK/etc/nsswitch.conf && libvirt-nss --root $WORK enable";
    let output = sandbox.command("unshare").args(["--mount", "sh", "-c", script]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("nsswitch.conf: Device or resource busy; it is a mount point"), "{said}");
    assert_eq!(output.status.code(), Some(1));
    same(DEBIAN, "before", &sandbox.work().join("mounted"));
    assert_eq!(fs::read_dir(sandbox.work().join("etc")).unwrap().count(), 1);
}

/// A system on which authselect makes the file, in a mount namespace; `authselect` is a double of it that
/// writes down what it is asked.
fn with_authselect(features: &str, user_file: bool, lines: &str) -> Option<String> {
    if !is_root("a mount namespace of its own") {
        return None;
    }
    let sandbox = Sandbox::new("authselect");
    let authselect = sandbox.work().join("etc/authselect");
    fs::create_dir_all(&authselect).unwrap();
    fs::write(authselect.join("nsswitch.conf"), "hosts: files dns\n").unwrap();
    symlink("authselect/nsswitch.conf", sandbox.work().join("etc/nsswitch.conf")).unwrap();
    if user_file {
        fs::write(authselect.join("user-nsswitch.conf"), "hosts: files dns myhostname\n").unwrap();
    }
    sandbox.program(
        "authselect",
        &format!(
            r#"#!/bin/sh
case $1 in
current) echo "local with-fingerprint$(cat $WORK/on 2>/dev/null)" ;;
list-features) printf '%s\n' {features} ;;
enable-feature) echo "authselect $*" >>$WORK/log; echo " $2" >$WORK/on ;;
disable-feature) echo "authselect $*" >>$WORK/log; rm $WORK/on ;;
apply-changes) echo "authselect $*" >>$WORK/log ;;
*) echo "what is $1?" >&2; exit 5 ;;
esac
"#
        ),
    );
    let script = format!("mount --bind $WORK/etc /etc || exit; touch $WORK/log; {lines}");
    let output =
        sandbox.command("unshare").args(["--mount", "sh", "-c", &script]).output().unwrap();
    let mut text = String::from_utf8(output.stdout).unwrap();
    text += &String::from_utf8(output.stderr).unwrap();
    text += &fs::read_to_string(sandbox.work().join("log")).unwrap();
    text += &fs::read_to_string(authselect.join("user-nsswitch.conf")).unwrap_or_default();
    let own = fs::read_to_string(authselect.join("nsswitch.conf")).unwrap();
    assert_eq!(own, "hosts: files dns\n", "authselect's own file was changed");
    Some(text)
}

#[test]
fn authselect_with_the_feature() {
    let lines = "libvirt-nss disable --restore; libvirt-nss enable --dry-run; libvirt-nss enable; \
                 libvirt-nss enable; libvirt-nss enable --guest; libvirt-nss disable --restore; \
                 libvirt-nss disable; \
                 touch /etc/nsswitch.conf.libvirt-nss-backup; libvirt-nss disable --restore; ls -A /etc";
    let Some(text) = with_authselect("with-libvirt with-ecryptfs", false, lines) else { return };
    let expected = "\
nothing to do: authselect's feature with-libvirt is off
this would run: authselect enable-feature with-libvirt
done: authselect enable-feature with-libvirt
nothing to do: authselect's feature with-libvirt is on
done: authselect disable-feature with-libvirt
nothing to do: authselect's feature with-libvirt is off
nothing to do: authselect's feature with-libvirt is off
authselect
nsswitch.conf
libvirt-nss: this system's authselect can only put both services on the line, without actions (feature \
with-libvirt); run this without --guest, --host and --authoritative
authselect enable-feature with-libvirt
authselect disable-feature with-libvirt
";
    assert_eq!(text, expected);
}

#[test]
fn authselect_without_the_feature() {
    let lines = "libvirt-nss enable; libvirt-nss enable --authoritative >/dev/null; libvirt-nss \
                 disable --restore; libvirt-nss enable --guest";
    let Some(text) = with_authselect("with-ecryptfs", true, lines) else { return };
    let expected = "\
/etc/authselect/user-nsswitch.conf: 'hosts: files libvirt libvirt_guest dns myhostname'
backup: /etc/authselect/user-nsswitch.conf.libvirt-nss-backup
done: authselect apply-changes
/etc/authselect/user-nsswitch.conf: restored
done: authselect apply-changes
/etc/authselect/user-nsswitch.conf: 'hosts: files libvirt_guest dns myhostname'
backup: /etc/authselect/user-nsswitch.conf.libvirt-nss-backup
done: authselect apply-changes
authselect apply-changes
authselect apply-changes
authselect apply-changes
authselect apply-changes
hosts: files libvirt_guest dns myhostname
";
    assert_eq!(text, expected);
    let text = with_authselect("with-ecryptfs", false, "libvirt-nss enable").unwrap();
    assert!(text.contains("has no feature with-libvirt; create a profile"), "{text}");
}

#[test]
fn a_system_that_is_read_only() {
    if !is_root("a mount namespace of its own") {
        return;
    }
    let sandbox = Sandbox::new("enable");
    root_with(&sandbox, DEBIAN);
    let script = "mount --bind -o ro $WORK/etc $WORK/etc && mount -o remount,ro,bind $WORK/etc && \
                  libvirt-nss --root $WORK enable";
    let output = sandbox.command("unshare").args(["--mount", "sh", "-c", script]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("Read-only file system; run this as root"), "{said}");
    assert_eq!(output.status.code(), Some(1));
    same(DEBIAN, "before", &sandbox.work().join("etc/nsswitch.conf"));
}
