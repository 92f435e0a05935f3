//! What libvirt has reported, by connection.

mod earlier;
mod guest;

use std::collections::BTreeMap;

use guest_names::address::Mac;

use crate::config;
use crate::model::{ConnectionState, Guest, Network, ReportedBy, Update};
use crate::neighbours::table::{Event, Key, Table};

pub use earlier::EarlierReports;
pub use guest::KnownGuest;

/// A libvirt domain's UUID.
pub type Uuid = [u8; 16];

/// A time in milliseconds of a clock that is never set and has an arbitrary start.
pub type Millis = i64;

/// All connections, in the configuration's order.
#[derive(Debug, Default)]
pub struct Facts {
    /// By [`crate::model::ConnectionId`].
    pub connections: Vec<Connection>,
    /// This host's neighbour table.
    neighbours: Table,
    /// What agents reported to the previous daemon, for guests that haven't been listed yet.
    pub earlier: EarlierReports,
}

/// A connection, and what was reported over it.
#[derive(Debug)]
pub struct Connection {
    /// Its configuration.
    pub settings: config::Connection,
    /// Its state.
    pub state: ConnectionState,
    /// When it entered that state, in seconds since the epoch.
    pub since: i64,
    /// Its networks.
    pub networks: Vec<Network>,
    /// Its running guests.
    pub guests: BTreeMap<Uuid, KnownGuest>,
    /// When the connection went down, if it is down and its guests still count.
    lost: Option<Millis>,
    /// Why guest agents can't be queried, if they can't.
    pub no_agents: Option<String>,
    /// Whether the guests have been listed, or the attempt has failed.
    pub has_listed: bool,
}

/// What an update changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Nothing.
    None,
    /// An agent has repeated its last report. That matters if the report lacks a lease that may have been newer than it.
    Repeated,
    /// Something that affects the snapshot.
    Facts,
}

impl Change {
    fn facts_if(changed: bool) -> Self {
        if changed { Self::Facts } else { Self::None }
    }

    fn of_guest(old: Option<&KnownGuest>, new: &KnownGuest) -> Self {
        match old {
            Some(old) if old.guest != new.guest => Self::Facts,
            Some(_) if new.answered.is_some() => Self::Repeated,
            Some(_) => Self::None,
            None => Self::Facts,
        }
    }
}

