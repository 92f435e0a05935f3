//! An explanation, for programs.

use std::net::IpAddr;

use guest_names::observe::Verdict;
use guest_names::records::lease::BadRecord;
use guest_names::snapshot::Standing;
use serde::Serialize;

use super::entries::{EntryStory, outcome_word};
use super::story::{FileStory, RecordStory, Story, What};
use super::walk::{End, GaiError, Step};
use super::{Explanation, ModuleAnswer};
use crate::commands::resolve::JsonAddress;
use crate::daemon::{self, Reading, source_word};
use crate::lookup;
use crate::presence::{Absence, Presence};
use crate::state::lossy;
use guest_store::lookup::Found;
use guest_store::{fault_text, file_name};

#[derive(Serialize)]
pub(crate) struct Json<'e> {
    name: &'e str,
    /// `null`: both.
    family: Option<&'static str>,
    nsswitch: &'e str,
    line: Option<&'e str>,
    line_number: Option<usize>,
    /// Why there is no usable line.
    error: Option<&'e str>,
    steps: Vec<JsonStep<'e>>,
    /// `answered`: by libvirt or libvirt_guest; `other`: by another service; `failed`; `open`: no answer, unless a
    /// service in `open` has one; `unclear`: the hosts line can't be followed.
    end: &'static str,
    /// The services that are asked and may have an answer: they can't be asked here.
    open: Vec<&'e str>,
    /// The service whose answer programs get.
    answered_by: Option<&'e str>,
    /// That answer, if it is known here: of libvirt, libvirt_guest or files.
    addresses: Vec<JsonAddress>,
    /// The error of getaddrinfo(3) if there is no answer: `EAI_NONAME`, `EAI_NODATA` or `EAI_SYSTEM`.
    result_error: Option<&'static str>,
    /// Why no guest answers to the name; `null` where one does.
    absence: Option<JsonAbsence>,
    /// For people: the answer, the reasons, the next step.
    conclusion: JsonConclusion,
    /// libvirt-nssd's; `null` if there is none.
    snapshot: Option<JsonSnapshot>,
    services: Vec<JsonService>,
}

#[derive(Serialize)]
pub(super) struct JsonConclusion {
    pub(super) answer: String,
    pub(super) reasons: Vec<String>,
    pub(super) next: Option<String>,
}

#[derive(Serialize)]
struct JsonAbsence {
    reason: &'static str,
    /// The address of the lease that has expired or is rejected.
    address: Option<IpAddr>,
    /// When it expired, in seconds since the epoch.
    expiry: Option<i64>,
    /// Where the guest runs.
    bridge: Option<String>,
    /// libvirt-nssd's connection to the guest's libvirt.
    connection: Option<String>,
    /// The guest's addresses, of the family that wasn't asked for.
    other_family: Vec<String>,
    /// Names that may have been meant.
    similar: Vec<String>,
    /// Files that may say more and couldn't be read, or not all of them.
    unread: Vec<String>,
}

impl JsonAbsence {
    fn new(presence: &Presence, other_family: &[String]) -> Self {
        let unread = presence.unread.clone();
        let none = Self {
            reason: "unknown",
            address: None,
            expiry: None,
            bridge: None,
            connection: None,
            other_family: other_family.to_vec(),
            similar: Vec::new(),
            unread,
        };
        if !other_family.is_empty() {
            return Self { reason: "other-family", ..none };
        }
        match presence.absence.clone() {
            Absence::Impossible => Self { reason: "impossible", ..none },
            Absence::Expired(address, expiry) => {
                Self { reason: "expired", address: Some(address), expiry: Some(expiry), ..none }
            }
            Absence::NoLease(bridge) => Self { reason: "no-lease", bridge: Some(bridge), ..none },
            Absence::Unclear(bridge) => Self { reason: "unclear", bridge: Some(bridge), ..none },
            Absence::NoAddress(connection) => {
                Self { reason: "no-address", connection: Some(connection), ..none }
            }
            Absence::Denied(address) => Self { reason: "denied", address: Some(address), ..none },
            Absence::Unknown(similar) => Self { similar, ..none },
        }
    }
}

