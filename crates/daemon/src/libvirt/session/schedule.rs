//! When each guest is queried.

use std::mem;
use std::time::{Duration, Instant};

use super::SOON;
use crate::libvirt::agent::{Answer, Failure, Lane, Questions};
use crate::libvirt::error::one_line;
use crate::libvirt::guest::{Description, SessionGuest};
use crate::libvirt::host_keys::HostKeys;
use crate::libvirt::pace::Pace;

/// The longest time until an agent that hangs is queried again.
const HANGING: Duration = Duration::from_secs(600);

/// The longest time until host keys are read again. The guest's administrator may replace them, and no event reports that.
const HOST_KEYS: Duration = Duration::from_secs(600);

pub(super) type Uuid = [u8; 16];

/// A scheduled task. A guest's task only runs if the guest's schedule still has that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    AskAgent(Uuid),
    AskArp(Uuid),
    Networks,
    Guests,
    OpenAgents,
}

/// A running guest, and when to query it again.
pub(super) struct Entry {
    pub(super) known: SessionGuest,
    pub(super) agent: Schedule,
    pub(super) arp: Schedule,
    /// How many queries in a row the agent did not answer in time.
    pub(super) timeouts: u32,
    /// Whether the last query was refused. That is logged only once.
    pub(super) is_refused: bool,
    /// When to read the host keys; `None`: at once. In a guest's first minutes they are read more often, since its agent may
    /// start before it has generated them.
    pub(super) host_keys_due: Option<Instant>,
    host_keys_pace: Pace,
}

/// The outcome of querying an agent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AnswerOutcome {
    /// When to query it again.
    pub(super) ask_at: Instant,
    /// Whether anything about the guest has changed.
    pub(super) changed: bool,
    /// Whether the agent answered before, and no longer does.
    pub(super) fell_silent: bool,
    /// A log message.
    pub(super) warning: Option<String>,
}

impl Entry {
    pub(super) fn new(description: Description) -> Self {
        Self {
            known: SessionGuest::new(description),
            agent: Schedule::new(),
            arp: Schedule::new(),
            timeouts: 0,
            is_refused: false,
            host_keys_due: None,
            host_keys_pace: Pace::from(SOON),
        }
    }

    /// Call this when the agent has started: the host keys may have changed.
    pub(super) fn read_host_keys_again(&mut self) {
        self.host_keys_due = None;
        self.host_keys_pace = Pace::from(SOON);
    }

    /// What to query now. `wants_host_keys`: whether the connection's configuration asks for host keys. The first query is only
    /// for addresses, so that no guest's addresses wait for other guests' keys.
    pub(super) fn questions(&self, wants_host_keys: bool, now: Instant) -> Questions {
        let is_due = self.host_keys_due.is_none_or(|due| due <= now);
        Questions { host_keys: wants_host_keys && is_due && self.known.answers() }
    }

    /// Schedules the next read of the host keys. Returns a log message if the first read failed.
    fn take_host_keys(&mut self, read: &HostKeys, now: Instant) -> Option<String> {
        let failed = match read {
            HostKeys::NotAsked => return None,
            HostKeys::Read(_) => None,
            HostKeys::Failed(why) => Some(why),
        };
        let is_first = self.host_keys_due.is_none();
        self.host_keys_due = Some(now + self.host_keys_pace.wait(HOST_KEYS));
        let name = one_line(self.known.description.name());
        failed
            .filter(|_| is_first)
            .map(|why| format!("cannot read the SSH host keys of guest {name}: {why}"))
    }

    /// The lane in which to query the agent.
    pub(super) fn lane(&self) -> Lane {
        match self.timeouts {
            0 => Lane::Quick { known: self.known.has_answered() },
            _ => Lane::Slow,
        }
    }