impl Facts {
    /// Starts with new `connections`. What `before` knows about a connection that is also among these is kept as if it were
    /// down, except for sources that are no longer configured.
    #[must_use]
    pub fn new(connections: &[config::Connection], before: Self, now: Millis, epoch: i64) -> Self {
        let Self { connections: mut before, neighbours, earlier } = before;
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
            let wants_neighbours = settings.neighbours || settings.config.arp;
            for known in guests.values_mut() {
                if !settings.config.agent {
                    known.forget(ReportedBy::Agent);
                }
                if !settings.config.host_keys {
                    known.guest.host_keys = None;
                }
                if !wants_neighbours {
                    known.forget(ReportedBy::Neighbour);
                }
            }
            Connection {
                settings: settings.clone(),
                state: ConnectionState::Connecting,
                since: epoch,
                networks,
                guests,
                lost,
                no_agents: None,
                has_listed: false,
            }
        });
        Self { connections: connections.collect(), neighbours, earlier }
    }

    /// Applies an update.
    pub fn apply(&mut self, update: Update, now: Millis, epoch: i64) -> Change {
        let (Update::State(id, _)
        | Update::Networks(id, _)
        | Update::Guests(id, _)
        | Update::Guest(id, _)
        | Update::Warning(id, _)
        | Update::Agents(id, _)
        | Update::Gone(id, _)) = update;
        let Some(connection) = self.connections.get_mut(usize::from(id.0)) else {
            return Change::None;
        };
        let (table, earlier) = (&mut self.neighbours, &mut self.earlier);
        match update {
            Update::State(_, state) => Change::facts_if(connection.enter(state, now, epoch)),
            Update::Networks(_, networks) => {
                let changed = connection.networks != networks;
                connection.networks = networks;
                Change::facts_if(changed)
            }
            Update::Guests(_, guests) => {
                connection.has_listed = true;
                let mut before = std::mem::take(&mut connection.guests);
                let mut change = Change::facts_if(before.len() != guests.len());
                for guest in guests {
                    let old = before
                        .remove(&guest.uuid)
                        .or_else(|| earlier.take(&connection.settings, &guest));
                    let known = know(&connection.settings, guest, old.as_ref(), table, now);
                    change = change.max(Change::of_guest(old.as_ref(), &known));
                    connection.guests.insert(known.guest.uuid, known);
                }
                earlier.forget_stopped(&connection.settings);
                change
            }
            Update::Guest(_, guest) => {
                let old = connection.guests.remove(&guest.uuid);
                let old = old.or_else(|| earlier.take(&connection.settings, &guest));
                let known = know(&connection.settings, guest, old.as_ref(), table, now);
                let change = Change::of_guest(old.as_ref(), &known);
                connection.guests.insert(known.guest.uuid, known);
                change
            }
            Update::Warning(..) => Change::None,
            Update::Agents(_, outcome) => {
                let no_agents = outcome.err();
                let changed = connection.no_agents != no_agents;
                connection.no_agents = no_agents;
                Change::facts_if(changed)
            }
            Update::Gone(_, uuid) => Change::facts_if(connection.guests.remove(&uuid).is_some()),
        }
    }

    /// Applies a change of this host's neighbour table.
    pub fn apply_neighbour(&mut self, event: Event, now: Millis, hold: Millis) -> Change {
        let macs = self.neighbours.apply(event, now, hold);
        self.update_neighbours(&macs)
    }

    /// Call this before the kernel lists its whole neighbour table.
    pub fn begin_neighbours(&mut self) {
        self.neighbours.begin_list();
    }

    /// Call this after the kernel has listed its whole neighbour table.
    pub fn end_neighbours(&mut self, now: Millis, hold: Millis) -> Change {
        let macs = self.neighbours.end_list(now, hold);
        self.update_neighbours(&macs)
    }

    /// The addresses that the kernel should now be made to probe.
    pub fn neighbours_to_ask(&mut self, now: Millis, hold: Millis) -> Vec<Key> {
        let here = self.connections.iter().filter(|one| one.settings.neighbours);
        let guests = here.flat_map(|connection| connection.guests.values());
        let is_guests = |mac| guests.clone().any(|known| known.has_nic(mac));
        self.neighbours.to_ask(is_guests, now, hold)
    }

    /// Updates the guests with these MAC addresses, whose neighbour entries have changed.
    fn update_neighbours(&mut self, macs: &[Mac]) -> Change {
        let mut any = false;
        if macs.is_empty() {
            return Change::None;
        }
        for connection in self.connections.iter_mut().filter(|one| one.settings.neighbours) {
            for known in connection.guests.values_mut() {
                if macs.iter().any(|&mac| known.has_nic(mac)) {
                    known.set_neighbours(&self.neighbours);
                    any = true;
                }
            }
        }
        Change::facts_if(any)
    }

    /// Drops what came from connections that have been down for `hold` milliseconds, and from sources that have been silent
    /// for that long (see [`KnownGuest`]). Returns whether there was anything to drop.
    pub fn expire(&mut self, now: Millis, hold: Millis) -> bool {
        self.earlier.expire(now, hold);
        let macs = self.neighbours.expire(now, hold);
        let mut any = self.update_neighbours(&macs) != Change::None;
        for connection in &mut self.connections {
            if connection.lost.is_some_and(|lost| lost + hold <= now) {
                connection.lost = None;
                any |= !(connection.guests.is_empty() && connection.networks.is_empty());
                connection.guests.clear();
                connection.networks.clear();
            }
            for known in connection.guests.values_mut() {
                any |= known.expire(now, hold);
            }
        }
        any
    }

    /// When [`Facts::expire`] next has something to do, if nothing else happens.
    #[must_use]
    pub fn next_expiry(&self, hold: Millis) -> Option<Millis> {
        let since = |connection: &Connection| {
            let silent = connection.guests.values().filter_map(KnownGuest::first_silence);
            silent.chain(connection.lost).min()
        };
        let expiry = self.connections.iter().filter_map(since).min().map(|since| since + hold);
        expiry.into_iter().chain(self.neighbours.due(hold)).min()
    }

    /// Whether every connection has listed its guests, or has failed to.
    #[must_use]
    pub fn are_listed(&self) -> bool {
        self.connections.iter().all(|connection| connection.has_listed)
    }
}

/// Combines a report about a guest with what was known before, and has the addresses of new NICs probed.
fn know(
    settings: &config::Connection,
    guest: Guest,
    old: Option<&KnownGuest>,
    neighbours: &mut Table,
    now: Millis,
) -> KnownGuest {
    if !settings.neighbours {
        return KnownGuest::new(guest, old, None, now);
    }
    for nic in &guest.nics {
        if !old.is_some_and(|old| old.has_nic(nic.mac)) {
            neighbours.ask_about(nic.mac, now);
        }
    }
    KnownGuest::new(guest, old, Some(neighbours), now)
}

