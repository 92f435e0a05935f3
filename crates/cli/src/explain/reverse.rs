//! The reverse look-up: the name of an address, as getnameinfo(3) and gethostbyaddr(3) look it up.

use std::net::IpAddr;

use guest_names::name::NameKind;
use serde::Serialize;

use super::conclusion::Conclusion;
use super::json::JsonConclusion;
use super::others;
use crate::context::Context;
use crate::error::Error;
use crate::lookup;
use crate::nsswitch::file;
use crate::nsswitch::line::{Status as Answer, parse};
use crate::output::paint::Tone;
use crate::presence;

/// What the services on the hosts line have for an address.
#[derive(Default)]
struct Walk {
    /// The service that has a name, and the name.
    answer: Option<(String, String)>,
    /// Services that are asked and may have a name.
    open: Vec<String>,
    /// One of ours is on the line.
    has_ours: bool,
    /// One of ours would answer, but isn't asked: its name, the answer, and the service that ends the look-up.
    hidden: Option<(String, String, String)>,
}

/// What a reverse look-up comes to.
pub(crate) struct ReverseExplanation {
    address: IpAddr,
    /// The service whose answer programs get, and the name.
    found: Option<(String, String)>,
    pub(crate) conclusion: Conclusion,
}

/// Explains the look-up of an address' name.
///
/// # Errors
/// [`Error::Exhausted`].
pub(crate) fn explain(address: IpAddr, context: &Context) -> Result<ReverseExplanation, Error> {
    let line = file::read(&context.paths)
        .map_err(|error| error.to_string())
        .and_then(|conf| parse(&conf.text).map_err(|parse_error| parse_error.to_string()));
    let line = match line {
        Ok(line) => line,
        Err(why) => {
            let conclusion = unclear(address, why);
            return Ok(ReverseExplanation { address, found: None, conclusion });
        }
    };
    let mut walk = Walk::default();
    let mut ended_by = None;
    for service in &line.services {
        let kind = [NameKind::HostName, NameKind::Domain]
            .into_iter()
            .find(|&kind| lookup::service(kind) == service.name);
        let (status, name) = match kind {
            Some(kind) => {
                walk.has_ours = true;
                let now = context.clock.now();
                let name = lookup::by_address(&context.paths, kind, address, now, None)?;
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
            (Some(by), Some(name)) if kind.is_some() && walk.answer.is_none() => {
                walk.hidden = Some((service.name.clone(), name, String::clone(by)));
                break;
            }
            _ => {}
        }
        if ended_by.is_none() && service.actions.ends(status) {
            ended_by = Some(service.name.clone());
        }
    }
    let found = walk.answer.clone();
    Ok(ReverseExplanation { address, found, conclusion: walk.conclusion(address, context) })
}

impl ReverseExplanation {
    /// Whether programs get the name of a guest.
    pub(crate) fn is_a_guests(&self) -> bool {
        self.found.as_ref().is_some_and(|(service, _)| crate::nsswitch::is_ours(service))
    }

    pub(crate) fn json(&self) -> impl Serialize {
        let (service, name) = self.found.clone().unzip();
        let Conclusion { answer: (_, answer), reasons, next } = self.conclusion.clone();
        Json {
            address: self.address,
            name,
            service,
            conclusion: JsonConclusion { answer, reasons, next },
        }
    }
}

fn unclear(address: IpAddr, why: String) -> Conclusion {
    Conclusion {
        answer: (Tone::Bad, format!("cannot predict which name programs get for {address}")),
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
                reasons.push(format!("answered by {service}"));
                if let [first, ..] = self.open.as_slice() {
                    reasons
                        .push(format!("unless {first}, which is asked first, has a name for it"));
                }
                (Tone::Good, format!("{address} is {name}"))
            }
            None => {
                let enable = context.paths.sudo_command("enable");
                if let Some((service, name, by)) = &self.hidden {
                    reasons.push(format!(
                        "{service} would answer {name}, but {by} ends the look-up before it"
                    ));
                    next = Some(format!("'{enable}' moves {service} before {by}"));
                } else if !self.has_ours {
                    reasons.push("neither libvirt nor libvirt_guest is on the hosts line".into());
                    next = Some(enable);
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
                            "{address} does not resolve to the name of a guest; {} may have one",
                            open.join(" or ")
                        )
                    }
                };
                (Tone::Bad, text)
            }
        };
        let why = "this is the reverse look-up; getaddrinfo returns an address as it is, without asking any service";
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
