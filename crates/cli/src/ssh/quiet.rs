//! Ends a program that ssh waits for, whatever goes wrong, with the status that means "nothing known".

use std::panic;
use std::thread;
use std::time::Duration;

use signal_hook::low_level::exit;

/// The time limit; ssh itself has none. Everything that is read is in memory, so a healthy machine never reaches it.
const LIMIT: Duration = Duration::from_secs(2);

/// Makes the process exit with `status` when it panics, and when its time is up.
pub(crate) fn end_in_time(status: u8) {
    panic::set_hook(Box::new(move |_| exit(status.into())));
    let watch = move || {
        thread::sleep(LIMIT);
        exit(status.into())
    };
    // Without the thread there is no time limit, but still an answer.
    let _ = thread::Builder::new().stack_size(64 << 10).spawn(watch);
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Instant;

    use super::*;

    /// Runs this test again in a process of its own, in which the variable `WHAT` says what goes wrong.
    fn end_of(what: &str) -> Option<i32> {
        let test = std::env::current_exe().unwrap();
        let name = "ssh::quiet::tests::what_goes_wrong";
        let mut command = Command::new(test);
        command.args([name, "--exact", "--nocapture"]).env("WHAT", what);
        let output = command.output().unwrap();
        assert!(output.stderr.is_empty(), "{output:?}");
        output.status.code()
    }

    #[test]
    fn what_goes_wrong() {
        let Ok(what) = std::env::var("WHAT") else {
            let began = Instant::now();
            assert_eq!(end_of("panic"), Some(7));
            assert!(began.elapsed() < LIMIT);
            assert_eq!(end_of("hang"), Some(7));
            return;
        };
        end_in_time(7);
        match what.as_str() {
            "panic" => panic!("a bug"),
            _ => loop {
                thread::park();
            },
        }
    }
}
