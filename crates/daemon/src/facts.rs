//! What is known from libvirt, by connection.

use std::collections::BTreeMap;

use crate::config;
use crate::model::{Agent, ConnectionState, Guest, Network, Source, Update};

/// A libvirt domain's UUID.
pub type Uuid = [u8; 16];

/// A time in milliseconds of a clock that is never set and has an arbitrary start.
pub type Millis = i64;

/// All connections, in the configuration's order.
#[derive(Debug, Default)]
pub struct Facts {
    /// By [`crate::model::ConnectionId`].
    pub connections: Vec<Connection>,
}

/// A connection, and what was told over it.
#[derive(Debug)]
pub struct Connection {
    /// What the configuration says of it.
    pub settings: config::Connection,
    /// How it does.
    pub state: ConnectionState,
    /// Since when it does so, in seconds since the epoch.
    pub since: i64,
    /// Its networks.
    pub networks: Vec<Network>,
    /// Its running guests.
    pub guests: BTreeMap<Uuid, Known>,
    /// Since when nothing has been heard, as the connection is down.
    lost: Option<Millis>,
    /// Whether all guests have been told once, or it is known that they can't be.
    pub has_spoken: bool,
}

/// A guest, and what is known of it.
#[derive(Debug)]
pub struct Known {
    /// As it was told.
    pub guest: Guest,
    /// When its agent last answered.
    pub answered: Option<Millis>,
    /// Since when what the agent says is that of before the connection was made anew, as it has not answered
    /// since.
    inherited: Option<Millis>,
}

impl Known {
    /// A guest as it was told, and as it was known before.
    fn new(mut guest: Guest, old: Option<&Self>, now: Millis) -> Self {
        guest.nics.shrink_to_fit();
        let answered = (guest.agent == Agent::Answered).then_some(now);
        let mut known = Self { guest, answered, inherited: None };
        if let (Some(old), None) = (old.filter(|old| old.inherited.is_some()), answered) {
            known.inherit(old);
        }
        known
    }

    /// Takes over what the agent said before.
    fn inherit(&mut self, old: &Self) {
        (self.answered, self.inherited) = (old.answered, old.inherited);
        let guest = &mut self.guest;
        guest.host_name = guest.host_name.take().or_else(|| old.guest.host_name.clone());
        for nic in &mut guest.nics {
            let before = old.guest.nics.iter().find(|before| before.mac == nic.mac);
            let told = before.into_iter().flat_map(|before| &before.addresses);
            nic.addresses.extend(told.filter(|told| told.source == Source::Agent).cloned());
        }
    }

    /// Drops what was taken over.
    fn disinherit(&mut self) {
        (self.answered, self.inherited) = (None, None);
        self.guest.host_name = None;
        for nic in &mut self.guest.nics {
            nic.addresses.retain(|told| told.source != Source::Agent);
        }
    }

    fn change(old: Option<&Self>, new: &Self) -> Change {
        match old {
            Some(old) if old.guest == new.guest => {
                if new.answered.is_some() {
                    Change::Repeated
                } else {
                    Change::None
                }
            }
            _ => Change::Facts,
        }
    }
}

/// What an update changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Nothing.
    None,
    /// An agent has said again what it said before: that matters where it leaves out a lease that may have
    /// been younger than its last answer.
    Repeated,
    /// What the snapshot says.
    Facts,
}

impl Change {
    fn facts_if(changed: bool) -> Self {
        if changed { Self::Facts } else { Self::None }
    }
}

impl Facts {
    /// Nothing is known yet of `connections`; of those that `before` has too, what it knows is kept for
    /// as long as it is for one that is down.
    #[must_use]
    pub fn new(connections: &[config::Connection], before: Self, now: Millis, epoch: i64) -> Self {
        let mut before = before.connections;
        let connections = connections.iter().map(|settings| {
            let same = |one: &Connection| {
                let (config, other) = (&one.settings.config, &settings.config);
                (&config.name, &config.uri) == (&other.name, &other.uri)
            };
            let known = before.iter().position(same).map(|at| before.swap_remove(at));
            let (networks, mut guests, lost) = match known {
                Some(known) => (known.networks, known.guests, known.lost.or(Some(now))),
                None => (Vec::new(), BTreeMap::new(), None),
            };
            for known in guests.values_mut().filter(|known| known.answered.is_some()) {
                known.inherited = known.inherited.or(Some(now));
            }
            Connection {
                settings: settings.clone(),
                state: ConnectionState::Connecting,
                since: epoch,
                networks,
                guests,
                lost,
                has_spoken: false,
            }
        });
        Self { connections: connections.collect() }
    }

