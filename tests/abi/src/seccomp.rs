//! Filters on the system calls of one thread: to make calls fail, and to forbid calls.

use std::io;
use std::mem::offset_of;
use std::thread;

use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, SECCOMP_RET_ALLOW,
    SECCOMP_RET_DATA, SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS, c_long, sock_filter, sock_fprog,
};

/// Runs `part` in a new thread in which each of these system calls fails with the given errno.
///
/// # Panics
///
/// If `part` does, or the kernel rejects the filter.
pub fn with_failing<T: Send>(calls: &[(c_long, i32)], part: impl FnOnce() -> T + Send) -> T {
    in_thread(&program(calls, SECCOMP_RET_ALLOW), part)
}

/// From now on, any other system call of the calling thread ends the process with SIGSYS. This can't be undone.
///
/// # Panics
///
/// If the kernel rejects the filter.
pub fn allow_only(calls: &[c_long]) {
    let calls: Vec<(c_long, i32)> = calls.iter().map(|&call| (call, 0)).collect();
    install(&program(&calls, SECCOMP_RET_KILL_PROCESS))
        .unwrap_or_else(|error| panic!("a seccomp filter: {error}"));
}

/// Runs `part` in a new thread in which opening a file fails with EPERM unless all of these flags are given.
///
/// # Panics
///
/// If `part` does, or the kernel rejects the filter.
pub fn with_open_flags<T: Send>(flags: i32, part: impl FnOnce() -> T + Send) -> T {
    let flags = u32::try_from(flags).expect("open's flags");
    let argument = |index: usize| {
        // The low half of a 64-bit argument.
        let high_first = if cfg!(target_endian = "big") { 4 } else { 0 };
        u32::try_from(offset_of!(libc::seccomp_data, args) + 8 * index + high_first)
            .expect("a small offset")
    };
    let eperm = u32::try_from(libc::EPERM).expect("an errno");
    let mut program = vec![statement(BPF_LD | BPF_W | BPF_ABS, number())];
    #[cfg(target_arch = "x86_64")]
    let calls = [(libc::SYS_open, 1), (libc::SYS_openat, 2)];
    #[cfg(not(target_arch = "x86_64"))]
    let calls = [(libc::SYS_openat, 2)];
    for (call, index) in calls {
        let call = u32::try_from(call).expect("a system call's number");
        program.extend([
            sock_filter { jf: 5, ..statement(BPF_JMP | BPF_JEQ | BPF_K, call) },
            statement(BPF_LD | BPF_W | BPF_ABS, argument(index)),
            statement(BPF_ALU | BPF_AND | BPF_K, flags),
            sock_filter { jf: 1, ..statement(BPF_JMP | BPF_JEQ | BPF_K, flags) },
            statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
            statement(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | eperm),
        ]);
    }
    program.push(statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    in_thread(&program, part)
}

fn in_thread<T: Send>(program: &[sock_filter], part: impl FnOnce() -> T + Send) -> T {
    let result = thread::scope(|scope| {
        scope
            .spawn(|| {
                install(program).unwrap_or_else(|error| panic!("a seccomp filter: {error}"));
                part()
            })
            .join()
    });
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// A comparison and its result for each call; errno 0 allows the call.
fn program(calls: &[(c_long, i32)], otherwise: u32) -> Vec<sock_filter> {
    let mut program = vec![statement(BPF_LD | BPF_W | BPF_ABS, number())];
    for &(call, errno) in calls {
        let call = u32::try_from(call).expect("a system call's number");
        let errno = u32::try_from(errno).expect("an errno");
        program.push(sock_filter { jf: 1, ..statement(BPF_JMP | BPF_JEQ | BPF_K, call) });
        let action = match errno {
            0 => SECCOMP_RET_ALLOW,
            errno => SECCOMP_RET_ERRNO | (errno & SECCOMP_RET_DATA),
        };
        program.push(statement(BPF_RET | BPF_K, action));
    }
    program.push(statement(BPF_RET | BPF_K, otherwise));
    program
}

/// The offset of the system call's number in the filter's input.
fn number() -> u32 {
    u32::try_from(offset_of!(libc::seccomp_data, nr)).expect("a small offset")
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: u16::try_from(code).expect("a BPF opcode"), jt: 0, jf: 0, k }
}

/// Installs the filter for the calling thread.
fn install(program: &[sock_filter]) -> io::Result<()> {
    let program = sock_fprog {
        len: u16::try_from(program.len()).expect("a short program"),
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: takes numbers. From here on, this thread gains no privileges by exec.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let (mode, flags) = (libc::SECCOMP_SET_MODE_FILTER, 0);
    // SAFETY: the program stays in memory until the kernel has copied it.
    match unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::{with_failing, with_open_flags};
    use std::fs::File;

    #[test]
    fn a_call_fails_in_its_thread_alone() {
        let open = || File::open("/proc/self/stat").map(drop).map_err(|error| error.raw_os_error());
        assert_eq!(with_failing(&[(libc::SYS_openat, libc::EIO)], open), Err(Some(libc::EIO)));
        assert_eq!(open(), Ok(()));
    }

    #[test]
    fn files_are_opened_with_the_flags_alone() {
        let open = || File::open("/proc/self/stat").map(drop).map_err(|error| error.raw_os_error());
        assert_eq!(with_open_flags(libc::O_CLOEXEC, open), Ok(()));
        let flags = libc::O_CLOEXEC | libc::O_NONBLOCK;
        assert_eq!(with_open_flags(flags, open), Err(Some(libc::EPERM)));
    }
}
