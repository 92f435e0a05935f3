//! Look-ups in a process that has the module loaded.

use std::ffi::CString;
use std::net::IpAddr;

use crate::Bench;
use crate::child::{self, Numbers};
use crate::clock::{Turn, take_turns};
use crate::contender::{Kind, OURS, STOCK};
use crate::error::{Context, Result};
use crate::floor;
use crate::module::{Call, Module};
use crate::state::{Asked, Guest, Scene, UNKNOWN_ADDRESS, UNKNOWN_NAME};
use crate::table::{Table, time, times};

/// A look-up, and the expected number of addresses.
pub(crate) struct Question {
    pub(crate) kind: Kind,
    pub(crate) label: &'static str,
    pub(crate) call: Call,
    pub(crate) addresses: usize,
    /// The bridge of the requested guest.
    bridge: Option<String>,
}

/// The measured times of one question.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) scene: Scene,
    pub(crate) kind: Kind,
    pub(crate) label: &'static str,
    /// The times of those that took turns, the contenders first.
    pub(crate) took: Vec<Took>,
}

/// Times in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Took {
    pub(crate) median: f64,
    least: f64,
    /// Relative to ours.
    ratio: f64,
}

/// All rows.
pub(crate) struct Lookups {
    pub(crate) forward: Vec<Row>,
    reverse: Vec<Row>,
}

/// The label of the rows that the plot shows.
pub(crate) const KNOWN: &str = "known, 4_r";

/// Look-ups by name.
pub(crate) fn forward(kind: Kind, asked: &Asked) -> Result<Vec<Question>> {
    let name = |guest: &Guest| match kind {
        Kind::Host => guest.host.clone(),
        Kind::Guest => guest.domain.clone(),
    };
    let Asked { single, dual } = asked;
    let known = |guest: &Guest| (name(guest), Some(guest.bridge.clone()));
    let unknown = || (UNKNOWN_NAME.to_owned(), None);
    type Make = fn(CString) -> Call;
    let question = |label, make: Make, addresses, (name, bridge): (String, Option<String>)| {
        let call = make(CString::new(name).context("a name")?);
        Ok(Question { kind, label, call, addresses, bridge })
    };
    [
        question(KNOWN, Call::Both, 1, known(single)),
        question("known, IPv6 too, 4_r", Call::Both, 2, known(dual)),
        question("unknown, 4_r", Call::Both, 0, unknown()),
        question("known, 2_r", Call::V4, 1, known(single)),
        question("unknown, 2_r", Call::V4, 0, unknown()),
    ]
    .into_iter()
    .collect()
}

/// Look-ups by address.
pub(crate) fn reverse(kind: Kind, asked: &Asked) -> Vec<Question> {
    let question = |label, address, addresses| {
        let call = Call::Reverse(address);
        Question { kind, label, call, addresses, bridge: None }
    };
    let v6 = asked.dual.v6.map(|v6| question("IPv6, known", IpAddr::V6(v6), 1));
    let v4 = question("IPv4, known", IpAddr::V4(asked.single.v4), 1);
    let unknown = question("IPv4, unknown", IpAddr::V4(UNKNOWN_ADDRESS), 0);
    [Some(v4), v6, Some(unknown)].into_iter().flatten().collect()
}

pub(crate) fn measure(bench: &Bench) -> Result<Lookups> {
    let mut lookups = Lookups { forward: Vec::new(), reverse: Vec::new() };
    for scene in bench.scenes() {
        let asked = scene.set()?;
        for kind in Kind::BOTH {
            let by_name = forward(kind, &asked)?;
            let by_address = reverse(kind, &asked);
            let numbers = child::run(|| all(bench, kind, &by_name, &by_address))?;
            let took = |chunk: &[f64]| Took { median: chunk[0], least: chunk[1], ratio: chunk[2] };
            let mut took = numbers.chunks_exact(3).map(took);
            let mut rows = |questions: &[Question], turns: usize| -> Vec<Row> {
                let row =
                    |label| Row { scene, kind, label, took: took.by_ref().take(turns).collect() };
                questions.iter().map(|question| question.label).map(row).collect()
            };
            lookups.forward.extend(rows(&by_name, bench.contenders.len() + 1));
            lookups.reverse.extend(rows(&by_address, 2));
        }
    }
    Ok(lookups)
}

