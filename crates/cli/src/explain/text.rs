//! An explanation, for people.

use guest_names::forward::Source;
use guest_names::lease::BadRecord;
use guest_names::observe::{Fate, Verdict};
use guest_names::ranking::Candidate;
use guest_names::state::Kind;

use super::story::{FileStory, Record, Story, What};
use super::walk::{End, Step};
use super::{Explanation, Ours, Question};
use crate::lookup;
use crate::nsswitch::line::Status;
use crate::output::duration;
use crate::output::escape::printable;
use crate::output::paint::{Paint, Tone};
use crate::output::wrap::wrap;
use crate::state::lossy;
use guest_store::{fault_text, file_name};

/// How it is written.
pub(crate) struct Style {
    pub(crate) paint: Paint,
    /// In columns.
    pub(crate) width: usize,
    /// Records of other names too.
    pub(crate) all: bool,
    /// Seconds since the epoch.
    pub(crate) now: i64,
    /// The state directory, as people name it.
    pub(crate) directory: String,
}

/// The lines.
pub(crate) fn lines(explanation: &Explanation, style: &Style) -> Vec<String> {
    let mut page = Page { lines: Vec::new(), style };
    let Question { name, .. } = &explanation.question;
    page.heading(&format!("{name}, {}", explanation.question.family_text()));
    page.walk(explanation);
    for own in &explanation.ours {
        page.own(explanation, own);
    }
    page.end(explanation);
    page.lines
}

pub(super) struct Page<'p> {
    lines: Vec<String>,
    pub(super) style: &'p Style,
}

