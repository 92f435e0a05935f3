//! What is asked when.

use std::mem;
use std::time::{Duration, Instant};

use super::SOON;
use crate::libvirt::agent::{Answer, Failure, Lane};
use crate::libvirt::error::one_line;
use crate::libvirt::known::{Description, Known};
use crate::libvirt::pace::Pace;

/// The longest time until an agent that hangs is asked again.
const HANGING: Duration = Duration::from_secs(600);

pub(super) type Uuid = [u8; 16];

/// Something to be done at a time. A guest's are done only if the time is still the one that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    AskAgent(Uuid),
    AskArp(Uuid),
    Networks,
    Guests,
    OpenAgents,
}

/// A running guest and when to ask for it again.
pub(super) struct Entry {
    pub(super) known: Known,
    pub(super) agent: Schedule,
    pub(super) arp: Schedule,
    /// How many times the agent did not answer in time, since it last did.
    pub(super) timeouts: u32,
}

/// What asking an agent has come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AnswerOutcome {
    /// When to ask again.
    pub(super) ask_at: Instant,
    /// Something of the guest is new.
    pub(super) changed: bool,
    /// It answered before, and does not now.
    pub(super) fell_silent: bool,
    /// A line for the log.
    pub(super) warning: Option<String>,
}

impl Entry {
    /// A guest of which only the XML is known.
    pub(super) fn new(description: Description) -> Self {
        Self {
            known: Known::new(description),
            agent: Schedule::new(),
            arp: Schedule::new(),
            timeouts: 0,
        }
    }

    /// Where its agent is to be asked.
    pub(super) fn lane(&self) -> Lane {
        match self.timeouts {
            0 => Lane::Quick { known: self.known.has_answered() },
            _ => Lane::Slow,
        }
    }

    /// Takes what asking the agent gave. `None` where the agent has closed its end of the channel meanwhile,
    /// so that it is not to be asked again.
    pub(super) fn take_answer(
        &mut self,
        answer: Result<Answer, Failure>,
        refresh: Duration,
        now: Instant,
    ) -> Option<AnswerOutcome> {
        self.agent.asking = false;
        if !self.known.description.agent_is_connected {
            return None;
        }
        let (mut changed, mut fell_silent, mut warning) = (false, false, None);
        let name = one_line(self.known.description.name());
        let wait = match answer {
            Ok(answer) => {
                let is_first = !self.known.has_answered();
                changed = self.known.set_agent(&answer);
                if self.timeouts > 0 {
                    self.agent.pace = Pace::from(refresh);
                } else if is_first && !self.known.has_agent_addresses() {
                    // It is still booting.
                    self.agent.pace = Pace::from(SOON);
                }
                self.timeouts = 0;
                self.agent.pace.wait(refresh)
            }
            Err(Failure::TimedOut(why)) => {
                if self.timeouts == 0 {
                    self.agent.pace = Pace::from(SOON);
                    warning = Some(format!("the agent of guest {name} does not answer: {why}"));
                }
                self.timeouts = self.timeouts.saturating_add(1);
                fell_silent = self.known.silence();
                self.agent.pace.wait(HANGING.max(refresh))
            }
            Err(Failure::Refused(why)) => {
                warning = Some(format!("the agent of guest {name} can't be asked: {why}"));
                fell_silent = self.known.silence();
                self.agent.pace.wait(refresh)
            }
            Err(Failure::NotRunning | Failure::NoTimeout) => self.agent.pace.wait(refresh),
        };
        let ask_at = if mem::take(&mut self.agent.again) { now } else { now + wait };
        self.agent.due = Some(ask_at);
        Some(AnswerOutcome { ask_at, changed: changed || fell_silent, fell_silent, warning })
    }
}

/// When something is asked next.
pub(super) struct Schedule {
    pub(super) due: Option<Instant>,
    pub(super) pace: Pace,
    /// It is under way.
    pub(super) asking: bool,
    /// It is to be asked again at once.
    pub(super) again: bool,
}

impl Schedule {
    pub(super) fn new() -> Self {
        Self { due: None, pace: Pace::from(SOON), asking: false, again: false }
    }
}

#[cfg(test)]
mod tests {
    use guest_names::address::Mac;

    use super::*;
    use crate::libvirt::known::Names;
    use crate::libvirt::raw::Interface;
    use crate::libvirt::xml::{DomainXml, NicXml};
    use crate::model::Agent;

    const REFRESH: Duration = Duration::from_secs(60);
    const MAC: Mac = Mac([0x52, 0x54, 0, 0, 0, 1]);

    fn entry() -> Entry {
        let xml = DomainXml {
            id: Some("1"),
            name: "web-vm",
            title: None,
            agent_is_connected: true,
            nics: vec![NicXml { mac: MAC, network: None, bridge: Some("br0") }],
        };
        Entry::new(Description::keep(&xml, &mut Names::default()))
    }

