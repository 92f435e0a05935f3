//! Runs programs for their output, with a time limit.

use std::io::{self, Read, Write as _};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A program's output.
#[derive(Debug)]
pub(crate) struct Output {
    /// How it ended; `None`: it was killed at the time limit.
    pub(crate) status: Option<ExitStatus>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a program with this standard input, and kills it after `limit`.
///
/// # Errors
/// It can't be run.
pub(crate) fn run(command: &mut Command, input: &str, limit: Duration) -> io::Result<Output> {
    let end = Instant::now() + limit;
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.env("LC_ALL", "C").spawn()?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        // In separate threads, since the program may write before it has read everything.
        let write = scope.spawn(move || {
            // A program that ends without reading its input has printed why.
            let _ = stdin.map(|mut stdin| stdin.write_all(input.as_bytes()));
        });
        let stdout = scope.spawn(|| text(stdout));
        let stderr = scope.spawn(|| text(stderr));
        let status = match wait(child.id(), end) {
            Ok(true) => child.wait().map(Some),
            other => {
                child.kill()?;
                child.wait()?;
                other.map(|_| None)
            }
        };
        let _ = write.join();
        let [stdout, stderr] = [stdout, stderr].map(|thread| thread.join().unwrap_or_default());
        Ok(Output { status: status?, stdout, stderr })
    })
}

fn text(pipe: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    // On an error, what was read until then counts.
    let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits for a child to end. Returns whether it did before `end`.
fn wait(pid: u32, end: Instant) -> io::Result<bool> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(|_| Errno::INVAL)?;
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&left)) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_and_status() {
        let long = "x".repeat(1 << 20);
        let output = run(&mut Command::new("cat"), &long, Duration::from_secs(60)).unwrap();
        assert!(output.status.unwrap().success());
        assert_eq!((output.stdout, output.stderr.as_str()), (long, ""));
        let mut command = Command::new("sh");
        command.args(["-c", "echo bad >&2; exit 3"]);
        let output = run(&mut command, "unread", Duration::from_secs(60)).unwrap();
        assert_eq!(output.status.unwrap().code(), Some(3));
        assert_eq!(output.stderr, "bad\n");
        let none = run(&mut Command::new("/nonexistent"), "", Duration::from_secs(1));
        assert_eq!(none.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_program_is_killed_at_the_limit() {
        let mut command = Command::new("tail");
        command.args(["-f", "/dev/null"]);
        let output = run(&mut command, "", Duration::from_millis(20)).unwrap();
        assert_eq!(output.status, None);
    }
}