    /// Stores the result of querying the agent. `None` if the agent has closed its end of the channel in the meantime, so that
    /// it isn't queried again.
    pub(super) fn take_answer(
        &mut self,
        answer: Result<Answer, Failure>,
        wants_host_keys: bool,
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
                warning = self.take_host_keys(&answer.host_keys, now);
                // Queue the guest again for its keys, after the addresses of the others.
                let is_unread = wants_host_keys && self.host_keys_due.is_none();
                self.agent.again |= is_unread;
                if self.timeouts > 0 {
                    self.agent.pace = Pace::from(refresh);
                } else if is_first && !self.known.has_agent_addresses() {
                    // The guest is still booting.
                    self.agent.pace = Pace::from(SOON);
                }
                (self.timeouts, self.is_refused) = (0, false);
                let wait = self.agent.pace.wait(refresh);
                // The guest may be about to generate them.
                let hurry = self.known.is_without_host_keys().then_some(self.host_keys_due);
                let until_due = hurry.flatten().map(|due| due.saturating_duration_since(now));
                until_due.map_or(wait, |until_due| until_due.min(wait))
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
                if !mem::replace(&mut self.is_refused, true) {
                    warning = Some(format!("cannot query the agent of guest {name}: {why}"));
                }
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

/// When a source is queried next.
pub(super) struct Schedule {
    pub(super) due: Option<Instant>,
    pub(super) pace: Pace,
    /// Whether a query is under way.
    pub(super) asking: bool,
    /// Whether to query again as soon as the current query ends.
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
    use crate::libvirt::guest::SharedNames;
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
        Entry::new(Description::keep(&xml, &mut SharedNames::default()))
    }

    fn answer(address: &str) -> Result<Answer, Failure> {
        let interfaces = vec![Interface { mac: MAC, addresses: vec![address.parse().unwrap()] }];
        Ok(Answer { host_name: None, interfaces, host_keys: HostKeys::NotAsked })
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
    fn a_booting_guest_is_queried_more_often() {
        let (mut entry, now) = (entry(), Instant::now());
        for full in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] {
            let outcome =
                entry.take_answer(answer("fe80::5054:ff:fe00:1"), false, REFRESH, now).unwrap();
            assert!(is_about(seconds(&outcome, now), full), "{full}: {outcome:?}");
        }
    }

    #[test]
    fn a_guest_that_was_already_running_is_queried_at_its_interval() {
        let (mut entry, now) = (entry(), Instant::now());
        entry.agent.pace = Pace::spread_over(REFRESH);
        let outcome = entry.take_answer(answer("10.0.0.5"), false, REFRESH, now).unwrap();
        assert!(outcome.changed && outcome.ask_at <= now + REFRESH);
        let outcome = entry.take_answer(answer("10.0.0.5"), false, REFRESH, now).unwrap();
        assert!(!outcome.changed && is_about(seconds(&outcome, now), 60.0));
        // A guest without an address after that is booting.
        let mut entry = self::entry();
        entry.agent.pace = Pace::spread_over(REFRESH);
        let outcome = entry.take_answer(answer("fe80::1"), false, REFRESH, now).unwrap();
        assert!(is_about(seconds(&outcome, now), 1.0));
    }

    #[test]
    fn an_agent_that_hangs_is_in_the_slow_lane_until_it_answers() {
        let (mut entry, now) = (entry(), Instant::now());
        assert_eq!(entry.lane(), Lane::Quick { known: false });
        entry.take_answer(answer("10.0.0.5"), false, REFRESH, now).unwrap();
        assert_eq!(entry.lane(), Lane::Quick { known: true });

        let outcome = entry.take_answer(hung(), false, REFRESH, now).unwrap();
        assert!(outcome.changed && outcome.fell_silent && outcome.warning.is_some());
        assert_eq!(entry.lane(), Lane::Slow);
        for _ in 0..20 {
            let outcome = entry.take_answer(hung(), false, REFRESH, now).unwrap();
            assert!(!outcome.changed && outcome.warning.is_none(), "reported only once");
        }
        let outcome = entry.take_answer(hung(), false, REFRESH, now).unwrap();
        assert!(is_about(seconds(&outcome, now), HANGING.as_secs_f64()));
        assert_eq!(entry.known.guest([0; 16], &[]).agent, Agent::Silent);

        let outcome = entry.take_answer(answer("10.0.0.5"), false, REFRESH, now).unwrap();
        assert!(outcome.changed && is_about(seconds(&outcome, now), 60.0));
        assert_eq!(entry.lane(), Lane::Quick { known: true });
    }

    /// With many guests, the session doesn't remember all warnings.
    #[test]
    fn a_refusal_is_reported_once() {
        let (mut entry, now) = (entry(), Instant::now());
        let mut warning = |answer| entry.take_answer(answer, false, REFRESH, now).unwrap().warning;
        let refused = || Err(Failure::Refused("disabled".into()));
        let expected = "cannot query the agent of guest web-vm: disabled";
        assert_eq!(warning(refused()).as_deref(), Some(expected));
        assert_eq!(warning(refused()), None);
        assert_eq!(warning(answer("10.0.0.5")), None);
        assert_eq!(warning(refused()).as_deref(), Some(expected));
    }

    #[test]
    fn host_keys_are_read_after_the_addresses_and_then_rarely() {
        let (mut entry, now) = (entry(), Instant::now());
        let mut later = now;
        let take = |entry: &mut Entry, host_keys, now: Instant| {
            let answer = answer("10.0.0.5").map(|answer| Answer { host_keys, ..answer });
            entry.take_answer(answer, true, REFRESH, now).unwrap()
        };
        let asks = |entry: &Entry, now| entry.questions(true, now).host_keys;
        assert!(!asks(&entry, now), "addresses come first");
        assert_eq!(take(&mut entry, HostKeys::NotAsked, now).ask_at, now, "keys follow at once");
        assert!(asks(&entry, now) && !entry.questions(false, now).host_keys);
        let keys = || HostKeys::Read(vec!["ssh-rsa AAAA".into()]);
        assert!(take(&mut entry, keys(), now).ask_at > now);
        for full in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600] {
            assert!(!asks(&entry, later + Duration::from_millis(full * 899)), "{full}");
            later += Duration::from_secs(full);
            assert!(asks(&entry, later), "{full}");
            take(&mut entry, keys(), later);
        }
        entry.read_host_keys_again();
        assert!(asks(&entry, later), "the agent has restarted");
    }

