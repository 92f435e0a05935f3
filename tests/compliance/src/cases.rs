//! The cases written by hand, by topic.

mod answers;
mod broken;
mod buffers;
mod guests;
mod names;
mod order;

use abi::{Kind, Query, StateDir};

use crate::peer::Ask;
use crate::rules::Rule;
use crate::stock::Version;

/// A state directory and calls of one module about it.
pub struct Case {
    /// The name that `docs/differences.md` uses for it.
    pub name: &'static str,
    /// Which module.
    pub kind: Kind,
    /// Fills the empty state directory; the number is the time, in seconds since 1970.
    pub setup: fn(&StateDir, i64),
    /// The calls, in order.
    pub calls: Vec<Call>,
}

/// A call and what both modules must answer.
pub struct Call {
    /// The call.
    pub ask: Ask,
    /// What libvirt's module answers, by the first version that does; the last entry that isn't
    /// newer than the module counts.
    pub stock: Vec<(Version, &'static str)>,
    /// What ours answers.
    pub ours: &'static str,
    /// The rule by which the two differ; `None` if they agree in every version.
    pub rule: Option<Rule>,
}

impl Call {
    /// What libvirt's module of this version answers.
    #[must_use]
    pub fn stock(&self, version: Version) -> &'static str {
        let known = self.stock.iter().rev().find(|(from, _)| *from <= version);
        known.map_or("", |(_, answer)| answer)
    }
}

impl Case {
    fn new(name: &'static str, kind: Kind, setup: fn(&StateDir, i64)) -> Case {
        Case { name, kind, setup, calls: Vec::new() }
    }

    /// Both modules answer the same.
    fn same(self, query: Query, answer: &'static str) -> Case {
        self.call(Ask::new(query), None, answer, answer)
    }

    /// The modules differ by a rule.
    fn differs(self, rule: Rule, query: Query, stock: &'static str, ours: &'static str) -> Case {
        self.call(Ask::new(query), Some(rule), stock, ours)
    }

    fn call(
        mut self,
        ask: Ask,
        rule: Option<Rule>,
        stock: &'static str,
        ours: &'static str,
    ) -> Case {
        self.calls.push(Call { ask, stock: vec![(Version::V9_0, stock)], ours, rule });
        self
    }

    /// From this version on, libvirt's module answers the previous call differently.
    fn since(mut self, version: Version, stock: &'static str) -> Case {
        self.calls.last_mut().expect("a call before").stock.push((version, stock));
        self
    }
}

/// Every case, topic by topic.
#[must_use]
pub fn all() -> Vec<Case> {
    [
        answers::cases(),
        names::cases(),
        guests::cases(),
        order::cases(),
        buffers::cases(),
        broken::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What the topics share.
mod common {
    pub(super) use abi::Kind::{Guest, Host};
    pub(super) use abi::{Lease, MacMap, Query, StateDir};
    pub(super) use libc::{AF_INET, AF_INET6, AF_UNSPEC};

    pub(super) use super::Case;
    pub(super) use crate::peer::Ask;
    pub(super) use crate::rules::Rule;
    pub(super) use crate::stock::Version::{V11_3, V12_8};

    pub(super) const UNKNOWN: &str = "NOTFOUND ESRCH HOST_NOT_FOUND";
    pub(super) const NO_DATA: &str = "UNAVAIL ENXIO NO_DATA";
    /// The answer of libvirt's module when it can't read something.
    pub(super) const GIVES_UP: &str = "UNAVAIL - NO_RECOVERY";
    pub(super) const NO_FUNCTION: &str = "no such function";

    pub(super) const WEB: &str = "52:54:00:00:00:01";
    pub(super) const DB: &str = "52:54:00:00:00:02";
    pub(super) const OLD: &str = "52:54:00:00:00:03";

    /// A lease that ends in an hour.
    pub(super) fn v4(now: i64, ip: &str, mac: &str, hostname: &str) -> Lease {
        Lease::v4(ip, mac, hostname, now + 3600)
    }

    /// A lease that ends in an hour.
    pub(super) fn v6(now: i64, ip: &str, mac: &str, hostname: &str) -> Lease {
        Lease::v6(ip, mac, hostname, now + 3600)
    }
}
