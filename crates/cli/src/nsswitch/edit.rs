//! Changes of the `hosts` line, from text to text. Everything else stays the same, byte for byte.

use super::line::{HostsLine, ParseError, Service, Status, parse};
use super::order::first_hiding;
use super::{OURS, is_ours};
use crate::state::lossy;

/// Keeps guests' names from the services after ours.
const AUTHORITATIVE: &str = "[UNAVAIL=return]";

/// Puts `services`, some of [`OURS`], where they belong. Those that are already asked stay where they are; others are
/// moved. `authoritative`: each gets [`AUTHORITATIVE`].
///
/// # Errors
/// Why the file isn't touched.
pub(crate) fn enable(
    text: &[u8],
    services: &[&str],
    authoritative: bool,
) -> Result<Vec<u8>, ParseError> {
    let line = parse(text)?;
    let first = first_hiding(&line);
    let mut words = String::new();
    let mut moved = Vec::new();
    for &name in services {
        match only_position(text, &line, name)? {
            None => words += &format!(" {name}"),
            Some(at) if first.is_some_and(|first| at > first) => {
                let service = &line.services[at];
                if service.actions.ends(Status::NotFound) {
                    let hiding = first.map_or("", |first| &line.services[first].name);
                    let why = format!(
                        "{name} comes after {hiding}, and its action would end every look-up if it were moved \
                         before it"
                    );
                    return Err(parse_error(text, &line, why));
                }
                moved.push(name);
                words += &format!(" {}", lossy(&text[service.word.start..service.end()]));
            }
            Some(_) => {}
        }
    }
    if let Some(service) = keeps_others_away(&line) {
        let list = lossy(&text[service.list.clone().unwrap_or_default()]);
        let why = format!(
            "{} {list} ends the look-up of every name that no guest has, so the services after it are never \
             asked",
            service.name
        );
        return Err(parse_error(text, &line, why));
    }
    let mut text = text.to_vec();
    for name in moved {
        text = take_off(&text, name)?;
    }
    if !words.is_empty() {
        let line = parse(&text)?;
        let (at, words) = match first {
            Some(first) => (line.services[first].word.start, format!("{} ", words.trim_start())),
            None => (line.services.last().map_or(line.range.end, Service::end), words),
        };
        text.splice(at..at, words.bytes());
    }
    if authoritative {
        for name in services {
            text = make_authoritative(&text, name)?;
        }
    }
    Ok(text)
}

/// One of ours that ends the look-up of names that it doesn't have, although other services follow.
fn keeps_others_away(line: &HostsLine) -> Option<&Service> {
    let (_, before_last) = line.services.split_last()?;
    let ends =
        |service: &&Service| is_ours(&service.name) && service.actions.ends(Status::NotFound);
    before_last.iter().find(ends)
}

fn make_authoritative(text: &[u8], name: &str) -> Result<Vec<u8>, ParseError> {
    let line = parse(text)?;
    let Some(at) = line.position(name) else { return Ok(text.to_vec()) };
    let service = &line.services[at];
    if service.actions.ends(Status::Unavail) {
        return Ok(text.to_vec());
    }
    if service.list.is_some() {
        let why = format!("{name} already has actions; add UNAVAIL=return to them by hand");
        return Err(parse_error(text, &line, why));
    }
    let mut text = text.to_vec();
    text.splice(service.word.end..service.word.end, format!(" {AUTHORITATIVE}").bytes());
    Ok(text)
}

/// Removes `services` from the line, with their actions.
///
/// # Errors
/// Why the file isn't touched.
pub(crate) fn disable(text: &[u8], services: &[&str]) -> Result<Vec<u8>, ParseError> {
    let mut text = text.to_vec();
    for name in services {
        text = take_off(&text, name)?;
    }
    Ok(text)
}

/// Removes [`AUTHORITATIVE`] from `services`, which stay.
///
/// # Errors
/// Why the file isn't touched.
pub(crate) fn make_ordinary(text: &[u8], services: &[&str]) -> Result<Vec<u8>, ParseError> {
    let mut text = text.to_vec();
    for name in services {
        let line = parse(&text)?;
        let Some(at) = only_position(&text, &line, name)? else { continue };
        let service = &line.services[at];
        let Some(list) = service.list.clone() else { continue };
        if text[list.clone()].eq_ignore_ascii_case(AUTHORITATIVE.as_bytes()) {
            text.drain(service.word.end..list.end);
        } else if service.actions.ends(Status::Unavail) {
            let why = format!("{name} has other actions too; remove UNAVAIL=return by hand");
            return Err(parse_error(&text, &line, why));
        }
    }
    Ok(text)
}

/// Which of ours are on the line.
///
/// # Errors
/// Why the file can't be read as one.
pub(crate) fn present(text: &[u8]) -> Result<Vec<&'static str>, ParseError> {
    let line = parse(text)?;
    Ok(OURS.into_iter().filter(|name| line.position(name).is_some()).collect())
}

