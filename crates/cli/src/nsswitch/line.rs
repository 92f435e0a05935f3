//! The `hosts` line, as glibc reads it (nss/nss_database.c, nss/nss_action_parse.c): names of databases
//! and services are case-sensitive, statuses and actions aren't; the colon is optional; a service takes one
//! list of actions. A line that glibc rejects, or reads differently from what a person would, is an error.
//!
//! With one exception: since glibc 2.33 a `#` within a line doesn't start a comment, and the words after it are
//! services.

use std::fmt;
use std::ops::Range;

use crate::state::lossy;

/// A status that a service ends a look-up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Success,
    NotFound,
    Unavail,
    TryAgain,
}

impl Status {
    pub(crate) const ALL: [Self; 4] =
        [Self::Success, Self::NotFound, Self::Unavail, Self::TryAgain];

    /// As nsswitch.conf has it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::NotFound => "NOTFOUND",
            Self::Unavail => "UNAVAIL",
            Self::TryAgain => "TRYAGAIN",
        }
    }
}

/// What glibc does after a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Return,
    Continue,
    /// For groups, where answers are combined.
    Merge,
}

/// The actions of a service, including the defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Actions([Action; 4]);

impl Actions {
    /// Where a service has no list.
    pub(crate) const DEFAULT: Self =
        Self([Action::Return, Action::Continue, Action::Continue, Action::Continue]);

    pub(crate) fn after(self, status: Status) -> Action {
        self.0[status as usize]
    }

    /// Whether the look-up ends there.
    pub(crate) fn ends(self, status: Status) -> bool {
        self.after(status) == Action::Return
    }

    fn set(&mut self, status: Status, action: Action) {
        self.0[status as usize] = action;
    }
}

/// A service on the line. Ranges are bytes of the whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) word: Range<usize>,
    /// Its list of actions, with the brackets.
    pub(crate) list: Option<Range<usize>>,
    pub(crate) actions: Actions,
}

impl Service {
    /// Where it ends, with its list.
    pub(crate) fn end(&self) -> usize {
        self.list.as_ref().map_or(self.word.end, |list| list.end)
    }
}

/// The `hosts` line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostsLine {
    /// Counted from 1.
    pub(crate) number: usize,
    /// Its bytes in the file, without the newline.
    pub(crate) range: Range<usize>,
    /// At least one.
    pub(crate) services: Vec<Service>,
    /// A comment at its end.
    pub(crate) comment: Option<Range<usize>>,
}

impl HostsLine {
    /// The number of a service on the line.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.services.iter().position(|service| service.name == name)
    }
}

/// Why a file has no `hosts` line that can be followed or edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ParseError {
    Nul,
    NoLine,
    /// How many.
    SeveralLines(usize),
    /// A line with this name, which glibc doesn't know.
    OtherCase(String),
    /// The file ends with the line: glibc 2.33 and newer ignore it.
    NoNewline,
    /// What is wrong in which line.
    Line {
        why: String,
        line: String,
    },
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nul => f.write_str("it contains NUL bytes; correct it"),
            Self::NoLine => f.write_str("it has no hosts line; add one, e.g. 'hosts: files dns'"),
            Self::SeveralLines(count) => {
                write!(f, "it has {count} hosts lines, of which glibc uses one; remove the others")
            }
            Self::OtherCase(word) => write!(
                f,
                "it has a line '{word}:', but glibc wants 'hosts:' in lower case; correct it"
            ),
            Self::NoNewline => f.write_str(
                "its hosts line, the last one, doesn't end with a newline, so glibc 2.33 and newer ignore it; add one",
            ),
            Self::Line { why, line } => write!(f, "{why} in '{line}'; correct that line"),
        }
    }
}

fn is_blank(byte: u8) -> bool {
    // isspace(3), but the newline.
    matches!(byte, b' ' | b'\t' | b'\x0b' | b'\x0c' | b'\r')
}

/// Finds and reads the line.
pub(crate) fn parse(text: &[u8]) -> Result<HostsLine, ParseError> {
    if text.contains(&0) {
        return Err(ParseError::Nul);
    }
    let mut found = Vec::new();
    let mut start = 0;
    for (at, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let words = line.iter().position(|&byte| !is_blank(byte)).unwrap_or(line.len());
        let database = line[words..].split(|&byte| byte == b':' || is_blank(byte)).next();
        match database.unwrap_or_default() {
            b"hosts" => found.push((at + 1, start..start + line.len())),
            other if other.eq_ignore_ascii_case(b"hosts") => {
                return Err(ParseError::OtherCase(lossy(other)));
            }
            _ => {}
        }
        start += line.len() + 1;
    }
    let [(number, range)] = found.as_slice() else {
        return Err(match found.len() {
            0 => ParseError::NoLine,
            count => ParseError::SeveralLines(count),
        });
    };
    if range.end == text.len() {
        return Err(ParseError::NoNewline);
    }
    let mut reader = Reader { text: &text[..range.end], at: range.start };
    let (services, comment) = reader.services().map_err(|why| ParseError::Line {
        why,
        line: lossy(&text[range.clone()]).trim_end().to_owned(),
    })?;
    Ok(HostsLine { number: *number, range: range.clone(), services, comment })
}

