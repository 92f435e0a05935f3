//! One guest that is waited for.

use std::net::IpAddr;
use std::time::Instant;

use guest_names::candidate::Candidate;

use super::attempt::{self, Outcome};
use crate::lookup;

/// A name, and how far it has come.
pub(crate) struct Target {
    pub(crate) name: String,
    /// The addresses that it has, best first.
    addresses: Vec<Endpoint>,
    /// Why it has no address.
    absence: String,
    ready: Option<Ready>,
}

/// What is printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) address: IpAddr,
    /// As programs take it, with its scope where it needs one.
    pub(crate) text: String,
}

/// An address of the guest.
struct Endpoint {
    address: IpAddr,
    text: String,
    bridge: Option<String>,
    port: Port,
}

/// What is known of an address's port.
enum Port {
    /// An attempt is under way.
    Trying { failures: u32 },
    /// The last attempts failed.
    Closed { failures: u32, again: Instant, why: String },
}

/// What to start now.
pub(crate) struct Attempt {
    pub(crate) address: IpAddr,
    pub(crate) bridge: Option<String>,
}

impl Target {
    pub(crate) fn new(name: String) -> Self {
        Self { name, addresses: Vec::new(), absence: String::new(), ready: None }
    }

    pub(crate) fn ready(&self) -> Option<&Ready> {
        self.ready.as_ref()
    }

    pub(crate) fn has_address(&self) -> bool {
        !self.addresses.is_empty()
    }

    /// Takes in what a look-up gave. Without a port to wait for, an address is all that is needed.
    /// Gives the attempts to start: new addresses are tried at once, and so are those that failed, as
    /// something has changed.
    pub(crate) fn looked_up(
        &mut self,
        candidates: &[Candidate],
        absence: String,
        for_port: bool,
    ) -> Vec<Attempt> {
        self.absence = absence;
        let mut old = std::mem::take(&mut self.addresses);
        let mut attempts = Vec::new();
        for candidate in candidates {
            let address = lookup::address_of(candidate);
            let bridge = lookup::bridge(candidate);
            let endpoint = old.iter().position(|endpoint| endpoint.address == address);
            let mut endpoint = match endpoint.map(|at| old.swap_remove(at)) {
                Some(endpoint) => endpoint,
                None => {
                    attempts.push(Attempt { address, bridge: bridge.clone() });
                    let text = lookup::address_text(candidate);
                    Endpoint { address, text, bridge, port: Port::Trying { failures: 0 } }
                }
            };
            if let Port::Closed { .. } = endpoint.port {
                attempts.push(endpoint.try_again());
            }
            self.addresses.push(endpoint);
        }
        if !for_port {
            self.ready = self.addresses.first().map(Endpoint::ready);
            attempts.clear();
        }
        attempts
    }

    /// Takes in how an attempt ended.
    pub(crate) fn tried(&mut self, outcome: &Outcome, now: Instant) {
        let endpoint =
            self.addresses.iter_mut().find(|endpoint| endpoint.address == outcome.address);
        // The lease may have gone in the meantime.
        let Some(endpoint) = endpoint else { return };
        let Port::Trying { failures } = endpoint.port else { return };
        match &outcome.connected {
            Ok(()) => self.ready = Some(endpoint.ready()),
            Err(why) => {
                let failures = failures.saturating_add(1);
                let again = now + attempt::pause(failures);
                endpoint.port = Port::Closed { failures, again, why: why.clone() };
            }
        }
    }

    /// When the next attempt is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        let closed = self.addresses.iter().filter_map(|endpoint| match endpoint.port {
            Port::Closed { again, .. } => Some(again),
            Port::Trying { .. } => None,
        });
        closed.min().filter(|_| self.ready.is_none())
    }

    /// The attempts that are due.
    pub(crate) fn due_attempts(&mut self, now: Instant) -> Vec<Attempt> {
        let is_due = |endpoint: &&mut Endpoint| match endpoint.port {
            Port::Closed { again, .. } => again <= now,
            Port::Trying { .. } => false,
        };
        self.addresses.iter_mut().filter(is_due).map(Endpoint::try_again).collect()
    }

    /// What it never came to, for people.
    pub(crate) fn timed_out(&self, port: Option<u16>) -> String {
        let name = &self.name;
        let Some(endpoint) = self.addresses.first() else {
            return format!("timed out waiting for {name} to get an address: {}", self.absence);
        };
        let (text, port) = (&endpoint.text, port.unwrap_or_default());
        let why = match &endpoint.port {
            Port::Closed { why, .. } => why,
            Port::Trying { .. } => "no answer yet",
        };
        format!("timed out waiting for port {port} of {name} ({text}): {why}")
    }

    /// What it waits for, for people.
    pub(crate) fn state(&self, port: Option<u16>) -> String {
        let name = &self.name;
        let port = port.unwrap_or_default();
        match (self.ready(), self.addresses.first()) {
            (Some(ready), _) => format!("{name} is ready at {}", ready.text),
            (None, None) => format!("{name} has no address yet: {}", self.absence),
            (None, Some(endpoint)) => {
                let text = &endpoint.text;
                match &endpoint.port {
                    Port::Closed { why, .. } => format!("{name} is {text}, port {port}: {why}"),
                    Port::Trying { .. } => format!("{name} is {text}, trying port {port}"),
                }
            }
        }
    }
}

