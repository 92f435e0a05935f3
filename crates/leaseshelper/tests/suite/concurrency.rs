//! Helpers that run at the same time: on one bridge, with libvirt's own among them, and when
//! another process holds the lock.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use leaseshelper::lock::Lock;

use crate::world::{Call, LOCK, OURS, Stock, World, address};

fn finish(children: Vec<Child>) {
    for child in children {
        let output = child.wait_with_output().expect("the helper ends");
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn two_hundred_at_once_on_one_bridge() {
    let Some(world) = World::new() else { return };
    // Leases 0 to 99 are removed while 100 to 199 are added and 200 to 299 are renewed.
    for i in (0..100).chain(200..300) {
        Call::add("virbr0", i).done();
    }
    let start = |call: Call| {
        call.command(OURS).stderr(std::process::Stdio::piped()).spawn().expect("the helper starts")
    };
    let mut children = Vec::new();
    for i in 0..100 {
        let mut gone = Call::add("virbr0", i);
        gone.arguments[0] = b"del".into();
        children.push(start(gone));
        children.push(start(Call::add("virbr0", 100 + i)));
        children
            .push(start(Call::add("virbr0", 200 + i).with("DNSMASQ_LEASE_EXPIRES", "1950000000")));
    }
    finish(children);
    let mut found = world.addresses("virbr0");
    let mut expected: Vec<String> = (100..300).map(address).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    let list = String::from_utf8(world.list("virbr0").expect("a list")).expect("UTF-8");
    assert_eq!(list.matches("1950000000").count(), 100);
    assert_eq!(world.tree().len(), 1, "{:?}", world.tree());
}

#[test]
fn beside_libvirts_own() {
    let (Some(world), Some(stock)) = (World::new(), Stock::find()) else { return };
    let children = (0..80)
        .map(|i| {
            let program = if i % 2 == 0 { OURS.as_ref() } else { stock.program.as_path() };
            let mut command = Call::add("virbr0", i).command(program);
            command.stderr(std::process::Stdio::piped()).spawn().expect("the helper starts")
        })
        .collect();
    finish(children);
    let mut found = world.addresses("virbr0");
    let mut expected: Vec<String> = (0..80).map(address).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

/// Takes the lock as libvirt's helper does, and holds it until dropped. A record lock belongs to a process, and each
/// world has a file of its own, so the test itself can hold it.
struct Held(#[expect(dead_code, reason = "closing the file releases the lock")] File);

impl Held {
    fn new() -> Self {
        let mut file = File::create(LOCK).expect("the lock file");
        file.set_permissions(fs::Permissions::from_mode(0o644))
            .expect("permissions of the lock file");
        write!(file, "{}", std::process::id()).expect("room");
        // SAFETY: flock is a C struct of integers, for which all zeros are valid.
        let mut lock: libc::flock = unsafe { std::mem::zeroed() };
        lock.l_type = libc::F_WRLCK as _;
        lock.l_len = 1;
        // SAFETY: the descriptor is open, and F_SETLK reads one flock there.
        let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &raw const lock) };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
        Self(file)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // In the helpers' order: first remove the name, then release the lock.
        fs::remove_file(LOCK).expect("the lock file");
    }
}

/// Waits until this many helpers wait for a lock that the test holds.
fn until_waiting(count: usize) {
    let end = Instant::now() + Duration::from_secs(25);
    // Opening and closing the lock file would release the lock, so the test only reads the kernel's table.
    let inode = format!(":{} ", fs::metadata(LOCK).expect("the lock file").ino());
    loop {
        let locks = fs::read_to_string("/proc/locks").expect("/proc/locks");
        let is_waiting = |line: &&str| line.contains("->") && line.contains(&inode);
        if locks.lines().filter(is_waiting).count() >= count {
            return;
        }
        assert!(Instant::now() < end, "too few wait: {locks}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn lock_file_mode() -> u32 {
    fs::metadata(LOCK).expect("the lock file").permissions().mode() & 0o7777
}

#[test]
fn only_root_can_open_the_lock_file() {
    let Some(_world) = World::new() else { return };
    let lock = Lock::take(LOCK.as_ref(), Duration::ZERO).expect("the lock");
    assert_eq!(lock_file_mode(), 0o600);
    drop(lock);
    // libvirt's helper creates it with 0644.
    let held = Held::new();
    assert_eq!(lock_file_mode(), 0o644);
    let child = Call::add("virbr0", 1).command(OURS).spawn().expect("the helper starts");
    until_waiting(1);
    assert_eq!(lock_file_mode(), 0o600);
    drop(held);
    finish(vec![child]);
}

#[test]
fn a_lock_that_is_released() {
    let Some(world) = World::new() else { return };
    let held = Held::new();
    let children: Vec<Child> = (0..5)
        .map(|i| {
            let mut command = Call::add("virbr0", i).command(OURS);
            command.stderr(std::process::Stdio::piped()).spawn().expect("the helper starts")
        })
        .collect();
    until_waiting(5);
    assert_eq!(world.list("virbr0"), None);
    drop(held);
    finish(children);
    assert_eq!(world.addresses("virbr0").len(), 5);
}

#[test]
fn a_lock_that_is_held_too_long() {
    let Some(world) = World::new() else { return };
    Call::add("virbr0", 1).done();
    let before = world.list("virbr0");
    let held = Held::new();
    let start = Instant::now();
    let message = Call::add("virbr0", 2).refused();
    assert!(start.elapsed() >= Duration::from_secs(30), "{:?}", start.elapsed());
    assert!(message.contains(LOCK) && message.contains("30 s"), "{message}");
    assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
    assert_eq!(world.list("virbr0"), before);
    drop(held);
    Call::add("virbr0", 2).done();
}

#[test]
fn a_lock_file_that_was_left_behind() {
    let Some(world) = World::new() else { return };
    fs::write(LOCK, "99999999 and more than a number").expect("a file");
    Call::add("virbr0", 1).done();
    assert_eq!(world.tree().len(), 1, "{:?}", world.tree());
}
