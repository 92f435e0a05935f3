//! Messages on standard error: with sd-daemon(3)'s priorities where that is the journal.

use std::fmt::Display;
use std::io::{self, Write as _};

use rustix::fs::fstat;

/// How much a message matters, as syslog(3) numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Error = 3,
    Warning = 4,
    Info = 6,
}

/// Where messages go.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    /// What messages begin with on a terminal.
    program: &'static str,
    priorities: bool,
}

impl Log {
    /// Standard error, for messages of `program`.
    #[must_use]
    pub fn new(program: &'static str) -> Self {
        let priorities = is_journal(std::env::var("JOURNAL_STREAM").ok().as_deref());
        Self { program, priorities }
    }

    /// Something doesn't work, and won't without help.
    pub fn error(&self, message: impl Display) {
        self.line(Level::Error, &message);
    }

    /// Something doesn't work now.
    pub fn warning(&self, message: impl Display) {
        self.line(Level::Warning, &message);
    }

    /// Something has happened.
    pub fn info(&self, message: impl Display) {
        self.line(Level::Info, &message);
    }

    fn line(&self, level: Level, message: &dyn Display) {
        // Nothing can be done where standard error can't be written to.
        let _ = io::stderr().write_all(self.format(level, message).as_bytes());
    }

    /// One line, whatever is in the message: guests have a say in some.
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

/// A number of things, as in "1 guest" and "2 guests".
#[must_use]
pub fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// systemd.exec(5): device and inode of the stream that the journal reads, where it reads ours.
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