#[derive(Serialize)]
struct JsonSnapshot {
    /// Why the modules don't use it; the others are `null` then.
    error: Option<String>,
    /// The daemon's version, if known.
    version: Option<String>,
    /// When it was compiled and last touched, in seconds since the epoch, and for how many seconds after that it counts.
    compiled: Option<i64>,
    touched: Option<i64>,
    hold: Option<u32>,
}

/// What the snapshot has under the name.
#[derive(Serialize)]
struct JsonEntries {
    /// `for-files`: it replaces the state files. `with-files`: they have changed since, and are read too. `leases`: it
    /// replaces the files, and nothing else in it is used. `out-of-date`, `broken`.
    standing: &'static str,
    entries: Vec<JsonEntry>,
}

#[derive(Serialize)]
struct JsonEntry {
    byte: u32,
    name: String,
    address: Option<String>,
    mac: Option<String>,
    bridge: Option<String>,
    expiry: i64,
    /// `file`, `lease`, `agent` or `arp`.
    source: &'static str,
    connection: String,
    /// `taken`, `known` or why not.
    fate: &'static str,
}

#[derive(Serialize)]
struct JsonStep<'e> {
    service: &'e str,
    actions: Option<&'e str>,
    asked: bool,
    status: Option<&'static str>,
    certain: Option<bool>,
    ends: Option<bool>,
    why: Option<&'e str>,
}

#[derive(Serialize)]
struct JsonService {
    service: &'static str,
    status: &'static str,
    not_loadable: Option<String>,
    addresses: Vec<JsonAddress>,
    /// Why the state directory can't be read.
    error: Option<String>,
    /// `null` where it wasn't asked.
    snapshot: Option<JsonEntries>,
    files: Vec<JsonFile>,
}

#[derive(Serialize)]
struct JsonFile {
    file: String,
    error: Option<String>,
    error_at: Option<u32>,
    records: Vec<JsonRecord>,
}

#[derive(Serialize)]
struct JsonRecord {
    byte: u32,
    /// `lease`, `guest` or `malformed`.
    kind: &'static str,
    /// Of the lease: its host name. Of the guest: its domain name.
    name: Option<String>,
    address: Option<String>,
    mac: Option<String>,
    expiry: Option<i64>,
    /// `taken` or why not.
    fate: &'static str,
}

impl<'e> Json<'e> {
    /// `now`: seconds since the epoch.
    pub(crate) fn new(explanation: &'e Explanation, now: i64) -> Self {
        let Explanation { question, walk, ours, snapshot: reading, .. } = explanation;
        let conclusion = explanation.conclusion();
        let line = walk.line.as_ref();
        let found = ours.iter().any(|own| own.found == Found::Data);
        Self {
            name: &question.name,
            family: question.family.map(|family| match family {
                guest_names::address::Family::V4 => "ipv4",
                guest_names::address::Family::V6 => "ipv6",
            }),
            nsswitch: &walk.path,
            line: line.ok().map(|(_, text)| text.as_str()),
            line_number: line.ok().map(|&(number, _)| number),
            error: line.err().map(String::as_str),
            steps: walk.steps.iter().map(step).collect(),
            end: match walk.end {
                End::Answered(_) => "answered",
                End::AnsweredByOther => "other",
                End::Failed(_) if walk.open().is_empty() => "failed",
                End::Failed(_) => "open",
                End::Unclear => "unclear",
            },
            open: walk.open(),
            answered_by: walk.answering().map(|(service, _)| service),
            addresses: match walk.answering() {
                Some((_, reply)) if walk.end == End::AnsweredByOther => {
                    reply.addresses.iter().copied().map(JsonAddress::bare).collect()
                }
                _ => explanation.addresses().iter().map(JsonAddress::new).collect(),
            },
            result_error: explanation.error().map(GaiError::word),
            absence: (!found)
                .then(|| JsonAbsence::new(&explanation.presence, &explanation.other_family)),
            conclusion: JsonConclusion {
                answer: conclusion.answer.1,
                reasons: conclusion.reasons,
                next: conclusion.next,
            },
            snapshot: snapshot(reading),
            services: ours.iter().map(|own| service(own, reading, now)).collect(),
        }
    }
}

