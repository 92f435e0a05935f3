//! An explanation, for people.

use guest_names::io::Kind;
use guest_names::name::NameKind;
use guest_names::observe::{Fate, Verdict};
use guest_names::records::lease::BadRecord;

use super::conclusion::Conclusion;
use super::story::{FileStory, RecordStory, Story, What};
use super::walk::Step;
use super::{Explanation, ModuleAnswer};
use crate::context::Context;
use crate::lookup;
use crate::nsswitch::line::Status;
use crate::output::duration;
use crate::output::escape::printable;
use crate::output::paint::{Paint, Tone};
use crate::output::wrap::wrap;
use crate::state::lossy;
use guest_store::{fault_text, file_name};

/// How it is printed.
pub(crate) struct Style {
    pub(crate) paint: Paint,
    /// In columns.
    pub(crate) width: usize,
    /// Every step of the look-up.
    pub(crate) verbose: bool,
    /// Records of other names too.
    pub(crate) all: bool,
    /// Seconds since the epoch.
    pub(crate) now: i64,
    /// The state directory, as people name it.
    pub(crate) directory: String,
}

impl Style {
    /// The conclusion alone, in lines of `width` columns.
    pub(crate) fn new(width: usize, context: &Context) -> Self {
        Self {
            paint: context.paint,
            width,
            verbose: false,
            all: false,
            now: context.clock.now(),
            directory: context.paths.state_directory().display().to_string(),
        }
    }
}

/// The lines: the conclusion, and with `verbose` every step.
pub(crate) fn lines(explanation: &Explanation, style: &Style) -> Vec<String> {
    let mut page = Page { lines: Vec::new(), style };
    page.conclusion(&explanation.conclusion());
    if style.verbose {
        page.walk(explanation);
        for own in &explanation.ours {
            page.own(explanation, own);
        }
    }
    page.lines
}