impl Page<'_> {
    fn heading(&mut self, text: &str) {
        if !self.lines.is_empty() {
            self.lines.push(String::new());
        }
        self.lines.push(self.style.paint.paint(Tone::Strong, &printable(text)));
    }

    /// Text in lines that are all indented.
    pub(super) fn text(&mut self, indent: usize, tone: Tone, text: &str) {
        for line in wrap(&printable(text), self.style.width.saturating_sub(indent)) {
            let line = self.style.paint.paint(tone, &line);
            self.lines.push(format!("{:indent$}{line}", ""));
        }
    }

    fn walk(&mut self, explanation: &Explanation) {
        let walk = &explanation.walk;
        match &walk.line {
            Err(why) => {
                self.heading(&format!("The hosts line of {}", walk.path));
                self.text(2, Tone::Bad, why);
            }
            Ok((number, line)) => {
                self.heading(&format!("The hosts line: {}, line {number}", walk.path));
                self.text(2, Tone::Plain, line);
                for step in &walk.steps {
                    self.step(step);
                }
            }
        }
    }

    fn step(&mut self, step: &Step) {
        let paint = self.style.paint;
        let name = match &step.actions {
            Some(actions) => format!("{} {actions}", step.service),
            None => step.service.clone(),
        };
        let Some(asked) = &step.asked else {
            let line = format!("  {}: not asked", printable(&name));
            self.lines.push(paint.paint(Tone::Faint, &line));
            return;
        };
        self.lines.push(format!("  {}", printable(&name)));
        let said = &asked.said;
        let status = said.status.word();
        let (tone, goes) = match (asked.ends, said.status) {
            (true, Status::Success) => (Tone::Good, "ends here"),
            (true, _) => (Tone::Bad, "ends here, without an answer"),
            (false, Status::Success) => (Tone::Warning, "goes on all the same"),
            (false, _) => (Tone::Plain, "goes on"),
        };
        let text = if said.certain {
            format!("{}: {status}, {goes}", said.why)
        } else {
            format!("{}; where it has no answer: {status}, {goes}", said.why)
        };
        self.text(6, tone, &text);
    }

    fn own(&mut self, explanation: &Explanation, own: &Ours) {
        let service = lookup::service(own.source);
        let place = if !explanation.walk.has(service) {
            ", which is not on the hosts line, would say"
        } else if !explanation.walk.asks(service) {
            ", which is not asked, would say"
        } else {
            " says"
        };
        let status = own.status().word();
        self.heading(&format!("{service}{place} {status}"));
        if let Some(why) = &own.not_loadable {
            self.text(2, Tone::Bad, &format!("The module can't be loaded: {why}."));
            self.text(2, Tone::Plain, "What follows is what it would do.");
        }
        let name = explanation.question.name.as_bytes();
        if own.source.wanted(name).is_none() {
            let why = match own.source {
                Source::HostName => {
                    "It is no name that a guest's host may have: no file is opened."
                }
                Source::Domain => "It is no name that a domain may have: no file is opened.",
            };
            self.text(2, Tone::Plain, why);
            return;
        }
        let read_on = self.snapshot(explanation, own);
        if let Some(fault) = own.story.no_directory {
            let text = format!("{}: {}", self.style.directory, fault_text(fault));
            self.text(2, Tone::Bad, &text);
        } else if own.story.files.is_empty() && read_on {
            let text = format!("{} has no file for it to read.", self.style.directory);
            self.text(2, Tone::Plain, &text);
        }
        for file in &own.story.files {
            self.file(own, file);
        }
    }

    fn file(&mut self, own: &Ours, file: &FileStory) {
        let name = file_name(file.bridge.as_bytes(), file.kind);
        self.text(2, Tone::Plain, &lossy(name.as_encoded_bytes()));
        let mut passed = 0;
        for record in &file.records {
            let (tone, fate) = fate_of(&own.story, own.source, file, record, self.style.now);
            if tone == Tone::Faint && !self.style.all {
                passed += 1;
                continue;
            }
            self.record(record.start, &what(record, self.style.now), tone, &fate);
        }
        match file.fault {
            Some((0, fault)) => {
                let mut text = fault_text(fault);
                if file.kind == Kind::Macs {
                    text += ": no NIC on this bridge counts as a running guest's";
                }
                self.text(4, Tone::Bad, &text);
            }
            Some((at, fault)) => {
                self.text(4, Tone::Bad, &format!("byte {at}: {}", fault_text(fault)));
            }
            None => {}
        }
        let others = match (file.kind, passed) {
            (_, 0) if file.fault.is_some() || !file.records.is_empty() => return,
            (_, 0) => "nothing in it".into(),
            (Kind::Leases, 1) => "1 lease of others".into(),
            (Kind::Leases, count) => format!("{count} leases of others"),
            (Kind::Macs, 1) => "1 other guest".into(),
            (Kind::Macs, count) => format!("{count} other guests"),
        };
        self.text(4, Tone::Faint, &others);
    }

    /// What stands at a byte of a file, and what became of it.
    pub(super) fn record(&mut self, at: u32, what: &str, tone: Tone, fate: &str) {
        let first = self.lines.len();
        self.text(15, Tone::Plain, what);
        let start = format!("    {:<11}", format!("byte {at}"));
        // What is far into a large file has a line of its own.
        match self.lines.get_mut(first).filter(|_| start.ends_with(' ')) {
            Some(line) => line.replace_range(..15, &start),
            None => self.lines.insert(first, start),
        }
        self.text(15, tone, fate);
    }

    fn end(&mut self, explanation: &Explanation) {
        self.heading("What programs get");
        for (tone, text) in conclusion(explanation) {
            self.text(2, tone, &text);
        }
    }
}

/// What a record says.
fn what(record: &Record, now: i64) -> String {
    match &record.what {
        What::NotJson(_) => "a record".into(),
        What::Map { domain, .. } if domain.is_empty() => "a record".into(),
        What::Map { domain, .. } => format!("the guest {domain}"),
        What::Lease { host_name, domain, address, mac, expiry, .. } => {
            let mut parts = Vec::new();
            parts.extend(address.map(|address| address.to_string()));
            if !host_name.is_empty() {
                let dot = if domain.is_empty() { "" } else { "." };
                parts.push(format!("{host_name}{dot}{domain}"));
            }
            parts.extend(mac.map(|mac| mac.to_string()));
            parts.push(match expiry {
                0 => "never ends".into(),
                _ if *expiry < now => format!("ended {}", duration::left(*expiry, now)),
                _ => format!("{} left", duration::left(*expiry, now)),
            });
            format!("lease {}", parts.join(", "))
        }
    }
}

