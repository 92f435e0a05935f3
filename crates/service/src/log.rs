//! Log messages on standard error, with sd-daemon(3)'s priorities if that is the journal.

use std::fmt::Display;
use std::io::{self, Write as _};

use rustix::fs::fstat;

/// A message's priority, numbered as in syslog(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Error = 3,
    Warning = 4,
    Info = 6,
}

/// The log.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    /// The prefix of messages outside the journal.
    program: &'static str,
    priorities: bool,
}

impl Log {
    /// Logs to standard error, on behalf of `program`.
    #[must_use]
    pub fn new(program: &'static str) -> Self {
        let priorities = is_journal(std::env::var("JOURNAL_STREAM").ok().as_deref());
        Self { program, priorities }
    }

    /// Logs that something doesn't work, and won't until someone fixes it.
    pub fn error(&self, message: impl Display) {
        self.line(Level::Error, &message);
    }

    /// Logs that something doesn't work at the moment, or only in part.
    pub fn warning(&self, message: impl Display) {
        self.line(Level::Warning, &message);
    }

    /// Logs an event.
    pub fn info(&self, message: impl Display) {
        self.line(Level::Info, &message);
    }

    fn line(&self, level: Level, message: &dyn Display) {
        // If standard error can't be written to, nothing can be done about it.
        let _ = io::stderr().write_all(self.format(level, message).as_bytes());
    }

    /// Formats a message as one line. Control characters are escaped, since some messages contain text from guests.
    fn format(&self, level: Level, message: &dyn Display) -> String {
        let program = self.program;
        let mut line = match (self.priorities, level) {
            (true, level) => format!("<{}>", level as u8),
            (false, Level::Info) => format!("{program}: "),
            (false, Level::Warning) => format!("{program}: warning: "),
            (false, Level::Error) => format!("{program}: error: "),
        };
        for character in message.to_string().chars() {
            if character.is_control() {
                line.extend(character.escape_default())
            } else {
                line.push(character)
            }
        }
        line.push('\n');
        line
    }
}

/// A number with its noun, such as "1 guest" or "2 guests".
#[must_use]
pub fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// Whether standard error is the journal. `stream` is `$JOURNAL_STREAM` (systemd.exec(5)): device and inode of the journal's
/// stream.
fn is_journal(stream: Option<&str>) -> bool {
    let Some((device, inode)) = stream.and_then(|stream| stream.split_once(':')) else {
        return false;
    };
    let Ok(own) = fstat(io::stderr()) else { return false };
    device.parse() == Ok(own.st_dev) && inode.parse() == Ok(own.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let log = |priorities| Log { program: "libvirt-nssd", priorities };
        assert_eq!(log(true).format(Level::Error, &"no"), "<3>no\n");
        assert_eq!(log(true).format(Level::Info, &"a\nb\x1b[m"), "<6>a\\nb\\u{1b}[m\n");
        assert_eq!(log(false).format(Level::Warning, &"no"), "libvirt-nssd: warning: no\n");
    }

    #[test]
    fn the_journal() {
        let own = fstat(io::stderr()).unwrap();
        assert!(is_journal(Some(&format!("{}:{}", own.st_dev, own.st_ino))));
        assert!(!is_journal(Some(&format!("{}:{}", own.st_dev, own.st_ino + 1))));
        assert!(!is_journal(Some("x")));
        assert!(!is_journal(None));
    }
}