/// The lines of only a conclusion.
pub(crate) fn conclusion_lines(conclusion: &Conclusion, style: &Style) -> Vec<String> {
    let mut page = Page { lines: Vec::new(), style };
    page.conclusion(conclusion);
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

    pub(super) fn conclusion(&mut self, conclusion: &Conclusion) {
        let (tone, answer) = &conclusion.answer;
        let tone = if *tone == Tone::Plain { Tone::Strong } else { *tone };
        self.text(0, tone, answer);
        for reason in &conclusion.reasons {
            self.text(2, Tone::Plain, reason);
        }
        if let Some(next) = &conclusion.next {
            let first = self.lines.len();
            self.text(4, Tone::Strong, next);
            if let Some(line) = self.lines.get_mut(first) {
                line.replace_range(2..3, ">");
            }
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
        let reply = &asked.reply;
        let status = reply.status.word();
        let (tone, goes) = match (asked.ends, reply.status) {
            (true, Status::Success) => (Tone::Good, "ends here"),
            (true, _) => (Tone::Bad, "ends here, without an answer"),
            (false, Status::Success) => (Tone::Warning, "drops the answer and goes on"),
            (false, _) => (Tone::Plain, "goes on"),
        };
        let text = if reply.certain {
            format!("{}: {status}, {goes}", reply.why)
        } else {
            format!("{}; without an answer: {status}, {goes}", reply.why)
        };
        self.text(6, tone, &text);
    }

    fn own(&mut self, explanation: &Explanation, own: &ModuleAnswer) {
        let service = lookup::service(own.kind);
        let place = if !explanation.walk.has(service) {
            ", which is not on the hosts line, would return"
        } else if !explanation.walk.asks(service) {
            ", which is not asked, would return"
        } else {
            " returns"
        };
        let status = own.status().word();
        self.heading(&format!("{service}{place} {status}"));
        if let Some(why) = &own.not_loadable {
            self.text(2, Tone::Bad, &format!("The module can't be loaded: {why}."));
            self.text(2, Tone::Plain, "This is what it would do:");
        }
        let name = explanation.question.name.as_bytes();
        if own.kind.wanted(name).is_none() {
            let why = match own.kind {
                NameKind::HostName => "No guest can have this host name, so no file is read.",
                NameKind::Domain => "No domain can have this name, so no file is read.",
            };
            self.text(2, Tone::Plain, why);
            return;
        }
        let read_on = self.snapshot(explanation, own);
        if let Some(fault) = own.story.no_directory {
            let text = format!("{}: {}", self.style.directory, fault_text(fault));
            self.text(2, Tone::Bad, &text);
        } else if own.story.files.is_empty() && read_on {
            let text = format!("{} contains no files of libvirt.", self.style.directory);
            self.text(2, Tone::Plain, &text);
        }
        for file in &own.story.files {
            self.file(own, file);
        }
    }

    fn file(&mut self, own: &ModuleAnswer, file: &FileStory) {
        let name = file_name(file.bridge.as_bytes(), file.kind);
        self.text(2, Tone::Plain, &lossy(name.as_encoded_bytes()));
        let mut passed = 0;
        for record in &file.records {
            let (tone, fate) = fate_of(&own.story, own.kind, file, record, self.style.now);
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
                    text += ": no NIC on this bridge is known to be a running guest's";
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
            (_, 0) => "empty".into(),
            (Kind::Leases, 1) => "1 lease of another name".into(),
            (Kind::Leases, count) => format!("{count} leases of other names"),
            (Kind::Macs, 1) => "1 other guest".into(),
            (Kind::Macs, count) => format!("{count} other guests"),
        };
        self.text(4, Tone::Faint, &others);
    }

    /// What is at a byte of a file, and what became of it.
    pub(super) fn record(&mut self, at: u32, what: &str, tone: Tone, fate: &str) {
        let first = self.lines.len();
        self.text(15, Tone::Plain, what);
        let start = format!("    {:<11}", format!("byte {at}"));
        // A position far into a large file gets its own line.
        match self.lines.get_mut(first).filter(|_| start.ends_with(' ')) {
            Some(line) => line.replace_range(..15, &start),
            None => self.lines.insert(first, start),
        }
        self.text(15, tone, fate);
    }
}

/// The content of a record.
fn what(record: &RecordStory, now: i64) -> String {
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

/// What became of a record; faint if it is about another name.
fn fate_of(
    story: &Story,
    kind: NameKind,
    file: &FileStory,
    record: &RecordStory,
    now: i64,
) -> (Tone, String) {
    match &record.what {
        What::NotJson(at) => (Tone::Bad, format!("skipped: invalid JSON at byte {at}")),
        What::Map { good: false, .. } => {
            (Tone::Bad, "skipped: no domain name, or no list of NICs".into())
        }
        What::Map { wanted: false, .. } => (Tone::Faint, "another guest".into()),
        What::Map { wanted: true, .. } => match kind {
            NameKind::Domain => (Tone::Good, "the requested guest".into()),
            NameKind::HostName => (Tone::Good, "a running guest whose NIC has such a lease".into()),
        },
        What::Lease { verdict: Err(BadRecord::Mistyped), .. } => {
            (Tone::Bad, "skipped: a value has the wrong type".into())
        }
        What::Lease { verdict: Err(BadRecord::NoAddress), .. } => {
            (Tone::Bad, "skipped: no valid address".into())
        }
        What::Lease { verdict: Ok(Verdict::Other), .. } => (Tone::Faint, "another name".into()),
        What::Lease { verdict: Ok(Verdict::Expired), expiry, .. } => {
            let ended = duration::left(*expiry, now);
            (Tone::Warning, format!("skipped: expired {ended}"))
        }
        What::Lease { verdict: Ok(Verdict::Candidate), .. } => match story.fate(file, record) {
            Some(outcome) => outcome_of(outcome),
            None => (Tone::Warning, "skipped: it was gone when the answer was assembled".into()),
        },
    }
}

/// What became of a candidate.
pub(super) fn outcome_of(outcome: Fate) -> (Tone, String) {
    let why = match outcome {
        Fate::Taken => return (Tone::Good, "taken".into()),
        Fate::LeftBehind => {
            "left behind: the host name belongs to a running guest with another NIC"
        }
        Fate::OtherCase => "another domain has exactly this name, in upper and lower case too",
        Fate::Duplicate => "the address is already in the answer",
        Fate::OtherFamily => "the other address family was requested",
        Fate::Outranked => "another lease of the address takes precedence",
        Fate::OtherClient => "the NIC has a newer lease with another client id",
        Fate::LinkLocal => "link-local: the guest has a better address, or the scope is unknown",
        Fate::BehindConnection => "a guest of an earlier connection has the name",
        Fate::BehindFiles => "another host's guest: a guest of this host has the name",
    };
    (Tone::Warning, format!("skipped: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_far_into_a_file() {
        let style = Style {
            paint: Paint::none(),
            width: 40,
            verbose: true,
            all: false,
            now: 0,
            directory: String::new(),
        };
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