impl Endpoint {
    fn ready(&self) -> Ready {
        Ready { address: self.address, text: self.text.clone() }
    }

    fn try_again(&mut self) -> Attempt {
        let failures = match self.port {
            Port::Closed { failures, .. } | Port::Trying { failures } => failures,
        };
        self.port = Port::Trying { failures };
        Attempt { address: self.address, bridge: self.bridge.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use guest_names::address::Address;
    use std::time::Duration;

    fn candidates(last: &[u8]) -> Vec<Candidate> {
        let candidate = |&last: &u8| {
            let mut candidate = Candidate::EMPTY;
            candidate.address = Some(Address::V4([10, 0, 0, last]));
            candidate
        };
        last.iter().map(candidate).collect()
    }

    fn outcome(last: u8, connected: Result<(), &str>) -> Outcome {
        let address = IpAddr::from([10, 0, 0, last]);
        Outcome { target: 0, address, connected: connected.map_err(str::to_owned) }
    }

    fn tried(attempts: &[Attempt]) -> Vec<String> {
        attempts.iter().map(|attempt| attempt.address.to_string()).collect()
    }

    #[test]
    fn an_address_is_enough_without_a_port() {
        let mut target = Target::new("web".into());
        assert!(target.looked_up(&[], String::new(), false).is_empty());
        assert_eq!((target.ready(), target.has_address()), (None, false));
        assert!(target.looked_up(&candidates(&[7, 8]), String::new(), false).is_empty());
        assert_eq!(target.ready().unwrap().text, "10.0.0.7");
    }

    #[test]
    fn a_port_is_tried_on_changes_and_after_pauses() {
        let now = Instant::now();
        let mut target = Target::new("web".into());
        assert_eq!(tried(&target.looked_up(&candidates(&[7]), String::new(), true)), ["10.0.0.7"]);
        assert_eq!(target.due(), None);
        target.tried(&outcome(7, Err("refused")), now);
        assert_eq!(target.state(Some(22)), "web is 10.0.0.7, port 22: refused");
        assert_eq!(target.due(), Some(now + Duration::from_millis(100)));
        assert!(target.due_attempts(now).is_empty());
        let later = now + Duration::from_millis(100);
        assert_eq!(tried(&target.due_attempts(later)), ["10.0.0.7"]);
        assert!(target.due_attempts(later).is_empty());
        target.tried(&outcome(7, Err("refused")), later);
        assert_eq!(target.due(), Some(later + Duration::from_millis(200)));
        // A change: the new address and the one that failed, not waiting for its time.
        assert_eq!(
            tried(&target.looked_up(&candidates(&[9, 7]), String::new(), true)),
            ["10.0.0.9", "10.0.0.7"]
        );
        // While an attempt is under way a change starts no other.
        assert!(target.looked_up(&candidates(&[7, 9]), String::new(), true).is_empty());
        target.tried(&outcome(9, Ok(())), later);
        assert_eq!(target.ready().unwrap().text, "10.0.0.9");
        assert_eq!(target.due(), None);
    }

    #[test]
    fn what_is_gone_no_longer_counts() {
        let now = Instant::now();
        let mut target = Target::new("web".into());
        target.looked_up(&candidates(&[7]), String::new(), true);
        target.looked_up(&[], "gone".into(), true);
        target.tried(&outcome(7, Ok(())), now);
        assert_eq!(target.ready(), None);
        assert_eq!(target.state(None), "web has no address yet: gone");
    }
}
