//! The answer of `explain`: what programs get, why, and what to do next.

use guest_names::candidate::Candidate;
use guest_names::name::NameKind;

use super::walk::{End, GaiError, Step};
use super::{Explanation, ModuleAnswer};
use crate::lookup;
use crate::nsswitch::line::Status;
use crate::output::paint::Tone;
use crate::paths::Paths;
use crate::presence::{Absence, Presence};

/// In the order in which it is shown.
#[derive(Clone)]
pub(crate) struct Conclusion {
    /// What programs get, in one sentence.
    pub(crate) answer: (Tone, String),
    /// Why, and what else matters.
    pub(crate) reasons: Vec<String>,
    /// What to do next.
    pub(crate) next: Option<String>,
}

impl Explanation {
    /// The addresses that programs get from one of our services.
    pub(crate) fn addresses(&self) -> &[Candidate] {
        match self.walk.end {
            End::Answered(kind) => {
                let own = self.ours.iter().find(|own| own.kind == kind);
                own.map(|own| own.addresses.as_slice()).unwrap_or_default()
            }
            _ => &[],
        }
    }

    /// The error that getaddrinfo(3) returns, unless a service that can't be asked here has an answer.
    pub(crate) fn error(&self) -> Option<GaiError> {
        match self.walk.end {
            End::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// The answer.
    pub(crate) fn conclusion(&self) -> Conclusion {
        let name = &self.question.name;
        let mut conclusion = match self.walk.end {
            End::Unclear => Conclusion {
                answer: (Tone::Bad, format!("cannot predict what programs get for {name}")),
                reasons: self.walk.line.as_ref().err().cloned().into_iter().collect(),
                next: Some(format!("correct {}", self.walk.path)),
            },
            End::Answered(kind) => self.answered(kind),
            End::AnsweredByOther => self.answered_by_other(),
            End::Failed(error) => self.failed(error),
        };
        if self.nscd {
            let note = "nscd caches look-ups here, and may still have an older answer";
            conclusion.reasons.push(note.into());
        }
        conclusion
    }

    fn answered(&self, kind: NameKind) -> Conclusion {
        let name = &self.question.name;
        let addresses = self.addresses();
        let texts: Vec<String> = addresses.iter().map(lookup::address_text).collect();
        let service = lookup::service(kind);
        let kind_of_name = lookup::kind_of_name(kind);
        let mut reasons = vec![format!("answered by {service}: it is a guest's {kind_of_name}")];
        reasons.extend(unless(&self.walk.open()));
        if addresses.len() > 1 {
            let order = "getaddrinfo(3) sorts addresses by its own rules (RFC 3484, gai.conf(5))";
            reasons.push(order.into());
        }
        let answer = format!("{name} resolves to {}", texts.join(", "));
        Conclusion { answer: (Tone::Good, answer), reasons, next: None }
    }

    fn answered_by_other(&self) -> Conclusion {
        let name = &self.question.name;
        let answering = self.walk.answering();
        let service = answering.map(|(service, _)| service).unwrap_or_default();
        let mut reasons: Vec<String> =
            answering.map(|(_, reply)| reply.why.clone()).into_iter().collect();
        reasons.extend(self.would_answer().map(|own| {
            let texts: Vec<String> = own.addresses.iter().map(lookup::address_text).collect();
            format!("{} would answer {}", lookup::service(own.kind), texts.join(", "))
        }));
        let answer = format!("{name} resolves through {service}, not to a guest");
        Conclusion { answer: (Tone::Strong, answer), reasons, next: None }
    }

    fn failed(&self, error: GaiError) -> Conclusion {
        let name = &self.question.name;
        let open = self.walk.open();
        let answer = match open.as_slice() {
            [] => {
                let family = match self.question.family {
                    None => "",
                    Some(_) => &format!(" to an {} address", self.question.family_text()),
                };
                let (text, word) = (error.text(), error.word());
                format!("{name} does not resolve{family}: \"{text}\" ({word})")
            }
            open => format!(
                "{name} does not resolve to a guest; {} may have an answer",
                open.join(" or ")
            ),
        };
        let (reasons, next) = self.why_not();
        Conclusion { answer: (Tone::Bad, answer), reasons, next }
    }

    /// One of our modules that has an answer, wherever it is on the line.
    fn would_answer(&self) -> Option<&ModuleAnswer> {
        let has = |own: &&ModuleAnswer| own.not_loadable.is_none() && !own.addresses.is_empty();
        self.ours.iter().find(has)
    }

    fn why_not(&self) -> (Vec<String>, Option<String>) {
        let walk = &self.walk;
        let enable = self.paths.sudo_command("enable");
        let on_line = |own: &&ModuleAnswer| walk.has(lookup::service(own.kind));
        if !self.ours.iter().any(|own| on_line(&own)) {
            let mut reasons = vec![format!(
                "neither libvirt nor libvirt_guest is on the hosts line of {}",
                walk.path
            )];
            reasons.extend(self.would_answer().map(would));
            return (reasons, Some(enable));
        }
        let doctor = format!("'{}' says how to install it", self.paths.command("doctor"));
        let broken = |own: &&ModuleAnswer| own.not_loadable.is_some() && on_line(own);
        if let Some(own) = self.ours.iter().find(broken) {
            let why = own.not_loadable.clone().unwrap_or_default();
            let service = lookup::service(own.kind);
            return (vec![format!("the {service} module can't be loaded: {why}")], Some(doctor));
        }
        if let Some(own) = self.would_answer() {
            return self.lost(own, &enable);
        }
        let presence = &self.presence;
        let unasked = self
            .ours
            .iter()
            .find(|own| own.status() == Status::Unavail && !walk.asks(lookup::service(own.kind)));
        if let (Some(_), [_, ..]) = (self.question.family, self.other_family.as_slice()) {
            return (
                vec![format!(
                    "the guest has no {} address, only {}",
                    self.question.family_text(),
                    self.other_family.join(", ")
                )],
                None,
            );
        }
        let mut reasons = vec![presence.reason()];
        reasons.extend(
            unasked.map(|own| {
                format!("{} knows the guest, but isn't asked", lookup::service(own.kind))
            }),
        );
        let has_daemon = !matches!(self.snapshot, Ok(None));
        (reasons, next_of(presence, &self.paths, has_daemon))
    }

    /// Why programs don't get the answer of one of our modules.
    fn lost(&self, own: &ModuleAnswer, enable: &str) -> (Vec<String>, Option<String>) {
        let walk = &self.walk;
        let service = lookup::service(own.kind);
        if !walk.has(service) {
            return (
                vec![would(own), format!("{service} isn't on the hosts line")],
                Some(enable.to_owned()),
            );
        }
        let step = walk.steps.iter().find(|step| step.service == service);
        if let Some(Step { asked: Some(_), actions: Some(actions), .. }) = step {
            let why = format!(
                "{service} has an answer, but {actions} after it makes glibc go on and drop it"
            );
            return (vec![why], Some(format!("remove {actions} from {}", walk.path)));
        }
        let by = walk.ended_by.and_then(|at| walk.steps.get(at));
        let by = by.map(|step| match &step.actions {
            Some(actions) => format!("{} {actions}", step.service),
            None => step.service.clone(),
        });
        let why =
            format!("{}, but {} ends the look-up before it", would(own), by.unwrap_or_default());
        let ending = walk.ended_by.and_then(|at| walk.steps.get(at));
        let next = match ending {
            Some(step) if !crate::nsswitch::is_ours(&step.service) => {
                format!("'{enable}' moves {service} before {}", step.service)
            }
            Some(Step { actions: Some(actions), .. }) => {
                format!("remove {actions} from {}", walk.path)
            }
            _ => format!("correct {}", walk.path),
        };
        (vec![why], Some(next))
    }
}

fn would(own: &ModuleAnswer) -> String {
    let texts: Vec<String> = own.addresses.iter().map(lookup::address_text).collect();
    format!("{} would answer {}", lookup::service(own.kind), texts.join(", "))
}

fn unless(open: &[&str]) -> Option<String> {
    match open {
        [] => None,
        [one] => Some(format!("unless {one}, which is asked first, has its own answer")),
        many => Some(format!(
            "unless one of {}, which are asked first, has its own answer",
            many.join(", ")
        )),
    }
}

fn next_of(presence: &Presence, paths: &Paths, has_daemon: bool) -> Option<String> {
    let wait = paths.command(&format!("wait {}", presence.name));
    let needs_daemon = |guests: &str| match has_daemon {
        true => String::new(),
        false => format!("; {guests} libvirt-nssd"),
    };
    match &presence.absence {
        Absence::Unknown(_) if presence.unrecorded_domain.is_some() => {
            presence.unrecorded_domain.clone()
        }
        Absence::Unknown(similar) if similar.is_empty() => {
            let daemon =
                needs_daemon("guests on bridges, with static addresses or on other hosts need");
            Some(format!("'{}' shows the known names{daemon}", paths.command("list")))
        }
        Absence::Unknown(similar) => Some(format!("did you mean {}?", similar.join(" or "))),
        Absence::NoLease(_) => {
            let daemon = needs_daemon("a guest with a static address needs");
            Some(format!("'{wait}' returns when it has one{daemon}"))
        }
        Absence::Expired(..) => Some(format!("'{wait}' returns when it has a new one")),
        Absence::Impossible => None,
        Absence::Unclear(_) | Absence::NoAddress(_) | Absence::Denied(_) => {
            Some(paths.command("doctor"))
        }
    }
}