/// Removes a service with its list and the blanks after it; for the last one, those before it.
fn take_off(text: &[u8], name: &str) -> Result<Vec<u8>, ParseError> {
    let line = parse(text)?;
    let Some(at) = only_position(text, &line, name)? else { return Ok(text.to_vec()) };
    let (services, service) = (&line.services, &line.services[at]);
    let range = match (services.get(at + 1), at.checked_sub(1).map(|before| &services[before])) {
        (Some(next), _) => service.word.start..next.word.start,
        (None, Some(before)) => before.end()..service.end(),
        (None, None) => {
            return Err(parse_error(text, &line, format!("{name} is the only service")));
        }
    };
    let mut text = text.to_vec();
    text.drain(range);
    Ok(text)
}

fn only_position(text: &[u8], line: &HostsLine, name: &str) -> Result<Option<usize>, ParseError> {
    match line.services.iter().filter(|service| service.name == name).count() {
        0 | 1 => Ok(line.position(name)),
        _ => Err(parse_error(text, line, format!("{name} appears twice"))),
    }
}

fn parse_error(text: &[u8], line: &HostsLine, why: String) -> ParseError {
    ParseError::Line { why, line: lossy(&text[line.range.clone()]).trim_end().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    const GUEST: [&str; 1] = ["libvirt_guest"];

    fn line(edited: Result<Vec<u8>, ParseError>) -> String {
        match edited {
            Ok(text) => lossy(&text).trim_end().to_owned(),
            Err(parse_error) => format!("refused: {parse_error}"),
        }
    }

    fn enabled(text: &str, services: &[&str], authoritative: bool) -> String {
        line(enable(format!("{text}\n").as_bytes(), services, authoritative))
    }

    /// Each `NAME.before` becomes `NAME.after` or is refused with the words of `NAME.refused`. Enabling again changes
    /// nothing, and disabling restores the text if nothing of ours was in it.
    #[test]
    fn golden_files() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/nsswitch");
        let mut count = 0;
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "before") {
                continue;
            }
            count += 1;
            let before = fs::read(&path).unwrap();
            let edited = enable(&before, &OURS, false);
            if let Ok(words) = fs::read_to_string(path.with_extension("refused")) {
                let reason = edited.unwrap_err().to_string();
                assert!(reason.contains(words.trim_end()), "{}: {reason}", path.display());
                continue;
            }
            let after = fs::read(path.with_extension("after")).unwrap();
            assert_eq!(lossy(&edited.unwrap()), lossy(&after), "{}", path.display());
            assert_eq!(enable(&after, &OURS, false).unwrap(), after, "{}", path.display());
            if present(&before).unwrap().is_empty() {
                assert_eq!(disable(&after, &OURS).unwrap(), before, "{}", path.display());
            }
        }
        assert!(count > 50, "{count}");
    }

    #[test]
    fn one_service_alone() {
        assert_eq!(enabled("hosts: files dns", &GUEST, false), "hosts: files libvirt_guest dns");
        assert_eq!(
            enabled("hosts: files libvirt dns", &GUEST, false),
            "hosts: files libvirt libvirt_guest dns"
        );
        let both = b"hosts: files libvirt libvirt_guest dns\n";
        assert_eq!(line(disable(both, &GUEST)), "hosts: files libvirt dns");
        assert_eq!(line(disable(both, &["libvirt"])), "hosts: files libvirt_guest dns");
        assert!(line(disable(b"hosts: libvirt\n", &OURS)).contains("the only service"));
    }

    #[test]
    fn authoritative() {
        let made = "hosts: files libvirt [UNAVAIL=return] libvirt_guest [UNAVAIL=return] dns";
        for before in
            ["hosts: files dns", "hosts: files libvirt dns", "hosts: files dns libvirt", made]
        {
            assert_eq!(enabled(before, &OURS, true), made);
        }
        // Such a line keeps every other name from the DNS; only the administrator knows what was meant.
        for list in ["[!SUCCESS=return]", "[NOTFOUND=return]", "[!UNAVAIL=return]"] {
            let refused = enabled(&format!("hosts: files libvirt {list} dns"), &GUEST, true);
            assert!(refused.contains("the services after it are never asked"), "{refused}");
        }
        let last = enabled("hosts: files libvirt [NOTFOUND=return]", &["libvirt"], false);
        assert_eq!(last, "hosts: files libvirt [NOTFOUND=return]");
        let refused = enabled("hosts: files libvirt [TRYAGAIN=return] dns", &OURS, true);
        assert!(refused.contains("by hand"), "{refused}");
        let text = format!("{made}\n");
        let ordinary = "hosts: files libvirt libvirt_guest dns";
        assert_eq!(line(make_ordinary(text.as_bytes(), &OURS)), ordinary);
        assert_eq!(line(make_ordinary(format!("{ordinary}\n").as_bytes(), &OURS)), ordinary);
        assert_eq!(line(disable(text.as_bytes(), &OURS)), "hosts: files dns");
    }
}