/// What became of a record; faint where it was never about the name.
fn fate_of(
    story: &Story,
    source: Source,
    file: &FileStory,
    record: &Record,
    now: i64,
) -> (Tone, String) {
    match &record.what {
        What::NotJson(at) => (Tone::Bad, format!("dropped: no JSON from byte {at} on")),
        What::Map { good: false, .. } => {
            (Tone::Bad, "dropped: a guest's name or its NICs are missing".into())
        }
        What::Map { wanted: false, .. } => (Tone::Faint, "another guest".into()),
        What::Map { wanted: true, .. } => match source {
            Source::Domain => (Tone::Good, "the guest that is asked for".into()),
            Source::HostName => (Tone::Good, "it runs and has the NIC of such a lease".into()),
        },
        What::Lease { verdict: Err(BadRecord::Mistyped), .. } => {
            (Tone::Bad, "dropped: a value has the wrong type".into())
        }
        What::Lease { verdict: Err(BadRecord::NoAddress), .. } => {
            (Tone::Bad, "dropped: no address that can be read".into())
        }
        What::Lease { verdict: Ok(Verdict::Other), .. } => (Tone::Faint, "of another".into()),
        What::Lease { verdict: Ok(Verdict::Expired), expiry, .. } => {
            let ended = duration::left(*expiry, now);
            (Tone::Warning, format!("dropped: expired {ended}"))
        }
        What::Lease { verdict: Ok(Verdict::Candidate), .. } => match story.fate(file, record) {
            Some(outcome) => outcome_of(outcome),
            None => (Tone::Warning, "dropped: it was gone when the answer was made".into()),
        },
    }
}

/// What became of a candidate.
pub(super) fn outcome_of(outcome: Fate) -> (Tone, String) {
    let why = match outcome {
        Fate::Taken => return (Tone::Good, "taken".into()),
        Fate::LeftBehind => "left behind; no running guest has this NIC, and one has the name",
        Fate::OtherCase => "another domain has exactly this name, in its case too",
        Fate::Duplicate => "the address is in the answer already",
        Fate::OtherFamily => "of the family that isn't asked for",
        Fate::Outranked => "another lease of the address comes first",
    };
    (Tone::Warning, format!("dropped: {why}"))
}

