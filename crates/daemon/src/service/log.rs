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
    priorities: bool,
}

impl Log {
    /// Standard error.
    #[must_use]
    pub fn new() -> Self {
        Self { priorities: is_journal(std::env::var("JOURNAL_STREAM").ok().as_deref()) }
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
        let _ = io::stderr().write_all(format(self.priorities, level, message).as_bytes());
    }
}

impl Default for Log {
    fn default() -> Self {
        Self::new()
    }
}

/// A number of things, as in "1 guest" and "2 guests".
#[must_use]
pub fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// One line, whatever is in the message: guests have a say in some.
fn format(priorities: bool, level: Level, message: &dyn Display) -> String {
    let mut line = match (priorities, level) {
        (true, level) => format!("<{}>", level as u8),
        (false, Level::Info) => String::from("libvirt-nssd: "),
        (false, Level::Warning) => String::from("libvirt-nssd: warning: "),
        (false, Level::Error) => String::from("libvirt-nssd: error: "),
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
        assert_eq!(format(true, Level::Error, &"no"), "<3>no\n");
        assert_eq!(format(true, Level::Info, &"a\nb\x1b[m"), "<6>a\\nb\\u{1b}[m\n");
        assert_eq!(format(false, Level::Warning, &"no"), "libvirt-nssd: warning: no\n");
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
