//! Hosts that publish.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use publish::client::Client;
use publish::journal::Store;
use publish::publisher::{Event, Plan, Publisher};
use publish::record::DnsRecord;
use publish::select::Selected;
use publish::signer::Signer;
use testkit::name_server::{NameServer, REVERSE_ZONE, SECRET, ZONE, key_file};
use testkit::scratch::Scratch;

pub(crate) struct Host {
    name: &'static str,
    directory: Scratch,
    pub(crate) client: Client,
    publisher: Publisher,
    guests: Selected,
    now: Instant,
}

impl Host {
    pub(crate) fn new(name: &'static str, server: &NameServer) -> Self {
        let directory = Scratch::new();
        directory.write("publish.key", key_file("publish", SECRET));
        let client = Client {
            server: "127.0.0.1".into(),
            port: server.port(),
            signer: Signer::Key(directory.join("publish.key")),
            ttl: 60,
        };
        let publisher = Publisher::new(plan(name), Store::new(directory.path()), None);
        Self {
            name,
            directory,
            client,
            publisher,
            guests: Selected::default(),
            now: Instant::now(),
        }
    }

    /// Kills the host's publisher, and starts it again.
    pub(crate) fn restart(&mut self) {
        let store = Store::new(self.directory.path());
        let journal = store.read().unwrap();
        self.publisher = Publisher::new(plan(self.name), store, journal);
    }

    /// Removes its journal, and starts it again.
    pub(crate) fn lose_journal(&mut self) {
        fs::remove_file(Store::new(self.directory.path()).path()).unwrap();
        self.restart();
    }

    pub(crate) fn set_key(&self, name: &str, secret: &str) {
        self.directory.write("publish.key", key_file(name, secret));
    }

    pub(crate) fn remove_key(&self) {
        fs::remove_file(self.directory.join("publish.key")).unwrap();
    }

    pub(crate) fn guests(&mut self, guests: &[(&str, &str)]) -> &mut Self {
        let mut names: BTreeMap<IpAddr, Vec<String>> = BTreeMap::new();
        self.guests.wanted.clear();
        for (name, address) in guests {
            let (name, address): (_, IpAddr) = (format!("{name}.{ZONE}"), address.parse().unwrap());
            names.entry(address).or_default().push(name.clone());
            self.guests.wanted.entry(name).or_default().insert(DnsRecord::from(address));
        }
        self.guests.names = names;
        self
    }

    pub(crate) fn later(&mut self, seconds: u64) -> &mut Self {
        self.now += Duration::from_secs(seconds);
        self
    }

    /// Publishes, and returns what happened in words.
    pub(crate) fn publish(&mut self) -> Vec<String> {
        let events =
            self.publisher.publish(&self.guests, &mut self.client.clone(), self.now).unwrap();
        let text = |event| match event {
            Event::Changed { zone, names } => format!("{zone}: {names} changed"),
            Event::Failed { zone, failure } => format!("{zone}: {}", failure.code()),
            Event::Recovered { zone } => format!("{zone}: recovered"),
            Event::Conflict { name, conflict } => format!("{name}: {conflict:?}"),
        };
        events.into_iter().map(text).collect()
    }

    pub(crate) fn plan(&self) -> Plan {
        plan(self.name)
    }
}

fn plan(host: &str) -> Plan {
    Plan {
        host: host.into(),
        server: "127.0.0.1".into(),
        zone: ZONE.into(),
        reverse_zones: vec![REVERSE_ZONE.into()],
        retry: Duration::from_secs(60),
    }
}

/// Runs a case against each server, all at once.
pub(crate) fn with_each(case: impl Fn(&mut NameServer) + Sync) {
    if !NameServer::are_installed() {
        return;
    }
    std::thread::scope(|scope| {
        for kind in testkit::name_server::Kind::ALL {
            let case = &case;
            let run = move || {
                let mut server = NameServer::start(kind);
                eprintln!("{kind:?} on port {}", server.port());
                case(&mut server);
            };
            let thread = std::thread::Builder::new().name(format!("{kind:?}"));
            thread.spawn_scoped(scope, run).unwrap();
        }
    });
}