fn step(step: &Step) -> JsonStep<'_> {
    let asked = step.asked.as_ref();
    JsonStep {
        service: &step.service,
        actions: step.actions.as_deref(),
        asked: asked.is_some(),
        status: asked.map(|asked| asked.reply.status.word()),
        certain: asked.map(|asked| asked.reply.certain),
        ends: asked.map(|asked| asked.ends),
        why: asked.map(|asked| asked.reply.why.as_str()),
    }
}

fn snapshot(reading: &Reading) -> Option<JsonSnapshot> {
    let snapshot = match reading {
        Ok(snapshot) => snapshot.as_ref()?,
        Err(unusable) => {
            let error = Some(unusable.to_string());
            let none =
                JsonSnapshot { error, version: None, compiled: None, touched: None, hold: None };
            return Some(none);
        }
    };
    Some(JsonSnapshot {
        error: None,
        version: snapshot.info().version.clone(),
        compiled: Some(snapshot.compiled.meta.compiled),
        touched: Some(snapshot.compiled.modified),
        hold: Some(snapshot.compiled.meta.hold),
    })
}

fn entries_of(own: &ModuleAnswer, reading: &Reading, now: i64) -> Option<JsonEntries> {
    let story = &own.story;
    let standing = match story.snapshot.standing? {
        None => "broken",
        Some(Standing { leases: true, reports: true }) => "for-files",
        Some(Standing { leases: true, reports: false }) => "leases",
        Some(Standing { leases: false, reports: true }) => "with-files",
        Some(Standing { leases: false, reports: false }) => "out-of-date",
    };
    let entry = |entry: &EntryStory| JsonEntry {
        byte: entry.at,
        name: entry.name.clone(),
        address: entry.address.map(|address| address.to_string()),
        mac: entry.mac.map(|mac| mac.to_string()),
        bridge: entry.bridge.clone(),
        expiry: entry.expiry,
        source: source_word(entry.evidence),
        connection: daemon::connection(reading, entry.connection),
        fate: story.snapshot.fate(entry, &story.candidates, now).word(),
    };
    Some(JsonEntries { standing, entries: story.snapshot.entries.iter().map(entry).collect() })
}

fn service(own: &ModuleAnswer, reading: &Reading, now: i64) -> JsonService {
    JsonService {
        service: lookup::service(own.kind),
        status: own.status().word(),
        not_loadable: own.not_loadable.clone(),
        addresses: own.addresses.iter().map(JsonAddress::new).collect(),
        error: own.story.no_directory.map(fault_text),
        snapshot: entries_of(own, reading, now),
        files: own.story.files.iter().map(|one| file(&own.story, one)).collect(),
    }
}

fn file(story: &Story, file: &FileStory) -> JsonFile {
    JsonFile {
        file: lossy(file_name(file.bridge.as_bytes(), file.kind).as_encoded_bytes()),
        error: file.fault.map(|(_, fault)| fault_text(fault)),
        error_at: file.fault.map(|(at, _)| at),
        records: file.records.iter().map(|one| record(story, file, one)).collect(),
    }
}

fn record(story: &Story, file: &FileStory, record: &RecordStory) -> JsonRecord {
    let (kind, name, address, mac, expiry) = match &record.what {
        What::NotJson(_) => ("malformed", None, None, None, None),
        What::Map { domain, .. } => ("guest", Some(domain.clone()), None, None, None),
        What::Lease { host_name, address, mac, expiry, .. } => (
            "lease",
            Some(host_name.clone()),
            address.map(|address| address.to_string()),
            mac.map(|mac| mac.to_string()),
            Some(*expiry),
        ),
    };
    let fate = match &record.what {
        What::NotJson(_) => "not-json",
        What::Map { good: false, .. } => "bad-record",
        What::Map { wanted: true, .. } => "taken",
        What::Map { wanted: false, .. } => "other",
        What::Lease { verdict: Err(BadRecord::Mistyped), .. } => "wrong-type",
        What::Lease { verdict: Err(BadRecord::NoAddress), .. } => "no-address",
        What::Lease { verdict: Ok(Verdict::Other), .. } => "other",
        What::Lease { verdict: Ok(Verdict::Expired), .. } => "expired",
        What::Lease { verdict: Ok(Verdict::Candidate), .. } => match story.fate(file, record) {
            Some(outcome) => outcome_word(outcome),
            None => "gone",
        },
    };
    JsonRecord { byte: record.start, kind, name, address, mac, expiry, fate }
}
