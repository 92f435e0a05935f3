//! An explanation, for programs.

use guest_names::lease::BadRecord;
use guest_names::observe::{Fate, Verdict};
use serde::Serialize;

use super::story::{FileStory, Record, Story, What};
use super::walk::{End, Step};
use super::{Explanation, Ours};
use crate::commands::resolve::JsonAddress;
use crate::lookup;
use crate::state::directory::{fault_text, file_name};
use crate::state::snapshot::lossy;

#[derive(Serialize)]
pub(crate) struct Json<'e> {
    name: &'e str,
    /// `null` for both.
    family: Option<&'static str>,
    nsswitch: &'e str,
    line: Option<&'e str>,
    line_number: Option<usize>,
    /// Why there is no line to follow.
    error: Option<&'e str>,
    steps: Vec<JsonStep<'e>>,
    /// `answered`, `answered-before`, `ended`, `open`, `exhausted` or `unclear`.
    end: &'static str,
    conclusion: Vec<String>,
    services: Vec<JsonService>,
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
    pub(crate) fn new(explanation: &'e Explanation) -> Self {
        let Explanation { question, walk, ours } = explanation;
        let line = walk.line.as_ref();
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
                End::AnsweredBefore => "answered-before",
                End::Ended(_) => "ended",
                End::Open => "open",
                End::Exhausted => "exhausted",
                End::Unclear => "unclear",
            },
            conclusion: super::text::conclusion(explanation)
                .into_iter()
                .map(|(_, text)| text)
                .collect(),
            services: ours.iter().map(service).collect(),
        }
    }
}

fn step(step: &Step) -> JsonStep<'_> {
    let asked = step.asked.as_ref();
    JsonStep {
        service: &step.service,
        actions: step.actions.as_deref(),
        asked: asked.is_some(),
        status: asked.map(|asked| asked.said.status.word()),
        certain: asked.map(|asked| asked.said.certain),
        ends: asked.map(|asked| asked.ends),
        why: asked.map(|asked| asked.said.why.as_str()),
    }
}

fn service(own: &Ours) -> JsonService {
    JsonService {
        service: lookup::service(own.source),
        status: own.status().word(),
        not_loadable: own.not_loadable.clone(),
        addresses: own.addresses.iter().map(JsonAddress::new).collect(),
        error: own.story.no_directory.map(fault_text),
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

fn record(story: &Story, file: &FileStory, record: &Record) -> JsonRecord {
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
            Some(Fate::Taken) => "taken",
            Some(Fate::LeftBehind) => "left-behind",
            Some(Fate::OtherCase) => "other-case",
            Some(Fate::Duplicate) => "duplicate",
            Some(Fate::OtherFamily) => "other-family",
            Some(Fate::Outranked) => "outranked",
            None => "gone",
        },
    };
    JsonRecord { byte: record.start, kind, name, address, mac, expiry, fate }
}
