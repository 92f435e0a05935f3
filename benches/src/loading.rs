//! From dlopen to the first answer, in a process that has never seen the module.

use std::ffi::CString;

use crate::Bench;
use crate::child::{self, Numbers};
use crate::clock::{Samples, thread_time};
use crate::contender::{Contender, Kind, OURS, STOCK};
use crate::error::{Context, Error, Result};
use crate::module::{Call, Module};
use crate::state::Scene;
use crate::table::{Table, time, times};

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Table>> {
    let asked = Scene::SMALLEST.set()?;
    let mut header = vec!["", "libvirt's", "ours", "to libvirt's"];
    let others = &bench.contenders[STOCK + 1..];
    header.extend(others.iter().map(|other| other.name.as_str()));
    let title = format!(
        "Loading a module into a process of its own, and its first answer ({} leases)",
        Scene::SMALLEST.leases
    );
    let mut table = Table::new("loading", title, &header);
    for kind in Kind::BOTH {
        let name = match kind {
            Kind::Host => &asked.single.host,
            Kind::Guest => &asked.single.domain,
        };
        let call = Call::Both(CString::new(name.as_str()).context(name)?);
        // For each contender: dlopen alone, then dlopen and the first look-up.
        let mut samples =
            [vec![Vec::new(); bench.contenders.len()], vec![Vec::new(); bench.contenders.len()]];
        for _ in 0..bench.repetitions() {
            for (at, contender) in bench.contenders.iter().enumerate() {
                let numbers = child::run(|| first_answer(contender, kind, &call))?;
                for (samples, number) in samples.iter_mut().zip(numbers) {
                    samples[at].push(number);
                }
            }
        }
        for (samples, what) in samples.into_iter().zip(["dlopen", "dlopen to first answer"]) {
            let samples = Samples(samples);
            let mut cells = vec![
                format!("{}, {what}", kind.service()),
                time(samples.median(STOCK)),
                time(samples.median(OURS)),
                times(samples.ratio(OURS, STOCK)),
            ];
            cells.extend((STOCK + 1..bench.contenders.len()).map(|at| time(samples.median(at))));
            table.row(cells);
        }
    }
    Ok(vec![table])
}

fn first_answer(contender: &Contender, kind: Kind, call: &Call) -> Numbers {
    let path = contender.path(kind);
    let start = thread_time();
    let module = Module::load(&path, kind)?;
    let loaded = thread_time();
    let addresses = module.prepare(call)?();
    let answered = thread_time();
    if addresses != 1 {
        return Err(Error::new(format!(
            "{addresses} addresses in {}'s first answer",
            contender.name
        )));
    }
    Ok(vec![loaded - start, answered - start])
}
