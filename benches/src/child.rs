//! Measuring in a separate process, so that earlier measurements leave no traces.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;

use crate::error::{Context, Error, Result};

/// The result of a child: numbers, or an error.
pub(crate) type Numbers = Result<Vec<f64>>;

/// Runs `body` in a forked child and returns its numbers. This process must have only one thread.
pub(crate) fn run(body: impl FnOnce() -> Numbers) -> Numbers {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(std::io::Error::last_os_error()).context("a pipe");
    }
    let [read, write] = ends;
    // SAFETY: the descriptors are new, and nothing else uses them.
    let mut read = unsafe { File::from_raw_fd(read) };
    // SAFETY: the same.
    let mut write = unsafe { File::from_raw_fd(write) };
    // SAFETY: there is only one thread, so the child has a consistent copy of all state.
    match unsafe { libc::fork() } {
        -1 => Err(std::io::Error::last_os_error()).context("fork"),
        0 => {
            drop(read);
            let said = match body() {
                Ok(numbers) => numbers.iter().map(|number| format!("{number:e}\n")).collect(),
                Err(error) => format!("failed: {error}"),
            };
            let written = write.write_all(said.as_bytes());
            // SAFETY: ends the child, without the parent's exit handlers.
            unsafe { libc::_exit(i32::from(written.is_err())) }
        }
        pid => {
            drop(write);
            let mut said = String::new();
            let heard = read.read_to_string(&mut said);
            let mut status = 0;
            // SAFETY: a child of ours that nothing else waits for.
            unsafe { libc::waitpid(pid, &raw mut status, 0) };
            heard.context("a child's numbers")?;
            numbers(&said, status)
        }
    }
}

fn numbers(said: &str, status: i32) -> Numbers {
    if let Some(failure) = said.strip_prefix("failed: ") {
        return Err(Error::new(failure));
    }
    if status != 0 {
        return Err(Error::new(format!("a measuring process ended with wait status {status:#x}")));
    }
    said.lines().map(|line| line.parse().context("a child's number")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_failures_come_back() {
        assert_eq!(numbers("1.5e0\n2e-6\n", 0).expect("two numbers"), [1.5, 2e-6]);
        let failure = numbers("failed: no such file", 0).expect_err("it says so");
        assert_eq!(failure.to_string(), "no such file");
        let failure = numbers("", libc::SIGSEGV).expect_err("it crashed");
        assert!(failure.to_string().contains("0xb"), "{failure}");
    }
}