/// Goes along the line.
struct Reader<'t> {
    /// The file up to the line's end.
    text: &'t [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn pass(&mut self, while_: impl Fn(u8) -> bool) -> Range<usize> {
        let start = self.at;
        while self.peek().is_some_and(&while_) {
            self.at += 1;
        }
        start..self.at
    }

    fn services(&mut self) -> Result<(Vec<Service>, Option<Range<usize>>), String> {
        self.pass(is_blank);
        self.at += b"hosts".len();
        self.pass(|byte| byte == b':' || is_blank(byte));
        let mut services: Vec<Service> = Vec::new();
        let mut comment = None;
        loop {
            self.pass(is_blank);
            match self.peek() {
                None => break,
                Some(b'#') => {
                    comment = Some(self.at..self.text.len());
                    break;
                }
                Some(b'[') => return Err("a list of actions without a service before it".into()),
                Some(_) => services.push(self.service()?),
            }
        }
        if services.is_empty() {
            return Err("no services".into());
        }
        Ok((services, comment))
    }

    fn service(&mut self) -> Result<Service, String> {
        let word = self.pass(|byte| byte != b'[' && !is_blank(byte));
        let name = lossy(&self.text[word.clone()]);
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte);
        if !name.bytes().all(good) {
            return Err(format!("'{name}' is not a valid service"));
        }
        self.pass(is_blank);
        let mut actions = Actions::DEFAULT;
        let list = match self.peek() {
            Some(b'[') => Some(self.list(&mut actions)?),
            _ => None,
        };
        if list.is_none() {
            self.at = word.end;
        }
        Ok(Service { name, word, list, actions })
    }

    fn list(&mut self, actions: &mut Actions) -> Result<Range<usize>, String> {
        let start = self.at;
        let Some(length) = self.text[start..].iter().position(|&byte| byte == b']') else {
            return Err("a list of actions without ']'".into());
        };
        let inside = lossy(&self.text[start + 1..start + length]);
        self.at = start + length + 1;
        read_actions(&inside, actions)?;
        Ok(start..self.at)
    }
}

fn read_actions(list: &str, actions: &mut Actions) -> Result<(), String> {
    let bad = || format!("'[{list}]' is not a valid list of actions");
    let blanks = |character: char| character.is_ascii() && is_blank(character as u8);
    let letters =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    let mut rest = list.trim_matches(blanks);
    if rest.is_empty() {
        return Err("an empty list of actions".into());
    }
    while !rest.is_empty() {
        // STATUS=ACTION, with optional blanks around the =; after the action, a blank or the end.
        let (status, behind) = rest.split_once('=').ok_or_else(bad)?;
        let behind = behind.trim_start_matches(blanks);
        let (action, next) = behind.split_once(blanks).unwrap_or((behind, ""));
        rest = next.trim_start_matches(blanks);
        let status = status.trim_end_matches(blanks);
        let (not, status) = match status.strip_prefix('!') {
            Some(status) => (true, status),
            None => (false, status),
        };
        if !letters(status) || !letters(action) {
            return Err(bad());
        }
        let status = known_status(status)?;
        let action = known_action(action)?;
        for other in Status::ALL {
            if (other == status) != not {
                actions.set(other, action);
            }
        }
    }
    Ok(())
}

fn known_status(word: &str) -> Result<Status, String> {
    let known = Status::ALL.into_iter().find(|status| word.eq_ignore_ascii_case(status.word()));
    known.ok_or_else(|| format!("'{}' is not a status", word.to_ascii_uppercase()))
}

fn known_action(word: &str) -> Result<Action, String> {
    match word.to_ascii_uppercase().as_str() {
        "RETURN" => Ok(Action::Return),
        "CONTINUE" => Ok(Action::Continue),
        "MERGE" => Ok(Action::Merge),
        other => Err(format!("'{other}' is not an action")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn services(line: &str) -> Vec<(String, [Action; 4])> {
        let line = parse(format!("{line}\n").as_bytes()).unwrap();
        line.services.into_iter().map(|service| (service.name, service.actions.0)).collect()
    }

    #[test]
    fn actions() {
        use Action::{Continue as C, Merge as M, Return as R};
        let cases = [
            ("files", [R, C, C, C]),
            ("resolve [!UNAVAIL=return]", [R, R, C, R]),
            ("mdns [NOTFOUND=return]", [R, R, C, C]),
            ("a[ success = continue\ttryAgain=RETURN ]", [C, C, C, R]),
            ("a [NOTFOUND=return NOTFOUND=continue]", [R, C, C, C]),
            ("a [SUCCESS=merge]", [M, C, C, C]),
            ("a [!SUCCESS=continue]", [R, C, C, C]),
        ];
        for (text, expected) in cases {
            let found = services(&format!("hosts: {text}"));
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!(found[0].1, expected, "{text}");
        }
    }

    #[test]
    fn where_everything_is() {
        let text = b"# x\n\thosts :a [NOTFOUND=return]  b# c\n";
        assert!(parse(text).is_err());
        let text = b"# x\n\thosts :a [NOTFOUND=return]  b # c\nx: y";
        let line = parse(text).unwrap();
        let cut = |range: &Range<usize>| std::str::from_utf8(&text[range.clone()]).unwrap();
        assert_eq!(line.number, 2);
        assert_eq!(cut(&line.range), "\thosts :a [NOTFOUND=return]  b # c");
        assert_eq!(cut(&line.services[0].word), "a");
        assert_eq!(line.services[0].list.as_ref().map(cut), Some("[NOTFOUND=return]"));
        assert_eq!(cut(&line.services[1].word), "b");
        assert_eq!(line.services[1].end(), line.services[1].word.end);
        assert_eq!(line.comment.as_ref().map(cut), Some("# c"));
    }
}