    /// Takes in what was told.
    pub fn apply(&mut self, update: Update, now: Millis, epoch: i64) -> Change {
        let (Update::State(id, _)
        | Update::Networks(id, _)
        | Update::Guests(id, _)
        | Update::Guest(id, _)
        | Update::Warning(id, _)
        | Update::Gone(id, _)) = update;
        let Some(connection) = self.connections.get_mut(usize::from(id.0)) else {
            return Change::None;
        };
        match update {
            Update::State(_, state) => Change::facts_if(connection.enter(state, now, epoch)),
            Update::Networks(_, networks) => {
                let changed = connection.networks != networks;
                connection.networks = networks;
                Change::facts_if(changed)
            }
            Update::Guests(_, guests) => {
                connection.has_spoken = true;
                let mut before = std::mem::take(&mut connection.guests);
                let mut change = Change::facts_if(before.len() != guests.len());
                for guest in guests {
                    let old = before.remove(&guest.uuid);
                    let known = Known::new(guest, old.as_ref(), now);
                    change = change.max(Known::change(old.as_ref(), &known));
                    connection.guests.insert(known.guest.uuid, known);
                }
                change
            }
            Update::Guest(_, guest) => {
                let old = connection.guests.get(&guest.uuid);
                let known = Known::new(guest, old, now);
                let change = Known::change(old, &known);
                connection.guests.insert(known.guest.uuid, known);
                change
            }
            Update::Warning(..) => Change::None,
            Update::Gone(_, uuid) => Change::facts_if(connection.guests.remove(&uuid).is_some()),
        }
    }

    /// Drops what was told over connections that are down for `hold` milliseconds, and what agents said that
    /// have been silent so long since their connection was made anew. Whether there was anything.
    pub fn expire(&mut self, now: Millis, hold: Millis) -> bool {
        let mut any = false;
        for connection in &mut self.connections {
            if connection.lost.is_some_and(|lost| lost + hold <= now) {
                connection.lost = None;
                any |= !(connection.guests.is_empty() && connection.networks.is_empty());
                connection.guests.clear();
                connection.networks.clear();
            }
            let old = |known: &&mut Known| known.inherited.is_some_and(|since| since + hold <= now);
            for known in connection.guests.values_mut().filter(old) {
                known.disinherit();
                any = true;
            }
        }
        any
    }

    /// When [`Facts::expire`] has something to do, if nothing else happens.
    #[must_use]
    pub fn next_expiry(&self, hold: Millis) -> Option<Millis> {
        let since = |connection: &Connection| {
            let inherited = connection.guests.values().filter_map(|known| known.inherited);
            inherited.chain(connection.lost).min()
        };
        self.connections.iter().filter_map(since).min().map(|since| since + hold)
    }

    /// Whether of each connection it is known which guests there are, or that it can't be told.
    #[must_use]
    pub fn are_told(&self) -> bool {
        self.connections.iter().all(|connection| connection.has_spoken)
    }
}