fn all(bench: &Bench, kind: Kind, by_name: &[Question], by_address: &[Question]) -> Numbers {
    let modules = bench.contenders.iter().map(|one| Module::load(&one.path(kind), kind));
    let modules: Vec<Module> = modules.collect::<Result<_>>()?;
    let mut numbers = Vec::new();
    for question in by_name {
        let mut turns = Vec::new();
        for module in &modules {
            turns.push(turn(module, question)?);
        }
        turns.push(floor::turn(kind, question.bridge.as_deref())?);
        numbers.extend(take(bench, &mut turns));
    }
    for question in by_address {
        let forward = by_name.iter().find(|one| one.label == KNOWN).ok_or(KNOWN).context("no")?;
        let mut turns = vec![turn(&modules[OURS], question)?, turn(&modules[OURS], forward)?];
        numbers.extend(take(bench, &mut turns));
    }
    Ok(numbers)
}

fn take(bench: &Bench, turns: &mut [Turn<'_>]) -> Vec<f64> {
    let samples = take_turns(turns, bench.seconds());
    let of = |at| [samples.median(at), samples.least(at), samples.ratio(at, OURS)];
    (0..turns.len()).flat_map(of).collect()
}

pub(crate) fn turn<'q>(module: &Module, question: &'q Question) -> Result<Turn<'q>> {
    let mut call = module.prepare(&question.call)?;
    Ok(Box::new(move || {
        let addresses = call();
        assert_eq!(addresses, question.addresses, "the answer to {:?}", question.call);
    }))
}

impl Lookups {
    pub(crate) fn tables(&self, bench: &Bench) -> Vec<Table> {
        let of = |id, kind: Kind| {
            let title = format!("A look-up in {}, processor time", kind.service());
            let mut header = vec!["leases, name", "libvirt's", "ours", "times as fast", "at best"];
            header.extend(["floor", "ours to floor"]);
            let others = &bench.contenders[STOCK + 1..];
            let names: Vec<[String; 2]> = others
                .iter()
                .map(|other| [other.name.clone(), "times as fast as it".to_owned()])
                .collect();
            header.extend(names.iter().flatten().map(String::as_str));
            let mut table = Table::new(id, title, &header);
            for row in self.forward.iter().filter(|row| row.kind == kind) {
                table.row(cells(row));
            }
            table
        };
        vec![of("lookups-libvirt", Kind::Host), of("lookups-guest", Kind::Guest), self.by_address()]
    }

    fn by_address(&self) -> Table {
        let title = "A look-up by address (libvirt's modules have none)";
        let header = ["leases, address", "libvirt", "to by name", "libvirt_guest", "to by name"];
        let mut table = Table::new("reverse", title, &header);
        let of = |kind| self.reverse.iter().filter(move |row| row.kind == kind);
        for (host, guest) in of(Kind::Host).zip(of(Kind::Guest)) {
            let cells = [host, guest].into_iter().flat_map(|row| {
                let [by_address, by_name] = [row.took[0], row.took[1]];
                [time(by_address.median), times(1.0 / by_name.ratio)]
            });
            let label = format!("{}, {}", host.scene.label(), host.label);
            table.row([label].into_iter().chain(cells));
        }
        table
    }
}

fn cells(row: &Row) -> Vec<String> {
    let (ours, stock) = (row.took[OURS], row.took[STOCK]);
    let Some((floor, contenders)) = row.took.split_last() else { return Vec::new() };
    let mut cells = vec![
        format!("{}, {}", row.scene.label(), row.label),
        time(stock.median),
        time(ours.median),
        times(stock.ratio),
        times(stock.least / ours.least),
        time(floor.median),
        times(1.0 / floor.ratio),
    ];
    for other in &contenders[STOCK + 1..] {
        cells.extend([time(other.median), times(other.ratio)]);
    }
    cells
}
