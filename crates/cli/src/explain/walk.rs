//! Along the `hosts` line, as glibc goes (nss/getaddrinfo.c): service after service, until one has an
//! answer or an action ends it.

use guest_names::forward::{Found, Source};

use super::others;
use super::{Ours, Question};
use crate::error::Error;
use crate::lookup;
use crate::nsswitch::file::Conf;
use crate::nsswitch::line::{Status, parse};
use crate::paths::Paths;
use crate::state::lossy;

/// The way that a look-up goes.
pub(crate) struct Walk {
    /// As people name the file.
    pub(crate) path: String,
    /// The line's number and text, or why there is none.
    pub(crate) line: Result<(usize, String), String>,
    pub(crate) steps: Vec<Step>,
    pub(crate) end: End,
}

/// One service on the line.
pub(crate) struct Step {
    pub(crate) service: String,
    /// Its actions as they are written, with the brackets.
    pub(crate) actions: Option<String>,
    /// None where the look-up has ended before it.
    pub(crate) asked: Option<Asked>,
}

/// What an asked service does with the look-up.
pub(crate) struct Asked {
    pub(crate) said: others::Said,
    pub(crate) ends: bool,
}

/// Where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// One of our services has the answer.
    Answered(Source),
    /// Another has, before ours.
    AnsweredBefore,
    /// An action ended it without an answer; by one of ours, where a source stands there.
    Ended(Option<Source>),
    /// All were asked, and only ours are certain.
    Open,
    /// The line's end came, and none has an answer.
    Exhausted,
    /// Which way glibc goes can't be told.
    Unclear,
}

impl Walk {
    pub(crate) fn new(
        conf: &Result<Conf, Error>,
        question: &Question,
        ours: &[Ours],
        paths: &Paths,
    ) -> Self {
        let path = paths.nsswitch().display().to_string();
        let unclear =
            |why| Self { path: path.clone(), line: Err(why), steps: Vec::new(), end: End::Unclear };
        let conf = match conf {
            Ok(conf) => conf,
            Err(error) => return unclear(error.to_string()),
        };
        let line = match parse(&conf.text) {
            Ok(line) => line,
            Err(misread) => return unclear(misread.to_string()),
        };
        let text = lossy(&conf.text[line.range.clone()]);
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut steps = Vec::new();
        let mut end = None;
        let mut open = false;
        for service in &line.services {
            let actions = service.list.clone().map(|list| lossy(&conf.text[list]));
            let name = service.name.clone();
            if end.is_some() {
                steps.push(Step { service: name, actions, asked: None });
                continue;
            }
            let own = ours.iter().find(|own| lookup::service(own.source) == service.name);
            let said = match own {
                Some(own) => our_word(own),
                None => others::says(&service.name, question, paths),
            };
            open |= !said.certain;
            let ends = service.actions.ends(said.status);
            if ends {
                end = Some(match (said.status, own) {
                    (Status::Success, Some(own)) => End::Answered(own.source),
                    (Status::Success, None) => End::AnsweredBefore,
                    (_, own) => End::Ended(own.map(|own| own.source)),
                });
            }
            steps.push(Step { service: name, actions, asked: Some(Asked { said, ends }) });
        }
        let end = end.unwrap_or(if open { End::Open } else { End::Exhausted });
        Self { path, line: Ok((line.number, text)), steps, end }
    }

    /// Whether the service is on the line and is asked.
    pub(crate) fn asks(&self, service: &str) -> bool {
        self.steps.iter().any(|step| step.service == service && step.asked.is_some())
    }

    /// Whether it is on the line.
    pub(crate) fn has(&self, service: &str) -> bool {
        self.steps.iter().any(|step| step.service == service)
    }
}

fn our_word(own: &Ours) -> others::Said {
    let kind = lookup::kind_of_name(own.source);
    let why = match (&own.not_loadable, own.found, own.source) {
        (Some(why), ..) => format!("the module can't be loaded: {why}"),
        (None, Found::Data, _) => match own.addresses.len() {
            1 => "it has 1 address".into(),
            count => format!("it has {count} addresses"),
        },
        (None, Found::NoData, _) => "it knows the guest, and no address to give".into(),
        (None, Found::Unknown, Source::HostName) => format!("no lease of this {kind} holds"),
        (None, Found::Unknown, Source::Domain) => format!("no running guest has this {kind}"),
    };
    others::Said { status: own.status(), certain: true, why }
}