/// What glibc makes of it, and what to do where that isn't what anyone wants.
pub(crate) fn conclusion(explanation: &Explanation) -> Vec<(Tone, String)> {
    let walk = &explanation.walk;
    let on_line: Vec<&str> = explanation
        .ours
        .iter()
        .map(|own| lookup::service(own.source))
        .filter(|service| walk.has(service))
        .collect();
    let hidden: Vec<&str> = on_line.iter().filter(|service| !walk.asks(service)).copied().collect();
    let known = explanation.ours.iter().any(|own| own.status() == Status::Success);
    let mut said = Vec::new();
    match walk.end {
        End::Unclear => said.push((
            Tone::Bad,
            "The hosts line can't be followed, so that nobody can tell; see above.".to_owned(),
        )),
        End::Answered(source) => {
            let own = explanation.ours.iter().find(|own| own.source == source);
            let addresses = own.map(|own| own.addresses.as_slice()).unwrap_or_default();
            said.extend(answer(addresses));
        }
        End::AnsweredBefore => {
            let by = walk.steps.iter().rev().find_map(|step| {
                let asked = step.asked.as_ref()?;
                Some(format!("{}: {}.", step.service, asked.said.why))
            });
            said.push((Tone::Strong, format!("The answer of {}", by.unwrap_or_default())));
        }
        End::Ended(Some(source)) => said.push((
            Tone::Strong,
            format!(
                "\"No address associated with hostname\" (EAI_NODATA): {} knows the guest and has no \
                 address to give, and its action ends the look-up: nobody else is asked.",
                lookup::service(source)
            ),
        )),
        End::Ended(None) => {
            let ending = walk.steps.iter().find_map(|step| {
                let asked = step.asked.as_ref()?;
                (asked.ends && !asked.said.certain).then_some(&step.service)
            });
            let others = ending
                .map(|service| format!("What {service} answers, if it knows the name; else "));
            said.push((
                Tone::Bad,
                format!(
                    "{}\"Name or service not known\" (EAI_NONAME): an action ends the look-up.",
                    others.unwrap_or_default()
                ),
            ));
        }
        End::Open => said.push((
            Tone::Strong,
            "What the other services answer, if they know the name; else \"Name or service not \
             known\" (EAI_NONAME)."
                .into(),
        )),
        End::Exhausted => said.push((Tone::Strong, no_answer(explanation).into())),
    }
    if let End::Answered(_) = walk.end {
        let before: Vec<&str> = walk
            .steps
            .iter()
            .filter(|step| step.asked.as_ref().is_some_and(|asked| !asked.said.certain))
            .map(|step| step.service.as_str())
            .collect();
        match before.as_slice() {
            [] => {}
            [one] => said.push((
                Tone::Warning,
                format!("Unless {one}, which is asked before, has an answer of its own."),
            )),
            many => said.push((
                Tone::Warning,
                format!(
                    "Unless one of {}, which are asked before, has an answer of its own.",
                    many.join(", ")
                ),
            )),
        }
    }
    for own in explanation.ours.iter().filter(|own| own.not_loadable.is_some()) {
        let service = lookup::service(own.source);
        if walk.has(service) {
            let text = format!(
                "The module of {service} can't be loaded: 'libvirt-nss doctor' tells what to do."
            );
            said.push((Tone::Bad, text));
        }
    }
    if walk.line.is_ok() && on_line.is_empty() {
        said.push((
            Tone::Bad,
            "Neither libvirt nor libvirt_guest is on the hosts line: 'sudo libvirt-nss enable' puts \
             them there."
                .into(),
        ));
    } else if known && !hidden.is_empty() && !matches!(walk.end, End::Answered(_)) {
        let remedy = match walk.end {
            End::AnsweredBefore => "",
            _ => ": 'sudo libvirt-nss enable' moves it where it is asked",
        };
        let hidden = hidden.join(" and ");
        said.push((Tone::Bad, format!("{hidden} would answer and isn't asked{remedy}.")));
    }
    said
}

fn answer(addresses: &[Candidate]) -> Vec<(Tone, String)> {
    let mut said: Vec<(Tone, String)> =
        addresses.iter().map(|candidate| (Tone::Good, lookup::address_text(candidate))).collect();
    if addresses.len() > 1 {
        said.push((
            Tone::Plain,
            "getaddrinfo(3) sorts them anew (RFC 3484, gai.conf(5)); gethostbyname(3) keeps this \
             order, one family at a time."
                .into(),
        ));
    }
    said
}

fn no_answer(explanation: &Explanation) -> &'static str {
    let last = explanation.walk.steps.iter().rev().find(|step| step.asked.is_some());
    let no_data = explanation.ours.iter().any(|own| {
        last.is_some_and(|last| last.service == lookup::service(own.source))
            && own.status() == Status::Unavail
            && own.not_loadable.is_none()
    });
    if no_data {
        "\"No address associated with hostname\" (EAI_NODATA)."
    } else {
        "\"Name or service not known\" (EAI_NONAME)."
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_far_into_a_file() {
        let style =
            Style { paint: Paint::none(), width: 40, all: false, now: 0, directory: String::new() };
        let lines = |at| {
            let mut page = Page { lines: Vec::new(), style: &style };
            page.record(at, "a lease", Tone::Plain, "taken");
            page.lines.join("\n")
        };
        let near = "    byte 99999 a lease\n               taken";
        assert_eq!(lines(99_999), near);
        let far = "    byte 1234567\n               a lease\n               taken";
        assert_eq!(lines(1_234_567), far);
        assert!(lines(u32::MAX).starts_with("    byte 4294967295\n"));
    }
}
