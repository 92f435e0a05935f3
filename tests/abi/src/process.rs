//! Running a part of a test in a forked child.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A child made by [`fork`]. Dropping it waits for it.
#[derive(Debug)]
pub struct Child {
    pid: libc::pid_t,
    /// The child's message if it fails.
    said: File,
}

/// Runs `part` in a forked child that has only this thread. A panic in it is the child's failure.
///
/// # Panics
///
/// If the system refuses to fork.
pub fn fork(part: impl FnOnce()) -> Child {
    let mut ends = [0; 2];
    // SAFETY: room for the two descriptors.
    let made = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) };
    assert!(made == 0, "pipe: {}", io::Error::last_os_error());
    // SAFETY: the descriptors are new, and nothing else uses them.
    let [read, write] = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
    // SAFETY: the child uses only this thread's data, and glibc's malloc works in it.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", io::Error::last_os_error());
    if pid == 0 {
        drop(read);
        let failure = catch_unwind(AssertUnwindSafe(part)).err().map(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("?").to_owned()
        });
        if let Some(text) = &failure {
            // If even this fails, there is nobody to report it to.
            let _ = File::from(write).write_all(text.as_bytes());
        }
        // SAFETY: it ends the child without the exit handlers of the parent's program.
        unsafe { libc::_exit(i32::from(failure.is_some())) }
    }
    Child { pid, said: File::from(read) }
}

impl Child {
    /// Waits for the child's end.
    ///
    /// # Panics
    ///
    /// If the child has failed, with its message.
    pub fn join(self) {
        if let Err(failure) = self.wait() {
            panic!("a forked child {failure}");
        }
    }

    /// Waits for the child's end.
    ///
    /// # Errors
    ///
    /// How it failed: the signal, or its message.
    pub fn wait(mut self) -> Result<(), String> {
        self.end()
    }

    fn end(&mut self) -> Result<(), String> {
        let mut said = String::new();
        self.said.read_to_string(&mut said).map_err(|error| format!("said nothing: {error}"))?;
        let mut status = 0;
        // SAFETY: a child of ours that hasn't been waited for yet.
        let waited = unsafe { libc::waitpid(self.pid, &raw mut status, 0) };
        if waited != self.pid {
            return Err(format!("is lost: {}", io::Error::last_os_error()));
        }
        self.pid = 0;
        match status {
            0 => Ok(()),
            _ if libc::WIFSIGNALED(status) => {
                Err(format!("got signal {}: {said}", libc::WTERMSIG(status)))
            }
            _ => Err(format!("failed: {said}")),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.pid != 0 {
            // If nobody joins a child, another panic is under way, and the child's failure doesn't matter.
            let _ = self.end();
        }
    }
}