    #[test]
    fn a_guest_without_host_keys_is_queried_again_soon() {
        let (mut entry, now) = (entry(), Instant::now());
        let mut wait = |host_keys| {
            let answer = answer("10.0.0.5").map(|answer| Answer { host_keys, ..answer });
            let outcome = entry.take_answer(answer, true, REFRESH, now).unwrap();
            (seconds(&outcome, now), outcome.warning)
        };
        wait(HostKeys::NotAsked);
        assert!(is_about(wait(HostKeys::Read(Vec::new())).0, 1.0));
        assert!(is_about(wait(HostKeys::Read(Vec::new())).0, 2.0));
        for _ in 0..8 {
            wait(HostKeys::Read(Vec::new()));
        }
        assert!(is_about(wait(HostKeys::Read(Vec::new())).0, 60.0));
    }

    #[test]
    fn host_keys_that_cannot_be_read_are_reported_once() {
        let (mut entry, now) = (entry(), Instant::now());
        let mut warning = |host_keys| {
            let answer = answer("10.0.0.5").map(|answer| Answer { host_keys, ..answer });
            entry.take_answer(answer, true, REFRESH, now).unwrap().warning
        };
        let failed = || HostKeys::Failed("disabled".into());
        assert_eq!(warning(HostKeys::NotAsked), None);
        let expected = "cannot read the SSH host keys of guest web-vm: disabled";
        assert_eq!(warning(failed()).as_deref(), Some(expected));
        assert_eq!(warning(failed()), None);
    }

    #[test]
    fn a_paused_guest_keeps_its_last_answer() {
        let (mut entry, now) = (entry(), Instant::now());
        entry.take_answer(answer("10.0.0.5"), false, REFRESH, now).unwrap();
        let outcome = entry.take_answer(Err(Failure::NotRunning), false, REFRESH, now).unwrap();
        assert!(!outcome.changed && outcome.warning.is_none());
        assert_eq!(entry.known.guest([0; 16], &[]).agent, Agent::Answered);
    }

    #[test]
    fn a_change_during_a_query_causes_another_query_at_once() {
        let (mut entry, now) = (entry(), Instant::now());
        entry.agent.again = true;
        assert_eq!(entry.take_answer(answer("10.0.0.5"), false, REFRESH, now).unwrap().ask_at, now);
        assert!(entry.take_answer(answer("10.0.0.5"), false, REFRESH, now).unwrap().ask_at > now);
    }

    #[test]
    fn answers_after_the_agent_disconnected_are_ignored() {
        let (mut entry, now) = (entry(), Instant::now());
        entry.known.description.agent_is_connected = false;
        entry.agent.asking = true;
        assert_eq!(entry.take_answer(answer("10.0.0.5"), false, REFRESH, now), None);
        assert!(!entry.agent.asking);
        assert!(!entry.known.has_answered());
    }
}
