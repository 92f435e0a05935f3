//! A zone that follows the rules of RFC 2136. It executes the lines that nsupdate(1) would get.

use std::collections::{BTreeMap, BTreeSet};

use publish::failure::Failure;
use publish::record::{owner_name, owner_of};
use publish::update::Message;
use publish::zone::{Answer, Seen, Server};

/// A record's type and data, as in a zone file.
pub(crate) type Data = (String, String);

/// A zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dns {
    pub(crate) names: BTreeMap<String, BTreeSet<Data>>,
    pub(crate) serial: u32,
}

/// What happens to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// The answer is lost.
    AnswerLost,
    /// The message is lost.
    MessageLost,
    /// The server refuses.
    Refused,
}

fn words(line: &str, count: usize) -> Vec<&str> {
    line.splitn(count, ' ').collect()
}

fn name(word: &str) -> String {
    word.strip_suffix('.').expect("an absolute name").to_owned()
}

impl Dns {
    pub(crate) fn has(&self, name: &str, kind: &str, data: &str) -> bool {
        self.names.get(name).is_some_and(|all| all.contains(&(kind.into(), data.into())))
    }

    pub(crate) fn add(&mut self, name: &str, kind: &str, data: &str) {
        self.names.entry(name.into()).or_default().insert((kind.into(), data.into()));
        self.serial += 1;
    }

    pub(crate) fn delete(&mut self, name: &str, kind: &str, data: &str) {
        if let Some(all) = self.names.get_mut(name) {
            all.remove(&(kind.into(), data.into()));
            if all.is_empty() {
                self.names.remove(name);
            }
        }
        self.serial += 1;
    }

    /// The host in the ownership record.
    pub(crate) fn owner(&self, name: &str) -> Option<String> {
        let all = self.names.get(&owner_name(name))?;
        let mut owners = all.iter().filter_map(|(_, data)| owner_of(data));
        let owner = owners.next().map(str::to_owned);
        assert_eq!(owners.next(), None, "two owners of {name}");
        owner
    }

    /// Executes a message, completely or not at all.
    pub(crate) fn execute(&mut self, script: &str) -> Answer {
        let mut expected: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
        let mut after = self.clone();
        let mut sent = false;
        for line in script.lines() {
            assert!(!sent, "something follows 'send'");
            match words(line, 3)[..] {
                ["zone", _] => {}
                ["send"] => sent = true,
                ["prereq", "nxdomain", absent] => {
                    if self.names.contains_key(&name(absent)) {
                        return Answer::Unmet;
                    }
                }
                ["prereq", "yxrrset", rest] => {
                    let [owner, kind, data] = words(rest, 3)[..] else { panic!("{line}") };
                    expected.entry((name(owner), kind.into())).or_default().insert(data.into());
                }
                ["update", "delete", rest] => {
                    let [owner, kind, data] = words(rest, 3)[..] else { panic!("{line}") };
                    if after.has(&name(owner), kind, data) {
                        after.delete(&name(owner), kind, data);
                    }
                }
                ["update", "add", rest] => {
                    let [owner, ttl, kind, data] = words(rest, 4)[..] else { panic!("{line}") };
                    assert!(ttl.parse::<u32>().is_ok(), "{line}");
                    after.add(&name(owner), kind, data);
                }
                _ => panic!("{line}"),
            }
        }
        assert!(sent, "nothing was sent");
        for ((owner, kind), data) in expected {
            let all = self.names.get(&owner).into_iter().flatten();
            let there = all.filter(|(other, _)| *other == kind).map(|(_, data)| data.clone());
            if there.collect::<BTreeSet<String>>() != data {
                return Answer::Unmet;
            }
        }
        if after.names != self.names {
            after.serial = self.serial + 1;
            *self = after;
        }
        Answer::Done
    }

    pub(crate) fn see(&self, of: &str) -> Seen {
        let records = self.names.get(of).into_iter().flatten();
        let records = records.filter_map(|(kind, data)| format!("{kind} {data}").parse().ok());
        Seen { owner: self.owner(of), records: records.collect(), is_alias: false }
    }
}

/// A host's connection to the server.
pub(crate) struct Way<'d> {
    pub(crate) dns: &'d mut Dns,
    /// What happens to the next messages. After that there are no faults.
    pub(crate) faults: Vec<Fault>,
    /// The host crashes after this many messages, and does nothing from then on.
    pub(crate) crash_after: Option<usize>,
    pub(crate) sent: usize,
    /// Called after each message to check the zone.
    pub(crate) check: &'d mut dyn FnMut(&Dns, &Dns),
}

impl Way<'_> {
    pub(crate) fn has_crashed(&self) -> bool {
        self.crash_after.is_some_and(|after| self.sent >= after)
    }
}

impl Server for Way<'_> {
    fn send(&mut self, message: &Message) -> Answer {
        if self.has_crashed() {
            return Answer::Failed(Failure::TimedOut);
        }
        self.sent += 1;
        let fault = self.faults.pop().unwrap_or(Fault::None);
        let before = self.dns.clone();
        let answer = match fault {
            Fault::None => self.dns.execute(&message.script(60)),
            Fault::AnswerLost => {
                self.dns.execute(&message.script(60));
                Answer::Failed(Failure::TimedOut)
            }
            Fault::MessageLost => Answer::Failed(Failure::TimedOut),
            Fault::Refused => Answer::Failed(Failure::Refused),
        };
        (self.check)(&before, self.dns);
        if self.has_crashed() { Answer::Failed(Failure::TimedOut) } else { answer }
    }

    fn look(&mut self, names: &[&str]) -> Result<BTreeMap<String, Seen>, Failure> {
        if self.has_crashed() {
            return Err(Failure::TimedOut);
        }
        match self.faults.pop().unwrap_or(Fault::None) {
            Fault::None => {}
            _ => return Err(Failure::TimedOut),
        }
        Ok(names.iter().map(|name| ((*name).to_owned(), self.dns.see(name))).collect())
    }
}
