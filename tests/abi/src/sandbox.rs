//! A private mount namespace for one thread, with a separate file system in which the modules look for their state
//! files. The kernel removes it when the thread ends, however that happens, and nothing outside can see it.

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
/// If the test may not create a mount namespace, it runs again as a process in an unprivileged user namespace. If the
/// system doesn't allow that either, the test is skipped: it says so, and fails if `CI=true`.
///
/// # Panics
///
/// If the test does, or if it has to be skipped with `CI=true`.
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

/// Reports that a test can't run here. With `CI=true` that is a failure.
///
/// # Panics
///
/// With `CI=true`.
pub fn skip(reason: &str) {
    let name = thread::current().name().unwrap_or("main").to_owned();
    assert!(
        env::var_os("CI").is_none_or(|ci| ci != "true"),
        "{name} would be skipped, and CI=true: {reason}"
    );
    eprintln!("skipped: {name}: {reason}");
}

/// Gives the calling thread, and everything that it starts from now on, a mount namespace, a file descriptor table and
/// an empty, private state directory of its own.
///
/// # Errors
///
/// EPERM without the privilege; otherwise the error of a mount.
pub fn enter() -> io::Result<StateDir> {
    private_mounts()?;
    // SAFETY: the thread gets a copy of the process's table; every descriptor stays valid.
    check(unsafe { libc::unshare(libc::CLONE_FILES) })?;
    let directory = Path::new(STATE_DIRECTORY);
    let snapshots = Path::new(crate::snapshot::DIRECTORY);
    // A directory that doesn't exist can't be mounted on, so a new /var/lib comes first.
    tmpfs(Path::new("/var/lib"))?;
    for place in [directory, snapshots] {
        fs::create_dir_all(place)?;
        tmpfs(place)?;
    }
    Ok(StateDir::at(directory))
}

/// Gives the calling thread a mount namespace of its own. File systems that were already mounted are shared: what is
/// written there is visible on both sides.
///
/// # Errors
///
/// EPERM without the privilege.
pub fn private_mounts() -> io::Result<()> {
    crate::modules::running_program();
    // SAFETY: it separates this thread's namespace and working directory from the process's.
    check(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
    mount(None, Path::new("/"), None, libc::MS_REC | libc::MS_PRIVATE)
}

/// Mounts an empty directory over the state directory's parent, so that there is no state directory. Returns the path
/// at which one could be created.
///
/// # Errors
///
/// The error of the mount.
pub fn hide_state_directory() -> io::Result<PathBuf> {
    let directory = Path::new(STATE_DIRECTORY);
    tmpfs(directory.parent().expect("an absolute path"))?;
    Ok(directory.to_owned())
}

/// Mounts an empty directory over this one, if it exists.
///
/// # Errors
///
/// The error of the mount.
pub fn hide_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() { tmpfs(directory) } else { Ok(()) }
}

/// Mounts a private copy of `contents` over `path`, in the calling thread's mount namespace. The copy is in the state
/// directory's file system, under a name that no module reads.
///
/// # Errors
///
/// The error of the file or of the mount.
pub fn replace_file(state: &StateDir, path: &Path, contents: &str) -> io::Result<()> {
    let name = path.to_string_lossy().replace('/', "_");
    let copy = state.file(&name);
    fs::write(&copy, contents)?;
    mount(Some(&copy), path, None, libc::MS_BIND)
}

/// Gives the calling thread a network namespace of its own that has only a loopback interface (index 1), which is up.
///
/// # Errors
///
/// EPERM without the privilege.
pub fn private_network() -> io::Result<()> {
    // SAFETY: it separates this thread's network namespace from the process's.
    check(unsafe { libc::unshare(libc::CLONE_NEWNET) })?;
    // SAFETY: makes a socket.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    check(socket)?;
    // SAFETY: a C struct of integers and a union of such, for which all zeros are valid.
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

/// Drops the capabilities by which root can read files regardless of their mode, for the calling thread
/// but not for the process.
///
/// # Errors
///
/// The system's error.
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
    // SAFETY: as above. Unlike libcap, the system call affects only this thread.
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
        CString::new(path.as_os_str().as_encoded_bytes()).expect("our paths have no NUL")
    };
    // The kernel ignores source and type if they mean nothing; memcheck wants strings.
    let source = source.map_or(c"none".to_owned(), text);
    let target = text(target);
    // 0755, the mode of libvirt's own directory; ignored if nothing new is mounted.
    let data = if kind.is_some() { c"mode=0755".as_ptr() } else { ptr::null() };
    // SAFETY: every pointer is a string, except the data, which may be NULL.
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

/// Runs the named test of this test program again, as root of a new user namespace.
fn again_in_user_namespace(test: &str) {
    let mut command = Command::new("/proc/self/exe");
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
    match in_user_namespace(&mut command).status() {
        Ok(status) => assert!(status.success(), "{test} failed in a user namespace, see above"),
        Err(error) => skip(&format!("not root, and no unprivileged user namespaces: {error}")),
    }
}

/// Makes a command run as root of a new user namespace; [`is_in_user_namespace`] returns true there. Starting the
/// command fails if the system doesn't allow its users to create one.
pub fn in_user_namespace(command: &mut Command) -> &mut Command {
    // SAFETY: they take nothing and return numbers.
    let user = unsafe { libc::getuid() };
    // SAFETY: as above.
    let group = unsafe { libc::getgid() };
    let files = [
        (c"/proc/self/setgroups", "deny".to_owned()),
        (c"/proc/self/uid_map", format!("0 {user} 1")),
        (c"/proc/self/gid_map", format!("0 {group} 1")),
    ];
    let enter = move || {
        // SAFETY: the new process has only this thread.
        check(unsafe { libc::unshare(libc::CLONE_NEWUSER) })?;
        files.iter().try_for_each(|(path, text)| write_file(path, text))
    };
    command.env(INSIDE, "1");
    // SAFETY: the closure only makes system calls, and allocates nothing between fork and exec.
    unsafe { command.pre_exec(enter) }
}

/// Whether this process was started through [`in_user_namespace`].
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
