//! The reverse look-up: the name of an address, as getnameinfo(3) and gethostbyaddr(3) ask for it.

use std::io::{self, Write};
use std::net::IpAddr;

use guest_names::name::NameKind;
use serde::Serialize;

use super::conclusion::Conclusion;
use super::json::JsonConclusion;
use super::others;
use super::text::{self, Style};
use crate::args::Explain;
use crate::context::Context;
use crate::error::Error;
use crate::lookup;
use crate::nsswitch::file::Conf;
use crate::nsswitch::line::{Status as Answer, parse};
use crate::output::escape::write_json;
use crate::output::paint::Tone;
use crate::presence;
use crate::status::Status;

/// What the services on the hosts line make of an address.
#[derive(Default)]
struct Walk {
    /// Who has a name, and which.
    answer: Option<(String, String)>,
    /// Services that were asked before and may have an answer of their own.
    open: Vec<String>,
    /// One of ours is on the line.
    has_ours: bool,
    /// One of ours would have answered, and isn't asked, as this one ends the look-up.
    hidden: Option<(String, String, String)>,
}

pub(crate) fn run(
    address: IpAddr,
    options: &Explain,
    conf: &Result<Conf, Error>,
    style: &Style,
    context: &Context,
) -> Result<Status, Error> {
    let conclusion;
    let mut found = None;
    match conf {
        Err(error) => conclusion = unclear(address, error.to_string()),
        Ok(conf) => match parse(&conf.text) {
            Err(misread) => conclusion = unclear(address, misread.to_string()),
            Ok(line) => {
                let mut walk = Walk::default();
                let mut ended_by = None;
                for service in &line.services {
                    let source = [NameKind::HostName, NameKind::Domain]
                        .into_iter()
                        .find(|&source| lookup::service(source) == service.name);
                    let (status, name) = match source {
                        Some(source) => {
                            walk.has_ours = true;
                            let now = context.clock.now();
                            let name =
                                lookup::by_address(&context.paths, source, address, now, None)?;
                            (name.as_ref().map_or(Answer::NotFound, |_| Answer::Success), name)
                        }
                        None => match others::name_of(&service.name, address, &context.paths) {
                            others::Name::Is(name) => (Answer::Success, Some(name)),
                            others::Name::None(status) => (status, None),
                            others::Name::Open => {
                                if ended_by.is_none() {
                                    walk.open.push(service.name.clone());
                                }
                                (Answer::NotFound, None)
                            }
                        },
                    };
                    match (&ended_by, name) {
                        (None, Some(name)) => walk.answer = Some((service.name.clone(), name)),
                        (None, None) => walk.answer = None,
                        (Some(by), Some(name)) if source.is_some() && walk.answer.is_none() => {
                            walk.hidden = Some((service.name.clone(), name, String::clone(by)));
                            break;
                        }
                        _ => {}
                    }
                    if ended_by.is_none() && service.actions.ends(status) {
                        ended_by = Some(service.name.clone());
                    }
                }
                found = walk.answer.clone();
                conclusion = walk.conclusion(address, context);
            }
        },
    }
    let ours = found.as_ref().is_some_and(|(service, _)| crate::nsswitch::is_ours(service));
    print(address, found, conclusion, options, style)?;
    Ok(if ours { Status::Ok } else { Status::NotFound })
}

fn unclear(address: IpAddr, why: String) -> Conclusion {
    Conclusion {
        answer: (Tone::Bad, format!("the name that programs get for {address} can't be predicted")),
        reasons: vec![why],
        next: None,
    }
}

impl Walk {
    fn conclusion(self, address: IpAddr, context: &Context) -> Conclusion {
        let mut reasons = Vec::new();
        let mut next = None;
        let answer = match &self.answer {
            Some((service, name)) => {
                reasons.push(format!("{service} has the address"));
                if let [first, ..] = self.open.as_slice() {
                    reasons
                        .push(format!("unless {first}, which is asked before, has a name for it"));
                }
                (Tone::Good, format!("{address} is {name}"))
            }
            None => {
                let enable = format!("sudo libvirt-nss enable{}", context.paths.options());
                if let Some((service, name, by)) = &self.hidden {
                    reasons.push(format!(
                        "{service} would answer {name} and isn't asked: {by} ends the look-up before it"
                    ));
                    next = Some(format!("'{enable}' moves it where it is asked"));
                } else if !self.has_ours {
                    reasons.push("neither libvirt nor libvirt_guest is on the hosts line".into());
                    next = Some(format!("'{enable}'"));
                } else {
                    reasons.push(match presence::unread_files(&context.paths).as_slice() {
                        [] => "no guest has it".into(),
                        unread => {
                            let unread = unread.join("; ");
                            format!("no guest has it in the files that could be read; {unread}")
                        }
                    });
                }
                let text = match self.open.as_slice() {
                    [] => format!("{address} has no name"),
                    open => {
                        format!(
                            "{address} is no guest's; {} may still know a name",
                            open.join(" or ")
                        )
                    }
                };
                (Tone::Bad, text)
            }
        };
        let why = "a look-up of the address itself (getaddrinfo) asks no service; this is the reverse one";
        reasons.push(why.into());
        Conclusion { answer, reasons, next }
    }
}

#[derive(Serialize)]
struct Json {
    address: IpAddr,
    name: Option<String>,
    /// Which service has the name.
    service: Option<String>,
    conclusion: JsonConclusion,
}

fn print(
    address: IpAddr,
    found: Option<(String, String)>,
    conclusion: Conclusion,
    options: &Explain,
    style: &Style,
) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    if options.json {
        let (service, name) = found.unzip();
        let (_, answer) = conclusion.answer;
        let conclusion =
            JsonConclusion { answer, reasons: conclusion.reasons, next: conclusion.next };
        write_json(&mut out, &Json { address, name, service, conclusion })?;
    } else {
        for line in text::conclusion_lines(&conclusion, style) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}