    fn answer(address: &str) -> Result<Answer, Failure> {
        let interfaces = vec![Interface { mac: MAC, addresses: vec![address.parse().unwrap()] }];
        Ok(Answer { host_name: None, interfaces })
    }

    fn hung() -> Result<Answer, Failure> {
        Err(Failure::TimedOut("Guest agent is not responding".into()))
    }

    fn seconds(outcome: &AnswerOutcome, now: Instant) -> f64 {
        (outcome.ask_at - now).as_secs_f64()
    }

    fn is_about(wait: f64, full: f64) -> bool {
        (full * 0.9..=full).contains(&wait)
    }

    #[test]
    fn a_guest_that_boots_is_asked_more_often() {
        let (mut entry, now) = (entry(), Instant::now());
        for full in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] {
            let outcome = entry.take_answer(answer("fe80::5054:ff:fe00:1"), REFRESH, now).unwrap();
            assert!(is_about(seconds(&outcome, now), full), "{full}: {outcome:?}");
        }
    }

    #[test]
    fn one_that_ran_before_is_asked_at_its_interval() {
        let (mut entry, now) = (entry(), Instant::now());
        entry.agent.pace = Pace::spread_over(REFRESH);
        let outcome = entry.take_answer(answer("10.0.0.5"), REFRESH, now).unwrap();
        assert!(outcome.changed && outcome.ask_at <= now + REFRESH);
        let outcome = entry.take_answer(answer("10.0.0.5"), REFRESH, now).unwrap();
        assert!(!outcome.changed && is_about(seconds(&outcome, now), 60.0));
        // One that was, and has no address yet, is booting.
        let mut entry = self::entry();
        entry.agent.pace = Pace::spread_over(REFRESH);
        let outcome = entry.take_answer(answer("fe80::1"), REFRESH, now).unwrap();
        assert!(is_about(seconds(&outcome, now), 1.0));
    }

    #[test]
    fn one_that_hangs_goes_to_the_slow_lane_and_comes_back_when_it_answers() {
        let (mut entry, now) = (entry(), Instant::now());
        assert_eq!(entry.lane(), Lane::Quick { known: false });
        entry.take_answer(answer("10.0.0.5"), REFRESH, now).unwrap();
        assert_eq!(entry.lane(), Lane::Quick { known: true });

        let outcome = entry.take_answer(hung(), REFRESH, now).unwrap();
        assert!(outcome.changed && outcome.fell_silent && outcome.warning.is_some());
        assert_eq!(entry.lane(), Lane::Slow);
        for _ in 0..20 {
            let outcome = entry.take_answer(hung(), REFRESH, now).unwrap();
            assert!(!outcome.changed && outcome.warning.is_none(), "said once");
        }
        let outcome = entry.take_answer(hung(), REFRESH, now).unwrap();
        assert!(is_about(seconds(&outcome, now), HANGING.as_secs_f64()));
        assert_eq!(entry.known.guest([0; 16], &[]).agent, Agent::Silent);

        let outcome = entry.take_answer(answer("10.0.0.5"), REFRESH, now).unwrap();
        assert!(outcome.changed && is_about(seconds(&outcome, now), 60.0));
        assert_eq!(entry.lane(), Lane::Quick { known: true });
    }

    #[test]
    fn a_paused_guest_keeps_what_it_said() {
        let (mut entry, now) = (entry(), Instant::now());
        entry.take_answer(answer("10.0.0.5"), REFRESH, now).unwrap();
        let outcome = entry.take_answer(Err(Failure::NotRunning), REFRESH, now).unwrap();
        assert!(!outcome.changed && outcome.warning.is_none());
        assert_eq!(entry.known.guest([0; 16], &[]).agent, Agent::Answered);
    }

    #[test]
    fn news_while_it_is_asked_have_it_asked_again_at_once() {
        let (mut entry, now) = (entry(), Instant::now());
        entry.agent.again = true;
        assert_eq!(entry.take_answer(answer("10.0.0.5"), REFRESH, now).unwrap().ask_at, now);
        assert!(entry.take_answer(answer("10.0.0.5"), REFRESH, now).unwrap().ask_at > now);
    }

    #[test]
    fn what_comes_after_the_agent_has_left_does_not_count() {
        let (mut entry, now) = (entry(), Instant::now());
        entry.known.description.agent_is_connected = false;
        entry.agent.asking = true;
        assert_eq!(entry.take_answer(answer("10.0.0.5"), REFRESH, now), None);
        assert!(!entry.agent.asking);
        assert!(!entry.known.has_answered());
    }
}