impl Connection {
    /// Takes in how it does. Whether that is anything new: a try to get out of being down isn't, nor one that
    /// failed as the last one did.
    fn enter(&mut self, state: ConnectionState, now: Millis, epoch: i64) -> bool {
        use ConnectionState::{Connecting, Down, Up};
        let is_new = match (&self.state, &state) {
            (Down { .. }, Connecting) => return false,
            (Down { reason: old, .. }, Down { reason, .. }) => old != reason,
            (old, new) => old != new,
        };
        match &state {
            Up => self.lost = None,
            Down { .. } => {
                self.has_spoken = true;
                self.lost = self.lost.or(Some(now));
            }
            Connecting => {}
        }
        if std::mem::discriminant(&self.state) != std::mem::discriminant(&state) {
            self.since = epoch;
        }
        self.state = state;
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::model::{ConnectionId, Nic, Told};
    use guest_names::address::Mac;

    const ID: ConnectionId = ConnectionId(0);

    fn guest(uuid: u8, name: &str) -> Guest {
        Guest {
            uuid: [uuid; 16],
            name: name.into(),
            title: None,
            host_name: None,
            agent: Agent::Silent,
            nics: Vec::new(),
        }
    }

    fn facts() -> Facts {
        Facts::new(&Config::default().connections, Facts::default(), 0, 0)
    }

    fn names(facts: &Facts) -> Vec<&str> {
        facts.connections[0].guests.values().map(|known| known.guest.name.as_str()).collect()
    }

    fn down(reason: &str) -> ConnectionState {
        ConnectionState::Down { reason: reason.into(), retry_in: 1 }
    }

    #[test]
    fn updates() {
        let mut facts = facts();
        assert!(!facts.are_told());
        let mut change = |update, epoch| facts.apply(update, 1, epoch);
        assert_eq!(change(Update::State(ID, ConnectionState::Up), 100), Change::Facts);
        assert_eq!(change(Update::State(ID, ConnectionState::Up), 101), Change::None);
        let both = || Update::Guests(ID, vec![guest(2, "b"), guest(1, "a")]);
        assert_eq!(change(both(), 0), Change::Facts);
        assert_eq!(change(both(), 0), Change::None);
        assert_eq!(change(Update::Guest(ID, guest(3, "c")), 0), Change::Facts);
        assert_eq!(change(Update::Guest(ID, guest(3, "c")), 0), Change::None);
        assert_eq!(change(Update::Guest(ID, guest(3, "d")), 0), Change::Facts);
        assert_eq!(change(Update::Gone(ID, [1; 16]), 0), Change::Facts);
        assert_eq!(change(Update::Gone(ID, [1; 16]), 0), Change::None);
        assert_eq!(change(Update::Gone(ConnectionId(9), [3; 16]), 0), Change::None);
        let network = Network {
            name: "n".into(),
            bridge: None,
            domain: None,
            routed: false,
            leases: Vec::new(),
        };
        assert_eq!(change(Update::Networks(ID, vec![network.clone()]), 0), Change::Facts);
        assert_eq!(change(Update::Networks(ID, vec![network]), 0), Change::None);
        assert_eq!(facts.connections[0].since, 100);
        assert_eq!(names(&facts), ["b", "d"]);
        assert!(facts.are_told());
        assert_eq!(facts.apply(Update::Guests(ID, vec![guest(3, "d")]), 1, 0), Change::Facts);
        assert_eq!(names(&facts), ["d"]);
    }

    #[test]
    fn an_agent_that_repeats_itself() {
        let mut facts = facts();
        let answered = Guest { agent: Agent::Answered, ..guest(1, "a") };
        assert_eq!(facts.apply(Update::Guest(ID, answered.clone()), 1, 0), Change::Facts);
        assert_eq!(facts.apply(Update::Guest(ID, answered), 2, 0), Change::Repeated);
        assert_eq!(facts.connections[0].guests[&[1; 16]].answered, Some(2));
    }

    #[test]
    fn a_connection_that_is_down() {
        let mut facts = facts();
        facts.apply(Update::State(ID, ConnectionState::Up), 0, 100);
        facts.apply(Update::Guests(ID, vec![guest(1, "a")]), 0, 100);
        assert_eq!(facts.next_expiry(90), None);
        let mut enter = |state, now, epoch| facts.apply(Update::State(ID, state), now, epoch);
        assert_eq!(enter(down("gone"), 10, 110), Change::Facts);
        assert_eq!(enter(ConnectionState::Connecting, 20, 120), Change::None);
        let again = ConnectionState::Down { reason: "gone".into(), retry_in: 2 };
        assert_eq!(enter(again, 25, 125), Change::None);
        assert_eq!(enter(down("still"), 30, 130), Change::Facts);
        assert_eq!(facts.connections[0].since, 110);
        assert_eq!(facts.next_expiry(90), Some(100));
        assert!(!facts.expire(99, 90));
        assert_eq!(names(&facts), ["a"]);
        assert!(facts.expire(100, 90));
        assert_eq!(names(&facts), [""; 0]);
        assert_eq!(facts.next_expiry(90), None);
        // It came back before that.
        facts.apply(Update::Guests(ID, vec![guest(1, "a")]), 200, 300);
        facts.apply(Update::State(ID, down("gone")), 210, 310);
        facts.apply(Update::State(ID, ConnectionState::Up), 220, 320);
        assert!(!facts.expire(1000, 90));
        assert_eq!(names(&facts), ["a"]);
    }

    /// A guest with one NIC, as it is told by whom.
    fn told(agent: Agent, addresses: &[(&str, Source)]) -> Guest {
        let told = |&(address, source): &(&str, Source)| Told {
            address: address.parse().unwrap(),
            source,
            expiry: 0,
        };
        let nic = Nic {
            mac: Mac([2; 6]),
            network: None,
            bridge: None,
            addresses: addresses.iter().map(told).collect(),
        };
        let host_name = (agent == Agent::Answered).then(|| "web".into());
        Guest { agent, host_name, nics: vec![nic], ..guest(1, "a") }
    }

    fn addresses(facts: &Facts) -> (Option<&str>, Vec<String>) {
        let guest = &facts.connections[0].guests[&[1; 16]].guest;
        let told = guest.nics.iter().flat_map(|nic| &nic.addresses);
        (guest.host_name.as_deref(), told.map(|told| told.address.to_string()).collect())
    }

    /// The first lists of a new session come before any agent has answered it.
    #[test]
    fn agents_are_believed_until_they_answer_the_new_session() {
        let said = |agent| Update::Guest(ID, told(agent, &[("10.0.0.1", Source::Agent)]));
        let listed = || Update::Guests(ID, vec![told(Agent::Silent, &[("10.0.0.9", Source::Arp)])]);
        let both = (Some("web"), vec!["10.0.0.9".to_owned(), "10.0.0.1".to_owned()]);
        let reloaded = || {
            let mut before = facts();
            before.apply(said(Agent::Answered), 0, 100);
            let mut facts = Facts::new(&Config::default().connections, before, 1000, 200);
            facts.apply(Update::State(ID, ConnectionState::Up), 1010, 210);
            facts.apply(listed(), 1020, 220);
            facts
        };
        let mut facts = reloaded();
        assert_eq!(addresses(&facts), both);
        assert_eq!(facts.connections[0].guests[&[1; 16]].answered, Some(0));
        facts.apply(Update::Guest(ID, told(Agent::Silent, &[])), 1030, 230);
        assert_eq!(addresses(&facts), (Some("web"), vec!["10.0.0.1".to_owned()]));
        // It answers.
        let other = told(Agent::Answered, &[("10.0.0.2", Source::Agent)]);
        facts.apply(Update::Guest(ID, other), 1040, 240);
        assert_eq!(addresses(&facts), (Some("web"), vec!["10.0.0.2".to_owned()]));
        assert_eq!(facts.next_expiry(90), None);
        // It doesn't.
        let mut facts = reloaded();
        assert_eq!(facts.next_expiry(90), Some(1090));
        assert!(!facts.expire(1089, 90));
        assert!(facts.expire(1090, 90));
        assert_eq!(addresses(&facts), (None, vec!["10.0.0.9".to_owned()]));
        assert_eq!(facts.next_expiry(90), None);
        // Without a new session a silent agent has no say.
        let mut facts = self::facts();
        facts.apply(said(Agent::Answered), 0, 100);
        facts.apply(listed(), 10, 100);
        assert_eq!(addresses(&facts), (None, vec!["10.0.0.9".to_owned()]));
    }

    #[test]
    fn another_configuration() {
        let mut before = facts();
        before.apply(Update::State(ID, ConnectionState::Up), 0, 100);
        before.apply(Update::Guests(ID, vec![guest(1, "a")]), 0, 100);
        let mut settings = Config::default().connections;
        let mut other = settings[0].clone();
        other.config.name = "other".into();
        settings.insert(0, other);
        settings[1].config.id = ConnectionId(1);
        let mut facts = Facts::new(&settings, before, 1000, 200);
        assert_eq!(facts.connections[0].guests.len(), 0);
        assert_eq!(facts.connections[1].guests.len(), 1);
        assert_eq!(facts.next_expiry(90), Some(1090));
        assert!(facts.expire(1090, 90));
    }
}
