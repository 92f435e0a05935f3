//! A private mount namespace for one thread, with a separate file system where the modules look for their state files. The
//! kernel removes it when the thread ends, in whatever way, and nothing outside can see it.

use std::env;
use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr;
use std::thread;

use crate::state::{STATE_DIRECTORY, StateDir};

/// Set in the environment of programs in a user namespace made by [`in_user_namespace`].
const INSIDE: &str = "ABI_IN_USER_NAMESPACE";

/// Runs a test in a thread with a mount namespace, a file descriptor table and an empty state
/// directory of its own. Threads and processes that the test starts see the same directory.
///
/// Without the right to make a mount namespace the whole test runs once more, as a process in an
/// unprivileged user namespace. Where the system doesn't allow that either, the test is skipped: it
/// says so, and fails when `CI=true`.
///
/// # Panics
///
/// When the test does, or when it has to be skipped under `CI=true`.
pub fn sandboxed(test: impl FnOnce(&StateDir) + Send) {
    let name = thread::current().name().unwrap_or("main").to_owned();
    let entered = thread::scope(|scope| {
        thread::Builder::new()
            .name(name.clone())
            .spawn_scoped(scope, || -> io::Result<()> {
                let state = enter()?;
                test(&state);
                Ok(())
            })
            .expect("a thread")
            .join()
    });
    match entered {
        Ok(Ok(())) => {}
        Ok(Err(error)) if error.raw_os_error() == Some(libc::EPERM) => {
            if is_in_user_namespace() {
                skip(&format!("no mount namespace even in a user namespace: {error}"));
            } else {
                again_in_user_namespace(&name);
            }
        }
        Ok(Err(error)) => panic!("a private mount namespace: {error}"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Says that a test can't run here. Under `CI=true` that is a failure.
///
/// # Panics
///
/// Under `CI=true`.
pub fn skip(reason: &str) {
    let name = thread::current().name().unwrap_or("main").to_owned();
    assert!(
        env::var_os("CI").is_none_or(|ci| ci != "true"),
        "{name} would be skipped, and CI=true: {reason}"
    );
    eprintln!("skipped: {name}: {reason}");
}

/// Gives the calling thread, and what it starts from now on, a mount namespace and a file
/// descriptor table of its own and an empty, private state directory.
///
/// # Errors
///
/// EPERM without the right to do so; else what the system says of a mount.
pub fn enter() -> io::Result<StateDir> {
    private_mounts()?;
    // SAFETY: the thread gets a copy of the process's table; every descriptor stays valid.
    check(unsafe { libc::unshare(libc::CLONE_FILES) })?;
    let directory = Path::new(STATE_DIRECTORY);
    let snapshots = Path::new(crate::snapshot::DIRECTORY);
    // Where one of them isn't there, neither is a place to mount anything on.
    tmpfs(Path::new("/var/lib"))?;
    for place in [directory, snapshots] {
        fs::create_dir_all(place)?;
        tmpfs(place)?;
    }
    Ok(StateDir::at(directory))
}

/// A mount namespace of the calling thread's own. A file system that is mounted in the outer
/// namespace is the same one inside: what is written there is seen on both sides.
///
/// # Errors
///
/// EPERM without the right to do so.
pub fn private_mounts() -> io::Result<()> {
    crate::modules::running_program();
    // SAFETY: it parts this thread's namespace and working directory from the process's.
    check(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
    mount(None, Path::new("/"), None, libc::MS_REC | libc::MS_PRIVATE)
}

/// Puts an empty directory where the state directory's parent is, so that there is no state
/// directory, and gives the path at which one could be made.
///
/// # Errors
///
/// What the system says of the mount.
pub fn hide_state_directory() -> io::Result<PathBuf> {
    let directory = Path::new(STATE_DIRECTORY);
    tmpfs(directory.parent().expect("an absolute path"))?;
    Ok(directory.to_owned())
}

/// Puts an empty directory where this one is, if it is.
///
/// # Errors
///
/// What the system says of the mount.
pub fn hide_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() { tmpfs(directory) } else { Ok(()) }
}

/// Puts a private copy of `contents` where `path` is, for the calling thread's mount namespace.
/// The copy lies in the state directory's file system, under a name that no module reads.
///
/// # Errors
///
/// What the system says of the file or of the mount.
pub fn replace_file(state: &StateDir, path: &Path, contents: &str) -> io::Result<()> {
    let name = path.to_string_lossy().replace('/', "_");
    let copy = state.file(&name);
    fs::write(&copy, contents)?;
    mount(Some(&copy), path, None, libc::MS_BIND)
}

/// A network namespace of the calling thread's own, with nothing but a loopback interface
/// (index 1) that is up.
///
/// # Errors
///
/// EPERM without the right to do so.
pub fn private_network() -> io::Result<()> {
    // SAFETY: it parts this thread's network namespace from the process's.
    check(unsafe { libc::unshare(libc::CLONE_NEWNET) })?;
    // SAFETY: makes a socket.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    check(socket)?;
    // SAFETY: a C struct of integers and a union of such, for which all zeros is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_UP).expect("a small flag");
    // SAFETY: the request is an ifreq, as SIOCSIFFLAGS wants it.
    let set = check(unsafe { libc::ioctl(socket, libc::SIOCSIFFLAGS, &raw mut request) });
    // SAFETY: the socket is ours.
    unsafe { libc::close(socket) };
    set
}

/// Takes from the calling thread, not from the process, the capabilities by which root reads files
/// whatever their mode says.
///
/// # Errors
///
/// What the system says.
pub fn obey_file_modes() -> io::Result<()> {
    const CAP_DAC_OVERRIDE: u32 = 1;
    const CAP_DAC_READ_SEARCH: u32 = 2;
    const VERSION_3: u32 = 0x2008_0522;
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    let header = Header { version: VERSION_3, pid: 0 };
    // effective, permitted, inheritable for capabilities 0 to 31, then for 32 to 63.
    let mut sets = [[0_u32; 3]; 2];
    // SAFETY: the structs that capget(2) takes for version 3.
    check_long(unsafe { libc::syscall(libc::SYS_capget, &raw const header, &raw mut sets) })?;
    sets[0][0] &= !(1 << CAP_DAC_OVERRIDE | 1 << CAP_DAC_READ_SEARCH);
    // SAFETY: as above; the system call, unlike libcap, is about this thread alone.
    check_long(unsafe { libc::syscall(libc::SYS_capset, &raw const header, &raw const sets) })
}

fn tmpfs(directory: &Path) -> io::Result<()> {
    mount(Some(Path::new("tmpfs")), directory, Some(c"tmpfs"), 0)
}

fn mount(
    source: Option<&Path>,
    target: &Path,
    kind: Option<&CStr>,
    flags: libc::c_ulong,
) -> io::Result<()> {
    let text = |path: &Path| {
        CString::new(path.as_os_str().as_encoded_bytes()).expect("no NUL in a path of ours")
    };
    // The kernel ignores source and type where they say nothing; memcheck wants strings.
    let source = source.map_or(c"none".to_owned(), text);
    let target = text(target);
    // 0755 as libvirt's own directory; ignored where nothing new is mounted.
    let data = if kind.is_some() { c"mode=0755".as_ptr() } else { ptr::null() };
    // SAFETY: every pointer is a string, but the data, which may be NULL.
    check(unsafe {
        libc::mount(
            source.as_ptr(),
            target.as_ptr(),
            kind.unwrap_or(c"none").as_ptr(),
            flags,
            data.cast(),
        )
    })
}

/// Runs the named test of this test program again as root of a new user namespace.
fn again_in_user_namespace(test: &str) {
    let mut command = Command::new("/proc/self/exe");
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
    match in_user_namespace(&mut command).status() {
        Ok(status) => assert!(status.success(), "{test} failed in a user namespace, see above"),
        Err(error) => skip(&format!("neither root nor an unprivileged user namespace: {error}")),
    }
}

/// Makes a command run as root of a new user namespace; [`is_in_user_namespace`] is true there. Starting it fails if the
/// system doesn't let its users make one.
pub fn in_user_namespace(command: &mut Command) -> &mut Command {
    // SAFETY: they return numbers.
    let user = unsafe { libc::getuid() };
    // SAFETY: as above.
    let group = unsafe { libc::getgid() };
    let files = [
        (c"/proc/self/setgroups", "deny".to_owned()),
        (c"/proc/self/uid_map", format!("0 {user} 1")),
        (c"/proc/self/gid_map", format!("0 {group} 1")),
    ];
    let enter = move || {
        // SAFETY: the new process has this one thread alone.
        check(unsafe { libc::unshare(libc::CLONE_NEWUSER) })?;
        files.iter().try_for_each(|(path, text)| write_file(path, text))
    };
    command.env(INSIDE, "1");
    // SAFETY: the closure makes system calls alone and allocates nothing between fork and exec.
    unsafe { command.pre_exec(enter) }
}

/// Whether this process was started by way of [`in_user_namespace`].
#[must_use]
pub fn is_in_user_namespace() -> bool {
    env::var_os(INSIDE).is_some()
}

/// Writes to a file that exists, without allocating.
fn write_file(path: &CStr, text: &str) -> io::Result<()> {
    // SAFETY: `path` is a string.
    let file = unsafe { libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC) };
    check(file)?;
    // SAFETY: the bytes of `text`.
    let written = unsafe { libc::write(file, text.as_ptr().cast(), text.len()) };
    let written = if written < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
    // SAFETY: the file is ours.
    unsafe { libc::close(file) };
    written
}

fn check(result: libc::c_int) -> io::Result<()> {
    check_long(result.into())
}

fn check_long(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
