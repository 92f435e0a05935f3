//! Following the `hosts` line like glibc (nss/getaddrinfo.c): service by service, until one has an answer or an
//! action ends the look-up.

use guest_names::address::Family;
use guest_names::name::NameKind;
use guest_store::lookup::Found;

use super::others;
use super::{ModuleAnswer, Question};
use crate::error::Error;
use crate::lookup;
use crate::nsswitch::file::Conf;
use crate::nsswitch::line::{Action, Status, parse};
use crate::paths::Paths;
use crate::state::lossy;

/// The course of a look-up.
pub(crate) struct Walk {
    /// As people name the file.
    pub(crate) path: String,
    /// The line's number and text, or why there is none.
    pub(crate) line: Result<(usize, String), String>,
    pub(crate) steps: Vec<Step>,
    pub(crate) end: End,
    /// The step whose answer or action ended it.
    pub(crate) ended_by: Option<usize>,
}

/// One service on the line.
pub(crate) struct Step {
    pub(crate) service: String,
    /// Its actions as they are written, with the brackets.
    pub(crate) actions: Option<String>,
    /// None if the look-up ended before it.
    pub(crate) asked: Option<Asked>,
}

/// What a service that is asked does.
pub(crate) struct Asked {
    pub(crate) reply: others::Reply,
    pub(crate) ends: bool,
}

/// Where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// One of our services has the answer.
    Answered(NameKind),
    /// Another service has.
    AnsweredByOther,
    /// No service has, as far as is certain: see [`Walk::open`].
    Failed(GaiError),
    /// It isn't known what glibc does.
    Unclear,
}

/// An error of getaddrinfo(3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GaiError {
    NoName,
    NoData,
    System,
}

impl GaiError {
    /// As programs spell it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::NoName => "EAI_NONAME",
            Self::NoData => "EAI_NODATA",
            Self::System => "EAI_SYSTEM",
        }
    }

    /// As gai_strerror(3) has it.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::NoName => "Name or service not known",
            Self::NoData => "No address associated with hostname",
            Self::System => "System error",
        }
    }
}

impl Walk {
    pub(crate) fn new(
        conf: &Result<Conf, Error>,
        question: &Question,
        ours: &[ModuleAnswer],
        paths: &Paths,
    ) -> Self {
        let path = paths.nsswitch().display().to_string();
        let unclear = |why| Self {
            path: path.clone(),
            line: Err(why),
            steps: Vec::new(),
            end: End::Unclear,
            ended_by: None,
        };
        let conf = match conf {
            Ok(conf) => conf,
            Err(error) => return unclear(error.to_string()),
        };
        let line = match parse(&conf.text) {
            Ok(line) => line,
            Err(parse_error) => return unclear(parse_error.to_string()),
        };
        let text = lossy(&conf.text[line.range.clone()]);
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut steps = Vec::new();
        let mut ended_by = None;
        let mut end = End::Failed(GaiError::NoName);
        for (at, service) in line.services.iter().enumerate() {
            let actions = service.list.clone().map(|list| lossy(&conf.text[list]));
            let name = service.name.clone();
            if ended_by.is_some() {
                steps.push(Step { service: name, actions, asked: None });
                continue;
            }
            let own = ours.iter().find(|own| lookup::service(own.kind) == service.name);
            let reply = match own {
                Some(own) => our_reply(own),
                None => others::reply_of(&service.name, question, paths),
            };
            end = after(end, &reply, own, question.family);
            if service.actions.after(reply.status) == Action::Merge {
                end = End::Unclear;
            }
            let ends = service.actions.ends(reply.status);
            if ends {
                ended_by = Some(at);
            }
            let merges = end == End::Unclear;
            steps.push(Step { service: name, actions, asked: Some(Asked { reply, ends }) });
            if merges {
                let why = "[SUCCESS=merge] is for groups, and glibc doesn't define what it does for hosts";
                return Self { steps, ..unclear(format!("{why}; remove it")) };
            }
        }
        Self { path, line: Ok((line.number, text)), steps, end, ended_by }
    }

    /// Whether the service is on the line and is asked.
    pub(crate) fn asks(&self, service: &str) -> bool {
        self.steps.iter().any(|step| step.service == service && step.asked.is_some())
    }

    /// Whether it is on the line.
    pub(crate) fn has(&self, service: &str) -> bool {
        self.steps.iter().any(|step| step.service == service)
    }

    /// The service whose answer programs get, and what it says.
    pub(crate) fn answering(&self) -> Option<(&str, &others::Reply)> {
        let answered = matches!(self.end, End::Answered(_) | End::AnsweredByOther);
        let asked = self
            .steps
            .iter()
            .rev()
            .filter(|_| answered)
            .filter_map(|step| Some((step.service.as_str(), &step.asked.as_ref()?.reply)));
        asked.into_iter().find(|(_, reply)| reply.status == Status::Success)
    }

    /// The services that are asked and may or may not have an answer.
    pub(crate) fn open(&self) -> Vec<&str> {
        let asked = self
            .steps
            .iter()
            .filter(|step| step.asked.as_ref().is_some_and(|asked| !asked.reply.certain));
        asked.map(|step| step.service.as_str()).collect()
    }
}

/// The result of getaddrinfo(3) after a service, which replaces the one before: glibc (nss/getaddrinfo.c) keeps that of
/// the service that it asked last, even if an action makes it go on after an answer.
fn after(
    before: End,
    reply: &others::Reply,
    own: Option<&ModuleAnswer>,
    family: Option<Family>,
) -> End {
    match (reply.status, own) {
        // It has no function to call. For IPv4 alone, the result before it stays.
        (_, Some(own)) if own.not_loadable.is_some() => match (before, family) {
            (End::Failed(_), Some(Family::V4)) => before,
            _ => End::Failed(GaiError::System),
        },
        (Status::Success, Some(own)) => End::Answered(own.kind),
        (Status::Success, None) => End::AnsweredByOther,
        (Status::Unavail, Some(_)) => End::Failed(GaiError::NoData),
        _ => End::Failed(GaiError::NoName),
    }
}

fn our_reply(own: &ModuleAnswer) -> others::Reply {
    let kind = lookup::kind_of_name(own.kind);
    let why = match (&own.not_loadable, own.found, own.kind) {
        (Some(why), ..) => format!("the module can't be loaded: {why}"),
        (None, Found::Data, _) => match own.addresses.len() {
            1 => "has 1 address".into(),
            count => format!("has {count} addresses"),
        },
        (None, Found::NoData, _) => "knows the guest, but no address".into(),
        (None, Found::Unknown, NameKind::HostName) => format!("no current lease has this {kind}"),
        (None, Found::Unknown, NameKind::Domain) => format!("no running guest has this {kind}"),
    };
    others::Reply { status: own.status(), certain: true, why, addresses: Vec::new() }
}