impl Connection {
    /// Enters a state. Returns whether that is news: a retry while the connection is down isn't, nor is a retry that fails
    /// with the same reason.
    fn enter(&mut self, state: ConnectionState, now: Millis, epoch: i64) -> bool {
        use ConnectionState::{Connecting, Down, Idle, Up};
        let is_new = match (&self.state, &state) {
            (Down { .. }, Connecting) => return false,
            (Down { reason: old, .. }, Down { reason, .. }) => old != reason,
            (old, new) => old != new,
        };
        match &state {
            Up | Idle => self.lost = None,
            Down { .. } => {
                self.has_listed = true;
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
    use crate::model::{Agent, ConnectionId};

    const ID: ConnectionId = ConnectionId(0);

    fn guest(uuid: u8, name: &str) -> Guest {
        Guest {
            uuid: [uuid; 16],
            name: name.into(),
            title: None,
            host_name: None,
            agent: Agent::Silent,
            host_keys: None,
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
        assert!(!facts.are_listed());
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
            domain_is_local: false,
            subnets: Vec::new(),
            leases: Vec::new(),
        };
        assert_eq!(change(Update::Networks(ID, vec![network.clone()]), 0), Change::Facts);
        assert_eq!(change(Update::Networks(ID, vec![network]), 0), Change::None);
        assert_eq!(facts.connections[0].since, 100);
        assert_eq!(names(&facts), ["b", "d"]);
        assert!(facts.are_listed());
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
        // The connection comes back in time.
        facts.apply(Update::Guests(ID, vec![guest(1, "a")]), 200, 300);
        facts.apply(Update::State(ID, down("gone")), 210, 310);
        facts.apply(Update::State(ID, ConnectionState::Up), 220, 320);
        assert!(!facts.expire(1000, 90));
        assert_eq!(names(&facts), ["a"]);
    }

    /// A new session lists guests before any of their agents has answered.
    #[test]
    fn agents_are_believed_over_a_reload() {
        let mut before = facts();
        let answered = Guest { agent: Agent::Answered, ..guest(1, "a") };
        before.apply(Update::Guest(ID, answered), 0, 100);
        let mut facts = Facts::new(&Config::default().connections, before, 1000, 200);
        facts.apply(Update::State(ID, ConnectionState::Up), 1010, 210);
        assert_eq!(facts.next_expiry(90), None);
        facts.apply(Update::Guests(ID, vec![guest(1, "a")]), 1020, 220);
        assert_eq!(facts.connections[0].guests[&[1; 16]].answered, Some(0));
        assert_eq!(facts.next_expiry(90), Some(1110));
        assert!(!facts.expire(1109, 90));
        assert!(facts.expire(1110, 90));
        assert_eq!(facts.connections[0].guests[&[1; 16]].answered, None);
        assert_eq!(facts.next_expiry(90), None);
    }

    #[test]
    fn reports_of_sources_that_are_no_longer_configured_are_dropped_at_once() {
        let mut before = facts();
        let answered = Guest {
            agent: Agent::Answered,
            host_name: Some("web".into()),
            host_keys: Some(["ssh-rsa AAAA".into()].into()),
            ..guest(1, "a")
        };
        before.apply(Update::Guest(ID, answered), 0, 100);
        let mut settings = Config::default().connections;
        settings[0].config.agent = false;
        settings[0].config.host_keys = false;
        let mut facts = Facts::new(&settings, before, 1000, 200);
        facts.apply(Update::Guests(ID, vec![guest(1, "a")]), 1020, 220);
        let known = &facts.connections[0].guests[&[1; 16]];
        assert_eq!((known.answered, &known.guest.host_name), (None, &None));
        assert_eq!(known.guest.host_keys, None);
    }

    /// The session reports the end of the first run before the second one.
    #[test]
    fn a_restarted_domain_inherits_nothing() {
        let mut facts = facts();
        let answered = Guest { agent: Agent::Answered, ..guest(1, "a") };
        facts.apply(Update::Guest(ID, answered), 0, 100);
        facts.apply(Update::Gone(ID, [1; 16]), 10, 100);
        facts.apply(Update::Guest(ID, guest(1, "a")), 10, 100);
        assert_eq!(facts.connections[0].guests[&[1; 16]].answered, None);
    }

    #[test]
    fn a_reload_keeps_unchanged_connections() {
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
